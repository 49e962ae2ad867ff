// SPDX-License-Identifier: MPL-2.0
//! Stand-ins for the layers below that are not there yet: every call answers ENOTSUP.
//!
//! Each module here goes away with the real one, whose functions have these signatures. A handle
//! argument is never NULL unless it is an `Option` or documented so.
#![forbid(unsafe_code)]
#![allow(unused_variables)]

use std::ffi::{CStr, c_long, c_short, c_void};

use crate::abi::{zmq_fd_t, zmq_poller_event_t, zmq_pollitem_t};
use crate::errno::{Error, Result};
use crate::msg::Msg;

type Handle = *mut c_void;

macro_rules! pending {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        $(pub fn $name($($arg: $type),*) -> Result<$result> { Err(Error::NOTSUP) })*
    };
}

/// To become `crate::ctx::api`.
pub mod ctx {
    use super::*;
    pending! {
        new() -> Handle;
        term(context: Handle) -> ();
        shutdown(context: Handle) -> ();
        set(context: Handle, option: i32, value: i32) -> ();
        get(context: Handle, option: i32) -> i32;
        set_ext(context: Handle, option: i32, value: &[u8]) -> ();
        get_ext(context: Handle, option: i32, value: &mut [u8]) -> usize;
    }
}

/// To become `crate::socket::api`.
pub mod socket {
    use super::*;
    pending! {
        open(context: Handle, socket_type: i32) -> Handle;
        close(socket: Handle) -> ();
        set_option(socket: Handle, option: i32, value: Option<&[u8]>) -> ();
        option(socket: Handle, option: i32, value: &mut [u8]) -> usize;
        bind(socket: Handle, endpoint: &CStr) -> ();
        connect(socket: Handle, endpoint: &CStr) -> ();
        unbind(socket: Handle, endpoint: &CStr) -> ();
        disconnect(socket: Handle, endpoint: &CStr) -> ();
        send_bytes(socket: Handle, bytes: &[u8], flags: i32) -> usize;
        send_msg(socket: Handle, msg: &mut Msg, flags: i32) -> usize;
        recv_bytes(socket: Handle, buffer: *mut u8, len: usize, flags: i32) -> usize;
        recv_msg(socket: Handle, msg: &mut Msg, flags: i32) -> usize;
        monitor(
            socket: Handle, endpoint: Option<&CStr>, events: u64, version: i32, socket_type: i32
        ) -> ();
        monitor_pipes_stats(socket: Handle) -> ();
        peer_state(socket: Handle, routing_id: &[u8]) -> i32;
        join(socket: Handle, group: &CStr) -> ();
        leave(socket: Handle, group: &CStr) -> ();
        connect_peer(socket: Handle, endpoint: &CStr) -> u32;
        disconnect_peer(socket: Handle, routing_id: u32) -> ();
    }
}

/// To become `crate::tools::poll`. Checks event bits (EINVAL) and descriptors (EBADF) itself.
/// `poller_wait` is given cleared events and fills in those that happened, from the front.
pub mod poll {
    use super::*;
    pending! {
        poll(items: &mut [zmq_pollitem_t], timeout: c_long) -> i32;
        ppoll(
            items: &mut [zmq_pollitem_t], timeout: c_long, sigmask: Option<&libc::sigset_t>
        ) -> i32;
        poller_new() -> Handle;
        poller_destroy(poller: Handle) -> ();
        poller_size(poller: Handle) -> usize;
        poller_add(poller: Handle, socket: Handle, user_data: *mut c_void, events: c_short) -> ();
        poller_modify(poller: Handle, socket: Handle, events: c_short) -> ();
        poller_remove(poller: Handle, socket: Handle) -> ();
        poller_wait(poller: Handle, events: &mut [zmq_poller_event_t], timeout: c_long) -> usize;
        poller_fd(poller: Handle) -> zmq_fd_t;
        poller_add_fd(
            poller: Handle, fd: zmq_fd_t, user_data: *mut c_void, events: c_short
        ) -> ();
        poller_modify_fd(poller: Handle, fd: zmq_fd_t, events: c_short) -> ();
        poller_remove_fd(poller: Handle, fd: zmq_fd_t) -> ();
    }
}

/// To become `crate::tools::proxy`. `capture` and `control` may be NULL.
pub mod proxy {
    use super::*;
    pending! {
        proxy(frontend: Handle, backend: Handle, capture: Handle, control: Handle) -> ();
    }
}
