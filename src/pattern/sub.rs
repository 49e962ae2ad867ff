// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! SUB: an XSUB that receives what it subscribed to and nothing else, and sends nothing (RFC 29).

use super::xsub::XSub;
use super::{Pattern, int_value};
use crate::abi::{ZMQ_INVERT_MATCHING, ZMQ_SUBSCRIBE, ZMQ_UNSUBSCRIBE};
use crate::errno::{Error, Result};
use crate::pipe::{PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Sub {
    xsub: XSub,
    invert_matching: bool,
}

impl Pattern for Sub {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.xsub.attach(pipes, id, subscribe_to_all);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.xsub.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.xsub.read_activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.xsub.write_activated(pipes, id);
    }

    fn hiccuped(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.xsub.hiccuped(pipes, id);
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        let Sub { xsub, invert_matching } = self;
        let accept = |data: &[u8]| xsub.topics.matches(data) != *invert_matching;
        xsub.incoming.receive_accepted(pipes, sink, accept)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        let Sub { xsub, invert_matching } = self;
        let accept = |data: &[u8]| xsub.topics.matches(data) != *invert_matching;
        xsub.incoming.can_receive_accepted(pipes, accept)
    }

    fn set_option(&mut self, pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_SUBSCRIBE => self.xsub.subscribe(pipes, value),
            ZMQ_UNSUBSCRIBE => self.xsub.unsubscribe(pipes, value),
            ZMQ_INVERT_MATCHING => self.invert_matching = int_value(value)? != 0,
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }

    fn option(&mut self, pipes: &mut Pipes, option: i32) -> Result<i32> {
        self.xsub.option(pipes, option)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    #[test]
    fn only_what_was_subscribed_to_is_received() {
        let mut bench = Bench::new(ZMQ_SUB);
        let peers = [bench.connect(), bench.connect()];
        bench.put(peers[0], &["nothing is subscribed to"]);
        assert!(!bench.can_receive());
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
        for (polled, peer) in [(true, peers[0]), (false, peers[1])] {
            bench.put(peer, &["B", "A"]);
            bench.put(peer, &["AB", "B", ""]);
            bench.put(peer, &[""]);
            bench.put(peer, &["A"]);
            for expected in [&["AB", "B", ""][..], &["A"]] {
                assert!(!polled || bench.can_receive());
                assert_eq!(bench.receive().unwrap(), expected);
            }
            assert_eq!(bench.receive(), Err(Error::AGAIN));
        }
        bench.set_option(ZMQ_SUBSCRIBE, b"").unwrap();
        bench.put(peers[0], &[""]);
        assert_eq!(bench.receive().unwrap(), [""]);
    }

    #[test]
    fn publishers_are_told() {
        let mut bench = Bench::with_limits(ZMQ_SUB, (4, 4));
        bench.set_option(ZMQ_SUBSCRIBE, b"early").unwrap();
        let peer = bench.connect();
        for topic in ["A", "A", "too many"] {
            bench.set_option(ZMQ_SUBSCRIBE, topic.as_bytes()).unwrap();
        }
        bench.set_option(ZMQ_SUBSCRIBE, b"full").unwrap();
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(4));
        let told: Vec<_> = bench.take(peer).concat();
        let expected = ["early", "A", "A", "too many"];
        assert_eq!(told, expected.map(|topic| format!("/\x09SUBSCRIBE{topic}")));
        for topic in ["A", "unknown", "A", "A"] {
            bench.set_option(ZMQ_UNSUBSCRIBE, topic.as_bytes()).unwrap();
        }
        assert_eq!(bench.take(peer), [["/\x06CANCELA"]]);
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(3));
        let late = bench.connect();
        assert_eq!(bench.take(late).len(), 3);
    }

    #[test]
    fn inverted_matching() {
        let mut bench = Bench::new(ZMQ_SUB);
        bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
        bench.set_int(ZMQ_INVERT_MATCHING, 1).unwrap();
        let peer = bench.connect();
        bench.put(peer, &["A"]);
        bench.put(peer, &["B"]);
        assert_eq!(bench.receive().unwrap(), ["B"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn a_message_begun_can_be_finished_after_its_pipe_was_removed() {
        let mut bench = Bench::new(ZMQ_SUB);
        bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
        let [one, other] = [bench.connect(), bench.connect()];
        bench.put(one, &["A", "x", "y"]);
        bench.put(other, &["B"]);
        assert_eq!(bench.receive_part().unwrap(), ("A".into(), true));
        bench.detach(one);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["x", "y"]);
        assert!(!bench.can_receive());
    }

    #[test]
    fn conflating_pipes_are_filtered_too() {
        let mut bench = Bench::new(ZMQ_SUB);
        bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
        let peer = bench.connect_conflating();
        for (message, expected) in [("A1", Some("A1")), ("B", None), ("A2", Some("A2"))] {
            bench.put(peer, &["A0"]);
            bench.put(peer, &[message]);
            assert_eq!(bench.can_receive(), expected.is_some());
            assert_eq!(bench.receive().ok().map(|parts| parts.concat()).as_deref(), expected);
            assert_eq!(bench.receive(), Err(Error::AGAIN));
        }
    }

    #[test]
    fn nothing_is_sent() {
        let mut bench = Bench::new(ZMQ_SUB);
        bench.connect();
        assert_eq!(bench.send(&["\x01A"]), Err(Error::NOTSUP));
        assert!(!bench.can_send());
        for option in [ZMQ_XSUB_VERBOSE_UNSUBSCRIBE, ZMQ_ONLY_FIRST_SUBSCRIBE, ZMQ_XPUB_MANUAL] {
            assert_eq!(bench.set_int(option, 1), Err(Error::INVAL));
        }
    }
}
