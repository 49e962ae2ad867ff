// SPDX-License-Identifier: MPL-2.0
//! Records after the handshake: sealed and opened by rustls' ciphers with the keys that it agreed
//! on, right where they lie.
//!
//! rustls' own connections copy what they receive twice more than that takes. Its interface for
//! those who move records themselves (`rustls::kernel`) keeps the secrets: it derives new keys and
//! remembers sessions. Left to us are the five bytes ahead of a record and the few messages that may
//! come after a handshake: alerts, KeyUpdate, session tickets, and requests to negotiate anew,
//! which are refused. The limits are those of rustls' connections.

#![forbid(unsafe_code)]

use std::ops::Range;

use rustls::client::ClientConnectionData;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage,
};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription as Alert, ConnectionTrafficSecrets, ContentType, ExtractedSecrets,
    HandshakeType, ProtocolVersion, SupportedCipherSuite, Tls12CipherSuite,
};

use crate::errno::{Error, Result};

/// The longest record's plaintext.
pub(super) const RECORD: usize = 16 * 1024;
/// The longest record on the wire: what a cipher may add is 2048 bytes at most (RFC 5246, 6.2.3).
pub(super) const MAX_RECORD: usize = HEADER + RECORD + 2048;
const HEADER: usize = 5;
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
    encrypter: Box<dyn MessageEncrypter>,
    sealed: u64,
    decrypter: Box<dyn MessageDecrypter>,
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
    /// Data: where in the record it lies.
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
            encrypter: encrypter(suite, tx)?,
            sealed,
            decrypter: decrypter(suite, rx)?,
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
            let part = OutboundChunks::Single(&message[start..end]);
            records.push(self.seal(ContentType::Handshake, part).unwrap());
            start = end;
        }
        self.take_tx_key().unwrap();
        records
    }

    /// Makes records of all of `slices`, and returns their length.
    ///
    /// # Errors
    /// PIPE behind the last record, CONNRESET when the keys are used up, which TLS 1.2 has no other
    /// remedy for.
    pub(super) fn seal_data(
        &mut self,
        slices: &[&[u8]],
        mut output: impl FnMut(Vec<u8>),
    ) -> Result<usize> {
        let mut rest = OutboundChunks::new(slices);
        let length = rest.len();
        if length == 0 {
            return Ok(0);
        }
        if self.closed {
            return Err(Error::PIPE);
        }
        if !self.is_tls13() && self.records + length.div_ceil(RECORD) as u64 > self.record_limit {
            return Err(Error::CONNRESET);
        }
        if self.update_due {
            self.update_due = false;
            output(self.update_key(false)?);
        }
        while !rest.is_empty() {
            if self.is_tls13() && self.records + 1 >= self.record_limit {
                output(self.update_key(true)?);
            }
            let (now, later) = rest.split_at(RECORD);
            output(self.seal(ContentType::ApplicationData, now)?);
            self.records += 1;
            rest = later;
        }
        Ok(length)
    }

    /// Tells the peer of the new key that is used from now on.
    fn update_key(&mut self, ask: bool) -> Result<Vec<u8>> {
        let message = [HandshakeType::KeyUpdate.into(), 0, 0, 1, u8::from(ask)];
        let record = self.seal(ContentType::Handshake, message[..].into())?;
        self.take_tx_key()?;
        Ok(record)
    }

    fn take_tx_key(&mut self) -> Result<()> {
        let (sealed, secrets) = match &mut self.peer {
            Peer::Server(keys) => keys.update_tx_secret(),
            Peer::Client(keys) => keys.update_tx_secret(),
        }
        .map_err(|_| Error::PROTO)?;
        self.encrypter = encrypter(self.suite, secrets).map_err(|_| Error::PROTO)?;
        self.sealed = sealed;
        self.records = 0;
        Ok(())
    }

    /// The last record: nothing more comes. `None` if it was made before.
    pub(super) fn close(&mut self) -> Option<Vec<u8>> {
        if self.closed {
            return None;
        }
        self.closed = true;
        self.alert(WARNING, Alert::CloseNotify).ok()
    }

    /// The record that tells the peer what it did wrong.
    pub(super) fn complain(&mut self, violation: &Violation) -> Option<Vec<u8>> {
        if self.closed {
            return None;
        }
        let alert = violation.alert?;
        self.closed = true;
        self.alert(FATAL, alert).ok()
    }

    fn alert(&mut self, level: u8, description: Alert) -> Result<Vec<u8>> {
        self.seal(ContentType::Alert, [level, description.into()][..].into())
    }

    pub(super) fn seal(
        &mut self,
        typ: ContentType,
        payload: OutboundChunks<'_>,
    ) -> Result<Vec<u8>> {
        let plain = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let sealed = self.encrypter.encrypt(plain, self.sealed).map_err(|_| Error::PROTO)?;
        self.sealed += 1;
        Ok(sealed.encode())
    }

    /// Opens a record, which [`whole_record`] has found. What has to be sent in answer at once goes
    /// to `output`.
    pub(super) fn open(
        &mut self,
        record: &mut [u8],
        output: impl FnMut(Vec<u8>),
    ) -> Checked<Opened> {
        let address = record.as_ptr() as usize;
        let wire_length = record.len();
        let Some((&mut [typ, major, minor, ..], body)) = record.split_first_chunk_mut::<HEADER>()
        else {
            return Err(Alert::DecodeError.into());
        };
        let version = ProtocolVersion::from(u16::from_be_bytes([major, minor]));
        let typ = ContentType::from(typ);
        if major != 3 {
            return Err(Alert::ProtocolVersion.into());
        }
        // Of TLS 1.3 every record looks like this by now.
        if self.is_tls13() && typ != ContentType::ApplicationData {
            return Err(Alert::UnexpectedMessage.into());
        }
        let record = InboundOpaqueMessage::new(typ, version, body);
        let plain = self.decrypter.decrypt(record, self.opened).map_err(|error| match error {
            rustls::Error::DecryptError => Alert::BadRecordMac,
            rustls::Error::PeerSentOversizedRecord => Alert::RecordOverflow,
            _ => Alert::UnexpectedMessage,
        })?;
        self.opened += 1;
        let payload = plain.payload;
        if payload.len() > RECORD {
            return Err(Alert::RecordOverflow.into());
        }
        if payload.is_empty() {
            // RFC 8446, 5.4: only data may be empty.
            if self.is_tls13() && plain.typ != ContentType::ApplicationData {
                return Err(Alert::UnexpectedMessage.into());
            }
            self.empty_records += 1;
            if self.empty_records > EMPTY_RECORDS {
                return Err(Alert::UnexpectedMessage.into());
            }
        } else {
            self.empty_records = 0;
        }
        if payload.is_empty() || plain.typ != ContentType::ApplicationData {
            self.barren_bytes += wire_length;
            if self.barren_bytes > BARREN_BYTES {
                return Err(Alert::UnexpectedMessage.into());
            }
        } else {
            self.barren_bytes = 0;
            self.key_updates = 0;
        }
        // Nothing comes between the parts of a handshake message.
        if !self.message.is_empty() && plain.typ != ContentType::Handshake {
            return Err(Alert::UnexpectedMessage.into());
        }
        match plain.typ {
            ContentType::ApplicationData => {
                // It is in the record, since it was opened in place.
                let start = (payload.as_ptr() as usize).wrapping_sub(address);
                Ok(Opened::Data(start..start.saturating_add(payload.len())))
            }
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
        mut output: impl FnMut(Vec<u8>),
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
                    let refusal = self.alert(WARNING, Alert::NoRenegotiation);
                    output(refusal.map_err(|_| Alert::InternalError)?);
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
        self.decrypter = decrypter(self.suite, secrets).map_err(|_| Alert::InternalError)?;
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

fn encrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> std::result::Result<Box<dyn MessageEncrypter>, rustls::Error> {
    let (key, iv) = key_and_iv(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let (fixed, explicit) = split_iv(suite, &iv)?;
            suite.aead_alg.encrypter(key, fixed, explicit)
        }
    })
}

fn decrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> std::result::Result<Box<dyn MessageDecrypter>, rustls::Error> {
    let (key, iv) = key_and_iv(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            suite.aead_alg.decrypter(key, split_iv(suite, &iv)?.0)
        }
    })
}

fn key_and_iv(
    secrets: ConnectionTrafficSecrets,
) -> std::result::Result<(AeadKey, Iv), rustls::Error> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((key, iv)),
        _ => Err(rustls::Error::General("a cipher without a name".into())),
    }
}

/// TLS 1.2: the part of the nonces that the handshake fixed, and where the part that goes with each
/// record starts from.
fn split_iv<'a>(
    suite: &Tls12CipherSuite,
    iv: &'a Iv,
) -> std::result::Result<(&'a [u8], &'a [u8]), rustls::Error> {
    let fixed = suite.aead_alg.key_block_shape().fixed_iv_len;
    iv.as_ref()
        .split_at_checked(fixed)
        .ok_or_else(|| rustls::Error::General("a nonce too short".into()))
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
