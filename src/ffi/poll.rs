// SPDX-License-Identifier: MPL-2.0
//! Waiting for several sockets and file descriptors: `zmq_poll`(3).

use std::ffi::{c_int, c_long};

use super::entry;
use crate::abi::zmq_pollitem_t;
use crate::errno::{Error, Result};
use crate::tools::poll as api;

pub mod draft;

/// Waits for events, at most `timeout` milliseconds, without limit if it is -1. Returns how many
/// items have some.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poll(
    items: *mut zmq_pollitem_t,
    nitems: c_int,
    timeout: c_long,
) -> c_int {
    // SAFETY: the module's contract on buffers.
    entry(-1, || api::poll(unsafe { poll_items(items, nitems) }?, timeout, None))
}

/// The items of a poll.
///
/// # Safety
/// `items` is NULL or has `nitems` elements, which nothing else uses during `'a`.
unsafe fn poll_items<'a>(
    items: *mut zmq_pollitem_t,
    nitems: c_int,
) -> Result<&'a mut [zmq_pollitem_t]> {
    match usize::try_from(nitems) {
        Err(_) => Err(Error::INVAL),
        Ok(0) => Ok(&mut []),
        Ok(_) if items.is_null() => Err(Error::FAULT),
        // SAFETY: not NULL, and the caller's contract.
        Ok(count) => Ok(unsafe { std::slice::from_raw_parts_mut(items, count) }),
    }
}
