// SPDX-License-Identifier: MPL-2.0
//! The callbacks of timers and threads.
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};

/// Called by `zmq_timers_execute` when a timer is due. Hand-written in the header.
///
/// cbindgen:ignore
pub type zmq_timer_fn = unsafe extern "C" fn(timer_id: c_int, arg: *mut c_void);

/// The body of a thread started with `zmq_threadstart`. Hand-written in the header.
///
/// cbindgen:ignore
pub type zmq_thread_fn = unsafe extern "C" fn(arg: *mut c_void);
