// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! What a blocked thread sleeps on: one descriptor a thread, made when it first has to wait.

use crate::errno::{Error, Result};
use crate::transport::EventFd;
use std::cell::RefCell;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes one thread. A descriptor is used because a wait has to end with EINTR when a signal
/// handler has run, which poll(2) reports whatever the handler's flags.
pub struct Parker {
    event: EventFd,
    signalled: AtomicBool,
}

thread_local! {
    static PARKER: RefCell<Option<(u32, Arc<Parker>)>> = const { RefCell::new(None) };
}

impl Parker {
    /// The calling thread's parker. EMFILE: no descriptor left.
    pub fn current() -> Result<Arc<Parker>> {
        let generation = crate::transport::fork_generation();
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
        match current {
            Ok(parker) => parker,
            Err(_) => Ok(Arc::new(Parker::new()?)),
        }
    }

    /// A parker whose descriptor somebody else waits on. EMFILE: no descriptor left.
    pub fn new() -> Result<Parker> {
        Ok(Parker { event: EventFd::new()?, signalled: AtomicBool::new(false) })
    }

    pub fn fd(&self) -> RawFd {
        self.event.fd()
    }

    pub fn unpark(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            let _ = self.event.signal();
        }
    }

    /// Makes the descriptor quiet until the next wake-up, while wake-ups may still come.
    pub fn clear(&self) {
        self.signalled.store(false, Ordering::SeqCst);
        let _ = self.event.drain();
    }

    /// Forgets wake-ups that were meant for the wait that is over. Nobody may wake any more.
    pub fn reset(&self) {
        if self.signalled.swap(false, Ordering::AcqRel) {
            let _ = self.event.drain();
        }
    }
}
