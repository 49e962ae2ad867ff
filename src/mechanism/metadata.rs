// SPDX-License-Identifier: MPL-2.0
//! Properties on the wire: each a name, its length in one byte ahead of it, and a value, its
//! length in four.
//!
//! RFC 23 and 37 (connection metadata), 27 (ZAP).

#![forbid(unsafe_code)]

use crate::errno::{Error, Result};
use crate::zmtp::SocketType;
use crate::zmtp::handshake::Peer;

const SOCKET_TYPE: &str = "Socket-Type";
const IDENTITY: &str = "Identity";

/// What this side tells the peer about itself, whichever the mechanism.
#[derive(Clone, Debug)]
pub struct LocalProperties {
    pub socket_type: SocketType,
    pub routing_id: Vec<u8>,
    /// The application's own.
    pub more: Vec<(String, Vec<u8>)>,
}

impl LocalProperties {
    /// Appends all properties to the body of a command.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_property(SOCKET_TYPE, self.socket_type.name().as_bytes(), out);
        if self.socket_type.sends_routing_id() {
            encode_property(IDENTITY, &self.routing_id, out);
        }
        for (name, value) in &self.more {
            encode_property(name, value, out);
        }
    }

    /// Reads the peer's properties from the rest of a command.
    ///
    /// # Errors
    /// EPROTO if they are malformed, EINVAL if the socket types do not go together.
    pub fn decode_peer(&self, bytes: &[u8]) -> Result<Peer> {
        let mut peer = Peer::default();
        for property in Properties::new(bytes) {
            let (name, value) = property?;
            if name == SOCKET_TYPE.as_bytes() {
                let socket_type = SocketType::from_name(value).ok_or(Error::INVAL)?;
                if !self.socket_type.accepts(socket_type) {
                    return Err(Error::INVAL);
                }
                peer.socket_type = Some(socket_type);
            } else if name == IDENTITY.as_bytes() {
                peer.routing_id = Some(value.to_vec());
            }
            push_property(&mut peer.properties, name, value);
        }
        Ok(peer)
    }
}

/// Appends one property. A name or value too long for its length field is left out; the options
/// let none through.
pub fn encode_property(name: &str, value: &[u8], out: &mut Vec<u8>) {
    let (Ok(name_len), Ok(value_len)) = (u8::try_from(name.len()), u32::try_from(value.len()))
    else {
        return;
    };
    out.push(name_len);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(value);
}

/// Keeps a property whose name can be asked for: names are ASCII.
pub fn push_property(properties: &mut Vec<(String, Vec<u8>)>, name: &[u8], value: &[u8]) {
    if let Ok(name) = std::str::from_utf8(name) {
        properties.push((name.to_owned(), value.to_vec()));
    }
}

/// The properties in a block of bytes, first to last. Ends after the first error: EPROTO.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    rest: &'a [u8],
}

impl<'a> Properties<'a> {
    pub fn new(bytes: &'a [u8]) -> Properties<'a> {
        Properties { rest: bytes }
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let property = split_property(std::mem::take(&mut self.rest));
        Some(property.ok_or(Error::PROTO).map(|(name, value, rest)| {
            self.rest = rest;
            (name, value)
        }))
    }
}

fn split_property(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name_len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (&value_len, rest) = rest.split_first_chunk::<4>()?;
    let value_len = usize::try_from(u32::from_be_bytes(value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(socket_type: SocketType) -> LocalProperties {
        let more = vec![("X-Key".to_owned(), b"value".to_vec())];
        LocalProperties { socket_type, routing_id: b"id".to_vec(), more }
    }

    #[test]
    fn properties_byte_by_byte() {
        let mut wire = Vec::new();
        local(SocketType::Dealer).encode(&mut wire);
        assert_eq!(
            wire,
            b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02id\x05X-Key\0\0\0\x05value"
        );
        wire.clear();
        local(SocketType::Push).encode(&mut wire);
        assert_eq!(wire, b"\x0bSocket-Type\0\0\0\x04PUSH\x05X-Key\0\0\0\x05value");
    }

    #[test]
    fn what_a_peer_tells() {
        let mut wire = Vec::new();
        local(SocketType::Dealer).encode(&mut wire);
        encode_property("", b"", &mut wire);
        wire.extend(b"\x01\xff\0\0\0\0");
        let peer = local(SocketType::Router).decode_peer(&wire).unwrap();
        assert_eq!(peer.socket_type, Some(SocketType::Dealer));
        assert_eq!(peer.routing_id.as_deref(), Some(&b"id"[..]));
        let names: Vec<_> = peer.properties.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Socket-Type", "Identity", "X-Key", ""]);
        assert_eq!(local(SocketType::Router).decode_peer(b"").unwrap(), Peer::default());
    }

    #[test]
    fn every_cut_is_noticed_or_between_properties() {
        let mut wire = Vec::new();
        local(SocketType::Dealer).encode(&mut wire);
        let ends = [0, 22, 37, wire.len()];
        for cut in 0..=wire.len() {
            let result = local(SocketType::Router).decode_peer(&wire[..cut]);
            assert_eq!(result.is_ok(), ends.contains(&cut), "{cut}");
            assert!(result.is_ok() || result == Err(Error::PROTO));
        }
    }

    #[test]
    fn malformed_or_unfit() {
        for (wire, errno) in [
            (&b"\0"[..], Error::PROTO),
            (b"\x01A\0\0\0\x01", Error::PROTO),
            (b"\x01A\xff\xff\xff\xff", Error::PROTO),
            (b"\x01A\0\0\0\0\0", Error::PROTO),
            (b"\x0bSocket-Type\0\0\0\x06ROUTER", Error::INVAL),
            (b"\x0bSocket-Type\0\0\0\x03req", Error::INVAL),
            (b"\x0bSocket-Type\0\0\0\0", Error::INVAL),
            (b"\x0bSocket-Type\0\0\0\x03REQ\x0bSocket-Type\0\0\0\x03REP", Error::INVAL),
        ] {
            assert_eq!(local(SocketType::Rep).decode_peer(wire), Err(errno), "{wire:?}");
        }
    }

    #[test]
    fn nothing_after_an_error() {
        let results: Vec<_> = Properties::new(b"\x01A\0\0\0\0\x09").collect();
        assert_eq!(results, [Ok((&b"A"[..], &b""[..])), Err(Error::PROTO)]);
    }
}
