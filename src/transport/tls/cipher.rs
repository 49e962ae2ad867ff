// SPDX-License-Identifier: MPL-2.0
//! Records sealed and opened with one key, as TLS 1.3 (RFC 8446, 5.2) and the AEAD suites of TLS 1.2
//! (RFC 5288, RFC 7905) have them.
//!
//! rustls' own ciphers copy all plaintext before they seal it, and aws-lc's keys made for TLS 1.3
//! refuse to begin with any record but the first; so the AEAD is called from here.

#![forbid(unsafe_code)]

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce as AeadNonce, UnboundKey,
};
use rustls::crypto::cipher::{Iv, NONCE_LEN, Nonce, make_tls12_aad, make_tls13_aad};
use rustls::{
    AlertDescription as Alert, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    SupportedCipherSuite,
};

use crate::errno::{Error, Result};

/// The longest record's plaintext.
pub(super) const RECORD: usize = 16 * 1024;
/// Type, version and length, ahead of each record.
pub(super) const HEADER: usize = 5;
const TAG: usize = 16;
/// The part of a nonce that TLS 1.2 with AES sends along.
const EXPLICIT: usize = 8;
/// TLS 1.2, which is also what records of TLS 1.3 say (RFC 8446, 5.1).
const VERSION: [u8; 2] = [3, 3];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The type is the last byte of the plaintext, with zeros behind it.
    Tls13,
    Tls12,
    /// A part of the nonce stands ahead of the ciphertext.
    Tls12Explicit,
}

pub(super) struct Cipher {
    key: LessSafeKey,
    iv: Iv,
    shape: Shape,
}

/// The plaintext of a record that was opened: its type, and how long it is.
pub(super) struct Plain {
    pub(super) typ: ContentType,
    pub(super) length: usize,
}

type Opening = std::result::Result<Plain, Alert>;

impl Cipher {
    pub(super) fn new(
        suite: SupportedCipherSuite,
        secrets: ConnectionTrafficSecrets,
    ) -> std::result::Result<Cipher, rustls::Error> {
        let (algorithm, key, iv, explicit) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, true),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, true),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&CHACHA20_POLY1305, key, iv, false)
            }
            _ => return Err(unusable()),
        };
        let shape = match suite {
            SupportedCipherSuite::Tls13(_) => Shape::Tls13,
            SupportedCipherSuite::Tls12(_) if explicit => Shape::Tls12Explicit,
            SupportedCipherSuite::Tls12(_) => Shape::Tls12,
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unusable())?;
        Ok(Cipher { key: LessSafeKey::new(key), iv, shape })
    }

    /// Bytes of a record beside its data.
    pub(super) fn overhead(&self) -> usize {
        self.prefix() + self.suffix()
    }

    fn suffix(&self) -> usize {
        TAG + usize::from(self.shape == Shape::Tls13)
    }

    /// Makes the record of this number, of all of `data`. `record` is as long as that and the
    /// [`overhead`](Cipher::overhead). One slice is encrypted from where it lies, several are put
    /// together in the record first.
    ///
    /// # Errors
    /// PROTO for a record too long or of another length.
    pub(super) fn seal(
        &self,
        number: u64,
        typ: ContentType,
        data: &[&[u8]],
        record: &mut [u8],
    ) -> Result<()> {
        let length = record.len().checked_sub(self.overhead()).ok_or(Error::PROTO)?;
        if length > RECORD || length != data.iter().map(|slice| slice.len()).sum() {
            return Err(Error::PROTO);
        }
        let inner_typ = [u8::from(typ)];
        let (typ, extra) = match self.shape {
            Shape::Tls13 => (ContentType::ApplicationData, &inner_typ[..]),
            _ => (typ, &[][..]),
        };
        let header = header(typ, record.len() - HEADER)?;
        let nonce = Nonce::new(&self.iv, number).0;
        let (prefix, rest) = record.split_at_mut(self.prefix());
        let (body, end) = rest.split_at_mut(length);
        let (start, explicit) = prefix.split_at_mut(HEADER);
        start.copy_from_slice(&header);
        explicit.copy_from_slice(nonce.get(NONCE_LEN - explicit.len()..).unwrap_or_default());
        let aad = self.authenticated(number, header, length);
        let nonce = AeadNonce::assume_unique_for_key(nonce);
        let sealed = if let [single] = data {
            self.key.seal_out_of_place_scatter(nonce, aad, single, body, extra, end)
        } else {
            let mut place = &mut *body;
            for slice in data {
                let (now, later) = place.split_at_mut(slice.len());
                now.copy_from_slice(slice);
                place = later;
            }
            self.key.seal_in_place_scatter(nonce, aad, body, extra, end)
        };
        sealed.map_err(|_| Error::PROTO)
    }

    /// How far into a record its data begins.
    pub(super) fn prefix(&self) -> usize {
        HEADER + if self.shape == Shape::Tls12Explicit { EXPLICIT } else { 0 }
    }

    /// Bytes that [`open_into`](Cipher::open_into) needs for a record of this length.
    pub(super) fn room(&self, record: usize) -> usize {
        record.saturating_sub(self.prefix() + TAG)
    }

    /// Opens the record of this number where it lies.
    ///
    /// # Errors
    /// What to tell the peer of a record that is not its, or too long, or without a type.
    pub(super) fn open(&self, number: u64, record: &mut [u8]) -> Opening {
        let (header, nonce, aad) = self.judge(number, record)?;
        let sealed = record.get_mut(self.prefix()..).unwrap_or_default();
        let plain = self.key.open_in_place(nonce, aad, sealed).map_err(|_| Alert::BadRecordMac)?;
        self.plain(header, plain)
    }

    /// Opens the record of this number; `place`, of [`room`](Cipher::room) bytes, gets what is in
    /// it, or anything at all if that fails.
    ///
    /// # Errors
    /// As for [`open`](Cipher::open).
    pub(super) fn open_into(&self, number: u64, record: &[u8], place: &mut [u8]) -> Opening {
        let (header, nonce, aad) = self.judge(number, record)?;
        let sealed = record.get(self.prefix()..).unwrap_or_default();
        let (sealed, tag) = sealed.split_at(sealed.len().saturating_sub(TAG));
        self.key
            .open_separate_gather(nonce, aad, sealed, tag, place)
            .map_err(|_| Alert::BadRecordMac)?;
        self.plain(header, place)
    }

    /// The header of a record that is long enough, its nonce, and what is authenticated beside the
    /// ciphertext.
    fn judge(
        &self,
        number: u64,
        record: &[u8],
    ) -> std::result::Result<([u8; HEADER], AeadNonce, Aad<AuthenticatedData>), Alert> {
        let &header = record.first_chunk::<HEADER>().ok_or(Alert::DecodeError)?;
        let length = record.len().checked_sub(self.overhead()).ok_or(Alert::BadRecordMac)?;
        let mut nonce = Nonce::new(&self.iv, number).0;
        let explicit = record.get(HEADER..self.prefix()).unwrap_or_default();
        if let Some(place) = nonce.get_mut(NONCE_LEN - explicit.len()..) {
            place.copy_from_slice(explicit);
        }
        let aad = self.authenticated(number, header, length);
        Ok((header, AeadNonce::assume_unique_for_key(nonce), aad))
    }

    /// What is authenticated beside the ciphertext of `length` bytes of data. With TLS 1.3 the
    /// version that a record says it has is nobody's business (RFC 8446, 5.1).
    fn authenticated(
        &self,
        number: u64,
        [typ, major, minor, a, b]: [u8; HEADER],
        length: usize,
    ) -> Aad<AuthenticatedData> {
        let version = ProtocolVersion::from(u16::from_be_bytes([major, minor]));
        Aad::from(match self.shape {
            Shape::Tls13 => {
                AuthenticatedData::Tls13(make_tls13_aad(u16::from_be_bytes([a, b]).into()))
            }
            _ => AuthenticatedData::Tls12(make_tls12_aad(number, typ.into(), version, length)),
        })
    }

    fn plain(&self, [typ, ..]: [u8; HEADER], plain: &[u8]) -> Opening {
        let plain = match self.shape {
            Shape::Tls13 => inner_type(plain)?,
            _ => Plain { typ: typ.into(), length: plain.len() },
        };
        if plain.length > RECORD { Err(Alert::RecordOverflow) } else { Ok(plain) }
    }
}

fn unusable() -> rustls::Error {
    rustls::Error::General("a cipher that is not known here".into())
}

fn header(typ: ContentType, length: usize) -> Result<[u8; HEADER]> {
    let [major, minor] = VERSION;
    let [a, b] = u16::try_from(length).map_err(|_| Error::PROTO)?.to_be_bytes();
    Ok([typ.into(), major, minor, a, b])
}

/// The type at the end of what TLS 1.3 encrypts, and how much data is ahead of it.
fn inner_type(plain: &[u8]) -> Opening {
    if plain.len() > RECORD + 1 {
        return Err(Alert::RecordOverflow);
    }
    let length = plain.iter().rposition(|&byte| byte != 0).ok_or(Alert::UnexpectedMessage)?;
    let typ = plain.get(length).copied().unwrap_or_default().into();
    Ok(Plain { typ, length })
}

/// What is authenticated beside the ciphertext.
enum AuthenticatedData {
    Tls13([u8; 5]),
    Tls12([u8; 13]),
}

impl AsRef<[u8]> for AuthenticatedData {
    fn as_ref(&self) -> &[u8] {
        match self {
            AuthenticatedData::Tls13(bytes) => bytes,
            AuthenticatedData::Tls12(bytes) => bytes,
        }
    }
}
