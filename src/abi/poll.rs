// SPDX-License-Identifier: MPL-2.0
//! `zmq_poll`: the item structure and the event flags.
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_short, c_void};

use super::assert_layout;

/// A file descriptor, or a socket handle of the operating system.
///
/// Hand-written in the header, where it depends on the platform.
///
/// cbindgen:ignore
pub type zmq_fd_t = c_int;

// Events of zmq_poll and zmq_poller
pub const ZMQ_POLLIN: c_int = 1;
pub const ZMQ_POLLOUT: c_int = 2;
pub const ZMQ_POLLERR: c_int = 4;
pub const ZMQ_POLLPRI: c_int = 8;

// Items for which a caller may want to keep space at hand
pub const ZMQ_POLLITEMS_DFLT: c_int = 16;

/// One thing to poll: a ZeroMQ socket, or a file descriptor where the socket is NULL.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct zmq_pollitem_t {
    pub socket: *mut c_void,
    pub fd: zmq_fd_t,
    pub events: c_short,
    pub revents: c_short,
}

#[cfg(target_pointer_width = "64")]
assert_layout!(zmq_pollitem_t, size 16, align 8, socket at 0, fd at 8, events at 12, revents at 14);
