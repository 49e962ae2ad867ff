// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! PAIR: one peer (RFC 31). Further pipes are given up as they come; when the peer goes, its place
//! is free for the next one that comes.

use super::Pattern;
use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use crate::errno::Result;
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Pair {
    peer: Option<PipeId>,
    pub(super) incoming: FairQueue,
    outgoing: LoadBalancer,
}

impl Pattern for Pair {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        if self.peer.is_some() {
            pipes.closing.push(id);
            return;
        }
        self.peer = Some(id);
        self.incoming.attach(pipes, id);
        self.outgoing.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.peer == Some(id) {
            self.peer = None;
            self.incoming.detach(pipes, id);
            self.outgoing.detach(pipes, id);
        }
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        self.outgoing.send(pipes, body, more).map(drop)
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.incoming.receive(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.outgoing.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_PAIR;
    use crate::errno::Error;

    #[test]
    fn without_a_peer_there_is_nowhere_to_send() {
        let mut bench = Bench::new(ZMQ_PAIR);
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(!bench.can_send() && !bench.can_receive());
    }

    #[test]
    fn one_peer_at_a_time() {
        let mut bench = Bench::new(ZMQ_PAIR);
        let first = bench.connect();
        let second = bench.connect();
        assert!(bench.closed(second) && !bench.closed(first));
        bench.send(&["a", "b"]).unwrap();
        assert_eq!(bench.take(first), [["a", "b"]]);
        bench.put(first, &["c"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["c"]);

        bench.leave(first);
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
        let third = bench.connect();
        bench.send(&["y"]).unwrap();
        assert_eq!(bench.take(third), [["y"]]);
    }

    #[test]
    fn what_the_peer_sent_before_it_left_is_received() {
        let mut bench = Bench::new(ZMQ_PAIR);
        let peer = bench.connect();
        bench.put(peer, &["a"]);
        bench.put(peer, &["b"]);
        bench.leave(peer);
        assert_eq!(bench.receive().unwrap(), ["a"]);
        assert_eq!(bench.receive().unwrap(), ["b"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(bench.closed(peer));
    }
}
