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
use std::time::{Duration, Instant};

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
    burst: Burst,
    manual: bool,
    /// The message after a subscription goes to the subscriber alone.
    last_value: bool,
    invert_matching: bool,
    welcome: Vec<u8>,
}

/// Messages sent without a pause. A connection's mark counts what the kernel has not taken, which
/// takes thousands of small messages; in libzmq the sender sees room once a millisecond at most, so
/// that whoever does not wait (ZMQ_XPUB_NODROP) is told of the mark in the middle of a burst.
#[derive(Default)]
struct Burst {
    sent: u64,
    since: Option<Instant>,
}

const PAUSE: Duration = Duration::from_millis(1);

impl Burst {
    /// One message more. False: as many as this were sent in less than a pause; this one begins anew.
    fn goes_on(&mut self, limit: u64, now: impl Fn() -> Instant) -> bool {
        if self.sent == 0 {
            self.since = Some(now());
        }
        self.sent += 1;
        if self.sent <= limit {
            return true;
        }
        self.sent = 0;
        self.since.is_none_or(|since| now().duration_since(since) >= PAUSE)
    }
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
        if self.no_drop && !(self.outgoing.marked_have_room(pipes) && self.goes_on(pipes)) {
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

    /// Whether the marked connections are not in a burst as long as the mark of one of them.
    fn goes_on(&mut self, pipes: &Pipes) -> bool {
        if self.inside {
            return true;
        }
        match self.outgoing.lowest_limit(pipes) {
            Some(limit) => self.burst.goes_on(limit, Instant::now),
            None => true,
        }
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
mod tests;
