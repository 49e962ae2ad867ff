// SPDX-License-Identifier: MPL-2.0
//! Errors, version and capabilities.

use std::ffi::{CStr, c_char, c_int};

use super::{optional_string, out};
use crate::abi::{ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH};
use crate::errno::Error;
use crate::options::GSSAPI_BUILT;

/// Gives the calling thread's errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_errno() -> c_int {
    Error::last_os_error().raw()
}

/// Gives the text of an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_strerror(errnum: c_int) -> *const c_char {
    match Error::from_raw(errnum).own_text() {
        Some(text) => text.as_ptr(),
        // SAFETY: strerror takes any number.
        None => unsafe { libc::strerror(errnum) },
    }
}

/// Gives the version of the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int) {
    let version =
        [(major, ZMQ_VERSION_MAJOR), (minor, ZMQ_VERSION_MINOR), (patch, ZMQ_VERSION_PATCH)];
    for (place, number) in version {
        // SAFETY: the module's contract on out-parameters.
        if let Ok(place) = unsafe { out(place) } {
            *place = number;
        }
    }
}

/// Whether a capability is built in, by the name that zmq_has knows it by.
const CAPABILITIES: &[(&CStr, bool)] = &[
    (c"ipc", true),
    (c"pgm", false),
    (c"tipc", true),
    (c"norm", false),
    (c"curve", true),
    (c"gssapi", GSSAPI_BUILT),
    (c"vmci", false),
    (c"vsock", true),
    (c"draft", true),
    (c"tls", true),
    (c"WS", true),
    (c"WSS", true),
];

/// Tells whether the library has a capability: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_has(capability: *const c_char) -> c_int {
    // SAFETY: the module's contract on strings.
    let Some(name) = (unsafe { optional_string(capability) }) else { return 0 };
    CAPABILITIES.contains(&(name, true)).into()
}
