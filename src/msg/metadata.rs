// SPDX-License-Identifier: MPL-2.0
//! What is known of the connection a message came from: a map of properties.
//!
//! One map is made when a connection's handshake completes; every message received from it shares
//! the map. Man page: zmq_msg_gets(3).

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

/// Properties by name. The first value given to a name stays, so sources are inserted in the order
/// of their precedence: the transport, then ZAP, then the peer itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    properties: BTreeMap<Box<str>, CString>,
    fd: Option<i32>,
}

impl Metadata {
    /// The socket type of the peer.
    pub const SOCKET_TYPE: &'static str = "Socket-Type";
    /// The routing id of the peer.
    pub const IDENTITY: &'static str = "Identity";
    /// The name zmq_msg_gets(3) promises for [`Metadata::IDENTITY`].
    pub const ROUTING_ID: &'static str = "Routing-Id";
    /// The user id that ZAP has given the peer.
    pub const USER_ID: &'static str = "User-Id";
    /// The address of the peer, without a port.
    pub const PEER_ADDRESS: &'static str = "Peer-Address";
    /// The number of the connection's descriptor, as text.
    pub const FD: &'static str = "__fd";

    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Adds a property unless there is one of this name. Readers are C strings: the value ends at
    /// its first NUL.
    pub fn insert(&mut self, name: &str, value: &[u8]) {
        if self.properties.contains_key(name) {
            return;
        }
        let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
        if let Ok(value) = CString::new(&value[..end]) {
            self.properties.insert(name.into(), value);
        }
    }

    /// Sets the connection's descriptor, for `ZMQ_SRCFD` and under its name [`Metadata::FD`].
    pub fn set_fd(&mut self, fd: i32) {
        self.fd = Some(fd);
        self.insert(Metadata::FD, fd.to_string().as_bytes());
    }

    /// The value of a property; names are compared byte by byte.
    pub fn get(&self, name: &str) -> Option<&CStr> {
        let value = self.properties.get(name).or_else(|| match name {
            Metadata::ROUTING_ID => self.properties.get(Metadata::IDENTITY),
            _ => None,
        });
        value.map(CString::as_c_str)
    }

    /// The connection's descriptor (`ZMQ_SRCFD`).
    pub fn fd(&self) -> Option<i32> {
        self.fd
    }

    /// All properties, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &CStr)> {
        self.properties.iter().map(|(name, value)| (&**name, value.as_c_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let mut metadata = Metadata::new();
        assert!(metadata.is_empty());
        metadata.insert(Metadata::USER_ID, b"alice");
        metadata.insert(Metadata::USER_ID, b"mallory");
        assert_eq!(metadata.get("User-Id"), Some(c"alice"));
        assert_eq!(metadata.get("user-id"), None);
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("User-Id", c"alice")]);
    }

    #[test]
    fn values_end_at_the_first_nul() {
        let mut metadata = Metadata::new();
        for (name, value) in [("a", &b"one\0two"[..]), ("b", b"\0"), ("c", b"")] {
            metadata.insert(name, value);
        }
        assert_eq!(metadata.get("a"), Some(c"one"));
        assert_eq!(metadata.get("b"), Some(c""));
        assert_eq!(metadata.get("c"), Some(c""));
    }

    #[test]
    fn routing_id_is_another_name_of_identity() {
        let mut metadata = Metadata::new();
        assert_eq!(metadata.get(Metadata::ROUTING_ID), None);
        metadata.insert(Metadata::IDENTITY, b"peer");
        assert_eq!(metadata.get(Metadata::ROUTING_ID), Some(c"peer"));
        metadata.insert(Metadata::ROUTING_ID, b"its own");
        assert_eq!(metadata.get(Metadata::ROUTING_ID), Some(c"its own"));
    }

    #[test]
    fn the_descriptor_is_a_number_and_a_property() {
        let mut metadata = Metadata::new();
        assert_eq!(metadata.fd(), None);
        metadata.set_fd(17);
        metadata.insert(Metadata::FD, b"3");
        assert_eq!((metadata.fd(), metadata.get("__fd")), (Some(17), Some(c"17")));
    }
}
