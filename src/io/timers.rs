// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The timers of an I/O thread, ordered by due time.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names a timer, for cancelling it.
pub type TimerId = (Instant, u64);

/// A queue of `T` by due time.
pub struct Timers<T> {
    queue: BTreeMap<TimerId, T>,
    next: u64,
}

impl<T> Timers<T> {
    pub fn new() -> Timers<T> {
        Timers { queue: BTreeMap::new(), next: 0 }
    }

    pub fn add(&mut self, at: Instant, what: T) -> TimerId {
        self.next += 1;
        self.queue.insert((at, self.next), what);
        (at, self.next)
    }

    pub fn cancel(&mut self, timer: Option<TimerId>) {
        if let Some(timer) = timer {
            self.queue.remove(&timer);
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes a timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<(TimerId, T)> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        Some(entry.remove_entry())
    }
}
