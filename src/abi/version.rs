// SPDX-License-Identifier: MPL-2.0
//! The version, and the feature marker that has a value.
#![forbid(unsafe_code)]

use std::ffi::c_int;

pub const ZMQ_VERSION_MAJOR: c_int = 4;
pub const ZMQ_VERSION_MINOR: c_int = 3;
pub const ZMQ_VERSION_PATCH: c_int = 6;

/// The number of a version, as the function-like macro `ZMQ_MAKE_VERSION` computes it.
pub const fn make_version(major: c_int, minor: c_int, patch: c_int) -> c_int {
    major * 10_000 + minor * 100 + patch
}

/// Hand-written in the header, where it calls `ZMQ_MAKE_VERSION`.
///
/// cbindgen:ignore
pub const ZMQ_VERSION: c_int =
    make_version(ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH);

// zmq_has is there
pub const ZMQ_HAS_CAPABILITIES: c_int = 1;
