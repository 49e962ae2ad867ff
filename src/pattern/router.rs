// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! ROUTER: the first part of a message is the peer's routing id (RFC 28).
//!
//! On the way in the socket puts the id before what the peer sent, on the way out it takes it off.
//! What cannot be delivered is dropped, unless ZMQ_ROUTER_MANDATORY is set.

use super::routing::RoutedPeers;
use super::{Pattern, discard};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Router {
    peers: RoutedPeers,
    /// The id part was sent: what follows goes to `target`, or nowhere.
    inside: bool,
    target: Option<PipeId>,
}

impl Pattern for Router {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.peers.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.peers.detach(pipes, id);
        if self.target == Some(id) {
            self.target = None;
        }
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.peers.read_activated(pipes, id);
    }

    fn identified(&mut self, pipes: &mut Pipes, id: PipeId, routing_id: &[u8]) {
        self.peers.identified(pipes, id, routing_id);
    }

    fn knows_routing_id(&self, routing_id: &[u8]) -> bool {
        self.peers.table.contains(routing_id)
    }

    fn peer_state(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Result<i32> {
        self.peers.peer_state(pipes, routing_id)
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if !self.inside {
            // An id with nothing behind it means nothing.
            if more {
                self.target = self.find_target(pipes, body.bytes())?;
                self.inside = true;
            }
            discard(body);
            return Ok(());
        }
        let more = more && !self.peers.raw;
        let pipe = self.target.and_then(|id| pipes.get_mut(id));
        match pipe {
            Some(_) if self.peers.raw && body.is_empty() => pipes.closing.extend(self.target),
            Some(pipe) => {
                pipe.write(body, more)?;
                if !more {
                    pipe.flush();
                }
            }
            None => discard(body),
        }
        self.inside = more;
        if !more {
            self.target = None;
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        let incoming = &mut self.peers.incoming;
        if incoming.inside() {
            return incoming.receive(pipes, sink).map(drop);
        }
        self.peers.promised = false;
        let id = incoming.ready(pipes).ok_or(Error::AGAIN)?;
        let pipe = pipes.get(id).ok_or(Error::AGAIN)?;
        sink.put_bytes(&pipe.routing_id, true, pipe.metadata())?;
        incoming.begin();
        Ok(())
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        let can = self.peers.incoming.can_receive(pipes);
        self.peers.promised = can;
        can
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        if !self.peers.mandatory || self.inside {
            return true;
        }
        let mut peers = self.peers.table.pipes();
        peers.any(|id| pipes.get_mut(id).is_some_and(|pipe| pipe.check_write()))
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        self.peers.set_option(option, value)
    }

    fn option(&mut self, _pipes: &mut Pipes, option: i32) -> Result<i32> {
        self.peers.option(option)
    }
}

impl Router {
    /// The pipe to send to, none when the message is to be dropped.
    fn find_target(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Result<Option<PipeId>> {
        let mandatory = self.peers.mandatory;
        let unroutable = |error| if mandatory { Err(error) } else { Ok(None) };
        let Some(id) = self.peers.table.find(pipes, routing_id) else {
            return unroutable(Error::HOSTUNREACH);
        };
        let Some(pipe) = pipes.get_mut(id) else { return unroutable(Error::HOSTUNREACH) };
        if pipe.check_write() {
            Ok(Some(id))
        } else if pipe.write_ended() {
            unroutable(Error::HOSTUNREACH)
        } else {
            unroutable(Error::AGAIN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Connecting};
    use crate::abi::*;
    use crate::errno::Error;

    fn connect(bench: &mut Bench, routing_id: &str) -> usize {
        bench.connect_as(Connecting { routing_id: routing_id.as_bytes(), ..Connecting::default() })
    }

    #[test]
    fn the_id_is_put_before_and_taken_off() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        let [a, b] = ["A", "B"].map(|name| connect(&mut bench, name));
        bench.put(a, &["1", "2"]);
        bench.put(a, &["3"]);
        bench.put(b, &[""]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["A", "1", "2"]);
        assert_eq!(bench.receive().unwrap(), ["B", ""]);
        assert_eq!(bench.receive().unwrap(), ["A", "3"]);
        assert!(!bench.can_receive());

        bench.send(&["B", "", "x"]).unwrap();
        bench.send(&["A", "y"]).unwrap();
        assert_eq!(bench.take(a), [["y"]]);
        assert_eq!(bench.take(b), [["", "x"]]);
    }

    #[test]
    fn an_id_alone_is_ignored() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        let a = connect(&mut bench, "A");
        bench.send(&["A"]).unwrap();
        bench.send(&["A", "x"]).unwrap();
        assert_eq!(bench.take(a), [["x"]]);
    }

    #[test]
    fn unroutable_messages_are_dropped() {
        let mut bench = Bench::with_limits(ZMQ_ROUTER, (1, 1));
        let a = connect(&mut bench, "A");
        bench.send(&["nobody", "x", "y"]).unwrap();
        bench.send(&["A", "1"]).unwrap();
        bench.send(&["A", "full", "full"]).unwrap();
        assert!(bench.can_send());
        assert_eq!(bench.take(a), [["1"]]);
        bench.send(&["A", "2"]).unwrap();
        assert_eq!(bench.take(a), [["2"]]);
    }

    #[test]
    fn mandatory_says_what_is_wrong() {
        let mut bench = Bench::with_limits(ZMQ_ROUTER, (1, 1));
        bench.set_int(ZMQ_ROUTER_MANDATORY, 1).unwrap();
        assert!(!bench.can_send());
        assert_eq!(bench.send(&["A", "x"]), Err(Error::HOSTUNREACH));
        let a = connect(&mut bench, "A");
        assert!(bench.can_send());
        bench.send(&["A", "1", "2"]).unwrap();
        assert!(!bench.can_send());
        assert_eq!(bench.send(&["A", "x"]), Err(Error::AGAIN));
        assert_eq!(bench.take(a), [["1", "2"]]);
        bench.send(&["A", "3"]).unwrap();
        bench.kill(a);
        assert_eq!(bench.send(&["A", "x"]), Err(Error::HOSTUNREACH));
        // An id is expected again.
        assert_eq!(bench.send(&["B", "x"]), Err(Error::HOSTUNREACH));
    }

    #[test]
    fn the_rest_of_a_message_is_dropped_with_its_pipe() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        let [a, b] = ["A", "B"].map(|name| connect(&mut bench, name));
        bench.send_part("A", true).unwrap();
        bench.send_part("x", true).unwrap();
        bench.detach(a);
        assert!(!bench.pattern.knows_routing_id(b"A"));
        bench.send_part("y", false).unwrap();
        bench.send(&["B", "z"]).unwrap();
        assert_eq!(bench.take(b), [["z"]]);
        assert!(bench.take(a).is_empty());
    }

    #[test]
    fn a_message_whose_id_was_received_can_be_finished() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        bench.set_int(ZMQ_ROUTER_HANDOVER, 1).unwrap();
        let old = connect(&mut bench, "X");
        bench.put(old, &["1", "2"]);
        bench.put(old, &["lost"]);
        assert_eq!(bench.receive_part().unwrap(), ("X".into(), true));
        let new = connect(&mut bench, "X");
        assert!(bench.closed(old));
        bench.put(new, &["3"]);
        assert_eq!(bench.receive_part().unwrap(), ("1".into(), true));
        assert_eq!(bench.receive_part().unwrap(), ("2".into(), false));
        assert_eq!(bench.receive().unwrap(), ["X", "3"]);
        bench.send(&["X", "to the new one"]).unwrap();
        assert_eq!(bench.take(new), [["to the new one"]]);
    }

    #[test]
    fn a_message_that_polling_has_told_of_stays() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        bench.set_int(ZMQ_ROUTER_HANDOVER, 1).unwrap();
        let old = connect(&mut bench, "X");
        bench.put(old, &["1", "2"]);
        bench.put(old, &["lost"]);
        assert!(bench.can_receive());
        let new = connect(&mut bench, "X");
        bench.put(new, &["3"]);
        assert_eq!(bench.receive().unwrap(), ["X", "1", "2"]);
        assert_eq!(bench.receive().unwrap(), ["X", "3"]);
        bench.put(new, &["4"]);
        assert!(bench.can_receive());
        bench.detach(new);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["X", "4"]);
        assert!(!bench.can_receive());
    }

    #[test]
    fn peer_state() {
        let mut bench = Bench::with_limits(ZMQ_ROUTER, (1, 1));
        let a = connect(&mut bench, "A");
        assert_eq!(bench.pattern.peer_state(&mut bench.pipes, b"?"), Err(Error::HOSTUNREACH));
        assert_eq!(bench.pattern.peer_state(&mut bench.pipes, b"A"), Ok(ZMQ_POLLOUT));
        bench.send(&["A", "x"]).unwrap();
        assert_eq!(bench.pattern.peer_state(&mut bench.pipes, b"A"), Ok(0));
        bench.take(a);
        assert_eq!(bench.pattern.peer_state(&mut bench.pipes, b"A"), Ok(ZMQ_POLLOUT));
    }

    #[test]
    fn raw_peers() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        bench.set_int(ZMQ_ROUTER_RAW, 1).unwrap();
        let peer =
            bench.connect_as(Connecting { awaiting_identity: true, ..Connecting::default() });
        let id = bench.routing_id(peer);
        assert_eq!(id.len(), 5);
        bench.put(peer, &["bytes"]);
        assert_eq!(bench.receive_bytes().unwrap(), (id.clone(), true));
        assert_eq!(bench.receive_part().unwrap(), ("bytes".into(), false));
        bench.send_bytes(&id, true).unwrap();
        bench.send_part("answer", true).unwrap();
        assert_eq!(bench.take(peer), [["answer"]]);
        bench.send_bytes(&id, true).unwrap();
        bench.send_part("", false).unwrap();
        assert!(bench.closed(peer));
    }

    #[test]
    fn ids_of_any_length() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        let long = "i".repeat(255);
        let peers = ["a", "ab", &long].map(|name| connect(&mut bench, name));
        for (peer, name) in peers.into_iter().zip(["a", "ab", &long]) {
            bench.put(peer, &["hello"]);
            assert_eq!(bench.receive().unwrap(), [name, "hello"]);
            bench.send(&[name, "back"]).unwrap();
            assert_eq!(bench.take(peer), [["back"]]);
        }
    }
}
