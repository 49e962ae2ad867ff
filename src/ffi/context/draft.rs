// SPDX-License-Identifier: MPL-2.0
//! Context options of any type.

use std::ffi::{c_int, c_void};

use crate::ctx::api as ctx;
use crate::ffi::{bytes, bytes_mut, non_null, out, status};

/// Sets a context option of any type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_set_ext(
    context: *mut c_void,
    option: c_int,
    value: *const c_void,
    value_len: usize,
) -> c_int {
    status(|| {
        let context = non_null(context)?;
        // SAFETY: the module's contract on buffers.
        let value = unsafe { bytes(value, value_len) }?;
        ctx::set_ext(context, option, value)
    })
}

/// Reads a context option of any type.
///
/// As in libzmq, `*value_len` is the size of the buffer and stays as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_get_ext(
    context: *mut c_void,
    option: c_int,
    value: *mut c_void,
    value_len: *mut usize,
) -> c_int {
    status(|| {
        let context = non_null(context)?;
        // SAFETY: the module's contract on out-parameters and buffers.
        let value = unsafe { bytes_mut(value, *out(value_len)?) }?;
        ctx::get_ext(context, option, value).map(drop)
    })
}
