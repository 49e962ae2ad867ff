// SPDX-License-Identifier: MPL-2.0
//! Commands in traffic, and subscriptions for peers of every version.
//!
//! The body of a command frame is a name, its length ahead of it, then data. Inside the library a
//! subscription is always the command frame of ZMTP 3.1: [`Flags::COMMAND`], body
//! `\x09SUBSCRIBE` or `\x06CANCEL` and the topic. Peers up to 3.0 get a message frame instead,
//! `01` or `00` and the topic: see [`Subscription::head`].
//!
//! RFC 37 (commands, heartbeats), RFC 23 and 29 (subscriptions), RFC 48 (JOIN and LEAVE).

#![forbid(unsafe_code)]

use super::frame::{Flags, MAX_HEADER, encode_header};
use super::greeting::Version;

const PING: &[u8] = b"\x04PING";
const PONG: &[u8] = b"\x04PONG";
const SUBSCRIBE: &[u8] = b"\x09SUBSCRIBE";
const CANCEL: &[u8] = b"\x06CANCEL";
const JOIN: &[u8] = b"\x04JOIN";
const LEAVE: &[u8] = b"\x05LEAVE";

/// What a PING may carry to be sent back in its PONG.
pub const MAX_PING_CONTEXT: usize = 16;

/// A command in traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The peer wants a PONG with `context`, and closes here after this time without traffic.
    Ping {
        ttl_deciseconds: u16,
        context: &'a [u8],
    },
    Pong {
        context: &'a [u8],
    },
    Subscribe(&'a [u8]),
    Cancel(&'a [u8]),
    /// To a group, of any length here.
    Join(&'a [u8]),
    Leave(&'a [u8]),
    /// Unknown or malformed: to be ignored.
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads the body of a command frame. A context longer than [`MAX_PING_CONTEXT`] is cut.
    pub fn parse(body: &'a [u8]) -> Command<'a> {
        if let Some(topic) = body.strip_prefix(SUBSCRIBE) {
            Command::Subscribe(topic)
        } else if let Some(topic) = body.strip_prefix(CANCEL) {
            Command::Cancel(topic)
        } else if let Some(data) = body.strip_prefix(PING) {
            // A PING too short for its TTL has no context either.
            match *data {
                [high, low, ref context @ ..] => Command::Ping {
                    ttl_deciseconds: u16::from_be_bytes([high, low]),
                    context: cut_context(context),
                },
                _ => Command::Unknown,
            }
        } else if let Some(context) = body.strip_prefix(PONG) {
            Command::Pong { context: cut_context(context) }
        } else if let Some(group) = body.strip_prefix(JOIN) {
            Command::Join(group)
        } else if let Some(group) = body.strip_prefix(LEAVE) {
            Command::Leave(group)
        } else {
            Command::Unknown
        }
    }

    /// Reads a message frame's body as peers up to ZMTP 3.0 send subscriptions. Also what the
    /// application passes to `zmq_send` of an XSUB socket.
    pub fn from_message(body: &'a [u8]) -> Option<Command<'a>> {
        match *body {
            [1, ref topic @ ..] => Some(Command::Subscribe(topic)),
            [0, ref topic @ ..] => Some(Command::Cancel(topic)),
            _ => None,
        }
    }

    /// Appends the whole frame of ZMTP 3.x; nothing for [`Command::Unknown`].
    pub fn encode_frame(self, out: &mut Vec<u8>) {
        let (name, ttl, data) = self.parts();
        if name.is_empty() {
            return;
        }
        let ttl = ttl.map(u16::to_be_bytes);
        let ttl: &[u8] = ttl.as_ref().map_or(&[], |ttl| ttl);
        let mut header = [0; MAX_HEADER];
        let body_len = name.len() + ttl.len() + data.len();
        let header_len = encode_header(Flags::COMMAND, body_len as u64, &mut header);
        out.reserve(header_len + body_len);
        for part in [&header[..header_len], name, ttl, data] {
            out.extend_from_slice(part);
        }
    }

    /// Appends the body alone, for a mechanism that wraps it.
    pub fn encode_body(self, out: &mut Vec<u8>) {
        let (name, ttl, data) = self.parts();
        out.extend_from_slice(name);
        if let Some(ttl) = ttl {
            out.extend_from_slice(&ttl.to_be_bytes());
        }
        out.extend_from_slice(data);
    }

    /// Name, TTL, data.
    fn parts(self) -> (&'static [u8], Option<u16>, &'a [u8]) {
        match self {
            Command::Ping { ttl_deciseconds, context } => {
                (PING, Some(ttl_deciseconds), cut_context(context))
            }
            Command::Pong { context } => (PONG, None, cut_context(context)),
            Command::Subscribe(topic) => (SUBSCRIBE, None, topic),
            Command::Cancel(topic) => (CANCEL, None, topic),
            Command::Join(group) => (JOIN, None, group),
            Command::Leave(group) => (LEAVE, None, group),
            Command::Unknown => (b"", None, b""),
        }
    }
}

/// The TTL of a PING in milliseconds.
pub const fn ttl_ms(ttl_deciseconds: u16) -> u32 {
    ttl_deciseconds as u32 * 100
}

fn cut_context(context: &[u8]) -> &[u8] {
    context.get(..MAX_PING_CONTEXT).unwrap_or(context)
}

/// The two kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    Subscribe,
    Cancel,
}

impl Subscription {
    /// Reads the body of a command frame in its form inside the library: the kind and the topic.
    pub fn parse(body: &[u8]) -> Option<(Subscription, &[u8])> {
        match Command::parse(body) {
            Command::Subscribe(topic) => Some((Subscription::Subscribe, topic)),
            Command::Cancel(topic) => Some((Subscription::Cancel, topic)),
            _ => None,
        }
    }

    /// How a peer of this version gets it: the flags of the frame, and what comes ahead of the
    /// topic in its body. That for [`Version::V3_1`] is the form inside the library.
    pub const fn head(self, version: Version) -> (Flags, &'static [u8]) {
        match (version, self) {
            (Version::V3_1, Subscription::Subscribe) => (Flags::COMMAND, SUBSCRIBE),
            (Version::V3_1, Subscription::Cancel) => (Flags::COMMAND, CANCEL),
            (_, Subscription::Subscribe) => (Flags::NONE, &[1]),
            (_, Subscription::Cancel) => (Flags::NONE, &[0]),
        }
    }
}

/// The frame that stands in for the subscription an unversioned peer never sends: to everything.
pub const EMPTY_SUBSCRIPTION_FRAME: [u8; 12] = *b"\x04\x0a\x09SUBSCRIBE";

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(command: Command<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        command.encode_frame(&mut out);
        out
    }

    #[test]
    fn commands_both_ways() {
        let ping = Command::Ping { ttl_deciseconds: 0x1234, context: b"ctx" };
        let rows: &[(Command<'_>, &[u8])] = &[
            (ping, b"\x04\x0a\x04PING\x12\x34ctx"),
            (Command::Ping { ttl_deciseconds: 0, context: b"" }, b"\x04\x07\x04PING\x00\x00"),
            (Command::Pong { context: b"ctx" }, b"\x04\x08\x04PONGctx"),
            (Command::Pong { context: b"" }, b"\x04\x05\x04PONG"),
            (Command::Subscribe(b"news"), b"\x04\x0e\x09SUBSCRIBEnews"),
            (Command::Subscribe(b""), &EMPTY_SUBSCRIPTION_FRAME),
            (Command::Cancel(b"news"), b"\x04\x0b\x06CANCELnews"),
            (Command::Join(b"group"), b"\x04\x0a\x04JOINgroup"),
            (Command::Leave(b"group"), b"\x04\x0b\x05LEAVEgroup"),
        ];
        for &(command, wire) in rows {
            assert_eq!(frame(command), wire);
            assert_eq!(Command::parse(&wire[2..]), command);
            let mut body = Vec::new();
            command.encode_body(&mut body);
            assert_eq!(body, &wire[2..]);
        }
        assert!(frame(Command::Unknown).is_empty());
    }

    #[test]
    fn unknown_and_malformed_are_ignored() {
        for body in [
            &b""[..],
            b"\x00",
            b"\x04",
            b"\x04PIN",
            b"\x04PING",
            b"\x04PING\x00",
            b"\x05PING\x00\x00",
            b"\x04ping\x00\x00",
            b"\x08SUBSCRIBE",
            b"\x09SUBSCRIB",
            b"\x05READY",
            b"\xffX",
        ] {
            assert_eq!(Command::parse(body), Command::Unknown, "{body:?}");
        }
    }

    #[test]
    fn a_long_context_is_cut() {
        let body = [b"\x04PING\x00\x01".as_slice(), &[7; 40]].concat();
        let ping = Command::Ping { ttl_deciseconds: 1, context: &[7; 16] };
        assert_eq!(Command::parse(&body), ping);
        let pong = frame(Command::Pong { context: &[7; 40] });
        assert_eq!(pong, [b"\x04\x15\x04PONG".as_slice(), &[7; 16]].concat());
    }

    #[test]
    fn ttl_does_not_wrap() {
        for (deciseconds, ms) in [(0, 0), (655, 65_500), (656, 65_600), (u16::MAX, 6_553_500)] {
            assert_eq!(ttl_ms(deciseconds), ms);
        }
    }

    #[test]
    fn subscriptions_for_every_version() {
        use Subscription::{Cancel, Subscribe};
        for (version, kind, flags, head) in [
            (Version::V3_1, Subscribe, Flags::COMMAND, SUBSCRIBE),
            (Version::V3_1, Cancel, Flags::COMMAND, CANCEL),
            (Version::V3_0, Subscribe, Flags::NONE, b"\x01"),
            (Version::V3_0, Cancel, Flags::NONE, b"\x00"),
            (Version::V2_0, Subscribe, Flags::NONE, b"\x01"),
            (Version::V1_0Unversioned, Cancel, Flags::NONE, b"\x00"),
        ] {
            assert_eq!(kind.head(version), (flags, head), "{version:?} {kind:?}");
        }
        assert_eq!(Subscription::parse(b"\x06CANCELnews"), Some((Cancel, &b"news"[..])));
        assert_eq!(Subscription::parse(b"\x04PING\0\0"), None);
    }

    #[test]
    fn subscriptions_in_messages() {
        assert_eq!(Command::from_message(b"\x01news"), Some(Command::Subscribe(b"news")));
        assert_eq!(Command::from_message(b"\x00"), Some(Command::Cancel(b"")));
        for body in [&b""[..], b"\x02news", b"news"] {
            assert_eq!(Command::from_message(body), None);
        }
    }
}
