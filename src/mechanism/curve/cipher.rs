// SPDX-License-Identifier: MPL-2.0
//! Traffic: every frame, commands too, becomes the body of a MESSAGE command.
//!
//! ```text
//! 0      07 'MESSAGE'
//! 8      counter, big-endian: the end of the nonce
//! 16     tag
//! 32     flags                  (1 more, 2 command)   sealed
//! 33     body                                         sealed
//! ```
//!
//! The counter goes up by one with every command that a side sends, from HELLO on or from READY
//! on. One that is not above the last seen is a replay.
//!
//! RFC 26 (MESSAGE Command).

#![forbid(unsafe_code)]

use super::sodium::{PREFIX, ROOM, Secret, Tag, TrafficKey};
use super::{check_structure, split};
use crate::zmtp::cipher::{Halves, Open, Opened, Seal};
use crate::zmtp::{Flags, ProtocolError};

const MESSAGE: &[u8; 8] = b"\x07MESSAGE";
const FROM_CLIENT: &[u8; PREFIX] = b"CurveZMQMESSAGEC";
const FROM_SERVER: &[u8; PREFIX] = b"CurveZMQMESSAGES";
/// Name, counter, tag: as long as the room that sealing needs.
const HEAD: usize = 32;
const MORE: u8 = 1;
const COMMAND: u8 = 2;
/// Bodies longer than this are sealed from where they lie, without a copy; shorter ones cost less
/// in one piece. With the head and the flags these are whole blocks.
const COPIED: usize = 1024 - HEAD - 1;

const _: () = assert!(HEAD == ROOM);

/// A side of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Client,
    Server,
}

/// The traffic of `side`. `sent` and `received` are the last counters used in the handshake.
pub(super) fn cipher(side: Side, key: &Secret, sent: u64, received: u64) -> Halves {
    let (out, into) = match side {
        Side::Client => (FROM_CLIENT, FROM_SERVER),
        Side::Server => (FROM_SERVER, FROM_CLIENT),
    };
    Halves {
        seal: Box::new(Sealing { key: TrafficKey::new(key, out), sent }),
        open: Box::new(Opening { key: TrafficKey::new(key, into), received }),
    }
}

struct Sealing {
    key: TrafficKey,
    sent: u64,
}

impl Seal for Sealing {
    fn sealed_length(&mut self, _flags: Flags, head: &[u8], body: &[u8]) -> Option<usize> {
        Some(HEAD + 1 + head.len() + body.len())
    }

    fn seal(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        self.sent += 1;
        let start = out.len();
        let mut inner = if flags.more() { MORE } else { 0 };
        if flags.command() {
            inner |= COMMAND;
        }
        out.extend_from_slice(&[0; ROOM]);
        out.push(inner);
        out.extend_from_slice(head);
        let copied = if head.len() + body.len() > COPIED {
            COPIED.saturating_sub(head.len()).min(body.len())
        } else {
            body.len()
        };
        let (copied, rest) = body.split_at(copied);
        out.extend_from_slice(copied);
        let tag = self.key.seal(self.sent, out, start, rest);
        let room = &mut out[start..start + HEAD];
        room[..8].copy_from_slice(MESSAGE);
        room[8..16].copy_from_slice(&self.sent.to_be_bytes());
        room[16..].copy_from_slice(&tag);
    }
}

struct Opening {
    key: TrafficKey,
    received: u64,
}

impl Open for Opening {
    fn open(&mut self, sealed: &mut [u8]) -> Result<Opened, ProtocolError> {
        check_structure(sealed)?;
        if !sealed.starts_with(MESSAGE) {
            return Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
        }
        let malformed = ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE;
        if sealed.len() <= HEAD {
            return Err(malformed);
        }
        let mut rest = &sealed[MESSAGE.len()..];
        let counter = split(&mut rest).map(u64::from_be_bytes).ok_or(malformed)?;
        let tag: Tag = split(&mut rest).ok_or(malformed)?;
        if counter <= self.received {
            return Err(ProtocolError::ZMTP_INVALID_SEQUENCE);
        }
        if !self.key.open(counter, &tag, sealed) {
            return Err(ProtocolError::ZMTP_CRYPTOGRAPHIC);
        }
        self.received = counter;
        let inner = sealed[HEAD];
        let mut flags = Flags::NONE;
        if inner & MORE != 0 {
            flags = flags | Flags::MORE;
        }
        if inner & COMMAND != 0 {
            flags = flags | Flags::COMMAND;
        }
        Ok(Opened { flags, offset: HEAD + 1 })
    }
}
