// SPDX-License-Identifier: MPL-2.0
//! One TLS connection: rustls and the bytes on their way through it.
//!
//! Plaintext is gathered into records by rustls straight from the caller's buffers, and the records
//! go to the kernel by gather write: nothing is copied that is not encrypted by it. On the way in
//! ciphertext is read into the thread's buffer, and plaintext copied to where it belongs.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, IoSlice, Write};

use rustls::{Connection, HandshakeKind, ProtocolVersion};

use crate::errno::{Error, Result};
use crate::transport::stream::{ReadOutcome, WriteOutcome};

/// Plaintext encrypted before the kernel is offered it, in bytes. Senders collect somewhat more than
/// 64 KiB before they write; that should be one write here, too.
const BATCH: usize = 128 * 1024;
/// Buffers gathered for one batch.
const SLICES: usize = 64;
/// The longest record's plaintext.
const RECORD: usize = 16 * 1024;
/// Bytes asked of the kernel at least, so that small rooms do not make for small reads.
const READ_MINIMUM: usize = 4 * 1024;
/// Records that may be encrypted with one key of AES-GCM (RFC 8446, 5.5), and some to spare. TLS
/// 1.3 takes a new key then, TLS 1.2 a new connection.
const KEY_LIMIT: u64 = (1 << 24) - 1024;

/// The bytes beneath: one attempt to send or to receive, as a stream without TLS makes it.
pub(crate) trait Wire {
    fn write_some(&self, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome>;
    fn read_some(&self, buffer: &mut [u8]) -> Result<ReadOutcome>;
}

#[derive(Debug)]
pub(super) struct Channel {
    connection: Connection,
    /// Ciphertext received that there was no room to decrypt for.
    input: Vec<u8>,
    /// How reading ends once the plaintext has been taken.
    end: Option<End>,
    /// Records encrypted so far at most, and how many there may be.
    records: u64,
    record_limit: u64,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed(Error),
}

impl Channel {
    pub(super) fn new(mut connection: Connection) -> Channel {
        // The bound is BATCH: no more is encrypted before all of it is sent.
        connection.set_buffer_limit(None);
        Channel { connection, input: Vec::new(), end: None, records: 0, record_limit: KEY_LIMIT }
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    #[cfg(test)]
    pub(super) fn set_record_limit(&mut self, limit: u64) {
        self.record_limit = limit;
    }

    #[cfg(test)]
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// One step of the handshake; true when it is complete.
    ///
    /// # Errors
    /// ACCES when either side does not trust the other's certificate, PROTO for whatever is not
    /// TLS or finds no common ground, PIPE when the peer closes, and those of the wire.
    pub(super) fn negotiate(&mut self, wire: &dyn Wire, buffer: &mut [u8]) -> Result<bool> {
        loop {
            self.flush(wire)?;
            if !self.connection.is_handshaking() {
                return Ok(true);
            }
            let mut fresh = match wire.read_some(buffer)? {
                ReadOutcome::Read(count) => buffer.get(..count).unwrap_or_default(),
                ReadOutcome::WouldBlock => return Ok(false),
                ReadOutcome::Closed => return Err(Error::PIPE),
            };
            while self.connection.is_handshaking() && self.end.is_none() && !fresh.is_empty() {
                self.feed(&mut fresh, wire);
            }
            self.input.extend_from_slice(fresh);
            match self.end {
                Some(End::Failed(error)) => return Err(error),
                Some(End::Closed) if self.connection.is_handshaking() => return Err(Error::PIPE),
                _ => {}
            }
        }
    }

    /// Encrypts and sends as much of `buffers` as the wire takes, and up to a batch more.
    ///
    /// # Errors
    /// CONNRESET when the keys are used up, which TLS 1.2 has no other remedy for; those of the
    /// wire.
    pub(super) fn write(
        &mut self,
        wire: &dyn Wire,
        buffers: &[IoSlice<'_>],
    ) -> Result<WriteOutcome> {
        if !self.flush(wire)? {
            return Ok(WriteOutcome::WouldBlock);
        }
        let mut written = 0;
        if let [single] = buffers {
            for batch in single.chunks(BATCH) {
                written += self.encrypt(&[IoSlice::new(batch)])?;
                if !self.flush(wire)? {
                    break;
                }
            }
            return Ok(WriteOutcome::Wrote(written));
        }
        let mut position = Position::default();
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = position.batch(buffers, &mut slices);
            if count == 0 {
                break;
            }
            written += self.encrypt(slices.get(..count).unwrap_or_default())?;
            if !self.flush(wire)? {
                break;
            }
        }
        Ok(WriteOutcome::Wrote(written))
    }

    /// Makes records of all of `slices`, and returns their length.
    fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
            self.records += length.div_ceil(RECORD) as u64;
            if self.records > self.record_limit {
                return Err(Error::CONNRESET);
            }
        }
        let mut writer = self.connection.writer();
        let taken = match slices {
            [single] => writer.write(single)?,
            _ => writer.write_vectored(slices)?,
        };
        // Without a limit to its buffer rustls takes all; the rest would be skipped unseen.
        if taken == length { Ok(taken) } else { Err(Error::NOBUFS) }
    }

    /// Sends the records made so far; false when the wire does not take them all.
    pub(super) fn flush(&mut self, wire: &dyn Wire) -> Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sending(wire)) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) => match error.into() {
                    Error::AGAIN => return Ok(false),
                    error => return Err(error),
                },
            }
        }
        Ok(true)
    }

    /// Gives `take` up to `room` bytes of plaintext. A read of less has emptied the wire.
    ///
    /// # Errors
    /// PROTO for what is not TLS, ACCES for an alert about a certificate, those of the wire and of
    /// `take`. What came before the error is delivered first.
    pub(super) fn read(
        &mut self,
        wire: &dyn Wire,
        buffer: &mut [u8],
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<ReadOutcome> {
        let mut filled = self.drain(room, take)?;
        if !self.input.is_empty() && filled < room {
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..];
            filled += self.decrypt(&mut rest, wire, room - filled, take)?;
            self.input.extend_from_slice(rest);
        }
        while filled < room && self.end.is_none() {
            // A record adds at least 22 bytes to its plaintext; what there is no room for would
            // have to be kept.
            let wanted = (room - filled).saturating_add(512).max(READ_MINIMUM).min(buffer.len());
            let asked = buffer.get_mut(..wanted).unwrap_or_default();
            let count = match wire.read_some(asked) {
                Ok(ReadOutcome::Read(count)) => count,
                Ok(ReadOutcome::WouldBlock) => break,
                Ok(ReadOutcome::Closed) => {
                    self.end = Some(End::Closed);
                    break;
                }
                Err(error) => {
                    self.end = Some(End::Failed(error));
                    break;
                }
            };
            let mut fresh = buffer.get(..count).unwrap_or_default();
            filled += self.decrypt(&mut fresh, wire, room - filled, take)?;
            self.input.extend_from_slice(fresh);
            // A short read has emptied the wire. With nothing to show for it, ask once more: the
            // end of the stream may be next, and this read would hide it.
            if count < wanted && filled > 0 {
                break;
            }
        }
        match self.end {
            _ if filled > 0 => Ok(ReadOutcome::Read(filled)),
            None => Ok(ReadOutcome::WouldBlock),
            Some(End::Closed) => Ok(ReadOutcome::Closed),
            Some(End::Failed(error)) => Err(error),
        }
    }

    /// True when a read would bring something, or the end, without asking the wire.
    pub(super) fn holds_input(&mut self) -> bool {
        self.end.is_some()
            || !self.input.is_empty()
            || self.connection.reader().into_first_chunk().is_ok_and(|chunk| !chunk.is_empty())
    }

    /// Sends close_notify if the connection is in order and the wire takes it at once.
    pub(super) fn close(&mut self, wire: &dyn Wire) {
        let failed = matches!(self.end, Some(End::Failed(_)));
        if !failed && !self.connection.is_handshaking() {
            self.connection.send_close_notify();
            let _ = self.flush(wire);
        }
    }

    /// Decrypts `ciphertext` as long as there is room; returns the bytes given to `take`.
    fn decrypt(
        &mut self,
        ciphertext: &mut &[u8],
        wire: &dyn Wire,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<usize> {
        let mut filled = 0;
        while filled < room && !ciphertext.is_empty() {
            self.feed(ciphertext, wire);
            filled += self.drain(room - filled, take)?;
        }
        Ok(filled)
    }

    /// Hands rustls some ciphertext, or throws it away after the end.
    fn feed(&mut self, ciphertext: &mut &[u8], wire: &dyn Wire) {
        if self.end.is_none() {
            match self.connection.read_tls(ciphertext) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(_) => match self.connection.process_new_packets() {
                    Ok(state) if state.peer_has_closed() => self.end = Some(End::Closed),
                    Ok(_) => {}
                    Err(error) => {
                        self.end = Some(End::Failed(errno_of(&error)));
                        // The alert that tells the peer why.
                        let _ = self.flush(wire);
                    }
                },
                Err(_) => self.end = Some(End::Failed(Error::PROTO)),
            }
        }
        if self.end.is_some() {
            *ciphertext = &[];
        }
    }

    /// Gives `take` decrypted bytes, up to `room`.
    fn drain(&mut self, room: usize, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut filled = 0;
        let mut reader = self.connection.reader();
        while filled < room {
            // An error says that there is nothing more at the moment.
            let Ok(chunk) = reader.fill_buf() else { break };
            let piece = chunk.get(..room - filled).unwrap_or(chunk);
            if piece.is_empty() {
                break;
            }
            take(piece)?;
            let length = piece.len();
            reader.consume(length);
            filled += length;
        }
        Ok(filled)
    }
}

/// How far a list of buffers has been gathered.
#[derive(Default)]
struct Position {
    buffer: usize,
    offset: usize,
}

impl Position {
    /// The next batch of `buffers` in `slices`; returns how many there are.
    fn batch<'a>(&mut self, buffers: &'a [IoSlice<'a>], slices: &mut [IoSlice<'a>]) -> usize {
        let mut room = BATCH;
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
            *slice = IoSlice::new(piece);
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

/// The wire as rustls writes to it.
struct Sending<'a>(&'a dyn Wire);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.write_some(buffers) {
            Ok(WriteOutcome::Wrote(count)) => Ok(count),
            Ok(WriteOutcome::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(io::Error::from_raw_os_error(error.raw())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The errno of a TLS error, which monitor events carry: ACCES when one side does not take the
/// other for whom it should be, PROTO for all else.
fn errno_of(error: &rustls::Error) -> Error {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::ACCES
        }
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::UnrecognisedName,
        ) => Error::ACCES,
        _ => Error::PROTO,
    }
}
