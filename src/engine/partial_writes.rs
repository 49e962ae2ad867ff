// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Tests: output through connections that take 1 to n bytes at will, cut short at every offset,
//! over a plain stream, WebSocket and TLS. Whatever is taken when, the receiver sees whole frames,
//! each once and in order, and a caller is never kept longer than its share.

use super::counters::Side;
use super::encode::Encoder;
use super::tx::{Progress, Tx};
use crate::msg::Msg;
use crate::pipe::REFERENCE_THRESHOLD;
use crate::pipe::rope::{COMMAND, MORE, Sender, Writer, rope};
use crate::transport::test_wire::{TestWire, streams};
use crate::transport::tls::tests::{VERSIONS, pair};
use crate::transport::{ReadOutcome, Stream};
use crate::zmtp::frame::{Framing, HeaderParse};
use crate::zmtp::zws::frame::{Kind, parse};
use crate::zmtp::{Flags, Seal, Version, zws};
use std::sync::Arc;

/// A frame's flags and body.
type Frame = (u8, Vec<u8>);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Form {
    Plain,
    Raw,
    Old,
    WebSocket(zws::Side),
    Sealed,
}

const FORMS: [Form; 6] = [
    Form::Plain,
    Form::Raw,
    Form::Old,
    Form::WebSocket(zws::Side::Client),
    Form::WebSocket(zws::Side::Server),
    Form::Sealed,
];

/// Puts two bytes ahead of a body, its flags among them.
struct Marked;

impl Seal for Marked {
    fn sealed_length(&mut self, _flags: Flags, head: &[u8], body: &[u8]) -> Option<usize> {
        Some(head.len() + body.len() + 2)
    }

    fn seal(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&[b'S', flags.byte()]);
        out.extend_from_slice(head);
        out.extend_from_slice(body);
    }
}

impl Form {
    fn encoder(self) -> Encoder {
        match self {
            Form::Plain => Encoder::plain(),
            Form::Raw => Encoder::raw(),
            Form::Old => Encoder::framed(Version::V1_0),
            Form::WebSocket(side) => Encoder::websocket(side),
            Form::Sealed => Encoder::plain().sealed(Box::new(Marked)),
        }
    }

    /// The whole frames at the start of `bytes`, and what is left over. A raw connection has no
    /// frames: it is all left over.
    fn parse(self, mut bytes: &[u8]) -> (Vec<Frame>, Vec<u8>) {
        let mut frames = Vec::new();
        while let Some((frame, length)) = self.parse_one(bytes) {
            frames.push(frame);
            bytes = &bytes[length..];
        }
        (frames, bytes.to_vec())
    }

    fn parse_one(self, bytes: &[u8]) -> Option<(Frame, usize)> {
        let (mut flags, header, length, mask) = match self {
            Form::Raw => return None,
            Form::WebSocket(side) => {
                let to = match side {
                    zws::Side::Client => zws::Side::Server,
                    zws::Side::Server => zws::Side::Client,
                };
                let head = parse(bytes, to).unwrap()?;
                let Kind::Zmtp(flags) = head.kind else { panic!("{:?}", head.kind) };
                (flags.byte(), head.header_len, head.body_len, head.mask)
            }
            Form::Plain | Form::Old | Form::Sealed => {
                let framing = if self == Form::Old { Framing::V1 } else { Framing::V2 };
                let HeaderParse::Header { flags, header_len, body_len } =
                    framing.parse_header(bytes).unwrap()
                else {
                    return None;
                };
                (flags.byte() & (MORE | COMMAND), header_len, body_len, None)
            }
        };
        let end = header + usize::try_from(length).unwrap();
        let mut body = bytes.get(header..end)?.to_vec();
        if let Some(mask) = mask {
            mask.apply(&mut body);
        }
        if self == Form::Sealed {
            assert_eq!(body.remove(0), b'S');
            flags = body.remove(0);
        }
        Some(((flags, body), end))
    }
}

/// A connection whose output is under test, and the peer that reads it.
struct Connection {
    writer: Writer,
    tx: Tx,
    wire: TestWire,
    peer: Stream,
    form: Form,
    received: Vec<u8>,
    sent: Vec<Frame>,
}

impl Connection {
    fn new(form: Form) -> Connection {
        let (near, wire, peer) = streams();
        Connection::over(form, near, wire, peer)
    }

    /// With a TLS layer whose handshake is complete.
    fn with_tls(form: Form, version: usize) -> Connection {
        let (client, server) = pair(VERSIONS[version]);
        let (near, wire, peer) = streams();
        let near = near.with_tls(client.start().unwrap());
        let peer = peer.with_tls(server.start().unwrap());
        let (mut a, mut b) = (false, false);
        while !(a && b) {
            a = near.negotiate().unwrap();
            b = peer.negotiate().unwrap();
        }
        Connection::over(form, near, wire, peer)
    }

    fn over(form: Form, near: Stream, wire: TestWire, peer: Stream) -> Connection {
        let (writer, reader) = rope().unwrap();
        let mut tx = Tx::new(Sender::new(reader), None);
        tx.attach(Arc::new(near), form.encoder(), Vec::new());
        Connection { writer, tx, wire, peer, form, received: Vec::new(), sent: Vec::new() }
    }

    fn append(&mut self, flags: u8, length: usize) {
        let seed = self.sent.len();
        let body: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251 + seed * 3) as u8).collect();
        if length < REFERENCE_THRESHOLD {
            self.writer.append(flags, &body).unwrap();
        } else {
            self.writer.append_external(flags, Msg::from_slice(&body).unwrap()).unwrap();
        }
        self.sent.push((flags, body));
    }

    fn append_all(&mut self, messages: &[&[usize]]) {
        for parts in messages {
            for (number, length) in parts.iter().enumerate() {
                let flags = if number + 1 < parts.len() { MORE } else { 0 };
                self.append(flags, *length);
            }
        }
        self.writer.publish();
    }

    fn read(&mut self) {
        let mut buffer = [0; 65536];
        while let ReadOutcome::Read(count) = self.peer.read_into(&mut buffer).unwrap() {
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    /// What has come is the beginning of what was sent, frame by frame.
    fn check_beginning(&mut self, case: &str) {
        self.read();
        if self.form == Form::Raw {
            let all: Vec<u8> = self.sent.iter().flat_map(|(_, body)| body.clone()).collect();
            assert!(all.starts_with(&self.received), "{case}");
            return;
        }
        let (frames, _) = self.form.parse(&self.received);
        assert!(self.sent.starts_with(&frames), "{case}: {} frames", frames.len());
    }

    /// Everything has come, and nothing else.
    fn check_all(&mut self, case: &str) {
        self.check_beginning(case);
        assert!(!self.tx.has_unsent() && self.tx.drained(), "{case}");
        if self.form == Form::Raw {
            let length: usize = self.sent.iter().map(|(_, body)| body.len()).sum();
            assert_eq!(self.received.len(), length, "{case}");
            return;
        }
        let (frames, rest) = self.form.parse(&self.received);
        assert_eq!((frames.len(), rest.len()), (self.sent.len(), 0), "{case}");
    }

    fn write_rest(&mut self) {
        for _ in 0..10_000_000 {
            match self.tx.speculative_write(16, Side::IoThread) {
                Progress::Drained => return,
                Progress::Blocked | Progress::More => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("no end");
    }
}

const SMALL: &[&[usize]] = &[&[0], &[1, 0, 124], &[125], &[126, 255], &[256, 3], &[300]];
const LARGE: &[&[usize]] = &[&[5], &[70_000, 9], &[REFERENCE_THRESHOLD, 0, 65_536], &[140_000]];

#[test]
fn any_piece_at_a_time() {
    for form in FORMS {
        for (messages, pieces) in [
            (SMALL, &[1, 2, 3, 5, 7, 8, 9, 13, 64, 100, 127][..]),
            (LARGE, &[1, 97, 1000, 4096, 65_535, 65_536, 100_003]),
        ] {
            for &piece in pieces {
                let mut connection = Connection::new(form);
                connection.wire.set_piece(piece);
                connection.append_all(messages);
                connection.write_rest();
                connection.check_all(&format!("{form:?}, pieces of {piece}"));
            }
        }
    }
}

/// Where the frames of `messages` begin and end on this wire, and every offset of small ones.
fn offsets(form: Form, messages: &[&[usize]], tls: Option<usize>) -> Vec<usize> {
    let connection = |messages: &[&[usize]]| {
        let mut connection = match tls {
            Some(version) => Connection::with_tls(form, version),
            None => Connection::new(form),
        };
        connection.append_all(messages);
        connection
    };
    let mut whole = connection(messages);
    let before = whole.wire.written();
    whole.write_rest();
    let total = whole.wire.written() - before;
    if total < 4000 {
        return (0..=total).collect();
    }
    let mut all: Vec<usize> = (0..=total).step_by(7919).collect();
    for end in 0..=messages.len() {
        let mut part = connection(&messages[..end]);
        let before = part.wire.written();
        part.write_rest();
        let at = part.wire.written() - before;
        all.extend(at.saturating_sub(18)..(at + 18).min(total));
    }
    all
}

/// The wire takes so many bytes and no more for now. Then it is asked again, a message is added, a
/// command inserted, and the wire takes the rest.
fn cut_at(mut connection: Connection, messages: &[&[usize]], offset: usize, case: &str) {
    connection.append_all(messages);
    connection.wire.set_room(offset);
    let mut progress = connection.tx.speculative_write(2, Side::Caller);
    while progress == Progress::More {
        progress = connection.tx.speculative_write(2, Side::Caller);
    }
    connection.check_beginning(case);
    let blocked = progress == Progress::Blocked;
    if blocked && connection.wire.room() == 0 {
        // A write is pending: another attempt, by whomever, changes nothing.
        let before = connection.received.clone();
        for side in [Side::Caller, Side::IoThread] {
            let errors = connection.tx.written.of(side).errors;
            assert_eq!(connection.tx.speculative_write(2, side), Progress::Blocked, "{case}");
            assert_eq!(connection.tx.written.of(side).errors, errors);
        }
        connection.read();
        assert!(connection.received == before, "{case}");
    }
    connection.append_all(&[&[17, 4]]);
    connection.wire.set_room(usize::MAX);
    connection.write_rest();
    connection.check_all(case);
    // Would-block is counted as such, and is no error.
    let written = connection.tx.written;
    assert_eq!(written.caller.errors + written.io_thread.errors, 0, "{case}");
    assert!(!blocked || written.caller.would_block > 0, "{case}");
}

#[test]
fn cut_short_at_every_offset() {
    for form in FORMS {
        for messages in [SMALL, LARGE] {
            for offset in offsets(form, messages, None) {
                let case = format!("{form:?}, {} messages, cut at {offset}", messages.len());
                cut_at(Connection::new(form), messages, offset, &case);
            }
        }
    }
}

#[test]
fn cut_short_at_every_offset_under_tls() {
    for version in 0..VERSIONS.len() {
        for form in [Form::Plain, Form::WebSocket(zws::Side::Client)] {
            // TLS makes records of whole batches: far fewer places where something changes.
            for (messages, step) in [(SMALL, 11), (LARGE, 3)] {
                for offset in offsets(form, messages, Some(version)).into_iter().step_by(step) {
                    let case = format!("TLS {version}, {form:?}, cut at {offset}");
                    cut_at(Connection::with_tls(form, version), messages, offset, &case);
                }
            }
        }
    }
}

/// A command goes between two frames, never into one.
#[test]
fn commands_keep_out_of_frames() {
    for form in [Form::Plain, Form::WebSocket(zws::Side::Server), Form::Sealed] {
        for messages in [SMALL, LARGE] {
            for offset in offsets(form, messages, None) {
                let mut connection = Connection::new(form);
                connection.append_all(messages);
                connection.wire.set_room(offset);
                while connection.tx.speculative_write(2, Side::Caller) == Progress::More {}
                let mut command = b"\x04\x0c\x04WHAT???????".to_vec();
                command[1] = (command.len() - 2) as u8;
                let body = command[2..].to_vec();
                let mut turns = 0;
                while !command.is_empty() {
                    if !connection.tx.insert(&mut command) {
                        // Not here: a little further.
                        connection.wire.set_room(1);
                        let _ = connection.tx.speculative_write(1, Side::IoThread);
                    }
                    turns += 1;
                    assert!(turns < 1_000_000);
                }
                connection.wire.set_room(usize::MAX);
                connection.write_rest();
                connection.read();
                let (frames, rest) = form.parse(&connection.received);
                assert!(rest.is_empty());
                let (commands, others): (Vec<Frame>, Vec<Frame>) =
                    frames.into_iter().partition(|(flags, _)| flags & !MORE != 0);
                assert_eq!(commands.len(), 1, "{form:?} {offset}");
                assert_eq!(commands[0].1, body, "{form:?} {offset}");
                assert!(others == connection.sent, "{form:?} {offset}");
            }
        }
    }
}

/// Before the wire is full the loop goes on until nothing is left, and says so.
#[test]
fn the_loop_ends_when_nothing_is_left() {
    for form in FORMS {
        let mut connection = Connection::new(form);
        connection.append_all(&[&[1000][..]; 1000]);
        assert_eq!(connection.tx.speculative_write(1000, Side::Caller), Progress::Drained);
        let written = connection.tx.written.caller;
        assert_eq!(written.total_attempts, written.sync_success, "{form:?}");
        assert_eq!(written.loop_iterations, written.total_attempts + 1, "{form:?}");
        assert_eq!((written.would_block, written.errors), (0, 0));
        assert!(written.total_attempts <= 17, "{form:?}: {written:?}");
        connection.check_all(&format!("{form:?}"));
        assert_eq!(written.total_bytes_sync, connection.received.len() as u64);
    }
}

/// Whoever sends a byte behind somebody's backlog writes no more than his share of that, although
/// the wire would take it all: a bound on bytes and on turns of the loop.
#[test]
fn a_call_never_pays_for_a_backlog() {
    const SHARE: usize = 3 << 20;
    const TOTAL: usize = 12 << 20;
    for form in FORMS {
        for tls in [false, true] {
            for body in [1000, 100_000, 5 << 20, TOTAL] {
                let mut connection = match tls {
                    false => Connection::new(form),
                    true => Connection::with_tls(form, 1),
                };
                let before = connection.wire.written();
                connection.append_all(&vec![&[body][..]; TOTAL / body]);
                connection.append_all(&[&[1]]);
                assert_eq!(connection.tx.speculative_write(2, Side::Caller), Progress::More);
                let case = format!("{form:?}, TLS {tls}, bodies of {body}");
                let written = connection.tx.written.caller;
                assert!(written.total_attempts <= 2 && written.loop_iterations <= 2, "{case}");
                assert!(written.total_bytes_sync <= SHARE as u64, "{case}: {written:?}");
                assert!(connection.wire.written() - before <= SHARE, "{case}");
                assert!(connection.wire.most_offered() <= SHARE / 2, "{case}");
            }
        }
    }
}
