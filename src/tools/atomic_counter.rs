// SPDX-License-Identifier: MPL-2.0
//! A counter that any number of threads may use. Man page: zmq_atomic_counter_new(3).

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

/// Starts at zero and wraps around.
#[derive(Debug, Default)]
pub struct AtomicCounter(AtomicI32);

impl AtomicCounter {
    pub const fn new() -> AtomicCounter {
        AtomicCounter(AtomicI32::new(0))
    }

    pub fn set(&self, value: i32) {
        self.0.store(value, Ordering::Release);
    }

    pub fn value(&self) -> i32 {
        self.0.load(Ordering::Acquire)
    }

    /// Adds one and returns the value before.
    pub fn increment(&self) -> i32 {
        self.0.fetch_add(1, Ordering::AcqRel)
    }

    /// Subtracts one and returns whether anything but zero is left.
    pub fn decrement(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) != 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let counter = AtomicCounter::new();
        assert_eq!((counter.increment(), counter.increment(), counter.value()), (0, 1, 2));
        assert!(counter.decrement());
        assert!(!counter.decrement());
        assert!(counter.decrement());
        assert_eq!(counter.value(), -1);
        counter.set(i32::MAX);
        assert_eq!((counter.increment(), counter.value()), (i32::MAX, i32::MIN));
    }

    #[test]
    fn counts_across_threads() {
        let counter = AtomicCounter::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.increment();
                    }
                });
            }
        });
        assert_eq!(counter.value(), 4000);
    }
}
