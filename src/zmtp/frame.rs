// SPDX-License-Identifier: MPL-2.0
//! Frame headers.
//!
//! ZMTP 2.0 and later: a flags byte, then the length of the body in one byte or, with
//! [`Flags::LONG`], in eight. This is also how frames lie in the library's own memory.
//!
//! ZMTP 1.0: a length that counts the flags byte and the body, in one byte or in eight after
//! `FF`; then the flags byte.
//!
//! Lengths are big-endian. RFC 13, 15, 23, 37.

#![forbid(unsafe_code)]

use std::ops::BitOr;

use crate::errno::{Error, Result};
use crate::msg::MAX_SIZE;

/// Longest header of ZMTP 2.0 and later.
pub const MAX_HEADER: usize = 9;

/// Longest header of any version: that of ZMTP 1.0.
pub const MAX_HEADER_ANY: usize = 10;

/// The flags of a frame. Bits without a meaning are dropped on the way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub const NONE: Flags = Flags(0);
    /// Another part of the same message follows.
    pub const MORE: Flags = Flags(1);
    /// The length takes eight bytes.
    pub const LONG: Flags = Flags(2);
    /// The body is a command (3.0 and later).
    pub const COMMAND: Flags = Flags(4);

    const ALL_BITS: u8 = 7;

    #[inline]
    pub const fn from_byte(byte: u8) -> Flags {
        Flags(byte & Flags::ALL_BITS)
    }

    #[inline]
    pub const fn byte(self) -> u8 {
        self.0
    }

    #[inline]
    pub const fn more(self) -> bool {
        self.0 & Flags::MORE.0 != 0
    }

    #[inline]
    pub const fn long(self) -> bool {
        self.0 & Flags::LONG.0 != 0
    }

    #[inline]
    pub const fn command(self) -> bool {
        self.0 & Flags::COMMAND.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// What the bytes at the start of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderParse {
    /// The header goes on beyond these bytes.
    Incomplete,
    /// A whole header. `body_len` is the peer's claim: [`check_size`] first.
    Header { flags: Flags, header_len: usize, body_len: u64 },
}

/// Reads the header at the start of `bytes`: ZMTP 2.0 and later.
#[inline]
pub fn parse_header(bytes: &[u8]) -> HeaderParse {
    // With nine bytes at hand both lengths can be read and one chosen without a branch; only the
    // last frames of a buffer go the other way.
    if let Some(&[first, short, b2, b3, b4, b5, b6, b7, b8]) = bytes.first_chunk::<MAX_HEADER>() {
        let flags = Flags::from_byte(first);
        let long_len = u64::from_be_bytes([short, b2, b3, b4, b5, b6, b7, b8]);
        let body_len = if flags.long() { long_len } else { u64::from(short) };
        let header_len = if flags.long() { MAX_HEADER } else { 2 };
        return HeaderParse::Header { flags, header_len, body_len };
    }
    match *bytes {
        [first, short, ..] if !Flags::from_byte(first).long() => HeaderParse::Header {
            flags: Flags::from_byte(first),
            header_len: 2,
            body_len: u64::from(short),
        },
        _ => HeaderParse::Incomplete,
    }
}

/// Writes a header of ZMTP 2.0 or later and returns its length. [`Flags::LONG`] follows from
/// `body_len`, whatever `flags` says.
#[inline]
pub fn encode_header(flags: Flags, body_len: u64, out: &mut [u8; MAX_HEADER]) -> usize {
    let flags = flags.byte() & !Flags::LONG.byte();
    match u8::try_from(body_len) {
        Ok(short) => {
            out[0] = flags;
            out[1] = short;
            2
        }
        Err(_) => {
            out[0] = flags | Flags::LONG.byte();
            out[1..].copy_from_slice(&body_len.to_be_bytes());
            MAX_HEADER
        }
    }
}

/// Reads the header at the start of `bytes`: ZMTP 1.0. Of the flags only [`Flags::MORE`] exists.
///
/// # Errors
/// EPROTO for a length of 0, which has no room for the flags byte.
pub fn parse_header_v1(bytes: &[u8]) -> Result<HeaderParse> {
    let (len, header_len) = match *bytes {
        [] => return Ok(HeaderParse::Incomplete),
        [0xff, ref rest @ ..] => match rest.first_chunk::<8>() {
            Some(&len) => (u64::from_be_bytes(len), MAX_HEADER_ANY),
            None => return Ok(HeaderParse::Incomplete),
        },
        [len, ..] => (u64::from(len), 2),
    };
    let body_len = len.checked_sub(1).ok_or(Error::PROTO)?;
    Ok(match bytes.get(header_len - 1) {
        Some(&flags) => HeaderParse::Header {
            flags: Flags::from_byte(flags & Flags::MORE.byte()),
            header_len,
            body_len,
        },
        None => HeaderParse::Incomplete,
    })
}

/// Writes a header of ZMTP 1.0 and returns its length.
pub fn encode_header_v1(flags: Flags, body_len: u64, out: &mut [u8; MAX_HEADER_ANY]) -> usize {
    let flags = flags.byte() & Flags::MORE.byte();
    // No body in memory is as long as to make this wrap.
    let len = body_len.saturating_add(1);
    match u8::try_from(len) {
        Ok(short) if short < 0xff => {
            out[0] = short;
            out[1] = flags;
            2
        }
        _ => {
            out[0] = 0xff;
            out[1..9].copy_from_slice(&len.to_be_bytes());
            out[9] = flags;
            MAX_HEADER_ANY
        }
    }
}

/// The length of a body as a size in memory. `max_msg_size` is the option `ZMQ_MAXMSGSIZE`:
/// negative for no limit.
///
/// # Errors
/// EMSGSIZE beyond that limit, or beyond what any message can hold.
#[inline]
pub fn check_size(body_len: u64, max_msg_size: i64) -> Result<usize> {
    let limit = u64::try_from(max_msg_size).unwrap_or(u64::MAX).min(MAX_SIZE as u64);
    if body_len > limit {
        return Err(Error::MSGSIZE);
    }
    usize::try_from(body_len).map_err(|_| Error::MSGSIZE)
}

/// How a connection's frames look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// ZMTP 1.0.
    V1,
    /// ZMTP 2.0 and later.
    V2,
}

impl Framing {
    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// EPROTO for what can be no header.
    #[inline]
    pub fn parse_header(self, bytes: &[u8]) -> Result<HeaderParse> {
        match self {
            Framing::V1 => parse_header_v1(bytes),
            Framing::V2 => Ok(parse_header(bytes)),
        }
    }

    /// Writes a header and returns its length.
    #[inline]
    pub fn encode_header(
        self,
        flags: Flags,
        body_len: u64,
        out: &mut [u8; MAX_HEADER_ANY],
    ) -> usize {
        match self {
            Framing::V1 => encode_header_v1(flags, body_len, out),
            Framing::V2 => {
                let mut header = [0; MAX_HEADER];
                let len = encode_header(flags, body_len, &mut header);
                out[..MAX_HEADER].copy_from_slice(&header);
                len
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: Flags, header_len: usize, body_len: u64) -> HeaderParse {
        HeaderParse::Header { flags, header_len, body_len }
    }

    /// Body length, flags, and the header on the wire.
    const V2: &[(u64, Flags, &[u8])] = &[
        (0, Flags::NONE, &[0x00, 0x00]),
        (1, Flags::MORE, &[0x01, 0x01]),
        (255, Flags::COMMAND, &[0x04, 0xff]),
        (256, Flags::NONE, &[0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x00]),
        (256, Flags(0x05), &[0x07, 0, 0, 0, 0, 0, 0, 0x01, 0x00]),
        (u64::MAX, Flags::MORE, &[0x03, 255, 255, 255, 255, 255, 255, 255, 255]),
    ];

    const V1: &[(u64, Flags, &[u8])] = &[
        (0, Flags::NONE, &[0x01, 0x00]),
        (1, Flags::MORE, &[0x02, 0x01]),
        (253, Flags::NONE, &[0xfe, 0x00]),
        (254, Flags::NONE, &[0xff, 0, 0, 0, 0, 0, 0, 0x00, 0xff, 0x00]),
        (255, Flags::MORE, &[0xff, 0, 0, 0, 0, 0, 0, 0x01, 0x00, 0x01]),
        (u64::MAX - 1, Flags::NONE, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 0]),
    ];

    #[test]
    fn headers_both_ways_and_cut_short() {
        for (framing, rows) in [(Framing::V2, V2), (Framing::V1, V1)] {
            for &(body_len, flags, wire) in rows {
                let mut out = [0xee; MAX_HEADER_ANY];
                let len = framing.encode_header(flags, body_len, &mut out);
                assert_eq!(&out[..len], wire);

                let flags = if len == MAX_HEADER { flags | Flags::LONG } else { flags };
                let expected = header(flags, len, body_len);
                let long_buffer = [wire, &[0x55; 16]].concat();
                assert_eq!(framing.parse_header(wire), Ok(expected));
                assert_eq!(framing.parse_header(&long_buffer), Ok(expected));
                for cut in 0..len {
                    assert_eq!(framing.parse_header(&wire[..cut]), Ok(HeaderParse::Incomplete));
                }
            }
        }
    }

    #[test]
    fn unknown_bits_are_dropped() {
        let buffer = [0xf9, 0x03, 0, 0, 0, 0, 0, 0, 0, 0];
        for len in 2..buffer.len() {
            assert_eq!(parse_header(&buffer[..len]), header(Flags::MORE, 2, 3));
        }
        assert_eq!(parse_header_v1(&[0x04, 0xff]), Ok(header(Flags::MORE, 2, 3)));
    }

    #[test]
    fn the_long_flag_follows_from_the_length() {
        let mut out = [0; MAX_HEADER];
        assert_eq!(encode_header(Flags::LONG, 3, &mut out), 2);
        assert_eq!(out[0], 0);
    }

    #[test]
    fn a_long_length_may_be_small() {
        assert_eq!(parse_header(&[2, 0, 0, 0, 0, 0, 0, 0, 5]), header(Flags::LONG, 9, 5));
        let long_v1 = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(parse_header_v1(&long_v1), Ok(header(Flags::NONE, 10, 0)));
    }

    #[test]
    fn version_1_needs_room_for_the_flags() {
        assert_eq!(parse_header_v1(&[0]), Err(Error::PROTO));
        assert_eq!(parse_header_v1(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Error::PROTO));
    }

    #[test]
    fn sizes() {
        let largest = MAX_SIZE as u64;
        for (body_len, max, expected) in [
            (0, 0, Ok(0)),
            (1, 0, Err(Error::MSGSIZE)),
            (10, 10, Ok(10)),
            (11, 10, Err(Error::MSGSIZE)),
            (11, -1, Ok(11)),
            (11, i64::MIN, Ok(11)),
            (largest, -1, Ok(largest as usize)),
            (largest + 1, -1, Err(Error::MSGSIZE)),
            (u64::MAX, i64::MAX, Err(Error::MSGSIZE)),
        ] {
            assert_eq!(check_size(body_len, max), expected, "{body_len} {max}");
        }
    }
}
