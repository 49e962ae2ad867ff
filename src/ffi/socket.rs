// SPDX-License-Identifier: MPL-2.0
//! Sockets: `zmq_socket`(3), `zmq_send`(3), `zmq_recv`(3) and their siblings.

use std::ffi::{c_char, c_int, c_void};

use super::{
    bytes, bytes_mut, endpoint, handle, non_null, optional_string, out, size, socket, status,
};
use crate::abi::{ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR, ZMQ_SNDMORE, zmq_msg_t};
use crate::errno::Error;
use crate::msg::Msg;
use crate::socket::api;

pub mod draft;

/// Makes a socket of one of the types ZMQ_PAIR and so on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket(context: *mut c_void, socket_type: c_int) -> *mut c_void {
    handle(|| api::open(non_null(context)?, socket_type))
}

/// Closes a socket. Never blocks; what is still to be sent lingers as ZMQ_LINGER says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_close(s: *mut c_void) -> c_int {
    status(|| api::close(socket(s)?))
}

/// Sets a socket option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_setsockopt(
    s: *mut c_void,
    option: c_int,
    value: *const c_void,
    value_len: usize,
) -> c_int {
    status(|| {
        let s = socket(s)?;
        // Several options take NULL for "none", which is not the same as an empty value.
        let value = match (value.is_null(), value_len) {
            (true, 0) => None,
            (true, _) => return Err(Error::INVAL),
            // SAFETY: the module's contract on buffers.
            (false, _) => Some(unsafe { bytes(value, value_len) }?),
        };
        api::set_option(s, option, value)
    })
}

/// Reads a socket option.
///
/// `*value_len` is the size of the buffer, and then of the value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_getsockopt(
    s: *mut c_void,
    option: c_int,
    value: *mut c_void,
    value_len: *mut usize,
) -> c_int {
    status(|| {
        let s = socket(s)?;
        // SAFETY: the module's contract on out-parameters and buffers.
        let (value_len, value) = unsafe {
            let value_len = out(value_len)?;
            let value = bytes_mut(value, *value_len)?;
            (value_len, value)
        };
        *value_len = api::option(s, option, value)?;
        Ok(())
    })
}

/// Accepts connections at an endpoint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_bind(s: *mut c_void, addr: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::bind(socket(s)?, unsafe { endpoint(addr) }?))
}

/// Connects to an endpoint, in the background.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_connect(s: *mut c_void, addr: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::connect(socket(s)?, unsafe { endpoint(addr) }?))
}

/// Takes back a zmq_bind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_unbind(s: *mut c_void, addr: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::unbind(socket(s)?, unsafe { endpoint(addr) }?))
}

/// Takes back a zmq_connect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_disconnect(s: *mut c_void, addr: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::disconnect(socket(s)?, unsafe { endpoint(addr) }?))
}

/// Sends a copy of a buffer as one message part. Returns its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_send(
    s: *mut c_void,
    buf: *const c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: the module's contract on buffers.
    size(|| api::send_bytes(socket(s)?, unsafe { bytes(buf, len) }?, flags))
}

/// Sends a buffer that stays valid for ever, without a copy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_send_const(
    s: *mut c_void,
    buf: *const c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    size(|| {
        let s = socket(s)?;
        // SAFETY: the module's contract on buffers; this one stays valid for ever.
        let mut msg = unsafe {
            bytes(buf, len)?;
            Msg::constant(buf.cast(), len)
        };
        api::send_msg(s, &mut msg, flags)
    })
}

/// Receives one message part into a buffer and cuts off what does not fit. Returns its full size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recv(
    s: *mut c_void,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    size(|| {
        let s = socket(s)?;
        // SAFETY: the module's contract on buffers.
        api::recv_bytes(s, unsafe { bytes_mut(buf, len) }?, flags)
    })
}

/// Reports a socket's connection events to a PAIR socket at an inproc endpoint; NULL stops it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor(
    s: *mut c_void,
    addr: *const c_char,
    events: c_int,
) -> c_int {
    status(|| {
        let s = socket(s)?;
        // SAFETY: the module's contract on strings.
        let addr = unsafe { optional_string(addr) };
        // A negative number becomes one with bits that version 1 does not have.
        api::monitor(s, addr, events as u64, ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR)
    })
}

/// Deprecated: zmq_msg_send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_sendmsg(s: *mut c_void, msg: *mut zmq_msg_t, flags: c_int) -> c_int {
    // SAFETY: the same contract.
    unsafe { super::message::zmq_msg_send(msg, s, flags) }
}

/// Deprecated: zmq_msg_recv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recvmsg(s: *mut c_void, msg: *mut zmq_msg_t, flags: c_int) -> c_int {
    // SAFETY: the same contract.
    unsafe { super::message::zmq_msg_recv(msg, s, flags) }
}

/// Deprecated: sends each element as a part; with ZMQ_SNDMORE they are one message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_sendiov(
    s: *mut c_void,
    iov: *mut libc::iovec,
    count: usize,
    flags: c_int,
) -> c_int {
    size(|| {
        let s = socket(s)?;
        if iov.is_null() || count == 0 {
            return Err(Error::INVAL);
        }
        let mut sent = 0;
        for i in 0..count {
            let flags = if i + 1 == count { flags & !ZMQ_SNDMORE } else { flags };
            // SAFETY: `iov` has `count` elements, each of them a valid buffer.
            let part = unsafe {
                let element = &*iov.add(i);
                bytes(element.iov_base, element.iov_len)
            }?;
            sent = api::send_bytes(s, part, flags)?;
        }
        Ok(sent)
    })
}

/// Deprecated: receives the parts of a message into buffers from malloc, at most `*count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recviov(
    s: *mut c_void,
    iov: *mut libc::iovec,
    count: *mut usize,
    flags: c_int,
) -> c_int {
    size(|| {
        let s = socket(s)?;
        // SAFETY: the module's contract on out-parameters.
        let count = unsafe { out(count) }.map_err(|_| Error::INVAL)?;
        if iov.is_null() || *count == 0 {
            return Err(Error::INVAL);
        }
        let room = std::mem::take(count);
        // The parts read so far stay counted and stay the caller's if a later one fails.
        while *count < room {
            let mut msg = Msg::new();
            api::recv_msg(s, &mut msg, flags)?;
            let data = msg.data();
            // SAFETY: `iov` has `room` elements; malloc's memory is as large as what is copied.
            unsafe {
                let copy = libc::malloc(data.len().max(1));
                if copy.is_null() {
                    return Err(Error::NOMEM);
                }
                data.as_ptr().copy_to_nonoverlapping(copy.cast(), data.len());
                iov.add(*count).write(libc::iovec { iov_base: copy, iov_len: data.len() });
            }
            *count += 1;
            if !msg.more() {
                break;
            }
        }
        Ok(*count)
    })
}
