// SPDX-License-Identifier: MPL-2.0
//! Frames of WebSocket (RFC 6455, RFC 45): the fuzzer's, and a second decoder.

#![forbid(unsafe_code)]

use crate::input::Input;
use crate::zmtp::{Expected, LONGEST, Step};
use zmq::engine::RxRules;
use zmq::zmtp::zws::Side;

/// A stream of frames to this side.
pub fn frames(input: &mut Input, side: Side) -> Vec<u8> {
    let mut out = Vec::new();
    while !input.is_empty() && out.len() < LONGEST {
        let kind = input.u8();
        // Most frames are as they should be.
        let masked = (side == Side::Server) != (kind & 0x3f == 0x3f);
        match kind >> 6 {
            0 => out.extend_from_slice(input.bytes(usize::from(kind & 0x3f) + 1)),
            1 => {
                let opcode = [0x88, 0x89, 0x8a, 0x81, 0x80, 2, 0xc2, 0x8b][usize::from(kind & 7)];
                let payload = input.chunk();
                put(opcode, masked, payload.len() as u64, payload, kind >> 3, &mut out);
            }
            2 => {
                let payload = input.chunk();
                put(0x82, masked, input.u64() >> (kind & 0x38), payload, kind, &mut out);
            }
            _ => match Step::read(input) {
                Step::Bytes(bytes) => out.extend_from_slice(&bytes),
                Step::Frame { flags, body, claimed, .. } => {
                    let wire = flags & 1 | if flags & 4 != 0 { 2 } else { 0 };
                    let payload = [&[wire], &body[..]].concat();
                    put(0x82, masked, claimed.wrapping_add(1), &payload, kind, &mut out);
                }
            },
        }
    }
    out
}

/// `wide`: a length in more bytes than it needs.
pub fn put(first: u8, masked: bool, length: u64, payload: &[u8], wide: u8, out: &mut Vec<u8>) {
    let bit = if masked { 0x80 } else { 0 };
    out.push(first);
    match length {
        0..=125 if wide & 3 != 3 => out.push(bit | length as u8),
        0..=0xffff if wide & 7 != 7 => {
            out.push(bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(bit | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    let key = if masked { [wide, 0x5a, 0, 0xff] } else { [0; 4] };
    if masked {
        out.extend_from_slice(&key);
    }
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// A frame of WebSocket.
pub struct Message {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// What lies at the start of the bytes.
pub enum Next<'a> {
    Incomplete,
    Violation,
    /// Part of a message, which the second decoder does not put together.
    Fragment,
    /// And what comes after it.
    Message(Message, &'a [u8]),
}

/// Takes one frame that came to this side.
pub fn next<'a>(bytes: &'a [u8], side: Side, rules: &RxRules) -> Next<'a> {
    let [first, second, rest @ ..] = bytes else { return Next::Incomplete };
    let (mut rest, length) = (rest, second & 0x7f);
    let length = match length {
        126 => match rest.split_first_chunk() {
            Some((length, more)) => {
                rest = more;
                u64::from(u16::from_be_bytes(*length))
            }
            None => return Next::Incomplete,
        },
        127 => match rest.split_first_chunk() {
            Some((length, more)) => {
                rest = more;
                u64::from_be_bytes(*length)
            }
            None => return Next::Incomplete,
        },
        short => u64::from(short),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        match rest.split_first_chunk() {
            Some((start, more)) => (key, rest) = (*start, more),
            None => return Next::Incomplete,
        }
    }
    let opcode = first & 0xf;
    if first & 0x70 == 0 && (opcode == 0 || *first == 2) {
        return Next::Fragment;
    }
    let known = matches!(opcode, 2 | 8 | 9 | 10);
    let masked = second & 0x80 != 0;
    if first & 0xf0 != 0x80 || !known || masked != (side == Side::Server) {
        return Next::Violation;
    }
    if opcode == 2 {
        if length == 0 {
            return Next::Violation;
        }
        if rest.is_empty() {
            return Next::Incomplete;
        }
        let body = length - 1;
        if body > i64::MAX as u64 || (rules.max_msg_size >= 0 && body > rules.max_msg_size as u64) {
            return Next::Violation;
        }
    } else if length > 125 {
        return Next::Violation;
    }
    let Some((payload, rest)) = rest.split_at_checked(length as usize) else {
        return Next::Incomplete;
    };
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Next::Message(Message { opcode, payload }, rest)
}

/// What is to come of a stream to this side, and the control frames it is answered with, CLOSE left
/// out. `None`: there are fragments.
pub fn expected(
    mut bytes: &[u8],
    side: Side,
    rules: &RxRules,
) -> Option<(Expected, Vec<(u8, Vec<u8>)>)> {
    let mut expected = Expected::default();
    let mut answers = Vec::new();
    loop {
        match next(bytes, side, rules) {
            Next::Incomplete => break,
            Next::Fragment => return None,
            Next::Violation => {
                expected.failed = true;
                break;
            }
            Next::Message(Message { opcode, payload }, rest) => {
                bytes = rest;
                match opcode {
                    8 => {
                        expected.failed = true;
                        break;
                    }
                    9 => answers.push((10, payload)),
                    10 => {}
                    _ => {
                        let flags = payload[0];
                        let flags = flags & 1 | if flags & 2 != 0 { 4 } else { 0 };
                        if !expected.frame(flags, &payload[1..], rules) {
                            break;
                        }
                    }
                }
            }
        }
    }
    // ZMTP's own heartbeats mean nothing here.
    expected.answers.clear();
    Some((expected, answers))
}

/// The frames of a stream from this side.
pub fn parse_all(mut bytes: &[u8], from: Side) -> Vec<(u8, Vec<u8>)> {
    let to = match from {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    };
    let rules = RxRules { limit: u64::MAX, max_msg_size: -1, ..RxRules::default() };
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        match next(bytes, to, &rules) {
            Next::Message(Message { opcode, payload }, rest) => {
                messages.push((opcode, payload));
                bytes = rest;
            }
            Next::Incomplete => panic!("a frame is not whole"),
            Next::Violation | Next::Fragment => panic!("not a frame"),
        }
    }
    messages
}
