// SPDX-License-Identifier: MPL-2.0
//! The consuming end of a rope whose bytes go over the wire as they lie in memory.
//!
//! Lifetime of the bytes: what [`gather`](Sender::gather) returned stays valid until
//! [`advance`](Sender::advance) says it was written, because chunks and bodies are given back
//! only when the head passes them. So a partial write needs no copy: the rest is gathered again.
//!
//! Such a rope carries no metadata.

use super::super::chunk::OPEN;
use super::{External, Frame, Mark, Reader, Writer, rewind};
use crate::msg::Msg;
use std::io::IoSlice;

/// How much of one body is offered at once, in bytes.
pub const LARGEST_PIECE: usize = 1 << 20;

/// The consuming end, byte by byte.
pub struct Sender {
    reader: Reader,
    /// How far bytes were written: the reader's head or beyond.
    sent: Mark,
    /// How many of the reader's externals lie before `sent`.
    bodies_sent: usize,
    /// How much of the external body at `sent` was written.
    body_sent: usize,
}

impl Sender {
    pub fn new(reader: Reader) -> Sender {
        Sender { sent: reader.head, reader, bodies_sent: 0, body_sent: 0 }
    }

    /// True when everything committed was written.
    #[inline]
    pub fn drained(&mut self) -> bool {
        if self.sent.position == self.reader.limit && self.next_body().is_none() {
            self.reader.refresh();
        }
        self.sent.position == self.reader.limit && self.next_body().is_none()
    }

    /// True when nothing is left of a frame that was begun.
    pub fn at_frame_boundary(&self) -> bool {
        self.sent.position == self.reader.head.position
            && self.body_sent == 0
            && self.bodies_sent == 0
    }

    /// Fills `slices` with committed bytes in order, without copying, until `cap` bytes are there, or
    /// with a body, which is taken whole, more; returns how many slices and bytes. Of a larger body
    /// there is [`LARGEST_PIECE`], so that a write cannot go on for as long as the peer keeps reading.
    pub fn gather<'a>(&'a mut self, slices: &mut [IoSlice<'a>], cap: usize) -> (usize, usize) {
        if self.sent.position == self.reader.limit {
            self.reader.refresh();
        }
        self.stay_with_head();
        let this = &*self;
        let (mut at, mut bodies, mut of_body) = (this.sent, this.bodies_sent, this.body_sent);
        let (mut count, mut total) = (0, 0);
        while count < slices.len() && total < cap {
            match this.piece(&mut at, bodies) {
                Piece::Body(body) => {
                    let rest = &body.data()[of_body..];
                    let piece = rest.get(..LARGEST_PIECE).unwrap_or(rest);
                    bodies += 1;
                    of_body = 0;
                    if !piece.is_empty() {
                        slices[count] = IoSlice::new(piece);
                        count += 1;
                        total += piece.len();
                    }
                    if piece.len() < rest.len() {
                        break;
                    }
                }
                Piece::Bytes(length) => {
                    let length = length.min(cap - total);
                    // SAFETY: committed bytes of a chunk that stays until the head passes it.
                    slices[count] = IoSlice::new(unsafe { at.chunk.bytes(at.offset, length) });
                    count += 1;
                    total += length;
                    at.offset += length;
                    at.position += length as u64;
                }
                Piece::Nothing => break,
            }
        }
        (count, total)
    }

    /// The first `length` of the gathered bytes were written. True: that was everything committed
    /// when they were gathered.
    pub fn advance(&mut self, mut length: usize) -> bool {
        self.stay_with_head();
        loop {
            let mut at = self.sent;
            match self.piece(&mut at, self.bodies_sent) {
                Piece::Body(body) => {
                    let rest = body.len() - self.body_sent;
                    let step = rest.min(length);
                    self.sent.bodies += step as u64;
                    if rest > length {
                        self.body_sent += length;
                        break;
                    }
                    length -= rest;
                    self.bodies_sent += 1;
                    self.body_sent = 0;
                }
                Piece::Bytes(available) if length > 0 => {
                    let step = available.min(length);
                    at.offset += step;
                    at.position += step as u64;
                    self.sent = at;
                    length -= step;
                }
                Piece::Bytes(_) => break,
                Piece::Nothing => {
                    self.head_to_limit();
                    return true;
                }
            }
        }
        self.head_to_sent();
        false
    }

    /// The next whole frame, for a transport that sends no plain ZMTP frames.
    pub fn frame(&mut self) -> Option<Frame<'_>> {
        self.reader.frame()
    }

    /// Takes the frame of [`frame`](Sender::frame).
    pub fn skip(&mut self) {
        self.reader.skip();
        self.sent = self.reader.head;
    }

    /// Takes the frame of [`frame`](Sender::frame) if its body is a message of its own.
    pub fn take_external(&mut self) -> Option<Msg> {
        let body = self.reader.take_external();
        self.sent = self.reader.head;
        body
    }

    /// The connection broke: the rest of a message partly written is dropped, since it is not
    /// sent again.
    pub fn forget_partial(&mut self) {
        let begun = !self.at_frame_boundary() || self.reader.inside_message;
        self.body_sent = 0;
        self.bodies_sent = 0;
        while begun && let Some(frame) = self.reader.frame() {
            let more = frame.more();
            self.reader.skip();
            if !more {
                break;
            }
        }
        self.sent = self.reader.head;
    }

    /// See [`rewind`](super::rewind).
    #[inline]
    pub fn rewind(&mut self, writer: &mut Writer) {
        if self.sent.position == self.reader.head.position && self.bodies_sent == 0 {
            rewind(writer, &mut self.reader);
            self.sent = self.reader.head;
        }
    }

    /// Bytes written since the start, external bodies included.
    pub fn volume(&self) -> u64 {
        self.sent.volume()
    }

    /// True when the writer waits for credit and must be told that there is some.
    #[must_use]
    pub fn grant_credit(&mut self) -> bool {
        self.reader.grant_credit()
    }

    /// The writer closed the rope.
    pub fn closed(&self) -> bool {
        self.reader.closed()
    }

    /// What comes next at `at`, when `bodies` externals were dealt with: a body, or this many
    /// bytes of the chunk `at` is moved to.
    #[inline]
    fn piece(&self, at: &mut Mark, bodies: usize) -> Piece<'_> {
        let mut end = self.reader.limit;
        if let Some((position, External::Body(body))) = self.reader.externals.get(bodies) {
            if *position == at.position {
                return Piece::Body(body);
            }
            end = end.min(*position);
        }
        if at.position == end {
            return Piece::Nothing;
        }
        let mut sealed = at.chunk.sealed();
        while at.offset == sealed {
            let Some(next) = at.chunk.next() else { return Piece::Nothing };
            (at.chunk, at.offset) = (next, 0);
            sealed = next.sealed();
        }
        let length = usize::try_from(end - at.position).unwrap_or(usize::MAX);
        Piece::Bytes(if sealed == OPEN { length } else { length.min(sealed - at.offset) })
    }

    fn next_body(&self) -> Option<u64> {
        match self.reader.externals.get(self.bodies_sent) {
            Some((position, _)) if *position <= self.reader.limit => Some(*position),
            _ => None,
        }
    }

    /// Looking at a frame may take the head into the next chunk and give the former one back.
    #[inline]
    fn stay_with_head(&mut self) {
        if self.sent.position == self.reader.head.position {
            self.sent.chunk = self.reader.head.chunk;
            self.sent.offset = self.reader.head.offset;
        }
    }

    /// Everything up to the limit was written: no need to look at the frames.
    fn head_to_limit(&mut self) {
        while self.reader.head.chunk != self.sent.chunk {
            if !self.reader.next_chunk() {
                break;
            }
        }
        self.reader.head = Mark { messages: self.reader.limit_messages, ..self.sent };
        self.reader.externals.drain(..self.bodies_sent);
        self.bodies_sent = 0;
        self.reader.inside_message = false;
        self.reader.store_messages();
    }

    /// Moves the head over the frames that were written whole.
    fn head_to_sent(&mut self) {
        while self.reader.head.position < self.sent.position {
            let begin = self.reader.head.position;
            let sent = self.sent.position;
            let Some(frame) = self.reader.frame() else { break };
            let external = frame.external;
            let whole = if external {
                self.bodies_sent > 0
            } else {
                begin + self.reader.frame_length() as u64 <= sent
            };
            if !whole {
                break;
            }
            self.reader.skip();
            self.bodies_sent -= usize::from(external);
        }
    }
}

enum Piece<'a> {
    Body(&'a Msg),
    Bytes(usize),
    Nothing,
}
