// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! GATHER: receives single-part messages from its peers in turn (RFC 49).

use super::Pattern;
use super::fair_queue::FairQueue;
use crate::errno::Result;
use crate::pipe::{PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Gather {
    incoming: FairQueue,
}

impl Pattern for Gather {
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
        self.incoming.receive_single(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive_single(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_GATHER;
    use crate::errno::Error;

    #[test]
    fn one_message_a_peer_a_turn() {
        let mut bench = Bench::new(ZMQ_GATHER);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        for (peer, name) in peers.into_iter().zip(["a", "b", "c"]) {
            for number in 0..2 {
                bench.put(peer, &[&format!("{name}{number}")]);
            }
        }
        for expected in ["a0", "b0", "c0", "a1", "b1", "c1"] {
            assert!(bench.can_receive());
            assert_eq!(bench.receive().unwrap(), [expected]);
        }
        assert!(!bench.can_receive());
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn sends_nothing() {
        let mut bench = Bench::new(ZMQ_GATHER);
        bench.connect();
        assert!(!bench.can_send());
        assert_eq!(bench.send(&["x"]), Err(Error::NOTSUP));
    }
}
