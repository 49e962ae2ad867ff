// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Who reads a socket's connections: one state, no I/O.
//!
//! Invariants:
//! - At most one side reads at a time: a caller (under the socket's lock) while the claim is `App`,
//!   the I/O thread while it is `IoReading`. Only that side touches the connections' input, but for:
//! - A caller may *glance*, whatever the state: one round of reading under the set's lock, which
//!   whoever reads holds for a round. A reader has told of what it read before it lets go of that
//!   lock, so a glance leaves nothing unseen that had arrived before. It takes no event away from the
//!   I/O thread: what it leaves unread it has that read.
//! - In `Io` the I/O thread watches the socket's connections and will read.
//! - After every change of owner the new one looks at the pipes again before it waits: the former
//!   owner may have filled one just before.

use crate::pipe::sync::{AtomicU8, Ordering};

/// What became of an attempt to claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The caller has just become the reader: it must stop the I/O thread's watch and look again.
    Claimed,
    /// It was the caller's already.
    Held,
    /// The I/O thread is reading just now and will wake the caller if something came.
    Busy,
}

const IO: u8 = 0;
const IO_READING: u8 = 1;
const APP: u8 = 2;

/// The claim on a socket's connections.
pub struct RxClaim(AtomicU8);

impl RxClaim {
    /// Starts with the I/O thread.
    pub fn new() -> RxClaim {
        RxClaim(AtomicU8::new(IO))
    }

    /// A caller wants to read. Called under the socket's lock.
    #[inline]
    pub fn try_app(&self) -> Claim {
        match self.0.load(Ordering::Relaxed) {
            APP => Claim::Held,
            _ => match self.0.compare_exchange(IO, APP, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => Claim::Claimed,
                Err(_) => Claim::Busy,
            },
        }
    }

    /// The claim goes back to the I/O thread, whose watch must be started again afterwards. Called
    /// under the socket's lock, by a caller or by the I/O thread itself.
    pub fn app_release(&self) {
        debug_assert_eq!(self.0.load(Ordering::Relaxed), APP);
        self.0.store(IO, Ordering::SeqCst);
    }

    /// The I/O thread wants to read. False: a caller has the claim.
    pub fn try_io(&self) -> bool {
        self.0.compare_exchange(IO, IO_READING, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// The I/O thread has read.
    pub fn io_done(&self) {
        self.0.store(IO, Ordering::SeqCst);
    }

    /// True while a caller has the claim.
    #[inline]
    pub fn is_app(&self) -> bool {
        self.0.load(Ordering::Relaxed) == APP
    }
}

impl RxClaim {
    /// [`is_app`](RxClaim::is_app), ordered with other state of the claim's holders.
    pub fn is_app_now(&self) -> bool {
        self.0.load(Ordering::SeqCst) == APP
    }
}

impl Default for RxClaim {
    fn default() -> RxClaim {
        RxClaim::new()
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;
    use crate::pipe::rope::{Reader, Writer, rope};
    use crate::pipe::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, check, fence};
    use loom::cell::UnsafeCell;
    use loom::sync::{Condvar, Mutex, MutexGuard};
    use loom::thread::{JoinHandle, spawn};

    /// What a socket, its set of connections and the I/O thread do with the claim: one connection,
    /// one pipe, and one message a read.
    struct Model {
        claim: RxClaim,
        /// What the claim alone guards; notices who touches it unordered.
        claimed: UnsafeCell<()>,
        /// Stands for the input; likewise.
        input: UnsafeCell<()>,
        writer: Mutex<Writer>,
        /// The set's lock and list: the connection was not drained, and no edge will tell.
        ready: Mutex<bool>,
        kernel: Mutex<Kernel>,
        changed: Condvar,
        socket: Mutex<Socket>,
        mail: Mutex<bool>,
        has_mail: AtomicBool,
        waiters: Mutex<Vec<usize>>,
        waiter_count: AtomicU64,
        /// Callers asleep on the set's descriptor.
        sleepers: AtomicUsize,
    }

    #[derive(Default)]
    struct Kernel {
        messages: u64,
        /// Something arrived since the set was last asked.
        edge: bool,
        /// The I/O thread watches the set...
        watched: bool,
        /// ...and has an event, or was told to read, to look after the claim, or to end.
        event: bool,
        read_now: bool,
        tick: bool,
        stop: bool,
        /// Callers that were woken.
        woken: [bool; 2],
    }

    struct Socket {
        reader: Reader,
        /// The pipe may have something; if not, it is asleep.
        active: bool,
    }

    impl Model {
        /// `messages` have arrived already.
        fn new(messages: u64) -> Arc<Model> {
            let (writer, reader) = rope().unwrap();
            let arrived = messages > 0;
            Arc::new(Model {
                claim: RxClaim::new(),
                claimed: UnsafeCell::new(()),
                input: UnsafeCell::new(()),
                writer: Mutex::new(writer),
                ready: Mutex::new(false),
                kernel: Mutex::new(Kernel {
                    messages,
                    edge: arrived,
                    watched: true,
                    event: arrived,
                    ..Kernel::default()
                }),
                changed: Condvar::new(),
                socket: Mutex::new(Socket { reader, active: true }),
                mail: Mutex::new(false),
                has_mail: AtomicBool::new(false),
                waiters: Mutex::new(Vec::new()),
                waiter_count: AtomicU64::new(0),
                sleepers: AtomicUsize::new(0),
            })
        }

        fn kernel(&self, change: impl FnOnce(&mut Kernel)) {
            change(&mut self.kernel.lock().unwrap());
            self.changed.notify_all();
        }

        fn arrive(&self) {
            self.kernel(|kernel| {
                kernel.messages += 1;
                kernel.edge = true;
                kernel.event |= kernel.watched;
            });
        }

        /// Reads one message with the claim, see [`round`](Model::round).
        fn read(&self, activate: impl FnMut()) -> (bool, bool) {
            self.claimed.with_mut(|_| ());
            let result = self.round(activate);
            self.claimed.with_mut(|_| ());
            result
        }

        /// Reads one message: whether there was one, and whether there are more. If the pipe was
        /// asleep it is activated.
        fn round(&self, mut activate: impl FnMut()) -> (bool, bool) {
            let mut ready = self.ready.lock().unwrap();
            self.input.with_mut(|_| ());
            let mut found = false;
            self.kernel(|kernel| {
                *ready |= std::mem::take(&mut kernel.edge);
                if *ready {
                    found = kernel.messages > 0;
                    kernel.messages -= u64::from(found);
                    *ready = kernel.messages > 0;
                }
            });
            let mut writer = self.writer.lock().unwrap();
            let asleep = found && {
                writer.append(0, b"m").unwrap();
                writer.commit()
            };
            drop(writer);
            if asleep {
                activate();
            }
            self.input.with_mut(|_| ());
            (found, *ready)
        }

        /// Wakes every caller that waits.
        fn notify(&self) {
            fence(Ordering::SeqCst);
            if self.waiter_count.load(Ordering::Relaxed) > 0 {
                let waiters = self.waiters.lock().unwrap();
                self.kernel(|kernel| waiters.iter().for_each(|at| kernel.woken[*at] = true));
            }
        }

        // The caller's side.

        /// Receives a message, waiting for it.
        fn receive(&self, caller: usize) {
            let mut lively = true;
            let mut socket = self.socket.lock().unwrap();
            loop {
                if self.claim.try_app() == Claim::Claimed {
                    self.kernel(|kernel| kernel.watched = false);
                }
                if self.claim.is_app() {
                    self.read_claimed(&mut socket);
                }
                if self.take(&mut socket) {
                    self.settle(lively);
                    return;
                }
                self.waiters.lock().unwrap().push(caller);
                self.waiter_count.fetch_add(1, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                // Another caller may have dealt with the mail this one was woken for.
                let taken = self.take(&mut socket);
                if !taken {
                    socket = self.sleep(socket, caller);
                }
                self.waiters.lock().unwrap().retain(|waiter| *waiter != caller);
                self.waiter_count.fetch_sub(1, Ordering::SeqCst);
                self.kernel(|kernel| kernel.woken[caller] = false);
                lively = false;
                if taken {
                    self.settle(lively);
                    return;
                }
            }
        }

        fn sleep<'a>(
            &'a self,
            socket: MutexGuard<'a, Socket>,
            caller: usize,
        ) -> MutexGuard<'a, Socket> {
            let claimed = self.claim.is_app();
            if self.has_mail.load(Ordering::Acquire) || claimed && *self.ready.lock().unwrap() {
                return socket;
            }
            self.sleepers.fetch_add(usize::from(claimed), Ordering::SeqCst);
            drop(socket);
            let mut kernel = self.kernel.lock().unwrap();
            while !kernel.woken[caller] && !(claimed && kernel.edge) {
                kernel = self.changed.wait(kernel).unwrap();
            }
            drop(kernel);
            let socket = self.socket.lock().unwrap();
            self.sleepers.fetch_sub(usize::from(claimed), Ordering::SeqCst);
            socket
        }

        fn read_claimed(&self, socket: &mut Socket) {
            let (found, _) = self.read(|| socket.active = true);
            if found && self.waiter_count.load(Ordering::SeqCst) > 0 {
                // It may be what another caller sleeps for.
                self.notify();
            }
        }

        /// Reads before it sends. True: there was a message, which is taken out of the pipe.
        fn send(&self) -> bool {
            let mut socket = self.socket.lock().unwrap();
            let (found, more) = self.round(|| socket.active = true);
            if more && !self.claim.is_app() {
                self.kernel(|kernel| kernel.read_now = true);
            }
            if found {
                self.notify();
            }
            self.take(&mut socket)
        }

        /// A caller that was served without sleep keeps the claim, unless others sleep.
        fn settle(&self, lively: bool) {
            if !lively || self.waiter_count.load(Ordering::SeqCst) > 0 {
                self.release();
            }
        }

        fn take(&self, socket: &mut Socket) -> bool {
            if self.has_mail.load(Ordering::Acquire) {
                let mut mail = self.mail.lock().unwrap();
                self.has_mail.store(false, Ordering::Release);
                socket.active |= std::mem::take(&mut *mail);
            }
            if !socket.active {
                return false;
            }
            if socket.reader.frame().is_none() && socket.reader.sleep() {
                socket.active = false;
                return false;
            }
            assert!(socket.reader.frame().is_some());
            socket.reader.skip();
            true
        }

        fn release(&self) {
            if !self.claim.is_app() {
                return;
            }
            self.claim.app_release();
            self.kernel(|kernel| {
                kernel.watched = true;
                kernel.event |= kernel.edge;
            });
            if *self.ready.lock().unwrap() {
                self.kernel(|kernel| kernel.read_now = true);
            }
        }

        // The I/O thread's side.

        fn io_thread(&self) {
            loop {
                let mut kernel = self.kernel.lock().unwrap();
                while !kernel.event && !kernel.read_now && !kernel.tick && !kernel.stop {
                    kernel = self.changed.wait(kernel).unwrap();
                }
                if std::mem::take(&mut kernel.tick) {
                    drop(kernel);
                    self.take_back();
                    continue;
                }
                if !kernel.event && !kernel.read_now {
                    return;
                }
                (kernel.event, kernel.read_now) = (false, false);
                drop(kernel);
                self.io_read();
            }
        }

        fn io_read(&self) {
            if !self.claim.try_io() {
                return;
            }
            let (_, more) = self.read(|| {
                {
                    let mut mail = self.mail.lock().unwrap();
                    *mail = true;
                    self.has_mail.store(true, Ordering::Release);
                }
                self.notify();
            });
            self.claim.io_done();
            if more {
                self.kernel(|kernel| kernel.read_now = true);
            }
        }

        fn take_back(&self) {
            let _socket = self.socket.lock().unwrap();
            if self.sleepers.load(Ordering::SeqCst) == 0 {
                self.release();
            }
        }
    }

    fn start(model: &Arc<Model>, run: impl FnOnce(&Model) + 'static) -> JoinHandle<()> {
        let model = model.clone();
        spawn(move || run(&model))
    }

    fn stop(model: &Model, io: JoinHandle<()>) {
        model.kernel(|kernel| kernel.stop = true);
        io.join().unwrap();
    }

    /// The I/O thread reads a message just as a caller claims the connection and waits for it.
    #[test]
    fn a_message_read_before_the_claim_is_seen() {
        check(5, || {
            let model = Model::new(1);
            let io = start(&model, Model::io_thread);
            model.receive(0);
            stop(&model, io);
        });
    }

    /// Messages arrive while a caller claims, waits, and gives the connection back.
    #[test]
    fn messages_arrive_at_any_time() {
        check(3, || {
            let model = Model::new(0);
            let io = start(&model, Model::io_thread);
            let network = start(&model, |model| {
                model.arrive();
                model.arrive();
            });
            model.receive(0);
            model.receive(0);
            network.join().unwrap();
            stop(&model, io);
        });
    }

    /// A caller that was served at once keeps the claim. The I/O thread takes it back, and reads
    /// what was left or arrives meanwhile although nobody asks for it.
    #[test]
    fn the_io_thread_takes_the_claim_back() {
        for (arrived, arriving) in [(1, 1), (2, 0), (2, 1)] {
            check(5, move || {
                let model = Model::new(arrived);
                model.kernel(|kernel| kernel.event = false);
                model.receive(0);
                assert!(model.claim.is_app());
                model.kernel(|kernel| kernel.tick = true);
                let io = start(&model, Model::io_thread);
                (0..arriving).for_each(|_| model.arrive());
                stop(&model, io);
                assert!(!model.claim.is_app());
                assert_eq!(model.socket.lock().unwrap().reader.backlog(), arrived - 1 + arriving);
            });
        }
    }

    /// The claim is taken back just as the caller comes again.
    #[test]
    fn a_caller_comes_back() {
        check(3, || {
            let model = Model::new(1);
            model.kernel(|kernel| kernel.tick = true);
            let io = start(&model, Model::io_thread);
            let network = start(&model, Model::arrive);
            model.receive(0);
            model.receive(0);
            network.join().unwrap();
            stop(&model, io);
        });
    }

    /// Two callers wait for a message each: what one of them reads may be meant for the other.
    #[test]
    fn two_callers() {
        check(2, || {
            let model = Model::new(0);
            let io = start(&model, Model::io_thread);
            let other = start(&model, |model| model.receive(1));
            model.arrive();
            model.arrive();
            model.receive(0);
            other.join().unwrap();
            stop(&model, io);
        });
    }

    /// The same with messages that arrive at any time. Four threads: one preemption takes a second,
    /// two take minutes.
    #[test]
    fn two_callers_at_any_time() {
        check(1, || {
            let model = Model::new(0);
            let io = start(&model, Model::io_thread);
            let other = start(&model, |model| model.receive(1));
            let network = start(&model, |model| {
                model.arrive();
                model.arrive();
            });
            model.receive(0);
            other.join().unwrap();
            network.join().unwrap();
            stop(&model, io);
        });
    }

    /// A message that had arrived counts for what is sent then, although the I/O thread is about to
    /// read it, or just has. What is left for it, and what arrives later, is read, too.
    #[test]
    fn a_sender_knows_what_had_arrived() {
        for (arrived, arriving) in [(1, 0), (1, 1), (2, 0)] {
            check(5, move || {
                let model = Model::new(arrived);
                let io = start(&model, Model::io_thread);
                let network = start(&model, move |model| {
                    (0..arriving).for_each(|_| model.arrive());
                });
                assert!(model.send());
                network.join().unwrap();
                stop(&model, io);
                assert_eq!(model.kernel.lock().unwrap().messages, 0);
                assert_eq!(model.socket.lock().unwrap().reader.backlog(), arrived - 1 + arriving);
            });
        }
    }

    /// What a sender reads may be what another caller waits for, with or without the claim.
    #[test]
    fn a_sender_beside_a_receiver() {
        check(2, || {
            let model = Model::new(0);
            let io = start(&model, Model::io_thread);
            let other = start(&model, |model| model.receive(1));
            model.arrive();
            model.arrive();
            let taken = model.send();
            other.join().unwrap();
            if !taken {
                model.receive(0);
            }
            stop(&model, io);
        });
    }
}
