// SPDX-License-Identifier: MPL-2.0
//! The frames of WebSocket that carry ZMTP.
//!
//! ```text
//! 0      FIN, opcode: 82 binary, 88 close, 89 ping, 8A pong; 02, 00, 80 fragments of a binary
//!        message
//! 1..    mask bit and length of the payload: 7, 7+16 or 7+64 bits, big-endian
//!        the key, four bytes, from a client only
//!        binary, in its first fragment, if that is not empty: flags, 1 more, 2 command
//!        body
//! ```
//!
//! A binary message is one frame of ZMTP. This side sends it in one frame, and takes it in several,
//! as browsers send what is long; control frames may come in between. Those carry no ZMTP and pass
//! by the security mechanism. Everything else is a violation: text, reserved bits, a mask where there
//! should be none or none where there should be one, an empty binary message, a long or fragmented
//! control frame. RFC 45, RFC 6455.

#![forbid(unsafe_code)]

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{Mask, MaskKeys, Side};
use crate::errno::{Error, Result};
use crate::zmtp::Flags;

/// The longest header, the flags byte included.
pub const MAX_HEADER: usize = 15;

/// The longest payload of a control frame.
pub const MAX_CONTROL: usize = 125;

const MORE: u8 = 1;
const COMMAND: u8 = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole message: a frame of ZMTP with these flags.
    Zmtp(Flags),
    /// A part of a message, whose flags are the first byte of its first part that has any.
    Fragment {
        first: bool,
        last: bool,
    },
    Ping,
    Pong,
    Close,
}

/// The start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    /// Bytes ahead of the body, a whole message's flags byte included.
    pub header_len: usize,
    /// The peer's claim, except for control frames, which are short.
    pub body_len: u64,
    /// Of the body.
    pub mask: Option<Mask>,
}

/// Reads the start of a frame that has come to this side; `None`: it goes on beyond these bytes.
///
/// # Errors
/// EPROTO for a violation.
#[inline]
pub fn parse(bytes: &[u8], side: Side) -> Result<Option<Head>> {
    match parse_short(bytes, side) {
        Some(head) => Ok(Some(head)),
        None => parse_any(bytes, side),
    }
}

/// Most frames are short messages, and there are millions of them a second: these are told by
/// their first bytes.
#[inline]
fn parse_short(bytes: &[u8], side: Side) -> Option<Head> {
    let (length, flags, header_len, mask) = match (side, bytes) {
        (Side::Client, &[0x82, length @ 1..=125, flags, ..]) => (length, flags, 3, None),
        (Side::Server, &[0x82, length @ 0x81..=0xfd, a, b, c, d, flags, ..]) => {
            (length & 0x7f, flags ^ a, 7, Some(Mask::new([b, c, d, a])))
        }
        _ => return None,
    };
    let kind = Kind::Zmtp(zmtp_flags(flags));
    Some(Head { kind, header_len, body_len: u64::from(length) - 1, mask })
}

fn parse_any(bytes: &[u8], side: Side) -> Result<Option<Head>> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, payload_len)) = FrameHeader::parse(&mut cursor).map_err(|_| Error::PROTO)?
    else {
        return Ok(None);
    };
    let FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask } = header;
    if rsv1 || rsv2 || rsv3 || mask.is_some() != (side == Side::Server) {
        return Err(Error::PROTO);
    }
    let mask = mask.map(Mask::new);
    let header_len = usize::try_from(cursor.position()).map_err(|_| Error::PROTO)?;
    let kind = match opcode {
        OpCode::Data(Data::Binary) if is_final => {
            let body_len = payload_len.checked_sub(1).ok_or(Error::PROTO)?;
            let Some(&flags) = bytes.get(header_len) else { return Ok(None) };
            let flags = flags ^ mask.map_or(0, |mask| mask.key()[0]);
            return Ok(Some(Head {
                kind: Kind::Zmtp(zmtp_flags(flags)),
                header_len: header_len + 1,
                body_len,
                mask: mask.map(|mask| mask.after(1)),
            }));
        }
        OpCode::Data(data @ (Data::Binary | Data::Continue)) => {
            let kind = Kind::Fragment { first: data == Data::Binary, last: is_final };
            return Ok(Some(Head { kind, header_len, body_len: payload_len, mask }));
        }
        _ if !is_final => return Err(Error::PROTO),
        OpCode::Control(Control::Ping) => Kind::Ping,
        OpCode::Control(Control::Pong) => Kind::Pong,
        OpCode::Control(Control::Close) => Kind::Close,
        _ => return Err(Error::PROTO),
    };
    if payload_len > MAX_CONTROL as u64 {
        return Err(Error::PROTO);
    }
    Ok(Some(Head { kind, header_len, body_len: payload_len, mask }))
}

/// What the flags byte of a message says; bits without a meaning are dropped.
pub fn zmtp_flags(byte: u8) -> Flags {
    let more = if byte & MORE != 0 { Flags::MORE } else { Flags::NONE };
    let command = if byte & COMMAND != 0 { Flags::COMMAND } else { Flags::NONE };
    more | command
}

/// How control frames travel inside the library: as commands of these names.
const COMMANDS: [(Kind, &[u8]); 3] =
    [(Kind::Ping, b"\x04PING"), (Kind::Pong, b"\x04PONG"), (Kind::Close, b"\x05CLOSE")];

/// The control frame that this command of the library's stands for, and its payload. A heartbeat's
/// PING has none: what ZMTP's says of time-outs has no place in WebSocket's.
pub fn control_of(command: &[u8]) -> Option<(Kind, &[u8])> {
    COMMANDS.iter().find_map(|&(kind, name)| {
        let payload = command.strip_prefix(name)?;
        Some((kind, if kind == Kind::Ping { b"" } else { payload }))
    })
}

/// Appends the command frame, as ZMTP 3.x has them, that stands for a control frame.
pub fn put_control_command(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let Some(&(_, name)) = COMMANDS.iter().find(|(known, _)| *known == kind) else { return };
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    let mut header = [0; crate::zmtp::frame::MAX_HEADER];
    let length = (name.len() + payload.len()) as u64;
    let header_len = crate::zmtp::frame::encode_header(Flags::COMMAND, length, &mut header);
    for part in [&header[..header_len], name, payload] {
        out.extend_from_slice(part);
    }
}

/// Writes frames of one side.
#[derive(Clone, Debug)]
pub struct Framer {
    /// Of a client.
    keys: Option<MaskKeys>,
    closed: bool,
}

impl Framer {
    pub fn new(side: Side) -> Framer {
        Framer { keys: (side == Side::Client).then(MaskKeys::random), closed: false }
    }

    #[cfg(test)]
    pub fn fixed(key: [u8; 4]) -> Framer {
        Framer { keys: Some(MaskKeys::fixed(key)), closed: false }
    }

    /// Whether bodies have to be masked.
    pub fn masks(&self) -> bool {
        self.keys.is_some()
    }

    /// A CLOSE was written: nothing may follow it.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Appends what goes ahead of the body of a ZMTP frame; the body goes out under the mask that
    /// is returned.
    pub fn head(&mut self, flags: Flags, body_len: usize, out: &mut Vec<u8>) -> Option<Mask> {
        let mask = self.header(OpCode::Data(Data::Binary), body_len as u64 + 1, out);
        let more = if flags.more() { MORE } else { 0 };
        let command = if flags.command() { COMMAND } else { 0 };
        out.push((more | command) ^ mask.map_or(0, |mask| mask.key()[0]));
        mask.map(|mask| mask.after(1))
    }

    /// Appends a ZMTP frame.
    pub fn frame(&mut self, flags: Flags, body: &[u8], out: &mut Vec<u8>) {
        match self.head(flags, body.len(), out) {
            Some(mask) => mask.append(body, out),
            None => out.extend_from_slice(body),
        }
    }

    /// Appends a control frame; a payload that is too long is cut. Nothing for ZMTP, and nothing
    /// behind a CLOSE.
    pub fn control(&mut self, kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
        let control = match kind {
            Kind::Ping => Control::Ping,
            Kind::Pong => Control::Pong,
            Kind::Close => Control::Close,
            Kind::Zmtp(_) | Kind::Fragment { .. } => return,
        };
        if self.closed {
            return;
        }
        self.closed = kind == Kind::Close;
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        match self.header(OpCode::Control(control), payload.len() as u64, out) {
            Some(mask) => mask.append(payload, out),
            None => out.extend_from_slice(payload),
        }
    }

    fn header(&mut self, opcode: OpCode, payload_len: u64, out: &mut Vec<u8>) -> Option<Mask> {
        let mask = self.keys.as_mut().map(MaskKeys::next_mask);
        let header = FrameHeader { opcode, mask: mask.map(Mask::key), ..FrameHeader::default() };
        // Writing into memory does not fail.
        let written = header.format(payload_len, out);
        debug_assert!(written.is_ok());
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x10, 0x20, 0x30, 0x40];

    fn head(kind: Kind, header_len: usize, body_len: u64, mask: Option<[u8; 4]>) -> Head {
        Head { kind, header_len, body_len, mask: mask.map(Mask::new) }
    }

    #[test]
    fn frames_of_a_server_byte_by_byte() {
        let long = [7; 70_000];
        let rows: &[(Flags, usize, &[u8])] = &[
            (Flags::NONE, 0, &[0x82, 1, 0]),
            (Flags::MORE, 5, &[0x82, 6, 1]),
            (Flags::COMMAND, 124, &[0x82, 125, 2]),
            (Flags::NONE, 125, &[0x82, 126, 0, 126, 0]),
            (Flags::NONE, 0xfffe, &[0x82, 126, 0xff, 0xff, 0]),
            (Flags::NONE, 0xffff, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
            (Flags::MORE, 70_000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x71, 1]),
        ];
        for &(flags, length, header) in rows {
            let mut out = Vec::new();
            Framer::new(Side::Server).frame(flags, &long[..length], &mut out);
            assert_eq!(out, [header, &long[..length]].concat());
            let expected = head(Kind::Zmtp(flags), header.len(), length as u64, None);
            assert_eq!(parse(&out, Side::Client), Ok(Some(expected)));
            for end in 0..header.len() {
                assert_eq!(parse(&out[..end], Side::Client), Ok(None), "{length} {end}");
            }
            assert_eq!(parse(&out, Side::Server), Err(Error::PROTO));
        }
    }

    #[test]
    fn frames_of_a_client_byte_by_byte() {
        let mut out = Vec::new();
        let mut framer = Framer::fixed(KEY);
        framer.frame(Flags::MORE, b"abc", &mut out);
        assert_eq!(
            out,
            [0x82, 0x84, 0x10, 0x20, 0x30, 0x40, 0x11, b'a' ^ 0x20, b'b' ^ 0x30, b'c' ^ 0x40]
        );
        let mask = [0x20, 0x30, 0x40, 0x10];
        let expected = head(Kind::Zmtp(Flags::MORE), 7, 3, Some(mask));
        assert_eq!(parse(&out, Side::Server), Ok(Some(expected)));
        for end in 0..7 {
            assert_eq!(parse(&out[..end], Side::Server), Ok(None));
        }
        assert_eq!(parse(&out, Side::Client), Err(Error::PROTO));

        for (length, header_len) in [(124, 7), (125, 9), (0xfffe, 9), (0xffff, 15)] {
            let mut out = Vec::new();
            let body = vec![7; length];
            framer.frame(Flags::NONE, &body, &mut out);
            let expected = head(Kind::Zmtp(Flags::NONE), header_len, length as u64, Some(mask));
            assert_eq!(parse(&out, Side::Server), Ok(Some(expected)));
            Mask::new(mask).apply(&mut out[header_len..]);
            assert_eq!(out[header_len..], body);
        }
    }

    #[test]
    fn short_frames_are_frames_like_others() {
        for first in 0..=255 {
            for second in 0..=255 {
                let bytes = [first, second, 5, 6, 7, 8, 9, 10];
                for side in [Side::Client, Side::Server] {
                    if let Some(head) = parse_short(&bytes, side) {
                        assert_eq!(parse_any(&bytes, side), Ok(Some(head)), "{first} {second}");
                    }
                }
            }
        }
        assert!(parse_short(&[0x82, 1, 0], Side::Client).is_some());
        assert!(parse_short(&[0x82, 0x81, 0, 0, 0, 0, 0], Side::Server).is_some());
    }

    #[test]
    fn control_frames() {
        for (kind, first) in [(Kind::Ping, 0x89), (Kind::Pong, 0x8a), (Kind::Close, 0x88)] {
            let mut out = Vec::new();
            Framer::new(Side::Server).control(kind, b"xy", &mut out);
            assert_eq!(out, [first, 2, b'x', b'y']);
            assert_eq!(parse(&out, Side::Client), Ok(Some(head(kind, 2, 2, None))));
            out.clear();
            Framer::fixed(KEY).control(kind, b"", &mut out);
            assert_eq!(out, [first, 0x80, 0x10, 0x20, 0x30, 0x40]);
            assert_eq!(parse(&out, Side::Server), Ok(Some(head(kind, 6, 0, Some(KEY)))));
            out.clear();
            Framer::new(Side::Server).control(kind, &[1; 200], &mut out);
            assert_eq!(out.len(), 2 + MAX_CONTROL);
        }
        let mut out = Vec::new();
        Framer::new(Side::Server).control(Kind::Zmtp(Flags::NONE), b"xy", &mut out);
        assert_eq!(out, b"");
    }

    #[test]
    fn control_frames_as_commands() {
        let mut out = Vec::new();
        put_control_command(Kind::Pong, b"xy", &mut out);
        put_control_command(Kind::Close, &[3, 0xe8], &mut out);
        put_control_command(Kind::Zmtp(Flags::NONE), b"", &mut out);
        assert_eq!(out, b"\x04\x07\x04PONGxy\x04\x08\x05CLOSE\x03\xe8");
        assert_eq!(control_of(&out[2..9]), Some((Kind::Pong, &b"xy"[..])));
        assert_eq!(control_of(&out[11..]), Some((Kind::Close, &[3, 0xe8][..])));
        assert_eq!(control_of(b"\x04PING\x01\x02abc"), Some((Kind::Ping, &b""[..])));
        assert_eq!(control_of(b"\x09SUBSCRIBE"), None);
        out.clear();
        put_control_command(Kind::Pong, &[7; 200], &mut out);
        assert_eq!(control_of(&out[2..]), Some((Kind::Pong, &[7; MAX_CONTROL][..])));
    }

    #[test]
    fn violations() {
        for (what, bytes) in [
            ("text", &[0x81, 1, 0][..]),
            ("a fragment of text", &[0x01, 1, 0]),
            ("reserved bit 1", &[0xc2, 1, 0]),
            ("reserved bit 2", &[0xa2, 1, 0]),
            ("reserved bit 3", &[0x92, 1, 0]),
            ("opcode 3", &[0x83, 1, 0]),
            ("opcode 11", &[0x8b, 0]),
            ("an empty message", &[0x82, 0]),
            ("a mask from the server", &[0x82, 0x81, 1, 2, 3, 4, 0]),
            ("a long ping", &[0x89, 126, 0, 126]),
            ("a fragmented ping", &[0x09, 0]),
            ("a very long close", &[0x88, 127, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            assert_eq!(parse(bytes, Side::Client), Err(Error::PROTO), "{what}");
        }
        // The greatest length is a claim like any other.
        let longest = [0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        let expected = head(Kind::Zmtp(Flags::NONE), 11, u64::MAX - 1, None);
        assert_eq!(parse(&longest, Side::Client), Ok(Some(expected)));
    }

    #[test]
    fn fragments() {
        for (bytes, first, last) in [
            ([0x02, 3], true, false),
            ([0x00, 3], false, false),
            ([0x80, 3], false, true),
            ([0x00, 0], false, false),
        ] {
            let expected = head(Kind::Fragment { first, last }, 2, u64::from(bytes[1]), None);
            assert_eq!(parse(&bytes, Side::Client), Ok(Some(expected)));
        }
        let expected = head(Kind::Fragment { first: true, last: false }, 6, 3, Some([1, 2, 3, 4]));
        assert_eq!(parse(&[0x02, 0x83, 1, 2, 3, 4], Side::Server), Ok(Some(expected)));
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut framer = Framer::new(Side::Server);
        let mut out = Vec::new();
        framer.control(Kind::Ping, b"", &mut out);
        assert!(!framer.is_closed());
        framer.control(Kind::Close, &[3, 0xe8], &mut out);
        assert!(framer.is_closed());
        framer.control(Kind::Close, &[3, 0xea], &mut out);
        framer.control(Kind::Pong, b"", &mut out);
        assert_eq!(out, b"\x89\0\x88\x02\x03\xe8");
    }

    #[test]
    fn unknown_flags_are_dropped() {
        let kind = |flags| parse(&[0x82, 1, flags], Side::Client).unwrap().unwrap().kind;
        assert_eq!(kind(0xfc), Kind::Zmtp(Flags::NONE));
        assert_eq!(kind(0xff), Kind::Zmtp(Flags::MORE | Flags::COMMAND));
    }
}
