// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! SCATTER: sends single-part messages to its peers in turn (RFC 49). What peers send is dropped.

use super::load_balancer::LoadBalancer;
use super::{Pattern, discard_inbound};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes};

#[derive(Default)]
pub struct Scatter {
    outgoing: LoadBalancer,
}

impl Pattern for Scatter {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.outgoing.attach(pipes, id);
        discard_inbound(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        discard_inbound(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if more {
            return Err(Error::INVAL);
        }
        self.outgoing.send(pipes, body, false).map(drop)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.outgoing.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_SCATTER;
    use crate::errno::Error;

    #[test]
    fn messages_go_round() {
        let mut bench = Bench::with_limits(ZMQ_SCATTER, (2, 2));
        assert_eq!(bench.send(&["nobody"]), Err(Error::AGAIN));
        let peers = [bench.connect(), bench.connect()];
        for message in ["a", "b", "c", "d"] {
            assert!(bench.can_send());
            bench.send(&[message]).unwrap();
        }
        assert!(!bench.can_send());
        assert_eq!(bench.send(&["full"]), Err(Error::AGAIN));
        assert_eq!(bench.take(peers[0]), [["a"], ["c"]]);
        assert_eq!(bench.take(peers[1]), [["b"], ["d"]]);
    }

    #[test]
    fn single_parts_only() {
        let mut bench = Bench::new(ZMQ_SCATTER);
        let peer = bench.connect();
        assert_eq!(bench.send_part("a", true), Err(Error::INVAL));
        bench.send(&["b"]).unwrap();
        assert_eq!(bench.take(peer), [["b"]]);
    }

    #[test]
    fn what_peers_send_is_dropped() {
        let mut bench = Bench::new(ZMQ_SCATTER);
        let peer = bench.connect();
        bench.put(peer, &["a"]);
        assert_eq!(bench.receive(), Err(Error::NOTSUP));
        bench.leave(peer);
        assert!(bench.closed(peer));
    }
}
