// SPDX-License-Identifier: MPL-2.0
//! Timers of an application: handlers that are due at intervals. Man page: zmq_timers(3).
//!
//! Times are milliseconds of any monotonic clock, given by the caller. Handlers are the caller's,
//! too: this module only keeps them, so none runs while a `Timers` is borrowed, and a handler may
//! change the object it belongs to. One pass of `zmq_timers_execute` is
//!
//! ```
//! # use zmq::tools::timers::Timers;
//! # let (mut timers, now) = (Timers::<fn(i32)>::new(), 0);
//! for id in timers.due(now) {
//!     if let Some(handler) = timers.begin(id, now) {
//!         handler(id);
//!     }
//! }
//! ```
//!
//! which runs every timer at most once, also those of interval 0.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::errno::{Error, Result};

/// Timers with handlers of type `H`.
#[derive(Debug)]
pub struct Timers<H> {
    timers: BTreeMap<i32, Timer<H>>,
    /// The ids in the order they are due.
    order: BTreeSet<(Due, i32)>,
    last_id: i32,
    /// How many times a timer has been set.
    settings: u64,
}

#[derive(Debug)]
struct Timer<H> {
    interval: u64,
    due: Due,
    handler: H,
}

/// When a timer is due; those of the same time are in the order they were set.
type Due = (u64, u64);

impl<H: Copy> Timers<H> {
    pub fn new() -> Timers<H> {
        Timers { timers: BTreeMap::new(), order: BTreeSet::new(), last_id: 0, settings: 0 }
    }

    /// Adds a timer that is first due `interval` from now, and returns its id: 1 or greater, never
    /// used again. Fails with ENOMEM when there are no ids left.
    pub fn add(&mut self, now: u64, interval: u64, handler: H) -> Result<i32> {
        let id = self.last_id.checked_add(1).ok_or(Error::NOMEM)?;
        self.last_id = id;
        let due = self.next_due(now, interval);
        self.timers.insert(id, Timer { interval, due, handler });
        self.order.insert((due, id));
        Ok(id)
    }

    /// Removes a timer. Fails with EINVAL when there is none of this id.
    pub fn cancel(&mut self, id: i32) -> Result<()> {
        let timer = self.timers.remove(&id).ok_or(Error::INVAL)?;
        self.order.remove(&(timer.due, id));
        Ok(())
    }

    /// Changes a timer's interval, which starts now. Fails with EINVAL when there is none of this
    /// id.
    pub fn set_interval(&mut self, id: i32, now: u64, interval: u64) -> Result<()> {
        self.timers.get_mut(&id).ok_or(Error::INVAL)?.interval = interval;
        self.reset(id, now)
    }

    /// Starts a timer's interval now. Fails with EINVAL when there is none of this id.
    pub fn reset(&mut self, id: i32, now: u64) -> Result<()> {
        let interval = self.timers.get(&id).ok_or(Error::INVAL)?.interval;
        let due = self.next_due(now, interval);
        if let Some(timer) = self.timers.get_mut(&id) {
            self.order.remove(&(timer.due, id));
            timer.due = due;
            self.order.insert((due, id));
        }
        Ok(())
    }

    /// The ids of the timers that are due, in the order to run them.
    pub fn due(&self, now: u64) -> Vec<i32> {
        let due = self.order.iter().take_while(|((time, _), _)| *time <= now);
        due.map(|(_, id)| *id).collect()
    }

    /// The handler to run for a timer [`Timers::due`] has named; the timer's next interval starts
    /// at `now`. `None` when a handler that ran before has cancelled or reset it.
    pub fn begin(&mut self, id: i32, now: u64) -> Option<H> {
        let Timer { due: (time, _), handler, .. } = *self.timers.get(&id)?;
        if time > now {
            return None;
        }
        self.reset(id, now).ok()?;
        Some(handler)
    }

    /// Milliseconds until the next timer is due, 0 if one is; `None` without timers.
    pub fn timeout(&self, now: u64) -> Option<u64> {
        self.order.first().map(|((time, _), _)| time.saturating_sub(now))
    }

    fn next_due(&mut self, now: u64, interval: u64) -> Due {
        self.settings += 1;
        (now.saturating_add(interval), self.settings)
    }
}

impl<H: Copy> Default for Timers<H> {
    fn default() -> Timers<H> {
        Timers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a handler gets to see: the timers, and the id of its own.
    #[derive(Clone, Copy)]
    struct Handler(fn(&mut Timers<Handler>, i32));

    fn nothing(_: &mut Timers<Handler>, _: i32) {}

    /// Runs a pass and returns the ids that ran.
    fn execute(timers: &mut Timers<Handler>, now: u64) -> Vec<i32> {
        let mut ran = Vec::new();
        for id in timers.due(now) {
            if let Some(Handler(handler)) = timers.begin(id, now) {
                handler(timers, id);
                ran.push(id);
            }
        }
        ran
    }

    fn with(intervals: &[u64]) -> Timers<Handler> {
        let mut timers = Timers::new();
        for (expected, &interval) in (1..).zip(intervals) {
            assert_eq!(timers.add(0, interval, Handler(nothing)), Ok(expected));
        }
        timers
    }

    #[test]
    fn runs_what_is_due_in_order() {
        let mut timers = with(&[100, 50, 100, 70]);
        assert_eq!(execute(&mut timers, 49), []);
        assert_eq!(timers.timeout(49), Some(1));
        assert_eq!(execute(&mut timers, 50), [2]);
        assert_eq!(timers.timeout(50), Some(20));
        assert_eq!(timers.timeout(1000), Some(0));
        // Missed periods are skipped: each runs once and starts anew.
        assert_eq!(execute(&mut timers, 1000), [4, 1, 3, 2]);
        assert_eq!(timers.timeout(1000), Some(50));
        assert_eq!(execute(&mut timers, 1000), []);
    }

    #[test]
    fn cancel_reset_and_set_interval() {
        let mut timers = with(&[100, 100, 100]);
        timers.reset(1, 60).unwrap();
        timers.set_interval(2, 60, 10).unwrap();
        timers.cancel(3).unwrap();
        assert_eq!(timers.cancel(3), Err(Error::INVAL));
        assert_eq!(execute(&mut timers, 100), [2]);
        assert_eq!(execute(&mut timers, 160), [2, 1]);
        for id in [0, -1, 3, 4] {
            assert_eq!(timers.cancel(id), Err(Error::INVAL));
            assert_eq!(timers.reset(id, 0), Err(Error::INVAL));
            assert_eq!(timers.set_interval(id, 0, 1), Err(Error::INVAL));
        }
        timers.cancel(1).unwrap();
        timers.cancel(2).unwrap();
        assert_eq!(timers.timeout(0), None);
        assert_eq!(timers.add(0, 1, Handler(nothing)), Ok(4));
    }

    #[test]
    fn interval_zero_runs_once_a_pass() {
        let mut timers = with(&[0, 0]);
        assert_eq!(execute(&mut timers, 5), [1, 2]);
        assert_eq!(execute(&mut timers, 5), [1, 2]);
        assert_eq!(timers.timeout(5), Some(0));
    }

    #[test]
    fn the_longest_interval() {
        let mut timers = with(&[u64::MAX]);
        timers.reset(1, 1000).unwrap();
        assert_eq!(timers.timeout(1000), Some(u64::MAX - 1000));
        assert_eq!(execute(&mut timers, 1 << 60), []);
    }

    #[test]
    fn handlers_may_change_the_timers() {
        type Case = (&'static str, fn(&mut Timers<Handler>, i32), &'static [i32], &'static [i32]);
        let cases: &[Case] = &[
            ("cancel itself", |timers, id| timers.cancel(id).unwrap(), &[1, 2], &[2]),
            ("cancel another", |timers, _| timers.cancel(2).unwrap_or_default(), &[1], &[1]),
            ("reset another", |timers, _| timers.reset(2, 10).unwrap(), &[1], &[1, 2]),
            (
                "add",
                |timers, _| assert!(timers.add(10, 0, Handler(nothing)).is_ok()),
                &[1, 2],
                &[3, 1, 2],
            ),
            ("clear", |timers, _| *timers = Timers::new(), &[1], &[]),
        ];
        for &(name, handler, first, second) in cases {
            let mut timers = Timers::new();
            timers.add(0, 10, Handler(handler)).unwrap();
            timers.add(0, 10, Handler(nothing)).unwrap();
            assert_eq!(execute(&mut timers, 10), first, "{name}");
            assert_eq!(timers.due(20), second, "{name}");
        }
    }
}
