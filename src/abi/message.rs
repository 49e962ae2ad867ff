// SPDX-License-Identifier: MPL-2.0
//! The message as C sees it, its properties and the send and receive flags.
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};

use super::assert_layout;

/// A message: 64 opaque bytes, aligned for a pointer, owned by the application.
///
/// Hand-written in the header, where the alignment depends on the compiler.
///
/// cbindgen:ignore
#[repr(C, align(8))]
pub struct zmq_msg_t {
    pub _opaque: [u8; 64],
}

assert_layout!(zmq_msg_t, size 64, align 8);

/// Frees a buffer that was handed over with `zmq_msg_init_data`; any thread may call it.
///
/// Hand-written in the header, as a function type.
///
/// cbindgen:ignore
pub type zmq_free_fn = unsafe extern "C" fn(data: *mut c_void, hint: *mut c_void);

// Message properties
pub const ZMQ_MORE: c_int = 1;
pub const ZMQ_SHARED: c_int = 3;

// Deprecated message property
pub const ZMQ_SRCFD: c_int = 2;

// Send and receive flags
pub const ZMQ_DONTWAIT: c_int = 1;
pub const ZMQ_SNDMORE: c_int = 2;

// Deprecated alias
pub const ZMQ_NOBLOCK: c_int = ZMQ_DONTWAIT;
