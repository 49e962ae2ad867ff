// SPDX-License-Identifier: MPL-2.0
#![deny(unsafe_code)]
//! Contexts: options, I/O threads, the inproc registry, termination.

#[allow(unsafe_code)]
pub mod handles;
pub mod inproc;
#[allow(unsafe_code)]
mod threads;
mod zap;

use crate::errno::{Error, Result};
use crate::fork::{self, Global};
use crate::io::{IoHandle, IoThread, Lease};
use crate::options::ContextOptions;
use crate::transport::{self, DEAF_SLEEP, EventFd, Resolver};
use inproc::Registry;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What a context needs of a socket.
pub trait Member: Send + Sync {
    /// The context is terminating: every call on the socket answers ETERM from now on.
    fn terminate(&self);
}

/// A ZeroMQ context (zmq_ctx_new(3)).
pub struct Context {
    options: Mutex<ContextOptions>,
    threads: Mutex<Vec<IoThread>>,
    handles: OnceLock<Vec<Arc<IoHandle>>>,
    resolver: Mutex<Option<Arc<Resolver>>>,
    members: Mutex<Members>,
    /// Wakes the thread in zmq_ctx_term.
    term_event: Mutex<Option<Arc<EventFd>>>,
    terminating: AtomicBool,
    pub inproc: Registry,
    fork_generation: u32,
}

#[derive(Default)]
struct Members {
    sockets: HashMap<u64, Arc<dyn Member>>,
    /// ZMQ_MAX_SOCKETS as it was with the first socket.
    limit: Option<i32>,
    /// Sessions and listeners that still exist.
    leases: usize,
}

/// Counts a session or listener of the context while it lives.
struct LeaseGuard(Weak<Context>);

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(context) = self.0.upgrade() {
            context.members.lock().leases -= 1;
            context.members_changed();
        }
    }
}

impl Context {
    fn new() -> Context {
        Context {
            options: Mutex::new(ContextOptions::default()),
            threads: Mutex::new(Vec::new()),
            handles: OnceLock::new(),
            resolver: Mutex::new(None),
            members: Mutex::new(Members::default()),
            term_event: Mutex::new(None),
            terminating: AtomicBool::new(false),
            inproc: Registry::default(),
            fork_generation: fork::generation(),
        }
    }

    pub fn options(&self) -> ContextOptions {
        self.options.lock().clone()
    }

    pub fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::Acquire)
    }

    /// True in a child that was forked after the context was made.
    pub fn is_forked(&self) -> bool {
        self.fork_generation != fork::generation()
    }

    /// Whether there is a place for one more socket: EMFILE beyond ZMQ_MAX_SOCKETS.
    pub fn check_room(&self) -> Result<()> {
        self.members_with_room().map(drop)
    }

    /// Adds a socket. ETERM once termination has begun, EMFILE beyond ZMQ_MAX_SOCKETS.
    pub fn join(&self, id: u64, member: Arc<dyn Member>) -> Result<()> {
        let mut members = self.members_with_room()?;
        if self.is_terminating() {
            return Err(Error::TERM);
        }
        members.sockets.insert(id, member);
        Ok(())
    }

    /// EINTR when a thread that this process, a forked child, does not have holds the lock.
    fn options_lock(&self) -> Result<MutexGuard<'_, ContextOptions>> {
        if self.is_forked() {
            self.options.try_lock().ok_or(Error::INTR)
        } else {
            Ok(self.options.lock())
        }
    }

    fn members_with_room(&self) -> Result<MutexGuard<'_, Members>> {
        let max_sockets = self.options.lock().max_sockets;
        let mut members = self.members.lock();
        let limit = *members.limit.get_or_insert(max_sockets);
        if members.sockets.len() >= usize::try_from(limit).unwrap_or(0) {
            return Err(Error::MFILE);
        }
        Ok(members)
    }

    pub fn leave(&self, id: u64) {
        self.members.lock().sockets.remove(&id);
        self.members_changed();
    }

    /// A token that keeps the context from ending.
    pub fn lease(self: &Arc<Context>) -> Lease {
        self.members.lock().leases += 1;
        Arc::new(LeaseGuard(Arc::downgrade(self)))
    }

    /// The I/O threads, started now if they have not been.
    pub fn io_handles(&self) -> Result<&[Arc<IoHandle>]> {
        if let Some(handles) = self.handles.get() {
            return Ok(handles);
        }
        let mut threads = self.threads.lock();
        if let Some(handles) = self.handles.get() {
            return Ok(handles);
        }
        let options = self.options();
        let resolver =
            self.resolver.lock().get_or_insert_with(|| Arc::new(Resolver::new())).clone();
        for number in 0..options.io_threads {
            let name = threads::name(&options, number);
            let prepare = threads::preparation(&options);
            match IoThread::start(name, resolver.clone(), prepare) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // All or none: the next socket tries again.
                    threads.drain(..).for_each(|mut thread| thread.stop());
                    return Err(error);
                }
            }
        }
        let handles = threads.iter().map(|thread| thread.handle.clone()).collect();
        Ok(self.handles.get_or_init(|| handles))
    }

    /// The least busy I/O thread that `affinity` allows. EMTHREAD: none.
    pub fn choose_io_thread(&self, affinity: u64) -> Result<Arc<IoHandle>> {
        let handles = self.io_handles()?;
        handles
            .iter()
            .enumerate()
            .filter(|(number, _)| affinity == 0 || (*number < 64 && affinity >> number & 1 == 1))
            .min_by_key(|(_, handle)| handle.load())
            .map(|(_, handle)| handle.clone())
            .ok_or(Error::MTHREAD)
    }

    /// The I/O threads if they have been started.
    pub fn started_io_handles(&self) -> &[Arc<IoHandle>] {
        self.handles.get().map_or(&[], Vec::as_slice)
    }

    fn shutdown(&self) {
        self.terminating.store(true, Ordering::Release);
        // What a forked child inherits does nothing anyway.
        if self.is_forked() {
            return;
        }
        let members: Vec<_> = self.members.lock().sockets.values().cloned().collect();
        for member in members {
            member.terminate();
        }
    }

    fn members_changed(&self) {
        if let Some(event) = &*self.term_event.lock() {
            let _ = event.signal();
        }
    }

    /// Waits until every socket is closed and every session is gone. EINTR when a signal handler
    /// has run.
    fn wait_for_members(&self) -> Result<()> {
        while !self.is_deserted() {
            let event = self.term_event();
            // Somebody may have left before there was anything to be told by.
            if self.is_deserted() {
                break;
            }
            let fd = event.as_ref().map_or(-1, |event| event.fd());
            let mut fds = [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }];
            transport::poll_fds(&mut fds, event.is_none().then_some(DEAF_SLEEP))?;
            if let Some(event) = event {
                event.drain()?;
            }
        }
        // Another thread that waits here may have slept while this one took the signal away.
        self.members_changed();
        Ok(())
    }

    fn is_deserted(&self) -> bool {
        let members = self.members.lock();
        members.sockets.is_empty() && members.leases == 0
    }

    /// What tells that members have left. `None`: there are no descriptors for it.
    fn term_event(&self) -> Option<Arc<EventFd>> {
        let mut event = self.term_event.lock();
        if event.is_none() {
            *event = EventFd::new().ok().map(Arc::new);
        }
        event.clone()
    }
}

static CONTEXTS: Global<BTreeMap<usize, Arc<Context>>> = Global::new(BTreeMap::new());

/// The context of a handle. EFAULT: it is none.
pub fn lookup(handle: *mut c_void) -> Result<Arc<Context>> {
    let id = handles::value(handles::Kind::Context, handle).ok_or(Error::FAULT)?;
    CONTEXTS.lock().get(&id).cloned().ok_or(Error::FAULT)
}

/// The functions behind `zmq_ctx_*`.
pub mod api {
    use super::*;

    /// zmq_ctx_new(3)
    pub fn new() -> Result<*mut c_void> {
        // The kernel has to be told once, which with several threads takes it many milliseconds: now,
        // not in the middle of some call.
        let _ = crate::pipe::asymmetric::can_be_light();
        let id = crate::io::next_id() as usize;
        CONTEXTS.lock().insert(id, Arc::new(Context::new()));
        handles::open(handles::Kind::Context, id).inspect_err(|_| {
            CONTEXTS.lock().remove(&id);
        })
    }

    /// zmq_ctx_term(3). EFAULT, EINTR; also EINTR in a forked child, whose I/O threads are gone.
    pub fn term(handle: *mut c_void) -> Result<()> {
        let id = handles::value(handles::Kind::Context, handle).ok_or(Error::FAULT)?;
        let context = lookup(handle)?;
        if context.is_forked() {
            return Err(Error::INTR);
        }
        context.shutdown();
        context.wait_for_members()?;
        if !handles::close(handles::Kind::Context, handle) {
            return Err(Error::FAULT);
        }
        CONTEXTS.lock().remove(&id);
        for mut thread in context.threads.lock().drain(..) {
            thread.stop();
        }
        Ok(())
    }

    /// zmq_ctx_shutdown(3)
    pub fn shutdown(handle: *mut c_void) -> Result<()> {
        lookup(handle)?.shutdown();
        Ok(())
    }

    /// zmq_ctx_set(3)
    pub fn set(handle: *mut c_void, option: i32, value: i32) -> Result<()> {
        lookup(handle)?.options_lock()?.set(option, value)
    }

    /// zmq_ctx_get(3)
    pub fn get(handle: *mut c_void, option: i32) -> Result<i32> {
        lookup(handle)?.options_lock()?.get(option)
    }

    /// zmq_ctx_set_ext(3)
    pub fn set_ext(handle: *mut c_void, option: i32, value: &[u8]) -> Result<()> {
        lookup(handle)?.options_lock()?.set_ext(option, value)
    }

    /// zmq_ctx_get_ext(3)
    pub fn get_ext(handle: *mut c_void, option: i32, value: &mut [u8]) -> Result<usize> {
        lookup(handle)?.options_lock()?.get_ext(option, value)
    }
}
