// SPDX-License-Identifier: MPL-2.0
//! CURVE keys as Z85 text. Man pages: zmq_curve_keypair(3), zmq_curve_public(3).

#![allow(unsafe_code)]

use libsodium_sys as sodium;

use super::z85;
use crate::errno::{Error, Result};

/// The length of a key in bytes.
pub const KEY_LEN: usize = 32;

/// The length of a key as text.
pub const TEXT_LEN: usize = 40;

/// A key as Z85 text, without a NUL.
pub type KeyText = [u8; TEXT_LEN];

/// A public key and the secret key it belongs to.
#[derive(Clone)]
pub struct Keypair {
    pub public: KeyText,
    pub secret: KeyText,
}

impl Keypair {
    /// A new pair by the system's random numbers. Fails with ENOTSUP when the cryptographic library
    /// cannot be used.
    pub fn generate() -> Result<Keypair> {
        initialise()?;
        let mut public = [0; KEY_LEN];
        let mut secret = SecretKey([0; KEY_LEN]);
        // SAFETY: both keys have the length that the function writes.
        let status =
            unsafe { sodium::crypto_box_keypair(public.as_mut_ptr(), secret.0.as_mut_ptr()) };
        if status != 0 {
            return Err(Error::NOTSUP);
        }
        Ok(Keypair { public: text_of(&public)?, secret: text_of(&secret.0)? })
    }
}

/// The public key that belongs to a secret one. Fails with EINVAL unless `secret` is 40 characters
/// of Z85, and with ENOTSUP when the cryptographic library cannot be used.
pub fn public_key(secret: &[u8]) -> Result<KeyText> {
    if secret.len() != TEXT_LEN {
        return Err(Error::INVAL);
    }
    let mut key = SecretKey([0; KEY_LEN]);
    z85::decode(secret, &mut key.0)?;
    initialise()?;
    let mut public = [0; KEY_LEN];
    // SAFETY: both keys have the length that the function reads and writes.
    let status = unsafe { sodium::crypto_scalarmult_base(public.as_mut_ptr(), key.0.as_ptr()) };
    if status != 0 {
        return Err(Error::INVAL);
    }
    text_of(&public)
}

/// A secret key, erased when it goes.
struct SecretKey([u8; KEY_LEN]);

impl Drop for SecretKey {
    fn drop(&mut self) {
        // SAFETY: writes the key's bytes.
        unsafe { sodium::sodium_memzero(self.0.as_mut_ptr().cast(), KEY_LEN) }
    }
}

const _: () = assert!(
    sodium::crypto_box_PUBLICKEYBYTES as usize == KEY_LEN
        && sodium::crypto_box_SECRETKEYBYTES as usize == KEY_LEN
);

fn text_of(key: &[u8; KEY_LEN]) -> Result<KeyText> {
    let mut text = [0; TEXT_LEN];
    z85::encode(key, &mut text)?;
    Ok(text)
}

fn initialise() -> Result<()> {
    // SAFETY: may be called any number of times, from any thread.
    if unsafe { sodium::sodium_init() } < 0 { Err(Error::NOTSUP) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair in the zmq_curve(7) man page.
    const PUBLIC: &KeyText = b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const SECRET: &KeyText = b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

    #[test]
    fn the_known_pair() {
        assert_eq!(public_key(SECRET).as_ref(), Ok(PUBLIC));
    }

    #[test]
    fn new_pairs_belong_together() {
        let first = Keypair::generate().unwrap();
        let second = Keypair::generate().unwrap();
        for pair in [&first, &second] {
            assert_eq!(public_key(&pair.secret), Ok(pair.public));
        }
        assert_ne!(first.secret, second.secret);
        assert_ne!(first.public, second.public);
    }

    #[test]
    fn wrong_secrets_are_einval() {
        let long = [b'0'; 45];
        for secret in [&b""[..], b"42", b"short", &SECRET[..35], &SECRET[..39], &long, &[b' '; 40]]
        {
            assert_eq!(public_key(secret), Err(Error::INVAL));
        }
    }
}
