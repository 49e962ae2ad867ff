// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! How frames of the pipe become bytes for the peer, in two stages: a frame is *sealed* if the
//! security mechanism says so ([`Seal`]), and gets the *framing* of the connection.
//!
//! Without the one, and with the framing of the pipe itself, there is nothing to do: the pipe's
//! bytes go out as they lie.

use super::datagram::Outbound;
use crate::msg::Msg;
use crate::pipe::rope::{COMMAND, MORE};
use crate::zmtp::command::Subscription;
use crate::zmtp::frame::{self, Flags};
use crate::zmtp::zws::frame::{Framer, Kind, MAX_HEADER, control_of};
use crate::zmtp::zws::{CloseCode, Mask, Side};
use crate::zmtp::{Seal, Version};

/// What is put around each body.
#[derive(Debug)]
pub enum Framing {
    /// A header of ZMTP.
    Zmtp(frame::Framing),
    /// A message of WebSocket.
    WebSocket(Framer),
    /// Nothing (STREAM).
    Raw,
    /// Nothing: each message is a datagram, which [`Tx`](super::Tx) makes.
    Datagrams(Outbound),
}

impl Framing {
    /// Appends what goes ahead of a body of `length` bytes, which goes out under the mask that is
    /// returned.
    fn head(&mut self, flags: Flags, length: usize, out: &mut Vec<u8>) -> Option<Mask> {
        match self {
            Framing::Raw | Framing::Datagrams(_) => None,
            Framing::Zmtp(framing) => {
                let mut header = [0; frame::MAX_HEADER_ANY];
                let header_length = framing.encode_header(flags, length as u64, &mut header);
                out.extend_from_slice(&header[..header_length]);
                None
            }
            Framing::WebSocket(framer) => framer.head(flags, length, out),
        }
    }

    /// Appends a frame whose body has `length` bytes and is appended by `body`.
    fn put(
        &mut self,
        flags: Flags,
        length: usize,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        out.reserve(MAX_HEADER + length);
        let mask = self.head(flags, length, out);
        let begin = out.len();
        body(out);
        if let Some(mask) = mask {
            mask.apply(&mut out[begin..]);
        }
    }
}

/// The way out of one connection.
pub struct Encoder {
    seal: Option<Box<dyn Seal>>,
    framing: Framing,
    /// In whose form subscriptions go out.
    version: Version,
    as_it_lies: bool,
    /// A frame could not be sealed; nothing may follow it.
    broken: bool,
}

impl Encoder {
    /// The pipe's bytes as they lie: ZMTP 2.0 and later.
    pub fn plain() -> Encoder {
        let framing = Framing::Zmtp(frame::Framing::V2);
        Encoder { seal: None, framing, version: Version::V3_1, as_it_lies: true, broken: false }
    }

    /// Frame by frame for a peer of this version: ZMTP 1.0, and earlier than 3.1 where
    /// subscriptions flow.
    pub fn framed(version: Version) -> Encoder {
        let framing = Framing::Zmtp(version.framing());
        Encoder { framing, version, as_it_lies: false, ..Encoder::plain() }
    }

    /// Bodies only (STREAM).
    pub fn raw() -> Encoder {
        Encoder { framing: Framing::Raw, as_it_lies: false, ..Encoder::plain() }
    }

    /// Message by message as datagrams.
    pub fn datagrams(outbound: Outbound) -> Encoder {
        Encoder { framing: Framing::Datagrams(outbound), as_it_lies: false, ..Encoder::plain() }
    }

    /// What becomes of datagrams, if that is what is sent.
    pub fn outbound(&self) -> Option<Outbound> {
        match self.framing {
            Framing::Datagrams(outbound) => Some(outbound),
            _ => None,
        }
    }

    /// Inside WebSocket, from this side. Subscriptions are messages there (RFC 45).
    pub fn websocket(side: Side) -> Encoder {
        let framing = Framing::WebSocket(Framer::new(side));
        Encoder { framing, version: Version::V3_0, as_it_lies: false, ..Encoder::plain() }
    }

    /// The same for frames that are sealed first.
    pub fn sealed(self, seal: Box<dyn Seal>) -> Encoder {
        Encoder { seal: Some(seal), as_it_lies: false, ..self }
    }

    /// Nothing is to be done: the pipe's bytes are what the peer gets.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.as_it_lies
    }

    /// A frame could not be sealed: the connection has to end.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The peer was told that the connection ends: nothing may follow.
    pub fn has_closed(&self) -> bool {
        matches!(&self.framing, Framing::WebSocket(framer) if framer.is_closed())
    }

    /// Appends what tells the peer that the connection ends, if there is a word for that.
    pub fn close(&mut self, code: CloseCode, out: &mut Vec<u8>) {
        if let Framing::WebSocket(framer) = &mut self.framing {
            framer.control(Kind::Close, &code.payload(), out);
        }
    }

    /// Appends one frame of the pipe, or of [`Link::send_command`](super::Link::send_command).
    pub fn frame(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        if flags & COMMAND == 0 {
            return self.put(Flags::from_byte(flags & MORE), b"", body, out);
        }
        match Subscription::parse(body) {
            Some((kind, topic)) => {
                let (flags, head) = kind.head(self.version);
                self.put(flags, head, topic, out);
            }
            None if let Framing::WebSocket(framer) = &mut self.framing
                && let Some((kind, payload)) = control_of(body) =>
            {
                framer.control(kind, payload, out);
            }
            None if self.version >= Version::V3_0 => self.put(Flags::COMMAND, b"", body, out),
            // Earlier peers know no commands.
            None => {}
        }
    }

    /// Appends whole frames that lie one after the other as they do in the pipe.
    pub fn frames(&mut self, mut frames: &[u8], out: &mut Vec<u8>) {
        while let frame::HeaderParse::Header { flags, header_len, body_len } =
            frame::parse_header(frames)
        {
            let Some(end) =
                usize::try_from(body_len).ok().and_then(|len| len.checked_add(header_len))
            else {
                return;
            };
            let Some((whole, rest)) = frames.split_at_checked(end) else { return };
            if self.has_closed() {
                return;
            }
            self.frame(flags.byte(), &whole[header_len..], out);
            frames = rest;
        }
    }

    /// Whether a body may go out from where it lies, behind a [`head`](Encoder::head).
    pub fn takes_references(&self) -> bool {
        self.seal.is_none()
    }

    /// Appends what goes ahead of the body of a message part that is sent from where it lies, under
    /// the mask that is returned.
    pub fn head(&mut self, flags: u8, length: usize, out: &mut Vec<u8>) -> Option<Mask> {
        self.framing.head(Flags::from_byte(flags & MORE), length, out)
    }

    /// Appends a message that does not lie in the pipe.
    pub fn message(&mut self, message: &Msg, out: &mut Vec<u8>) {
        self.frame(if message.more() { MORE } else { 0 }, message.data(), out);
    }

    #[inline]
    fn put(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        let length = head.len() + body.len();
        match &mut self.seal {
            None => self.framing.put(flags, length, out, |out| {
                out.extend_from_slice(head);
                out.extend_from_slice(body);
            }),
            // What the flags say travels inside.
            Some(_) if self.broken => {}
            Some(seal) => match seal.sealed_length(flags, head, body) {
                Some(length) => self.framing.put(Flags::NONE, length, out, |out| {
                    seal.seal(flags, head, body, out);
                }),
                None => self.broken = true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_for_every_version_around_the_length_boundaries() {
        use Subscription::{Cancel, Subscribe};
        for (version, kind, topic_len, wire) in [
            (Version::V3_1, Subscribe, 0, &b"\x04\x0a\x09SUBSCRIBE"[..]),
            (Version::V3_1, Subscribe, 245, b"\x04\xff\x09SUBSCRIBE"),
            (Version::V3_1, Subscribe, 246, b"\x06\0\0\0\0\0\0\x01\0\x09SUBSCRIBE"),
            (Version::V3_1, Cancel, 248, b"\x04\xff\x06CANCEL"),
            (Version::V3_1, Cancel, 249, b"\x06\0\0\0\0\0\0\x01\0\x06CANCEL"),
            (Version::V3_0, Subscribe, 0, b"\x00\x01\x01"),
            (Version::V3_0, Cancel, 254, b"\x00\xff\x00"),
            (Version::V3_0, Subscribe, 255, b"\x02\0\0\0\0\0\0\x01\0\x01"),
            (Version::V2_0, Subscribe, 255, b"\x02\0\0\0\0\0\0\x01\0\x01"),
            (Version::V2_0, Cancel, 256, b"\x02\0\0\0\0\0\0\x01\x01\x00"),
            (Version::V1_0, Subscribe, 0, b"\x02\x00\x01"),
            (Version::V1_0, Subscribe, 252, b"\xfe\x00\x01"),
            (Version::V1_0, Subscribe, 253, b"\xff\0\0\0\0\0\0\0\xff\x00\x01"),
            (Version::V1_0Unversioned, Cancel, 253, b"\xff\0\0\0\0\0\0\0\xff\x00\x00"),
        ] {
            let topic = vec![b't'; topic_len];
            let body = [kind.head(Version::V3_1).1, &topic].concat();
            let mut out = Vec::new();
            Encoder::framed(version).frame(COMMAND, &body, &mut out);
            assert_eq!(out, [wire, &topic].concat(), "{version:?} {topic_len}");
        }
    }

    #[test]
    fn messages_and_commands() {
        let run = |mut encoder: Encoder| {
            let mut out = Vec::new();
            encoder.frames(b"\x01\x01a\x00\x02bc\x04\x05\x04PONG", &mut out);
            // Cut short: nothing.
            encoder.frames(b"\x00\x02b", &mut out);
            out
        };
        assert_eq!(run(Encoder::plain()), b"\x01\x01a\x00\x02bc\x04\x05\x04PONG");
        assert_eq!(run(Encoder::framed(Version::V3_0)), b"\x01\x01a\x00\x02bc\x04\x05\x04PONG");
        assert_eq!(run(Encoder::framed(Version::V2_0)), b"\x01\x01a\x00\x02bc");
        assert_eq!(run(Encoder::framed(Version::V1_0)), b"\x02\x01a\x03\x00bc");
        assert_eq!(&run(Encoder::raw())[..3], b"abc");
    }

    /// Writes down what it is given.
    struct Transcript;

    impl Seal for Transcript {
        fn sealed_length(&mut self, _flags: Flags, head: &[u8], body: &[u8]) -> Option<usize> {
            (body != b"no").then_some(head.len() + body.len() + 2)
        }

        fn seal(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
            out.push(b'0' + flags.byte());
            out.extend_from_slice(&[head, b"|", body].concat());
        }
    }

    #[test]
    fn sealed_frames() {
        for (encoder, subscription) in [
            (Encoder::plain(), &b"\x00\x0d4\x09SUBSCRIBE|t"[..]),
            (Encoder::framed(Version::V3_0), b"\x00\x040\x01|t"),
        ] {
            let mut encoder = encoder.sealed(Box::new(Transcript));
            assert!(!encoder.is_plain());
            let mut out = Vec::new();
            encoder.frames(b"\x01\x01a\x00\x02bc\x04\x0b\x09SUBSCRIBEt", &mut out);
            assert_eq!(out, [b"\x00\x031|a\x00\x040|bc", subscription].concat());
            assert!(!encoder.is_broken());
            out.clear();
            encoder.frames(b"\x00\x01a\x00\x02no\x00\x01b", &mut out);
            assert_eq!(out, b"\x00\x030|a");
            assert!(encoder.is_broken());
        }
    }
}
