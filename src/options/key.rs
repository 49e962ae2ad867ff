// SPDX-License-Identifier: MPL-2.0
//! CURVE keys as option values: 32 bytes, or Z85 text (RFC 32) of 40 characters.
#![forbid(unsafe_code)]

use super::value::answer_exact;
use crate::errno::{Error, Result};
use zeroize::Zeroizing;

/// A CURVE key.
pub type Key = [u8; KEY_SIZE];

/// A key that nobody else may know: erased when it goes.
pub type SecretKey = Zeroizing<Key>;

const KEY_SIZE: usize = 32;
const TEXT_SIZE: usize = 40;
const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// A key in one of its three forms: 32 bytes, 40 characters, or 40 characters and a NUL. It may be
/// a secret one.
pub fn parse_key(value: &[u8]) -> Result<SecretKey> {
    let mut key = SecretKey::default();
    if value.len() == KEY_SIZE {
        key.copy_from_slice(value);
        return Ok(key);
    }
    let text: &[u8; TEXT_SIZE] =
        value.strip_suffix(b"\0").unwrap_or(value).try_into().map_err(|_| Error::INVAL)?;
    for (word, digits) in key.chunks_exact_mut(4).zip(text.chunks_exact(5)) {
        word.copy_from_slice(&decode_word(digits).ok_or(Error::INVAL)?.to_be_bytes());
    }
    Ok(key)
}

/// Answers with a key: 32 bytes, or the text and its NUL, as the buffer's size asks for.
pub fn answer_key(out: &mut [u8], key: &Key) -> Result<usize> {
    if out.len() == KEY_SIZE {
        return answer_exact(out, key);
    }
    let mut text = [0; TEXT_SIZE + 1];
    for (digits, word) in text.chunks_exact_mut(5).zip(key.chunks_exact(4)) {
        let mut word = word.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(word % 85) as usize];
            word /= 85;
        }
    }
    answer_exact(out, &text)
}

fn decode_word(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |word, digit| {
        let digit = ALPHABET.iter().position(|known| known == digit)?;
        word.checked_mul(85)?.checked_add(digit as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 32, four times over.
    const KEY: Key = {
        let word = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let mut key = [0; KEY_SIZE];
        let mut index = 0;
        while index < KEY_SIZE {
            key[index] = word[index % 8];
            index += 1;
        }
        key
    };
    fn parse_key(value: &[u8]) -> Result<Key> {
        super::parse_key(value).map(|key| *key)
    }

    const TEXT: &[u8] = b"HelloWorldHelloWorldHelloWorldHelloWorld\0";

    #[test]
    fn three_forms() {
        assert_eq!(parse_key(&KEY), Ok(KEY));
        assert_eq!(parse_key(&TEXT[..40]), Ok(KEY));
        assert_eq!(parse_key(TEXT), Ok(KEY));
    }

    #[test]
    fn malformed_keys() {
        for size in [0, 1, 31, 33, 39] {
            assert_eq!(parse_key(&TEXT[..size]), Err(Error::INVAL), "{size}");
        }
        let mut text = [b'0'; 42];
        assert_eq!(parse_key(&text), Err(Error::INVAL));
        // 41 bytes have to end with a NUL.
        assert_eq!(parse_key(&text[..41]), Err(Error::INVAL));
        for wrong in [b' ', b'"', b'~', 0, 0x80] {
            text[7] = wrong;
            assert_eq!(parse_key(&text[..40]), Err(Error::INVAL), "{wrong}");
        }
        // A word above 0xffffffff.
        text = [b'#'; 42];
        assert_eq!(parse_key(&text[..40]), Err(Error::INVAL));
        // "%nSc0" is 0xffffffff, "%nSc1" one more.
        text[..40].copy_from_slice(&b"%nSc0".repeat(8));
        assert_eq!(parse_key(&text[..40]), Ok([0xff; 32]));
        text[4] = b'1';
        assert_eq!(parse_key(&text[..40]), Err(Error::INVAL));
    }

    #[test]
    fn answers() {
        let mut out = [0xee; 64];
        for size in [0, 31, 33, 40, 42, 64] {
            assert_eq!(answer_key(&mut out[..size], &KEY), Err(Error::INVAL), "{size}");
        }
        assert_eq!(answer_key(&mut out[..32], &KEY), Ok(32));
        assert_eq!(out[..32], KEY);
        assert_eq!(answer_key(&mut out[..41], &KEY), Ok(41));
        assert_eq!(&out[..41], TEXT);
        assert_eq!(answer_key(&mut out[..41], &[0; 32]), Ok(41));
        assert_eq!(out[..41], [[b'0'; 40].as_slice(), &[0]].concat());
    }
}
