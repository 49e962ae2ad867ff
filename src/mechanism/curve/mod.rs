// SPDX-License-Identifier: MPL-2.0
//! CURVE: both sides prove who they are, and everything that follows is sealed with a key that
//! nobody has after the connection.
//!
//! ```text
//! client            server
//! HELLO      ─────>          the client's transient public key C', made for this connection
//!            <─────  WELCOME the server's S', and a cookie that only the server can read
//! INITIATE   ─────>          the cookie, the client's permanent key C with a vouch that C and C'
//!                            belong together, its properties; the server may ask a ZAP handler
//!            <─────  READY   the server's properties; or ERROR with status 400 or 500
//! MESSAGE    <────>  MESSAGE traffic
//! ```
//!
//! All but ERROR is in boxes: HELLO from C' to S (whoever can open it has the secret key of S),
//! WELCOME from S to C', the rest from C' to S' and back. A key is a box's receiver or sender;
//! capital letters are public keys, the secret ones that belong to them are small letters.
//!
//! Each side counts the commands it sends; the counter is the end of the nonce, so that none is
//! used twice with a key. WELCOME, the cookie and the vouch have random nonces instead.
//!
//! | module | holds |
//! |---|---|
//! | [`client`], [`server`] | the two sides of the handshake |
//! | [`cipher`] | traffic |
//! | [`sodium`] | cryptography |
//!
//! RFC 26 (CurveZMQ), 25 (in ZMTP), 27 (ZAP).

#![deny(unsafe_code)]

mod cipher;
mod client;
mod server;
pub mod sodium;
#[cfg(test)]
mod tests;

pub use client::CurveClient;
pub use server::CurveServer;

use crate::zmtp::ProtocolError;
use sodium::{KEY, NONCE, Nonce, PublicKey, Secret, TAG, Tag};
use zeroize::Zeroizing;

const NAME: &str = "CURVE";
const HELLO: &[u8; 6] = b"\x05HELLO";
const WELCOME: &[u8; 8] = b"\x07WELCOME";
const INITIATE: &[u8; 9] = b"\x08INITIATE";
const READY: &[u8; 6] = b"\x05READY";

/// The version of CurveZMQ, and zeros: HELLO is longer than WELCOME, so that nobody can have a
/// server send more than it was sent.
const HELLO_VERSION: [u8; 2] = [1, 0];
const HELLO_PADDING: usize = 72;
/// What the box of HELLO holds.
const HELLO_TEXT: [u8; 64] = [0; 64];
const HELLO_SIZE: usize = HELLO.len() + 2 + HELLO_PADDING + KEY + COUNTER + TAG + HELLO_TEXT.len();
/// A random tail of a nonce, a tag, and two keys.
const COOKIE: usize = TAIL + TAG + 2 * KEY;
const WELCOME_SIZE: usize = WELCOME.len() + TAIL + TAG + KEY + COOKIE;
const VOUCH: usize = TAIL + TAG + 2 * KEY;
const INITIATE_MINIMUM: usize = INITIATE.len() + COOKIE + COUNTER + TAG + KEY + VOUCH;
const READY_MINIMUM: usize = READY.len() + COUNTER + TAG;

/// The part of a nonce that is a counter, and the part that is random, in bytes.
const COUNTER: usize = 8;
const TAIL: usize = 16;

const _: () = {
    assert!(HELLO_SIZE == 200 && WELCOME_SIZE == 168);
    assert!(INITIATE_MINIMUM == 257 && READY_MINIMUM == 30);
};

/// A pair of keys made for one connection.
#[derive(Debug)]
struct Transient {
    public: PublicKey,
    secret: Secret,
}

/// Where random bytes come from.
type Random = fn(&mut [u8]);

impl Transient {
    /// `None` if there is no public key for the random numbers, which never happens.
    fn generate(random: Random) -> Option<Transient> {
        let secret = Secret::new(|key| random(key));
        Some(Transient { public: secret.public_key()?, secret })
    }
}

fn counter_nonce(prefix: &[u8; NONCE - COUNTER], counter: u64) -> Nonce {
    joined(prefix, &counter.to_be_bytes())
}

fn random_nonce(prefix: &[u8; NONCE - TAIL], tail: &[u8; TAIL]) -> Nonce {
    joined(prefix, tail)
}

fn random_tail(random: Random) -> [u8; TAIL] {
    let mut tail = [0; TAIL];
    random(&mut tail);
    tail
}

fn joined(prefix: &[u8], rest: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE];
    for (byte, value) in nonce.iter_mut().zip(prefix.iter().chain(rest)) {
        *byte = *value;
    }
    nonce
}

/// Appends the tag and the sealed form of `text`, which is sealed in place.
fn put_box(key: &Secret, nonce: &Nonce, text: &mut [u8], out: &mut Vec<u8>) {
    let tag = key.seal(nonce, text);
    out.extend_from_slice(&tag);
    out.extend_from_slice(text);
}

/// What is in a box that begins with its tag. `None`: it does not belong to this key and nonce.
fn open_box(key: &Secret, nonce: &Nonce, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = sealed;
    let tag: Tag = split(&mut rest)?;
    let mut text = Zeroizing::new(rest.to_vec());
    key.open(nonce, &tag, &mut text).then_some(text)
}

/// Takes the first `N` bytes.
fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// A command is its name, the length ahead of it, and data.
fn check_structure(body: &[u8]) -> Result<(), ProtocolError> {
    match body {
        [length, rest @ ..] if rest.len() >= usize::from(*length).max(1) => Ok(()),
        _ => Err(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED),
    }
}
