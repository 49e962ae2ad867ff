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
//!   to the pipe looks at the state afterwards. Both are separated by a fence, so one of the two
//!   sees the other and no message is stranded.
//! - Messages are appended by one caller at a time, under the socket's lock. While this caller
//!   itself leaves the output `Idle` there can be no new ones. In a stream, when it has found that
//!   others have the output many times in a row, it says that its fences are *light* from then on;
//!   whoever else leaves the output `Idle` and finds that said makes a heavy one. Commands are
//!   queued by anybody, with a full fence.

use crate::pipe::asymmetric::{can_be_light, heavy_fence, light_fence};
use crate::pipe::sync::{AtomicBool, AtomicU8, AtomicU32, Ordering, fence};

/// So many messages in a row have to find the output in others' hands before the sender's fences
/// are light.
const STREAM: u32 = if cfg!(feature = "loom") { 1 } else { 64 };

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

pub struct TxOwnership {
    state: AtomicU8,
    /// The sender's fences are light ones. By the sender.
    light: AtomicBool,
    /// How many messages in a row have found the output in others' hands, up to [`STREAM`]. For the
    /// sender alone.
    streak: AtomicU32,
}

impl TxOwnership {
    /// Starts in the I/O thread's hands: there is no connection yet.
    pub fn new() -> TxOwnership {
        TxOwnership::in_state(TxState::Io)
    }

    fn in_state(state: TxState) -> TxOwnership {
        TxOwnership {
            state: AtomicU8::new(state as u8),
            light: AtomicBool::new(false),
            streak: AtomicU32::new(0),
        }
    }

    /// The state after the messages appended before this call became visible.
    #[inline]
    pub fn after_append(&self) -> TxState {
        if !self.light.load(Ordering::Relaxed) {
            return self.after_append_with_fence();
        }
        light_fence();
        let state = self.state();
        if state == TxState::Idle {
            self.streak.store(0, Ordering::Relaxed);
            // With release: who sees this sees what was appended until now, too.
            self.light.store(false, Ordering::Release);
        }
        state
    }

    #[inline]
    fn after_append_with_fence(&self) -> TxState {
        fence(Ordering::SeqCst);
        let state = self.state();
        if state == TxState::Idle {
            self.streak.store(0, Ordering::Relaxed);
            return state;
        }
        let streak = self.streak.load(Ordering::Relaxed) + 1;
        self.streak.store(streak.min(STREAM), Ordering::Relaxed);
        if streak < STREAM || !can_be_light() {
            return state;
        }
        self.light.store(true, Ordering::Release);
        // Whoever leaves the output idle without having seen this is seen from now on.
        fence(Ordering::SeqCst);
        self.state()
    }

    /// The state after the commands queued before this call became visible.
    #[inline]
    pub fn after_command(&self) -> TxState {
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

    /// A sender that has written everything lets go. It must look for commands again.
    #[inline]
    pub fn app_done(&self) {
        let next = if self.state() == TxState::Borrowed { TxState::Io } else { TxState::Idle };
        self.leave(next);
    }

    /// A caller beside the sender that has written everything lets go. It must look at the pipe and
    /// for commands again.
    pub fn app_done_beside(&self) {
        if self.leave_to_sender() {
            heavy_fence();
        }
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

    /// The I/O thread takes its promise back. It must look at the pipe again; if this answers true,
    /// only after a [`heavy_fence`], which may be one for several outputs.
    #[must_use]
    pub fn io_done(&self) -> bool {
        self.leave_to_sender()
    }

    /// Leaves the output idle beside the sender. True: that takes a heavy fence.
    fn leave_to_sender(&self) -> bool {
        self.leave(TxState::Idle);
        self.light.load(Ordering::Acquire)
    }

    pub fn state(&self) -> TxState {
        match self.state.load(Ordering::Relaxed) {
            0 => TxState::Idle,
            1 => TxState::App,
            3 => TxState::IoWriting,
            4 => TxState::Borrowed,
            _ => TxState::Io,
        }
    }

    #[inline]
    fn change(&self, from: TxState, to: TxState) -> bool {
        self.state
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    fn leave(&self, to: TxState) {
        self.state.store(to as u8, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

impl Default for TxOwnership {
    fn default() -> TxOwnership {
        TxOwnership::new()
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;
    use crate::pipe::sync::{Arc, AtomicBool, AtomicU64, check};
    use loom::cell::UnsafeCell;
    use loom::sync::{Condvar, Mutex};
    use loom::thread;

    /// What [`Link`](super::super::Link) does with the ownership, with counters for bytes.
    struct Link {
        ownership: TxOwnership,
        /// Stands for the output; notices who touches it unordered.
        output: UnsafeCell<()>,
        appended: AtomicU64,
        sent: AtomicU64,
        commands: Mutex<u64>,
        commands_waiting: AtomicBool,
        commands_sent: AtomicU64,
        mail: Mutex<Mail>,
        told: Condvar,
    }

    /// What the I/O thread is told.
    struct Mail {
        promise: bool,
        stop: bool,
    }

    /// What a caller does on an idle output.
    #[derive(Clone, Copy)]
    enum Send {
        /// Write, at most so many messages.
        Direct(u64),
        /// Leave it to the I/O thread.
        Promise,
    }

    impl Link {
        fn new(state: TxState) -> Arc<Link> {
            Arc::new(Link {
                ownership: TxOwnership::in_state(state),
                output: UnsafeCell::new(()),
                appended: AtomicU64::new(0),
                sent: AtomicU64::new(0),
                commands: Mutex::new(0),
                commands_waiting: AtomicBool::new(false),
                commands_sent: AtomicU64::new(0),
                mail: Mutex::new(Mail { promise: state == TxState::Io, stop: false }),
                told: Condvar::new(),
            })
        }

        fn has_waiting(&self) -> bool {
            self.appended.load(Ordering::Acquire) != self.sent.load(Ordering::Acquire)
                || self.commands_waiting.load(Ordering::Acquire)
        }

        fn request(&self) {
            self.mail.lock().unwrap().promise = true;
            self.told.notify_one();
        }

        /// Writes as the owner. True: all that was there is written.
        fn round(&self, cap: u64) -> bool {
            self.output.with_mut(|_| ());
            if self.commands_waiting.load(Ordering::Acquire) {
                let mut commands = self.commands.lock().unwrap();
                let sent = self.commands_sent.load(Ordering::Relaxed) + *commands;
                self.commands_sent.store(sent, Ordering::Relaxed);
                *commands = 0;
                self.commands_waiting.store(false, Ordering::Release);
            }
            let appended = self.appended.load(Ordering::Acquire);
            let sent = appended.min(self.sent.load(Ordering::Relaxed) + cap);
            self.sent.store(sent, Ordering::Release);
            self.output.with_mut(|_| ());
            sent == appended
        }

        fn write_owned(&self, cap: u64, beside: bool) {
            loop {
                let borrowed = self.ownership.state() == TxState::Borrowed;
                if !self.round(cap) {
                    self.ownership.app_to_io();
                    if !borrowed {
                        self.request();
                    }
                    return;
                }
                if beside {
                    self.ownership.app_done_beside();
                } else {
                    self.ownership.app_done();
                }
                if borrowed || !self.has_waiting() || !self.ownership.try_app() {
                    return;
                }
            }
        }

        /// One caller at a time: the socket's lock.
        fn send(&self, message: u64, how: Send) {
            self.appended.store(message, Ordering::Release);
            match (self.ownership.after_append(), how) {
                (TxState::Idle, Send::Direct(cap)) => {
                    if self.ownership.try_app() {
                        self.write_owned(cap, false);
                    }
                }
                (TxState::Idle, Send::Promise) => {
                    if self.ownership.try_promise() {
                        self.request();
                    }
                }
                (TxState::Io, Send::Direct(cap)) => {
                    if self.ownership.try_borrow() {
                        self.write_owned(cap, false);
                    }
                }
                _ => {}
            }
        }

        fn send_command(&self) {
            *self.commands.lock().unwrap() += 1;
            self.commands_waiting.store(true, Ordering::Release);
            if self.ownership.after_command() == TxState::Idle && self.ownership.try_app() {
                self.write_owned(9, true);
            }
        }

        fn io_write(&self) -> bool {
            if !self.ownership.try_io() {
                thread::yield_now();
                return false;
            }
            let drained = self.round(1);
            self.ownership.io_keep();
            drained
        }

        fn release(&self) -> bool {
            if !self.ownership.try_io() {
                return false;
            }
            if self.has_waiting() {
                self.ownership.io_keep();
                return false;
            }
            if self.ownership.io_done() {
                heavy_fence();
            }
            if self.has_waiting() && self.ownership.try_io() {
                self.ownership.io_keep();
                return false;
            }
            true
        }

        fn io_thread(&self) {
            loop {
                {
                    let mut mail = self.mail.lock().unwrap();
                    while !mail.promise && !mail.stop {
                        mail = self.told.wait(mail).unwrap();
                    }
                    if !mail.promise {
                        return;
                    }
                    mail.promise = false;
                }
                while !self.io_write() || !self.release() {}
            }
        }

        /// Ends the I/O thread, which is not to look at the pipe for that, and compares.
        fn finish(&self, io: Option<thread::JoinHandle<()>>, messages: u64, commands: u64) {
            if let Some(io) = io {
                self.mail.lock().unwrap().stop = true;
                self.told.notify_one();
                io.join().unwrap();
            }
            assert_eq!(self.sent.load(Ordering::Relaxed), messages, "messages are stranded");
            assert_eq!(self.commands_sent.load(Ordering::Relaxed), commands, "so are commands");
            assert_eq!(self.ownership.state(), TxState::Idle);
        }
    }

    fn spawn(link: &Arc<Link>, run: impl FnOnce(&Link) + 'static) -> thread::JoinHandle<()> {
        let link = link.clone();
        thread::spawn(move || run(&link))
    }

    /// A caller writes itself, leaves a message to the I/O thread, writes only a part, or borrows
    /// what the I/O thread has promised.
    #[test]
    fn a_caller_and_the_io_thread() {
        for how in [
            [Send::Direct(9), Send::Promise, Send::Direct(9)],
            [Send::Promise, Send::Direct(1), Send::Direct(1)],
            [Send::Promise, Send::Promise, Send::Promise],
        ] {
            check(5, move || {
                let link = Link::new(TxState::Idle);
                let io = spawn(&link, Link::io_thread);
                for (message, how) in (1..).zip(how) {
                    link.send(message, how);
                }
                link.finish(Some(io), 3, 0);
            });
        }
    }

    /// What is sent before there is a connection goes out with it.
    #[test]
    fn the_io_thread_begins() {
        check(5, || {
            let link = Link::new(TxState::Io);
            let io = spawn(&link, Link::io_thread);
            link.send(1, Send::Promise);
            link.send(2, Send::Direct(9));
            link.finish(Some(io), 2, 0);
        });
    }

    /// A reading thread answers a PING while a caller sends: each may find the other one writing.
    #[test]
    fn a_caller_and_commands() {
        check(5, || {
            let link = Link::new(TxState::Idle);
            let other = spawn(&link, |link| {
                link.send_command();
                link.send_command();
            });
            link.send(1, Send::Direct(9));
            link.send(2, Send::Direct(9));
            other.join().unwrap();
            link.finish(None, 2, 2);
        });
    }

    /// The same with the I/O thread taking part.
    #[test]
    fn a_caller_commands_and_the_io_thread() {
        for how in [Send::Promise, Send::Direct(1)] {
            check(3, move || {
                let link = Link::new(TxState::Idle);
                let io = spawn(&link, Link::io_thread);
                let other = spawn(&link, Link::send_command);
                link.send(1, how);
                link.send(2, Send::Direct(1));
                other.join().unwrap();
                link.finish(Some(io), 2, 1);
            });
        }
    }
}
