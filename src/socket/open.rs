// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The state of an open socket, all behind its lock.

use super::endpoints::Endpoints;
use super::mailbox::{Mail, Port};
use super::monitor::MonitorLease;
use super::read_first::ReadFirst;
use super::wait::SpinGauge;
use super::{Socket, mailbox};
use crate::abi::*;
use crate::ctx::Context;
use crate::ctx::inproc::{InprocEnd, InprocPeer, PeerFacts, combined_limit};
use crate::engine::{ASYNC_ONLY, Link, RxSet};
use crate::errno::{Error, Result};
use crate::io::{Event, Lease, limit};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::pipe::{Body, Pipe, PipeId, Pipes, Readiness, Sink};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Calls that may find nothing, without waiting, before the claim on the connections is given up.
const IDLE_CALLS: u32 = 16;

/// What stands behind a pipe.
pub(super) enum Behind {
    /// And the number of the endpoint.
    Network(Arc<Link>, u64),
    Inproc(InprocEnd),
}

/// An open socket.
pub struct Open {
    pub(super) socket: &'static Socket,
    pub(super) context: Arc<Context>,
    pub(super) port: Arc<Port>,
    pub(super) options: Options,
    pub(super) pattern: Box<dyn Pattern>,
    pub(super) pipes: Pipes,
    pub(super) behind: HashMap<PipeId, Behind>,
    pub(super) endpoints: Endpoints,
    pub(super) last_endpoint: Vec<u8>,
    /// ZMQ_RCVMORE.
    pub(super) receive_more: bool,
    /// The application uses ZMQ_FD: reading is left to the I/O thread.
    pub(super) background: bool,
    pub(super) read_set: Option<Arc<RxSet>>,
    pub(super) read_first: Option<ReadFirst>,
    pub(super) spin: SpinGauge,
    /// ZMQ_CONNECT_ROUTING_ID, for the next connect.
    pub(super) connect_routing_id: Option<Vec<u8>>,
    /// Held by every session and listener, too: while anybody has it the monitor listens and the
    /// context cannot end.
    pub(super) lease: Lease,
    /// Which memory of the pool this is.
    pub(super) number: usize,
    /// The address that is its handle, as a number.
    handle: usize,
    idle_calls: u32,
    pub(super) activated: Vec<PipeId>,
}

impl Open {
    pub(super) fn new(
        socket: &'static Socket,
        context: Arc<Context>,
        port: Arc<Port>,
        options: Options,
        pattern: Box<dyn Pattern>,
        number: usize,
        handle: *mut c_void,
    ) -> Open {
        let read_first = ReadFirst::new(options.socket_type);
        let lease = Arc::new(MonitorLease::new(port.monitor.clone(), context.lease()));
        Open {
            socket,
            lease,
            context,
            port,
            options,
            pattern,
            pipes: Pipes::default(),
            behind: HashMap::new(),
            endpoints: Endpoints::default(),
            last_endpoint: Vec::new(),
            receive_more: false,
            background: false,
            read_set: None,
            read_first,
            spin: SpinGauge::default(),
            connect_routing_id: None,
            number,
            handle: handle as usize,
            idle_calls: 0,
            activated: Vec::new(),
        }
    }

    /// True if this is what the handle stands for.
    #[inline(always)]
    pub(super) fn is_named(&self, handle: *mut c_void) -> bool {
        self.handle == handle as usize
    }

    /// The socket's number in its context.
    pub(super) fn id(&self) -> u64 {
        self.port.id
    }

    /// Deals with what other threads have told.
    #[inline]
    pub fn process_mail(&mut self) {
        if self.socket.has_mail() {
            self.process_mail_slow();
        }
    }

    #[cold]
    fn process_mail_slow(&mut self) {
        self.socket.resting.store(false, Ordering::Relaxed);
        for mail in self.socket.mailbox.take() {
            match mail {
                Mail::Readable(pipe) => self.activate_read(pipe),
                Mail::Writable(pipe) => {
                    if self.is_in_use(pipe) {
                        self.pattern.write_activated(&mut self.pipes, pipe);
                    }
                }
                Mail::Attach { pipe, link, endpoint } => {
                    self.attach(*pipe, Behind::Network(link, endpoint));
                }
                Mail::AttachInproc(pipe, end) => {
                    self.attach(*pipe, Behind::Inproc(end));
                }
                Mail::Connected { pipe, routing_id, again } => {
                    if self.is_in_use(pipe) {
                        if again {
                            self.pattern.hiccuped(&mut self.pipes, pipe);
                        }
                        self.pattern.identified(&mut self.pipes, pipe, &routing_id);
                    }
                }
                Mail::Bound(own, peer) => self.bound(own.pipe(), peer),
                Mail::PeerLimits(pipe, facts) => self.peer_limits(pipe, facts),
                Mail::Ended(pipe) => self.peer_ended(pipe),
                Mail::EndpointGone(endpoint) => self.endpoints.remove(endpoint),
            }
        }
        self.sweep();
        if self.read_first.is_some() {
            // There is a connection, perhaps.
            self.connections();
        }
    }

    pub(super) fn activate_read(&mut self, id: PipeId) {
        if self.is_in_use(id) {
            self.pattern.read_activated(&mut self.pipes, id);
        } else if let Some(pipe) = self.pipes.get_mut(id)
            && (pipe.check_read() == Readiness::Ended || pipe.write_ended())
        {
            self.pipes.ended.push(id);
        }
    }

    /// Whether the socket type knows the pipe.
    fn is_in_use(&self, id: PipeId) -> bool {
        self.pipes.get(id).is_some_and(|pipe| !pipe.given_up)
    }

    /// Adds a pipe to the socket.
    pub(super) fn attach(&mut self, pipe: Pipe, behind: Behind) -> PipeId {
        self.attach_as(pipe, behind, false)
    }

    /// Adds a pipe; with `subscribe_to_all` to a peer that cannot say what it wants.
    pub(super) fn attach_as(
        &mut self,
        mut pipe: Pipe,
        behind: Behind,
        subscribe_to_all: bool,
    ) -> PipeId {
        let (send, receive) = match &behind {
            Behind::Network(..) => (limit(self.options.sndhwm), limit(self.options.rcvhwm)),
            Behind::Inproc(end) => self.inproc_limits(end.peer.as_ref().map(|peer| &peer.facts)),
        };
        pipe.set_limits(send, receive);
        let id = self.pipes.insert(pipe);
        match &behind {
            Behind::Network(link, _) => link.set_pipe(id),
            Behind::Inproc(end) => end.own.set_pipe(id),
        }
        self.behind.insert(id, behind);
        self.pattern.attach(&mut self.pipes, id, subscribe_to_all);
        self.sweep();
        id
    }

    /// Both sides' high-water marks together; this side's alone until there is a peer.
    fn inproc_limits(&self, facts: Option<&PeerFacts>) -> (u64, u64) {
        let (send, receive) = (self.options.sndhwm, self.options.rcvhwm);
        match facts {
            Some(facts) => {
                (combined_limit(send, facts.rcvhwm), combined_limit(facts.sndhwm, receive))
            }
            None => (limit(send), limit(receive)),
        }
    }

    /// The name an inproc pipe has waited for is bound now.
    fn bound(&mut self, id: PipeId, peer: InprocPeer) {
        let facts = peer.facts.clone();
        if let Some(Behind::Inproc(end)) = self.behind.get_mut(&id) {
            end.peer = Some(peer);
        }
        let routing_id = facts.routing_id.clone();
        self.peer_limits(id, facts);
        if self.pipes.get(id).is_some() {
            self.pattern.identified(&mut self.pipes, id, &routing_id);
        }
    }

    fn peer_limits(&mut self, id: PipeId, facts: PeerFacts) {
        let (send, receive) = self.inproc_limits(Some(&facts));
        if let Some(Behind::Inproc(end)) = self.behind.get_mut(&id)
            && let Some(peer) = &mut end.peer
        {
            peer.facts = facts;
        }
        if let Some(pipe) = self.pipes.get_mut(id) {
            pipe.set_limits(send, receive);
            self.pattern.write_activated(&mut self.pipes, id);
        }
    }

    /// ZMQ_SNDHWM or ZMQ_RCVHWM has changed: live pipes follow.
    pub(super) fn limits_changed(&mut self) {
        let network = (limit(self.options.sndhwm), limit(self.options.rcvhwm));
        for id in self.pipes.ids() {
            let limits = match self.behind.get(&id) {
                Some(Behind::Network(link, _)) => {
                    link.set_receive_limit(network.1);
                    network
                }
                Some(Behind::Inproc(end)) => {
                    let facts = PeerFacts {
                        sndhwm: self.options.sndhwm,
                        rcvhwm: self.options.rcvhwm,
                        routing_id: Vec::new(),
                    };
                    if let Some(InprocPeer { end, .. }) = &end.peer {
                        end.port().peer_limits(end.pipe(), facts);
                    }
                    self.inproc_limits(end.peer.as_ref().map(|peer| &peer.facts))
                }
                None => continue,
            };
            if let Some(pipe) = self.pipes.get_mut(id) {
                pipe.set_limits(limits.0, limits.1);
            }
            if self.is_in_use(id) {
                self.pattern.write_activated(&mut self.pipes, id);
            }
        }
        self.context.inproc.update(self.id(), self.options.sndhwm, self.options.rcvhwm);
    }

    /// The peer of a pipe is gone. What it sent can still be read.
    pub(super) fn peer_ended(&mut self, id: PipeId) {
        let receives =
            !matches!(self.options.socket_type, ZMQ_PUB | ZMQ_PUSH | ZMQ_SCATTER | ZMQ_RADIO);
        let Some(pipe) = self.pipes.get_mut(id) else { return };
        pipe.close_out();
        if receives && !pipe.given_up && pipe.check_read() == Readiness::Ready {
            self.pattern.write_activated(&mut self.pipes, id);
            self.pattern.read_activated(&mut self.pipes, id);
        } else {
            self.detach(id);
        }
    }

    /// Removes a pipe and closes this end of it.
    pub(super) fn detach(&mut self, id: PipeId) {
        if self.pipes.get(id).is_none() {
            return;
        }
        self.pattern.detach(&mut self.pipes, id);
        let behind = self.behind.remove(&id);
        if let Some(mut pipe) = self.pipes.remove(id) {
            close_pipe(&mut pipe, behind.as_ref());
        }
    }

    /// Removes the pipes that were found to have ended, or that the socket type gives up.
    #[inline]
    pub(super) fn sweep(&mut self) {
        if !self.pipes.ended.is_empty() || !self.pipes.closing.is_empty() {
            self.sweep_slow();
        }
    }

    #[cold]
    fn sweep_slow(&mut self) {
        loop {
            if let Some(id) = self.pipes.ended.pop() {
                self.detach(id);
            } else if let Some(id) = self.pipes.closing.pop() {
                self.give_up(id);
            } else {
                return;
            }
        }
    }

    /// The socket type wants no more of a pipe. A ZMTP connection stays open all the same, unheard,
    /// until its peer goes: closed it would only come again.
    fn give_up(&mut self, id: PipeId) {
        if self.options.raw_socket || !matches!(self.behind.get(&id), Some(Behind::Network(..))) {
            self.detach(id);
            return;
        }
        self.pattern.detach(&mut self.pipes, id);
        if let Some(pipe) = self.pipes.get_mut(id) {
            pipe.given_up = true;
        }
        // Go to sleep, so that the end of the pipe is told.
        self.activate_read(id);
    }

    /// Reports the lengths of all queues to the monitor. EINVAL when it has not asked for that,
    /// EAGAIN without pipes.
    pub(super) fn report_pipes(&mut self) -> Result<()> {
        let event = ZMQ_EVENT_PIPES_STATS as u64;
        if !self.port.monitor.wants(event) {
            return Err(Error::INVAL);
        }
        if self.pipes.is_empty() {
            return Err(Error::AGAIN);
        }
        let uri = self.last_endpoint.clone();
        for pipe in self.pipes.iter_mut() {
            let (out, into) = pipe.queue_lengths();
            self.port.monitor.report(&Event {
                event,
                values: vec![out, into],
                local: uri.clone(),
                remote: uri.clone(),
                bound: true,
            });
        }
        Ok(())
    }

    // Sending and receiving, without waiting.

    /// See [`Pattern::send`].
    #[inline]
    pub fn try_send(&mut self, body: &mut Body<'_>, more: bool) -> Result<()> {
        let result = self.pattern.send(&mut self.pipes, body, more);
        self.sweep();
        result
    }

    /// See [`Pattern::receive`].
    #[inline]
    pub fn try_receive(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let result = self.pattern.receive(&mut self.pipes, sink);
        self.sweep();
        if result.is_ok() {
            self.receive_more = sink.more();
        }
        result
    }

    /// ZMQ_POLLIN and ZMQ_POLLOUT as they are now.
    pub fn readiness(&mut self) -> (bool, bool) {
        (self.can_receive(), self.can_send())
    }

    /// ZMQ_POLLIN as it is now.
    pub fn can_receive(&mut self) -> bool {
        self.process_mail();
        let mut input = self.pattern.can_receive(&mut self.pipes);
        if !input && self.read_claimed() {
            input = self.pattern.can_receive(&mut self.pipes);
        }
        self.sweep();
        if !input && !self.is_claimed() {
            self.socket.resting.store(true, Ordering::Release);
        }
        input
    }

    /// ZMQ_POLLOUT as it is now.
    #[inline]
    pub fn can_send(&mut self) -> bool {
        self.process_mail();
        let output = self.pattern.can_send(&mut self.pipes);
        self.sweep();
        output
    }

    // The claim on the connections.

    /// The set of connections, once there is one.
    pub fn connections(&mut self) -> Option<&Arc<RxSet>> {
        if self.read_set.is_none() {
            self.read_set = self.socket.read_set();
        }
        self.read_set.as_ref()
    }

    /// Claims the connections for a caller about to wait. False: there are none, or the I/O thread
    /// keeps them.
    pub fn claim(&mut self) -> bool {
        self.socket.resting.store(false, Ordering::Relaxed);
        !ASYNC_ONLY && !self.background && self.connections().is_some_and(|set| set.claim())
    }

    pub fn is_claimed(&self) -> bool {
        self.read_set.as_ref().is_some_and(|set| set.is_claimed())
    }

    /// Gives the connections back to the I/O thread.
    pub fn release(&mut self) {
        self.idle_calls = 0;
        if let Some(set) = &self.read_set {
            set.release();
        }
    }

    /// Ends a wait: keeps the claim for the next call in lively traffic, unless other threads sleep
    /// on this socket; then, and in sparse traffic, the I/O thread is to read.
    pub fn settle_claim(&mut self, lively: bool) {
        if !self.is_claimed() {
            return;
        }
        if lively && !self.socket.has_waiters() { self.keep_claim() } else { self.release() }
    }

    /// Keeps the claim for the next call.
    #[inline]
    fn keep_claim(&self) {
        if let Some(set) = &self.read_set {
            set.keep();
        }
    }

    /// Reads what the connections have, if this side has the claim. True: something came.
    pub fn read_claimed(&mut self) -> bool {
        let Some(set) = &self.read_set else { return false };
        if !set.is_claimed() {
            return false;
        }
        let mut activated = std::mem::take(&mut self.activated);
        let found = set.read_claimed(&mut activated);
        for pipe in activated.drain(..) {
            self.activate_read(pipe);
        }
        self.activated = activated;
        if found {
            self.process_mail();
            if self.socket.has_waiters() {
                // What was read may be what another thread sleeps for.
                self.socket.notify();
            }
        }
        found
    }

    /// A call that does not wait has found nothing. After many of these in a row the application
    /// is taken to poll, and the I/O thread reads instead.
    pub(super) fn found_nothing(&mut self) {
        if self.is_claimed() {
            self.idle_calls += 1;
            if self.idle_calls >= IDLE_CALLS {
                self.release();
            } else {
                self.keep_claim();
            }
        }
    }

    #[inline]
    pub(super) fn found_something(&mut self) {
        self.idle_calls = 0;
    }

    /// Ends everything. The caller has taken this state out of the socket.
    pub(super) fn close(mut self) {
        self.release();
        self.context.inproc.forget(self.id());
        self.stop_listening();
        let linger = self.options.linger;
        for handle in self.context.started_io_handles() {
            handle.post(crate::io::Command::CloseSocket { socket: self.id(), linger });
        }
        for pipe in self.pipes.iter_mut() {
            close_pipe(pipe, self.behind.get(&pipe.id));
        }
        for mail in self.socket.end_generation() {
            mailbox::reject(mail);
        }
        *self.socket.read_set.lock() = None;
        self.context.leave(self.id());
    }
}

/// Closes this end of a pipe. A peer in the same process may have asked for a word about it.
fn close_pipe(pipe: &mut Pipe, behind: Option<&Behind>) {
    if let Some(Behind::Inproc(InprocEnd { peer: Some(peer), .. })) = behind
        && !peer.farewell.is_empty()
    {
        pipe.rollback();
        if pipe.write(&mut Body::Bytes(&peer.farewell), false).is_ok() {
            pipe.flush();
        }
    }
    pipe.close();
}
