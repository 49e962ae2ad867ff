// SPDX-License-Identifier: MPL-2.0
//! Atomic counters, stopwatch and threads.
//!
//! Their handles are plain pointers: NULL is noticed, a freed one is not.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr;
use std::time::Duration;

use super::{handle, out};
use crate::abi::zmq_thread_fn;
use crate::errno::Error;
use crate::tools::atomic_counter::AtomicCounter;
use crate::tools::stopwatch::Stopwatch;
use crate::transport::Thread;

/// Makes an atomic counter with the value 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_new() -> *mut c_void {
    Box::into_raw(Box::new(AtomicCounter::new())).cast()
}

/// Sets a counter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_set(counter: *mut c_void, value: c_int) {
    // SAFETY: the module's contract on counters.
    if let Some(counter) = unsafe { as_counter(counter) } {
        counter.set(value);
    }
}

/// Adds 1 and returns the value before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_inc(counter: *mut c_void) -> c_int {
    // SAFETY: the module's contract on counters.
    unsafe { as_counter(counter) }.map_or(0, AtomicCounter::increment)
}

/// Subtracts 1 and returns 1, or 0 if the counter has become 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_dec(counter: *mut c_void) -> c_int {
    // SAFETY: the module's contract on counters.
    unsafe { as_counter(counter) }.is_some_and(AtomicCounter::decrement).into()
}

/// Reads a counter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_value(counter: *mut c_void) -> c_int {
    // SAFETY: the module's contract on counters.
    unsafe { as_counter(counter) }.map_or(0, AtomicCounter::value)
}

/// Frees a counter and sets the pointer to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_destroy(counter: *mut *mut c_void) {
    // SAFETY: the module's contract on counters; this one came from `zmq_atomic_counter_new`.
    unsafe {
        let Ok(counter) = out(counter) else { return };
        if !counter.is_null() {
            drop(Box::<AtomicCounter>::from_raw(counter.cast()));
            *counter = ptr::null_mut();
        }
    }
}

/// The counter behind a handle.
///
/// # Safety
/// `counter` is NULL or a live counter.
unsafe fn as_counter<'a>(counter: *mut c_void) -> Option<&'a AtomicCounter> {
    // SAFETY: the caller's contract.
    unsafe { counter.cast::<AtomicCounter>().as_ref() }
}

/// Starts a stopwatch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_stopwatch_start() -> *mut c_void {
    Box::into_raw(Box::new(Stopwatch::start())).cast()
}

/// Gives the microseconds since a stopwatch was started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_stopwatch_intermediate(watch: *mut c_void) -> c_ulong {
    // SAFETY: the module's contract on stopwatches.
    let watch = unsafe { watch.cast::<Stopwatch>().as_ref() };
    watch.map_or(0, |watch| watch.elapsed() as c_ulong)
}

/// Gives the microseconds since a stopwatch was started, and frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_stopwatch_stop(watch: *mut c_void) -> c_ulong {
    // SAFETY: the module's contract on stopwatches; this one came from `zmq_stopwatch_start`.
    unsafe {
        let elapsed = zmq_stopwatch_intermediate(watch);
        if !watch.is_null() {
            drop(Box::<Stopwatch>::from_raw(watch.cast()));
        }
        elapsed
    }
}

/// Sleeps for some seconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_sleep(seconds: c_int) {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Starts a thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_threadstart(
    func: Option<zmq_thread_fn>,
    arg: *mut c_void,
) -> *mut c_void {
    handle(|| {
        let func = func.ok_or(Error::FAULT)?;
        // SAFETY: the caller of zmq_threadstart wants just this call.
        let thread = unsafe { Thread::start_foreign(c"ZMQapp", func, arg) }?;
        Ok(Box::into_raw(Box::new(thread)).cast())
    })
}

/// Waits until a thread has ended, and frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_threadclose(thread: *mut c_void) {
    if thread.is_null() {
        return;
    }
    // SAFETY: the module's contract on threads; this one came from `zmq_threadstart`.
    let thread: Box<Thread> = unsafe { Box::from_raw(thread.cast()) };
    // A thread that frees itself ends on its own.
    let _ = thread.join();
}
