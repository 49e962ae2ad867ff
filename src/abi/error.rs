// SPDX-License-Identifier: MPL-2.0
//! ZeroMQ's own error numbers. The others are the operating system's.
#![forbid(unsafe_code)]

use std::ffi::c_int;

// A number unlikely to collide with an errno of the operating system
pub const ZMQ_HAUSNUMERO: c_int = 156_384_712;

// ZeroMQ's own errors
pub const EFSM: c_int = ZMQ_HAUSNUMERO + 51;
pub const ENOCOMPATPROTO: c_int = ZMQ_HAUSNUMERO + 52;
pub const ETERM: c_int = ZMQ_HAUSNUMERO + 53;
pub const EMTHREAD: c_int = ZMQ_HAUSNUMERO + 54;
