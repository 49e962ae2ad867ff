// SPDX-License-Identifier: MPL-2.0
//! Types of `zmq_device`.
#![forbid(unsafe_code)]

use std::ffi::c_int;

// Deprecated device types
pub const ZMQ_STREAMER: c_int = 1;
pub const ZMQ_FORWARDER: c_int = 2;
pub const ZMQ_QUEUE: c_int = 3;
