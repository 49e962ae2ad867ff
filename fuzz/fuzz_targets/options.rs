// SPDX-License-Identifier: MPL-2.0
//! Options of sockets and contexts: any number, size and value, on every type of socket.
#![no_main]

use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use zmq::abi::*;
use zmq::ffi::context::draft::{zmq_ctx_get_ext, zmq_ctx_set_ext};
use zmq::ffi::context::{zmq_ctx_get, zmq_ctx_new, zmq_ctx_set, zmq_ctx_term};
use zmq::ffi::general::zmq_errno;
use zmq::ffi::socket::{zmq_close, zmq_getsockopt, zmq_setsockopt, zmq_socket};
use zmq::options::table::TABLE;
use zmq::zmtp::SocketType;

fuzz_target!(|data: &[u8]| memory::bounded(data.len() * 4 + 16384, || run(data)));

const CANARY: u8 = 0xee;

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    if choice == 0xff {
        context_options(&mut input);
        return;
    }
    static CONTEXT: OnceLock<usize> = OnceLock::new();
    // SAFETY: no arguments.
    let context = *CONTEXT.get_or_init(|| unsafe { zmq_ctx_new() } as usize) as *mut c_void;
    let kind = SocketType::ALL[usize::from(choice) % SocketType::ALL.len()];
    // SAFETY: a live context.
    let socket = unsafe { zmq_socket(context, kind.number()) };
    if socket.is_null() {
        // Not every type of the drafts is built.
        // SAFETY: no arguments.
        assert_eq!(unsafe { zmq_errno() }, libc::EINVAL, "{kind:?}");
        assert!(kind.number() > ZMQ_STREAM, "{kind:?}");
        return;
    }
    while !input.is_empty() {
        let step = input.u8();
        let number = match step & 0x40 {
            0 => TABLE[usize::from(input.u8()) % TABLE.len()].number,
            _ => input.i32(),
        };
        if step & 0x80 == 0 {
            let value = value(&mut input, step);
            let null = step & 0x20 != 0 && value.is_empty();
            // All options are looked at now and then: there are many.
            let looked_at = if step & 0x1f == 0x1f { None } else { Some(number) };
            set(socket, number, &value, null, looked_at);
        }
        let size = if step & 8 == 0 { input.u8() } else { [4, 8, 32, 41][usize::from(step & 3)] };
        get(socket, number, usize::from(size));
    }
    // SAFETY: a live socket.
    assert_eq!(unsafe { zmq_close(socket) }, 0);
}

fn value(input: &mut Input, step: u8) -> Vec<u8> {
    match step & 7 {
        0 | 1 => (input.i32() >> (input.u8() & 31)).to_ne_bytes().to_vec(),
        2 => input.u64().to_ne_bytes().to_vec(),
        3 => vec![b'a' + (step & 7); usize::from(input.u16() & 0xfff)],
        _ => input.chunk().to_vec(),
    }
}

/// What is refused changes nothing, of one option or of all.
fn set(socket: *mut c_void, number: c_int, value: &[u8], null: bool, looked_at: Option<c_int>) {
    let before = values(socket, looked_at);
    let pointer = if null { std::ptr::null() } else { value.as_ptr().cast() };
    // SAFETY: a live socket, a buffer of this size.
    let (status, errno) =
        unsafe { (zmq_setsockopt(socket, number, pointer, value.len()), zmq_errno()) };
    if status == 0 {
        return;
    }
    assert_eq!(status, -1);
    let known = [libc::EINVAL, libc::ENOMEM, libc::ENODEV, libc::ENOTSUP];
    assert!(known.contains(&errno), "option {number}: errno {errno}");
    let after = values(socket, looked_at);
    assert_eq!(before, after, "option {number} was refused and has changed something");
}

/// The values of the options that look back at nothing but the socket itself.
fn values(socket: *mut c_void, only: Option<c_int>) -> Vec<(c_int, Vec<u8>)> {
    let mut values = Vec::new();
    for row in TABLE {
        let asked = only.is_none_or(|only| only == row.number);
        if !asked || matches!(row.number, ZMQ_FD | ZMQ_EVENTS) {
            continue;
        }
        for size in [4, 8, 32, 300] {
            if let Some(value) = get(socket, row.number, size) {
                values.push((row.number, value));
                break;
            }
        }
    }
    values
}

fn get(socket: *mut c_void, number: c_int, size: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![CANARY; size + 8];
    let mut length = size;
    // SAFETY: a live socket, a buffer of this size and more.
    let (status, errno) = unsafe {
        (zmq_getsockopt(socket, number, buffer.as_mut_ptr().cast(), &mut length), zmq_errno())
    };
    assert_eq!(buffer[size..], [CANARY; 8], "option {number} goes beyond the buffer");
    if status == 0 {
        assert!(length <= size, "option {number}");
        buffer.truncate(length);
        return Some(buffer);
    }
    assert_eq!(status, -1);
    assert!([libc::EINVAL, libc::ENOTSUP].contains(&errno), "option {number}: errno {errno}");
    assert_eq!(buffer[..size], vec![CANARY; size], "option {number} was refused");
    None
}

/// On a context of their own, without sockets: their threads are not to be started.
fn context_options(input: &mut Input) {
    // SAFETY: live contexts and buffers of the sizes given.
    unsafe {
        let context = zmq_ctx_new();
        while !input.is_empty() {
            let step = input.u8();
            let number = if step & 0x40 == 0 { c_int::from(input.u8() & 31) } else { input.i32() };
            let value = value(input, step);
            if step & 0x80 == 0 {
                let value = input.i32();
                if zmq_ctx_set(context, number, value) == 0 {
                    zmq_ctx_get(context, number);
                } else {
                    assert_eq!(zmq_errno(), libc::EINVAL);
                }
            } else if zmq_ctx_set_ext(context, number, value.as_ptr().cast(), value.len()) != 0 {
                assert_eq!(zmq_errno(), libc::EINVAL);
            }
            let mut buffer = [CANARY; 72];
            let size = usize::from(step & 0x3f);
            let mut length = size;
            let status = zmq_ctx_get_ext(context, number, buffer.as_mut_ptr().cast(), &mut length);
            assert!(buffer[size..].iter().all(|&byte| byte == CANARY), "option {number}");
            assert!(status != 0 || length <= size, "option {number}");
        }
        assert_eq!(zmq_ctx_term(context), 0);
    }
}
