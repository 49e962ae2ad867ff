// SPDX-License-Identifier: MPL-2.0
//! What sockets promise, through the C functions: cases that were once wrong.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use zmq::abi::*;
use zmq::ffi::context::{zmq_ctx_new, zmq_ctx_term};
use zmq::ffi::security::zmq_z85_encode;
use zmq::ffi::socket::*;

/// A context and its sockets, which are closed at the end.
struct Context {
    handle: *mut c_void,
    sockets: Vec<*mut c_void>,
}

impl Context {
    fn new() -> Context {
        // SAFETY: no conditions.
        let handle = unsafe { zmq_ctx_new() };
        assert!(!handle.is_null());
        Context { handle, sockets: Vec::new() }
    }

    fn socket(&mut self, socket_type: c_int) -> *mut c_void {
        // SAFETY: the context is live.
        let socket = unsafe { zmq_socket(self.handle, socket_type) };
        assert!(!socket.is_null());
        set(socket, ZMQ_LINGER, 0);
        set(socket, ZMQ_RCVTIMEO, 2000);
        self.sockets.push(socket);
        socket
    }

    fn close(&mut self, socket: *mut c_void) {
        self.sockets.retain(|other| *other != socket);
        // SAFETY: the socket is live.
        assert_eq!(unsafe { zmq_close(socket) }, 0);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        for socket in std::mem::take(&mut self.sockets) {
            // SAFETY: the socket is live.
            unsafe { zmq_close(socket) };
        }
        // SAFETY: the context is live.
        unsafe { zmq_ctx_term(self.handle) };
    }
}

fn set(socket: *mut c_void, option: c_int, value: c_int) {
    let value: *const c_int = &value;
    // SAFETY: the value outlives the call.
    let result = unsafe { zmq_setsockopt(socket, option, value.cast(), size_of::<c_int>()) };
    assert_eq!(result, 0);
}

fn set_bytes(socket: *mut c_void, option: c_int, value: &[u8]) {
    // SAFETY: the value outlives the call.
    let result = unsafe { zmq_setsockopt(socket, option, value.as_ptr().cast(), value.len()) };
    assert_eq!(result, 0);
}

fn bind(socket: *mut c_void, endpoint: &CStr) {
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_bind(socket, endpoint.as_ptr()) }, 0);
}

fn connect(socket: *mut c_void, endpoint: &CStr) {
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_connect(socket, endpoint.as_ptr()) }, 0);
}

/// Sends without waiting; false when that is not possible.
fn send(socket: *mut c_void, body: &[u8]) -> bool {
    // SAFETY: the buffer outlives the call.
    unsafe { zmq_send(socket, body.as_ptr().cast(), body.len(), ZMQ_DONTWAIT) >= 0 }
}

/// The next part, or `None` when none comes.
fn receive(socket: *mut c_void) -> Option<Vec<u8>> {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer outlives the call.
    let length = unsafe { zmq_recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(length).ok().map(|length| buffer[..length].to_vec())
}

#[test]
fn a_wrong_length_for_z85_is_einval_before_the_pointers_matter() {
    // SAFETY: nothing is written for a length that is not allowed.
    assert!(unsafe { zmq_z85_encode(ptr::null_mut(), ptr::null(), 42) }.is_null());
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn before_the_name_is_bound_the_connecters_own_high_water_mark_holds() {
    let mut context = Context::new();
    let push = context.socket(ZMQ_PUSH);
    set(push, ZMQ_SNDHWM, 1);
    connect(push, c"inproc://later");
    assert!(send(push, b"1"));
    assert!(!send(push, b"2"));
    set(push, ZMQ_SNDHWM, 2);
    assert!(send(push, b"2"));
    assert!(!send(push, b"3"));
    let pull = context.socket(ZMQ_PULL);
    set(pull, ZMQ_RCVHWM, 3);
    bind(pull, c"inproc://later");
    let count = (0..10).take_while(|_| send(push, b"")).count();
    assert_eq!(count, 3, "2 + 3 in all");
    for text in ["1", "2"] {
        assert_eq!(receive(pull).as_deref(), Some(text.as_bytes()));
    }
}

#[test]
fn a_late_binders_high_water_mark_can_change() {
    let mut context = Context::new();
    let push = context.socket(ZMQ_PUSH);
    set(push, ZMQ_SNDHWM, 1);
    connect(push, c"inproc://late-change");
    let pull = context.socket(ZMQ_PULL);
    set(pull, ZMQ_RCVHWM, 1);
    bind(pull, c"inproc://late-change");
    set(pull, ZMQ_RCVHWM, 4);
    assert_eq!((0..10).take_while(|_| send(push, b"")).count(), 5);
    set(push, ZMQ_SNDHWM, 2);
    assert!(send(push, b""));
    assert!(!send(push, b""));
}

#[test]
fn subscriptions_reach_a_pub_that_connected_before_the_sub_was_bound() {
    let mut context = Context::new();
    let publisher = context.socket(ZMQ_PUB);
    connect(publisher, c"inproc://pub-first");
    let subscriber = context.socket(ZMQ_SUB);
    set_bytes(subscriber, ZMQ_SUBSCRIBE, b"");
    bind(subscriber, c"inproc://pub-first");
    assert!(send(publisher, b"news"));
    assert_eq!(receive(subscriber).as_deref(), Some(&b"news"[..]));
}
