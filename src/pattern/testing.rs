// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A socket type with peers in memory, for the tests of this layer.
//!
//! [`Bench`] does what a socket does around its socket type: it passes on wake-ups and credit, and
//! removes pipes that have ended or are given up. Peers are numbered in the order they came.

use super::Pattern;
use crate::errno::Result;
use crate::msg::Msg;
use crate::pipe::rope::Writer;
use crate::pipe::{Body, Peer, Pipe, PipeId, Pipes, Sink, UNLIMITED, pair};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The last part of a message that is one part, and so on.
pub type Message = Vec<String>;

pub struct Bench {
    pub pattern: Box<dyn Pattern>,
    pub pipes: Pipes,
    peers: Vec<Remote>,
    limits: (u64, u64),
}

struct Remote {
    id: PipeId,
    pipe: Option<Pipe>,
    /// What the socket tells the peer, and what the peer tells the socket.
    told: Arc<Notes>,
    tells: Arc<Notes>,
}

/// Records what an end of a pipe tells the other.
#[derive(Default)]
struct Notes {
    wake: AtomicBool,
    credit: AtomicBool,
    closed: AtomicBool,
}

impl Peer for Notes {
    fn written(&self, writer: &mut Writer) {
        if writer.commit() {
            self.wake.store(true, Ordering::Relaxed);
        }
    }

    fn replaced(&self) {
        self.wake.store(true, Ordering::Relaxed);
    }

    fn credit(&self) {
        self.credit.store(true, Ordering::Relaxed);
    }

    fn closed(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// How a peer is connected; see [`Pipe`].
#[derive(Default)]
pub struct Connecting<'a> {
    pub routing_id: &'a [u8],
    pub awaiting_identity: bool,
    pub subscribe_to_all: bool,
    pub conflate: bool,
}

impl Bench {
    pub fn new(socket_type: i32) -> Bench {
        Bench::with_limits(socket_type, (UNLIMITED, UNLIMITED))
    }

    /// `limits`: high-water marks of what the socket sends, and of what its peers send.
    pub fn with_limits(socket_type: i32, limits: (u64, u64)) -> Bench {
        let pattern = super::new(socket_type).expect("a socket type");
        Bench { pattern, pipes: Pipes::default(), peers: Vec::new(), limits }
    }

    pub fn connect(&mut self) -> usize {
        self.connect_as(Connecting::default())
    }

    pub fn connect_conflating(&mut self) -> usize {
        self.connect_as(Connecting { conflate: true, ..Connecting::default() })
    }

    pub fn connect_as(&mut self, how: Connecting<'_>) -> usize {
        let (told, tells) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let (mut local, mut remote) = pair((told.clone(), tells.clone()), self.limits).unwrap();
        local.routing_id = how.routing_id.to_vec();
        local.awaiting_identity = how.awaiting_identity;
        if how.conflate {
            let latest = crate::pipe::Latest::default();
            local.conflate(None, Some(latest.clone()));
            remote.conflate(Some(latest), None);
        }
        let id = self.pipes.insert(local);
        self.peers.push(Remote { id, pipe: Some(remote), told, tells });
        self.pattern.attach(&mut self.pipes, id, how.subscribe_to_all);
        self.pump();
        self.peers.len() - 1
    }

    pub fn id(&self, peer: usize) -> PipeId {
        self.peers[peer].id
    }

    /// Whether the socket has removed the pipe.
    pub fn closed(&self, peer: usize) -> bool {
        self.pipes.get(self.peers[peer].id).is_none()
    }

    /// The routing id the socket knows the peer by.
    pub fn routing_id(&self, peer: usize) -> Vec<u8> {
        self.pipes.get(self.id(peer)).unwrap().routing_id.clone()
    }

    pub fn identify(&mut self, peer: usize, routing_id: &str) {
        let id = self.id(peer);
        self.pattern.identified(&mut self.pipes, id, routing_id.as_bytes());
        self.pump();
    }

    pub fn hiccup(&mut self, peer: usize) {
        let id = self.id(peer);
        self.pattern.hiccuped(&mut self.pipes, id);
        self.pump();
    }

    /// The peer closes its end.
    pub fn leave(&mut self, peer: usize) {
        self.peers[peer].pipe.as_mut().unwrap().close();
        self.peers[peer].pipe = None;
        self.pump();
    }

    /// The peer is gone, and nobody has told the socket.
    pub fn kill(&mut self, peer: usize) {
        self.peers[peer].pipe = None;
    }

    /// The socket removes the pipe, as after zmq_disconnect.
    pub fn detach(&mut self, peer: usize) {
        self.remove(self.id(peer));
        self.pump();
    }

    /// The peer sends a message; false when it has no room.
    pub fn put(&mut self, peer: usize, message: &[&str]) -> bool {
        let message: Vec<&[u8]> = message.iter().map(|part| part.as_bytes()).collect();
        self.put_bytes(peer, &message)
    }

    pub fn put_bytes(&mut self, peer: usize, message: &[&[u8]]) -> bool {
        let pipe = self.peers[peer].pipe.as_mut().unwrap();
        if !pipe.check_write() {
            return false;
        }
        for (index, part) in message.iter().enumerate() {
            pipe.write(&mut Body::Bytes(part), index + 1 < message.len()).unwrap();
        }
        pipe.flush();
        self.pump();
        true
    }

    /// The peer sends a command.
    pub fn put_command(&mut self, peer: usize, command: &str) {
        let pipe = self.peers[peer].pipe.as_mut().unwrap();
        assert!(pipe.check_write());
        pipe.write_command(command.as_bytes()).unwrap();
        pipe.flush();
        self.pump();
    }

    /// Everything the peer has been sent; commands in one part that begins with a slash.
    pub fn take(&mut self, peer: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut message = Message::new();
        if let Some(pipe) = self.peers[peer].pipe.as_mut() {
            while pipe.check_read() == crate::pipe::Readiness::Ready {
                let frame = pipe.frame().unwrap();
                let text = String::from_utf8_lossy(frame.body).into_owned();
                message.push(if frame.is_command() { format!("/{text}") } else { text });
                let more = frame.more();
                pipe.skip();
                if !more {
                    messages.push(std::mem::take(&mut message));
                }
            }
        }
        self.pump();
        messages
    }

    /// The parts of the one message the peer has been sent.
    pub fn take_bytes(&mut self, peer: usize) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        let pipe = self.peers[peer].pipe.as_mut().unwrap();
        while let Some(frame) = pipe.frame() {
            parts.push(frame.body.to_vec());
            pipe.skip();
        }
        self.pump();
        parts
    }

    pub fn send(&mut self, message: &[&str]) -> Result<()> {
        for (index, part) in message.iter().enumerate() {
            self.send_part(part, index + 1 < message.len())?;
        }
        Ok(())
    }

    pub fn send_part(&mut self, part: &str, more: bool) -> Result<()> {
        self.send_bytes(part.as_bytes(), more)
    }

    /// Sends as bytes or as a message, in turn, as both must do the same.
    pub fn send_bytes(&mut self, part: &[u8], more: bool) -> Result<()> {
        let result = if part.len().is_multiple_of(2) {
            self.pattern.send(&mut self.pipes, &mut Body::Bytes(part), more)
        } else {
            let mut message = Msg::from_slice(part).unwrap();
            let sent = self.pattern.send(&mut self.pipes, &mut Body::Message(&mut message), more);
            assert!(sent.is_ok() || message.data() == part, "an error leaves the message");
            sent
        };
        self.pump();
        result
    }

    /// Sends to the peer with this number (SERVER, PEER).
    pub fn send_to(&mut self, routing_id: u32, part: &str) -> Result<()> {
        let mut message = Msg::from_slice(part.as_bytes()).unwrap();
        message.set_routing_id(routing_id);
        let result = self.pattern.send(&mut self.pipes, &mut Body::Message(&mut message), false);
        self.pump();
        result
    }

    /// Sends a message with a group.
    pub fn send_to_group(&mut self, group: &str, body: &str) -> Result<()> {
        let mut message = Msg::from_slice(body.as_bytes()).unwrap();
        message.set_group(group.as_bytes()).unwrap();
        let result = self.pattern.send(&mut self.pipes, &mut Body::Message(&mut message), false);
        self.pump();
        result
    }

    /// Receives a message and the number of its peer (SERVER, PEER).
    pub fn receive_from(&mut self) -> Result<(u32, String)> {
        let mut message = Msg::new();
        let result = self.pattern.receive(&mut self.pipes, &mut Sink::Message(&mut message));
        self.pump();
        let text = String::from_utf8_lossy(message.data()).into_owned();
        result.map(|()| (message.routing_id(), text))
    }

    /// A message of one part, and its group.
    pub fn receive_with_group(&mut self) -> Result<(String, String)> {
        let mut message = Msg::new();
        let result = self.pattern.receive(&mut self.pipes, &mut Sink::Message(&mut message));
        self.pump();
        assert!(!message.more());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        result.map(|()| (text(message.data()), text(message.group())))
    }

    pub fn receive(&mut self) -> Result<Message> {
        let mut message = Message::new();
        loop {
            let (part, more) = self.receive_part()?;
            message.push(part);
            if !more {
                return Ok(message);
            }
        }
    }

    pub fn receive_part(&mut self) -> Result<(String, bool)> {
        let (part, more) = self.receive_bytes()?;
        Ok((String::from_utf8_lossy(&part).into_owned(), more))
    }

    pub fn receive_bytes(&mut self) -> Result<(Vec<u8>, bool)> {
        let mut message = Msg::new();
        let result = self.pattern.receive(&mut self.pipes, &mut Sink::Message(&mut message));
        self.pump();
        result.map(|()| (message.data().to_vec(), message.more()))
    }

    pub fn can_receive(&mut self) -> bool {
        let can = self.pattern.can_receive(&mut self.pipes);
        self.pump();
        can
    }

    pub fn can_send(&mut self) -> bool {
        self.pattern.can_send(&mut self.pipes)
    }

    pub fn set_int(&mut self, option: i32, value: i32) -> Result<()> {
        self.set_option(option, &value.to_ne_bytes())
    }

    pub fn set_option(&mut self, option: i32, value: &[u8]) -> Result<()> {
        let result = self.pattern.set_option(&mut self.pipes, option, value);
        self.pump();
        result
    }

    pub fn option(&mut self, option: i32) -> Result<i32> {
        self.pattern.option(&mut self.pipes, option)
    }

    fn remove(&mut self, id: PipeId) {
        if self.pipes.get(id).is_some() {
            self.pattern.detach(&mut self.pipes, id);
            self.pipes.remove(id).unwrap().close();
        }
    }

    /// Passes on what the ends of the pipes told each other.
    fn pump(&mut self) {
        for index in 0..self.peers.len() {
            let Remote { id, tells, told, .. } = &self.peers[index];
            let (id, tells) = (*id, tells.clone());
            told.wake.store(false, Ordering::Relaxed);
            if self.pipes.get(id).is_none() {
                continue;
            }
            let woken = tells.wake.swap(false, Ordering::Relaxed);
            if woken || tells.closed.swap(false, Ordering::Relaxed) {
                self.pattern.read_activated(&mut self.pipes, id);
            }
            if tells.credit.swap(false, Ordering::Relaxed) {
                self.pattern.write_activated(&mut self.pipes, id);
            }
        }
        for id in std::mem::take(&mut self.pipes.ended) {
            self.remove(id);
        }
        for id in std::mem::take(&mut self.pipes.closing) {
            self.remove(id);
        }
    }
}
