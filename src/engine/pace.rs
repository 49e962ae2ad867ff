// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How closely a thread's direct writes, or a socket's messages, follow each other.
//!
//! One write per message is the quickest way for a message that travels alone and the slowest for
//! a stream. A stream shows in direct writes that begin as soon as the one before has ended. That
//! is judged over all connections and sockets a thread writes to: a fan-out to many peers is a
//! stream, too, although each of them gets a message now and then only.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writes that follow the end of the last one this closely are a stream...
const STREAM_GAP: Duration = Duration::from_micros(2);
/// ...or this closely, if the same thread has left many connections to the I/O thread, so that
/// what it writes is only what it finds between them.
const CROWD_GAP: Duration = Duration::from_micros(100);
/// ...once there were so many in a row.
const STREAM_STREAK: u32 = 2;

/// What has been written so far, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    last_end: Option<Instant>,
    streak: u32,
}

impl Pace {
    pub const NEW: Pace = Pace { last_end: None, streak: 0 };

    /// Whether what begins now is part of a stream.
    pub fn is_stream(&mut self, now: Instant) -> bool {
        self.follows(now, STREAM_GAP)
    }

    fn follows(&mut self, now: Instant, gap: Duration) -> bool {
        let close = self.last_end.is_some_and(|end| now.duration_since(end) < gap);
        self.streak = if close { self.streak.saturating_add(1) } else { 0 };
        let stream = self.streak >= STREAM_STREAK;
        if stream {
            self.last_end = Some(now);
        }
        stream
    }

    /// What was not part of a stream has ended.
    pub fn ended(&mut self, now: Instant) {
        self.last_end = Some(now);
    }
}

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace::NEW) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The calling thread's number, never 0.
pub(super) fn thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if THREAD.get() == 0 {
        THREAD.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    }
    THREAD.get()
}

/// Whether a direct write that the calling thread would begin now is part of a stream, and better
/// left to the I/O thread together with what follows. `crowd` is the thread that has left many
/// connections to it already, or 0.
#[inline]
pub(super) fn is_stream(crowd: u64) -> bool {
    let mut pace = PACE.get();
    let gap = if crowd != 0 && crowd == thread() { CROWD_GAP } else { STREAM_GAP };
    let stream = pace.follows(Instant::now(), gap);
    PACE.set(pace);
    stream
}

/// The calling thread has made a direct write, or left it to the I/O thread, which may take as long
/// as a few messages.
#[inline]
pub(super) fn ended() {
    let mut pace = PACE.get();
    pace.ended(Instant::now());
    PACE.set(pace);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_in_a_row_are_a_stream_and_paced_ones_are_not() {
        let mut pace = Pace::NEW;
        let mut now = Instant::now();
        let mut write = |gap: Duration| {
            now += gap;
            let stream = pace.is_stream(now);
            if !stream {
                now += Duration::from_micros(1);
                pace.ended(now);
            }
            stream
        };
        for _ in 0..10 {
            assert!(!write(Duration::from_micros(3)));
        }
        let close = Duration::from_nanos(300);
        assert_eq!(
            [write(close), write(close), write(close), write(close)],
            [false, true, true, true]
        );
        assert!(!write(Duration::from_micros(10)));
    }
}
