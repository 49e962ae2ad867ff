// SPDX-License-Identifier: MPL-2.0
//! Option values as they cross the C interface: raw bytes in, raw bytes out.
//!
//! `parse_*` read the value of `zmq_setsockopt`, `answer_*` write that of `zmq_getsockopt` and
//! return its length. `out` is the whole buffer of the caller, so `out.len()` is the capacity they
//! gave. Whatever does not fit the rules is EINVAL, and then `out` is left alone.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use crate::errno::{Error, Result};

/// A value of exactly N bytes.
pub fn parse_array<const N: usize>(value: &[u8]) -> Result<[u8; N]> {
    value.try_into().map_err(|_| Error::INVAL)
}

/// An `int`, in exactly its size.
pub fn parse_int(value: &[u8]) -> Result<i32> {
    parse_array(value).map(i32::from_ne_bytes)
}

/// An `int` within `valid`.
pub fn parse_int_in(value: &[u8], valid: &RangeInclusive<i32>) -> Result<i32> {
    parse_int(value).and_then(|value| valid.contains(&value).then_some(value).ok_or(Error::INVAL))
}

/// An `int` that is 0 or 1.
pub fn parse_flag(value: &[u8]) -> Result<bool> {
    parse_int_in(value, &(0..=1)).map(|value| value != 0)
}

/// An `int` that counts as true unless it is 0; negative ones are refused.
pub fn parse_flag_relaxed(value: &[u8]) -> Result<bool> {
    parse_int_in(value, &(0..=i32::MAX)).map(|value| value != 0)
}

/// The rule of most integers: the buffer has exactly the size of the value.
pub fn answer_exact(out: &mut [u8], value: &[u8]) -> Result<usize> {
    if out.len() != value.len() {
        return Err(Error::INVAL);
    }
    out.copy_from_slice(value);
    Ok(value.len())
}

/// An `int` into a buffer of exactly its size.
pub fn answer_int_exact(out: &mut [u8], value: i32) -> Result<usize> {
    answer_exact(out, &value.to_ne_bytes())
}

/// An `int` into a buffer of its size or more, as RCVMORE, FD, EVENTS, THREAD_SAFE and
/// TOPICS_COUNT are answered.
pub fn answer_int(out: &mut [u8], value: i32) -> Result<usize> {
    answer_bytes(out, &value.to_ne_bytes())
}

/// Bytes into a buffer that may be larger; the rest of it is filled with zeros.
pub fn answer_bytes(out: &mut [u8], value: &[u8]) -> Result<usize> {
    let (head, rest) = out.split_at_mut_checked(value.len()).ok_or(Error::INVAL)?;
    head.copy_from_slice(value);
    rest.fill(0);
    Ok(value.len())
}

/// A string and its terminating NUL, which counts; the rest of the buffer is filled with zeros.
pub fn answer_string(out: &mut [u8], value: &[u8]) -> Result<usize> {
    let (text, rest) = out.split_at_mut_checked(value.len()).ok_or(Error::INVAL)?;
    if rest.is_empty() {
        return Err(Error::INVAL);
    }
    text.copy_from_slice(value);
    rest.fill(0);
    Ok(value.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in() {
        assert_eq!(parse_int(&7i32.to_ne_bytes()), Ok(7));
        for size in [0, 1, 3, 5, 8] {
            assert_eq!(parse_int(&[0; 8][..size]), Err(Error::INVAL), "{size}");
        }
        assert_eq!(parse_int_in(&(-1i32).to_ne_bytes(), &(0..=5)), Err(Error::INVAL));
        assert_eq!(parse_int_in(&5i32.to_ne_bytes(), &(0..=5)), Ok(5));
        assert_eq!(parse_flag(&2i32.to_ne_bytes()), Err(Error::INVAL));
        assert_eq!(parse_flag_relaxed(&2i32.to_ne_bytes()), Ok(true));
        assert_eq!(parse_flag_relaxed(&(-1i32).to_ne_bytes()), Err(Error::INVAL));
    }

    #[test]
    fn larger_buffers_are_filled_with_zeros() {
        let mut out = [0xee; 8];
        assert_eq!(answer_int(&mut out, 1), Ok(4));
        assert_eq!(out, [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer_int(&mut out[..3], 1), Err(Error::INVAL));

        let mut out = [0xee; 8];
        assert_eq!(answer_bytes(&mut out, b"abc"), Ok(3));
        assert_eq!(&out, b"abc\0\0\0\0\0");
        assert_eq!(answer_bytes(&mut out[..2], b"abc"), Err(Error::INVAL));
        assert_eq!(answer_bytes(&mut [], b""), Ok(0));
    }

    #[test]
    fn strings_need_room_for_their_nul() {
        let mut out = [0xee; 6];
        assert_eq!(answer_string(&mut out, b"abc"), Ok(4));
        assert_eq!(&out, b"abc\0\0\0");
        assert_eq!(answer_string(&mut out[..4], b"abc"), Ok(4));
        assert_eq!(answer_string(&mut out[..3], b"abc"), Err(Error::INVAL));
        assert_eq!(answer_string(&mut [], b""), Err(Error::INVAL));
    }

    #[test]
    fn a_refused_buffer_is_left_alone() {
        let mut out = [0xee; 5];
        assert_eq!(answer_int_exact(&mut out, 1), Err(Error::INVAL));
        assert_eq!(answer_string(&mut out, b"12345"), Err(Error::INVAL));
        assert_eq!(out, [0xee; 5]);
    }
}
