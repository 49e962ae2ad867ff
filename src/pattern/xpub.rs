// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! XPUB: sends to those who subscribed to the topic, and receives subscriptions (RFC 29).
//!
//! Subscriptions come as commands or as messages that begin with a byte 1 (subscribe) or 0
//! (cancel). The caller receives them in the latter form: normally those that are the first, or
//! end the last, of their topic.
//!
//! With ZMQ_XPUB_MANUAL nothing is applied; the caller receives each subscription and answers it
//! with ZMQ_SUBSCRIBE and ZMQ_UNSUBSCRIBE, which apply to the pipe it came from.

use super::fan_out::FanOut;
use super::subscriptions::{Removed, Subscriptions};
use super::{CANCEL, Pattern, SUBSCRIBE, flag_value, int_value};
use crate::abi::*;
use crate::errno::{Error, Result};
use crate::msg::{Metadata, Msg};
use crate::pipe::{Body, Frame, PipeId, Pipes, Readiness, Sink};
use std::collections::VecDeque;
use std::sync::Arc;

/// Also the ground PUB stands on.
#[derive(Default)]
pub struct XPub {
    outgoing: FanOut,
    subscriptions: Subscriptions,
    /// With manual mode, what was received; `subscriptions` is what was answered.
    received: Subscriptions,
    pending: VecDeque<Pending>,
    /// The pipe of the subscription the caller received last, for manual mode.
    last_pipe: Option<PipeId>,
    /// A message was begun; it goes on to the pipes found with its first part.
    inside: bool,
    /// Nobody receives: nothing is kept (PUB).
    is_pub: bool,
    verbose_subscribe: bool,
    verbose_cancel: bool,
    only_first_subscribe: bool,
    no_drop: bool,
    manual: bool,
    /// The message after a subscription goes to the subscriber alone.
    last_value: bool,
    invert_matching: bool,
    welcome: Vec<u8>,
}

/// What the caller will receive.
struct Pending {
    message: Msg,
    origin: Origin,
}

/// Whom ZMQ_SUBSCRIBE applies to once the message was received.
enum Origin {
    Subscription(PipeId),
    /// The pipe is gone.
    Detached,
    /// Not a subscription: as before.
    Message,
}

impl Pattern for XPub {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.outgoing.attach(pipes, id);
        if subscribe_to_all {
            self.subscriptions.add(b"", id);
        }
        if !self.welcome.is_empty() {
            self.send_welcome(pipes, id);
        }
        self.read_activated(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.detach(pipes, id);
        let (manual, verbose) = (self.manual, self.verbose_cancel);
        let mut cancelled = Vec::new();
        self.received.remove_pipe(id, |topic, _| {
            if manual {
                cancelled.push(topic.to_vec());
            }
        });
        self.subscriptions.remove_pipe(id, |topic, last| {
            if !manual && (last || verbose) {
                cancelled.push(topic.to_vec());
            }
        });
        if self.last_pipe == Some(id) || (manual && !cancelled.is_empty()) {
            self.last_pipe = None;
        }
        for topic in cancelled {
            self.notify(false, &topic, None, Origin::Detached);
        }
    }

    /// Reads the subscriptions that have come.
    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        let (mut is_first, mut look_for_subscription) = (true, true);
        loop {
            match pipe.check_read() {
                Readiness::Ready => {}
                Readiness::Empty => return,
                Readiness::Ended => break,
            }
            if let Some(frame) = pipe.frame() {
                let subscription = if look_for_subscription { parse(&frame) } else { None };
                match subscription {
                    Some((subscribe, topic)) => self.subscribe(id, subscribe, topic, &frame),
                    None => self.keep(&frame),
                }
                if is_first {
                    look_for_subscription = !self.only_first_subscribe || subscription.is_some();
                }
                is_first = !frame.more();
                look_for_subscription |= is_first;
            }
            pipe.skip();
        }
        pipes.ended.push(id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        let only_to = self.last_pipe.filter(|_| self.last_value && self.manual && !self.inside);
        if !self.inside {
            self.mark_matching(pipes, body.bytes(), only_to);
        }
        if self.no_drop && !self.outgoing.marked_have_room(pipes) {
            return Err(Error::AGAIN);
        }
        self.outgoing.send(pipes, body, more)?;
        if only_to.is_some() {
            self.last_pipe = None;
        }
        self.inside = more;
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        let Pending { message, origin } = self.pending.pop_front().ok_or(Error::AGAIN)?;
        match origin {
            Origin::Subscription(id) if self.manual => {
                self.last_pipe = Some(id).filter(|id| pipes.get(*id).is_some());
            }
            Origin::Detached if self.manual => self.last_pipe = None,
            _ => {}
        }
        let (more, metadata) = (message.more(), message.metadata().cloned());
        sink.put_message(message, more, metadata.as_ref())
    }

    fn can_receive(&mut self, _pipes: &mut Pipes) -> bool {
        !self.pending.is_empty()
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_XPUB_VERBOSE => {
                self.verbose_subscribe = flag_value(value)?;
                self.verbose_cancel = false;
            }
            ZMQ_XPUB_VERBOSER => {
                self.verbose_subscribe = flag_value(value)?;
                self.verbose_cancel = self.verbose_subscribe;
            }
            ZMQ_XPUB_NODROP => self.no_drop = flag_value(value)?,
            ZMQ_XPUB_MANUAL => self.manual = flag_value(value)?,
            ZMQ_XPUB_MANUAL_LAST_VALUE => {
                self.manual = flag_value(value)?;
                self.last_value = self.manual;
            }
            ZMQ_ONLY_FIRST_SUBSCRIBE => self.only_first_subscribe = flag_value(value)?,
            ZMQ_XPUB_WELCOME_MSG => self.welcome = value.to_vec(),
            ZMQ_INVERT_MATCHING => self.invert_matching = int_value(value)? != 0,
            ZMQ_SUBSCRIBE if self.manual => {
                if let Some(id) = self.last_pipe {
                    self.subscriptions.add(value, id);
                }
            }
            ZMQ_UNSUBSCRIBE if self.manual => {
                if let Some(id) = self.last_pipe {
                    self.subscriptions.remove(value, id);
                }
            }
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }

    fn option(&mut self, _pipes: &mut Pipes, option: i32) -> Result<i32> {
        if option != ZMQ_TOPICS_COUNT {
            return Err(Error::INVAL);
        }
        Ok(i32::try_from(self.subscriptions.len()).unwrap_or(i32::MAX))
    }
}

impl XPub {
    pub(super) fn without_receiver() -> XPub {
        XPub { is_pub: true, ..XPub::default() }
    }

    #[inline]
    fn mark_matching(&mut self, pipes: &mut Pipes, data: &[u8], only_to: Option<PipeId>) {
        self.outgoing.unmark_all();
        self.subscriptions.for_each_match(data, |id| {
            if only_to.is_none_or(|only| only == id) {
                self.outgoing.mark(pipes, id);
            }
        });
        if self.invert_matching {
            self.outgoing.invert_marks(pipes);
        }
    }

    /// A subscription or its end has come.
    fn subscribe(&mut self, id: PipeId, subscribe: bool, topic: &[u8], frame: &Frame<'_>) {
        let tell = match (self.manual, subscribe) {
            (true, true) => {
                self.received.add(topic, id);
                true
            }
            (true, false) => {
                self.received.remove(topic, id);
                true
            }
            (false, true) => self.subscriptions.add(topic, id) || self.verbose_subscribe,
            // The end of a subscription nobody had is passed on too.
            (false, false) => {
                self.subscriptions.remove(topic, id) != Removed::OthersRemain || self.verbose_cancel
            }
        };
        if tell {
            self.notify(subscribe, topic, frame.metadata, Origin::Subscription(id));
        }
    }

    /// Keeps a subscription, or its end, for the caller.
    fn notify(
        &mut self,
        subscribe: bool,
        topic: &[u8],
        metadata: Option<&Arc<Metadata>>,
        origin: Origin,
    ) {
        if self.is_pub {
            return;
        }
        let text = [&[u8::from(subscribe)], topic].concat();
        self.push_pending(&text, false, metadata, origin);
    }

    /// Keeps a part of a message that is no subscription.
    fn keep(&mut self, frame: &Frame<'_>) {
        if !self.is_pub && !frame.is_command() {
            self.push_pending(frame.body, frame.more(), frame.metadata, Origin::Message);
        }
    }

    fn push_pending(
        &mut self,
        body: &[u8],
        more: bool,
        metadata: Option<&Arc<Metadata>>,
        origin: Origin,
    ) {
        // Without memory the caller does not hear of it.
        if let Ok(mut message) = Msg::from_slice(body) {
            message.set_more(more);
            message.set_metadata(metadata.cloned());
            self.pending.push_back(Pending { message, origin });
        }
    }

    #[cold]
    fn send_welcome(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        if pipe.check_write() && pipe.write(&mut Body::Bytes(&self.welcome), false).is_ok() {
            pipe.flush();
        }
    }
}

/// Whether it subscribes or cancels, and the topic; `None` when it does neither.
fn parse<'a>(frame: &Frame<'a>) -> Option<(bool, &'a [u8])> {
    let body = frame.body;
    if frame.is_command() {
        let subscribe = body.strip_prefix(SUBSCRIBE).map(|topic| (true, topic));
        return subscribe.or_else(|| body.strip_prefix(CANCEL).map(|topic| (false, topic)));
    }
    match body.split_first()? {
        (1, topic) => Some((true, topic)),
        (0, topic) => Some((false, topic)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Connecting, Message};
    use super::*;

    fn subscribe(bench: &mut Bench, peer: usize, topic: &str) {
        bench.put(peer, &[&format!("\x01{topic}")]);
    }

    fn cancel(bench: &mut Bench, peer: usize, topic: &str) {
        bench.put(peer, &[&format!("\x00{topic}")]);
    }

    /// Everything there is to receive: `+topic`, `-topic`, or the message.
    fn received(bench: &mut Bench) -> Vec<String> {
        let mut received = Vec::new();
        while bench.can_receive() {
            received
                .push(bench.receive().unwrap().join("|").replace('\x01', "+").replace('\0', "-"));
        }
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        received
    }

    fn taken(bench: &mut Bench, peers: &[usize]) -> Vec<String> {
        let join = |messages: Vec<Message>| messages.concat().join(",");
        peers.iter().map(|&peer| join(bench.take(peer))).collect()
    }

    #[test]
    fn only_subscribers_get_a_message() {
        let mut bench = Bench::new(ZMQ_XPUB);
        let peers = [bench.connect(), bench.connect(), bench.connect()];
        subscribe(&mut bench, peers[0], "A");
        bench.put_command(peers[1], "\x09SUBSCRIBEAB");
        bench.put_command(peers[1], "\x09SUBSCRIBE");
        bench.put_command(peers[2], "\x09OTHER");
        assert_eq!(received(&mut bench), ["+A", "+AB", "+"]);
        for message in [&["A"][..], &["ABC", "body"], &["B", "A"], &[""]] {
            bench.send(message).unwrap();
        }
        assert_eq!(taken(&mut bench, &peers), ["A,ABC,body", "A,ABC,body,B,A,", ""]);
        bench.put_command(peers[1], "\x06CANCEL");
        cancel(&mut bench, peers[0], "A");
        assert_eq!(received(&mut bench), ["-", "-A"]);
        bench.send(&["A"]).unwrap();
        bench.send(&["AB"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["", "AB", ""]);
    }

    #[test]
    fn what_the_caller_hears_of() {
        let steps: &[(&str, [&[&str]; 3])] = &[
            // Step, then what is received: plain, VERBOSE, VERBOSER.
            ("0+A", [&["+A"], &["+A"], &["+A"]]),
            ("1+A", [&[], &["+A"], &["+A"]]),
            ("1+A", [&[], &["+A"], &["+A"]]),
            ("1+B", [&["+B"], &["+B"], &["+B"]]),
            ("0-A", [&[], &[], &["-A"]]),
            ("0-A", [&["-A"], &["-A"], &["-A"]]),
            ("0-unknown", [&["-unknown"], &["-unknown"], &["-unknown"]]),
            ("0+B", [&[], &["+B"], &["+B"]]),
            ("1-A", [&["-A"], &["-A"], &["-A"]]),
            ("1leave", [&[], &[], &["-B"]]),
            ("0+A", [&["+A"], &["+A"], &["+A"]]),
            ("0leave", [&["-A", "-B"], &["-A", "-B"], &["-A", "-B"]]),
        ];
        let modes = [None, Some(ZMQ_XPUB_VERBOSE), Some(ZMQ_XPUB_VERBOSER)];
        for (mode, option) in modes.into_iter().enumerate() {
            let mut bench = Bench::new(ZMQ_XPUB);
            if let Some(option) = option {
                bench.set_int(option, 1).unwrap();
            }
            let peers = [bench.connect(), bench.connect()];
            for (step, expected) in steps {
                let peer = peers[usize::from(step.starts_with('1'))];
                match step[1..].split_at(1) {
                    ("+", topic) => subscribe(&mut bench, peer, topic),
                    ("-", topic) => cancel(&mut bench, peer, topic),
                    _ => bench.leave(peer),
                }
                assert_eq!(received(&mut bench), expected[mode], "{step}, mode {mode}");
            }
            assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(0));
        }
    }

    #[test]
    fn verbose_clears_what_verboser_set() {
        let mut bench = Bench::new(ZMQ_XPUB);
        let peers = [bench.connect(), bench.connect()];
        bench.set_int(ZMQ_XPUB_VERBOSER, 1).unwrap();
        bench.set_int(ZMQ_XPUB_VERBOSE, 1).unwrap();
        for peer in peers {
            subscribe(&mut bench, peer, "A");
        }
        cancel(&mut bench, peers[0], "A");
        assert_eq!(received(&mut bench), ["+A", "+A"]);
    }

    #[test]
    fn messages_from_subscribers() {
        let cases: &[(i32, &[&str], &[&str])] = &[
            (0, &["hello"], &["hello"]),
            (0, &[""], &[""]),
            (0, &["hello", "\x01A", "tail"], &["hello|+A", "tail"]),
            (1, &["hello", "\x01A", "tail"], &["hello|+A|tail"]),
            (1, &["\x01A", "\x01B", "tail"], &["+A", "+B", "tail"]),
        ];
        for (only_first, message, expected) in cases {
            let mut bench = Bench::new(ZMQ_XPUB);
            bench.set_int(ZMQ_ONLY_FIRST_SUBSCRIBE, *only_first).unwrap();
            let peer = bench.connect();
            bench.put(peer, message);
            assert_eq!(received(&mut bench), *expected, "{message:?}");
            subscribe(&mut bench, peer, "next");
            assert_eq!(received(&mut bench), ["+next"]);
        }
    }

    #[test]
    fn pub_keeps_nothing() {
        for manual in [0, 1] {
            let mut bench = Bench::new(ZMQ_PUB);
            bench.set_int(ZMQ_XPUB_MANUAL, manual).unwrap();
            let peer = bench.connect();
            bench.put(peer, &["hello", "\x01A"]);
            assert!(!bench.can_receive());
            assert_eq!(bench.receive(), Err(Error::NOTSUP));
            bench.send(&["A"]).unwrap();
            assert_eq!(taken(&mut bench, &[peer]), [["A", ""][manual as usize]]);
            let expected = if manual == 1 { Ok(()) } else { Err(Error::INVAL) };
            assert_eq!(bench.set_option(ZMQ_SUBSCRIBE, b"A"), expected);
            assert_eq!(bench.set_option(ZMQ_UNSUBSCRIBE, b"A"), expected);
            bench.leave(peer);
            assert!(bench.closed(peer));
        }
    }

    #[test]
    fn full_peers_miss_messages() {
        for socket_type in [ZMQ_PUB, ZMQ_XPUB] {
            let mut bench = Bench::with_limits(socket_type, (1, 10));
            let peers = [bench.connect(), bench.connect()];
            for peer in peers {
                subscribe(&mut bench, peer, "");
            }
            bench.send(&["1", "a"]).unwrap();
            assert_eq!(taken(&mut bench, &peers[..1]), ["1,a"]);
            bench.send(&["2", "b"]).unwrap();
            assert_eq!(taken(&mut bench, &peers), ["2,b", "1,a"]);

            bench.set_int(ZMQ_XPUB_NODROP, 1).unwrap();
            bench.send(&["3"]).unwrap();
            assert_eq!(taken(&mut bench, &peers[..1]), ["3"]);
            assert_eq!(bench.send(&["4"]), Err(Error::AGAIN));
            assert!(bench.can_send());
            assert_eq!(taken(&mut bench, &peers), ["", "3"]);
            bench.send(&["4", "c"]).unwrap();
            assert_eq!(taken(&mut bench, &peers), ["4,c", "4,c"]);
            // Full peers that would not get it do not hold it up.
            cancel(&mut bench, peers[1], "");
            bench.send(&["5"]).unwrap();
            assert_eq!(bench.send(&["6"]), Err(Error::AGAIN));
            bench.kill(peers[0]);
            bench.send(&["6"]).unwrap();
        }
    }

    #[test]
    fn inverted_matching() {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_int(ZMQ_INVERT_MATCHING, 1).unwrap();
        let peers = [bench.connect(), bench.connect()];
        subscribe(&mut bench, peers[0], "A");
        bench.send(&["A"]).unwrap();
        bench.send(&["B"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["B", "A,B"]);
    }

    #[test]
    fn implicit_subscription_and_welcome() {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_option(ZMQ_XPUB_WELCOME_MSG, b"W").unwrap();
        let all = bench.connect_as(Connecting { subscribe_to_all: true, ..Connecting::default() });
        bench.set_option(ZMQ_XPUB_WELCOME_MSG, b"").unwrap();
        let none = bench.connect();
        bench.send(&["x"]).unwrap();
        assert_eq!(taken(&mut bench, &[all, none]), ["W,x", ""]);
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));
    }

    #[test]
    fn manual_subscriptions() {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_int(ZMQ_XPUB_MANUAL, 1).unwrap();
        let peers = [bench.connect(), bench.connect()];
        bench.set_option(ZMQ_SUBSCRIBE, b"nobody").unwrap();
        subscribe(&mut bench, peers[0], "A");
        bench.put(peers[0], &["user", "message"]);
        subscribe(&mut bench, peers[1], "A");
        subscribe(&mut bench, peers[1], "A");
        bench.send(&["A"]).unwrap();
        bench.send(&["XA"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["", ""]);

        assert_eq!(bench.receive().unwrap(), ["\x01A"]);
        assert_eq!(bench.receive().unwrap(), ["user", "message"]);
        bench.set_option(ZMQ_SUBSCRIBE, b"XA").unwrap();
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));
        bench.send(&["XA"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["XA", ""]);
        assert_eq!(received(&mut bench), ["+A", "+A"]);
        bench.set_option(ZMQ_SUBSCRIBE, b"XB").unwrap();
        bench.send(&["XB"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["", "XB"]);

        cancel(&mut bench, peers[0], "A");
        assert_eq!(received(&mut bench), ["-A"]);
        bench.set_option(ZMQ_UNSUBSCRIBE, b"XA").unwrap();
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));

        // What the peer had asked for is cancelled, not what was made of it.
        bench.leave(peers[1]);
        assert_eq!(received(&mut bench), ["-A"]);
        bench.set_option(ZMQ_SUBSCRIBE, b"XA").unwrap();
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(0));
    }

    #[test]
    fn a_manual_subscription_whose_peer_has_left() {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_int(ZMQ_XPUB_MANUAL, 1).unwrap();
        let [gone, stays] = [bench.connect(), bench.connect()];
        subscribe(&mut bench, gone, "A");
        subscribe(&mut bench, stays, "B");
        bench.leave(gone);
        for (text, count) in [("\x01A", 0), ("\x01B", 1), ("\x00A", 1)] {
            assert_eq!(bench.receive().unwrap(), [text]);
            bench.set_option(ZMQ_SUBSCRIBE, text.as_bytes()).unwrap();
            assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(count));
        }
    }

    #[test]
    fn the_last_value_goes_to_the_last_subscriber() {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_int(ZMQ_XPUB_MANUAL_LAST_VALUE, 1).unwrap();
        let peers = [bench.connect(), bench.connect()];
        for peer in peers {
            subscribe(&mut bench, peer, "A");
            assert_eq!(received(&mut bench), ["+A"]);
            bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
        }
        bench.send(&["A", "1"]).unwrap();
        bench.send(&["A", "2"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["A,2", "A,1,A,2"]);
        subscribe(&mut bench, peers[0], "B");
        assert_eq!(received(&mut bench), ["+B"]);
        bench.send(&["B"]).unwrap();
        bench.send(&["A"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["A", "A"]);
    }

    #[test]
    fn subscribers_that_come_and_go_between_parts() {
        let mut bench = Bench::new(ZMQ_XPUB);
        let peers = [bench.connect(), bench.connect()];
        for peer in peers {
            subscribe(&mut bench, peer, "");
        }
        bench.send_part("a", true).unwrap();
        bench.leave(peers[0]);
        let late = bench.connect();
        subscribe(&mut bench, late, "");
        bench.send_part("b", false).unwrap();
        bench.send(&["c"]).unwrap();
        assert_eq!(taken(&mut bench, &[peers[1], late]), ["a,b,c", "c"]);
    }

    #[test]
    fn options() {
        for socket_type in [ZMQ_PUB, ZMQ_XPUB] {
            let mut bench = Bench::new(socket_type);
            for option in [
                ZMQ_XPUB_VERBOSE,
                ZMQ_XPUB_VERBOSER,
                ZMQ_XPUB_NODROP,
                ZMQ_XPUB_MANUAL_LAST_VALUE,
                ZMQ_XPUB_MANUAL,
                ZMQ_ONLY_FIRST_SUBSCRIBE,
            ] {
                for (value, expected) in [(3, Ok(())), (-1, Err(Error::INVAL)), (0, Ok(()))] {
                    assert_eq!(bench.set_int(option, value), expected);
                }
                assert_eq!(bench.set_option(option, b""), Err(Error::INVAL));
            }
            for option in [ZMQ_SUBSCRIBE, ZMQ_UNSUBSCRIBE, ZMQ_XSUB_VERBOSE_UNSUBSCRIBE] {
                assert_eq!(bench.set_int(option, 1), Err(Error::INVAL));
            }
            assert_eq!(bench.option(ZMQ_XPUB_MANUAL), Err(Error::INVAL));
        }
    }
}
