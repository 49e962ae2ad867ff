// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! CHANNEL: one peer, as with PAIR, and single-part messages (RFC 52).

use super::Pattern;
use super::pair::Pair;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Channel {
    pair: Pair,
}

impl Pattern for Channel {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.pair.attach(pipes, id, subscribe_to_all);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.pair.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.pair.read_activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.pair.write_activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if more {
            return Err(Error::INVAL);
        }
        self.pair.send(pipes, body, false)
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.pair.incoming.receive_single(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.pair.incoming.can_receive_single(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.pair.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_CHANNEL;
    use crate::errno::Error;

    #[test]
    fn one_peer_at_a_time() {
        let mut bench = Bench::new(ZMQ_CHANNEL);
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
        let first = bench.connect();
        let second = bench.connect();
        assert!(bench.closed(second) && !bench.closed(first));
        bench.send(&["a"]).unwrap();
        assert_eq!(bench.take(first), [["a"]]);
        bench.put(first, &["b"]);
        bench.leave(first);
        assert_eq!(bench.receive().unwrap(), ["b"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(!bench.can_send());
        let third = bench.connect();
        bench.send(&["c"]).unwrap();
        assert_eq!(bench.take(third), [["c"]]);
    }

    #[test]
    fn single_parts_only() {
        let mut bench = Bench::new(ZMQ_CHANNEL);
        let peer = bench.connect();
        assert_eq!(bench.send_part("x", true), Err(Error::INVAL));
        bench.put(peer, &["a", "b"]);
        assert!(!bench.can_receive());
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.put(peer, &["a", "b"]);
        bench.put(peer, &["good"]);
        assert_eq!(bench.receive().unwrap(), ["good"]);
    }
}
