// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Who writes to a connection: one state, no I/O.
//!
//! Invariants:
//! - At most one side owns the output at a time: the caller in `App` or `Borrowed`, the I/O thread
//!   in `IoWriting`. Only the owner touches the connection's output state.
//! - In `Io` the I/O thread has *promised* to look at the pipe again, so a caller that finds it may
//!   leave its message in the pipe and go. `Borrowed` keeps that promise alive.
//! - Whoever leaves the output `Idle` looks at the pipe once more afterwards, and whoever appends
//!   to the pipe looks at the state afterwards. Both are separated by a sequentially consistent
//!   fence, so one of the two sees the other and no message is stranded.

use crate::pipe::sync::{AtomicU8, Ordering, fence};

/// The state of a connection's output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TxState {
    /// Nobody writes; a caller may take it.
    Idle = 0,
    /// A caller is writing.
    App = 1,
    /// The I/O thread has promised to write.
    Io = 2,
    /// The I/O thread is writing.
    IoWriting = 3,
    /// The I/O thread has promised to write, and a caller is writing a full batch meanwhile.
    Borrowed = 4,
}

pub struct TxOwnership(AtomicU8);

impl TxOwnership {
    /// Starts in the I/O thread's hands: there is no connection yet.
    pub fn new() -> TxOwnership {
        TxOwnership(AtomicU8::new(TxState::Io as u8))
    }

    /// The state after everything appended before this call became visible.
    #[inline]
    pub fn after_append(&self) -> TxState {
        fence(Ordering::SeqCst);
        self.state()
    }

    /// A caller takes an idle output.
    #[inline]
    pub fn try_app(&self) -> bool {
        self.change(TxState::Idle, TxState::App)
    }

    /// A caller writes a full batch itself although the I/O thread has promised to.
    #[inline]
    pub fn try_borrow(&self) -> bool {
        self.change(TxState::Io, TxState::Borrowed)
    }

    /// A caller hands an idle output to the I/O thread without writing. It must tell it.
    pub fn try_promise(&self) -> bool {
        self.change(TxState::Idle, TxState::Io)
    }

    /// A caller that has written everything lets go. It must look at the pipe again.
    #[inline]
    pub fn app_done(&self) {
        let next = if self.state() == TxState::Borrowed { TxState::Io } else { TxState::Idle };
        self.leave(next);
    }

    /// A caller leaves the rest to the I/O thread, which it must tell unless it had borrowed.
    pub fn app_to_io(&self) {
        self.leave(TxState::Io);
    }

    /// The I/O thread starts to write. False: a caller is writing; the promise stays.
    pub fn try_io(&self) -> bool {
        self.change(TxState::Io, TxState::IoWriting)
            || self.change(TxState::Idle, TxState::IoWriting)
    }

    /// The I/O thread stops writing but will look again.
    pub fn io_keep(&self) {
        self.leave(TxState::Io);
    }

    /// The I/O thread takes its promise back. It must look at the pipe again.
    pub fn io_done(&self) {
        self.leave(TxState::Idle);
    }

    pub fn state(&self) -> TxState {
        match self.0.load(Ordering::Relaxed) {
            0 => TxState::Idle,
            1 => TxState::App,
            3 => TxState::IoWriting,
            4 => TxState::Borrowed,
            _ => TxState::Io,
        }
    }

    #[inline]
    fn change(&self, from: TxState, to: TxState) -> bool {
        self.0.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn leave(&self, to: TxState) {
        self.0.store(to as u8, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

impl Default for TxOwnership {
    fn default() -> TxOwnership {
        TxOwnership::new()
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::pipe::sync::{Arc, AtomicBool, AtomicU64};

    /// A pipe as a count of messages, a wire as a count of messages written.
    struct Model {
        ownership: TxOwnership,
        pipe: AtomicU64,
        wire: AtomicU64,
        writing: AtomicBool,
        told: AtomicBool,
    }

    impl Model {
        fn write(&self, cap: u64) -> bool {
            assert!(!self.writing.swap(true, Ordering::Relaxed), "two writers");
            let wire = self.wire.load(Ordering::Relaxed);
            let next = self.pipe.load(Ordering::Acquire).min(wire + cap);
            self.wire.store(next, Ordering::Relaxed);
            self.writing.store(false, Ordering::Relaxed);
            next == self.pipe.load(Ordering::Acquire)
        }
    }

    /// One caller sends three messages, each directly, borrowed or left to the I/O thread; the
    /// I/O thread serves promises. Nobody writes at the same time, nothing is stranded.
    #[test]
    fn nothing_is_stranded() {
        loom::model(|| {
            let model = Arc::new(Model {
                ownership: TxOwnership(AtomicU8::new(TxState::Idle as u8)),
                pipe: AtomicU64::new(0),
                wire: AtomicU64::new(0),
                writing: AtomicBool::new(false),
                told: AtomicBool::new(false),
            });
            let io = {
                let model = model.clone();
                loom::thread::spawn(move || {
                    while !model.told.load(Ordering::Acquire) {
                        loom::thread::yield_now();
                    }
                    loop {
                        if !model.ownership.try_io() {
                            loom::thread::yield_now();
                            continue;
                        }
                        while !model.write(1) {}
                        model.ownership.io_done();
                        let wire = model.pipe.load(Ordering::Acquire);
                        if wire == 3 {
                            break;
                        }
                        loom::thread::yield_now();
                    }
                })
            };
            for number in 1..=3u64 {
                model.pipe.store(number, Ordering::Release);
                match model.ownership.after_append() {
                    TxState::Idle if number == 2 => {
                        if model.ownership.try_promise() {
                            model.told.store(true, Ordering::Release);
                        }
                    }
                    TxState::Idle => {
                        if model.ownership.try_app() {
                            model.write(10);
                            model.ownership.app_done();
                        }
                    }
                    TxState::Io => {
                        if model.ownership.try_borrow() {
                            model.write(10);
                            model.ownership.app_done();
                        }
                    }
                    _ => {}
                }
            }
            model.told.store(true, Ordering::Release);
            io.join().unwrap();
            assert_eq!(model.wire.load(Ordering::Relaxed), 3);
        });
    }
}
