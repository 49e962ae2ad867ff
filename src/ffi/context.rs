// SPDX-License-Identifier: MPL-2.0
//! Contexts: `zmq_ctx_new`(3) and its siblings.

use std::ffi::{c_int, c_void};

use super::{entry, handle, non_null, status};
use crate::abi::ZMQ_IO_THREADS;
use crate::ctx::api as ctx;
use crate::errno::Error;

pub mod draft;

/// Makes a context. Its threads start with its first socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_new() -> *mut c_void {
    handle(ctx::new)
}

/// Ends a context: waits until its sockets are closed and their lingering messages sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_term(context: *mut c_void) -> c_int {
    status(|| ctx::term(non_null(context)?))
}

/// Makes every blocking call on the context's sockets fail with ETERM, and returns at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_shutdown(context: *mut c_void) -> c_int {
    status(|| ctx::shutdown(non_null(context)?))
}

/// Sets a context option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_set(context: *mut c_void, option: c_int, value: c_int) -> c_int {
    status(|| ctx::set(non_null(context)?, option, value))
}

/// Reads a context option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_get(context: *mut c_void, option: c_int) -> c_int {
    entry(-1, || ctx::get(non_null(context)?, option))
}

/// Deprecated: zmq_ctx_new with a number of I/O threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_init(io_threads: c_int) -> *mut c_void {
    handle(|| {
        if io_threads < 0 {
            return Err(Error::INVAL);
        }
        let context = ctx::new()?;
        ctx::set(context, ZMQ_IO_THREADS, io_threads)?;
        Ok(context)
    })
}

/// Deprecated: zmq_ctx_term.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_term(context: *mut c_void) -> c_int {
    // SAFETY: the same contract.
    unsafe { zmq_ctx_term(context) }
}

/// Deprecated: zmq_ctx_term.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_destroy(context: *mut c_void) -> c_int {
    // SAFETY: the same contract.
    unsafe { zmq_ctx_term(context) }
}
