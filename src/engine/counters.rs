// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! What writing has come to, for tests and benchmarks. No program sees these numbers: they cost a
//! few additions under a lock that is held anyway, and are read inside this crate or through its
//! Rust library.
//!
//! With the cargo feature `write-log` every write is also told on stderr.

use crate::fork::Global;

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// A sending thread: the synchronous path.
    Caller,
    IoThread,
}

/// What one side has done so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Writes that were tried.
    pub total_attempts: u64,
    /// Of these, the kernel took everything.
    pub sync_success: u64,
    /// Of these, it took a part or nothing.
    pub would_block: u64,
    /// Of these, the connection turned out to be broken.
    pub errors: u64,
    /// Bytes the kernel took.
    pub total_bytes_sync: u64,
    /// Turns of the write loop, the last one of each included, which may find nothing to write.
    pub loop_iterations: u64,
    /// Bytes that were copied between the pipe and the kernel.
    pub copied_bytes: u64,
}

impl Counters {
    pub fn add(&mut self, other: &Counters) {
        self.total_attempts += other.total_attempts;
        self.sync_success += other.sync_success;
        self.would_block += other.would_block;
        self.errors += other.errors;
        self.total_bytes_sync += other.total_bytes_sync;
        self.loop_iterations += other.loop_iterations;
        self.copied_bytes += other.copied_bytes;
    }
}

/// Both sides' counters.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Written {
    pub caller: Counters,
    pub io_thread: Counters,
}

impl Written {
    pub fn of(&mut self, side: Side) -> &mut Counters {
        match side {
            Side::Caller => &mut self.caller,
            Side::IoThread => &mut self.io_thread,
        }
    }
}

static TOTALS: Global<Written> = Global::new(Written { caller: ZERO, io_thread: ZERO });

const ZERO: Counters = Counters {
    total_attempts: 0,
    sync_success: 0,
    would_block: 0,
    errors: 0,
    total_bytes_sync: 0,
    loop_iterations: 0,
    copied_bytes: 0,
};

/// What all connections of this process that have ended did together.
pub fn totals() -> Written {
    *TOTALS.lock()
}

/// Adds a connection that has ended to the totals.
pub(super) fn add_to_totals(written: &Written) {
    let mut totals = TOTALS.lock();
    totals.caller.add(&written.caller);
    totals.io_thread.add(&written.io_thread);
}

/// Tells of one write.
#[inline]
pub(super) fn log(side: Side, turn: usize, asked: usize, outcome: &dyn std::fmt::Debug) {
    if cfg!(feature = "write-log") {
        eprintln!("speculative_write by {side:?}, turn {turn}: {asked} bytes, {outcome:?}");
    }
}
