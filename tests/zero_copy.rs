// SPDX-License-Identifier: MPL-2.0
//! Bodies that go by reference are never copied: the reader of an inproc pipe gets the sender's
//! memory, and a stream is written from it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use zmq::abi::*;
use zmq::engine::counters;
use zmq::ffi::context::{zmq_ctx_new, zmq_ctx_term};
use zmq::ffi::message::*;
use zmq::ffi::socket::*;

const LARGE: usize = 300_000;

static FREED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_freed(_data: *mut c_void, _hint: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

/// Two PAIR sockets, connected.
struct Sockets {
    context: *mut c_void,
    sender: *mut c_void,
    receiver: *mut c_void,
}

impl Sockets {
    fn new(endpoint: &CStr) -> Sockets {
        // SAFETY: handles made here, and strings.
        unsafe {
            let context = zmq_ctx_new();
            let sockets = Sockets {
                context,
                sender: zmq_socket(context, ZMQ_PAIR),
                receiver: zmq_socket(context, ZMQ_PAIR),
            };
            assert_eq!(zmq_bind(sockets.receiver, endpoint.as_ptr()), 0);
            let mut text = [0u8; 256];
            let mut length = text.len();
            let (last, text_at) = (ZMQ_LAST_ENDPOINT, text.as_mut_ptr().cast());
            assert_eq!(zmq_getsockopt(sockets.receiver, last, text_at, &mut length), 0);
            let bound: CString = CStr::from_bytes_until_nul(&text).unwrap().to_owned();
            assert_eq!(zmq_connect(sockets.sender, bound.as_ptr()), 0);
            sockets
        }
    }

    /// Receives a message and gives its content's address and bytes.
    fn receive(&self) -> (*const u8, Vec<u8>) {
        let mut message = MaybeUninit::<zmq_msg_t>::uninit();
        let message = message.as_mut_ptr();
        // SAFETY: the message is initialised, and closed before it goes.
        unsafe {
            assert_eq!(zmq_msg_init(message), 0);
            let length = usize::try_from(zmq_msg_recv(message, self.receiver, 0)).unwrap();
            let data: *const u8 = zmq_msg_data(message).cast_const().cast();
            let bytes = std::slice::from_raw_parts(data, length).to_vec();
            assert_eq!(zmq_msg_close(message), 0);
            (data, bytes)
        }
    }

    fn end(self) {
        // SAFETY: the handles are live.
        unsafe {
            assert_eq!(zmq_close(self.sender), 0);
            assert_eq!(zmq_close(self.receiver), 0);
            assert_eq!(zmq_ctx_term(self.context), 0);
        }
    }
}

/// Sends `bytes` as the content of a message, which stays where it is.
fn send_own(socket: *mut c_void, bytes: &'static [u8]) -> c_int {
    let mut message = MaybeUninit::<zmq_msg_t>::uninit();
    let message = message.as_mut_ptr();
    // SAFETY: the bytes live for ever, and nobody writes to them.
    unsafe {
        let data = bytes.as_ptr().cast_mut().cast();
        let free = Some(count_freed as _);
        assert_eq!(zmq_msg_init_data(message, data, bytes.len(), free, ptr::null_mut()), 0);
        zmq_msg_send(message, socket, 0)
    }
}

fn send_const(socket: *mut c_void, bytes: &'static [u8]) -> c_int {
    // SAFETY: the bytes live for ever.
    unsafe { zmq_send_const(socket, bytes.as_ptr().cast(), bytes.len(), 0) }
}

/// Bytes that live for ever.
fn content(length: usize) -> &'static [u8] {
    (0..length).map(|at| (at % 253) as u8).collect::<Vec<u8>>().leak()
}

// One test, because the counters are the process's.
#[test]
fn what_goes_by_reference_is_not_copied() {
    let sockets = Sockets::new(c"inproc://zero-copy");
    let mut own = 0;
    for length in [100, 8192, LARGE] {
        let bytes = content(length);
        assert_eq!(send_own(sockets.sender, bytes), length as c_int);
        own += 1;
        assert_eq!(sockets.receive().0, bytes.as_ptr(), "zmq_msg_init_data, {length}");
        assert_eq!(send_const(sockets.sender, bytes), length as c_int);
        assert_eq!(sockets.receive().0, bytes.as_ptr(), "zmq_send_const, {length}");
    }
    sockets.end();
    assert_eq!(FREED.load(Ordering::SeqCst), own);

    let before = counters::totals();
    assert_eq!(before.caller.total_bytes_sync + before.io_thread.total_bytes_sync, 0);
    let sockets = Sockets::new(c"tcp://127.0.0.1:*");
    let mut sent = 0;
    for length in [100, 8192, LARGE] {
        let bytes = content(length);
        for _ in 0..20 {
            assert_eq!(send_own(sockets.sender, bytes), length as c_int);
            assert_eq!(send_const(sockets.sender, bytes), length as c_int);
            own += 1;
        }
        for _ in 0..40 {
            assert!(sockets.receive().1 == bytes);
            sent += length as u64;
        }
    }
    sockets.end();
    assert_eq!(FREED.load(Ordering::SeqCst), own);
    let written = counters::totals();
    assert!(written.caller.total_bytes_sync + written.io_thread.total_bytes_sync > sent);
    assert_eq!(written.caller.copied_bytes + written.io_thread.copied_bytes, 0);

    // Who finds its connection idle writes by itself. On a busy machine it may not be idle at once.
    let byte = content(1);
    for _ in 0..100 {
        if counters::totals().caller.sync_success > 0 {
            return;
        }
        let sockets = Sockets::new(c"tcp://127.0.0.1:*");
        for _ in 0..20 {
            assert_eq!(send_const(sockets.sender, byte), 1);
            assert!(sockets.receive().1 == byte);
        }
        sockets.end();
    }
    panic!("the caller never writes");
}
