// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! DEALER: sends to its peers in turn and receives from them in turn (RFC 28).

use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use super::{Pattern, flag_value, probe};
use crate::abi::ZMQ_PROBE_ROUTER;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

/// Also the ground REQ stands on.
#[derive(Default)]
pub struct Dealer {
    pub(super) incoming: FairQueue,
    pub(super) outgoing: LoadBalancer,
    probe_router: bool,
}

impl Pattern for Dealer {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        if self.probe_router {
            pipes.get_mut(id).map(probe);
        }
        self.incoming.attach(pipes, id);
        self.outgoing.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.detach(pipes, id);
        self.outgoing.detach(pipes, id);
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

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        if option != ZMQ_PROBE_ROUTER {
            return Err(Error::INVAL);
        }
        self.probe_router = flag_value(value)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::{ZMQ_DEALER, ZMQ_PROBE_ROUTER, ZMQ_SUBSCRIBE};
    use crate::errno::Error;

    #[test]
    fn round_robin_out_and_fair_queue_in() {
        let mut bench = Bench::new(ZMQ_DEALER);
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
        let [first, second] = [bench.connect(), bench.connect()];
        bench.send(&["1"]).unwrap();
        bench.send(&["2", "3"]).unwrap();
        assert_eq!(bench.take(first), [["1"]]);
        assert_eq!(bench.take(second), [["2", "3"]]);
        for peer in [first, first, second] {
            bench.put(peer, &["from", &peer.to_string()]);
        }
        let senders: Vec<_> = (0..3).map(|_| bench.receive().unwrap().concat()).collect();
        assert_eq!(senders, ["from0", "from1", "from0"]);
    }

    #[test]
    fn probing_greets_each_new_peer() {
        let mut bench = Bench::new(ZMQ_DEALER);
        let before = bench.connect();
        bench.set_int(ZMQ_PROBE_ROUTER, 1).unwrap();
        let after = bench.connect();
        assert!(bench.take(before).is_empty());
        assert_eq!(bench.take(after), [[""]]);
        assert_eq!(bench.set_int(ZMQ_PROBE_ROUTER, -1), Err(Error::INVAL));
        assert_eq!(bench.set_option(ZMQ_SUBSCRIBE, b""), Err(Error::INVAL));
    }

    #[test]
    fn large_bodies_pass_by_reference() {
        let mut bench = Bench::new(ZMQ_DEALER);
        let peer = bench.connect();
        let large = "L".repeat(100_000);
        bench.send(&["head", &large, "tail"]).unwrap();
        assert_eq!(bench.take(peer), [["head", &large, "tail"]]);
        bench.put(peer, &[&large]);
        assert_eq!(bench.receive().unwrap(), [large.as_str()]);
    }
}
