// SPDX-License-Identifier: MPL-2.0
//! The exported `zmq_*` functions: check pointers, call the layer below, convert the result, set
//! errno. No logic lives here, and no other layer imports this one.
//!
//! # The contract on pointers
//! Stated once for every function, as C cannot state it in a type:
//! - A handle (context, socket, poller, timers) is NULL or came from the function that makes it.
//!   The layers below check it and answer a stale one with ENOTSOCK or EFAULT.
//! - A counter, stopwatch or thread handle is NULL or live: nothing marks a freed one.
//! - A message pointer is NULL or points to a `zmq_msg_t` that nobody else uses during the call.
//! - A buffer pointer is valid for the length passed with it, and may be NULL where that is 0.
//! - A string is NULL or ends with a NUL byte. Out-parameters are NULL or writable.
//!
//! NULL where a value is needed is an error and not a crash: ENOTSOCK for a socket, EINVAL for an
//! endpoint, EFAULT for the rest.
//!
//! Bodies are written as ordinary functions, not by a macro: rustfmt and the header generator
//! (`tests/header.rs`) see every signature. Draft functions live in `draft` modules; `zmq.h` shows
//! these under `ZMQ_BUILD_DRAFT_API`.
#![allow(clippy::missing_safety_doc)]

pub mod context;
pub mod general;
pub mod message;
pub mod poll;
pub mod proxy;
pub mod security;
pub mod socket;
pub mod timers;
pub mod utility;

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use crate::errno::{Error, Result, set_errno};

/// Runs the body of an entry and converts its result: the value, or `failure` with errno set.
///
/// A panic stops here, as it must not unwind into C. The panic hook has reported it on stderr by
/// then; the caller gets EFAULT.
#[inline(always)]
fn entry<T>(failure: T, body: impl FnOnce() -> Result<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            set_errno(error);
            failure
        }
        Err(payload) => {
            panicked(payload);
            failure
        }
    }
}

/// Ends a panic. Its payload is leaked: dropping it could panic again.
#[cold]
fn panicked(payload: Box<dyn Any + Send>) {
    std::mem::forget(payload);
    set_errno(Error::FAULT);
}

/// An entry that returns 0, or -1.
#[inline(always)]
fn status(body: impl FnOnce() -> Result<()>) -> c_int {
    entry(-1, || body().map(|()| 0))
}

/// An entry that returns a size, cut to what an int holds, or -1.
#[inline(always)]
fn size(body: impl FnOnce() -> Result<usize>) -> c_int {
    entry(-1, || body().map(|size| c_int::try_from(size).unwrap_or(c_int::MAX)))
}

/// An entry that returns a handle, or NULL.
#[inline(always)]
fn handle(body: impl FnOnce() -> Result<*mut c_void>) -> *mut c_void {
    entry(ptr::null_mut(), body)
}

/// A socket handle that is not NULL.
#[inline(always)]
fn socket(socket: *mut c_void) -> Result<*mut c_void> {
    if socket.is_null() { Err(Error::NOTSOCK) } else { Ok(socket) }
}

/// A handle of another kind that is not NULL.
#[inline(always)]
fn non_null(handle: *mut c_void) -> Result<*mut c_void> {
    if handle.is_null() { Err(Error::FAULT) } else { Ok(handle) }
}

/// An endpoint argument; NULL is an endpoint that does not parse.
///
/// # Safety
/// `endpoint` is NULL or a string that outlives `'a`.
unsafe fn endpoint<'a>(endpoint: *const c_char) -> Result<&'a CStr> {
    // SAFETY: the caller's contract.
    unsafe { optional_string(endpoint) }.ok_or(Error::INVAL)
}

/// A string argument that must not be NULL.
///
/// # Safety
/// `string` is NULL or a string that outlives `'a`.
unsafe fn string<'a>(string: *const c_char) -> Result<&'a CStr> {
    // SAFETY: the caller's contract.
    unsafe { optional_string(string) }.ok_or(Error::FAULT)
}

/// A string argument that may be NULL.
///
/// # Safety
/// `string` is NULL or a string that outlives `'a`.
unsafe fn optional_string<'a>(string: *const c_char) -> Option<&'a CStr> {
    // SAFETY: not NULL, so it ends with a NUL byte and lives long enough.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) })
}

/// An input buffer, empty if its length is 0, whatever the pointer.
///
/// # Safety
/// `data` is NULL or valid for `len` bytes during `'a`.
#[inline(always)]
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Result<&'a [u8]> {
    match (len, data.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(Error::FAULT),
        (1..=MAX_LEN, false) => {
            // SAFETY: not NULL, valid for `len`, and `len` is no larger than a slice may be.
            Ok(unsafe { slice::from_raw_parts(data.cast(), len) })
        }
        _ => Err(Error::NOMEM),
    }
}

/// An output buffer, empty if its length is 0, whatever the pointer.
///
/// # Safety
/// `data` is NULL or valid for `len` bytes during `'a`, and nothing else uses them.
#[inline(always)]
unsafe fn bytes_mut<'a>(data: *mut c_void, len: usize) -> Result<&'a mut [u8]> {
    match (len, data.is_null()) {
        (0, _) => Ok(&mut []),
        (_, true) => Err(Error::FAULT),
        (1..=MAX_LEN, false) => {
            // SAFETY: not NULL, valid for `len`, and `len` is no larger than a slice may be. C has
            // no uninitialised bytes: what the caller left there are some bytes.
            Ok(unsafe { slice::from_raw_parts_mut(data.cast(), len) })
        }
        _ => Err(Error::NOMEM),
    }
}

/// The most bytes a slice may have.
const MAX_LEN: usize = isize::MAX as usize;

/// An in- or out-parameter that must not be NULL.
///
/// # Safety
/// `pointer` is NULL or valid during `'a`, and nothing else uses what it points to.
#[inline(always)]
unsafe fn out<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    // SAFETY: the caller's contract.
    unsafe { pointer.as_mut() }.ok_or(Error::FAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        assert_eq!(status(|| Ok(())), 0);
        assert_eq!(size(|| Ok(usize::MAX)), c_int::MAX);
        assert_eq!(size(|| Err(Error::AGAIN)), -1);
        assert_eq!(Error::last_os_error(), Error::AGAIN);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        assert!(handle(|| panic!("a test of what the caller sees")).is_null());
        assert_eq!(Error::last_os_error(), Error::FAULT);
    }

    #[test]
    fn buffers() {
        let mut byte = 0u8;
        let place: *mut c_void = ptr::from_mut(&mut byte).cast();
        // SAFETY: none of these but the last has a valid buffer, and none is read.
        unsafe {
            assert_eq!(bytes(ptr::null(), 0), Ok(&[][..]));
            assert_eq!(bytes(ptr::null(), 1), Err(Error::FAULT));
            assert_eq!(bytes(place, usize::MAX), Err(Error::NOMEM));
            assert_eq!(bytes_mut(place, usize::MAX), Err(Error::NOMEM));
            assert_eq!(bytes_mut(place, 1), Ok(&mut [0][..]));
        }
    }
}
