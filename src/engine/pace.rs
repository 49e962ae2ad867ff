// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How closely a socket's direct writes follow each other.
//!
//! One write per message is the quickest way for a message that travels alone and the slowest for
//! a stream. A stream shows in direct writes that begin as soon as the one before has ended. That
//! is judged over all connections of a socket: a fan-out to many peers is a stream, too, although
//! each of them gets a message now and then only.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Direct writes that follow the end of the last one this closely are a stream...
const STREAM_GAP: Duration = Duration::from_micros(2);
/// ...once there were so many in a row.
const STREAM_STREAK: u32 = 2;

/// The pace of a socket.
#[derive(Default)]
pub struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    last_end: Option<Instant>,
    streak: u32,
}

impl Pace {
    /// Whether a write that would begin `now` is part of a stream, and better left to the I/O
    /// thread together with what follows.
    #[inline]
    pub fn is_stream(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        let close = state.last_end.is_some_and(|end| now.duration_since(end) < STREAM_GAP);
        state.streak = if close { state.streak.saturating_add(1) } else { 0 };
        let stream = state.streak >= STREAM_STREAK;
        if stream {
            state.last_end = Some(now);
        }
        stream
    }

    /// A direct write has ended.
    #[inline]
    pub fn written(&self, now: Instant) {
        self.0.lock().last_end = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_in_a_row_are_a_stream_and_paced_ones_are_not() {
        let pace = Pace::default();
        let mut now = Instant::now();
        let mut write = |gap: Duration| {
            now += gap;
            let stream = pace.is_stream(now);
            if !stream {
                now += Duration::from_micros(1);
                pace.written(now);
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
