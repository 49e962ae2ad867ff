// SPDX-License-Identifier: MPL-2.0
#![deny(unsafe_code)]
//! Sockets: the calls behind `zmq_*`, waiting, endpoints, options, monitors.
//!
//! A [`Socket`] outlives its handle: its memory is kept and used again for later sockets, with a
//! new generation, so that a thread that still looks at it after `zmq_close` finds it closed and
//! nothing worse. All state is behind one lock; a call that waits lets go of it meanwhile. What
//! other threads have to say to a socket they put into its [`mailbox`], which the next call empties.

pub mod api;
mod endpoints;
#[allow(unsafe_code)]
mod lock;
mod mailbox;
mod monitor;
mod named;
mod open;
mod options;
mod parker;
mod pool;
mod read_first;
mod wait;

pub use monitor::lost_events;
pub use named::NamedSocket;
pub use open::Open;
pub use parker::Parker;
pub use wait::{Interest, SpinGauge, Waiting};

use crate::engine::RxSet;
use crate::errno::{Error, Result};
use crate::transport::EventFd;
use lock::SocketLock;
use mailbox::Mailbox;
use parking_lot::{Mutex, lock_api};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};

const RUNNING: u8 = 0;
/// Its context is terminating.
const TERMINATED: u8 = 1;
/// This process was forked from the one that opened it: the library's threads are not here, and its
/// connections are the other one's.
const FORKED: u8 = 2;

/// A socket. See the module's description for how long it lives.
pub struct Socket {
    core: lock_api::Mutex<SocketLock, Option<Open>>,
    /// Which use of this memory is the present one.
    generation: AtomicU32,
    mailbox: Mailbox,
    /// Whether calls still do their work: [`RUNNING`], [`TERMINATED`] or [`FORKED`].
    state: AtomicU8,
    /// Whoever held the lock last found nothing to receive and left everything as it was, so only
    /// mail can bring something.
    resting: AtomicBool,
    waiters: Mutex<Vec<Arc<Parker>>>,
    waiter_count: AtomicUsize,
    /// ZMQ_FD, once somebody has asked for it.
    signal: Mutex<Option<Arc<EventFd>>>,
    has_signal: AtomicBool,
    read_set: Mutex<Option<Arc<RxSet>>>,
}

/// A socket that is known to be open, with its lock held.
pub type Guard = lock_api::MutexGuard<'static, SocketLock, Option<Open>>;

/// What a handle stands for, once its socket was looked up and locked. ENOTSOCK: it was closed in
/// between, and its memory may be another's by now.
#[inline(always)]
fn opened(core: &mut Guard, handle: *mut c_void) -> Result<&mut Open> {
    core.as_mut().filter(|open| open.is_named(handle)).ok_or(Error::NOTSOCK)
}

impl Socket {
    fn new() -> Socket {
        Socket {
            core: lock_api::Mutex::new(None),
            generation: AtomicU32::new(0),
            mailbox: Mailbox::default(),
            state: AtomicU8::new(RUNNING),
            resting: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
            waiter_count: AtomicUsize::new(0),
            signal: Mutex::new(None),
            has_signal: AtomicBool::new(false),
            read_set: Mutex::new(None),
        }
    }

    /// The socket of a handle. ENOTSOCK: it is none.
    #[inline]
    pub fn lookup(handle: *mut c_void) -> Result<&'static Socket> {
        pool::lookup(handle).ok_or(Error::NOTSOCK)
    }

    /// EINTR: it was inherited; its lock may be held by a thread that this process does not have.
    #[inline(always)]
    pub fn lock(&'static self) -> Result<Guard> {
        if self.is_inherited() {
            return Err(Error::INTR);
        }
        let core = self.core.lock();
        self.resting.store(false, Ordering::Relaxed);
        Ok(core)
    }

    /// For those few calls that an inherited socket answers; unless a thread was inside of it when
    /// this process was forked: EINTR.
    fn lock_inherited(&'static self) -> Result<Guard> {
        if !self.is_inherited() { self.lock() } else { self.core.try_lock().ok_or(Error::INTR) }
    }

    /// Whether this process was forked from the one that opened it.
    #[inline(always)]
    fn is_inherited(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FORKED
    }

    /// Whether there certainly is nothing to receive and nothing else to tell: an answer for those
    /// who look at hundreds of idle sockets.
    #[inline]
    pub fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Acquire) && !self.has_mail() && !self.is_stopped()
    }

    /// Whether [`check`](Socket::check) has an error.
    pub fn is_stopped(&self) -> bool {
        self.state.load(Ordering::Acquire) != RUNNING
    }

    /// ETERM: its context is terminating. EINTR: it was inherited from the process this one was
    /// forked from.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.state.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            TERMINATED => Err(Error::TERM),
            _ => Err(Error::INTR),
        }
    }

    pub fn has_mail(&self) -> bool {
        self.mailbox.has_mail()
    }

    /// Wakes whoever waits for something to happen to this socket.
    fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.waiter_count.load(Ordering::Relaxed) > 0 {
            for parker in self.waiters.lock().iter() {
                parker.unpark();
            }
        }
        if self.has_signal.load(Ordering::Relaxed)
            && let Some(signal) = &*self.signal.lock()
        {
            let _ = signal.signal();
        }
    }

    /// Has `parker` woken by whatever happens to this socket. The caller looks at the socket once
    /// more afterwards, and calls [`remove_waiter`](Socket::remove_waiter) in the end.
    pub fn add_waiter(&self, parker: &Arc<Parker>) {
        self.waiters.lock().push(parker.clone());
        self.waiter_count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub fn remove_waiter(&self, parker: &Arc<Parker>) {
        let mut waiters = self.waiters.lock();
        if let Some(at) = waiters.iter().position(|waiter| Arc::ptr_eq(waiter, parker)) {
            waiters.swap_remove(at);
            self.waiter_count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    pub fn has_waiters(&self) -> bool {
        self.waiter_count.load(Ordering::SeqCst) > 0
    }

    /// The set of established connections, if there is one.
    pub fn read_set(&self) -> Option<Arc<RxSet>> {
        self.read_set.lock().clone()
    }
}
