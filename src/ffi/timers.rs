// SPDX-License-Identifier: MPL-2.0
//! Timers: `zmq_timers`(3).
//!
//! Handlers run without a lock and may call any of these functions, on their own timers too. So a
//! handle is looked up among the live ones and never followed: a stale one is EFAULT.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::{entry, handle, out, status};
use crate::abi::zmq_timer_fn;
use crate::errno::{Error, Result};
use crate::fork::Global;
use crate::tools::timers::Timers;

/// Makes a set of timers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_new() -> *mut c_void {
    handle(|| {
        let timers = Mutex::new(Timers::new());
        let object = Arc::new(Object { timers, start: Instant::now() });
        let handle = Arc::as_ptr(&object).cast_mut();
        LIVE.lock().insert(handle.addr(), object);
        Ok(handle.cast())
    })
}

/// Frees a set of timers and sets the pointer to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_destroy(timers: *mut *mut c_void) -> c_int {
    status(|| {
        // SAFETY: the module's contract on out-parameters.
        let timers = unsafe { out(timers) }?;
        LIVE.lock().remove(&timers.addr()).ok_or(Error::FAULT)?;
        *timers = ptr::null_mut();
        Ok(())
    })
}

/// Adds a timer that is due every `interval` milliseconds. Returns its id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_add(
    timers: *mut c_void,
    interval: usize,
    handler: Option<zmq_timer_fn>,
    arg: *mut c_void,
) -> c_int {
    entry(-1, || {
        let handler = Handler(handler.ok_or(Error::FAULT)?, arg);
        with(timers, |timers, now| timers.add(now, interval as u64, handler))?
    })
}

/// Removes a timer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_cancel(timers: *mut c_void, timer_id: c_int) -> c_int {
    status(|| with(timers, |timers, _| timers.cancel(timer_id))?)
}

/// Changes the interval of a timer, from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_set_interval(
    timers: *mut c_void,
    timer_id: c_int,
    interval: usize,
) -> c_int {
    status(|| with(timers, |timers, now| timers.set_interval(timer_id, now, interval as u64))?)
}

/// Starts the interval of a timer again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_reset(timers: *mut c_void, timer_id: c_int) -> c_int {
    status(|| with(timers, |timers, now| timers.reset(timer_id, now))?)
}

/// Gives the milliseconds until the next timer is due, or -1 if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_timeout(timers: *mut c_void) -> c_long {
    entry(-1, || {
        let timeout = with(timers, |timers, now| timers.timeout(now))?;
        Ok(timeout.map_or(-1, |timeout| c_long::try_from(timeout).unwrap_or(c_long::MAX)))
    })
}

/// Calls the handlers of the timers that are due.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_execute(timers: *mut c_void) -> c_int {
    status(|| {
        let (due, now) = with(timers, |timers, now| (timers.due(now), now))?;
        for timer_id in due {
            // Stops without an error when a handler has destroyed the timers.
            let Ok(handler) = with(timers, |timers, _| timers.begin(timer_id, now)) else { break };
            if let Some(Handler(function, arg)) = handler {
                // SAFETY: the application wants just this call.
                unsafe { function(timer_id, arg) }
            }
        }
        Ok(())
    })
}

/// What a handle stands for.
struct Object {
    timers: Mutex<Timers<Handler>>,
    /// The zero of the times in `timers`.
    start: Instant,
}

/// A handler and its argument.
#[derive(Clone, Copy)]
struct Handler(zmq_timer_fn, *mut c_void);

// SAFETY: the application decides what its pointer means and which thread may follow it.
unsafe impl Send for Handler {}

/// All objects that are not destroyed, by their handle.
static LIVE: Global<BTreeMap<usize, Arc<Object>>> = Global::new(BTreeMap::new());

/// The object of a handle.
fn object(handle: *mut c_void) -> Result<Arc<Object>> {
    LIVE.lock().get(&handle.addr()).cloned().ok_or(Error::FAULT)
}

/// Calls `f` with the timers of a handle and the time in milliseconds.
fn with<T>(handle: *mut c_void, f: impl FnOnce(&mut Timers<Handler>, u64) -> T) -> Result<T> {
    let object = object(handle)?;
    let mut timers = object.timers.lock();
    let now = object.now();
    Ok(f(&mut timers, now))
}

impl Object {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a handler works on: the handle, its own id and what it does with them.
    struct Case {
        timers: *mut c_void,
        calls: usize,
        act: fn(&mut Case, c_int),
    }

    unsafe extern "C" fn handler(timer_id: c_int, arg: *mut c_void) {
        // SAFETY: `arg` is the test's case, which nobody uses while the timers run.
        let case = unsafe { &mut *arg.cast::<Case>() };
        case.calls += 1;
        (case.act)(case, timer_id);
    }

    /// Runs two timers of interval 0 whose handlers do `act`, and counts the calls.
    fn calls(act: fn(&mut Case, c_int)) -> usize {
        // SAFETY: the handles are live or stale ones of this module.
        unsafe {
            let mut case = Case { timers: zmq_timers_new(), calls: 0, act };
            let arg: *mut c_void = ptr::from_mut(&mut case).cast();
            for id in 1..=2 {
                assert_eq!(zmq_timers_add(case.timers, 0, Some(handler), arg), id);
            }
            let mut timers = case.timers;
            assert_eq!(zmq_timers_execute(timers), 0);
            zmq_timers_destroy(&mut timers);
            case.calls
        }
    }

    fn cancel_the_second(case: &mut Case, _: c_int) {
        // SAFETY: a live handle.
        assert_eq!(unsafe { zmq_timers_cancel(case.timers, 2) }, 0);
    }

    fn add_another(case: &mut Case, _: c_int) {
        // SAFETY: a live handle.
        let id = unsafe { zmq_timers_add(case.timers, 0, Some(handler), ptr::null_mut()) };
        assert!(id > 2);
    }

    fn destroy(case: &mut Case, _: c_int) {
        let mut timers = case.timers;
        // SAFETY: a live handle.
        assert_eq!(unsafe { zmq_timers_destroy(&mut timers) }, 0);
        assert!(timers.is_null());
    }

    #[test]
    fn handlers_may_change_their_timers() {
        assert_eq!(calls(|_, _| ()), 2);
        assert_eq!(calls(cancel_the_second), 1);
        assert_eq!(calls(add_another), 2);
        assert_eq!(calls(destroy), 1);
    }

    #[test]
    fn wrong_arguments() {
        // SAFETY: the handles are live or stale ones of this module.
        unsafe {
            let timers = zmq_timers_new();
            assert_eq!(zmq_timers_timeout(timers), -1);
            let error = |status: c_int| {
                assert_eq!(status, -1);
                Error::last_os_error()
            };
            assert_eq!(error(zmq_timers_add(timers, 1, None, ptr::null_mut())), Error::FAULT);
            assert_eq!(error(zmq_timers_cancel(timers, 1)), Error::INVAL);
            assert_eq!(error(zmq_timers_destroy(ptr::null_mut())), Error::FAULT);
            let mut handle = timers;
            assert_eq!(zmq_timers_destroy(&mut handle), 0);
            assert_eq!(error(zmq_timers_destroy(&mut handle)), Error::FAULT);
            assert_eq!(error(zmq_timers_execute(timers)), Error::FAULT);
        }
    }
}
