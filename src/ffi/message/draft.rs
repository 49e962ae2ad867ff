// SPDX-License-Identifier: MPL-2.0
//! Routing ids (SERVER, PEER), groups (RADIO), and messages from a buffer.

use std::ffi::{c_char, c_int, c_void};

use super::{init, valid};
use crate::abi::zmq_msg_t;
use crate::errno::Error;
use crate::ffi::{bytes, status, string};
use crate::msg::Msg;

/// Sets the routing id of the peer that a message is for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set_routing_id(msg: *mut zmq_msg_t, routing_id: u32) -> c_int {
    status(|| {
        // SAFETY: the module's contract on messages.
        let msg = unsafe { valid(msg) }?;
        if routing_id == 0 {
            return Err(Error::INVAL);
        }
        msg.set_routing_id(routing_id);
        Ok(())
    })
}

/// Gives the routing id of the peer that a message came from, or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_routing_id(msg: *mut zmq_msg_t) -> u32 {
    // SAFETY: the module's contract on messages.
    unsafe { valid(msg) }.map_or(0, |msg| msg.routing_id())
}

/// Sets the group that a message is for. What is longer than 255 bytes is cut off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set_group(msg: *mut zmq_msg_t, group: *const c_char) -> c_int {
    // SAFETY: the module's contract on messages and strings.
    status(|| unsafe { valid(msg)?.set_group(string(group)?.to_bytes()) })
}

/// Gives the group of a message, or "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_group(msg: *mut zmq_msg_t) -> *const c_char {
    // SAFETY: the module's contract on messages.
    unsafe { valid(msg) }.map_or(c"".as_ptr(), |msg| msg.group_ptr())
}

/// Makes a message with a copy of a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_buffer(
    msg: *mut zmq_msg_t,
    buf: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: the module's contract on messages and buffers.
    status(|| unsafe { init(msg, || Msg::from_slice(bytes(buf, len)?)) })
}
