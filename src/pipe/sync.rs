// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Atomics and shared pointers, from the standard library or, with the feature `loom`, from the
//! model checker. Everything that hands work between threads is built on these names.

#[cfg(not(feature = "loom"))]
pub use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(feature = "loom")]
pub use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(feature = "loom"))]
pub use parking_lot::Mutex;

/// loom's mutex behind parking_lot's interface.
#[cfg(feature = "loom")]
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(feature = "loom")]
impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

/// Runs `model` through every interleaving with at most `preemptions` preemptions, or as many as
/// LOOM_MAX_PREEMPTIONS says if those are fewer.
#[cfg(all(test, feature = "loom"))]
pub fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let bound = builder.preemption_bound.unwrap_or(preemptions);
    builder.preemption_bound = Some(bound.min(preemptions));
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Keeps what two threads write on separate cache lines.
#[repr(align(64))]
#[derive(Debug, Default)]
pub struct CacheLine<T>(pub T);

impl<T> std::ops::Deref for CacheLine<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
