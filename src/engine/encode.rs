// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How frames of the pipe become bytes for the peer.

use crate::msg::Msg;
use crate::pipe::rope::{COMMAND, MORE};
use crate::zmtp::command::SubscriptionHead;
use crate::zmtp::{Version, frame};

/// The framing of the peer's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoder {
    /// The pipe's bytes as they lie: ZMTP 2.0 and later.
    Plain,
    /// Frame by frame for a peer of this version: ZMTP 1.0, and earlier than 3.1 where
    /// subscriptions flow.
    Framed(Version),
    /// Bodies only (STREAM).
    Raw,
}

impl Encoder {
    pub fn is_plain(self) -> bool {
        self == Encoder::Plain
    }

    /// Appends one frame of the pipe.
    pub fn frame(self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        let version = match self {
            Encoder::Raw => {
                out.extend_from_slice(body);
                return;
            }
            Encoder::Plain => Version::V3_1,
            Encoder::Framed(version) => version,
        };
        if flags & COMMAND != 0 {
            if let Some((head, topic)) = SubscriptionHead::transcode(body, version) {
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(topic);
            }
            return;
        }
        let mut header = [0; frame::MAX_HEADER_ANY];
        let flags = frame::Flags::from_byte(flags & MORE);
        let length = version.framing().encode_header(flags, body.len() as u64, &mut header);
        out.extend_from_slice(&header[..length]);
        out.extend_from_slice(body);
    }

    /// Appends a message that does not lie in the pipe.
    pub fn message(self, message: &Msg, out: &mut Vec<u8>) {
        self.frame(if message.more() { MORE } else { 0 }, message.data(), out);
    }
}
