// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The input of a connection: bytes are read straight into the pipe's memory, recognised as frames
//! there, and committed message by message up to the high-water mark. Large bodies are read into
//! the memory of the message that will be handed out.

mod websocket;

use self::websocket::{Fragments, Inbox, Incoming};
use super::decode::{Decoder, Deframing, GroupFilter, ReplyFilter};
use super::link::{Failure, Link};
use crate::errno::{Error, Result};
use crate::msg::{GROUP_MAX, Metadata, Msg, MsgBuilder};
use crate::pipe::rope::{self, COMMAND, LONG, MORE, Writer, rope};
use crate::pipe::{Latest, REFERENCE_THRESHOLD};
use crate::transport::{ReadOutcome, Stream};
use crate::zmtp::Opened;
use crate::zmtp::cipher::OPENED_OFFSET;
use crate::zmtp::command::Command;
use crate::zmtp::frame::{self, Flags, HeaderParse};
use std::sync::Arc;

/// Bytes read from one connection before others get their turn.
const QUOTA: usize = 256 * 1024;
/// Bytes read beyond a large body at once; more would only have to be copied again.
const LOOK_AHEAD: usize = 4096;
/// A raw connection's data arrives in parts of at most this many bytes, unless ZMQ_IN_BATCH_SIZE says
/// otherwise.
const RAW_PART: usize = 8192;
/// Room for one read at least, in bytes.
const READ_MINIMUM: usize = 256;

/// How a round of reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadEnd {
    /// Nothing is left; the next edge tells.
    Drained,
    /// There may be more: the share was used up.
    More,
    /// The pipe is at its high-water mark; the socket's credit tells.
    Stalled,
    /// The connection is broken or broke the protocol.
    Failed(Failure),
    /// There is no connection.
    Detached,
}

/// What the input has to know of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct RxRules {
    /// High-water mark in messages.
    pub limit: u64,
    /// ZMQ_MAXMSGSIZE in bytes, negative for none.
    pub max_msg_size: i64,
    /// Subscriptions are for the socket (PUB, XPUB); others drop them.
    pub subscriptions: bool,
    /// Only replies may come (REQ).
    pub replies_only: bool,
    /// Groups joined and left are for the socket (RADIO); others drop them.
    pub groups: bool,
    /// Only messages with a group may come (DISH).
    pub grouped_only: bool,
    /// Bytes read at once, but for large bodies; `None` for as many as there is room for.
    pub batch: Option<usize>,
}

struct Large {
    flags: u8,
    header: usize,
    body: MsgBuilder,
}

/// A sealed frame at the front of the unparsed bytes that was opened, and waits for room.
#[derive(Clone, Copy)]
struct Front {
    flags: u8,
    /// Where its body begins.
    offset: usize,
    length: usize,
}

/// The input of a connection. Touched only by whoever holds the lock of the set it is in.
pub struct Rx {
    pub(super) writer: Writer,
    stream: Option<Arc<Stream>>,
    decoder: Decoder,
    pub(super) rules: RxRules,
    filter: ReplyFilter,
    group_filter: GroupFilter,
    large: Option<Large>,
    front: Option<Front>,
    /// Received bytes of a framing that is not the pipe's.
    pub(super) scratch: Vec<u8>,
    /// Received bytes of messages of WebSocket, and a large one that began there.
    inbox: Inbox,
    incoming: Option<Incoming>,
    fragments: Option<Fragments>,
    reads: u64,
    /// Where the newest message goes when the pipe conflates.
    latest: Option<(Latest, rope::Reader)>,
    closed: bool,
}

impl Rx {
    pub fn new(writer: Writer, rules: RxRules) -> Rx {
        Rx {
            writer,
            stream: None,
            decoder: Decoder::new(Deframing::Zmtp),
            rules,
            filter: ReplyFilter::Begin,
            group_filter: GroupFilter::Group,
            large: None,
            front: None,
            scratch: Vec::new(),
            inbox: Inbox::default(),
            incoming: None,
            fragments: None,
            reads: 0,
            latest: None,
            closed: false,
        }
    }

    /// An input that keeps the newest message only (ZMQ_CONFLATE).
    pub fn conflating(latest: Latest, rules: RxRules) -> Result<Rx> {
        let (writer, reader) = rope()?;
        let mut rx = Rx::new(writer, rules);
        rx.rules.limit = crate::pipe::UNLIMITED;
        rx.latest = Some((latest, reader));
        Ok(rx)
    }

    /// Reads that brought something.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    pub fn set_limit(&mut self, limit: u64) {
        if self.latest.is_none() {
            self.rules.limit = limit;
        }
    }

    pub fn attach(
        &mut self,
        stream: Arc<Stream>,
        decoder: Decoder,
        metadata: Option<Arc<Metadata>>,
    ) {
        self.stream = Some(stream);
        self.decoder = decoder;
        self.filter = ReplyFilter::Begin;
        self.group_filter = GroupFilter::Group;
        self.writer.append_metadata(metadata);
    }

    /// Bytes that arrived before the traffic began.
    pub fn preload(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.decoder.framing {
            Deframing::Zmtp => {
                let room = self.writer.receive_buffer(bytes.len())?;
                room[..bytes.len()].copy_from_slice(bytes);
                self.writer.received(bytes.len());
            }
            Deframing::WebSocket(_) => self.inbox.preload(bytes),
            Deframing::Legacy | Deframing::Raw | Deframing::Datagrams(_) => {
                self.scratch.extend_from_slice(bytes)
            }
        }
        Ok(())
    }

    /// Appends a frame that did not come over the wire: an empty one tells a STREAM socket that its
    /// peer came or went. True: the socket's pipe was asleep.
    pub fn inject(&mut self, flags: u8, body: &[u8]) -> bool {
        let appended = if body.len() < REFERENCE_THRESHOLD {
            self.writer.append(flags, body)
        } else {
            Msg::from_slice(body).and_then(|body| self.writer.append_external(flags, body))
        };
        appended.is_ok() && self.commit()
    }

    /// Forgets the stream and every message not received whole.
    pub fn detach(&mut self) {
        self.stream = None;
        self.decoder = Decoder::new(Deframing::Zmtp);
        self.large = None;
        self.front = None;
        self.scratch = Vec::new();
        self.inbox = Inbox::default();
        self.incoming = None;
        self.fragments = None;
        self.writer.rollback();
    }

    /// Nothing more will come. True: the socket's pipe was asleep.
    pub fn close(&mut self) -> bool {
        self.detach();
        self.closed = true;
        if let Some((latest, _)) = &self.latest {
            latest.lock().closed = true;
            return true;
        }
        self.writer.close()
    }

    /// Reads a fair share. `at_end`: the peer has finished sending, so read on to the very end.
    pub fn read(&mut self, link: &Link, at_end: bool) -> (bool, ReadEnd) {
        let mut activated = false;
        let mut taken = 0;
        let end = loop {
            let parsed = self.parse(link);
            activated |= self.commit();
            match parsed {
                Ok(true) => {}
                Ok(false) => break ReadEnd::Stalled,
                Err(failure) => break ReadEnd::Failed(failure),
            }
            if taken >= QUOTA {
                break ReadEnd::More;
            }
            let Some(stream) = self.stream.clone() else { break ReadEnd::Detached };
            match self.receive(&stream) {
                Ok((ReadOutcome::Read(count), full)) => {
                    self.reads += 1;
                    taken += if full && stream.gave_way() { QUOTA } else { count };
                    if !full && !at_end {
                        // A short read: nothing is left now.
                        let parsed = self.parse(link);
                        activated |= self.commit();
                        break match parsed {
                            Ok(true) => ReadEnd::Drained,
                            Ok(false) => ReadEnd::Stalled,
                            Err(failure) => ReadEnd::Failed(failure),
                        };
                    }
                }
                Ok((ReadOutcome::WouldBlock, _)) => break ReadEnd::Drained,
                Ok((ReadOutcome::Closed, _)) => {
                    break ReadEnd::Failed(Failure::connection(Error::PIPE));
                }
                Err(error) => break ReadEnd::Failed(Failure::connection(error)),
            }
        };
        if let ReadEnd::Failed(failure) = end {
            self.stream = None;
            if matches!(self.decoder.framing, Deframing::WebSocket(_)) {
                // Nobody looks at what came behind.
                self.inbox = Inbox::default();
                websocket::say_why(failure, link);
            }
        }
        (activated, end)
    }

    /// One read. True beside the outcome: it filled all the room there was.
    fn receive(&mut self, stream: &Stream) -> Result<(ReadOutcome, bool)> {
        if let Some(large) = &mut self.large {
            let lacking = large.body.remaining();
            let ahead = self.writer.receive_buffer(frame::MAX_HEADER)?;
            let ahead = match ahead.len() {
                length if length > LOOK_AHEAD => &mut ahead[..LOOK_AHEAD],
                _ => ahead,
            };
            let room = lacking + ahead.len();
            let (outcome, surplus) = stream.read_message(&mut large.body, ahead)?;
            self.writer.received(surplus);
            let full = match outcome {
                ReadOutcome::Read(count) => {
                    count >= room || large.body.remaining() > 0 || stream.holds_input()
                }
                _ => false,
            };
            return Ok((outcome, full));
        }
        if matches!(self.decoder.framing, Deframing::WebSocket(_)) {
            return self.receive_messages(stream);
        }
        if let Deframing::Datagrams(inbound) = self.decoder.framing {
            return self.receive_datagram(stream, inbound);
        }
        if self.decoder.framing != Deframing::Zmtp {
            let (before, part) = (self.scratch.len(), self.raw_part());
            self.scratch.resize(before + part, 0);
            let outcome = stream.read_into(&mut self.scratch[before..]);
            let count = match outcome {
                Ok(ReadOutcome::Read(count)) => count,
                _ => 0,
            };
            self.scratch.truncate(before + count);
            return Ok((outcome?, count == part || stream.holds_input()));
        }
        let minimum = self.wanted().max(READ_MINIMUM);
        let fresh = self.writer.unparsed().is_empty();
        let room = self.writer.receive_buffer(minimum)?;
        let length = room.len().min(self.rules.batch.unwrap_or(usize::MAX));
        let outcome = stream.read_into(&mut room[..length])?;
        let ReadOutcome::Read(count) = outcome else { return Ok((outcome, false)) };
        self.writer.received(count);
        let full = count == length;
        if full && fresh && self.rules.batch.is_none() {
            self.writer.grow();
        }
        Ok((outcome, full || stream.holds_input()))
    }

    fn raw_part(&self) -> usize {
        self.rules.batch.map_or(RAW_PART, |batch| batch.min(QUOTA))
    }

    /// How many bytes the frame at the front still lacks, when that is known.
    fn wanted(&self) -> usize {
        let unparsed = self.writer.unparsed();
        match frame::parse_header(unparsed) {
            HeaderParse::Header { header_len, body_len, .. } => usize::try_from(body_len)
                .unwrap_or(0)
                .saturating_add(header_len)
                .saturating_sub(unparsed.len())
                .min(REFERENCE_THRESHOLD),
            HeaderParse::Incomplete => 0,
        }
    }

    /// Recognises frames. False: stopped at the high-water mark.
    fn parse(&mut self, link: &Link) -> std::result::Result<bool, Failure> {
        match self.decoder.framing {
            Deframing::Zmtp if self.decoder.open.is_some() => self.parse_sealed(link),
            Deframing::Zmtp => self.parse_plain(link),
            Deframing::Legacy => self.parse_legacy(),
            Deframing::WebSocket(side) => self.parse_messages(side, link),
            Deframing::Datagrams(_) => Ok(self.has_room()),
            Deframing::Raw => {
                if self.scratch.is_empty() {
                    return Ok(true);
                }
                if !self.has_room() {
                    return Ok(false);
                }
                for part in std::mem::take(&mut self.scratch).chunks(self.raw_part()) {
                    self.writer.append(0, part).map_err(Failure::connection)?;
                }
                Ok(true)
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.writer.inside_message()
            || self.writer.has_room(self.rules.limit)
            || !self.writer.wait_for_credit(self.rules.limit)
    }

    fn parse_plain(&mut self, link: &Link) -> std::result::Result<bool, Failure> {
        loop {
            if let Some(large) = self.large.take() {
                if !large.body.is_full() {
                    self.large = Some(large);
                    return Ok(true);
                }
                self.accept_large(large, link)?;
                continue;
            }
            self.accept_small_frames();
            let unparsed = self.writer.unparsed();
            let HeaderParse::Header { flags, header_len, body_len } = frame::parse_header(unparsed)
            else {
                return Ok(true);
            };
            let length =
                frame::check_size(body_len, self.rules.max_msg_size).map_err(Failure::protocol)?;
            let flags = kept_flags(flags);
            let complete = unparsed.len() - header_len >= length;
            if complete && flags & COMMAND != 0 && self.obey_commands(link)? {
                continue;
            }
            // Nothing is known of a large command; of the others only those for the socket wait.
            let waits = flags & COMMAND == 0 || complete || length >= REFERENCE_THRESHOLD;
            if waits && !self.has_room() {
                return Ok(false);
            }
            if complete {
                self.check_reply(flags, length)?;
                self.writer.accept_frame(header_len + length, flags);
                continue;
            }
            if length < REFERENCE_THRESHOLD {
                return Ok(true);
            }
            self.begin_large(flags, header_len, length)?;
        }
    }

    /// Accepts the small messages at the front, of which a stream mostly consists; it leaves whatever
    /// there is more to ask about.
    fn accept_small_frames(&mut self) {
        if self.rules.replies_only
            || self.rules.grouped_only
            || (0..255).contains(&self.rules.max_msg_size)
        {
            return;
        }
        while let &[flags, length, ref rest @ ..] = self.writer.unparsed() {
            let length = usize::from(length);
            let usual = flags & !MORE == 0 && rest.len() >= length;
            if !usual
                || !(self.writer.inside_message() || self.writer.has_known_room(self.rules.limit))
            {
                return;
            }
            self.writer.accept_frame(2 + length, flags);
        }
    }

    /// Acts on the commands at the front that are not for the socket, and drops them. They do not
    /// wait for room: a PING is answered however full the pipe is. True: there were some.
    fn obey_commands(&mut self, link: &Link) -> std::result::Result<bool, Failure> {
        let unparsed = self.writer.unparsed();
        let mut passed = 0;
        let next = loop {
            let rest = &unparsed[passed..];
            let HeaderParse::Header { flags, header_len, body_len } = frame::parse_header(rest)
            else {
                break false;
            };
            let Ok(length) = frame::check_size(body_len, self.rules.max_msg_size) else {
                break false;
            };
            let Some(body) = rest[header_len..].get(..length) else { break false };
            if !flags.command() || self.is_for_socket(Command::parse(body), length)? {
                break true;
            }
            passed += header_len + length;
            self.obey(body, passed == unparsed.len(), link);
        };
        if passed > 0 {
            self.writer.discard(passed, next);
        }
        Ok(passed > 0)
    }

    /// Frames of a security mechanism. What is inside of them comes to lie further back, with a
    /// header of its own ahead of it, and the pipe passes over what remains.
    fn parse_sealed(&mut self, link: &Link) -> std::result::Result<bool, Failure> {
        loop {
            if let Some(large) = self.large.take() {
                if !large.body.is_full() {
                    self.large = Some(large);
                    return Ok(true);
                }
                self.accept_sealed_large(large, link)?;
                continue;
            }
            let front = match self.front.take() {
                Some(front) => front,
                None => {
                    let unparsed = self.writer.unparsed();
                    let HeaderParse::Header { flags, header_len, body_len } =
                        frame::parse_header(unparsed)
                    else {
                        return Ok(true);
                    };
                    let length = frame::check_size(body_len, self.rules.max_msg_size)
                        .map_err(Failure::protocol)?;
                    if unparsed.len() - header_len < length {
                        if length < REFERENCE_THRESHOLD {
                            return Ok(true);
                        }
                        if !self.has_room() {
                            return Ok(false);
                        }
                        self.begin_large(flags.byte() & LONG, header_len, length)?;
                        continue;
                    }
                    self.open_front(header_len, length)?
                }
            };
            let Front { flags, offset, length } = front;
            if flags & COMMAND != 0 {
                // The box ends with the plain text.
                let unparsed = self.writer.unparsed();
                let body = &unparsed[offset..offset + length];
                if !self.is_for_socket(Command::parse(body), length)? {
                    self.obey(body, unparsed.len() == offset + length, link);
                    self.writer.discard(offset + length, false);
                    continue;
                }
            }
            if !self.has_room() {
                self.front = Some(front);
                return Ok(false);
            }
            self.check_reply(flags, length)?;
            self.writer.accept_body(offset, length, flags);
        }
    }

    fn open_front(&mut self, header: usize, length: usize) -> std::result::Result<Front, Failure> {
        let sealed = &mut self.writer.unparsed_mut()[header..header + length];
        let opened = open(&mut self.decoder, sealed)?;
        let length = length - opened.offset;
        Ok(Front { flags: kept_flags(opened.flags), offset: header + opened.offset, length })
    }

    fn accept_sealed_large(
        &mut self,
        mut large: Large,
        link: &Link,
    ) -> std::result::Result<(), Failure> {
        let opened = open(&mut self.decoder, large.body.filled_mut())?;
        large.flags |= kept_flags(opened.flags);
        large.body.trim_front(opened.offset);
        self.accept_large(large, link)
    }

    fn begin_large(
        &mut self,
        flags: u8,
        header: usize,
        length: usize,
    ) -> std::result::Result<(), Failure> {
        let mut body = MsgBuilder::new(length).map_err(Failure::connection)?;
        body.push(&self.writer.unparsed()[header..]).map_err(Failure::connection)?;
        self.writer.truncate_unparsed(header);
        self.large = Some(Large { flags, header, body });
        Ok(())
    }

    fn accept_large(&mut self, large: Large, link: &Link) -> std::result::Result<(), Failure> {
        let Large { flags, header, body } = large;
        let body: Msg = body.finish();
        if flags & COMMAND == 0 {
            self.check_reply(flags, body.len())?;
        } else if !self.is_for_socket(Command::parse(body.data()), body.len())? {
            let last = self.writer.unparsed().len() == header;
            self.obey(body.data(), last, link);
            self.writer.discard(header, false);
            return Ok(());
        }
        self.writer.accept_external(header, flags, body);
        Ok(())
    }

    /// Whether a command is for the socket, and waits for room as messages do; all of it has
    /// `length` bytes.
    fn is_for_socket(
        &self,
        command: Command<'_>,
        length: usize,
    ) -> std::result::Result<bool, Failure> {
        match command {
            _ if !self.decoder.commands => Ok(false),
            Command::Subscribe(_) | Command::Cancel(_) => Ok(self.rules.subscriptions),
            Command::Join(_) | Command::Leave(_) if self.rules.groups => {
                let name = if matches!(command, Command::Join(_)) { 5 } else { 6 };
                if length > name + GROUP_MAX {
                    return Err(Failure::protocol(Error::FAULT));
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Acts on a command that is not for the socket. `last`: nothing came behind it.
    fn obey(&self, body: &[u8], last: bool, link: &Link) {
        if !self.decoder.commands {
            return;
        }
        if let Command::Ping { ttl_deciseconds, context } = Command::parse(body) {
            let mut frame = Vec::new();
            Command::Pong { context }.encode_frame(&mut frame);
            link.answer(&frame);
            if ttl_deciseconds > 0 {
                link.ping_ttl(ttl_deciseconds, self.reads.wrapping_sub(u64::from(!last)));
            }
        }
    }

    fn check_reply(&mut self, flags: u8, length: usize) -> std::result::Result<(), Failure> {
        if self.rules.replies_only {
            self.filter = self.filter.next(flags, length).ok_or(Failure::protocol(Error::FAULT))?;
        }
        if self.rules.grouped_only {
            let next = self.group_filter.next(flags, length);
            self.group_filter = next.ok_or(Failure::protocol(Error::FAULT))?;
        }
        Ok(())
    }

    fn parse_legacy(&mut self) -> std::result::Result<bool, Failure> {
        let mut at = 0;
        let mut room = true;
        while let HeaderParse::Header { flags, header_len, body_len } =
            frame::parse_header_v1(&self.scratch[at..]).map_err(Failure::protocol)?
        {
            let length =
                frame::check_size(body_len, self.rules.max_msg_size).map_err(Failure::protocol)?;
            let begin = at + header_len;
            if self.scratch.len() - begin < length {
                break;
            }
            if !self.has_room() {
                room = false;
                break;
            }
            let flags = kept_flags(flags);
            self.check_reply(flags, length)?;
            let body = &self.scratch[begin..begin + length];
            self.writer.append(flags, body).map_err(Failure::connection)?;
            at = begin + length;
        }
        self.scratch.drain(..at);
        Ok(room)
    }

    /// Hands whole messages to the socket. True: its pipe was asleep.
    pub(super) fn commit(&mut self) -> bool {
        let Some((latest, reader)) = &mut self.latest else { return self.writer.commit() };
        self.writer.publish();
        let mut newest = None;
        while let Some(frame) = reader.frame() {
            let more = frame.more();
            let metadata = frame.metadata.cloned();
            let message = match frame.external {
                true => reader.take_external(),
                false => {
                    let copy = Msg::from_slice(frame.body).ok();
                    reader.skip();
                    copy
                }
            };
            if let Some(mut message) = message {
                message.set_more(more);
                message.set_metadata(metadata);
                newest = Some(message);
            }
        }
        let changed = newest.is_some();
        if changed {
            latest.lock().message = newest;
        }
        changed
    }
}

/// Opens the body of a frame in place.
fn open(decoder: &mut Decoder, sealed: &mut [u8]) -> std::result::Result<Opened, Failure> {
    let open = decoder.open.as_mut().ok_or(Failure::protocol(Error::PROTO))?;
    match open.open(sealed) {
        Ok(opened) if (OPENED_OFFSET..=sealed.len()).contains(&opened.offset) => Ok(opened),
        Ok(_) => Err(Failure::protocol(Error::PROTO)),
        Err(error) => Err(Failure::security(error)),
    }
}

/// The flags that have a meaning; a command is never followed by more parts.
fn kept_flags(flags: Flags) -> u8 {
    let flags = flags.byte() & (MORE | LONG | COMMAND);
    if flags & COMMAND != 0 { flags & !MORE } else { flags }
}
