// SPDX-License-Identifier: MPL-2.0
//! CURVE keys as Z85 text. Man pages: zmq_curve_keypair(3), zmq_curve_public(3).

#![forbid(unsafe_code)]

use super::z85;
use crate::errno::{Error, Result};
use crate::mechanism::curve::sodium::{self, KEY, Secret};
use zeroize::Zeroizing;

/// The length of a key as text.
pub const TEXT_LEN: usize = 40;

/// A key as Z85 text, without a NUL.
pub type KeyText = [u8; TEXT_LEN];

/// A public key and the secret key it belongs to.
#[derive(Clone)]
pub struct Keypair {
    pub public: KeyText,
    pub secret: Zeroizing<KeyText>,
}

impl Keypair {
    /// A new pair by the system's random numbers. Fails with ENOTSUP when the cryptographic library
    /// cannot be used.
    pub fn generate() -> Result<Keypair> {
        sodium::initialise()?;
        let secret = Secret::new(|key| sodium::random(key));
        let public = secret.public_key().ok_or(Error::NOTSUP)?;
        let mut text = Zeroizing::new([0; TEXT_LEN]);
        z85::encode(secret.as_bytes(), &mut *text)?;
        Ok(Keypair { public: text_of(&public)?, secret: text })
    }
}

/// The public key that belongs to a secret one. Fails with EINVAL unless `secret` is 40 characters
/// of Z85, and with ENOTSUP when the cryptographic library cannot be used.
pub fn public_key(secret: &[u8]) -> Result<KeyText> {
    if secret.len() != TEXT_LEN {
        return Err(Error::INVAL);
    }
    let mut decoded = Ok(());
    let key = Secret::new(|key| decoded = z85::decode(secret, key));
    decoded?;
    sodium::initialise()?;
    text_of(&key.public_key().ok_or(Error::INVAL)?)
}

fn text_of(key: &[u8; KEY]) -> Result<KeyText> {
    let mut text = [0; TEXT_LEN];
    z85::encode(key, &mut text)?;
    Ok(text)
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
            assert_eq!(public_key(&*pair.secret), Ok(pair.public));
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
