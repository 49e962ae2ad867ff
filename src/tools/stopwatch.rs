// SPDX-License-Identifier: MPL-2.0
//! Elapsed time in microseconds, by a monotonic clock (`zmq_stopwatch_start`).

#![forbid(unsafe_code)]

use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Microseconds since the start.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_microseconds() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(5));
        let first = watch.elapsed();
        assert!((5_000..5_000_000).contains(&first), "{first}");
        assert!(watch.elapsed() >= first);
    }
}
