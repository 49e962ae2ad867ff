// SPDX-License-Identifier: MPL-2.0
//! What sockets promise, through the C functions: cases that were once wrong.

use std::ffi::{CStr, CString, c_int, c_void};
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

    /// Binds to a free port of the loopback interface and connects `other` to it.
    fn join(&mut self, socket: *mut c_void, other: *mut c_void) -> CString {
        bind(socket, c"tcp://127.0.0.1:*");
        let endpoint = last_endpoint(socket);
        connect(other, &endpoint);
        endpoint
    }

    /// Monitors a socket; all events go to the socket that is returned.
    fn monitor(&mut self, socket: *mut c_void, name: &CStr) -> *mut c_void {
        // SAFETY: a string.
        assert_eq!(unsafe { zmq_socket_monitor(socket, name.as_ptr(), ZMQ_EVENT_ALL) }, 0);
        let monitor = self.socket(ZMQ_PAIR);
        connect(monitor, name);
        monitor
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

fn last_endpoint(socket: *mut c_void) -> CString {
    let mut text = [0u8; 256];
    let mut length = text.len();
    // SAFETY: the buffer has `length` bytes.
    let result =
        unsafe { zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text.as_mut_ptr().cast(), &mut length) };
    assert_eq!(result, 0);
    CStr::from_bytes_until_nul(&text).unwrap().to_owned()
}

/// The next event of a monitor, without its value and address.
fn event(monitor: *mut c_void) -> Option<c_int> {
    let head = receive(monitor)?;
    receive(monitor)?;
    Some(u16::from_ne_bytes([head[0], head[1]]).into())
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

#[test]
fn a_monitor_stops_after_the_listener_is_closed() {
    let mut context = Context::new();
    let server = context.socket(ZMQ_DEALER);
    let monitor = context.monitor(server, c"inproc://monitored");
    let client = context.socket(ZMQ_DEALER);
    context.join(server, client);
    assert!(send(client, b"x"));
    assert!(receive(server).is_some());
    context.close(server);
    let events: Vec<_> = std::iter::from_fn(|| event(monitor)).take(5).collect();
    assert_eq!(
        events,
        [
            ZMQ_EVENT_LISTENING,
            ZMQ_EVENT_ACCEPTED,
            ZMQ_EVENT_HANDSHAKE_SUCCEEDED,
            ZMQ_EVENT_CLOSED,
            ZMQ_EVENT_MONITOR_STOPPED
        ]
    );
}

#[test]
fn events_that_a_monitor_loses_are_counted() {
    let mut context = Context::new();
    let server = context.socket(ZMQ_DEALER);
    assert_eq!(zmq::socket::lost_events(server), Ok(None));
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_socket_monitor(server, c"inproc://m".as_ptr(), ZMQ_EVENT_ALL) }, 0);
    bind(server, c"tcp://127.0.0.1:*");
    assert_eq!(zmq::socket::lost_events(server), Ok(Some(0)), "kept for a reader");
    let monitor = context.socket(ZMQ_PAIR);
    connect(monitor, c"inproc://m");
    for _ in 0..11_001 {
        // SAFETY: a string.
        assert_eq!(unsafe { zmq_bind(server, c"tcp://127.0.0.1:x".as_ptr()) }, -1);
    }
    assert_eq!(zmq::socket::lost_events(server), Ok(Some(2)));
    assert_eq!(event(monitor), Some(ZMQ_EVENT_LISTENING));
    assert_eq!(event(monitor), Some(ZMQ_EVENT_BIND_FAILED));
}

#[test]
fn after_unbind_nothing_more_comes_but_what_came_can_be_read() {
    let mut context = Context::new();
    let server = context.socket(ZMQ_PULL);
    let client = context.socket(ZMQ_PUSH);
    set(client, ZMQ_RECONNECT_IVL, -1);
    let endpoint = context.join(server, client);
    for text in ["first", "second"] {
        set(client, ZMQ_SNDTIMEO, 2000);
        // SAFETY: the buffer outlives the call.
        let sent = unsafe { zmq_send(client, text.as_ptr().cast(), text.len(), 0) };
        assert!(sent > 0);
    }
    assert_eq!(receive(server).as_deref(), Some(&b"first"[..]));
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_unbind(server, endpoint.as_ptr()) }, 0);
    let _ = send(client, b"too late");
    set(server, ZMQ_RCVTIMEO, 100);
    assert_ne!(receive(server).as_deref(), Some(&b"too late"[..]));
    assert_eq!(receive(server), None);
}

#[test]
fn a_router_tells_of_peers_that_come_and_go() {
    let mut context = Context::new();
    let router = context.socket(ZMQ_ROUTER);
    set(router, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_CONNECT | ZMQ_NOTIFY_DISCONNECT);
    let dealer = context.socket(ZMQ_DEALER);
    set_bytes(dealer, ZMQ_ROUTING_ID, b"X");
    let endpoint = context.join(router, dealer);
    let message = || [receive(router), receive(router)].map(Option::unwrap_or_default);
    assert_eq!(message(), [b"X".to_vec(), b"".to_vec()]);
    assert!(send(dealer, b"Hello"));
    assert_eq!(message(), [b"X".to_vec(), b"Hello".to_vec()]);
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_disconnect(dealer, endpoint.as_ptr()) }, 0);
    assert_eq!(message(), [b"X".to_vec(), b"".to_vec()]);
}

#[test]
fn a_refused_ipc_attempt_is_reported_closed() {
    let mut context = Context::new();
    let socket = context.socket(ZMQ_SUB);
    let monitor = context.monitor(socket, c"inproc://refused");
    set(socket, ZMQ_RECONNECT_STOP, ZMQ_RECONNECT_STOP_AFTER_DISCONNECT);
    set(socket, ZMQ_RECONNECT_IVL, 10_000);
    connect(socket, c"ipc://@nobody-listens-here");
    assert_eq!(event(monitor), Some(ZMQ_EVENT_CLOSED));
    assert_eq!(event(monitor), Some(ZMQ_EVENT_CONNECT_RETRIED));
    // SAFETY: a string.
    assert_eq!(unsafe { zmq_disconnect(socket, c"ipc://@nobody-listens-here".as_ptr()) }, 0);
    assert_eq!(event(monitor), Some(ZMQ_EVENT_CLOSED));
}
