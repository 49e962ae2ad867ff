// SPDX-License-Identifier: MPL-2.0
//! Z85, binary data as printable text: each 4 bytes, as a number with the highest byte first, are 5
//! digits to the base of 85. RFC 32; man pages zmq_z85_encode(3), zmq_z85_decode(3).

#![forbid(unsafe_code)]

use crate::errno::{Error, Result};

const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The value of each character as a digit, or `NO_DIGIT`.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const NO_DIGIT: u8 = 255;

/// The length of the text for `len` bytes of data. EINVAL unless it is a multiple of 4.
pub fn encoded_len(len: usize) -> Result<usize> {
    match len % 4 {
        0 => (len / 4).checked_mul(5).ok_or(Error::INVAL),
        _ => Err(Error::INVAL),
    }
}

/// The length of the data for a text of `len` characters. EINVAL unless it is a multiple of 5 and
/// not 0.
pub fn decoded_len(len: usize) -> Result<usize> {
    match (len, len % 5) {
        (1.., 0) => Ok(len / 5 * 4),
        _ => Err(Error::INVAL),
    }
}

/// Writes `data` as text. EINVAL when its length is not allowed or `text` is shorter than
/// [`encoded_len`] says.
pub fn encode(data: &[u8], text: &mut [u8]) -> Result<()> {
    let text = text.get_mut(..encoded_len(data.len())?).ok_or(Error::INVAL)?;
    for (bytes, digits) in data.chunks_exact(4).zip(text.chunks_exact_mut(5)) {
        let mut value = bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte));
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(value % 85) as usize];
            value /= 85;
        }
    }
    Ok(())
}

/// Reads `text` back. EINVAL when its length is not allowed, a character is none of Z85's, five of
/// them are no 32-bit number, or `data` is shorter than [`decoded_len`] says. On failure the groups
/// before the wrong one may have been written.
pub fn decode(text: &[u8], data: &mut [u8]) -> Result<()> {
    let data = data.get_mut(..decoded_len(text.len())?).ok_or(Error::INVAL)?;
    for (digits, bytes) in text.chunks_exact(5).zip(data.chunks_exact_mut(4)) {
        let value = digits.iter().try_fold(0u32, |value, &digit| match VALUES[digit as usize] {
            NO_DIGIT => None,
            digit => value.checked_mul(85)?.checked_add(digit.into()),
        });
        bytes.copy_from_slice(&value.ok_or(Error::INVAL)?.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data and text. The first two rows are those of RFC 32's test case.
    const PAIRS: &[(&[u8], &[u8])] = &[
        (&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b], b"HelloWorld"),
        (
            &[
                0x8e, 0x0b, 0xdd, 0x69, 0x76, 0x28, 0xb9, 0x1d, 0x8f, 0x24, 0x55, 0x87, 0xee, 0x95,
                0xc5, 0xb0, 0x4d, 0x48, 0x96, 0x3f, 0x79, 0x25, 0x98, 0x77, 0xb4, 0x9c, 0xd9, 0x06,
                0x3a, 0xea, 0xd3, 0xb7,
            ],
            b"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
        ),
        (&[0, 0, 0, 0], b"00000"),
        (&[0xff, 0xff, 0xff, 0xff], b"%nSc0"),
        (&[0, 0, 0, 84, 0, 0, 0, 85], b"0000#00010"),
    ];

    fn text_of(data: &[u8]) -> Result<Vec<u8>> {
        let mut text = vec![0; encoded_len(data.len())?];
        encode(data, &mut text).map(|()| text)
    }

    fn data_of(text: &[u8]) -> Result<Vec<u8>> {
        let mut data = vec![0; decoded_len(text.len())?];
        decode(text, &mut data).map(|()| data)
    }

    #[test]
    fn known_pairs() {
        for &(data, text) in PAIRS {
            assert_eq!(text_of(data).as_deref(), Ok(text));
            assert_eq!(data_of(text).as_deref(), Ok(data));
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(text_of(b"").as_deref(), Ok(&b""[..]));
        for len in [1, 2, 3, 5, 42] {
            assert_eq!(encode(&vec![0; len], &mut [0; 100]), Err(Error::INVAL));
        }
        for len in [0, 1, 4, 6, 8] {
            assert_eq!(decode(&vec![b'0'; len], &mut [0; 100]), Err(Error::INVAL));
        }
        assert_eq!(encode(&[0; 4], &mut [0; 4]), Err(Error::INVAL));
        assert_eq!(decode(b"00000", &mut [0; 3]), Err(Error::INVAL));
        assert_eq!(encoded_len(usize::MAX - 3), Err(Error::INVAL));
    }

    #[test]
    fn wrong_characters_and_too_great_numbers() {
        for text in
            ["#####", "%nSc1", "####\u{7f}", "####\x1f", "#### ", "\"0000", "0000,", "0\u{e9}00"]
        {
            assert_eq!(data_of(text.as_bytes()), Err(Error::INVAL), "{text:?}");
        }
    }

    #[test]
    fn every_digit() {
        let mut expected = 0u32;
        for (value, &digit) in (0..).zip(DIGITS) {
            assert_eq!(
                data_of(&[b'0', b'0', b'0', b'0', digit]),
                Ok(expected.to_be_bytes().into())
            );
            assert_eq!(expected, value);
            expected += 1;
        }
        assert_eq!(expected, 85);
    }
}
