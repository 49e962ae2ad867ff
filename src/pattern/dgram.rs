// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! DGRAM: one bound datagram socket, whose messages are two parts: the peer's address, "ip:port",
//! and the datagram (zmq_udp(7)).

use super::Pattern;
use super::fair_queue::FairQueue;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Dgram {
    pipe: Option<PipeId>,
    incoming: FairQueue,
    /// The address was sent, the datagram comes next.
    inside: bool,
}

impl Pattern for Dgram {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        if self.pipe.is_some() {
            pipes.closing.push(id);
            return;
        }
        self.pipe = Some(id);
        self.incoming.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.pipe == Some(id) {
            self.pipe = None;
            self.incoming.detach(pipes, id);
        }
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    /// EHOSTUNREACH: nothing is bound. EINVAL: not the part that is due.
    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if more == self.inside {
            return Err(Error::INVAL);
        }
        let Some(pipe) = self.pipe.and_then(|id| pipes.get_mut(id)) else {
            self.inside = false;
            return Err(Error::HOSTUNREACH);
        };
        if self.inside && !pipe.writing_message() {
            // The address went to a pipe that is gone.
            self.inside = false;
            return Err(Error::HOSTUNREACH);
        }
        if !pipe.check_write() {
            return Err(Error::AGAIN);
        }
        pipe.write(body, more)?;
        self.inside = more;
        if !more {
            pipe.flush();
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.incoming.receive(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.pipe.and_then(|id| pipes.get_mut(id)).is_some_and(|pipe| pipe.check_write())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::ZMQ_DGRAM;
    use crate::errno::Error;

    #[test]
    fn messages_are_address_and_datagram() {
        let mut bench = Bench::with_limits(ZMQ_DGRAM, (2, 2));
        let peer = bench.connect();
        assert_eq!(bench.send(&["no address"]), Err(Error::INVAL));
        bench.send(&["127.0.0.1:1", "one"]).unwrap();
        bench.send_part("127.0.0.1:2", true).unwrap();
        assert_eq!(bench.send_part("a third part would follow", true), Err(Error::INVAL));
        assert!(bench.can_send());
        bench.send_part("two", false).unwrap();
        assert!(!bench.can_send());
        assert_eq!(bench.send_part("127.0.0.1:3", true), Err(Error::AGAIN));
        assert_eq!(bench.take(peer), [["127.0.0.1:1", "one"], ["127.0.0.1:2", "two"]]);
        assert!(bench.can_send());
        bench.put(peer, &["127.0.0.1:1", "answer"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["127.0.0.1:1", "answer"]);
    }

    #[test]
    fn without_a_pipe_there_is_nowhere_to_send() {
        let mut bench = Bench::new(ZMQ_DGRAM);
        assert!(!bench.can_send() && !bench.can_receive());
        assert_eq!(bench.send_part("127.0.0.1:1", true), Err(Error::HOSTUNREACH));
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        let peer = bench.connect();
        bench.send_part("127.0.0.1:1", true).unwrap();
        bench.detach(peer);
        let second = bench.connect();
        assert_eq!(bench.send_part("lost", false), Err(Error::HOSTUNREACH));
        bench.send(&["127.0.0.1:1", "x"]).unwrap();
        assert_eq!(bench.take(second), [["127.0.0.1:1", "x"]]);
    }

    #[test]
    fn one_pipe_is_enough() {
        let mut bench = Bench::new(ZMQ_DGRAM);
        let [first, second] = [bench.connect(), bench.connect()];
        assert!(bench.closed(second));
        bench.send(&["127.0.0.1:1", "x"]).unwrap();
        assert_eq!(bench.take(first).len(), 1);
    }
}
