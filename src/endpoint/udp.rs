// SPDX-License-Identifier: MPL-2.0
//! Addresses of udp: "\[interface;\]host:port". Man page: zmq_udp(7).
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::host::{Host, Wildcards, parse_host_port};
use super::tcp::split_source;
use crate::errno::{Error, Result};
use crate::options::text::{ip_literal, leading_int};

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

/// The address that a DGRAM socket gives with a datagram: "ip:port" and a NUL. IPv4 stays IPv4 on
/// a socket of IPv6.
pub fn peer_address_text(from: &SocketAddr) -> Vec<u8> {
    let shown = match from.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, from.port()),
        IpAddr::V6(_) => *from,
    };
    format!("{shown}\0").into_bytes()
}

/// The address in the first part of what a DGRAM socket sends, for a socket of IPv6 or of IPv4;
/// `None` for what is none, since names are not looked up here.
pub fn peer_address(text: &[u8], ipv6: bool) -> Option<SocketAddr> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let text = &text[..end];
    let exact = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let address = match exact {
        Some(address) => address,
        None => {
            let colon = text.iter().rposition(|byte| *byte == b':')?;
            let host = match &text[..colon] {
                [b'[', inner @ .., b']'] => inner,
                host => host,
            };
            let port = u16::try_from(leading_int(&text[colon + 1..])).ok()?;
            SocketAddr::new(ip_literal(host)?, port)
        }
    };
    match address {
        _ if address.port() == 0 => None,
        SocketAddr::V4(v4) if ipv6 => {
            Some(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
        }
        SocketAddr::V6(_) if !ipv6 => None,
        address => Some(address),
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
    fn addresses_of_peers() {
        for (text, v4, v6) in [
            ("127.0.0.1:5555", Some("127.0.0.1:5555"), Some("[::ffff:127.0.0.1]:5555")),
            ("127.0.0.1:5555\0", Some("127.0.0.1:5555"), Some("[::ffff:127.0.0.1]:5555")),
            ("127.1:55x", Some("127.0.0.1:55"), Some("[::ffff:127.0.0.1]:55")),
            ("[::1]:5555", None, Some("[::1]:5555")),
            ("::1:5555", None, Some("[::1]:5555")),
            ("127.0.0.1", None, None),
            ("127.0.0.1:", None, None),
            ("127.0.0.1:0", None, None),
            ("127.0.0.1:65536", None, None),
            ("localhost:5555", None, None),
            (":5555", None, None),
            ("", None, None),
            ("\0", None, None),
        ] {
            for (ipv6, expected) in [(false, v4), (true, v6)] {
                let address = peer_address(text.as_bytes(), ipv6).map(|it| it.to_string());
                assert_eq!(address.as_deref(), expected, "{text:?} {ipv6}");
            }
        }
        assert_eq!(peer_address(b"\xff:1", true), None);
        for (address, text) in [
            ("127.0.0.1:5555", "127.0.0.1:5555\0"),
            ("[::ffff:127.0.0.1]:5555", "127.0.0.1:5555\0"),
            ("[::1]:5555", "[::1]:5555\0"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(peer_address_text(&address), text.as_bytes());
            assert!(peer_address(text.as_bytes(), true).is_some());
        }
    }

    #[test]
    fn endpoints_have_their_scheme() {
        let address = UdpAddress::parse_bind(b"*:5990").unwrap();
        assert_eq!(address.endpoint(), b"udp://*:5990");
    }
}
