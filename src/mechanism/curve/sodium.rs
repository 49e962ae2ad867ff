// SPDX-License-Identifier: MPL-2.0
//! libsodium, wrapped: the only unsafe code for cryptography.
//!
//! A box is NaCl's `crypto_box` (Curve25519, XSalsa20, Poly1305) with the key computed beforehand,
//! and equals its `crypto_secretbox` with that key. Everything works in place: text and sealed text
//! have the same length, the tag lies apart.
//!
//! [`TrafficKey`] is the same for many boxes whose nonces begin alike, and takes half the time for
//! short texts: the step from XSalsa20 to Salsa20 depends on the key and the first 16 bytes of the
//! nonce alone, so it is made once.
//!
//! Tags and secrets are compared in constant time, secrets erased when they go.

#![allow(unsafe_code)]

use libsodium_sys as sodium;
use std::fmt;
use zeroize::Zeroize;

use crate::errno::{Error, Result};
use crate::fork::Once;

/// The length of any key, in bytes.
pub const KEY: usize = 32;
/// The length of a box's tag, in bytes.
pub const TAG: usize = 16;
/// The length of a nonce, in bytes.
pub const NONCE: usize = 24;
/// How much of the nonce is the same for all boxes of a [`TrafficKey`].
pub const PREFIX: usize = 16;

pub type PublicKey = [u8; KEY];
pub type Tag = [u8; TAG];
pub type Nonce = [u8; NONCE];

/// The length of a Salsa20 block, in bytes.
const BLOCK: usize = 64;
/// A key stream is made this much at a time where that is possible, which takes hardly longer than
/// a single block.
const STRIDE: usize = 4 * BLOCK;
/// How much of the first block of a box's key stream is the key of its tag.
const TAG_KEY: usize = 32;

const _: () = assert!(
    sodium::crypto_box_PUBLICKEYBYTES as usize == KEY
        && sodium::crypto_box_SECRETKEYBYTES as usize == KEY
        && sodium::crypto_box_BEFORENMBYTES as usize == KEY
        && sodium::crypto_scalarmult_SCALARBYTES as usize == KEY
        && sodium::crypto_core_hsalsa20_OUTPUTBYTES as usize == KEY
        && sodium::crypto_core_hsalsa20_INPUTBYTES as usize == PREFIX
        && sodium::crypto_stream_salsa20_KEYBYTES as usize == KEY
        && sodium::crypto_stream_salsa20_NONCEBYTES as usize == NONCE - PREFIX
        && sodium::crypto_onetimeauth_poly1305_KEYBYTES as usize == TAG_KEY
        && sodium::crypto_onetimeauth_poly1305_BYTES as usize == TAG
        && sodium::crypto_box_NONCEBYTES as usize == NONCE
        && sodium::crypto_box_MACBYTES as usize == TAG
);

/// To be called before anything else here; may be called again at any time. ENOTSUP when the
/// library cannot be used.
pub fn initialise() -> Result<()> {
    static WORKS: Once<bool> = Once::new();
    // SAFETY: may be called at any time, from any thread.
    let works = WORKS.get_or_init(|| unsafe { sodium::sodium_init() } >= 0);
    if *works { Ok(()) } else { Err(Error::NOTSUP) }
}

/// Fills `bytes` with the system's random numbers.
pub fn random(bytes: &mut [u8]) {
    // SAFETY: writes that many bytes.
    unsafe { sodium::randombytes_buf(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// Whether two strings are the same, in a time that says nothing about where they differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    // SAFETY: both have this length.
    a.len() == b.len()
        && unsafe { sodium::sodium_memcmp(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) } == 0
}

/// A key that nobody else may know. It stays in one place in memory, however often it is passed
/// on, and is erased when it goes.
pub struct Secret(Box<[u8; KEY]>);

impl Secret {
    /// Takes what `fill` writes.
    pub fn new(fill: impl FnOnce(&mut [u8; KEY])) -> Secret {
        let mut secret = Secret(Box::new([0; KEY]));
        fill(&mut secret.0);
        secret
    }

    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// The public key that belongs to this secret one; `None` if there is none.
    pub fn public_key(&self) -> Option<PublicKey> {
        let mut public = [0; KEY];
        // SAFETY: both keys have the length that the function reads and writes.
        let status =
            unsafe { sodium::crypto_scalarmult_base(public.as_mut_ptr(), self.0.as_ptr()) };
        (status == 0).then_some(public)
    }

    /// The key of boxes between the owners of two pairs of keys; `None` if the other's is none.
    pub fn shared_with(&self, public: &PublicKey) -> Option<Secret> {
        let mut status = 0;
        let key = Secret::new(|key| {
            // SAFETY: all keys have the length that the function reads and writes.
            status = unsafe {
                sodium::crypto_box_beforenm(key.as_mut_ptr(), public.as_ptr(), self.0.as_ptr())
            };
        });
        (status == 0).then_some(key)
    }

    /// Seals `text` in place.
    pub fn seal(&self, nonce: &Nonce, text: &mut [u8]) -> Tag {
        let mut tag = [0; TAG];
        let (text, length) = (text.as_mut_ptr(), text.len() as u64);
        // SAFETY: the text may be overwritten by what it becomes; nonce, key and tag have the
        // lengths that the function reads and writes. It cannot fail.
        unsafe {
            sodium::crypto_box_detached_afternm(
                text,
                tag.as_mut_ptr(),
                text,
                length,
                nonce.as_ptr(),
                self.0.as_ptr(),
            );
        }
        tag
    }

    /// Opens `sealed` in place. False: it does not belong to this key, nonce and tag, and is as it
    /// was.
    #[must_use]
    pub fn open(&self, nonce: &Nonce, tag: &Tag, sealed: &mut [u8]) -> bool {
        let (text, length) = (sealed.as_mut_ptr(), sealed.len() as u64);
        // SAFETY: as in `seal`.
        let status = unsafe {
            sodium::crypto_box_open_detached_afternm(
                text,
                text,
                tag.as_ptr(),
                length,
                nonce.as_ptr(),
                self.0.as_ptr(),
            )
        };
        status == 0
    }
}

impl From<&[u8; KEY]> for Secret {
    fn from(bytes: &[u8; KEY]) -> Secret {
        Secret::new(|key| key.copy_from_slice(bytes))
    }
}

impl Clone for Secret {
    fn clone(&self) -> Secret {
        Secret::from(&*self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        equal(&*self.0, &*other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The key of boxes whose nonces begin with the same [`PREFIX`] bytes. What follows in the nonce is
/// called its counter here.
#[derive(Debug)]
pub struct TrafficKey(Secret);

/// What comes ahead of a text that [`TrafficKey::seal`] is to seal: it has to be zeros before, and
/// must be overwritten afterwards.
pub const ROOM: usize = TAG_KEY;

impl TrafficKey {
    pub fn new(key: &Secret, prefix: &[u8; PREFIX]) -> TrafficKey {
        TrafficKey(Secret::new(|subkey| {
            // SAFETY: all have the lengths that the function reads and writes. It cannot fail.
            unsafe {
                sodium::crypto_core_hsalsa20(
                    subkey.as_mut_ptr(),
                    prefix.as_ptr(),
                    key.0.as_ptr(),
                    std::ptr::null(),
                );
            }
        }))
    }

    /// Seals the text at the end of `out`, from `start + ROOM` on, and behind it `rest`, which is
    /// appended. With a `rest` the text and its room are whole blocks of 64 bytes.
    pub fn seal(&self, counter: u64, out: &mut Vec<u8>, start: usize, rest: &[u8]) -> Tag {
        let counter = counter.to_be_bytes();
        let length = out.len();
        let text = length - start;
        debug_assert!(text >= ROOM && (rest.is_empty() || text.is_multiple_of(BLOCK)));
        let blocks = (text / BLOCK) as u64;
        if single_blocks(text) > 1 {
            out.resize(start + text.next_multiple_of(STRIDE), 0);
        }
        self.stream(&counter, 0, &mut out[start..]);
        out.truncate(length);
        if !rest.is_empty() {
            out.reserve(rest.len());
            // SAFETY: there is room for the rest behind the text, which does not overlap with what
            // the caller lent; the function writes all of it. Counter and key have the lengths that
            // it reads.
            unsafe {
                sodium::crypto_stream_salsa20_xor_ic(
                    out.as_mut_ptr().add(length),
                    rest.as_ptr(),
                    rest.len() as u64,
                    counter.as_ptr(),
                    blocks,
                    self.0.as_bytes().as_ptr(),
                );
                out.set_len(length + rest.len());
            }
        }
        let (key, text) = out[start..].split_at(ROOM);
        let mut tag = [0; TAG];
        // SAFETY: the key and the tag have the lengths that the function reads and writes.
        unsafe {
            sodium::crypto_onetimeauth_poly1305(
                tag.as_mut_ptr(),
                text.as_ptr(),
                text.len() as u64,
                key.as_ptr(),
            );
        }
        tag
    }

    /// Opens in place what comes after the first [`ROOM`] bytes, which have no meaning afterwards.
    /// False: it does not belong to this key, counter and tag, and all is as it was.
    #[must_use]
    pub fn open(&self, counter: u64, tag: &Tag, sealed: &mut [u8]) -> bool {
        let counter = counter.to_be_bytes();
        let length = sealed.len();
        // What there is to be known before anything is opened is the key of the tag; the rest of a
        // short text comes along.
        let ahead = if (BLOCK + 1..=STRIDE).contains(&length) { STRIDE } else { BLOCK };
        let mut first = KeyStream([0; STRIDE]);
        self.stream(&counter, 0, &mut first.0[..ahead]);
        let (key, first) = first.0[..ahead].split_at(TAG_KEY);
        let Some((_, text)) = sealed.split_at_mut_checked(ROOM) else { return false };
        // SAFETY: the key and the tag have the lengths that the function reads.
        let status = unsafe {
            sodium::crypto_onetimeauth_poly1305_verify(
                tag.as_ptr(),
                text.as_ptr(),
                text.len() as u64,
                key.as_ptr(),
            )
        };
        if status != 0 {
            return false;
        }
        let (begin, rest) = text.split_at_mut(text.len().min(first.len()));
        if single_blocks(rest.len()) > single_blocks(length) {
            // With the first block once more it is faster nevertheless.
            self.stream(&counter, 0, sealed);
            return true;
        }
        for (byte, key) in begin.iter_mut().zip(first) {
            *byte ^= key;
        }
        if !rest.is_empty() {
            self.stream(&counter, 1, rest);
        }
        true
    }

    /// Combines `bytes` with the key stream from a block on.
    fn stream(&self, counter: &[u8; NONCE - PREFIX], block: u64, bytes: &mut [u8]) {
        // SAFETY: the bytes may be overwritten by what they become; counter and key have the
        // lengths that the function reads.
        unsafe {
            sodium::crypto_stream_salsa20_xor_ic(
                bytes.as_mut_ptr(),
                bytes.as_ptr(),
                bytes.len() as u64,
                counter.as_ptr(),
                block,
                self.0.as_bytes().as_ptr(),
            );
        }
    }
}

/// The beginning of a key stream, erased when it goes: at once, not byte by byte.
struct KeyStream([u8; STRIDE]);

impl Drop for KeyStream {
    fn drop(&mut self) {
        // SAFETY: writes that many bytes.
        unsafe { sodium::sodium_memzero(self.0.as_mut_ptr().cast(), STRIDE) }
    }
}

/// How many blocks of a key stream of this length have to be made one by one.
fn single_blocks(length: usize) -> usize {
    (length % STRIDE).div_ceil(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 + index / 256) as u8).collect()
    }

    #[test]
    fn keys() {
        initialise().unwrap();
        let secrets = [Secret::new(|key| random(key)), Secret::new(|key| random(key))];
        assert_ne!(secrets[0], secrets[1]);
        assert_eq!(secrets[0], secrets[0].clone());
        let publics = secrets.each_ref().map(|secret| secret.public_key().unwrap());
        let shared = secrets[0].shared_with(&publics[1]).unwrap();
        assert_eq!(shared, secrets[1].shared_with(&publics[0]).unwrap());
        assert_ne!(shared, secrets[0].shared_with(&publics[0]).unwrap());
        // With a public key of zeros everybody would know the shared one.
        assert_eq!(secrets[0].shared_with(&[0; KEY]), None);
        assert_eq!(format!("{:?}", secrets[0]), "Secret");
    }

    #[test]
    fn comparison() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd") && !equal(b"abc", b"abcd"));
    }

    #[test]
    fn boxes() {
        initialise().unwrap();
        let key = Secret::from(&[7; KEY]);
        for length in [0, 1, 32, 33, 64, 500] {
            let mut text = pattern(length);
            let mut tag = key.seal(&[1; NONCE], &mut text);
            assert!(length == 0 || text != pattern(length));
            assert!(!key.open(&[2; NONCE], &tag, &mut text));
            assert!(key.open(&[1; NONCE], &tag, &mut text));
            assert_eq!(text, pattern(length));
            tag[0] ^= 1;
            assert!(!key.open(&[1; NONCE], &tag, &mut text));
            assert_eq!(text, pattern(length));
        }
    }

    #[test]
    fn traffic_is_boxes() {
        initialise().unwrap();
        let key = Secret::from(&[7; KEY]);
        let prefix = *b"CurveZMQMESSAGEC";
        let traffic = TrafficKey::new(&key, &prefix);
        for (counter, length, direct) in [
            (1, 0, 0),
            (2, 1, 0),
            (3, 31, 0),
            (4, 32, 0),
            (5, 33, 0),
            (6, 65, 0),
            (7, 223, 0),
            (7, 224, 0),
            (7, 225, 0),
            (8, 300, 0),
            (8, 1025, 0),
            (9, 10_000, 0),
            (10, 33, 1),
            (11, 97, 1),
            (u64::MAX, 100_000, 99_008),
        ] {
            let mut nonce = [0; NONCE];
            nonce[..PREFIX].copy_from_slice(&prefix);
            nonce[PREFIX..].copy_from_slice(&u64::to_be_bytes(counter));
            let text = pattern(length);
            let mut expected = text.clone();
            let expected_tag = key.seal(&nonce, &mut expected);

            let (begin, rest) = text.split_at(length - direct);
            let mut out = [b"before".as_slice(), &[0; ROOM], begin].concat();
            let tag = traffic.seal(counter, &mut out, 6, rest);
            assert_eq!(tag, expected_tag, "{length}");
            assert_eq!(out[6 + ROOM..], expected);
            assert_eq!(&out[..6], b"before");

            let mut sealed = out.split_off(6);
            assert!(!traffic.open(counter - 1, &tag, &mut sealed));
            assert!(!traffic.open(counter, &[0; TAG], &mut sealed));
            assert_eq!(sealed[ROOM..], expected, "untouched");
            assert!(traffic.open(counter, &tag, &mut sealed));
            assert_eq!(sealed[ROOM..], text);
        }
        assert!(!traffic.open(1, &[0; TAG], &mut [0; ROOM - 1]));
    }
}
