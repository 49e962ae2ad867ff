// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! What other threads tell a socket.

use super::monitor::MonitorSlot;
use super::{Socket, TERMINATED};
use crate::ctx::inproc::{End, InprocEnd, InprocPeer, InprocPort, PeerFacts};
use crate::ctx::{Context, Member};
use crate::engine::{Link, Owner, RxSet};
use crate::errno::{Error, Result};
use crate::io::{Event, IoHandle, SocketPort};
use crate::pipe::{Pipe, PipeId};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

pub enum Mail {
    Readable(PipeId),
    Writable(PipeId),
    Attach { pipe: Box<Pipe>, link: Arc<Link>, endpoint: u64 },
    AttachInproc(Box<Pipe>, InprocEnd),
    Connected { pipe: PipeId, routing_id: Vec<u8>, again: bool },
    Bound(Arc<End>, InprocPeer),
    PeerLimits(PipeId, PeerFacts),
    Ended(PipeId),
    EndpointGone(u64),
}

#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    waiting: AtomicBool,
}

impl Mailbox {
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub fn take(&self) -> Vec<Mail> {
        let mut mail = self.mail.lock();
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut *mail)
    }
}

impl Socket {
    /// Leaves mail for the socket as it was when `generation` was current. Otherwise the mail is
    /// returned: the socket is closed.
    fn post(&self, generation: u32, mail: Mail) -> Option<Mail> {
        {
            let mut queue = self.mailbox.mail.lock();
            if self.generation.load(Ordering::Acquire) != generation {
                return Some(mail);
            }
            queue.push(mail);
            self.mailbox.waiting.store(true, Ordering::Release);
        }
        self.notify();
        None
    }

    /// Begins a new use of this memory.
    pub(super) fn begin_generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ends the present use: mail that arrived too late is returned, none comes any more.
    pub(super) fn end_generation(&self) -> Vec<Mail> {
        let mut queue = self.mailbox.mail.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.mailbox.waiting.store(false, Ordering::Release);
        std::mem::take(&mut *queue)
    }
}

/// A socket as I/O threads and inproc peers see it. It may be closed; then nothing happens.
#[derive(Clone)]
pub struct Port {
    pub socket: &'static Socket,
    pub generation: u32,
    pub id: u64,
    pub context: Weak<Context>,
    /// Outlives the socket: its last sessions report to it.
    pub monitor: Arc<MonitorSlot>,
    /// Whose events this socket sends, if it is a monitor's own.
    pub sends_for: OnceLock<Weak<MonitorSlot>>,
}

impl Port {
    fn post(&self, mail: Mail) {
        if let Some(mail) = self.socket.post(self.generation, mail) {
            reject(mail);
        }
    }

    fn is_current(&self) -> bool {
        self.socket.generation.load(Ordering::Acquire) == self.generation
    }
}

/// Closes what a socket that is closed can no longer take.
pub fn reject(mail: Mail) {
    match mail {
        Mail::Attach { mut pipe, .. } | Mail::AttachInproc(mut pipe, _) => pipe.close(),
        _ => {}
    }
}

impl Owner for Port {
    fn readable(&self, pipe: PipeId) {
        self.post(Mail::Readable(pipe));
    }

    fn writable(&self, pipe: PipeId) {
        self.post(Mail::Writable(pipe));
    }
}

impl SocketPort for Port {
    fn attach(&self, pipe: Pipe, link: Arc<Link>, endpoint: u64) {
        self.post(Mail::Attach { pipe: Box::new(pipe), link, endpoint });
    }

    fn connected(&self, pipe: PipeId, routing_id: Vec<u8>, again: bool) {
        self.post(Mail::Connected { pipe, routing_id, again });
    }

    fn pipe_ended(&self, pipe: PipeId) {
        self.post(Mail::Ended(pipe));
    }

    fn endpoint_gone(&self, endpoint: u64) {
        self.post(Mail::EndpointGone(endpoint));
    }

    fn read_set(&self, home: &Arc<IoHandle>) -> Option<Arc<RxSet>> {
        let mut set = self.socket.read_set.lock();
        if !self.is_current() {
            return None;
        }
        if set.is_none() {
            *set = home.read_set(Arc::new(self.clone())).ok();
        }
        set.clone()
    }

    fn take_back(&self) -> bool {
        let Some(core) = self.socket.core.try_lock() else { return false };
        if !self.is_current() || core.is_none() {
            return true;
        }
        if let Some(set) = self.socket.read_set()
            && !set.has_sleepers()
        {
            set.release();
        }
        true
    }

    fn zap_connect(&self, session: u64, home: &Arc<IoHandle>) -> Result<Option<Pipe>> {
        let context = self.context.upgrade().ok_or(Error::TERM)?;
        context.connect_zap(session, home)
    }

    fn event(&self, event: Event) {
        self.monitor.report(&event);
    }
}

impl InprocPort for Port {
    fn attach_inproc(&self, pipe: Pipe, end: InprocEnd) {
        self.post(Mail::AttachInproc(Box::new(pipe), end));
    }

    fn peer_attached(&self) {
        if let Some(monitor) = self.sends_for.get().and_then(Weak::upgrade) {
            monitor.reader_came();
        }
    }

    fn peer_gone(&self, pipe: PipeId) {
        self.post(Mail::Ended(pipe));
    }

    fn bound(&self, own: &Arc<End>, peer: InprocPeer) {
        self.post(Mail::Bound(own.clone(), peer));
    }

    fn peer_limits(&self, pipe: PipeId, peer: PeerFacts) {
        self.post(Mail::PeerLimits(pipe, peer));
    }
}

impl Member for Port {
    fn terminate(&self) {
        {
            // No other use of the memory begins meanwhile.
            let _queue = self.socket.mailbox.mail.lock();
            if !self.is_current() {
                return;
            }
            self.socket.state.fetch_max(TERMINATED, Ordering::Release);
        }
        self.socket.notify();
    }
}
