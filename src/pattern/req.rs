// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! REQ: send a request, receive its reply, in turn (RFC 28).
//!
//! A request goes out as an empty delimiter and the parts of the caller, with ZMQ_REQ_CORRELATE
//! after a part of four bytes that numbers it. A reply counts when it comes from the peer that was
//! asked and begins with the same parts; anything else is dropped.

use super::dealer::Dealer;
use super::{DROPPED, Pattern, flag_value};
use crate::abi::{ZMQ_REQ_CORRELATE, ZMQ_REQ_RELAXED};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};
use std::hash::{BuildHasher, RandomState};

pub struct Req {
    dealer: Dealer,
    state: State,
    /// The peer that was asked, until its pipe is removed.
    asked: Option<PipeId>,
    request_id: u32,
    correlate: bool,
    relaxed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next part sent is the first of a request.
    Idle,
    /// The delimiter was sent, the rest of the request not yet.
    Sending,
    /// The request was sent, no part of the reply was received.
    Waiting,
    /// The delimiter of the reply was taken, the rest not yet.
    Receiving,
}

impl Default for Req {
    fn default() -> Req {
        Req {
            dealer: Dealer::default(),
            state: State::Idle,
            asked: None,
            request_id: RandomState::new().hash_one(0) as u32,
            correlate: false,
            relaxed: false,
        }
    }
}

impl Pattern for Req {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.dealer.attach(pipes, id, subscribe_to_all);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.asked == Some(id) {
            self.asked = None;
        }
        self.dealer.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.dealer.read_activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.dealer.write_activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if matches!(self.state, State::Waiting | State::Receiving) {
            if !self.relaxed {
                return Err(Error::FSM);
            }
            self.state = State::Idle;
        }
        if self.state == State::Idle {
            self.begin_request(pipes)?;
        }
        match self.dealer.outgoing.send(pipes, body, more) {
            // The request is lost with its peer, as it may be at any later time.
            Ok(_) | Err(DROPPED) => {}
            Err(error) => return Err(error),
        }
        if !more {
            self.state = State::Waiting;
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        match self.state {
            State::Idle | State::Sending => return Err(Error::FSM),
            State::Waiting => {
                if !self.begin_reply(pipes) {
                    return Err(Error::AGAIN);
                }
            }
            State::Receiving => {}
        }
        self.dealer.incoming.receive(pipes, sink)?;
        if !sink.more() {
            self.state = State::Idle;
        }
        Ok(())
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        match self.state {
            State::Idle | State::Sending => false,
            State::Waiting => self.begin_reply(pipes),
            State::Receiving => true,
        }
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        match self.state {
            State::Waiting | State::Receiving if !self.relaxed => false,
            _ => self.dealer.can_send(pipes),
        }
    }

    fn set_option(&mut self, pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_REQ_CORRELATE => self.correlate = flag_value(value)?,
            ZMQ_REQ_RELAXED => self.relaxed = flag_value(value)?,
            _ => return self.dealer.set_option(pipes, option, value),
        }
        Ok(())
    }
}

impl Req {
    /// Sends what comes before the caller's parts, then drops replies to earlier requests, so that
    /// none of them is taken for the reply to this one.
    fn begin_request(&mut self, pipes: &mut Pipes) -> Result<()> {
        // An attempt that fails uses its number up, too.
        self.request_id = self.request_id.wrapping_add(u32::from(self.correlate));
        let asked = loop {
            if !self.dealer.outgoing.writable(pipes) {
                return Err(Error::AGAIN);
            }
            match self.send_head(pipes) {
                Ok(id) => break id,
                // The peer went away just now: try the next one.
                Err(DROPPED) => self.dealer.outgoing.abandon(pipes),
                Err(error) => {
                    self.dealer.outgoing.abandon(pipes);
                    return Err(error);
                }
            }
        };
        self.asked = Some(asked);
        self.state = State::Sending;
        self.dealer.incoming.drain(pipes);
        Ok(())
    }

    fn send_head(&mut self, pipes: &mut Pipes) -> Result<PipeId> {
        let outgoing = &mut self.dealer.outgoing;
        if self.correlate {
            outgoing.send(pipes, &mut Body::Bytes(&self.request_id.to_ne_bytes()), true)?;
        }
        outgoing.send(pipes, &mut Body::Bytes(&[]), true)
    }

    /// Takes what comes before the parts for the caller; messages that are no reply to the request
    /// are dropped. False: there is no reply.
    fn begin_reply(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(id) = self.dealer.incoming.ready(pipes) {
            if self.asked.is_none_or(|asked| asked == id) && self.take_head(pipes, id) {
                self.dealer.incoming.begin();
                self.state = State::Receiving;
                return true;
            }
            self.dealer.incoming.skip_message(pipes, id);
        }
        false
    }

    /// False: the message is no reply to the request, and some of its parts are left.
    fn take_head(&self, pipes: &mut Pipes, id: PipeId) -> bool {
        let request_id = self.request_id.to_ne_bytes();
        let with_id: [&[u8]; 2] = [&request_id, &[]];
        let head = if self.correlate { &with_id[..] } else { &with_id[1..] };
        let Some(pipe) = pipes.get_mut(id) else { return false };
        head.iter().all(|expected| {
            let matches = pipe.frame().is_some_and(|frame| frame.more() && frame.body == *expected);
            if matches {
                pipe.skip();
            }
            matches
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    #[test]
    fn requests_and_replies_take_turns() {
        let mut bench = Bench::new(ZMQ_REQ);
        assert_eq!(bench.send(&["x"]), Err(Error::AGAIN));
        assert_eq!(bench.receive(), Err(Error::FSM));
        assert!(!bench.can_send() && !bench.can_receive());
        let peer = bench.connect();
        assert!(bench.can_send());

        bench.send_part("a", true).unwrap();
        assert_eq!(bench.receive(), Err(Error::FSM));
        assert!(bench.can_send() && !bench.can_receive());
        bench.send_part("b", false).unwrap();
        assert_eq!(bench.take(peer), [["", "a", "b"]]);
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(!bench.can_send() && !bench.can_receive());

        bench.put(peer, &["", "c", "d"]);
        assert!(!bench.can_send() && bench.can_receive());
        assert_eq!(bench.receive_part().unwrap(), ("c".into(), true));
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert_eq!(bench.receive_part().unwrap(), ("d".into(), false));
        assert_eq!(bench.receive(), Err(Error::FSM));
        assert!(bench.can_send() && !bench.can_receive());
    }

    #[test]
    fn requests_go_round() {
        let mut bench = Bench::new(ZMQ_REQ);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        for _ in 0..2 {
            for peer in peers {
                bench.send(&["request"]).unwrap();
                assert_eq!(bench.take(peer), [["", "request"]]);
                bench.put(peer, &["", "reply"]);
                assert_eq!(bench.receive().unwrap(), ["reply"]);
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_skipped() {
        let mut bench = Bench::new(ZMQ_REQ);
        let [asked, other] = [bench.connect(), bench.connect()];
        bench.put(asked, &["", "stale"]);
        bench.put(other, &["", "stale"]);
        bench.send(&["request"]).unwrap();
        for malformed in [&["x"][..], &[""], &["x", "y"], &["x", "", "y"]] {
            bench.put(asked, malformed);
        }
        bench.put(other, &["", "not asked"]);
        assert!(!bench.can_receive());
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.put(asked, &["", ""]);
        assert_eq!(bench.receive().unwrap(), [""]);
    }

    #[test]
    fn correlated_requests_are_numbered() {
        let mut bench = Bench::new(ZMQ_REQ);
        bench.set_int(ZMQ_REQ_CORRELATE, 1).unwrap();
        let peer = bench.connect();
        let mut numbers = Vec::new();
        for _ in 0..2 {
            bench.send_part("b", false).unwrap();
            let id = bench.take_bytes(peer);
            assert_eq!((id.len(), &id[1][..], &id[2][..]), (3, &b""[..], &b"b"[..]));
            let number = u32::from_ne_bytes(id[0][..].try_into().unwrap());
            numbers.push(number);
            let wrong = number.wrapping_sub(1).to_ne_bytes();
            for malformed in [
                &[&b""[..], b"no id"][..],
                &[&wrong, b"", b"wrong id"],
                &[&id[0], b"no delimiter"],
                &[&id[0], b"x", b"wrong delimiter"],
                &[&id[0]],
                &[&id[0], b""],
            ] {
                bench.put_bytes(peer, malformed);
            }
            assert_eq!(bench.receive(), Err(Error::AGAIN));
            bench.put_bytes(peer, &[&id[0], b"", b"reply"]);
            assert_eq!(bench.receive().unwrap(), ["reply"]);
        }
        assert_eq!(numbers[1], numbers[0].wrapping_add(1));
    }

    #[test]
    fn relaxed_requests_replace_each_other() {
        let mut bench = Bench::new(ZMQ_REQ);
        bench.set_int(ZMQ_REQ_RELAXED, 1).unwrap();
        bench.set_int(ZMQ_REQ_CORRELATE, 1).unwrap();
        let peers = [bench.connect(), bench.connect()];
        bench.send(&["1"]).unwrap();
        assert!(bench.can_send());
        bench.send(&["2"]).unwrap();
        let [first, second] = peers.map(|peer| bench.take_bytes(peer));
        assert_eq!((&first[2][..], &second[2][..]), (&b"1"[..], &b"2"[..]));
        bench.put_bytes(peers[0], &[&first[0], b"", b"late"]);
        assert!(!bench.can_receive());
        bench.put_bytes(peers[1], &[&second[0], b"", b"reply", b"of two parts"]);
        assert_eq!(bench.receive_part().unwrap(), ("reply".into(), true));
        // Even while a reply is being received.
        bench.send(&["3"]).unwrap();
        let third = bench.take_bytes(peers[0]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.put_bytes(peers[0], &[&third[0], b"", b"reply"]);
        assert_eq!(bench.receive().unwrap(), ["reply"]);
    }

    #[test]
    fn a_peer_that_leaves_takes_the_request_with_it() {
        let mut bench = Bench::new(ZMQ_REQ);
        let [asked, other] = [bench.connect(), bench.connect()];
        bench.send(&["request"]).unwrap();
        bench.detach(asked);
        assert_eq!(bench.send(&["x"]), Err(Error::FSM));
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.put(other, &["", "any reply will do"]);
        assert_eq!(bench.receive().unwrap(), ["any reply will do"]);
    }

    #[test]
    fn a_request_whose_peer_leaves_while_it_is_sent() {
        for told in [true, false] {
            let mut bench = Bench::new(ZMQ_REQ);
            let [first, second] = [bench.connect(), bench.connect()];
            bench.send_part("a", true).unwrap();
            if told {
                bench.detach(first)
            } else {
                bench.kill(first)
            }
            bench.send_part("b", true).unwrap();
            bench.send_part("c", false).unwrap();
            assert_eq!(bench.send(&["x"]), Err(Error::FSM));
            assert!(bench.take(second).is_empty());
        }
    }

    #[test]
    fn a_reply_begun_can_be_finished_after_its_pipe_was_removed() {
        let mut bench = Bench::new(ZMQ_REQ);
        let peer = bench.connect();
        bench.send(&["request"]).unwrap();
        bench.put(peer, &["", "a", "b"]);
        assert!(bench.can_receive());
        bench.detach(peer);
        assert_eq!(bench.receive().unwrap(), ["a", "b"]);
    }

    #[test]
    fn options() {
        let mut bench = Bench::new(ZMQ_REQ);
        for option in [ZMQ_REQ_CORRELATE, ZMQ_REQ_RELAXED, ZMQ_PROBE_ROUTER] {
            assert_eq!(bench.set_int(option, 2), Ok(()));
            assert_eq!(bench.set_int(option, -1), Err(Error::INVAL));
        }
        assert_eq!(bench.set_int(ZMQ_ROUTER_MANDATORY, 1), Err(Error::INVAL));
    }
}
