// SPDX-License-Identifier: MPL-2.0
//! One TLS connection: its records on their way between the wire and the caller's buffers.
//!
//! Plaintext is encrypted from the caller's buffers into records, which go to the kernel by one
//! write; buffers smaller than a record are put together first. On the way in ciphertext is read into
//! the thread's buffer and decrypted to where it belongs. What has no room there as a whole, and large
//! bodies, are decrypted where they lie and copied.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::IoSlice;
use std::ops::Range;

use rustls::AlertDescription;

use super::negotiation::{Exchange, Negotiation};
use super::output::Output;
use super::traffic::{
    MAX_RECORD, Opened, SLICES, Traffic, Violation, errno_of, oversized, whole_record,
};
use crate::errno::{Error, Result};
use crate::transport::stream::{ReadOutcome, WriteOutcome};

/// Plaintext encrypted before the kernel is offered it, in bytes. Smaller batches stay in nearer
/// caches until they are copied out, but that is less than the writes cost (32 KiB: 1 KiB messages
/// 1240 K/s, now 1400; 64 KiB 24 K/s, now 29). A rest of up to half as much goes along.
const BATCH: usize = 128 * 1024;
/// Bytes asked of the kernel at least, so that small rooms do not make for small reads.
const READ_MINIMUM: usize = 4 * 1024;
/// Bytes read from the kernel at once, at most: what makes 64 KiB of plaintext, the record it ends
/// in, and the start of one that was there before.
pub(super) const SCRATCH: usize = 64 * 1024 + 1024 + 2 * MAX_RECORD;

/// Bytes that one read takes from the wire even if less than a quarter of them is data; then others
/// get their turn.
const SHARE: usize = 256 * 1024;

/// The bytes beneath: one attempt to send or to receive, as a stream without TLS makes it.
pub(crate) trait Wire {
    fn write_some(&self, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome>;
    fn read_some(&self, buffer: &mut [u8]) -> Result<ReadOutcome>;
}

pub(super) struct Channel {
    phase: Phase,
    input: Input,
    output: Output,
    /// How reading ends once the plaintext has been taken.
    end: Option<End>,
    /// The last read ended before the wire was empty, since it had little to show for its time.
    gave_way: bool,
    resumed: bool,
}

enum Phase {
    Negotiation(Box<(Negotiation, Exchange)>),
    Traffic(Box<Traffic>),
    /// The handshake has failed.
    Over,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed(Error),
}

impl Channel {
    pub(super) fn new(negotiation: Negotiation) -> Channel {
        Channel {
            phase: Phase::Negotiation(Box::new((negotiation, Exchange::default()))),
            input: Input::default(),
            output: Output::default(),
            end: None,
            gave_way: false,
            resumed: false,
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    #[cfg(test)]
    pub(super) fn output_memory(&self) -> usize {
        self.output.memory()
    }

    #[cfg(test)]
    pub(super) fn traffic(&mut self) -> &mut Traffic {
        match &mut self.phase {
            Phase::Traffic(traffic) => traffic,
            _ => panic!("no traffic yet"),
        }
    }

    /// One step of the handshake; true when it is complete.
    ///
    /// # Errors
    /// ACCES when either side does not trust the other's certificate, PROTO for whatever is not
    /// TLS or finds no common ground, PIPE when the peer closes, and those of the wire.
    pub(super) fn negotiate(&mut self, wire: &dyn Wire, buffer: &mut [u8]) -> Result<bool> {
        loop {
            match self.advance() {
                Ok(complete) => {
                    self.flush(wire)?;
                    if complete {
                        return Ok(true);
                    }
                }
                Err(error) => {
                    // The alert that tells the peer why.
                    let _ = self.flush(wire);
                    return Err(error);
                }
            }
            match wire.read_some(buffer)? {
                ReadOutcome::Read(count) => {
                    if let Phase::Negotiation(negotiation) = &mut self.phase {
                        let fresh = buffer.get(..count).unwrap_or_default();
                        negotiation.1.input.extend_from_slice(fresh);
                    }
                }
                ReadOutcome::WouldBlock => return Ok(false),
                ReadOutcome::Closed => return Err(Error::PIPE),
            }
        }
    }

    /// Acts on what the handshake has received; true when it is complete.
    fn advance(&mut self) -> Result<bool> {
        let Phase::Negotiation(negotiation) = &mut self.phase else {
            return match self.end {
                Some(End::Failed(error)) => Err(error),
                _ => Ok(true),
            };
        };
        let (negotiation, exchange) = &mut **negotiation;
        let outcome = negotiation.step(exchange);
        for record in exchange.output.drain(..) {
            self.output.push_made(&record);
        }
        match outcome {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(error) => return Err(self.fail(errno_of(&error))),
        }
        let Phase::Negotiation(negotiation) = std::mem::replace(&mut self.phase, Phase::Over)
        else {
            return Err(Error::PROTO);
        };
        let (negotiation, exchange) = *negotiation;
        self.resumed = negotiation.is_resumed();
        match negotiation.finish() {
            Ok(traffic) => self.phase = Phase::Traffic(Box::new(traffic)),
            Err(error) => return Err(self.fail(errno_of(&error))),
        }
        self.input = Input::new(exchange.input);
        Ok(true)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.finish(End::Failed(error));
        error
    }

    /// Nothing more is received; what is not opened yet goes.
    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.input.sealed = 0..0;
    }

    /// Encrypts and sends as much of `buffers` as the wire takes, and up to a batch more.
    ///
    /// # Errors
    /// CONNRESET when the keys are used up, which TLS 1.2 has no other remedy for; what reading has
    /// failed with; those of the wire.
    pub(super) fn write(
        &mut self,
        wire: &dyn Wire,
        buffers: &[IoSlice<'_>],
    ) -> Result<WriteOutcome> {
        // One side has sent a fatal alert: there is nothing behind it.
        if let Some(End::Failed(error)) = self.end {
            return Err(error);
        }
        if !self.flush(wire)? {
            return Ok(WriteOutcome::WouldBlock);
        }
        let mut written = 0;
        if let [single] = buffers {
            let mut rest: &[u8] = single;
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(batch_of(rest.len()));
                written += self.encrypt(&mut [batch])?;
                if !self.flush(wire)? {
                    break;
                }
                rest = later;
            }
            return Ok(WriteOutcome::Wrote(written));
        }
        let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut position = Position::default();
        loop {
            let mut slices = [&[][..]; SLICES];
            let room = batch_of(length.saturating_sub(written));
            let count = position.batch(buffers, room, &mut slices);
            if count == 0 {
                break;
            }
            written += self.encrypt(slices.get_mut(..count).unwrap_or_default())?;
            if !self.flush(wire)? {
                break;
            }
        }
        Ok(WriteOutcome::Wrote(written))
    }

    /// Makes records of all of `slices`, and returns their length.
    fn encrypt(&mut self, slices: &mut [&[u8]]) -> Result<usize> {
        let Phase::Traffic(traffic) = &mut self.phase else { return Err(Error::NOTCONN) };
        traffic.seal_data(slices, &mut self.output)
    }

    /// Sends the records made so far; false when the wire does not take them all.
    pub(super) fn flush(&mut self, wire: &dyn Wire) -> Result<bool> {
        self.output.flush(wire)
    }

    /// Gives `take` up to `room` bytes of plaintext. A read of less has emptied the wire, unless it
    /// [gave way](Channel::gave_way). `spare` is
    /// a buffer to use, which may stay here for as long as there is something in it.
    ///
    /// # Errors
    /// PROTO for what is not TLS, ACCES for an alert about a certificate, those of the wire and of
    /// `take`. What came before the error is delivered first.
    pub(super) fn read(
        &mut self,
        wire: &dyn Wire,
        spare: &mut Vec<u8>,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<ReadOutcome> {
        self.receive(wire, spare, room, Sink::Taker(take))
    }

    /// [`read`](Channel::read) to where the plaintext belongs. Behind what was read `place` may
    /// have changed, too.
    pub(super) fn read_into(
        &mut self,
        wire: &dyn Wire,
        spare: &mut Vec<u8>,
        place: &mut [u8],
    ) -> Result<ReadOutcome> {
        self.receive(wire, spare, place.len(), Sink::Place(place))
    }

    fn receive(
        &mut self,
        wire: &dyn Wire,
        spare: &mut Vec<u8>,
        room: usize,
        mut sink: Sink<'_>,
    ) -> Result<ReadOutcome> {
        if !matches!(self.phase, Phase::Traffic(_)) {
            return Err(Error::NOTCONN);
        }
        let mut filled = 0;
        let mut received = 0;
        let mut emptied = false;
        self.gave_way = false;
        loop {
            filled += self.decrypt(wire, room - filled, &mut sink)?;
            // A short read has emptied the wire. With nothing to show for it, ask once more: the
            // end of the stream may be next, and this read would hide it.
            if filled >= room || self.end.is_some() || emptied && filled > 0 {
                break;
            }
            // Without any data the end is that of Traffic's patience.
            if filled > 0 && received >= SHARE && filled < received / 4 {
                self.gave_way = true;
                break;
            }
            // A record adds at least 22 bytes to its plaintext, and the last one hardly ends with
            // the room.
            let wanted = (room - filled).saturating_add(512 + MAX_RECORD).max(READ_MINIMUM);
            let place = self.input.place(wanted, spare);
            match wire.read_some(place) {
                Ok(ReadOutcome::Read(count)) => {
                    emptied = count < place.len();
                    received += count;
                    self.input.received(count);
                }
                Ok(ReadOutcome::WouldBlock) => {
                    emptied = true;
                    break;
                }
                Ok(ReadOutcome::Closed) => self.finish(End::Closed),
                Err(error) => self.finish(End::Failed(error)),
            }
        }
        self.input.put_back(emptied, spare);
        match self.end {
            _ if filled > 0 => Ok(ReadOutcome::Read(filled)),
            None => Ok(ReadOutcome::WouldBlock),
            Some(End::Closed) => Ok(ReadOutcome::Closed),
            Some(End::Failed(error)) => Err(error),
        }
    }

    /// True when the last read took its share of the wire for little data: others come first, and
    /// then another read.
    pub(super) fn gave_way(&self) -> bool {
        self.gave_way
    }

    /// True when a read would bring something, or the end, without asking the wire; or when the
    /// wire was not empty.
    pub(super) fn holds_input(&self) -> bool {
        self.end.is_some()
            || self.gave_way
            || !self.input.plain.is_empty()
            || whole_record(self.input.sealed()).is_some()
    }

    /// Sends close_notify if the connection is in order and the wire takes it at once.
    pub(super) fn close(&mut self, wire: &dyn Wire) {
        let failed = matches!(self.end, Some(End::Failed(_)));
        if let Phase::Traffic(traffic) = &mut self.phase
            && !failed
            && traffic.close(&mut self.output)
        {
            let _ = self.flush(wire);
        }
    }

    /// Gives `sink` what has come, up to `room` bytes; returns how many.
    fn decrypt(&mut self, wire: &dyn Wire, room: usize, sink: &mut Sink<'_>) -> Result<usize> {
        let mut filled = 0;
        loop {
            while filled < room && !self.input.plain.is_empty() {
                filled += self.input.take(room - filled, sink)?;
            }
            if filled >= room || self.end.is_some() {
                return Ok(filled);
            }
            match self.open(wire, sink) {
                Some(count) => filled += count,
                None => return Ok(filled),
            }
        }
    }

    /// Opens the next record, and returns how much of it `sink` has already; `None` when there is
    /// no record.
    fn open(&mut self, wire: &dyn Wire, sink: &mut Sink<'_>) -> Option<usize> {
        let Phase::Traffic(traffic) = &mut self.phase else { return None };
        let waiting = self.output.len();
        let sealed = self.input.sealed();
        let opened = match whole_record(sealed) {
            _ if oversized(sealed) => Err(AlertDescription::RecordOverflow.into()),
            None => return None,
            Some(length) => self.input.open(length, traffic, sink, &mut self.output),
        };
        let mut filled = 0;
        match opened {
            Ok(Progress::Filled(count)) => filled = count,
            Ok(Progress::Closed) => self.finish(End::Closed),
            Err(violation) => {
                traffic.complain(&violation, &mut self.output);
                self.finish(End::Failed(violation.error));
            }
        }
        if self.output.len() > waiting {
            // Answers that the wire does not take at once go with what is sent next.
            let _ = self.flush(wire);
        }
        Some(filled)
    }
}

/// Where plaintext goes.
enum Sink<'a> {
    /// What is left of a place to be filled.
    Place(&'a mut [u8]),
    Taker(&'a mut dyn FnMut(&[u8]) -> Result<()>),
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Sink::Taker(take) => take(bytes),
            Sink::Place(place) => {
                let (now, _) = place.split_at_mut_checked(bytes.len()).ok_or(Error::FAULT)?;
                now.copy_from_slice(bytes);
                self.advance(bytes.len());
                Ok(())
            }
        }
    }

    /// Room for `length` bytes in one piece, if there is.
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        match self {
            Sink::Place(place) => place.get_mut(..length),
            Sink::Taker(_) => None,
        }
    }

    /// The first `count` bytes of the room are filled.
    fn advance(&mut self, count: usize) {
        if let Sink::Place(place) = self {
            *place = std::mem::take(place).get_mut(count..).unwrap_or_default();
        }
    }
}

/// What came of a record.
enum Progress {
    /// So many bytes of it are where they belong. Others may lie in the input.
    Filled(usize),
    /// The peer has finished sending.
    Closed,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("end", &self.end).finish_non_exhaustive()
    }
}

/// What has been received and not been taken.
#[derive(Default)]
struct Input {
    buffer: Vec<u8>,
    /// Where the data of the record opened last lies, as far as there was no room for it.
    plain: Range<usize>,
    /// Where the records that are not opened yet lie.
    sealed: Range<usize>,
}

impl Input {
    fn new(records: Vec<u8>) -> Input {
        Input { plain: 0..0, sealed: 0..records.len(), buffer: records }
    }

    fn sealed(&self) -> &[u8] {
        self.buffer.get(self.sealed.clone()).unwrap_or_default()
    }

    /// Gives `sink` some of the data; returns how much.
    fn take(&mut self, room: usize, sink: &mut Sink<'_>) -> Result<usize> {
        let data = self.buffer.get(self.plain.clone()).unwrap_or_default();
        let piece = data.get(..room).unwrap_or(data);
        sink.take(piece)?;
        self.plain.start += piece.len();
        Ok(piece.len())
    }

    /// Opens the record of `length` bytes that comes first: to where it belongs if all of it has
    /// room there.
    fn open(
        &mut self,
        length: usize,
        traffic: &mut Traffic,
        sink: &mut Sink<'_>,
        output: &mut Output,
    ) -> std::result::Result<Progress, Violation> {
        let start = self.sealed.start;
        self.sealed.start += length;
        let record = self.buffer.get_mut(start..start + length).unwrap_or_default();
        let place = sink.room(traffic.room(length));
        let placed = place.is_some();
        match traffic.open(record, place, output)? {
            Opened::Data(data) if placed => {
                sink.advance(data.end);
                Ok(Progress::Filled(data.end))
            }
            Opened::Data(data) => {
                self.plain = start + data.start..start + data.end;
                Ok(Progress::Filled(0))
            }
            Opened::Other => Ok(Progress::Filled(0)),
            Opened::Closed => Ok(Progress::Closed),
        }
    }

    /// Where to receive, behind a record that has come in part: `wanted` bytes, or as many as the
    /// buffer has. All data has been taken.
    fn place(&mut self, wanted: usize, spare: &mut Vec<u8>) -> &mut [u8] {
        if self.buffer.len() < SCRATCH {
            if spare.len() < SCRATCH {
                *spare = vec![0; SCRATCH];
            }
            let start = self.sealed();
            spare.get_mut(..start.len()).unwrap_or_default().copy_from_slice(start);
            self.buffer = std::mem::take(spare);
        } else {
            self.buffer.copy_within(self.sealed.clone(), 0);
        }
        self.sealed = 0..self.sealed.len();
        self.plain = 0..0;
        let end = self.sealed.end;
        let limit = end.saturating_add(wanted).min(self.buffer.len());
        self.buffer.get_mut(end..limit).unwrap_or_default()
    }

    fn received(&mut self, count: usize) {
        self.sealed.end += count;
    }

    /// Gives the buffer back unless it is in use. What has come of a record whose rest may be long
    /// in coming moves to memory of its own.
    fn put_back(&mut self, emptied: bool, spare: &mut Vec<u8>) {
        if !self.plain.is_empty() || self.buffer.is_empty() {
            return;
        }
        let rest = match self.sealed() {
            rest if rest.is_empty() || emptied => rest.to_vec(),
            _ => return,
        };
        self.sealed = 0..rest.len();
        let buffer = std::mem::replace(&mut self.buffer, rest);
        if spare.len() < SCRATCH && buffer.len() >= SCRATCH {
            *spare = buffer;
        }
    }
}

/// How much of `length` bytes to encrypt at once.
fn batch_of(length: usize) -> usize {
    if length <= BATCH + BATCH / 2 { length } else { BATCH }
}

/// How far a list of buffers has been gathered.
#[derive(Default)]
struct Position {
    buffer: usize,
    offset: usize,
}

impl Position {
    /// The next `room` bytes of `buffers` in `slices`; returns how many slices there are.
    fn batch<'a>(
        &mut self,
        buffers: &'a [IoSlice<'a>],
        mut room: usize,
        slices: &mut [&'a [u8]],
    ) -> usize {
        let mut count = 0;
        for slice in slices {
            let rest = loop {
                let Some(buffer) = buffers.get(self.buffer) else { return count };
                match buffer.get(self.offset..) {
                    Some(rest) if !rest.is_empty() => break rest,
                    _ => *self = Position { buffer: self.buffer + 1, offset: 0 },
                }
            };
            let piece = rest.get(..room).unwrap_or(rest);
            *slice = piece;
            self.offset += piece.len();
            room -= piece.len();
            count += 1;
            if room == 0 {
                break;
            }
        }
        count
    }
}
