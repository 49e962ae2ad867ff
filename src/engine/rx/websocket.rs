// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Input inside WebSocket: messages are read into a buffer of the connection, and their bodies are
//! unmasked on their way from there into the pipe. Large bodies are read into the memory of the
//! message that will be handed out, and unmasked there piece by piece as they come.
//!
//! A message in fragments is put together apart, in memory that grows with it: the fragments have
//! masks of their own, and none tells the length of the whole.
//!
//! Control frames never reach the pipe: PING is answered, CLOSE too, and it ends the connection.
//! Heartbeats are these, so ZMTP's own have no meaning here.

use super::{Failure, Front, LOOK_AHEAD, Link, QUOTA, Rx, kept_flags, open};
use crate::errno::{Error, Result};
use crate::msg::MsgBuilder;
use crate::pipe::REFERENCE_THRESHOLD;
use crate::pipe::rope::COMMAND;
use crate::transport::{ReadOutcome, Stream};
use crate::zmtp::command::Command;
use crate::zmtp::error::FailureClass;
use crate::zmtp::frame::check_size;
use crate::zmtp::zws::frame::{self, Head, Kind};
use crate::zmtp::zws::{CloseCode, Mask, Side, close};

/// The memory for received bytes, at first and at most. A frame whose body goes into the pipe
/// always fits.
const INBOX_MIN: usize = 1024;
const INBOX_MAX: usize = 64 * 1024;
const _: () = assert!(INBOX_MAX >= 2 * REFERENCE_THRESHOLD && INBOX_MAX <= QUOTA);

/// The total of a message in fragments is not known before the last; this is no limit.
const LONGEST: usize = isize::MAX as usize / 2;

/// Received bytes not yet recognised as frames.
#[derive(Default)]
pub(super) struct Inbox {
    memory: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Inbox {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.end]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.begin = self.begin.saturating_add(count).min(self.end);
    }

    /// Room behind the bytes, at least one byte.
    fn room(&mut self) -> &mut [u8] {
        if self.begin > 0 {
            // What is left is the beginning of one frame.
            self.memory.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        if self.end == self.memory.len() {
            self.grow();
        }
        &mut self.memory[self.end..]
    }

    fn grow(&mut self) {
        let length = (self.memory.len() * 2).max(INBOX_MIN);
        self.memory.resize(length.min(INBOX_MAX).max(self.end + 1), 0);
    }

    fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.len());
    }

    pub(super) fn preload(&mut self, bytes: &[u8]) {
        self.memory.resize(self.end.max(INBOX_MIN), 0);
        self.memory.splice(self.end.., bytes.iter().copied());
        self.end = self.memory.len();
    }
}

/// A large body on its way.
pub(super) struct Incoming {
    flags: u8,
    body: MsgBuilder,
    mask: Option<Mask>,
    unmasked: usize,
}

impl Incoming {
    /// Takes the mask off what has come since the last time.
    fn unmask(&mut self) {
        if let Some(mask) = self.mask {
            let bytes = self.body.filled_mut();
            mask.after(self.unmasked).apply(&mut bytes[self.unmasked..]);
            self.unmasked = bytes.len();
        }
    }
}

/// A message that comes in fragments.
pub(super) struct Fragments {
    /// What has come, the flags byte first.
    message: MsgBuilder,
    mask: Option<Mask>,
    /// Bytes that the present fragment lacks.
    lacking: usize,
    /// There will be no other fragment.
    last: bool,
}

impl Fragments {
    /// Takes what the bytes have of the present fragment; returns how much that is.
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let count = self.lacking.min(bytes.len());
        let piece = &mut bytes[..count];
        if let Some(mask) = self.mask {
            mask.apply(piece);
            self.mask = Some(mask.after(count));
        }
        self.message.push(piece)?;
        self.lacking -= count;
        Ok(count)
    }
}

/// Tells the peer what it did wrong.
pub(super) fn say_why(failure: Failure, link: &Link) {
    if failure.class == FailureClass::Protocol {
        let too_big = failure.error == Error::MSGSIZE;
        let code = if too_big { CloseCode::TOO_BIG } else { CloseCode::PROTOCOL };
        let _ = link.queue_command(&control(Kind::Close, &code.payload()));
    }
}

/// A control frame as it travels inside the library.
fn control(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut command = Vec::new();
    frame::put_control_command(kind, payload, &mut command);
    command
}

impl Rx {
    /// One read. True beside the outcome: it filled all the room there was.
    pub(super) fn receive_messages(&mut self, stream: &Stream) -> Result<(ReadOutcome, bool)> {
        if let Some(incoming) = &mut self.incoming {
            let lacking = incoming.body.remaining();
            let ahead = self.inbox.room();
            let ahead = match ahead.len() {
                length if length > LOOK_AHEAD => &mut ahead[..LOOK_AHEAD],
                _ => ahead,
            };
            let room = lacking + ahead.len();
            let (outcome, surplus) = stream.read_message(&mut incoming.body, ahead)?;
            self.inbox.received(surplus);
            incoming.unmask();
            let full = match outcome {
                ReadOutcome::Read(count) => {
                    count >= room || incoming.body.remaining() > 0 || stream.holds_input()
                }
                _ => false,
            };
            return Ok((outcome, full));
        }
        let room = self.inbox.room();
        let length = room.len().min(self.rules.batch.unwrap_or(usize::MAX));
        let outcome = stream.read_into(&mut room[..length])?;
        let ReadOutcome::Read(count) = outcome else { return Ok((outcome, false)) };
        self.inbox.received(count);
        let full = count == length;
        if full && self.inbox.memory.len() < INBOX_MAX {
            self.inbox.grow();
        }
        Ok((outcome, full || stream.holds_input()))
    }

    /// Recognises messages. False: stopped at the high-water mark.
    pub(super) fn parse_messages(
        &mut self,
        side: Side,
        link: &Link,
    ) -> std::result::Result<bool, Failure> {
        loop {
            if let Some(incoming) = self.incoming.take() {
                if !incoming.body.is_full() {
                    self.incoming = Some(incoming);
                    return Ok(true);
                }
                self.accept_incoming(incoming)?;
                continue;
            }
            if let Some(front) = self.front.take() {
                if !self.accept_opened(front)? {
                    return Ok(false);
                }
                continue;
            }
            if let Some(fragments) = &mut self.fragments
                && (fragments.lacking > 0 || fragments.last)
            {
                let taken = fragments.take(self.inbox.bytes_mut()).map_err(Failure::connection)?;
                let (lacking, last) = (fragments.lacking, fragments.last);
                self.inbox.consume(taken);
                if lacking > 0 {
                    return Ok(true);
                }
                if last {
                    self.accept_fragments()?;
                }
                continue;
            }
            let bytes = self.inbox.bytes();
            let Some(head) = frame::parse(bytes, side).map_err(Failure::protocol)? else {
                return Ok(true);
            };
            let flags = match head.kind {
                Kind::Zmtp(_) if self.fragments.is_some() => {
                    return Err(Failure::protocol(Error::PROTO));
                }
                Kind::Zmtp(flags) => flags,
                Kind::Fragment { first, last } => {
                    if !self.begin_fragment(&head, first, last)? {
                        return Ok(false);
                    }
                    continue;
                }
                Kind::Ping | Kind::Pong | Kind::Close => {
                    if !self.accept_control(&head, link)? {
                        return Ok(true);
                    }
                    continue;
                }
            };
            let length =
                check_size(head.body_len, self.rules.max_msg_size).map_err(Failure::protocol)?;
            let complete = bytes.len() - head.header_len >= length;
            let sealed = self.decoder.open.is_some();
            // What the flags of a sealed frame say lies inside.
            let flags = if sealed { 0 } else { kept_flags(flags) };
            if !complete && length < REFERENCE_THRESHOLD {
                return Ok(true);
            }
            let unwanted = complete && flags & COMMAND != 0 && !self.is_wanted(&head, length)?;
            if (!complete || !sealed) && !unwanted && !self.has_room() {
                return Ok(false);
            }
            if unwanted {
                self.inbox.consume(head.header_len + length);
            } else if !complete {
                self.begin_incoming(flags, &head, length)?;
            } else if sealed {
                self.open_message(&head, length)?;
            } else {
                self.accept_message(flags, &head, length)?;
            }
        }
    }

    fn accept_message(
        &mut self,
        flags: u8,
        head: &Head,
        length: usize,
    ) -> std::result::Result<(), Failure> {
        if flags & COMMAND == 0 {
            self.check_reply(flags, length)?;
        }
        let end = head.header_len + length;
        let body = &self.inbox.bytes()[head.header_len..end];
        self.writer
            .append_with(flags, length, |room| unmask_into(head.mask, body, room))
            .map_err(Failure::connection)?;
        self.inbox.consume(end);
        Ok(())
    }

    /// Whether a command that has come whole is for the socket. Of the commands only subscriptions
    /// have a meaning here: heartbeats are WebSocket's own.
    fn is_wanted(&self, head: &Head, length: usize) -> std::result::Result<bool, Failure> {
        let body = &self.inbox.bytes()[head.header_len..head.header_len + length];
        let mut start = [0; 16];
        let start = &mut start[..length.min(16)];
        unmask_into(head.mask, &body[..start.len()], start);
        self.is_for_socket(Command::parse(start), length)
    }

    /// Takes a sealed message into the pipe's memory and opens it there.
    fn open_message(&mut self, head: &Head, length: usize) -> std::result::Result<(), Failure> {
        let end = head.header_len + length;
        let body = &self.inbox.bytes()[head.header_len..end];
        let room = self.writer.receive_buffer(length).map_err(Failure::connection)?;
        unmask_into(head.mask, body, &mut room[..length]);
        self.writer.received(length);
        self.inbox.consume(end);
        self.front = Some(self.open_front(0, length)?);
        Ok(())
    }

    /// False: no room.
    fn accept_opened(&mut self, front: Front) -> std::result::Result<bool, Failure> {
        let Front { flags, offset, length } = front;
        let body = &self.writer.unparsed()[offset..offset + length];
        if flags & COMMAND != 0 && !self.is_for_socket(Command::parse(body), length)? {
            self.writer.truncate_unparsed(0);
            return Ok(true);
        }
        if !self.has_room() {
            self.front = Some(front);
            return Ok(false);
        }
        self.check_reply(flags, length)?;
        self.writer.accept_body(offset, length, flags);
        Ok(true)
    }

    fn begin_incoming(
        &mut self,
        flags: u8,
        head: &Head,
        length: usize,
    ) -> std::result::Result<(), Failure> {
        let mut body = MsgBuilder::new(length).map_err(Failure::connection)?;
        let begun = &self.inbox.bytes()[head.header_len..];
        body.push(begun).map_err(Failure::connection)?;
        self.inbox.consume(usize::MAX);
        let mut incoming = Incoming { flags, body, mask: head.mask, unmasked: 0 };
        incoming.unmask();
        self.incoming = Some(incoming);
        Ok(())
    }

    fn accept_incoming(&mut self, incoming: Incoming) -> std::result::Result<(), Failure> {
        let Incoming { mut flags, mut body, .. } = incoming;
        if self.decoder.open.is_some() {
            let opened = open(&mut self.decoder, body.filled_mut())?;
            flags = kept_flags(opened.flags);
            body.trim_front(opened.offset);
        }
        let body = body.finish();
        if flags & COMMAND == 0 {
            self.check_reply(flags, body.len())?;
        } else if !self.is_for_socket(Command::parse(body.data()), body.len())? {
            return Ok(());
        }
        if body.len() < REFERENCE_THRESHOLD {
            return self.writer.append(flags, body.data()).map_err(Failure::connection);
        }
        self.writer.append_external(flags, body).map_err(Failure::connection)
    }

    /// False: no room.
    fn begin_fragment(
        &mut self,
        head: &Head,
        first: bool,
        last: bool,
    ) -> std::result::Result<bool, Failure> {
        if first != self.fragments.is_none() {
            return Err(Failure::protocol(Error::PROTO));
        }
        if first && !self.has_room() {
            return Ok(false);
        }
        let mut message = match self.fragments.take() {
            Some(fragments) => fragments.message,
            None => MsgBuilder::new(LONGEST).map_err(Failure::connection)?,
        };
        // The limit is for the body.
        let before = message.filled_mut().len() as u64;
        let total = before.saturating_add(head.body_len);
        check_size(total.saturating_sub(1), self.rules.max_msg_size).map_err(Failure::protocol)?;
        let lacking = check_size(head.body_len, -1).map_err(Failure::protocol)?;
        self.fragments = Some(Fragments { message, mask: head.mask, lacking, last });
        self.inbox.consume(head.header_len);
        Ok(true)
    }

    fn accept_fragments(&mut self) -> std::result::Result<(), Failure> {
        let Some(Fragments { mut message, .. }) = self.fragments.take() else { return Ok(()) };
        let Some(&flags) = message.filled_mut().first() else {
            return Err(Failure::protocol(Error::PROTO));
        };
        let flags = kept_flags(frame::zmtp_flags(flags));
        message.trim_front(1);
        self.accept_incoming(Incoming { flags, body: message, mask: None, unmasked: 0 })
    }

    /// False: it has not come whole.
    fn accept_control(&mut self, head: &Head, link: &Link) -> std::result::Result<bool, Failure> {
        let length = usize::try_from(head.body_len).unwrap_or(usize::MAX);
        let end = head.header_len.saturating_add(length);
        let Some(payload) = self.inbox.bytes_mut().get_mut(head.header_len..end) else {
            return Ok(false);
        };
        if let Some(mask) = head.mask {
            mask.apply(payload);
        }
        match head.kind {
            Kind::Ping => link.answer(&control(Kind::Pong, payload)),
            Kind::Close => {
                let _ = link.queue_command(&control(Kind::Close, &close::answer(payload)));
            }
            Kind::Pong | Kind::Zmtp(_) | Kind::Fragment { .. } => {}
        }
        self.inbox.consume(end);
        match head.kind {
            Kind::Close => Err(Failure::connection(Error::CONNRESET)),
            _ => Ok(true),
        }
    }
}

fn unmask_into(mask: Option<Mask>, from: &[u8], to: &mut [u8]) {
    match mask {
        Some(mask) => mask.copy(from, to),
        None => to.copy_from_slice(from),
    }
}

// The handshakes are nothing for the models.
#[cfg(all(test, not(feature = "loom"), not(feature = "async-only")))]
mod tests {
    use super::super::super::{
        Decoder, Deframing, Encoder, Home, Owner, ReadEnd, Request, RxRules, Traffic,
    };
    use super::*;
    use crate::errno::Error;
    use crate::pipe::PipeId;
    use crate::pipe::rope::rope;
    use crate::transport::WriteOutcome;
    use crate::transport::test_wire::streams;
    use crate::transport::tls::tests::{VERSIONS, pair};
    use std::sync::Arc;

    struct Nobody;

    impl Home for Nobody {
        fn request(&self, _token: usize, _request: Request) {}
    }

    impl Owner for Nobody {
        fn readable(&self, _pipe: PipeId) {}
        fn writable(&self, _pipe: PipeId) {}
    }

    /// TLS tells of the end of a connection in the same piece as the last message, and the kernel
    /// of nothing: the end is not waited for.
    #[test]
    fn an_end_behind_the_last_message() {
        let forms = [
            (Deframing::Zmtp, &[0, 1, b'x'][..]),
            (Deframing::WebSocket(Side::Server), &[0x82, 0x82, 0, 0, 0, 0, 0, b'x']),
            (Deframing::Raw, b"x"),
        ];
        for (version, (framing, message)) in
            VERSIONS.into_iter().flat_map(|version| forms.map(|form| (version, form)))
        {
            let (client, server) = pair(version);
            let (near, _, peer) = streams();
            let near = near.with_tls(server.start().unwrap());
            let peer = peer.with_tls(client.start().unwrap());
            let (mut a, mut b) = (false, false);
            while !(a && b) {
                b = peer.negotiate().unwrap();
                a = near.negotiate().unwrap();
            }
            let (inbound, mut reader) = rope().unwrap();
            let (_writer, outbound) = rope().unwrap();
            let rules = RxRules { limit: u64::MAX, max_msg_size: -1, ..RxRules::default() };
            let rx = Rx::new(inbound, rules);
            let link = Link::new(1, (outbound, None), rx, None, Arc::new(Nobody), Arc::new(Nobody));
            let traffic = Traffic {
                stream: Arc::new(near),
                encoder: Encoder::raw(),
                decoder: Decoder::new(framing),
                metadata: None,
                notices: Vec::new(),
                leftover: Vec::new(),
                unsent: Vec::new(),
                hello: None,
            };
            link.attach(traffic).unwrap();
            assert_eq!(link.read(false).1, ReadEnd::Drained);
            assert_eq!(peer.write_one(message).unwrap(), WriteOutcome::Wrote(message.len()));
            drop(peer);
            let end = link.read(false).1;
            assert_eq!(end, ReadEnd::Failed(Failure::connection(Error::PIPE)), "{framing:?}");
            assert!(reader.frame().is_some_and(|frame| frame.body == b"x"), "{framing:?}");
        }
    }
}
