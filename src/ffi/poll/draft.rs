// SPDX-License-Identifier: MPL-2.0
//! `zmq_ppoll`(3) and the poller object, `zmq_poller`(3).

use std::ffi::{c_int, c_long, c_short, c_void};
use std::ptr;

use super::poll_items;
use crate::abi::{zmq_fd_t, zmq_poller_event_t, zmq_pollitem_t};
use crate::errno::{Error, Result};
use crate::ffi::{entry, handle, non_null, out, size, status};
use crate::tools::poll;
use crate::tools::poller::{self as api, Key};

/// Is zmq_poll with a signal mask for the time of the wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ppoll(
    items: *mut zmq_pollitem_t,
    nitems: c_int,
    timeout: c_long,
    sigmask: *const libc::sigset_t,
) -> c_int {
    entry(-1, || {
        // SAFETY: the module's contract on buffers; the mask is NULL or valid.
        let (items, sigmask) = unsafe { (poll_items(items, nitems)?, sigmask.as_ref()) };
        poll::poll(items, timeout, sigmask)
    })
}

/// Makes a poller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_new() -> *mut c_void {
    handle(api::new)
}

/// Frees a poller and sets the pointer to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_destroy(poller: *mut *mut c_void) -> c_int {
    status(|| {
        // SAFETY: the module's contract on out-parameters.
        let poller = unsafe { out(poller) }?;
        api::destroy(non_null(*poller)?)?;
        *poller = ptr::null_mut();
        Ok(())
    })
}

/// Counts what was added to a poller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_size(poller: *mut c_void) -> c_int {
    size(|| api::size(non_null(poller)?))
}

/// Adds a socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_add(
    poller: *mut c_void,
    s: *mut c_void,
    user_data: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| api::add(non_null(poller)?, Key::Socket(s), user_data, events))
}

/// Changes the events wanted of a socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_modify(
    poller: *mut c_void,
    s: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| api::modify(non_null(poller)?, Key::Socket(s), events))
}

/// Removes a socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_remove(poller: *mut c_void, s: *mut c_void) -> c_int {
    status(|| api::remove(non_null(poller)?, Key::Socket(s)))
}

/// Waits for one event, at most `timeout` milliseconds, without limit if it is -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_wait(
    poller: *mut c_void,
    event: *mut zmq_poller_event_t,
    timeout: c_long,
) -> c_int {
    // SAFETY: the module's contract on buffers.
    status(|| unsafe { wait(poller, event, 1, timeout) }.map(drop))
}

/// Waits for events, as zmq_poller_wait, and returns how many there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_wait_all(
    poller: *mut c_void,
    events: *mut zmq_poller_event_t,
    n_events: c_int,
    timeout: c_long,
) -> c_int {
    // SAFETY: the module's contract on buffers.
    size(|| unsafe { wait(poller, events, n_events, timeout) })
}

/// Waits for up to `n_events` events; those that do not happen are cleared.
///
/// # Safety
/// `events` is NULL or has `n_events` elements, which nothing else uses during the call.
unsafe fn wait(
    poller: *mut c_void,
    events: *mut zmq_poller_event_t,
    n_events: c_int,
    timeout: c_long,
) -> Result<usize> {
    const NO_EVENT: zmq_poller_event_t = zmq_poller_event_t {
        socket: ptr::null_mut(),
        fd: -1,
        user_data: ptr::null_mut(),
        events: 0,
    };
    let poller = non_null(poller)?;
    if events.is_null() {
        return Err(Error::FAULT);
    }
    let n_events = usize::try_from(n_events).map_err(|_| Error::INVAL)?;
    // SAFETY: not NULL, and the caller's contract.
    let events = unsafe { std::slice::from_raw_parts_mut(events, n_events) };
    events.fill(NO_EVENT);
    api::wait(poller, events, timeout)
}

/// Gives a file descriptor that is readable when there are events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_fd(poller: *mut c_void, fd: *mut zmq_fd_t) -> c_int {
    status(|| {
        let poller = non_null(poller)?;
        // SAFETY: the module's contract on out-parameters.
        let fd = unsafe { out(fd) }?;
        *fd = api::fd(poller)?;
        Ok(())
    })
}

/// Adds a file descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_add_fd(
    poller: *mut c_void,
    fd: zmq_fd_t,
    user_data: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| api::add(non_null(poller)?, Key::Descriptor(fd), user_data, events))
}

/// Changes the events wanted of a file descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_modify_fd(
    poller: *mut c_void,
    fd: zmq_fd_t,
    events: c_short,
) -> c_int {
    status(|| api::modify(non_null(poller)?, Key::Descriptor(fd), events))
}

/// Removes a file descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_remove_fd(poller: *mut c_void, fd: zmq_fd_t) -> c_int {
    status(|| api::remove(non_null(poller)?, Key::Descriptor(fd)))
}
