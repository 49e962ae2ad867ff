// SPDX-License-Identifier: MPL-2.0
//! Stand-ins for the layers below that are not there yet: every call answers ENOTSUP.
//!
//! Each module here goes away with the real one, whose functions have these signatures. A handle
//! argument is never NULL unless it is an `Option` or documented so.
#![forbid(unsafe_code)]
#![allow(unused_variables)]

use std::ffi::{c_long, c_short, c_void};

use crate::abi::{zmq_fd_t, zmq_poller_event_t, zmq_pollitem_t};
use crate::errno::{Error, Result};

type Handle = *mut c_void;

macro_rules! pending {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        $(pub fn $name($($arg: $type),*) -> Result<$result> { Err(Error::NOTSUP) })*
    };
}

/// To become `crate::tools::poll`. Checks event bits (EINVAL) and descriptors (EBADF) itself.
/// `poller_wait` is given cleared events and fills in those that happened, from the front.
pub mod poll {
    use super::*;
    pending! {
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
