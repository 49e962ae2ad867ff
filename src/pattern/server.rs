// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! SERVER: each message received carries its peer's routing id, each one sent goes to the peer whose
//! routing id it carries (RFC 41).
//!
//! Routing ids are numbers made up here, one a pipe, never 0. They are no part of what goes over
//! the wire.

use super::Pattern;
use super::fair_queue::FairQueue;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Also the ground PEER stands on.
pub struct Server {
    incoming: FairQueue,
    /// Invariant: every pipe in here has the id it is entered under as its `server_id`.
    by_id: HashMap<u32, PipeId>,
    next_id: u32,
}

impl Default for Server {
    fn default() -> Server {
        Server::numbering_from(RandomState::new().hash_one(0) as u32)
    }
}

impl Pattern for Server {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        let routing_id = self.unused_id();
        if let Some(pipe) = pipes.get_mut(id) {
            pipe.server_id = routing_id;
            self.by_id.insert(routing_id, id);
        }
        self.incoming.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(pipe) = pipes.get(id) {
            self.by_id.remove(&pipe.server_id);
        }
        self.incoming.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    fn pipe_of(&self, routing_id: u32) -> Result<PipeId> {
        self.by_id.get(&routing_id).copied().ok_or(Error::HOSTUNREACH)
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if more {
            return Err(Error::INVAL);
        }
        let id = self.pipe_of(body.routing_id())?;
        let pipe = pipes.get_mut(id).ok_or(Error::HOSTUNREACH)?;
        if !pipe.check_write() {
            return Err(if pipe.write_ended() { Error::HOSTUNREACH } else { Error::AGAIN });
        }
        pipe.write(body, false)?;
        pipe.flush();
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        let id = self.incoming.receive_single(pipes, sink)?;
        if let Some(pipe) = pipes.get(id) {
            sink.set_routing_id(pipe.server_id);
        }
        Ok(())
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive_single(pipes)
    }

    /// Always, in theory: it depends on the peer.
    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }
}

impl Server {
    fn numbering_from(next_id: u32) -> Server {
        Server { incoming: FairQueue::default(), by_id: HashMap::new(), next_id }
    }

    fn unused_id(&mut self) -> u32 {
        loop {
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            if id != 0 && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::abi::{ZMQ_PEER, ZMQ_SERVER};

    const TYPES: [i32; 2] = [ZMQ_SERVER, ZMQ_PEER];

    #[test]
    fn answers_go_to_who_has_asked() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            let clients = [bench.connect(), bench.connect()];
            for (client, name) in clients.into_iter().zip(["one", "other"]) {
                bench.put(client, &[name]);
            }
            let asked = [(); 2].map(|()| bench.receive_from().unwrap());
            let [(one, _), (other, _)] = asked.clone();
            assert_eq!(asked.map(|(_, text)| text), ["one", "other"]);
            assert!(one != 0 && other != 0 && one != other);
            bench.send_to(other, "to the other").unwrap();
            bench.send_to(one, "to the one").unwrap();
            assert_eq!(bench.take(clients[0]), [["to the one"]]);
            assert_eq!(bench.take(clients[1]), [["to the other"]]);
        }
    }

    #[test]
    fn unroutable_messages() {
        for socket_type in TYPES {
            let mut bench = Bench::with_limits(socket_type, (1, 1));
            assert!(bench.can_send());
            let client = bench.connect();
            bench.put(client, &["x"]);
            let (id, _) = bench.receive_from().unwrap();
            // Bytes carry no id.
            assert_eq!(bench.send(&["no"]), Err(Error::HOSTUNREACH));
            assert_eq!(bench.send_to(0, "y"), Err(Error::HOSTUNREACH));
            assert_eq!(bench.send_to(id.wrapping_add(1), "y"), Err(Error::HOSTUNREACH));
            assert_eq!(bench.send_part("y", true), Err(Error::INVAL));
            bench.send_to(id, "y").unwrap();
            assert_eq!(bench.send_to(id, "full"), Err(Error::AGAIN));
            assert_eq!(bench.take(client), [["y"]]);
            bench.send_to(id, "z").unwrap();
            bench.kill(client);
            assert_eq!(bench.send_to(id, "gone"), Err(Error::HOSTUNREACH));
            bench.detach(client);
            assert_eq!(bench.send_to(id, "gone"), Err(Error::HOSTUNREACH));
            assert_eq!(bench.pattern.pipe_of(id), Err(Error::HOSTUNREACH));
        }
    }

    #[test]
    fn messages_of_several_parts_are_dropped() {
        let mut bench = Bench::new(ZMQ_SERVER);
        let [one, other] = [bench.connect(), bench.connect()];
        bench.put(one, &["a", "b"]);
        assert!(!bench.can_receive());
        bench.put(one, &["a", "b", "c"]);
        bench.put(other, &["good"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive_from().unwrap().1, "good");
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn ids_are_never_zero_or_taken() {
        let mut bench = Bench::new(ZMQ_SERVER);
        bench.pattern = Box::new(Server::numbering_from(u32::MAX - 1));
        let peers = [(); 3].map(|()| bench.connect());
        let numbers = peers.map(|peer| bench.pipes.get(bench.id(peer)).unwrap().server_id);
        assert_eq!(numbers, [u32::MAX - 1, u32::MAX, 1]);
        let mut server = Server::numbering_from(7);
        server.by_id.insert(7, PipeId::NONE);
        server.by_id.insert(8, PipeId::NONE);
        assert_eq!(server.unused_id(), 9);
    }
}
