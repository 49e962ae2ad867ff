// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How the peer's bytes become frames of the pipe.

use crate::pipe::rope::{COMMAND, MORE};

/// The framing of what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoder {
    /// ZMTP 2.0 and later: the bytes are read straight into the pipe.
    Plain,
    /// ZMTP 1.0.
    Legacy,
    /// No framing: every read is a message part of its own (STREAM).
    Raw,
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

#[cfg(test)]
mod tests {
    use super::*;

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
