// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! What a blocked thread sleeps on: one descriptor a thread, made when it first has to wait.

use crate::errno::{Error, Result};
use crate::transport::{DEAF_SLEEP, EventFd};
use std::cell::RefCell;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Wakes one thread. A descriptor is used because a wait has to end with EINTR when a signal
/// handler has run, which poll(2) reports whatever the handler's flags.
pub struct Parker {
    /// `None`: the process is out of descriptors. Its thread wakes by itself now and then.
    event: Option<EventFd>,
    signalled: AtomicBool,
}

thread_local! {
    static PARKER: RefCell<Option<(u32, Arc<Parker>)>> = const { RefCell::new(None) };
}

impl Parker {
    /// The calling thread's parker. Without a descriptor left it is one for this wait only, that
    /// wakes nobody; see [`rest`](Parker::rest).
    pub fn current() -> Result<Arc<Parker>> {
        let generation = crate::fork::generation();
        let current = PARKER.try_with(|slot| {
            let mut slot = slot.try_borrow_mut().map_err(|_| Error::FAULT)?;
            match &*slot {
                Some((made, parker)) if *made == generation => Ok(parker.clone()),
                _ => {
                    let parker = Arc::new(Parker::new()?);
                    *slot = Some((generation, parker.clone()));
                    Ok(parker)
                }
            }
        });
        // A thread that is ending has no thread-local memory any more.
        match current.unwrap_or_else(|_| Parker::new().map(Arc::new)) {
            Err(Error::MFILE | Error::NFILE) => Ok(Arc::new(Parker::with(None))),
            result => result,
        }
    }

    /// A parker whose descriptor somebody else waits on. EMFILE: no descriptor left.
    pub fn new() -> Result<Parker> {
        Ok(Parker::with(Some(EventFd::new()?)))
    }

    fn with(event: Option<EventFd>) -> Parker {
        Parker { event, signalled: AtomicBool::new(false) }
    }

    /// The descriptor to poll; -1, which poll(2) passes over, if there is none.
    pub fn fd(&self) -> RawFd {
        self.event.as_ref().map_or(-1, EventFd::fd)
    }

    /// How long to sleep at once, of the time that is left.
    pub fn rest(&self, left: Option<Duration>) -> Option<Duration> {
        if self.event.is_some() {
            return left;
        }
        Some(left.map_or(DEAF_SLEEP, |left| left.min(DEAF_SLEEP)))
    }

    pub fn unpark(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            let _ = self.event.as_ref().map(EventFd::signal);
        }
    }

    /// Makes the descriptor quiet until the next wake-up, while wake-ups may still come.
    pub fn clear(&self) {
        self.signalled.store(false, Ordering::SeqCst);
        self.drain();
    }

    /// Forgets wake-ups that were meant for the wait that is over. Nobody may wake any more.
    pub fn reset(&self) {
        if self.signalled.swap(false, Ordering::AcqRel) {
            self.drain();
        }
    }

    fn drain(&self) {
        let _ = self.event.as_ref().map(EventFd::drain);
    }
}
