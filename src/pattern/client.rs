// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! CLIENT: sends single-part messages to its servers in turn and receives from them in turn
//! (RFC 41).

use super::Pattern;
use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Client {
    incoming: FairQueue,
    outgoing: LoadBalancer,
}

impl Pattern for Client {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
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
        if more {
            return Err(Error::INVAL);
        }
        self.outgoing.send(pipes, body, false).map(drop)
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.incoming.receive_single(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive_single(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.outgoing.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_CLIENT;
    use crate::errno::Error;

    #[test]
    fn sends_and_receives_in_turn() {
        let mut bench = Bench::new(ZMQ_CLIENT);
        assert!(!bench.can_send() && !bench.can_receive());
        let servers = [bench.connect(), bench.connect()];
        for message in ["a", "b", "c"] {
            bench.send(&[message]).unwrap();
        }
        assert_eq!(bench.take(servers[0]), [["a"], ["c"]]);
        assert_eq!(bench.take(servers[1]), [["b"]]);
        for server in servers {
            bench.put(server, &["1"]);
            bench.put(server, &["2"]);
        }
        let received: Vec<_> = (0..4).map(|_| bench.receive().unwrap().concat()).collect();
        assert_eq!(received, ["1", "1", "2", "2"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn single_parts_only() {
        let mut bench = Bench::new(ZMQ_CLIENT);
        let server = bench.connect();
        assert_eq!(bench.send_part("x", true), Err(Error::INVAL));
        bench.put(server, &["a", "b"]);
        assert!(!bench.can_receive());
        bench.put(server, &["a", "b", "c"]);
        bench.put(server, &["good"]);
        bench.put(server, &["d", "e"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["good"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn an_answer_survives_its_server() {
        let mut bench = Bench::new(ZMQ_CLIENT);
        let server = bench.connect();
        bench.put(server, &["last words"]);
        bench.leave(server);
        assert_eq!(bench.receive().unwrap(), ["last words"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(bench.closed(server));
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
    }
}
