// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The inproc names of a context: who is bound, and who waits for somebody to bind.

use crate::engine::Owner;
use crate::errno::{Error, Result};
use crate::io::limit;
use crate::pipe::rope::Writer;
use crate::pipe::{Body, Peer, Pipe, PipeId, UNLIMITED, pair};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one side of an inproc pipe has to know of the other.
#[derive(Clone)]
pub struct Side {
    /// The socket's number.
    pub socket: u64,
    pub socket_type: i32,
    pub port: Arc<dyn InprocPort>,
    /// High-water marks in messages, as the options have them.
    pub sndhwm: i32,
    pub rcvhwm: i32,
    pub routing_id: Vec<u8>,
    /// This side wants to know the other's routing id.
    pub recv_routing_id: bool,
    /// The first message for every peer (ZMQ_HELLO_MSG); empty for none.
    pub hello: Vec<u8>,
    /// What this side receives, if it has bound, when a peer goes (ZMQ_DISCONNECT_MSG); empty for
    /// none.
    pub disconnect: Vec<u8>,
    /// This side keeps the newest message only of what it sends, of what it receives.
    pub conflate: (bool, bool),
}

/// A socket as its inproc peers see it. None of these calls blocks.
pub trait InprocPort: Owner {
    /// A pipe to a peer that has connected.
    fn attach_inproc(&self, pipe: Pipe, end: InprocEnd);

    /// The peer has attached its own end, too. Called without the lock on the names.
    fn peer_attached(&self) {}

    /// The peer has closed its end of this pipe; what it sent can still be read.
    fn peer_gone(&self, pipe: PipeId);

    /// The name that the pipe of `own` waits for has been bound by `peer`.
    fn bound(&self, own: &Arc<End>, peer: InprocPeer);

    /// The peer's high-water marks have changed.
    fn peer_limits(&self, pipe: PipeId, peer: PeerFacts);
}

/// What can change about a peer.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    pub sndhwm: i32,
    pub rcvhwm: i32,
    /// The peer's routing id, if this side wants it.
    pub routing_id: Vec<u8>,
}

impl PeerFacts {
    /// What `peer` looks like to `side`.
    fn of(peer: &Side, side: &Side) -> PeerFacts {
        PeerFacts {
            sndhwm: peer.sndhwm,
            rcvhwm: peer.rcvhwm,
            routing_id: if side.recv_routing_id { peer.routing_id.clone() } else { Vec::new() },
        }
    }
}

/// One end of an inproc pipe, as the other end finds it.
pub struct End {
    port: Arc<dyn InprocPort>,
    pipe: AtomicU64,
}

impl End {
    fn new(port: Arc<dyn InprocPort>) -> Arc<End> {
        Arc::new(End { port, pipe: AtomicU64::new(PipeId::NONE.to_raw()) })
    }

    /// The pipe's id in its socket.
    pub fn set_pipe(&self, pipe: PipeId) {
        self.pipe.store(pipe.to_raw(), Ordering::SeqCst);
    }

    pub fn pipe(&self) -> PipeId {
        PipeId::from_raw(self.pipe.load(Ordering::SeqCst))
    }

    pub fn port(&self) -> &Arc<dyn InprocPort> {
        &self.port
    }
}

impl Peer for End {
    #[inline]
    fn written(&self, writer: &mut Writer) {
        if writer.commit() {
            self.port.readable(self.pipe());
        }
    }

    fn replaced(&self) {
        self.port.readable(self.pipe());
    }

    fn credit(&self) {
        self.port.writable(self.pipe());
    }

    fn closed(&self) {
        self.port.peer_gone(self.pipe());
    }
}

/// What a socket keeps beside an inproc pipe.
pub struct InprocEnd {
    /// This side's own end, which the peer writes to.
    pub own: Arc<End>,
    /// `None` until the name is bound.
    pub peer: Option<InprocPeer>,
}

/// The other end of an inproc pipe.
pub struct InprocPeer {
    pub end: Arc<End>,
    pub facts: PeerFacts,
    /// What the peer is to receive when this end closes; empty for nothing.
    pub farewell: Vec<u8>,
}

/// How many messages fit into a pipe: the sender's mark plus the receiver's.
pub fn combined_limit(send: i32, receive: i32) -> u64 {
    match (limit(send), limit(receive)) {
        (UNLIMITED, _) | (_, UNLIMITED) => UNLIMITED,
        (send, receive) => send + receive,
    }
}

struct Pending {
    side: Side,
    /// The end for whoever binds.
    pipe: Pipe,
    connecter: Arc<End>,
    binder: Arc<Unbound>,
}

/// The peer of a pipe whose name nobody has bound yet: it hears nothing until then.
struct Unbound {
    end: Mutex<Option<Arc<End>>>,
}

impl Peer for Unbound {
    fn written(&self, writer: &mut Writer) {
        let asleep = writer.commit();
        if let Some(end) = &*self.end.lock()
            && asleep
        {
            end.port.readable(end.pipe());
        }
    }

    fn replaced(&self) {
        if let Some(end) = &*self.end.lock() {
            end.replaced();
        }
    }

    fn credit(&self) {
        if let Some(end) = &*self.end.lock() {
            end.credit();
        }
    }

    fn closed(&self) {
        if let Some(end) = &*self.end.lock() {
            end.closed();
        }
    }
}

#[derive(Default)]
struct Names {
    bound: HashMap<Vec<u8>, Side>,
    pending: HashMap<Vec<u8>, Vec<Pending>>,
}

/// The inproc names of a context.
#[derive(Default)]
pub struct Registry(Mutex<Names>);

impl Registry {
    /// Binds a name. EADDRINUSE: somebody has. Whoever waits for it is attached.
    pub fn bind(&self, name: &[u8], side: Side) -> Result<()> {
        let mut names = self.0.lock();
        if names.bound.contains_key(name) {
            return Err(Error::ADDRINUSE);
        }
        for pending in names.pending.remove(name).unwrap_or_default() {
            let Pending { side: connecter_side, mut pipe, connecter, binder } = pending;
            let end = End::new(side.port.clone());
            *binder.end.lock() = Some(end.clone());
            let facts = PeerFacts::of(&connecter_side, &side);
            pipe.routing_id = facts.routing_id.clone();
            pipe.set_limits(
                combined_limit(side.sndhwm, connecter_side.rcvhwm),
                combined_limit(connecter_side.sndhwm, side.rcvhwm),
            );
            let binder_facts = PeerFacts::of(&side, &connecter_side);
            let farewell = side.disconnect.clone();
            let binder = InprocPeer { end: end.clone(), facts: binder_facts, farewell };
            connecter_side.port.bound(&connecter, binder);
            greet(&mut pipe, &side.hello);
            let peer = Some(InprocPeer { end: connecter, facts, farewell: Vec::new() });
            side.port.attach_inproc(pipe, InprocEnd { own: end, peer });
        }
        names.bound.insert(name.to_vec(), side);
        Ok(())
    }

    /// Removes a name that this socket has bound. ENOENT.
    pub fn unbind(&self, name: &[u8], socket: u64) -> Result<()> {
        let mut names = self.0.lock();
        match names.bound.get(name) {
            Some(side) if side.socket == socket => {
                names.bound.remove(name);
                Ok(())
            }
            _ => Err(Error::NOENT),
        }
    }

    /// Forgets everything of a socket that is being closed.
    pub fn forget(&self, socket: u64) {
        let mut names = self.0.lock();
        names.bound.retain(|_, side| side.socket != socket);
        // A pending connect stays: whoever binds later still gets the messages.
        names.pending.retain(|_, waiting| !waiting.is_empty());
    }

    /// Drops the pending connects of a context that is going away.
    pub fn clear(&self) {
        let mut names = self.0.lock();
        names.pending.clear();
        names.bound.clear();
    }

    /// What a socket that binds or is connected to has as options now.
    pub fn update(&self, socket: u64, sndhwm: i32, rcvhwm: i32) {
        let mut names = self.0.lock();
        for side in names.bound.values_mut().filter(|side| side.socket == socket) {
            side.sndhwm = sndhwm;
            side.rcvhwm = rcvhwm;
        }
        for pending in names.pending.values_mut().flatten() {
            if pending.side.socket == socket {
                pending.side.sndhwm = sndhwm;
                pending.side.rcvhwm = rcvhwm;
            }
        }
    }

    /// Connects to a name, bound or not: the connecter's end of the pipe, and what to keep with it.
    pub fn connect(&self, name: &[u8], side: Side) -> Result<(Pipe, InprocEnd)> {
        let mut names = self.0.lock();
        if let Some(binder) = names.bound.get(name) {
            return join(&side, binder, true);
        }
        let own = End::new(side.port.clone());
        let binder = Arc::new(Unbound { end: Mutex::new(None) });
        let (mut pipe, mut other) =
            pair((binder.clone(), own.clone()), (limit(side.sndhwm), limit(side.rcvhwm)))?;
        conflate(&side, &mut pipe, &mut other);
        pipe.awaiting_identity = side.recv_routing_id;
        greet(&mut pipe, &side.hello);
        let waiting = Pending { side, pipe: other, connecter: own.clone(), binder };
        names.pending.entry(name.to_vec()).or_default().push(waiting);
        Ok((pipe, InprocEnd { own, peer: None }))
    }

    /// Connects to a name if a socket of one of these types has bound it; `None` otherwise.
    pub fn connect_bound(&self, name: &[u8], types: &[i32], side: &Side) -> Result<Option<Pipe>> {
        let names = self.0.lock();
        match names.bound.get(name) {
            Some(binder) if types.contains(&binder.socket_type) => {
                join(side, binder, false).map(|(pipe, _)| Some(pipe))
            }
            _ => Ok(None),
        }
    }
}

/// Makes the pipe between two sides: the binder's end is attached to it, the connecter's returned.
/// `greeting`: each says hello to the other.
fn join(side: &Side, binder: &Side, greeting: bool) -> Result<(Pipe, InprocEnd)> {
    let own = End::new(side.port.clone());
    let peer = End::new(binder.port.clone());
    let send = combined_limit(side.sndhwm, binder.rcvhwm);
    let receive = combined_limit(binder.sndhwm, side.rcvhwm);
    let (mut pipe, mut other) = pair((peer.clone(), own.clone()), (send, receive))?;
    conflate(side, &mut pipe, &mut other);
    let facts = PeerFacts::of(binder, side);
    let other_facts = PeerFacts::of(side, binder);
    pipe.routing_id = facts.routing_id.clone();
    other.routing_id = other_facts.routing_id.clone();
    if greeting {
        greet(&mut pipe, &side.hello);
        greet(&mut other, &binder.hello);
    }
    let connecter = InprocPeer { end: own.clone(), facts: other_facts, farewell: Vec::new() };
    let other_end = InprocEnd { own: peer.clone(), peer: Some(connecter) };
    binder.port.attach_inproc(other, other_end);
    let farewell = binder.disconnect.clone();
    Ok((pipe, InprocEnd { own, peer: Some(InprocPeer { end: peer, facts, farewell }) }))
}

/// Writes the first message of a pipe.
fn greet(pipe: &mut Pipe, hello: &[u8]) {
    if !hello.is_empty() && pipe.write(&mut Body::Bytes(hello), false).is_ok() {
        pipe.flush();
    }
}

/// Makes the pipe keep the newest message only, if the connecting side asks for it.
fn conflate(side: &Side, pipe: &mut Pipe, other: &mut Pipe) {
    use crate::pipe::Latest;
    let out = side.conflate.0.then(Latest::default);
    let into = side.conflate.1.then(Latest::default);
    pipe.conflate(out.clone(), into.clone());
    other.conflate(into, out);
}
