// SPDX-License-Identifier: MPL-2.0
//! The opening bytes of a connection.
//!
//! ```text
//! 0      FF
//! 1..9   length of the routing id + 1, big-endian
//! 9      7F
//! 10     revision: 3
//! 11     minor: 1               (revisions 0 and 1: number of the socket type, end)
//! 12..32 mechanism, ASCII, padded with zeros
//! 32     as-server: 0
//! 33..64 0
//! ```
//!
//! The first ten bytes are at once the header of a long frame in ZMTP 1.0, whose body is the
//! routing id: peers that know no greeting take them for one. So sending is staged. The revision
//! goes out when ten bytes have shown that the peer knows greetings, the rest when its revision
//! has told how the rest looks. Nothing may be sent earlier, or older peers break.
//!
//! RFC 15, 23, 37.

#![forbid(unsafe_code)]

use super::frame::Framing;
use super::socket_type::SocketType;

const SIGNATURE_LEN: usize = 10;
const V2_LEN: usize = 12;
const V3_LEN: usize = 64;
const MECHANISM_LEN: usize = 20;

const REVISION: u8 = 3;
const MINOR: u8 = 1;

/// The protocol spoken on a connection: the highest both sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(non_camel_case_types)]
pub enum Version {
    /// ZMTP 1.0 of a peer that sends no greeting.
    V1_0Unversioned,
    /// ZMTP 1.0 of a peer that greets with revision 0.
    V1_0,
    V2_0,
    V3_0,
    V3_1,
}

impl Version {
    pub const fn framing(self) -> Framing {
        match self {
            Version::V1_0Unversioned | Version::V1_0 => Framing::V1,
            Version::V2_0 | Version::V3_0 | Version::V3_1 => Framing::V2,
        }
    }

    /// Whether the peer knows mechanisms, metadata and heartbeats.
    pub fn is_v3(self) -> bool {
        self >= Version::V3_0
    }
}

/// The first bytes to send.
pub fn signature(routing_id_len: usize) -> [u8; SIGNATURE_LEN] {
    let mut signature = [0; SIGNATURE_LEN];
    signature[0] = 0xff;
    signature[1..9].copy_from_slice(&(routing_id_len as u64 + 1).to_be_bytes());
    signature[9] = 0x7f;
    signature
}

/// A mechanism's name as the greeting carries it. Names longer than the field are cut.
pub fn mechanism_field(name: &str) -> [u8; MECHANISM_LEN] {
    let mut field = [0; MECHANISM_LEN];
    for (byte, &letter) in field.iter_mut().zip(name.as_bytes()) {
        *byte = letter;
    }
    field
}

/// What the peer's greeting turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerGreeting {
    /// None: these bytes are the start of the peer's first frame.
    Unversioned { received: Vec<u8> },
    /// Revision 0 or 1. The number of the socket type is not checked.
    V1V2 { version: Version, socket_type: u8 },
    /// Revision 2 and later.
    V3 { version: Version, mechanism: [u8; MECHANISM_LEN] },
}

/// The exchange of greetings after [`signature`] was sent.
#[derive(Debug)]
pub struct Greeting {
    received: Vec<u8>,
    socket_type: SocketType,
    mechanism: [u8; MECHANISM_LEN],
}

impl Greeting {
    pub fn new(socket_type: SocketType, mechanism: &str) -> Greeting {
        Greeting {
            received: Vec::with_capacity(V3_LEN),
            socket_type,
            mechanism: mechanism_field(mechanism),
        }
    }

    /// Takes what belongs to the greeting off the front of `input`, and appends to `output` what
    /// may be sent in turn. Returns the peer's greeting once it is whole.
    pub fn handle(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Option<PeerGreeting> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.received.push(byte);
            if let Some(peer) = self.handle_byte(byte, output) {
                return Some(peer);
            }
        }
        None
    }

    fn handle_byte(&mut self, byte: u8, output: &mut Vec<u8>) -> Option<PeerGreeting> {
        match self.received.len() {
            1 if byte != 0xff => return Some(self.unversioned()),
            // In a frame of ZMTP 1.0 this byte is the flags; a greeting sets the lowest bit.
            SIGNATURE_LEN if byte & 1 == 0 => return Some(self.unversioned()),
            SIGNATURE_LEN => output.push(REVISION),
            11 if byte <= 1 => output.push(self.socket_type as u8),
            11 => {
                output.push(MINOR);
                output.extend_from_slice(&self.mechanism);
                output.extend_from_slice(&[0; V3_LEN - 12 - MECHANISM_LEN]);
            }
            V2_LEN => {
                let version = match self.received.get(SIGNATURE_LEN) {
                    Some(0) => Version::V1_0,
                    Some(1) => Version::V2_0,
                    _ => return None,
                };
                return Some(PeerGreeting::V1V2 { version, socket_type: byte });
            }
            V3_LEN => {
                let version = match self.received.get(SIGNATURE_LEN..V2_LEN) {
                    Some([3, 0]) => Version::V3_0,
                    _ => Version::V3_1,
                };
                let mut mechanism = [0; MECHANISM_LEN];
                mechanism.copy_from_slice(&self.received[V2_LEN..V2_LEN + MECHANISM_LEN]);
                return Some(PeerGreeting::V3 { version, mechanism });
            }
            _ => {}
        }
        None
    }

    fn unversioned(&mut self) -> PeerGreeting {
        PeerGreeting::Unversioned { received: std::mem::take(&mut self.received) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greet(wire: &[u8]) -> (Option<PeerGreeting>, Vec<u8>, usize) {
        let mut greeting = Greeting::new(SocketType::Dealer, "CURVE");
        let mut input = wire;
        let mut output = Vec::new();
        let peer = greeting.handle(&mut input, &mut output);
        (peer, output, wire.len() - input.len())
    }

    #[test]
    fn signatures() {
        assert_eq!(signature(0), [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
        assert_eq!(signature(255), [0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0x7f]);
    }

    #[test]
    fn sending_is_staged() {
        let mut wire = signature(0).to_vec();
        wire.extend([3, 0]);
        wire.extend(mechanism_field("NULL"));
        wire.extend([0; 32]);
        let rest = [&[REVISION, MINOR][..], b"CURVE", &[0; 15 + 32]].concat();
        for len in 0..=wire.len() {
            let (peer, output, used) = greet(&wire[..len]);
            let sent = match len {
                0..10 => 0,
                10 => 1,
                _ => 54,
            };
            assert_eq!(output, rest[..sent]);
            assert_eq!(used, len);
            let mechanism = mechanism_field("NULL");
            let whole = PeerGreeting::V3 { version: Version::V3_0, mechanism };
            assert_eq!(peer, (len == 64).then_some(whole));
        }
    }

    #[test]
    fn revisions() {
        for (revision, minor, version) in [
            (2, 0, Version::V3_1),
            (2, 7, Version::V3_1),
            (3, 0, Version::V3_0),
            (3, 1, Version::V3_1),
            (3, 200, Version::V3_1),
            (4, 0, Version::V3_1),
            (0xff, 0xff, Version::V3_1),
        ] {
            let wire = [&signature(0)[..], &[revision, minor], &[0; 60]].concat();
            let (peer, _, used) = greet(&wire);
            assert_eq!(used, 64);
            assert_eq!(peer, Some(PeerGreeting::V3 { version, mechanism: [0; 20] }));
        }
        for (revision, version) in [(0, Version::V1_0), (1, Version::V2_0)] {
            let wire = [&signature(5)[..], &[revision, 8, 0xaa]].concat();
            let (peer, output, used) = greet(&wire);
            assert_eq!(used, 12);
            assert_eq!(output, [3, SocketType::Dealer as u8]);
            assert_eq!(peer, Some(PeerGreeting::V1V2 { version, socket_type: 8 }));
        }
    }

    #[test]
    fn no_greeting() {
        for (wire, used) in [
            (&[0x01, 0x00, 0x03][..], 1),
            (&[0x00], 1),
            (&[0xff, 0, 0, 0, 0, 0, 0, 0, 6, 0, b'p'], 10),
            (&[0xff, 0, 0, 0, 0, 0, 0, 0, 6, 0x7e], 10),
        ] {
            let unversioned = PeerGreeting::Unversioned { received: wire[..used].to_vec() };
            assert_eq!(greet(wire), (Some(unversioned), vec![], used));
        }
    }
}
