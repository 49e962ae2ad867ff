// SPDX-License-Identifier: MPL-2.0
//! Records after the handshake, with the keys that rustls agreed on.
//!
//! rustls' own connections copy what they receive twice more than that takes. Its interface for
//! those who move records themselves (`rustls::kernel`) keeps the secrets: it derives new keys and
//! remembers sessions. Left to us are the records (`cipher.rs`) and the few messages that may
//! come after a handshake: alerts, KeyUpdate, session tickets, and requests to negotiate anew,
//! which are refused. The limits are those of rustls' connections.

#![forbid(unsafe_code)]

use std::ops::Range;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription as Alert, ContentType, ExtractedSecrets, HandshakeType, SupportedCipherSuite,
};

use super::cipher::{Cipher, HEADER, Plain, RECORD};
use super::output::Output;
use crate::errno::{Error, Result};

/// The longest record on the wire: what a cipher may add is 2048 bytes at most (RFC 5246, 6.2.3).
pub(super) const MAX_RECORD: usize = HEADER + RECORD + 2048;
/// Where a slice ends, a record of at least so much ends with it, rather than that its bytes are
/// copied together with those of the next.
const SHORT_RECORD: usize = RECORD / 2;
/// Records that may be sealed with one key of AES-GCM (RFC 8446, 5.5), and some to spare. TLS 1.3
/// takes a new key then, TLS 1.2 a new connection.
const KEY_LIMIT: u64 = (1 << 24) - 1024;
/// The longest handshake message, and what comes ahead of each.
const MAX_MESSAGE: usize = 0xffff;
const MESSAGE_HEADER: usize = 4;

// What a peer may do that is of no use, in a row or all in all, before it is too much.
const EMPTY_RECORDS: u8 = 32;
const KEY_UPDATES: u8 = 32;
const WARNINGS: u8 = 4;
const RENEGOTIATIONS: u8 = 1;
/// Bytes of records without any data in a row: what none of the others counts, as session tickets,
/// and all of them in turns. A read that finds no data goes on as long as something comes, so there
/// has to be an end to it.
const BARREN_BYTES: usize = 1024 * 1024;

/// Slices at most that data is made records of at once, and one record is gathered from.
pub(super) const SLICES: usize = 64;

const FATAL: u8 = 2;
const WARNING: u8 = 1;

/// Who is at the other end, and what derives new keys.
pub(super) enum Peer {
    Server(KernelConnection<ClientConnectionData>),
    Client(KernelConnection<ServerConnectionData>),
}

pub(super) struct Traffic {
    peer: Peer,
    suite: SupportedCipherSuite,
    tx: Cipher,
    sealed: u64,
    rx: Cipher,
    opened: u64,
    /// Records of data sealed with the present key, and how many there may be.
    records: u64,
    record_limit: u64,
    /// The peer took a new key and asked for the same: it is due before the next data.
    update_due: bool,
    /// The first part of a handshake message.
    message: Vec<u8>,
    closed: bool,
    barren_bytes: usize,
    empty_records: u8,
    key_updates: u8,
    warnings: u8,
    renegotiations: u8,
}

/// What was in a record.
pub(super) enum Opened {
    /// Data: where it lies in the record, or in the place for it.
    Data(Range<usize>),
    /// Something that concerns nobody else.
    Other,
    /// The peer has finished sending.
    Closed,
}

/// A violation: its errno, and the alert for the peer, if it has not ended the connection itself.
pub(super) struct Violation {
    pub(super) error: Error,
    alert: Option<Alert>,
}

impl From<Alert> for Violation {
    fn from(alert: Alert) -> Violation {
        Violation { error: Error::PROTO, alert: Some(alert) }
    }
}

type Checked<T> = std::result::Result<T, Violation>;

impl Traffic {
    pub(super) fn new(
        secrets: ExtractedSecrets,
        peer: Peer,
    ) -> std::result::Result<Traffic, rustls::Error> {
        let suite = peer.suite();
        let (sealed, tx) = secrets.tx;
        let (opened, rx) = secrets.rx;
        Ok(Traffic {
            peer,
            suite,
            tx: Cipher::new(suite, tx)?,
            sealed,
            rx: Cipher::new(suite, rx)?,
            opened,
            records: 0,
            record_limit: KEY_LIMIT,
            update_due: false,
            message: Vec::new(),
            closed: false,
            barren_bytes: 0,
            empty_records: 0,
            key_updates: 0,
            warnings: 0,
            renegotiations: 0,
        })
    }

    fn is_tls13(&self) -> bool {
        matches!(self.suite, SupportedCipherSuite::Tls13(_))
    }

    #[cfg(test)]
    pub(super) fn set_record_limit(&mut self, limit: u64) {
        self.record_limit = limit;
    }

    /// A new key, of which the peer is told in as many records.
    #[cfg(test)]
    pub(super) fn update_key_in_pieces(&mut self, ask: bool, cuts: &[usize]) -> Vec<Vec<u8>> {
        let message = [24, 0, 0, 1, u8::from(ask)];
        let mut start = 0;
        let mut records = Vec::new();
        for end in cuts.iter().copied().chain([message.len()]) {
            records.push(self.sealed(ContentType::Handshake, &message[start..end]));
            start = end;
        }
        self.take_tx_key().unwrap();
        records
    }

    /// One record, sent by nobody yet.
    #[cfg(test)]
    pub(super) fn sealed(&mut self, typ: ContentType, data: &[u8]) -> Vec<u8> {
        let mut output = Output::default();
        self.seal(typ, &[data], &mut output).unwrap();
        output.take()
    }

    /// Makes records of all of `slices`, of which none is empty and there are [`SLICES`] at most, and
    /// returns their length.
    ///
    /// # Errors
    /// PIPE behind the last record, CONNRESET when the keys are used up, which TLS 1.2 has no other
    /// remedy for.
    pub(super) fn seal_data(&mut self, slices: &mut [&[u8]], output: &mut Output) -> Result<usize> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Ok(0);
        }
        if self.closed {
            return Err(Error::PIPE);
        }
        // All but the last are no shorter.
        let records = length.div_ceil(SHORT_RECORD);
        if !self.is_tls13() && self.records + records as u64 > self.record_limit {
            return Err(Error::CONNRESET);
        }
        if self.update_due {
            self.update_due = false;
            self.update_key(false, output)?;
        }
        output.reserve(length + records * self.tx.overhead());
        let mut rest = slices;
        let mut left = length;
        while left > 0 {
            if self.is_tls13() && self.records + 1 >= self.record_limit {
                self.update_key(true, output)?;
            }
            let count = seal_next(rest, left.min(RECORD), |data| {
                self.seal(ContentType::ApplicationData, data, output)
            })?;
            left -= count;
            rest = skip(rest, count);
            self.records += 1;
        }
        Ok(length)
    }

    /// Tells the peer of the new key that is used from now on.
    fn update_key(&mut self, ask: bool, output: &mut Output) -> Result<()> {
        let message = [HandshakeType::KeyUpdate.into(), 0, 0, 1, u8::from(ask)];
        self.seal(ContentType::Handshake, &[&message], output)?;
        self.take_tx_key()
    }

    fn take_tx_key(&mut self) -> Result<()> {
        let (sealed, secrets) = match &mut self.peer {
            Peer::Server(keys) => keys.update_tx_secret(),
            Peer::Client(keys) => keys.update_tx_secret(),
        }
        .map_err(|_| Error::PROTO)?;
        self.tx = Cipher::new(self.suite, secrets).map_err(|_| Error::PROTO)?;
        self.sealed = sealed;
        self.records = 0;
        Ok(())
    }

    /// Makes the last record: nothing more comes. False if it was made before.
    pub(super) fn close(&mut self, output: &mut Output) -> bool {
        let first = !self.closed;
        self.closed = true;
        first && self.alert(WARNING, Alert::CloseNotify, output).is_ok()
    }

    /// Makes the record that tells the peer what it did wrong.
    pub(super) fn complain(&mut self, violation: &Violation, output: &mut Output) {
        if let Some(alert) = violation.alert
            && !self.closed
        {
            self.closed = true;
            let _ = self.alert(FATAL, alert, output);
        }
    }

    fn alert(&mut self, level: u8, description: Alert, output: &mut Output) -> Result<()> {
        self.seal(ContentType::Alert, &[&[level, description.into()]], output)
    }

    fn seal(&mut self, typ: ContentType, data: &[&[u8]], output: &mut Output) -> Result<()> {
        let length: usize = data.iter().map(|slice| slice.len()).sum();
        output.push(length + self.tx.overhead(), |record| {
            self.tx.seal(self.sealed, typ, data, record)
        })?;
        self.sealed += 1;
        Ok(())
    }

    /// Bytes of a place for what is in a record of this length.
    pub(super) fn room(&self, record: usize) -> usize {
        self.rx.room(record)
    }

    /// Opens a record, which [`whole_record`] has found: where it lies, or into `place`, which has
    /// [`room`](Traffic::room) for it. What has to be sent in answer at once goes to `output`.
    pub(super) fn open(
        &mut self,
        record: &mut [u8],
        place: Option<&mut [u8]>,
        output: &mut Output,
    ) -> Checked<Opened> {
        let wire_length = record.len();
        let Some(&[typ, major, ..]) = record.first_chunk::<HEADER>() else {
            return Err(Alert::DecodeError.into());
        };
        let typ = ContentType::from(typ);
        if major != 3 {
            return Err(Alert::ProtocolVersion.into());
        }
        // Of TLS 1.3 every record looks like this by now.
        if self.is_tls13() && typ != ContentType::ApplicationData {
            return Err(Alert::UnexpectedMessage.into());
        }
        let (Plain { typ, length }, start, plain) = match place {
            Some(place) => (self.rx.open_into(self.opened, record, place)?, 0, place),
            None => (self.rx.open(self.opened, record)?, self.rx.prefix(), record),
        };
        self.opened += 1;
        let data = start..start + length;
        let payload = plain.get(data.clone()).unwrap_or_default();
        if payload.is_empty() {
            // RFC 8446, 5.4: only data may be empty.
            if self.is_tls13() && typ != ContentType::ApplicationData {
                return Err(Alert::UnexpectedMessage.into());
            }
            self.empty_records += 1;
            if self.empty_records > EMPTY_RECORDS {
                return Err(Alert::UnexpectedMessage.into());
            }
        } else {
            self.empty_records = 0;
        }
        if payload.is_empty() || typ != ContentType::ApplicationData {
            self.barren_bytes += wire_length;
            if self.barren_bytes > BARREN_BYTES {
                return Err(Alert::UnexpectedMessage.into());
            }
        } else {
            self.barren_bytes = 0;
            self.key_updates = 0;
        }
        // Nothing comes between the parts of a handshake message.
        if !self.message.is_empty() && typ != ContentType::Handshake {
            return Err(Alert::UnexpectedMessage.into());
        }
        match typ {
            ContentType::ApplicationData => Ok(Opened::Data(data)),
            ContentType::Alert => match *payload {
                [level, description] => self.take_alert(level, description.into()),
                _ => Err(Alert::DecodeError.into()),
            },
            ContentType::Handshake => {
                let begun = self.message.len() >= MESSAGE_HEADER;
                self.message.extend_from_slice(payload);
                // One in many parts is looked at when the first and the last of them have come.
                if begun && !is_whole_message(&self.message) {
                    return Ok(Opened::Other);
                }
                let received = std::mem::take(&mut self.message);
                let rest = self.take_messages(&received, output)?;
                self.message.extend_from_slice(rest);
                Ok(Opened::Other)
            }
            _ => Err(Alert::UnexpectedMessage.into()),
        }
    }

    fn take_alert(&mut self, level: u8, description: Alert) -> Checked<Opened> {
        if description == Alert::CloseNotify {
            return Ok(Opened::Closed);
        }
        match level {
            FATAL => Err(Violation { error: errno_of_alert(description), alert: None }),
            // TLS 1.3 knows no warnings any more but this one.
            WARNING if !self.is_tls13() || description == Alert::UserCanceled => {
                self.warnings += 1;
                if self.warnings > WARNINGS {
                    return Err(Alert::UnexpectedMessage.into());
                }
                Ok(Opened::Other)
            }
            WARNING => Err(Violation {
                error: errno_of_alert(description),
                alert: Some(Alert::DecodeError),
            }),
            _ => Err(Alert::IllegalParameter.into()),
        }
    }

    /// Whether a handshake message that begins like this may come at all, so that none is kept that
    /// may not.
    fn check_message(&self, typ: HandshakeType, length: usize) -> Checked<()> {
        let right = match (typ, &self.peer) {
            (HandshakeType::KeyUpdate, _) if self.is_tls13() => length == 1,
            (HandshakeType::NewSessionTicket, Peer::Server(_)) if self.is_tls13() => {
                length <= MAX_MESSAGE
            }
            (HandshakeType::HelloRequest, Peer::Server(_)) if !self.is_tls13() => length == 0,
            (HandshakeType::ClientHello, Peer::Client(_)) if !self.is_tls13() => {
                length <= MAX_MESSAGE
            }
            _ => return Err(Alert::UnexpectedMessage.into()),
        };
        if right { Ok(()) } else { Err(Alert::DecodeError.into()) }
    }

    /// Acts on whole handshake messages; returns what is left, a part of one.
    fn take_messages<'a>(
        &mut self,
        mut received: &'a [u8],
        output: &mut Output,
    ) -> Checked<&'a [u8]> {
        let tls13 = self.is_tls13();
        while let Some((&header, rest)) = received.split_first_chunk() {
            let (typ, length) = message_header(header);
            self.check_message(typ, length)?;
            let Some((body, rest)) = rest.split_at_checked(length) else { break };
            match (typ, &mut self.peer) {
                // A new key begins with a record.
                (HandshakeType::KeyUpdate, _) if tls13 => {
                    if !rest.is_empty() {
                        return Err(Alert::UnexpectedMessage.into());
                    }
                    self.take_key_update(body)?;
                }
                (HandshakeType::NewSessionTicket, Peer::Server(keys)) if tls13 => {
                    keys.handle_new_session_ticket(body).map_err(|_| Alert::DecodeError)?;
                }
                (HandshakeType::HelloRequest, Peer::Server(_))
                | (HandshakeType::ClientHello, Peer::Client(_))
                    if !tls13 =>
                {
                    self.renegotiations += 1;
                    if self.renegotiations > RENEGOTIATIONS {
                        return Err(Alert::UnexpectedMessage.into());
                    }
                    self.alert(WARNING, Alert::NoRenegotiation, output)
                        .map_err(|_| Alert::InternalError)?;
                }
                _ => return Err(Alert::UnexpectedMessage.into()),
            }
            received = rest;
        }
        Ok(received)
    }

    /// The peer has taken a new key.
    fn take_key_update(&mut self, body: &[u8]) -> Checked<()> {
        self.key_updates += 1;
        if self.key_updates > KEY_UPDATES {
            return Err(Alert::UnexpectedMessage.into());
        }
        match body {
            [0] => {}
            [1] => self.update_due = true,
            [_] => return Err(Alert::IllegalParameter.into()),
            _ => return Err(Alert::DecodeError.into()),
        }
        let (opened, secrets) = match &mut self.peer {
            Peer::Server(keys) => keys.update_rx_secret(),
            Peer::Client(keys) => keys.update_rx_secret(),
        }
        .map_err(|_| Alert::InternalError)?;
        self.rx = Cipher::new(self.suite, secrets).map_err(|_| Alert::InternalError)?;
        self.opened = opened;
        Ok(())
    }
}

impl Peer {
    fn suite(&self) -> SupportedCipherSuite {
        match self {
            Peer::Server(keys) => keys.negotiated_cipher_suite(),
            Peer::Client(keys) => keys.negotiated_cipher_suite(),
        }
    }
}

/// The length of the record at the start of `bytes`; `None` until all of it is there.
pub(super) fn whole_record(bytes: &[u8]) -> Option<usize> {
    let &[_, _, _, a, b] = bytes.first_chunk::<HEADER>()?;
    let length = HEADER + usize::from(u16::from_be_bytes([a, b]));
    (length <= bytes.len()).then_some(length)
}

/// Whether `bytes` begin like a record that is longer than any may be.
pub(super) fn oversized(bytes: &[u8]) -> bool {
    bytes.first_chunk::<HEADER>().is_some_and(|&[_, _, _, a, b]| {
        HEADER + usize::from(u16::from_be_bytes([a, b])) > MAX_RECORD
    })
}

fn message_header([typ, a, b, c]: [u8; MESSAGE_HEADER]) -> (HandshakeType, usize) {
    (HandshakeType::from(typ), u32::from_be_bytes([0, a, b, c]) as usize)
}

/// Whether all of the handshake message at the start of `bytes` is there.
fn is_whole_message(bytes: &[u8]) -> bool {
    bytes.split_first_chunk().is_some_and(|(&header, rest)| message_header(header).1 <= rest.len())
}

/// Has `seal` make the next record of up to `room` bytes of `slices`, and returns how many it has.
/// Those of one slice are enough if there are many, several are looked for otherwise.
fn seal_next(
    slices: &[&[u8]],
    room: usize,
    seal: impl FnOnce(&[&[u8]]) -> Result<()>,
) -> Result<usize> {
    let first = slices.first().copied().unwrap_or_default();
    if first.len() >= SHORT_RECORD.min(room) {
        let data = first.get(..room).unwrap_or(first);
        return seal(&[data]).map(|()| data.len());
    }
    let mut data = [&[][..]; SLICES];
    let mut length = 0;
    let mut count = 0;
    for (place, slice) in data.iter_mut().zip(slices) {
        *place = slice.get(..room - length).unwrap_or(slice);
        length += place.len();
        count += 1;
    }
    seal(data.get(..count).unwrap_or_default()).map(|()| length)
}

/// What is behind the first `count` bytes.
fn skip<'s, 'b>(slices: &'s mut [&'b [u8]], mut count: usize) -> &'s mut [&'b [u8]] {
    let mut first = 0;
    for slice in &mut *slices {
        let (gone, rest) = slice.split_at(count.min(slice.len()));
        count -= gone.len();
        *slice = rest;
        if !rest.is_empty() {
            break;
        }
        first += 1;
    }
    slices.get_mut(first..).unwrap_or_default()
}

/// The errno of a TLS error, which monitor events carry: ACCES when one side does not take the
/// other for whom it should be, PROTO for all else.
pub(super) fn errno_of(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::ACCES
        }
        rustls::Error::AlertReceived(alert) => errno_of_alert(*alert),
        _ => Error::PROTO,
    }
}

fn errno_of_alert(alert: Alert) -> Error {
    match alert {
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::CertificateRequired
        | Alert::NoCertificate
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::UnrecognisedName => Error::ACCES,
        _ => Error::PROTO,
    }
}
