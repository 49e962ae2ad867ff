// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! PEER: a SERVER that also connects, and knows the routing id of a peer it has connected to before
//! that peer has said anything (RFC 51; zmq_connect_peer(3)).

use super::Pattern;
use super::server::Server;
use crate::errno::Result;
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Peer {
    server: Server,
    last_peer: u32,
}

impl Pattern for Peer {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.server.attach(pipes, id, subscribe_to_all);
        if let Some(pipe) = pipes.get(id) {
            self.last_peer = pipe.server_id;
        }
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.server.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.server.read_activated(pipes, id);
    }

    fn pipe_of(&self, routing_id: u32) -> Result<PipeId> {
        self.server.pipe_of(routing_id)
    }

    fn last_peer(&self) -> u32 {
        self.last_peer
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        self.server.send(pipes, body, more)
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.server.receive(pipes, sink)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.server.can_receive(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.server.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::{ZMQ_PEER, ZMQ_SERVER};

    #[test]
    fn the_peer_attached_last_is_known() {
        let mut bench = Bench::new(ZMQ_PEER);
        assert_eq!(bench.pattern.last_peer(), 0);
        for _ in 0..2 {
            let peer = bench.connect();
            let id = bench.pattern.last_peer();
            assert_eq!(bench.pattern.pipe_of(id), Ok(bench.id(peer)));
            bench.send_to(id, "hello").unwrap();
            assert_eq!(bench.take(peer), [["hello"]]);
        }
        assert_eq!(Bench::new(ZMQ_SERVER).pattern.last_peer(), 0);
    }
}
