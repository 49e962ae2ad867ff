// SPDX-License-Identifier: MPL-2.0
//! Addresses of udp: "\[interface;\]host:port". Man page: zmq_udp(7).
#![forbid(unsafe_code)]

use super::host::{Host, Wildcards, parse_host_port};
use super::tcp::split_source;
use crate::errno::{Error, Result};

/// An address to bind to, or a group to join; or one to send to.
///
/// The interface is for multicast. What takes resolving is checked after it: EINVAL if the host
/// is no multicast address though there is an interface, if the interface is one, or if their
/// families differ; ENODEV for IPv6 multicast on an interface that is given by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpAddress {
    /// A name is that of an interface. [`Host::Any`] and `None` leave it to the system.
    pub interface: Option<Host>,
    /// A name is for DNS, and to bind to before that the name of an interface.
    pub host: Host,
    /// 0 to bind to: the system chooses.
    pub port: u16,
    /// The address as written.
    pub text: Vec<u8>,
}

impl UdpAddress {
    /// EINVAL for a malformed address.
    pub(super) fn parse_bind(address: &[u8]) -> Result<UdpAddress> {
        UdpAddress::parse(address, Wildcards::Allowed)
    }

    /// EINVAL for a malformed address and for wildcards.
    pub(super) fn parse_connect(address: &[u8]) -> Result<UdpAddress> {
        let parsed = UdpAddress::parse(address, Wildcards::Refused)?;
        match &parsed.host {
            Host::Name { name, .. } if name == "*" => Err(Error::INVAL),
            _ => Ok(parsed),
        }
    }

    fn parse(text: &[u8], wildcards: Wildcards) -> Result<UdpAddress> {
        let (interface, address) = split_source(text);
        let interface = match interface {
            Some(interface) => Some(Host::parse(interface, Wildcards::Allowed)?),
            None => None,
        };
        let (host, port) = parse_host_port(address, wildcards)?;
        let unsuitable = |interface: &Host| {
            interface.is_multicast() == Some(true) || host.is_multicast() == Some(false)
        };
        if interface.as_ref().is_some_and(unsuitable) {
            return Err(Error::INVAL);
        }
        Ok(UdpAddress { interface, host, port, text: text.to_vec() })
    }

    /// The endpoint as written, scheme included (libzmq leaves that out of `ZMQ_LAST_ENDPOINT`).
    pub fn endpoint(&self) -> Vec<u8> {
        [b"udp://", self.text.as_slice()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn addresses() {
        for (text, interface, host, port) in [
            ("127.0.0.1:5555", None, Host::V4(Ipv4Addr::LOCALHOST), 5555),
            ("239.0.0.1:1234", None, Host::V4(Ipv4Addr::new(239, 0, 0, 1)), 1234),
            ("*;230.2.8.12:5555", Some(Host::Any), Host::V4(Ipv4Addr::new(230, 2, 8, 12)), 5555),
            (
                "127.0.0.1;230.2.8.12:5555",
                Some(Host::V4(Ipv4Addr::LOCALHOST)),
                Host::V4(Ipv4Addr::new(230, 2, 8, 12)),
                5555,
            ),
            (
                "eth0;[ff02::1]:7",
                Some(Host::Name { name: "eth0".to_owned(), zone: None }),
                Host::V6 { addr: "ff02::1".parse().unwrap(), zone: None },
                7,
            ),
        ] {
            let text = text.as_bytes();
            let expected = UdpAddress { interface, host, port, text: text.to_vec() };
            assert_eq!(UdpAddress::parse_bind(text), Ok(expected.clone()));
            assert_eq!(UdpAddress::parse_connect(text), Ok(expected));
        }
    }

    #[test]
    fn wildcards_are_for_binding() {
        for text in ["*:*", "*:5555", "127.0.0.1:*"] {
            assert!(UdpAddress::parse_bind(text.as_bytes()).is_ok(), "{text}");
            let connect = UdpAddress::parse_connect(text.as_bytes());
            assert_eq!(connect, Err(Error::INVAL), "{text}");
        }
        assert!(UdpAddress::parse_connect(b"127.0.0.1:0").is_ok());
    }

    #[test]
    fn malformed_addresses() {
        for text in [
            "127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:65536",
            "127.0.0.1;1.2.3.4:5555",
            "[::1];[fe00::1]:5555",
            "230.0.0.1;230.2.8.12:5555",
            "*;*:5555",
        ] {
            for parse in [UdpAddress::parse_bind, UdpAddress::parse_connect] {
                assert_eq!(parse(text.as_bytes()), Err(Error::INVAL), "{text}");
            }
        }
    }

    #[test]
    fn endpoints_have_their_scheme() {
        let address = UdpAddress::parse_bind(b"*:5990").unwrap();
        assert_eq!(address.endpoint(), b"udp://*:5990");
    }
}
