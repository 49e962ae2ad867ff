// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How the peer's bytes become frames of the pipe, in two stages: the *framing* of the connection
//! tells where a frame begins and ends, and the frame is *opened* if the security mechanism says so
//! ([`Open`]), in place.
//!
//! Without the one, and with the framing of the pipe itself, frames stay as they came in.

use super::datagram::Inbound;
use crate::msg::GROUP_MAX;
use crate::pipe::rope::{COMMAND, MORE};
use crate::zmtp::Open;
use crate::zmtp::zws::Side;

/// How frames are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deframing {
    /// ZMTP 2.0 and later: the bytes are read straight into the pipe.
    Zmtp,
    /// ZMTP 1.0.
    Legacy,
    /// Messages of WebSocket, to this side.
    WebSocket(Side),
    /// Not at all: every read is a message part of its own (STREAM).
    Raw,
    /// Each datagram is a message.
    Datagrams(Inbound),
}

/// The way in of one connection.
pub struct Decoder {
    pub framing: Deframing,
    /// With [`Deframing::Zmtp`] and [`Deframing::WebSocket`] only.
    pub open: Option<Box<dyn Open>>,
    /// Frames with the flag of a command are commands; without it they are nothing, and dropped.
    pub commands: bool,
}

impl Decoder {
    pub fn new(framing: Deframing) -> Decoder {
        Decoder { framing, open: None, commands: true }
    }

    /// The same for peers that know no commands (ZMTP 2.0).
    pub fn without_commands(self) -> Decoder {
        Decoder { commands: false, ..self }
    }

    /// The same for frames that have to be opened.
    pub fn opened(self, open: Box<dyn Open>) -> Decoder {
        Decoder { open: Some(open), ..self }
    }
}

/// The rule for what may reach a REQ socket (RFC 28): `[request id MORE]? empty MORE, body…`.
/// Anything else is a breach of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyFilter {
    #[default]
    Begin,
    AfterId,
    Body,
}

impl ReplyFilter {
    /// The state after this frame; `None`: it must not come here.
    pub fn next(self, flags: u8, length: usize) -> Option<ReplyFilter> {
        if flags & COMMAND != 0 {
            return Some(self);
        }
        let more = flags & MORE != 0;
        match self {
            ReplyFilter::Begin if more && length == 0 => Some(ReplyFilter::Body),
            ReplyFilter::Begin if more && length == 4 => Some(ReplyFilter::AfterId),
            ReplyFilter::AfterId if more && length == 0 => Some(ReplyFilter::Body),
            ReplyFilter::Body if more => Some(ReplyFilter::Body),
            ReplyFilter::Body => Some(ReplyFilter::Begin),
            _ => None,
        }
    }
}

/// The rule for what may reach a DISH socket (RFC 48): a group of at most 255 bytes, and a body.
/// Anything else is a breach of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupFilter {
    #[default]
    Group,
    Body,
}

impl GroupFilter {
    /// The state after this frame; `None`: it must not come here.
    pub fn next(self, flags: u8, length: usize) -> Option<GroupFilter> {
        if flags & COMMAND != 0 {
            return Some(self);
        }
        match (self, flags & MORE != 0) {
            (GroupFilter::Group, true) if length <= GROUP_MAX => Some(GroupFilter::Body),
            (GroupFilter::Body, false) => Some(GroupFilter::Group),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        let run = |frames: &[(u8, usize)]| {
            frames
                .iter()
                .try_fold(GroupFilter::Group, |state, (flags, length)| state.next(*flags, *length))
        };
        assert_eq!(run(&[(MORE, 2), (0, 5)]), Some(GroupFilter::Group));
        assert_eq!(run(&[(MORE, 0), (COMMAND, 5), (0, 0)]), Some(GroupFilter::Group));
        assert_eq!(run(&[(MORE, 255)]), Some(GroupFilter::Body));
        assert_eq!(run(&[(MORE, 256)]), None);
        assert_eq!(run(&[(0, 2)]), None);
        assert_eq!(run(&[(MORE, 2), (MORE, 2)]), None);
    }

    #[test]
    fn replies() {
        let run = |frames: &[(u8, usize)]| {
            frames
                .iter()
                .try_fold(ReplyFilter::Begin, |state, (flags, length)| state.next(*flags, *length))
        };
        assert_eq!(run(&[(MORE, 0), (0, 5)]), Some(ReplyFilter::Begin));
        assert_eq!(run(&[(MORE, 4), (MORE, 0), (MORE, 0), (0, 0)]), Some(ReplyFilter::Begin));
        assert_eq!(run(&[(COMMAND, 9), (MORE, 0)]), Some(ReplyFilter::Body));
        assert_eq!(run(&[(0, 0)]), None);
        assert_eq!(run(&[(MORE, 5)]), None);
        assert_eq!(run(&[(MORE, 4), (0, 0)]), None);
    }
}
