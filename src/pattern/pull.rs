// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! PULL: receives from its peers in turn (RFC 30).

use super::Pattern;
use super::fair_queue::FairQueue;
use crate::errno::Result;
use crate::pipe::{PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Pull {
    incoming: FairQueue,
}

impl Pattern for Pull {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.incoming.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.incoming.receive(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_PULL;
    use crate::errno::Error;

    #[test]
    fn one_message_a_peer_a_turn() {
        let mut bench = Bench::new(ZMQ_PULL);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        for (peer, name) in peers.into_iter().zip(["a", "b", "c"]) {
            for number in ["1", "2"] {
                bench.put(peer, &[name, number]);
            }
        }
        let mut order = Vec::new();
        while let Ok(message) = bench.receive() {
            order.push(message.concat());
        }
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "c2"]);
        assert!(!bench.can_receive());
    }

    #[test]
    fn idle_peers_wake_up() {
        let mut bench = Bench::new(ZMQ_PULL);
        let peers: Vec<usize> = (0..5).map(|_| bench.connect()).collect();
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        for round in 0..20 {
            let peer = peers[round * 3 % 5];
            bench.put(peer, &["x"]);
            assert!(bench.can_receive());
            assert_eq!(bench.receive().unwrap(), ["x"]);
            assert_eq!(bench.receive(), Err(Error::AGAIN));
        }
    }

    #[test]
    fn a_message_begun_can_be_finished_after_its_pipe_was_removed() {
        let mut bench = Bench::new(ZMQ_PULL);
        let [first, second] = [bench.connect(), bench.connect()];
        bench.put(first, &["a", "b", "c"]);
        bench.put(first, &["lost"]);
        bench.put(second, &["d"]);
        assert_eq!(bench.receive_part().unwrap(), ("a".into(), true));
        bench.detach(first);
        assert!(bench.can_receive());
        assert_eq!(bench.receive_part().unwrap(), ("b".into(), true));
        assert_eq!(bench.receive_part().unwrap(), ("c".into(), false));
        assert_eq!(bench.receive().unwrap(), ["d"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn another_peer_leaving_between_parts_changes_nothing() {
        for leaving in 0..2 {
            let mut bench = Bench::new(ZMQ_PULL);
            let peers = [bench.connect(), bench.connect(), bench.connect()];
            for peer in peers {
                bench.put(peer, &["a", "b"]);
            }
            bench.receive().unwrap();
            bench.receive().unwrap();
            bench.put(peers[leaving], &["unread"]);
            assert_eq!(bench.receive_part().unwrap(), ("a".into(), true));
            bench.detach(peers[leaving]);
            assert_eq!(bench.receive_part().unwrap(), ("b".into(), false));
        }
    }

    #[test]
    fn an_ended_peer_is_removed_once_everything_was_read() {
        let mut bench = Bench::new(ZMQ_PULL);
        let [quiet, busy] = [bench.connect(), bench.connect()];
        bench.put(busy, &["x"]);
        bench.leave(quiet);
        bench.leave(busy);
        assert!(bench.closed(quiet) && !bench.closed(busy));
        assert_eq!(bench.receive().unwrap(), ["x"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(bench.closed(busy));
    }

    #[test]
    fn a_conflating_pipe_keeps_the_newest() {
        let mut bench = Bench::new(ZMQ_PULL);
        let peer = bench.connect_conflating();
        bench.put(peer, &["old"]);
        bench.put(peer, &["new"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["new"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }
}
