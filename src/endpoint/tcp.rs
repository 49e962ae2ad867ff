// SPDX-License-Identifier: MPL-2.0
//! Addresses of tcp and tls. Man page: zmq_tcp(7).
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::Transport;
use super::host::{Host, Wildcards, parse_host_port};
use crate::errno::{Error, Result};
use crate::options::text::leading_int;

/// "host:port" to bind to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpBind {
    /// What stood in front as "source;". It has no use in a bind, but must be a local address.
    pub source: Option<Host>,
    /// A name is that of an interface or, failing that, for DNS; ENODEV if it is neither.
    pub host: Host,
    /// 0: the system chooses.
    pub port: u16,
}

impl TcpBind {
    /// EINVAL for a malformed address, ENODEV for an empty host.
    pub(super) fn parse(address: &[u8]) -> Result<TcpBind> {
        let (source, address) = split_source(address);
        let source = source.map(parse_bindable).transpose()?.map(|(host, _)| host);
        let (host, port) = parse_bindable(address)?;
        Ok(TcpBind { source, host, port })
    }
}

/// "host:port" to bind to; no name is empty.
pub(super) fn parse_bindable(address: &[u8]) -> Result<(Host, u16)> {
    let (host, port) = parse_host_port(address, Wildcards::Allowed)?;
    match &host {
        Host::Name { name, .. } if name.is_empty() => Err(Error::NODEV),
        _ => Ok((host, port)),
    }
}

/// "host:port" or "source:port;host:port" to connect to.
///
/// `zmq_connect` checks the characters only; what then turns out to name nothing is found out at
/// each attempt, as a host that does not resolve is. Such a part becomes the empty [`Host::Name`],
/// on which the resolver fails by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConnect {
    /// Where to connect from.
    pub source: Option<TcpSource>,
    /// A name is for DNS. There is no [`Host::Any`].
    pub host: Host,
    /// 0 is accepted, though nothing can listen there.
    pub port: u16,
    /// The address as written, which endpoints and events show.
    pub text: String,
}

/// The local address of an outgoing connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSource {
    /// A name is that of an interface, never for DNS.
    pub host: Host,
    /// 0: the system chooses.
    pub port: u16,
}

impl TcpConnect {
    /// EINVAL unless the address looks like one, and for a port above 65535.
    pub(super) fn parse(address: &[u8]) -> Result<TcpConnect> {
        let text = check_characters(address)?;
        let (source, target) = split_source(address);
        let source = source.map(|source| {
            let (host, port) = parse_host_port(source, Wildcards::Allowed)
                .unwrap_or_else(|_| (Host::unresolvable(), 0));
            TcpSource { host, port }
        });
        let (host, port) = match parse_host_port(target, Wildcards::Refused) {
            Ok(target) => target,
            Err(error) if exceeds_port(target) => return Err(error),
            Err(_) => (Host::unresolvable(), 0),
        };
        Ok(TcpConnect { source, host, port, text: text.to_owned() })
    }

    /// The endpoint as `ZMQ_LAST_ENDPOINT` and monitor events show it.
    pub fn endpoint(&self, transport: Transport) -> String {
        format!("{}://{}", transport.scheme(), self.text)
    }
}

/// The check libzmq makes: the first character is a letter, a digit, '[' or ':', the others may
/// also be some punctuation, and what follows the last colon starts with a digit.
fn check_characters(address: &[u8]) -> Result<&str> {
    let starts = |byte: u8| byte.is_ascii_alphanumeric() || b"[:".contains(&byte);
    let continues = |byte: u8| byte.is_ascii_alphanumeric() || b".-:%;[]_*".contains(&byte);
    let port = address.iter().rposition(|byte| *byte == b':').map(|colon| colon + 1);
    let port_starts = port.and_then(|port| address.get(port)).is_some_and(u8::is_ascii_digit);
    if port_starts
        && address.first().is_some_and(|byte| starts(*byte))
        && address.iter().all(|byte| continues(*byte))
    {
        std::str::from_utf8(address).map_err(|_| Error::INVAL)
    } else {
        Err(Error::INVAL)
    }
}

fn exceeds_port(target: &[u8]) -> bool {
    let port = target.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    leading_int(port) > i64::from(u16::MAX)
}

/// Splits "source;address" at the last semicolon.
pub(super) fn split_source(address: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match address.iter().rposition(|byte| *byte == b';') {
        Some(semicolon) => (Some(&address[..semicolon]), &address[semicolon + 1..]),
        None => (None, address),
    }
}

/// The endpoint of a resolved address: "tcp://a.b.c.d:port" or "tcp://\[v6%zone\]:port".
///
/// An address of an IPv6 socket is shown as it is, so IPv4 appears mapped. `zone` is the name of
/// the interface with the address's scope id, if the caller has it; else its number is shown.
pub fn tcp_endpoint(transport: Transport, address: &SocketAddr, zone: Option<&str>) -> String {
    format!("{}://{}:{}", transport.scheme(), numeric_host(address, zone), address.port())
}

/// The host of a resolved address, an IPv6 one in brackets.
pub(super) fn numeric_host(address: &SocketAddr, zone: Option<&str>) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => match (address.scope_id(), zone) {
            (0, _) => format!("[{}]", address.ip()),
            (_, Some(zone)) => format!("[{}%{zone}]", address.ip()),
            (index, None) => format!("[{}%{index}]", address.ip()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

    use super::*;

    const LOOPBACK: Host = Host::V4(Ipv4Addr::LOCALHOST);

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    fn loopback_v6() -> Host {
        Host::V6 { addr: Ipv6Addr::LOCALHOST, zone: None }
    }

    #[test]
    fn binding() {
        for (text, host, port) in [
            ("127.0.0.1:5555", LOOPBACK, 5555),
            ("127.0.0.1:*", LOOPBACK, 0),
            ("127.0.0.1:0", LOOPBACK, 0),
            ("127.0.0.1:65535", LOOPBACK, 65535),
            ("*:*", Host::Any, 0),
            ("[*]:1", Host::Any, 1),
            ("[::1]:1", loopback_v6(), 1),
            ("::1:1", loopback_v6(), 1),
            ("lo:1", name("lo"), 1),
            ("localhost:567bad", name("localhost"), 567),
            ("127.0.0.9:1;127.0.0.1:2", LOOPBACK, 2),
            ("a:1;b:2;127.0.0.1:3", LOOPBACK, 3),
        ] {
            let parsed = TcpBind::parse(text.as_bytes()).map(|bind| (bind.host, bind.port));
            assert_eq!(parsed, Ok((host, port)), "{text}");
        }
        let from = TcpBind::parse(b"127.0.0.9:1;*:2").unwrap();
        assert_eq!(from.source, Some(Host::V4(Ipv4Addr::new(127, 0, 0, 9))));
        for (text, error) in [
            ("127.0.0.1", Error::INVAL),
            ("127.0.0.1:", Error::INVAL),
            ("127.0.0.1:abc", Error::INVAL),
            ("127.0.0.1:65536", Error::INVAL),
            ("*:99999", Error::INVAL),
            ("*:-1", Error::INVAL),
            ("[fe80::1%]:1", Error::INVAL),
            ("127.0.0.1;127.0.0.1:1", Error::INVAL),
            ("127.0.0.1:1;", Error::INVAL),
            ("127.0.0.1:x;127.0.0.1:1", Error::INVAL),
            (":5555", Error::NODEV),
            ("[]:5555", Error::NODEV),
            (":1;127.0.0.1:1", Error::NODEV),
            (":abc", Error::INVAL),
        ] {
            assert_eq!(TcpBind::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn connecting_checks_characters_only() {
        for (text, host, port) in [
            ("127.0.0.1:5555", LOOPBACK, 5555),
            ("localhost:1", name("localhost"), 1),
            ("[::1]:1", loopback_v6(), 1),
            ("::1:1", loopback_v6(), 1),
            ("a_b-c.d:1", name("a_b-c.d"), 1),
            ("127.0.0.1:0", LOOPBACK, 0),
            ("127.0.0.1:9x", LOOPBACK, 9),
            (":80", name(""), 80),
            ("[*]:80", name("*"), 80),
            // These pass the check of characters, and then name nothing.
            ("127.0.0.1:00", name(""), 0),
            ("[fe80::1%0]:80", name(""), 0),
            ("::1:00", name(""), 0),
        ] {
            let parsed = TcpConnect::parse(text.as_bytes()).unwrap();
            let expected = TcpConnect { source: None, host, port, text: text.to_owned() };
            assert_eq!(parsed, expected, "{text}");
            assert_eq!(parsed.endpoint(Transport::Tcp), format!("tcp://{text}"));
        }
        for text in [
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:*",
            "localhost:invalid",
            "in val id:1234",
            "*:5555",
            "-a:1",
            ".a:1",
            "_a:1",
            "a/b:1",
            "a:1/",
            "a:1 ",
            "ä:1",
            "a:65536",
            "127.0.0.1:99999",
            "a:1;b:99999",
            ";b:1",
        ] {
            assert_eq!(TcpConnect::parse(text.as_bytes()), Err(Error::INVAL), "{text}");
        }
    }

    #[test]
    fn connecting_from_a_source() {
        for (text, host, port) in [
            ("127.0.0.1:0;localhost:1234", LOOPBACK, 0),
            ("127.0.0.1:*;localhost:1234", LOOPBACK, 0),
            ("lo:5555;localhost:1234", name("lo"), 5555),
            ("[*]:5555;localhost:1234", Host::Any, 5555),
            ("[::1]:5555;localhost:1234", loopback_v6(), 5555),
            ("a:1;b:2;localhost:1234", name("a:1;b"), 2),
            // What cannot be a source: every attempt fails.
            ("lo;localhost:1234", name(""), 0),
            ("lo:x;localhost:1234", name(""), 0),
        ] {
            let parsed = TcpConnect::parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.source, Some(TcpSource { host, port }), "{text}");
            assert_eq!((parsed.host, parsed.port), (name("localhost"), 1234));
            assert_eq!(parsed.text, text);
        }
        let parsed = TcpConnect::parse(b"a:1;b").unwrap();
        assert_eq!((parsed.host, parsed.port), (name(""), 0));
    }

    #[test]
    fn endpoints_of_resolved_addresses() {
        for (address, endpoint) in [
            ("127.0.0.1:5555", "tcp://127.0.0.1:5555"),
            ("0.0.0.0:1", "tcp://0.0.0.0:1"),
            ("[::]:1", "tcp://[::]:1"),
            ("[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(tcp_endpoint(Transport::Tcp, &address, None), endpoint);
        }
        let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 2).into();
        assert_eq!(tcp_endpoint(Transport::Tcp, &address, Some("eth0")), "tcp://[fe80::1%eth0]:7");
        assert_eq!(tcp_endpoint(Transport::Tls, &address, None), "tls://[fe80::1%2]:7");
    }
}
