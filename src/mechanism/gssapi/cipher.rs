// SPDX-License-Identifier: MPL-2.0
//! Traffic: every frame, commands too, becomes the body of a MESSAGE command.
//!
//! ```text
//! 0      07 'MESSAGE'
//! 8      length of the rest, big-endian
//! 12     flags (1 more, 2 command), body        as the context seals them
//! ```
//!
//! libzmq after 4.3.5 says by two flags more that the body is a topic (4 subscribe, 8 cancel);
//! before, it said nothing of it at all, so that its subscriptions are lost. Here they go out as
//! the commands they are in ZMTP 3.1, which every libzmq understands.

#![forbid(unsafe_code)]

use super::{Context, check_structure, token};
use crate::zmtp::cipher::{OPENED_OFFSET, Open, Opened, Seal};
use crate::zmtp::command::Subscription;
use crate::zmtp::{Flags, ProtocolError, Version};

pub(super) const MESSAGE: &[u8] = b"\x07MESSAGE";
/// The name, and the length.
const HEAD: usize = 12;
const MORE: u8 = 1;
const COMMAND: u8 = 2;
const SUBSCRIBE: u8 = 4;
const CANCEL: u8 = 8;

/// Both directions: a context must not be used from two threads at a time.
pub(super) struct Traffic {
    context: Box<dyn Context>,
    /// The frame that is on its way out.
    sealed: Vec<u8>,
}

impl Traffic {
    pub(super) fn new(context: Box<dyn Context>) -> Traffic {
        Traffic { context, sealed: Vec::new() }
    }
}

impl Seal for Traffic {
    /// How much longer the sealed form is depends on the context, so it is made here.
    fn sealed_length(&mut self, flags: Flags, head: &[u8], body: &[u8]) -> Option<usize> {
        let mut inner = if flags.more() { MORE } else { 0 };
        if flags.command() {
            inner |= COMMAND;
        }
        self.sealed = self.context.wrap(&[&[inner], head, body].concat())?;
        let length = self.sealed.len();
        u32::try_from(length).ok().and_then(|_| length.checked_add(HEAD))
    }

    fn seal(&mut self, _flags: Flags, _head: &[u8], _body: &[u8], out: &mut Vec<u8>) {
        let sealed = std::mem::take(&mut self.sealed);
        out.extend_from_slice(MESSAGE);
        // It fits, as was seen before.
        out.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&sealed);
    }
}

impl Open for Traffic {
    fn open(&mut self, sealed: &mut [u8]) -> Result<Opened, ProtocolError> {
        let malformed = ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE;
        let text = unwrap(&mut *self.context, sealed)?;
        let (&inner, body) = text.split_first().ok_or(malformed)?;
        let mut flags = Flags::NONE;
        let mut head = &b""[..];
        if inner & (SUBSCRIBE | CANCEL) != 0 {
            let kind = match inner & SUBSCRIBE {
                0 => Subscription::Cancel,
                _ => Subscription::Subscribe,
            };
            (flags, head) = kind.head(Version::V3_1);
        } else {
            if inner & MORE != 0 {
                flags = flags | Flags::MORE;
            }
            if inner & COMMAND != 0 {
                flags = flags | Flags::COMMAND;
            }
        }
        let offset = sealed.len().checked_sub(head.len() + body.len()).ok_or(malformed)?;
        let (front, place) = sealed.split_at_mut_checked(offset).ok_or(malformed)?;
        let (place_of_head, place_of_body) =
            place.split_at_mut_checked(head.len()).ok_or(malformed)?;
        if front.len() < OPENED_OFFSET {
            return Err(malformed);
        }
        place_of_head.copy_from_slice(head);
        place_of_body.copy_from_slice(body);
        Ok(Opened { flags, offset })
    }
}

/// What is in a MESSAGE command: flags, and the body of a frame.
pub(super) fn unwrap(context: &mut dyn Context, command: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    check_structure(command)?;
    let data = command.strip_prefix(MESSAGE).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
    let sealed = token(data).ok_or(ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE)?;
    context.unwrap(sealed).ok_or(ProtocolError::ZMTP_CRYPTOGRAPHIC)
}
