// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! XSUB: receives from its publishers in turn, and sends them subscriptions (RFC 29).
//!
//! What is sent goes to all publishers. A part that begins with a byte 1 (subscribe) or 0 (cancel)
//! is a subscription: the socket keeps count of them, tells publishers that come later, and holds
//! cancellations back until the last subscription to a topic ends.
//!
//! A publisher whose pipe is full misses subscriptions, as it misses messages.

use super::fair_queue::FairQueue;
use super::fan_out::FanOut;
use super::topics::Topics;
use super::{CANCEL, Pattern, SUBSCRIBE, discard, flag_value};
use crate::abi::{ZMQ_ONLY_FIRST_SUBSCRIBE, ZMQ_TOPICS_COUNT, ZMQ_XSUB_VERBOSE_UNSUBSCRIBE};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

/// Also the ground SUB stands on.
#[derive(Default)]
pub struct XSub {
    pub(super) incoming: FairQueue,
    outgoing: FanOut,
    pub(super) topics: Topics,
    /// Between the parts of a message being sent.
    inside: bool,
    /// Parts of the message being sent may be subscriptions.
    look_for_subscription: bool,
    only_first_subscribe: bool,
    verbose_unsubscribe: bool,
}

impl Pattern for XSub {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.incoming.attach(pipes, id);
        self.outgoing.attach(pipes, id);
        self.send_topics(pipes, id);
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

    fn hiccuped(&mut self, pipes: &mut Pipes, id: PipeId) {
        // A command cannot stand between the parts of a message.
        self.outgoing.withdraw(pipes, id);
        self.send_topics(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        let is_first = !self.inside;
        self.inside = more;
        let look = is_first || self.look_for_subscription;
        if is_first {
            self.look_for_subscription = !self.only_first_subscribe;
        }
        let mut hold_back = false;
        match body.bytes().split_first() {
            Some((1, topic)) if look => {
                self.look_for_subscription = true;
                self.topics.add(topic);
            }
            Some((0, topic)) if look => {
                self.look_for_subscription = true;
                hold_back = !self.topics.remove(topic) && !self.verbose_unsubscribe;
            }
            _ => {}
        }
        self.outgoing.mark_all();
        if !hold_back {
            return self.outgoing.send(pipes, body, more);
        }
        discard(body);
        if self.outgoing.inside() && !more {
            // The parts sent before need a last one.
            self.outgoing.send(pipes, &mut Body::Bytes(&[]), false)?;
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        self.incoming.receive(pipes, sink).map(drop)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive(pipes)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_ONLY_FIRST_SUBSCRIBE => self.only_first_subscribe = flag_value(value)?,
            // The size of this one is not checked.
            ZMQ_XSUB_VERBOSE_UNSUBSCRIBE => {
                self.verbose_unsubscribe = value.iter().take(4).any(|byte| *byte != 0);
            }
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }

    fn option(&mut self, _pipes: &mut Pipes, option: i32) -> Result<i32> {
        if option != ZMQ_TOPICS_COUNT {
            return Err(Error::INVAL);
        }
        Ok(i32::try_from(self.topics.len()).unwrap_or(i32::MAX))
    }
}

impl XSub {
    pub(super) fn subscribe(&mut self, pipes: &mut Pipes, topic: &[u8]) {
        self.topics.add(topic);
        self.outgoing.send_command(pipes, &[SUBSCRIBE, topic].concat());
    }

    pub(super) fn unsubscribe(&mut self, pipes: &mut Pipes, topic: &[u8]) {
        if self.topics.remove(topic) {
            self.outgoing.send_command(pipes, &[CANCEL, topic].concat());
        }
    }

    /// Tells one publisher all topics.
    fn send_topics(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        let mut command = Vec::new();
        self.topics.for_each(|topic| {
            command.clear();
            command.extend_from_slice(SUBSCRIBE);
            command.extend_from_slice(topic);
            if pipe.check_write() {
                let _ = pipe.write_command(&command);
            }
        });
        if !command.is_empty() {
            pipe.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    #[test]
    fn everything_is_received() {
        let mut bench = Bench::new(ZMQ_XSUB);
        let [a, b] = [bench.connect(), bench.connect()];
        bench.put(a, &["1", "2"]);
        bench.put(b, &["3"]);
        assert!(bench.can_receive());
        assert_eq!(bench.receive().unwrap(), ["1", "2"]);
        assert_eq!(bench.receive().unwrap(), ["3"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
    }

    #[test]
    fn subscriptions_are_counted_and_passed_on() {
        for verbose in [0, 1] {
            let mut bench = Bench::new(ZMQ_XSUB);
            bench.set_int(ZMQ_XSUB_VERBOSE_UNSUBSCRIBE, verbose).unwrap();
            let peer = bench.connect();
            for part in ["\x01A", "\x01A", "\x01", "\0A", "\0A", "\0unknown", "message"] {
                bench.send(&[part]).unwrap();
            }
            assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));
            let expected: &[[&str; 1]] = match verbose {
                0 => &[["\x01A"], ["\x01A"], ["\x01"], ["\0A"], ["message"]],
                _ => {
                    &[["\x01A"], ["\x01A"], ["\x01"], ["\0A"], ["\0A"], ["\0unknown"], ["message"]]
                }
            };
            assert_eq!(bench.take(peer), expected);
        }
    }

    #[test]
    fn publishers_are_told_all_topics_when_they_come_and_come_back() {
        let mut bench = Bench::new(ZMQ_XSUB);
        for part in ["\x01B", "\x01A", "\x01A"] {
            bench.send(&[part]).unwrap();
        }
        let peer = bench.connect();
        let topics = [["/\x09SUBSCRIBEA"], ["/\x09SUBSCRIBEB"]];
        assert_eq!(bench.take(peer), topics);
        bench.hiccup(peer);
        assert_eq!(bench.take(peer), topics);
        bench.send_part("half", true).unwrap();
        bench.hiccup(peer);
        bench.send_part("other half", false).unwrap();
        bench.send(&["whole"]).unwrap();
        assert_eq!(bench.take(peer), [topics[0], topics[1], ["whole"]]);
    }

    #[test]
    fn parts_that_may_be_subscriptions() {
        let cases: &[(i32, &[&str], i32)] = &[
            (0, &["message", "\x01A"], 1),
            (0, &["\x01A", "\x01B"], 2),
            (1, &["message", "\x01A"], 0),
            (1, &["\x01A", "\x01B"], 2),
        ];
        for (only_first, message, topics) in cases {
            let mut bench = Bench::new(ZMQ_XSUB);
            bench.set_int(ZMQ_ONLY_FIRST_SUBSCRIBE, *only_first).unwrap();
            let peer = bench.connect();
            bench.send(message).unwrap();
            assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(*topics), "{message:?}");
            assert_eq!(bench.take(peer), [*message]);
        }
    }

    #[test]
    fn a_message_stays_whole_when_a_part_is_held_back() {
        let mut bench = Bench::new(ZMQ_XSUB);
        let peer = bench.connect();
        bench.send(&["\0unknown", "a"]).unwrap();
        bench.send(&["b", "\0unknown", "c"]).unwrap();
        bench.send(&["d", "\0unknown"]).unwrap();
        bench.send(&["e"]).unwrap();
        assert_eq!(bench.take(peer), [&["a"][..], &["b", "c"], &["d", ""], &["e"]]);
    }

    #[test]
    fn full_publishers_miss_it() {
        let mut bench = Bench::with_limits(ZMQ_XSUB, (1, 1));
        let peer = bench.connect();
        for part in ["\x01A", "\x01B"] {
            bench.send(&[part]).unwrap();
        }
        assert!(bench.can_send());
        assert_eq!(bench.take(peer), [["\x01A"]]);
        bench.send(&["\x01C"]).unwrap();
        assert_eq!(bench.take(peer), [["\x01C"]]);
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(3));
        let late = bench.connect();
        assert_eq!(bench.take(late), [["/\x09SUBSCRIBEA"]]);
    }

    #[test]
    fn options() {
        let mut bench = Bench::new(ZMQ_XSUB);
        assert_eq!(bench.set_int(ZMQ_ONLY_FIRST_SUBSCRIBE, -1), Err(Error::INVAL));
        assert_eq!(bench.set_option(ZMQ_XSUB_VERBOSE_UNSUBSCRIBE, &[1; 8]), Ok(()));
        assert_eq!(bench.set_option(ZMQ_SUBSCRIBE, b"A"), Err(Error::INVAL));
        assert_eq!(bench.option(ZMQ_ONLY_FIRST_SUBSCRIBE), Err(Error::INVAL));
    }
}
