// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! PUSH: sends to its peers in turn (RFC 30). What peers send is dropped.

use super::load_balancer::LoadBalancer;
use super::{Pattern, discard_inbound};
use crate::errno::Result;
use crate::pipe::{Body, PipeId, Pipes};

#[derive(Default)]
pub struct Push {
    outgoing: LoadBalancer,
}

impl Pattern for Push {
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
        self.outgoing.send(pipes, body, more).map(drop)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.outgoing.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DROPPED;
    use super::super::testing::Bench;
    use crate::abi::ZMQ_PUSH;
    use crate::errno::Error;

    #[test]
    fn whole_messages_go_round() {
        let mut bench = Bench::new(ZMQ_PUSH);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        for number in 0..6 {
            bench.send(&["head", &number.to_string()]).unwrap();
        }
        for (number, peer) in peers.into_iter().enumerate() {
            let numbers = [number.to_string(), (number + 3).to_string()];
            assert_eq!(bench.take(peer), numbers.map(|number| ["head".to_string(), number]));
        }
    }

    #[test]
    fn a_full_peer_is_passed_over_until_it_has_room() {
        let mut bench = Bench::with_limits(ZMQ_PUSH, (2, 2));
        let [first, second] = [bench.connect(), bench.connect()];
        for _ in 0..4 {
            assert!(bench.can_send());
            bench.send(&["x"]).unwrap();
        }
        assert!(!bench.can_send());
        assert_eq!(bench.send(&["y"]), Err(Error::AGAIN));
        assert_eq!(bench.take(second).len(), 2);
        assert!(bench.can_send());
        bench.send(&["y"]).unwrap();
        bench.send(&["z"]).unwrap();
        assert_eq!(bench.send(&["w"]), Err(Error::AGAIN));
        assert_eq!(bench.take(second), [["y"], ["z"]]);
        assert_eq!(bench.take(first), [["x"], ["x"]]);
    }

    #[test]
    fn limits_are_looked_at_between_messages_only() {
        let mut bench = Bench::with_limits(ZMQ_PUSH, (1, 1));
        let peer = bench.connect();
        bench.send(&["a", "b", "c"]).unwrap();
        assert_eq!(bench.send(&["d"]), Err(Error::AGAIN));
        assert_eq!(bench.take(peer), [["a", "b", "c"]]);
    }

    #[test]
    fn a_peer_removed_between_parts_is_told_once_and_swallows_the_rest() {
        let mut bench = Bench::new(ZMQ_PUSH);
        let [first, second] = [bench.connect(), bench.connect()];
        bench.send_part("a", true).unwrap();
        bench.detach(first);
        assert!(bench.can_send());
        assert_eq!(bench.send_part("b", true), Err(DROPPED));
        assert!(bench.can_send());
        bench.send_part("c", false).unwrap();
        bench.send(&["next"]).unwrap();
        assert_eq!(bench.take(second), [["next"]]);
        assert!(bench.take(first).is_empty());
    }

    #[test]
    fn a_dead_peer_found_between_parts_drops_the_message() {
        let mut bench = Bench::new(ZMQ_PUSH);
        let [first, second] = [bench.connect(), bench.connect()];
        bench.send_part("a", true).unwrap();
        bench.kill(first);
        assert_eq!(bench.send_part("b", true), Err(DROPPED));
        bench.send_part("c", false).unwrap();
        bench.send(&["next"]).unwrap();
        assert_eq!(bench.take(second), [["next"]]);

        bench.send_part("a", true).unwrap();
        bench.kill(second);
        assert_eq!(bench.send_part("last", false), Err(DROPPED));
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
    }

    #[test]
    fn another_peer_leaving_between_parts_changes_nothing() {
        for leaving in 0..3 {
            let mut bench = Bench::new(ZMQ_PUSH);
            let peers = [bench.connect(), bench.connect(), bench.connect()];
            for skipped in 0..2 {
                bench.send(&[["x", "y"][skipped]]).unwrap();
            }
            bench.send_part("a", true).unwrap();
            bench.detach(peers[leaving]);
            let result = bench.send_part("b", false);
            assert_eq!(result, if leaving == 2 { Err(DROPPED) } else { Ok(()) });
            let expected: &[[&str; 2]] = if leaving == 2 { &[] } else { &[["a", "b"]] };
            assert_eq!(bench.take(peers[2]), expected, "leaving {leaving}");
        }
    }

    #[test]
    fn what_peers_send_is_dropped() {
        let mut bench = Bench::new(ZMQ_PUSH);
        let peer = bench.connect();
        bench.put(peer, &["a", "b"]);
        bench.put(peer, &["c"]);
        assert_eq!(bench.receive(), Err(Error::NOTSUP));
        bench.leave(peer);
        assert!(bench.closed(peer));
    }
}
