// SPDX-License-Identifier: MPL-2.0
//! Groups, peers by routing id, and the newer monitor calls.

use std::ffi::{c_char, c_int, c_void};

use crate::ffi::{bytes, endpoint, entry, optional_string, socket, status, string};
use crate::socket::api;

/// Makes a DISH socket receive a group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_join(s: *mut c_void, group: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::join(socket(s)?, unsafe { string(group) }?))
}

/// Takes back a zmq_join.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_leave(s: *mut c_void, group: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    status(|| api::leave(socket(s)?, unsafe { string(group) }?))
}

/// Connects a PEER socket. Returns the routing id of the new peer, or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_connect_peer(s: *mut c_void, addr: *const c_char) -> u32 {
    // SAFETY: the module's contract on strings.
    entry(0, || api::connect_peer(socket(s)?, unsafe { endpoint(addr) }?))
}

/// Disconnects the peer of a SERVER or PEER socket that has this routing id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_disconnect_peer(s: *mut c_void, routing_id: u32) -> c_int {
    status(|| api::disconnect_peer(socket(s)?, routing_id))
}

/// Tells whether a ROUTER socket can send to a peer: 0 or ZMQ_POLLOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_get_peer_state(
    s: *mut c_void,
    routing_id: *const c_void,
    routing_id_len: usize,
) -> c_int {
    entry(-1, || {
        let s = socket(s)?;
        // SAFETY: the module's contract on buffers.
        let routing_id = unsafe { bytes(routing_id, routing_id_len) }?;
        api::peer_state(s, routing_id)
    })
}

/// Is zmq_socket_monitor with a choice of the event format and of the monitor's socket type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor_versioned(
    s: *mut c_void,
    addr: *const c_char,
    events: u64,
    event_version: c_int,
    socket_type: c_int,
) -> c_int {
    // SAFETY: the module's contract on strings.
    let addr = || unsafe { optional_string(addr) };
    status(|| api::monitor(socket(s)?, addr(), events, event_version, socket_type))
}

/// Asks for a ZMQ_EVENT_PIPES_STATS event of every connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor_pipes_stats(s: *mut c_void) -> c_int {
    status(|| api::monitor_pipes_stats(socket(s)?))
}
