// SPDX-License-Identifier: MPL-2.0
//! ZMQ_OUT_BATCH_SIZE bounds what one write offers to the kernel.

use std::ffi::{CString, c_int, c_void};
use zmq::abi::*;
use zmq::engine::counters::{Written, totals};
use zmq::ffi::context::{zmq_ctx_new, zmq_ctx_term};
use zmq::ffi::socket::*;

const MESSAGES: usize = 2000;
const LENGTH: usize = 100;

fn set(socket: *mut c_void, option: c_int, value: c_int) {
    let value: *const c_int = &value;
    // SAFETY: the value outlives the call.
    assert_eq!(unsafe { zmq_setsockopt(socket, option, value.cast(), size_of::<c_int>()) }, 0);
}

/// What sending the messages over ipc has come to. All of them are there before the connection is, so
/// writes are as long as they may be.
fn send_all(batch: Option<c_int>) -> Written {
    let endpoint = CString::new(format!("ipc://@batch-size-{}", std::process::id())).unwrap();
    let mut buffer = [0u8; LENGTH];
    // SAFETY: handles made here, and buffers that outlive the calls.
    unsafe {
        let context = zmq_ctx_new();
        let (push, pull) = (zmq_socket(context, ZMQ_PUSH), zmq_socket(context, ZMQ_PULL));
        set(push, ZMQ_SNDHWM, 0);
        if let Some(batch) = batch {
            set(push, ZMQ_OUT_BATCH_SIZE, batch);
        }
        assert_eq!(zmq_connect(push, endpoint.as_ptr()), 0);
        for _ in 0..MESSAGES {
            assert_eq!(zmq_send(push, buffer.as_ptr().cast(), LENGTH, 0), LENGTH as c_int);
        }
        assert_eq!(zmq_bind(pull, endpoint.as_ptr()), 0);
        for _ in 0..MESSAGES {
            assert_eq!(zmq_recv(pull, buffer.as_mut_ptr().cast(), LENGTH, 0), LENGTH as c_int);
        }
        assert_eq!(zmq_close(push), 0);
        assert_eq!(zmq_close(pull), 0);
        assert_eq!(zmq_ctx_term(context), 0);
    }
    totals()
}

// One test, because the counters are the process's.
#[test]
fn writes_are_no_longer_than_the_batch() {
    const BATCH: u64 = 1000;
    let sum = |written: Written| {
        let mut sum = written.caller;
        sum.add(&written.io_thread);
        (sum.total_attempts, sum.total_bytes_sync)
    };
    let (attempts, bytes) = sum(send_all(Some(BATCH as c_int)));
    assert_eq!(bytes, (MESSAGES * (LENGTH + 2)) as u64);
    assert!(bytes <= attempts * BATCH, "{attempts} writes of {bytes} bytes");
    let (all, _) = sum(send_all(None));
    assert!(all - attempts < attempts, "{} writes without a bound", all - attempts);
}
