// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The established connections of one socket, as one source of readiness.
//!
//! The connections are registered, edge-triggered, in a poll set of their own, and the I/O
//! thread watches that set as a whole. A caller that is about to wait claims it ([`RxClaim`]), which
//! costs one system call whatever the number of connections, and keeps the claim from call to
//! call. An edge that was consumed without reading everything is remembered in `ready`, and whoever
//! takes over starts from there.
//!
//! A caller that is about to send may have to know first what its peers have said. It takes a
//! [`glance`](RxSet::glance): one round of reading that leaves the claim where it is.

use super::link::Link;
use super::rx::ReadEnd;
use super::rx_claim::{Claim, RxClaim};
use crate::errno::Result;
use crate::pipe::PipeId;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;
use slab::Slab;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The I/O thread's watch over the set.
pub trait Watch: Send + Sync {
    /// Registers the set's descriptor, so that an event comes if it is ready already.
    fn watch(&self, fd: RawFd);
    /// Undoes that.
    fn unwatch(&self, fd: RawFd);
    /// Has the I/O thread read although no edge will come.
    fn read_now(&self);
    /// Has the I/O thread look now and then whether the claim is still in use.
    fn tick(&self);
}

pub struct RxSet {
    claim: RxClaim,
    fd: RawFd,
    registry: Registry,
    inner: Mutex<Inner>,
    resumed: Mutex<Vec<usize>>,
    any_resumed: AtomicBool,
    watch: Box<dyn Watch>,
    stream_looks: Arc<AtomicU64>,
    /// Grows with every use of the claim, so that the I/O thread sees when that stops.
    uses: AtomicU64,
    /// The I/O thread looks after the claim.
    ticking: AtomicBool,
    /// Threads asleep on the set's descriptor.
    sleepers: AtomicUsize,
}

struct Inner {
    poll: Poll,
    events: Events,
    links: Slab<Entry>,
    ready: VecDeque<usize>,
    /// The last look at the poll set did not show everything that is ready, and no edge will tell.
    more_events: bool,
}

impl Inner {
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.more_events
    }
}

/// Connections that one look at the poll set shows.
const EVENTS: usize = 64;

struct Entry {
    link: Arc<Link>,
    queued: bool,
    /// The peer has finished sending.
    at_end: bool,
}

impl RxSet {
    /// `stream_looks` is the I/O thread's, see [`stream_look`](RxSet::stream_look).
    pub fn new(watch: Box<dyn Watch>, stream_looks: Arc<AtomicU64>) -> Result<RxSet> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let fd = poll.as_raw_fd();
        watch.watch(fd);
        Ok(RxSet {
            claim: RxClaim::new(),
            fd,
            registry,
            inner: Mutex::new(Inner {
                poll,
                events: Events::with_capacity(EVENTS),
                links: Slab::new(),
                ready: VecDeque::new(),
                more_events: false,
            }),
            resumed: Mutex::new(Vec::new()),
            any_resumed: AtomicBool::new(false),
            watch,
            stream_looks,
            uses: AtomicU64::new(0),
            ticking: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
        })
    }

    /// The descriptor that is readable when a connection is.
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Adds a connection; what it has received already is read at the next occasion.
    pub fn add(self: &Arc<RxSet>, link: Arc<Link>, fd: RawFd) -> Result<()> {
        let mut inner = self.inner.lock();
        let entry = inner.links.vacant_entry();
        let place = entry.key();
        self.registry.register(&mut SourceFd(&fd), Token(place), Interest::READABLE)?;
        link.set_place(Some((self.clone(), place)));
        entry.insert(Entry { link, queued: true, at_end: false });
        inner.ready.push_back(place);
        drop(inner);
        if !self.claim.is_app() {
            self.watch.read_now();
        }
        Ok(())
    }

    /// Removes a connection whose stream is about to be closed.
    pub fn remove(&self, link: &Link, fd: RawFd) {
        let Some((_, place)) = link.place() else { return };
        let mut inner = self.inner.lock();
        link.set_place(None);
        let _ = self.registry.deregister(&mut SourceFd(&fd));
        inner.ready.retain(|ready| *ready != place);
        inner.links.try_remove(place);
    }

    /// A connection that stood at its high-water mark may be read again. Called by a thread that
    /// took messages from its pipe.
    pub fn resume(&self, place: usize) {
        self.resumed.lock().push(place);
        self.any_resumed.store(true, Ordering::Release);
        if !self.claim.is_app() {
            self.watch.read_now();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.inner.lock().links.is_empty()
    }

    // The caller's side, under the socket's lock.

    /// Claims the set for the calling thread's socket. False: the I/O thread is reading just now.
    pub fn claim(&self) -> bool {
        match self.claim.try_app() {
            Claim::Claimed => {
                self.watch.unwatch(self.fd);
                self.uses.fetch_add(1, Ordering::Relaxed);
                true
            }
            Claim::Held => true,
            Claim::Busy => false,
        }
    }

    pub fn is_claimed(&self) -> bool {
        self.claim.is_app()
    }

    /// Keeps the claim beyond the present call; the I/O thread takes it back once it is not used.
    #[inline]
    pub fn keep(&self) {
        if !self.ticking.load(Ordering::SeqCst) && !self.ticking.swap(true, Ordering::SeqCst) {
            self.watch.tick();
        }
    }

    /// Gives the set back to the I/O thread.
    pub fn release(&self) {
        if !self.claim.is_app() {
            return;
        }
        self.claim.app_release();
        self.watch.watch(self.fd);
        if self.any_resumed.load(Ordering::Acquire) || self.inner.lock().has_ready() {
            self.watch.read_now();
        }
    }

    /// How often the claim was used, for the I/O thread's tick.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Reads what has arrived, without waiting. Pipes that were asleep are added to `activated`.
    /// True: something was there.
    pub fn read_claimed(&self, activated: &mut Vec<PipeId>) -> bool {
        debug_assert!(self.claim.is_app());
        self.uses.store(self.uses.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.read_ready(true, &mut |link| activated.push(link.pipe())).0
    }

    /// Reads what has arrived, without waiting for more, and without the claim: two system calls
    /// less than claiming and giving back, and the I/O thread is not woken. If that is reading just
    /// now, this waits for the end of its round, which does not depend on anybody: then what it has
    /// read is there, or on its way as mail. True: something was there.
    pub fn glance(&self, activated: &mut Vec<PipeId>) -> bool {
        let (found, more) = self.read_ready(false, &mut |link| activated.push(link.pipe()));
        if more && !self.claim.is_app() {
            self.watch.read_now();
        }
        found
    }

    /// How often the I/O thread has looked after streams of messages, whose outputs it has promised
    /// to write; 0 while there are none. As long as the number stays the same, and is not 0, little
    /// time has passed.
    #[inline]
    pub fn stream_look(&self) -> u64 {
        self.stream_looks.load(Ordering::Relaxed)
    }

    /// Counts a thread that sleeps on the set's descriptor, for as long as the result lives.
    pub fn sleeper(self: &Arc<RxSet>) -> Sleeper {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        Sleeper(self.clone())
    }

    /// True while a thread sleeps on the set's descriptor: the claim is in use.
    pub fn has_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::SeqCst) > 0
    }

    /// True when reading would find something that no edge will tell of again.
    pub fn has_ready(&self) -> bool {
        self.any_resumed.load(Ordering::Acquire) || self.inner.lock().has_ready()
    }

    // The I/O thread's side.

    /// Ends the look after the claim. False: it is in use again, by a thread that may keep it. One
    /// that sleeps gives it back when it has woken up.
    pub fn stop_ticking(&self) -> bool {
        self.ticking.store(false, Ordering::SeqCst);
        !self.claim.is_app_now() || self.has_sleepers() || self.ticking.swap(true, Ordering::SeqCst)
    }

    /// Reads what has arrived unless a caller has the claim. True: there is more to read.
    pub fn io_read(&self) -> bool {
        if !self.claim.try_io() {
            return false;
        }
        let (_, more) = self.read_ready(false, &mut |link| link.owner().readable(link.pipe()));
        self.claim.io_done();
        more
    }

    /// One round of reading: whether something was there, and whether there is more that no edge
    /// will tell of. Pipes are activated before the lock is free again: who has it next knows of
    /// everything that was read.
    ///
    /// With one connection an attempt to read is as good as asking whether to, for a caller with the
    /// claim (`by_claim`). If the end of the stream came with the last bytes, the edge of both is
    /// still in the poll set, for the caller's next attempt or for whoever has the set afterwards.
    /// The I/O thread will see no other edge, and so it has to ask.
    fn read_ready(&self, by_claim: bool, activate: &mut dyn FnMut(&Link)) -> (bool, bool) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if self.any_resumed.swap(false, Ordering::AcqRel) {
            for place in self.resumed.lock().drain(..) {
                queue(&mut inner.links, &mut inner.ready, place, false);
            }
        }
        inner.more_events = false;
        if inner.links.is_empty() {
            return (false, false);
        }
        if by_claim && inner.links.len() == 1 && inner.links.contains(0) {
            queue(&mut inner.links, &mut inner.ready, 0, false);
        } else if inner.poll.poll(&mut inner.events, Some(Duration::ZERO)).is_ok() {
            inner.more_events = inner.events.iter().count() >= EVENTS;
            for event in inner.events.iter() {
                let at_end = event.is_read_closed() || event.is_error();
                queue(&mut inner.links, &mut inner.ready, event.token().0, at_end);
            }
        }
        let mut found = false;
        for _ in 0..inner.ready.len() {
            let Some(place) = inner.ready.pop_front() else { break };
            let Some(entry) = inner.links.get_mut(place) else { continue };
            entry.queued = false;
            let before = entry.link.traffic();
            let (activated, end) = entry.link.read(entry.at_end);
            found |= entry.link.traffic() != before || matches!(end, ReadEnd::Failed(_));
            if activated {
                activate(&entry.link);
            }
            if end == ReadEnd::More {
                queue(&mut inner.links, &mut inner.ready, place, false);
            }
        }
        (found, self.any_resumed.load(Ordering::Acquire) || inner.has_ready())
    }
}

/// See [`RxSet::sleeper`].
pub struct Sleeper(Arc<RxSet>);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn queue(links: &mut Slab<Entry>, ready: &mut VecDeque<usize>, place: usize, at_end: bool) {
    if let Some(entry) = links.get_mut(place) {
        entry.at_end |= at_end;
        if !entry.queued {
            entry.queued = true;
            ready.push_back(place);
        }
    }
}
