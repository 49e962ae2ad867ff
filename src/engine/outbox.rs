// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Frames that do not go out as they lie in the pipe: encoded bytes, and among them large bodies
//! that go out from where they are.
//!
//! A frame that was written in part is a state of this buffer: what was written of the bytes, of
//! the body that is next, and, where bodies have to be masked, how far that has come. Bytes and
//! bodies stay valid until [`advance`](Outbox::advance) says that they were written.

use super::tx::{self, SLICES};
use crate::errno::Result;
use crate::msg::Msg;
use crate::pipe::rope::LARGEST_PIECE;
use crate::transport::{Stream, WriteOutcome};
use crate::zmtp::zws::Mask;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes collected for one write.
const BATCH: usize = 64 * 1024;
/// The end of a body goes out with the piece before it if it is no longer than this, in bytes: a
/// write of its own would cost more than it carries.
const SMALL_REST: usize = BATCH / 4;
/// The memory that is kept for such a batch, in bytes.
const KEPT: usize = 2 * BATCH;
/// Bodies collected for one write: so many that they and the bytes between them can be gathered.
const BODIES: usize = (SLICES - 1) / 2;

#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    bytes_written: usize,
    bodies: VecDeque<Body>,
    /// Of the first body.
    body_written: usize,
    /// The body of the last frame, of which a part is among the bytes already.
    masked: Option<Masked>,
}

struct Body {
    /// How many of the bytes go out before it.
    at: usize,
    message: Msg,
}

struct Masked {
    message: Msg,
    done: usize,
    mask: Mask,
}

impl Outbox {
    pub fn new(bytes: Vec<u8>) -> Outbox {
        Outbox { bytes, ..Outbox::default() }
    }

    /// Where whole frames, and heads of frames, are appended. Not inside a body.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends a body, whose head was appended. One that has to be masked is masked piece by
    /// piece: so it needs no second memory of its length, and stays in the cache until it is
    /// written.
    pub fn push(&mut self, message: Msg, mask: Option<Mask>) {
        match mask {
            None => self.bodies.push_back(Body { at: self.bytes.len(), message }),
            Some(mask) => {
                self.masked = Some(Masked { message, done: 0, mask });
                self.mask_piece();
            }
        }
    }

    /// More can be collected for this write, of about `batch` bytes, and the last frame is whole.
    pub fn has_room(&self, batch: usize) -> bool {
        let has_room = self.bytes.len() < batch.min(BATCH) && self.bodies.len() < BODIES;
        self.masked.is_none() && has_room
    }

    /// The last frame is not whole: nothing but the rest of it may follow.
    pub fn is_inside_body(&self) -> bool {
        self.masked.is_some()
    }

    /// Everything was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.bodies.is_empty() && self.masked.is_none()
    }

    /// As [`is_empty`](Outbox::is_empty), but sees to it that there are bytes if something is left.
    pub fn is_written(&mut self) -> bool {
        if self.bytes.is_empty() && self.bodies.is_empty() {
            self.mask_piece();
        }
        self.is_empty()
    }

    /// Gives memory back that large bodies have left.
    pub fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    /// One attempt; beside the outcome how much was offered. As with a
    /// [`Sender`](crate::pipe::rope::Sender), bodies are offered up to a bound.
    pub fn write(&self, stream: &Stream) -> Result<(WriteOutcome, usize)> {
        if self.bodies.is_empty() {
            let rest = &self.bytes[self.bytes_written..];
            let piece = rest.get(..LARGEST_PIECE).unwrap_or(rest);
            return Ok((stream.write_one(piece)?, piece.len()));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut total = 0;
        // False: nothing may follow in this write.
        let mut add = |rest| {
            let rest: &[u8] = rest;
            let piece = rest.get(..LARGEST_PIECE).unwrap_or(rest);
            if !piece.is_empty() && count < SLICES {
                slices[count] = IoSlice::new(piece);
                count += 1;
                total += piece.len();
            }
            piece.len() == rest.len() && total < tx::BATCH
        };
        let (mut at, mut skip) = (self.bytes_written, self.body_written);
        let mut whole = true;
        for body in &self.bodies {
            whole = add(&self.bytes[at..body.at]) && add(&body.message.data()[skip..]);
            (at, skip) = (body.at, 0);
            if !whole {
                break;
            }
        }
        if whole {
            add(&self.bytes[at..]);
        }
        Ok((stream.write_some(&slices[..count])?, total))
    }

    /// The first `count` bytes of what was offered were written.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(body) = self.bodies.front() {
            let before = body.at - self.bytes_written;
            if count < before {
                break;
            }
            let rest = body.message.len() - self.body_written;
            if count - before < rest {
                self.bytes_written = body.at;
                self.body_written += count - before;
                return;
            }
            count -= before + rest;
            self.bytes_written = body.at;
            self.body_written = 0;
            self.bodies.pop_front();
        }
        self.bytes_written = (self.bytes_written + count).min(self.bytes.len());
        if self.bodies.is_empty() && self.bytes_written == self.bytes.len() {
            self.bytes.clear();
            self.bytes_written = 0;
        }
    }

    fn mask_piece(&mut self) {
        let Some(masked) = &mut self.masked else { return };
        let rest = &masked.message.data()[masked.done..];
        let room = BATCH.saturating_sub(self.bytes.len()).max(1);
        let piece = if rest.len() <= room + SMALL_REST { rest } else { &rest[..room] };
        masked.mask.after(masked.done).append(piece, &mut self.bytes);
        masked.done += piece.len();
        if masked.done == masked.message.len() {
            self.masked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ReadOutcome;
    use std::os::unix::net::UnixStream;

    fn streams() -> (Stream, Stream) {
        let (a, b) = UnixStream::pair().unwrap();
        let stream = |end: UnixStream| {
            end.set_nonblocking(true).unwrap();
            Stream::new(end.into(), crate::transport::Kind::Ipc)
        };
        (stream(a), stream(b))
    }

    fn message(byte: u8, length: usize) -> Msg {
        Msg::from_slice(&vec![byte; length]).unwrap()
    }

    /// Writes everything, in as many attempts as it takes.
    fn drain(outbox: &mut Outbox, (from, to): &(Stream, Stream)) -> (Vec<u8>, usize) {
        let (mut received, mut partial) = (Vec::new(), 0);
        let mut buffer = vec![0; 10_000];
        while !outbox.is_written() {
            let (outcome, offered) = outbox.write(from).unwrap();
            if let WriteOutcome::Wrote(count) = outcome {
                partial += usize::from(count < offered);
                outbox.advance(count);
            }
            while let ReadOutcome::Read(count) = to.read_into(&mut buffer).unwrap() {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        assert!(outbox.is_empty() && outbox.has_room(BATCH));
        (received, partial)
    }

    #[test]
    fn bodies_go_out_between_the_bytes_whatever_the_kernel_takes() {
        let streams = streams();
        let mut outbox = Outbox::new(b"first".to_vec());
        let mut expected = b"first".to_vec();
        for (number, length) in [100_000, 0, 1, 300_000, 20_000].into_iter().enumerate() {
            let byte = b'0' + number as u8;
            outbox.push(message(byte, length), None);
            expected.resize(expected.len() + length, byte);
            if number != 1 {
                outbox.bytes().extend_from_slice(b"head");
                expected.extend_from_slice(b"head");
            }
        }
        let (received, partial) = drain(&mut outbox, &streams);
        assert!(received == expected);
        assert!(partial > 0);
    }

    #[test]
    fn advancing_byte_by_byte() {
        let build = || {
            let mut outbox = Outbox::new(b"ab".to_vec());
            outbox.push(message(b'x', 3), None);
            outbox.push(message(b'y', 2), None);
            outbox.bytes().extend_from_slice(b"cd");
            outbox
        };
        let whole = b"abxxxyycd";
        for split in 0..=whole.len() {
            let streams = streams();
            let mut outbox = build();
            outbox.advance(split);
            assert_eq!(drain(&mut outbox, &streams).0, &whole[split..]);
            let mut outbox = build();
            for _ in 0..split {
                outbox.advance(1);
            }
            assert_eq!(drain(&mut outbox, &streams).0, &whole[split..]);
        }
    }

    #[test]
    fn there_are_slices_for_all_bodies() {
        let streams = streams();
        let mut outbox = Outbox::default();
        let mut count = 0;
        while outbox.has_room(BATCH) {
            outbox.bytes().extend_from_slice(b"head");
            outbox.push(message(b'x', 10), None);
            count += 1;
        }
        let (_, offered) = outbox.write(&streams.0).unwrap();
        assert_eq!(offered, count * 14);
        outbox.bytes().extend_from_slice(b"a command");
        let (_, offered) = outbox.write(&streams.0).unwrap();
        assert_eq!(offered, count * 14 + 9);
    }

    #[test]
    fn masked_bodies_pass_in_pieces() {
        let mask = Mask::new([1, 2, 3, 4]);
        let longest = BATCH - 4 + SMALL_REST;
        for length in [0, 1, BATCH, longest, longest + 1, 2 * BATCH, 3 * BATCH + 5] {
            let streams = streams();
            let mut outbox = Outbox::new(b"head".to_vec());
            outbox.push(message(0, length), Some(mask));
            assert_eq!(outbox.masked.is_some(), length > longest);
            let (received, _) = drain(&mut outbox, &streams);
            let keys = [1, 2, 3, 4].into_iter().cycle().take(length);
            let expected: Vec<u8> = b"head".iter().copied().chain(keys).collect();
            assert!(received == expected, "{length}");
            assert!(outbox.bytes.capacity() <= KEPT);
        }
    }
}
