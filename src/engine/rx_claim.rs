// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Who reads a socket's connections: one state, no I/O.
//!
//! Invariants:
//! - At most one side reads at a time: a caller (under the socket's lock) while the claim is `App`,
//!   the I/O thread while it is `IoReading`. Only that side touches the connections' input.
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

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::pipe::rope::{Writer, rope};
    use crate::pipe::sync::{Arc, AtomicBool, AtomicU64, Mutex};

    struct Model {
        claim: RxClaim,
        /// Messages the kernel has for us.
        kernel: AtomicU64,
        writer: Mutex<Writer>,
        reading: AtomicBool,
        woken: AtomicBool,
    }

    impl Model {
        /// Reads what the kernel has into the pipe; true when a sleeper must be woken.
        fn read(&self) -> bool {
            assert!(!self.reading.swap(true, Ordering::AcqRel), "two readers");
            let count = self.kernel.swap(0, Ordering::AcqRel);
            let mut writer = self.writer.lock();
            for _ in 0..count {
                writer.append(0, b"m").unwrap();
            }
            let asleep = count > 0 && writer.commit();
            drop(writer);
            self.reading.store(false, Ordering::Release);
            asleep
        }
    }

    /// The I/O thread reads a message just as a caller claims the connection and waits for that
    /// message: the caller gets it, whoever read it.
    #[test]
    fn a_message_read_before_the_claim_is_seen() {
        loom::model(|| {
            let (writer, mut reader) = rope().unwrap();
            let model = Arc::new(Model {
                claim: RxClaim::new(),
                kernel: AtomicU64::new(1),
                writer: Mutex::new(writer),
                reading: AtomicBool::new(false),
                woken: AtomicBool::new(false),
            });
            let io = {
                let model = model.clone();
                loom::thread::spawn(move || {
                    if model.claim.try_io() {
                        if model.read() {
                            model.woken.store(true, Ordering::Release);
                        }
                        model.claim.io_done();
                    }
                })
            };
            loop {
                if reader.frame().is_some() {
                    break;
                }
                let claim = model.claim.try_app();
                if claim != Claim::Busy {
                    model.read();
                    if reader.frame().is_some() {
                        break;
                    }
                }
                if !reader.sleep() {
                    continue;
                }
                // Nothing in the pipe, so it must come from the I/O thread, or from the kernel
                // once the claim can be had.
                while !model.woken.load(Ordering::Acquire)
                    && model.kernel.load(Ordering::Acquire) == 0
                {
                    loom::thread::yield_now();
                }
            }
            io.join().unwrap();
        });
    }
}
