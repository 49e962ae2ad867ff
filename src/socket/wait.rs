// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Waiting: look, spin for a short while, then sleep.
//!
//! A caller that waits for a message claims the socket's connections and reads them itself. It
//! first yields the processor a few times, because in lively traffic the next message is only
//! microseconds away, and then sleeps in poll(2) on its own descriptor and the connections'. It
//! keeps the claim when it was served while spinning, and gives it back when it had to sleep: then
//! traffic is sparse, and the I/O thread should look after the connections.

use super::{Guard, Open, Parker, Socket};
use crate::errno::{Error, Result};
use crate::transport::{poll_fds, sched_yield};
use std::time::{Duration, Instant};

/// How long a caller yields before it sleeps...
const SPIN: Duration = Duration::from_micros(20);
/// ...or up to so long, if it was as busy before: the batches of a stream come at such distances, and
/// whoever sleeps in between costs the sender a wake-up each time...
const LONGEST_SPIN: Duration = Duration::from_micros(60);
/// ...unless it has done something else meanwhile.
const LONGEST_BATCH: Duration = Duration::from_millis(1);
/// After so many fruitless spins in a row the next waits do without.
const MISSES: u32 = 8;
/// For so many waits.
const PAUSE: u32 = 16;
/// A yield that took this long went to somebody who wants the processor for himself: then yielding
/// costs a time slice, and sleeping, from which one wakes with priority, is better.
const CROWDED: Duration = Duration::from_micros(60);
/// A yield that took no longer gave the processor to nobody. After so many in a row nobody wants it...
const ALONE: Duration = Duration::from_nanos(1500);
const YIELDS_ALONE: u32 = 8;
/// ...and for so many turns there is no need to ask the system again...
const TURNS_ALONE: u32 = 3;
/// ...which take as long without a yield.
const TURN: Duration = Duration::from_nanos(600);
/// The longest pause after finding the processor crowded, in waits.
const LONGEST_PAUSE: u32 = 1024;

/// What a caller waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    Input,
    Output,
}

/// Whether spinning pays.
#[derive(Default)]
pub struct SpinGauge {
    misses: u32,
    /// Waits to come that do without a spin.
    pause: u32,
    next_pause: u32,
    /// When the last wait was over.
    ended: Option<Instant>,
    /// Yields that gave the processor to nobody, in a row, and turns since the last one of them.
    yields_alone: u32,
    turns_alone: u32,
}

impl SpinGauge {
    pub fn worth_trying(&mut self) -> bool {
        if self.pause == 0 {
            return true;
        }
        self.pause -= 1;
        false
    }

    /// Until when to spin, from now on.
    pub fn until(&self, now: Instant) -> Instant {
        let busy = self.ended.map(|ended| now.saturating_duration_since(ended));
        let batch = busy.filter(|busy| *busy < LONGEST_BATCH).unwrap_or_default();
        now + batch.clamp(SPIN, LONGEST_SPIN)
    }

    /// What was waited for has come.
    pub fn ended(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// The same, while spinning.
    pub fn hit(&mut self, now: Instant) {
        self.ended(now);
        self.misses = 0;
        self.next_pause = self.next_pause.saturating_sub(1);
    }

    /// Nothing came while spinning.
    pub fn miss(&mut self) {
        self.misses += 1;
        if self.misses >= MISSES {
            self.misses = MISSES;
            self.pause = PAUSE;
        }
    }

    /// Yields the processor once, or just passes the time if it has found itself alone. False: others
    /// want the processor, so spinning should end.
    pub fn yield_now(&mut self, since: &mut Instant) -> bool {
        if self.yields_alone >= YIELDS_ALONE && self.turns_alone < TURNS_ALONE {
            self.turns_alone += 1;
            let until = Instant::now() + TURN;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            *since = Instant::now();
            return true;
        }
        let before = Instant::now();
        sched_yield();
        let now = Instant::now();
        self.turns_alone = 0;
        let alone = now.duration_since(before) < ALONE;
        self.yields_alone = if alone { self.yields_alone.saturating_add(1) } else { 0 };
        let crowded = now.duration_since(std::mem::replace(since, now)) > CROWDED;
        if crowded {
            self.next_pause = (self.next_pause * 2).clamp(PAUSE, LONGEST_PAUSE);
            self.pause = self.next_pause;
        }
        !crowded
    }
}

/// A wait in progress: the socket's lock, and until when.
pub struct Waiting {
    socket: &'static Socket,
    /// The number of the open socket: its memory may serve another one after a wait.
    id: u64,
    deadline: Option<Instant>,
    slept: bool,
}

impl Waiting {
    /// `timeout` in milliseconds, negative for none.
    pub fn new(socket: &'static Socket, id: u64, timeout: i32) -> Waiting {
        let deadline = u64::try_from(timeout)
            .ok()
            .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
        Waiting { socket, id, deadline, slept: false }
    }

    /// Waits until `attempt` answers anything but EAGAIN, or the time is over (EAGAIN).
    ///
    /// ENOTSOCK: the socket was closed meanwhile. ETERM: the context is terminating. EINTR: a
    /// signal handler has run.
    pub fn run(
        mut self,
        core: &mut Guard,
        interest: Interest,
        mut attempt: impl FnMut(&mut Open) -> Result<()>,
    ) -> Result<()> {
        loop {
            let open = self.open(core)?;
            if interest == Interest::Input && open.claim() {
                open.read_claimed();
            }
            match self.attempt(core, &mut attempt) {
                Err(Error::AGAIN) => {}
                result => return result,
            }
            let open = self.open(core)?;
            if open.spin.worth_trying() && !self.is_over() {
                match self.spin(core, &mut attempt) {
                    Err(Error::AGAIN) => {}
                    result => return result,
                }
            }
            if self.is_over() {
                return self.finish(core, Err(Error::AGAIN));
            }
            match self.sleep(core, &mut attempt) {
                Err(Error::AGAIN) => {}
                Err(error) => return self.finish(core, Err(error)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The socket this wait began on. ENOTSOCK: it was closed.
    #[inline]
    fn open<'a>(&self, core: &'a mut Guard) -> Result<&'a mut Open> {
        core.as_mut().filter(|open| open.id() == self.id).ok_or(Error::NOTSOCK)
    }

    /// One attempt, after looking at mail and termination.
    fn attempt(
        &self,
        core: &mut Guard,
        attempt: &mut impl FnMut(&mut Open) -> Result<()>,
    ) -> Result<()> {
        let open = self.open(core)?;
        self.socket.check()?;
        open.process_mail();
        match attempt(open) {
            Err(Error::AGAIN) => Err(Error::AGAIN),
            result => self.finish(core, result),
        }
    }

    fn spin(
        &self,
        core: &mut Guard,
        attempt: &mut impl FnMut(&mut Open) -> Result<()>,
    ) -> Result<()> {
        let mut now = Instant::now();
        let until = self.open(core)?.spin.until(now);
        loop {
            let mut gauge = Some(std::mem::take(&mut self.open(core)?.spin));
            let mut alone = true;
            Guard::unlocked(core, || {
                if let Some(gauge) = &mut gauge {
                    alone = gauge.yield_now(&mut now);
                }
            });
            let open = self.open(core)?;
            open.spin = gauge.unwrap_or_default();
            if open.read_claimed() || self.socket.has_mail() || self.socket.is_stopped() {
                match self.attempt(core, attempt) {
                    Err(Error::AGAIN) => {}
                    result => {
                        if let Ok(open) = self.open(core)
                            && alone
                        {
                            open.spin.hit(now);
                        }
                        return result;
                    }
                }
            }
            if now >= until || !alone {
                if let Ok(open) = self.open(core) {
                    open.spin.miss();
                }
                return Err(Error::AGAIN);
            }
        }
    }

    /// Sleeps until something may have happened (EAGAIN), unless a last attempt succeeds: another
    /// thread may have dealt with the mail that this one was waiting for.
    fn sleep(
        &mut self,
        core: &mut Guard,
        attempt: &mut impl FnMut(&mut Open) -> Result<()>,
    ) -> Result<()> {
        let parker = Parker::current()?;
        self.socket.add_waiter(&parker);
        let result = match self.attempt(core, attempt) {
            Err(Error::AGAIN) => self.sleep_registered(core, &parker).and(Err(Error::AGAIN)),
            result => result,
        };
        self.socket.remove_waiter(&parker);
        parker.reset();
        self.slept = true;
        result
    }

    fn sleep_registered(&self, core: &mut Guard, parker: &Parker) -> Result<()> {
        let open = self.open(core)?;
        if self.socket.has_mail() || self.socket.is_stopped() {
            return Ok(());
        }
        let mut sleeper = None;
        let mut fds = [
            libc::pollfd { fd: parker.fd(), events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 },
        ];
        if open.is_claimed()
            && let Some(set) = open.connections()
        {
            if set.has_ready() {
                return Ok(());
            }
            fds[1].fd = set.fd();
            sleeper = Some(set.sleeper());
        }
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let rest = parker.rest(left);
        let result = Guard::unlocked(core, || poll_fds(&mut fds, rest));
        drop(sleeper);
        result.map(|_| ())
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    fn finish(&self, core: &mut Guard, result: Result<()>) -> Result<()> {
        if let Ok(open) = self.open(core) {
            if self.slept {
                open.spin.ended(Instant::now());
            }
            open.settle_claim(!self.slept && result.is_ok());
        }
        result
    }
}
