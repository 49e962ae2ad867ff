// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A socket's end of a pipe.

pub use super::rope::UNLIMITED;
use super::rope::{self, COMMAND, Frame, MORE, Reader, Writer, credit_interval};
use super::table::PipeId;
use crate::errno::Result;
use crate::msg::{Metadata, Msg};
use parking_lot::Mutex;
use std::sync::Arc;

/// Bodies of at least this many bytes are passed on by reference instead of being copied.
pub const REFERENCE_THRESHOLD: usize = rope::LARGE;

/// The same for messages that stay in the process. Below that a copy is cheaper for both threads
/// than memory that one allocates and the other releases.
pub const LOCAL_REFERENCE_THRESHOLD: usize = 256;

/// A reader that has found so many messages of a peer in the process in a row lingers when there is
/// none: the next are being written just now, and to be woken for them costs both sides more than
/// they do.
const STREAM_MESSAGES: u64 = 8;

/// What a socket's end tells the other side of the pipe. Called with the socket's lock held:
/// implementations must not block and must not take another socket's lock.
pub trait Peer: Send + Sync {
    /// A whole message was appended to `writer`. The implementation publishes it and sees to it
    /// that somebody takes it: a sleeping reader is woken, an idle connection is written to.
    fn written(&self, writer: &mut Writer);

    /// The newest message of a conflating pipe was replaced.
    fn replaced(&self) {}

    /// A writer found no room: an implementation that can make some does so now.
    fn full(&self) {}

    /// The other side waits for credit on the rope we read from, and there is some now.
    fn credit(&self);

    /// This end is closed: nothing more is read; what was published before may still be taken.
    fn closed(&self);
}

/// The body of a message part on its way out.
pub enum Body<'a> {
    /// The caller's bytes, to be copied.
    Bytes(&'a [u8]),
    /// A message, which may be moved out: empty afterwards, or as it was.
    Message(&'a mut Msg),
}

impl Body<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Message(message) => message.data(),
        }
    }

    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The number of the peer a message is for (SERVER, PEER); 0 when none.
    #[inline]
    pub fn routing_id(&self) -> u32 {
        match self {
            Body::Bytes(_) => 0,
            Body::Message(message) => message.routing_id(),
        }
    }

    /// The group a RADIO message is for; bytes have none.
    pub fn group(&self) -> &[u8] {
        match self {
            Body::Bytes(_) => &[],
            Body::Message(message) => message.group(),
        }
    }

    /// The body as a message that can be shared with several pipes. ENOMEM.
    pub fn share(&mut self) -> Result<Msg> {
        match self {
            Body::Bytes(bytes) => Msg::from_slice(bytes),
            Body::Message(message) => Ok(message.share()),
        }
    }

    /// True when sharing one message between pipes is better than copying it into each.
    pub fn worth_sharing(&self) -> bool {
        self.len() >= REFERENCE_THRESHOLD
    }
}

/// Where a received message part goes.
pub enum Sink<'a> {
    /// A message; its former content is dropped.
    Message(&'a mut Msg),
    /// The caller's buffer: what does not fit is cut off. `length` is the part's full length.
    Buffer { buffer: &'a mut [u8], length: usize, more: bool },
}

impl Sink<'_> {
    /// Stores a copy of `bytes`. ENOMEM.
    #[inline(always)]
    pub fn put_bytes(
        &mut self,
        bytes: &[u8],
        more: bool,
        metadata: Option<&std::sync::Arc<Metadata>>,
    ) -> Result<()> {
        match self {
            Sink::Message(message) => message.assign(bytes, more, metadata)?,
            Sink::Buffer { buffer, length, more: sink_more } => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                *length = bytes.len();
                *sink_more = more;
            }
        }
        Ok(())
    }

    /// Stores a whole message.
    pub fn put_message(
        &mut self,
        mut body: Msg,
        more: bool,
        metadata: Option<&std::sync::Arc<Metadata>>,
    ) -> Result<()> {
        match self {
            Sink::Message(message) => {
                body.set_more(more);
                body.set_metadata(metadata.cloned());
                **message = body;
                Ok(())
            }
            Sink::Buffer { .. } => self.put_bytes(body.data(), more, metadata),
        }
    }

    /// Says which peer the part that was stored came from (SERVER, PEER).
    #[inline]
    pub fn set_routing_id(&mut self, routing_id: u32) {
        if let Sink::Message(message) = self {
            message.set_routing_id(routing_id);
        }
    }

    /// Makes the part stored the whole message, of this group; a buffer has no place for that.
    /// ENOMEM.
    pub fn set_group(&mut self, group: &[u8]) -> Result<()> {
        match self {
            Sink::Message(message) => {
                message.set_more(false);
                message.set_group(group)
            }
            Sink::Buffer { more, .. } => {
                *more = false;
                Ok(())
            }
        }
    }

    /// Releases what was there before.
    pub fn clear(&mut self) {
        if let Sink::Message(message) = self {
            message.reset();
        }
    }

    /// The length of the part stored.
    pub fn len(&self) -> usize {
        match self {
            Sink::Message(message) => message.len(),
            Sink::Buffer { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the part stored is followed by more parts of the message.
    pub fn more(&self) -> bool {
        match self {
            Sink::Message(message) => message.more(),
            Sink::Buffer { more, .. } => *more,
        }
    }
}

/// Whether a pipe can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// A whole message is there.
    Ready,
    /// Nothing is there; the socket is told when that changes.
    Empty,
    /// Nothing is there and nothing will come.
    Ended,
}

/// A socket's end of a pipe. All methods are called with the socket's lock held.
pub struct Pipe {
    /// Set when the pipe is added to a socket's [`Pipes`](super::Pipes).
    pub id: PipeId,
    /// The peer's routing id, as told by the peer or chosen by this socket (ROUTER, STREAM).
    pub routing_id: Vec<u8>,
    /// The peer has not said its routing id yet.
    pub awaiting_identity: bool,
    /// The socket type has nothing more to do with it; it only keeps its connection.
    pub given_up: bool,
    /// The peer's numeric routing id (SERVER, PEER).
    pub server_id: u32,
    /// The connection was made from this side (zmq_connect).
    pub outgoing: bool,
    /// Places in the lists of the socket type's algorithms (fair queue, load balancer, fan-out).
    pub fair_place: usize,
    pub balance_place: usize,
    pub fan_place: usize,
    out: Outgoing,
    into: Incoming,
    peer: Arc<dyn Peer>,
    /// The high-water mark for what this end writes, in messages.
    limit: u64,
    /// How many messages had been read when the peer was last told of credit, and at which number
    /// it is told again at the latest: a multiple of the interval, as the writer counts.
    credit_at: u64,
    next_credit: u64,
    credit_interval: u64,
    /// How many messages had been read when the pipe was last found empty.
    last_empty: u64,
    writing_message: bool,
    reading_message: bool,
    /// The peer is a socket of this process.
    local: bool,
}

enum Outgoing {
    Rope(Writer),
    Latest(Latest),
    Closed,
}

enum Incoming {
    Rope(Reader),
    Latest(Latest),
}

/// The single message of a conflating pipe (ZMQ_CONFLATE): the newest one replaces the others.
pub type Latest = Arc<Mutex<LatestMessage>>;

#[derive(Default)]
pub struct LatestMessage {
    pub message: Option<Msg>,
    pub closed: bool,
}

impl Pipe {
    /// An end that writes to `writer` and reads from `reader`. `send_limit` and `receive_limit`
    /// are high-water marks in messages ([`UNLIMITED`] for none).
    pub fn new(
        writer: Writer,
        reader: Reader,
        peer: Arc<dyn Peer>,
        send_limit: u64,
        receive_limit: u64,
    ) -> Pipe {
        Pipe {
            id: PipeId::NONE,
            routing_id: Vec::new(),
            awaiting_identity: false,
            given_up: false,
            server_id: 0,
            outgoing: false,
            fair_place: usize::MAX,
            balance_place: usize::MAX,
            fan_place: usize::MAX,
            out: Outgoing::Rope(writer),
            into: Incoming::Rope(reader),
            peer,
            limit: send_limit,
            credit_at: 0,
            next_credit: credit_interval(receive_limit),
            credit_interval: credit_interval(receive_limit),
            last_empty: 0,
            writing_message: false,
            reading_message: false,
            local: false,
        }
    }

    /// Replaces the queues by conflating ones.
    pub fn conflate(&mut self, out: Option<Latest>, into: Option<Latest>) {
        if let Some(latest) = out {
            self.out = Outgoing::Latest(latest);
        }
        if let Some(latest) = into {
            self.into = Incoming::Latest(latest);
        }
    }

    pub fn set_peer(&mut self, peer: Arc<dyn Peer>) {
        self.peer = peer;
    }

    pub fn peer(&self) -> &Arc<dyn Peer> {
        &self.peer
    }

    /// Changes the high-water marks of a live pipe. More room shows with the next
    /// [`check_write`](Pipe::check_write).
    pub fn set_limits(&mut self, send_limit: u64, receive_limit: u64) {
        self.limit = send_limit;
        self.credit_interval = credit_interval(receive_limit);
        // Soon enough for any mark; the next one is the interval's.
        self.next_credit = self.credit_at;
    }

    // Reading.

    /// Whether a message can be read. With `Empty` the pipe has gone to sleep: the socket type is
    /// told by `read_activated` once there is something.
    #[inline]
    pub fn check_read(&mut self) -> Readiness {
        match &mut self.into {
            Incoming::Rope(reader) => {
                if reader.frame().is_some() {
                    return Readiness::Ready;
                }
                if self.credit_at != reader.messages() {
                    self.credit_at = reader.messages();
                    if reader.grant_credit() {
                        self.peer.credit();
                    }
                }
                self.last_empty = reader.messages();
                if reader.sleep() {
                    Readiness::Empty
                } else if reader.frame().is_some() {
                    Readiness::Ready
                } else {
                    Readiness::Ended
                }
            }
            Incoming::Latest(latest) => {
                let latest = latest.lock();
                match (&latest.message, latest.closed) {
                    (Some(_), _) => Readiness::Ready,
                    (None, false) => Readiness::Empty,
                    (None, true) => Readiness::Ended,
                }
            }
        }
    }

    /// Looks at the next message part without taking it: its body, and whether it has MORE or is
    /// a command. `None` when there is none, and for conflating pipes.
    #[inline]
    pub fn frame(&mut self) -> Option<Frame<'_>> {
        match &mut self.into {
            Incoming::Rope(reader) => reader.frame(),
            Incoming::Latest(_) => None,
        }
    }

    /// Moves the next message part into `sink`. False: there is none. ENOMEM leaves it in place.
    #[inline(always)]
    pub fn read(&mut self, sink: &mut Sink<'_>) -> Result<bool> {
        if let Incoming::Rope(reader) = &mut self.into
            && let Some(frame) = reader.plain_frame()
        {
            let more = frame.more();
            sink.put_bytes(frame.body, more, frame.metadata)?;
            reader.pass_frame();
            self.part_read(more);
            return Ok(true);
        }
        self.read_any(sink)
    }

    /// The same for a part of any kind.
    #[inline(never)]
    pub fn read_any(&mut self, sink: &mut Sink<'_>) -> Result<bool> {
        let Incoming::Rope(reader) = &mut self.into else { return self.read_latest(sink) };
        let Some(frame) = reader.frame() else { return Ok(false) };
        let more = frame.more();
        if frame.external && !frame.is_command() {
            return self.read_external(sink, more);
        }
        // Over inproc nobody looks at types: a command may come to a socket that has no use for it.
        sink.put_bytes(frame.as_message(), more, frame.metadata)?;
        reader.skip();
        self.part_read(more);
        Ok(true)
    }

    /// Drops the next message part.
    #[inline]
    pub fn skip(&mut self) {
        match &mut self.into {
            Incoming::Rope(reader) => {
                let Some(frame) = reader.frame() else { return };
                let more = frame.more();
                reader.skip();
                self.part_read(more);
            }
            Incoming::Latest(latest) => latest.lock().message = None,
        }
    }

    /// Drops the rest of the message at the head.
    pub fn skip_message(&mut self) {
        while let Some(frame) = self.frame() {
            let more = frame.more();
            self.skip();
            if !more {
                break;
            }
        }
    }

    /// True between the parts of a message being read.
    pub fn inside_message(&self) -> bool {
        self.reading_message
    }

    /// The properties of the connection the next message came from.
    pub fn metadata(&self) -> Option<&std::sync::Arc<Metadata>> {
        match &self.into {
            Incoming::Rope(reader) => reader.metadata(),
            Incoming::Latest(_) => None,
        }
    }

    /// For a pipe without a frame, before it is found empty: waits a moment if its peer, in this
    /// process, is sending a stream. True: there is a frame.
    pub fn linger(&mut self) -> bool {
        match &mut self.into {
            Incoming::Rope(reader) if self.local => {
                reader.messages() - self.last_empty >= STREAM_MESSAGES && reader.linger()
            }
            _ => false,
        }
    }

    // Writing.

    /// The high-water mark of what goes to a connection; `None` if the peer is in this process.
    pub fn connection_limit(&self) -> Option<u64> {
        (!self.local).then_some(self.limit)
    }

    /// Whether a message part certainly may be written. False says nothing: see
    /// [`check_write`](Pipe::check_write).
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        match &self.out {
            Outgoing::Rope(writer) => {
                (self.writing_message || writer.has_known_room(self.limit)) && !writer.reader_gone()
            }
            _ => false,
        }
    }

    /// Whether a message may be written now: there is room below the high-water mark and somebody
    /// to take it. False: the socket type is told by `write_activated` once there is.
    pub fn check_write(&mut self) -> bool {
        match &mut self.out {
            Outgoing::Rope(writer) => {
                if self.writing_message || writer.has_room(self.limit) {
                    return !writer.reader_gone();
                }
                self.peer.full();
                !writer.wait_for_credit(self.limit) && !writer.reader_gone()
            }
            Outgoing::Latest(_) => true,
            Outgoing::Closed => false,
        }
    }

    /// Appends a message part. The caller has called [`check_write`](Pipe::check_write) for the
    /// first part, calls [`flush`](Pipe::flush) after the last (`more` false). ENOMEM leaves the
    /// message as it was before this part.
    #[inline(always)]
    pub fn write(&mut self, body: &mut Body<'_>, more: bool) -> Result<()> {
        self.writing_message = more;
        match (&mut self.out, &*body) {
            (Outgoing::Rope(writer), Body::Bytes(bytes)) if bytes.len() < REFERENCE_THRESHOLD => {
                writer.append(if more { MORE } else { 0 }, bytes)
            }
            _ => self.write_other(body, more),
        }
    }

    #[inline(never)]
    fn write_other(&mut self, body: &mut Body<'_>, more: bool) -> Result<()> {
        let flags = if more { MORE } else { 0 };
        match (&mut self.out, body) {
            (Outgoing::Rope(writer), Body::Bytes(bytes)) => {
                append_message(writer, flags, Msg::from_slice(bytes)?, self.local)
            }
            (Outgoing::Rope(writer), Body::Message(message)) => {
                let threshold =
                    if self.local { LOCAL_REFERENCE_THRESHOLD } else { REFERENCE_THRESHOLD };
                if message.len() < threshold && !message.by_reference() {
                    writer.append(flags, message.data())
                } else {
                    let mut body = message.take();
                    body.set_metadata(None);
                    body.set_routing_id(0);
                    append_message(writer, flags, body, self.local)
                }
            }
            (Outgoing::Latest(latest), body) => {
                let mut message = match body {
                    Body::Bytes(bytes) => Msg::from_slice(bytes)?,
                    Body::Message(message) => message.take(),
                };
                message.set_metadata(None);
                message.set_routing_id(0);
                message.set_more(more);
                latest.lock().message = Some(message);
                Ok(())
            }
            (Outgoing::Closed, _) => Ok(()),
        }
    }

    /// Appends a command (a subscription): it counts as a message and needs a
    /// [`flush`](Pipe::flush).
    pub fn write_command(&mut self, body: &[u8]) -> Result<()> {
        match &mut self.out {
            Outgoing::Rope(writer) => writer.append(COMMAND, body),
            _ => Ok(()),
        }
    }

    /// Hands whole messages to the peer.
    #[inline(always)]
    pub fn flush(&mut self) {
        match &mut self.out {
            Outgoing::Rope(writer) => self.peer.written(writer),
            Outgoing::Latest(_) => self.peer.replaced(),
            Outgoing::Closed => {}
        }
    }

    /// Whatever is written goes nowhere, now and later.
    pub fn write_ended(&self) -> bool {
        match &self.out {
            Outgoing::Rope(writer) => writer.reader_gone(),
            Outgoing::Latest(_) => false,
            Outgoing::Closed => true,
        }
    }

    /// Takes back the parts of a message whose last part was not written.
    pub fn rollback(&mut self) {
        self.writing_message = false;
        if let Outgoing::Rope(writer) = &mut self.out {
            writer.rollback();
        }
    }

    /// True between the parts of a message being written.
    pub fn writing_message(&self) -> bool {
        self.writing_message
    }

    /// Messages written that count against the high-water mark, and messages waiting to be read.
    pub fn queue_lengths(&mut self) -> (u64, u64) {
        let out = match &mut self.out {
            Outgoing::Rope(writer) => writer.uncredited(self.limit),
            Outgoing::Latest(latest) => u64::from(latest.lock().message.is_some()),
            Outgoing::Closed => 0,
        };
        let into = match &mut self.into {
            Incoming::Rope(reader) => reader.backlog(),
            Incoming::Latest(latest) => u64::from(latest.lock().message.is_some()),
        };
        (out, into)
    }

    /// Closes this end: a message begun is taken back, whole ones may still be taken by the peer.
    pub fn close(&mut self) {
        match std::mem::replace(&mut self.out, Outgoing::Closed) {
            Outgoing::Rope(mut writer) => {
                let _ = writer.close();
            }
            Outgoing::Latest(latest) => latest.lock().closed = true,
            Outgoing::Closed => return,
        }
        self.peer.closed();
    }

    /// Stops writing because the peer is gone; reading goes on.
    pub fn close_out(&mut self) {
        self.out = Outgoing::Closed;
    }

    fn read_external(&mut self, sink: &mut Sink<'_>, more: bool) -> Result<bool> {
        let Incoming::Rope(reader) = &mut self.into else { return Ok(false) };
        if let Some(body) = reader.take_external() {
            sink.put_message(body, more, reader.metadata())?;
        }
        self.part_read(more);
        Ok(true)
    }

    #[cold]
    fn read_latest(&mut self, sink: &mut Sink<'_>) -> Result<bool> {
        let Incoming::Latest(latest) = &mut self.into else { return Ok(false) };
        let Some(message) = latest.lock().message.take() else { return Ok(false) };
        let more = message.more();
        sink.put_message(message, more, None)?;
        Ok(true)
    }

    #[inline(always)]
    fn part_read(&mut self, more: bool) {
        self.reading_message = more;
        if more {
            return;
        }
        let Incoming::Rope(reader) = &mut self.into else { return };
        if reader.messages() >= self.next_credit {
            self.credit_at = reader.messages();
            self.next_credit = (self.credit_at - self.credit_at % self.credit_interval)
                .saturating_add(self.credit_interval);
            if reader.grant_credit() {
                self.peer.credit();
            }
        }
    }
}

fn append_message(writer: &mut Writer, flags: u8, body: Msg, local: bool) -> Result<()> {
    if local { writer.append_owned(flags, body) } else { writer.append_external(flags, body) }
}

/// Two ends joined to each other: what one writes the other reads.
pub fn pair(peers: (Arc<dyn Peer>, Arc<dyn Peer>), limits: (u64, u64)) -> Result<(Pipe, Pipe)> {
    let (first_writer, second_reader) = rope::rope()?;
    let (second_writer, first_reader) = rope::rope()?;
    let mut first = Pipe::new(first_writer, first_reader, peers.0, limits.0, limits.1);
    let mut second = Pipe::new(second_writer, second_reader, peers.1, limits.1, limits.0);
    first.local = true;
    second.local = true;
    Ok((first, second))
}
