// SPDX-License-Identifier: MPL-2.0
//! Forwarding between two sockets: `zmq_proxy`(3).

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{non_null, status};
use crate::tools::proxy;

/// Forwards messages between two sockets until an error, and a copy to `capture` unless NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_proxy(
    frontend: *mut c_void,
    backend: *mut c_void,
    capture: *mut c_void,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { zmq_proxy_steerable(frontend, backend, capture, ptr::null_mut()) }
}

/// Is zmq_proxy with a socket that it takes commands from: PAUSE, RESUME, TERMINATE, STATISTICS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_proxy_steerable(
    frontend: *mut c_void,
    backend: *mut c_void,
    capture: *mut c_void,
    control: *mut c_void,
) -> c_int {
    status(|| proxy::run(non_null(frontend)?, non_null(backend)?, capture, control))
}

/// Deprecated: zmq_proxy; the type means nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_device(
    device_type: c_int,
    frontend: *mut c_void,
    backend: *mut c_void,
) -> c_int {
    let _ = device_type;
    // SAFETY: the same contract.
    unsafe { zmq_proxy(frontend, backend, ptr::null_mut()) }
}
