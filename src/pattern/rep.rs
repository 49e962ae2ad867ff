// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! REP: receive a request, send its reply, in turn (RFC 28).
//!
//! The parts of a request up to its first empty one, the *envelope*, are the way back. They are
//! kept here and put before the reply, which goes to the pipe the request came from. A reply that
//! cannot be delivered is dropped.

use super::routing::RoutedPeers;
use super::{Pattern, discard};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Rep {
    peers: RoutedPeers,
    state: State,
    /// Where the reply goes.
    requester: Option<PipeId>,
    envelope: Envelope,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next part received is the first of a request.
    #[default]
    Idle,
    /// The envelope was taken, the rest of the request not yet.
    Receiving,
    /// The request was received, no part of the reply was sent.
    Replying,
    /// The envelope was sent, the rest of the reply not yet.
    Sending,
}

impl Pattern for Rep {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.peers.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.peers.detach(pipes, id);
        if self.requester == Some(id) {
            self.requester = None;
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
        match self.state {
            State::Idle | State::Receiving => return Err(Error::FSM),
            State::Replying => self.begin_reply(pipes)?,
            State::Sending => {}
        }
        match self.requester.and_then(|id| pipes.get_mut(id)) {
            Some(pipe) => {
                pipe.write(body, more)?;
                if !more {
                    pipe.flush();
                }
            }
            None => discard(body),
        }
        if !more {
            self.state = State::Idle;
            self.requester = None;
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        match self.state {
            State::Idle => {
                if !self.begin_request(pipes) {
                    return Err(Error::AGAIN);
                }
            }
            State::Receiving => {}
            State::Replying | State::Sending => return Err(Error::FSM),
        }
        self.peers.incoming.receive(pipes, sink)?;
        if !sink.more() {
            self.state = State::Replying;
        }
        Ok(())
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        match self.state {
            State::Idle => self.begin_request(pipes),
            State::Receiving => true,
            State::Replying | State::Sending => false,
        }
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        matches!(self.state, State::Replying | State::Sending)
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        self.peers.set_option(option, value)
    }

    fn option(&mut self, _pipes: &mut Pipes, option: i32) -> Result<i32> {
        self.peers.option(option)
    }
}

impl Rep {
    /// Takes the envelope of the next request; messages without one are dropped. False: there is
    /// no request.
    fn begin_request(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(id) = self.peers.incoming.ready(pipes) {
            self.envelope.clear();
            let Some(pipe) = pipes.get_mut(id) else { return false };
            // Stops at the last part, which is never part of an envelope.
            while let Some(frame) = pipe.frame().filter(|frame| frame.more()) {
                let is_delimiter = frame.body.is_empty();
                self.envelope.push(frame.body);
                pipe.skip();
                if is_delimiter {
                    self.peers.incoming.begin();
                    self.requester = Some(id);
                    self.state = State::Receiving;
                    return true;
                }
            }
            self.peers.incoming.skip_message(pipes, id);
        }
        false
    }

    /// Writes the envelope, if the reply can be delivered.
    fn begin_reply(&mut self, pipes: &mut Pipes) -> Result<()> {
        let mut pipe = self.requester.and_then(|id| pipes.get_mut(id));
        match pipe.take_if(|pipe| pipe.check_write()) {
            Some(pipe) => {
                let mut parts = self.envelope.parts();
                let written = parts.try_for_each(|part| pipe.write(&mut Body::Bytes(part), true));
                if written.is_err() {
                    pipe.rollback();
                }
                written?;
            }
            None => self.requester = None,
        }
        self.state = State::Sending;
        Ok(())
    }
}

/// Message parts, back to back.
#[derive(Default)]
struct Envelope {
    bytes: Vec<u8>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Envelope {
    /// Memory kept for the next envelope, in bytes.
    const KEPT: usize = 4096;

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(Envelope::KEPT);
        self.ends.shrink_to(Envelope::KEPT);
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.ends.push(self.bytes.len());
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.bytes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    #[test]
    fn requests_and_replies_take_turns() {
        let mut bench = Bench::new(ZMQ_REP);
        let peer = bench.connect();
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(!bench.can_send() && !bench.can_receive());

        bench.put(peer, &["", "a", "b"]);
        bench.put(peer, &["", "second"]);
        assert!(bench.can_receive() && !bench.can_send());
        assert_eq!(bench.receive_part().unwrap(), ("a".into(), true));
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert!(bench.can_receive() && !bench.can_send());
        assert_eq!(bench.receive_part().unwrap(), ("b".into(), false));
        assert!(!bench.can_receive() && bench.can_send());
        assert_eq!(bench.receive(), Err(Error::FSM));
        bench.send_part("c", true).unwrap();
        assert_eq!(bench.receive(), Err(Error::FSM));
        assert!(bench.take(peer).is_empty());
        bench.send_part("d", false).unwrap();
        assert_eq!(bench.take(peer), [["", "c", "d"]]);
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert_eq!(bench.receive().unwrap(), ["second"]);
    }

    #[test]
    fn envelopes() {
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["", "body"], &["body"], &[""]),
            (&["A", "", "body"], &["body"], &["A", ""]),
            (&["A", "BC", "", "body", "", "tail"], &["body", "", "tail"], &["A", "BC", ""]),
            (&["", ""], &[""], &[""]),
            (&["", "", "x"], &["", "x"], &[""]),
        ];
        for (sent, request, envelope) in cases {
            let mut bench = Bench::new(ZMQ_REP);
            let peer = bench.connect();
            bench.put(peer, sent);
            assert_eq!(bench.receive().unwrap(), *request);
            bench.send(&["reply"]).unwrap();
            assert_eq!(bench.take(peer), [[envelope, &["reply"][..]].concat()]);
        }
    }

    #[test]
    fn messages_without_a_delimiter_are_skipped() {
        let mut bench = Bench::new(ZMQ_REP);
        let peer = bench.connect();
        for malformed in [&["body"][..], &[""], &["A", "B"], &["A", "B", ""]] {
            bench.put(peer, malformed);
            assert!(!bench.can_receive());
        }
        bench.put(peer, &["A", "B"]);
        bench.put(peer, &["C", "", "good"]);
        assert_eq!(bench.receive().unwrap(), ["good"]);
        bench.send(&["reply"]).unwrap();
        assert_eq!(bench.take(peer), [["C", "", "reply"]]);
    }

    #[test]
    fn each_reply_goes_to_its_requester() {
        let mut bench = Bench::new(ZMQ_REP);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        for round in ["1", "2"] {
            for peer in peers {
                bench.put(peer, &["", round, &peer.to_string()]);
            }
        }
        for round in ["1", "2"] {
            for peer in peers {
                assert_eq!(bench.receive().unwrap(), [round, &peer.to_string()]);
                bench.send(&["to", &peer.to_string()]).unwrap();
            }
        }
        for peer in peers {
            let reply = ["".to_string(), "to".to_string(), peer.to_string()];
            assert_eq!(bench.take(peer), [reply.clone(), reply]);
        }
    }

    #[test]
    fn a_reply_that_cannot_be_delivered_is_dropped() {
        for mandatory in [0, 1] {
            let mut bench = Bench::with_limits(ZMQ_REP, (1, 10));
            bench.set_int(ZMQ_ROUTER_MANDATORY, mandatory).unwrap();
            let peer = bench.connect();
            for _ in 0..3 {
                bench.put(peer, &["", "request"]);
            }
            for reply in ["1", "no room"] {
                bench.receive().unwrap();
                bench.send(&[reply, "more"]).unwrap();
            }
            assert_eq!(bench.take(peer), [["", "1", "more"]]);

            bench.receive().unwrap();
            bench.send_part("x", true).unwrap();
            bench.detach(peer);
            bench.send_part("y", false).unwrap();
            assert!(!bench.can_send());
            assert!(bench.take(peer).is_empty());

            let next = bench.connect();
            bench.put(next, &["", "request"]);
            bench.receive().unwrap();
            bench.kill(next);
            bench.send(&["x", "y"]).unwrap();
        }
    }

    #[test]
    fn a_requester_that_leaves_while_its_request_is_received() {
        let mut bench = Bench::new(ZMQ_REP);
        let [one, other] = [bench.connect(), bench.connect()];
        bench.put(one, &["", "a", "b"]);
        bench.put(other, &["", "c"]);
        assert_eq!(bench.receive_part().unwrap(), ("a".into(), true));
        bench.detach(one);
        assert_eq!(bench.receive_part().unwrap(), ("b".into(), false));
        bench.send(&["nowhere"]).unwrap();
        assert_eq!(bench.receive().unwrap(), ["c"]);
        bench.send(&["reply"]).unwrap();
        assert_eq!(bench.take(other), [["", "reply"]]);
    }
}
