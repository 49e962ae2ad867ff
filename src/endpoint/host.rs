// SPDX-License-Identifier: MPL-2.0
//! The "host:port" that tcp, ws, udp and their relatives have in common.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::errno::{Error, Result};
use crate::options::text::{ip_literal, leading_int};

/// A host as written.
///
/// Whether a literal fits the socket's `ZMQ_IPV6` is for the resolver to say: without it an IPv6
/// literal is an unknown host, with it an IPv4 literal is used in its mapped form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*`, where it stands for every local address.
    Any,
    V4(Ipv4Addr),
    V6 {
        addr: Ipv6Addr,
        zone: Option<Zone>,
    },
    /// A DNS or interface name, or what is neither and so will not resolve. The empty name never
    /// does; resolvers must not take it for the local host.
    Name {
        name: String,
        zone: Option<Zone>,
    },
}

/// The interface an IPv6 address belongs to (RFC 4007), the part after '%'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Not 0.
    Index(u32),
    /// An interface name; EINVAL if the system does not know it.
    Name(String),
}

/// Which wildcards an address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wildcards {
    /// `*` as host and as port: addresses to bind to.
    Allowed,
    /// None: addresses to connect to.
    Refused,
}

impl Host {
    /// What does not resolve, in place of what cannot be a host.
    pub(super) fn unresolvable() -> Host {
        Host::Name { name: String::new(), zone: None }
    }

    /// Whether this is a numeric multicast address; `None` if it takes resolving to tell.
    pub(super) fn is_multicast(&self) -> Option<bool> {
        match self {
            Host::Any => Some(false),
            Host::V4(addr) => Some(addr.is_multicast()),
            Host::V6 { addr, .. } => Some(addr.is_multicast()),
            Host::Name { .. } => None,
        }
    }

    /// Parses a host: one surrounding pair of brackets is dropped, a zone split off. EINVAL for a
    /// zone that is empty or 0.
    pub(super) fn parse(text: &[u8], wildcards: Wildcards) -> Result<Host> {
        let text = match text {
            [b'[', inner @ .., b']'] => inner,
            _ => text,
        };
        let (text, zone) = match text.iter().rposition(|byte| *byte == b'%') {
            Some(percent) => (&text[..percent], Some(Zone::parse(&text[percent + 1..])?)),
            None => (text, None),
        };
        if text == b"*" && wildcards == Wildcards::Allowed {
            return Ok(Host::Any);
        }
        Ok(match ip_literal(text) {
            Some(IpAddr::V4(addr)) => Host::V4(addr),
            Some(IpAddr::V6(addr)) => Host::V6 { addr, zone },
            None => Host::Name { name: String::from_utf8_lossy(text).into_owned(), zone },
        })
    }
}

/// As it would be written: `*`, "127.0.0.1", "\[fe80::1%eth0\]", "name".
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::V4(addr) => addr.fmt(f),
            Host::V6 { addr, zone: None } => write!(f, "[{addr}]"),
            Host::V6 { addr, zone: Some(zone) } => write!(f, "[{addr}%{zone}]"),
            Host::Name { name, zone: None } => f.write_str(name),
            Host::Name { name, zone: Some(zone) } => write!(f, "{name}%{zone}"),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Index(index) => index.fmt(f),
            Zone::Name(name) => f.write_str(name),
        }
    }
}

impl Zone {
    fn parse(text: &[u8]) -> Result<Zone> {
        if text.first().is_some_and(u8::is_ascii_alphabetic) {
            return Ok(Zone::Name(String::from_utf8_lossy(text).into_owned()));
        }
        match u32::try_from(leading_int(text)) {
            Ok(index @ 1..) => Ok(Zone::Index(index)),
            _ => Err(Error::INVAL),
        }
    }
}

/// Parses "host:port", split at the last colon. EINVAL without one and for what [`parse_port`] or
/// [`Host::parse`] refuse.
pub(super) fn parse_host_port(text: &[u8], wildcards: Wildcards) -> Result<(Host, u16)> {
    let colon = text.iter().rposition(|byte| *byte == b':').ok_or(Error::INVAL)?;
    let port = parse_port(&text[colon + 1..], wildcards)?;
    Ok((Host::parse(&text[..colon], wildcards)?, port))
}

/// Parses a port: a number from 1 to 65535, whatever follows its digits, or "0". `*` where it is
/// allowed is 0: the system chooses.
pub(super) fn parse_port(text: &[u8], wildcards: Wildcards) -> Result<u16> {
    match text {
        b"*" if wildcards == Wildcards::Allowed => Ok(0),
        b"0" => Ok(0),
        _ => match u16::try_from(leading_int(text)) {
            Ok(port @ 1..) => Ok(port),
            _ => Err(Error::INVAL),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(addr: &str, zone: Option<Zone>) -> Host {
        Host::V6 { addr: addr.parse().unwrap(), zone }
    }

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    #[test]
    fn hosts() {
        let eth0 = || Some(Zone::Name("eth0".to_owned()));
        for (text, host) in [
            ("127.0.0.1", Host::V4(Ipv4Addr::LOCALHOST)),
            ("[127.0.0.1]", Host::V4(Ipv4Addr::LOCALHOST)),
            ("127.1", Host::V4(Ipv4Addr::LOCALHOST)),
            ("*", Host::Any),
            ("[*]", Host::Any),
            ("::1", v6("::1", None)),
            ("[::1]", v6("::1", None)),
            ("[::ffff:1.2.3.4]", v6("::ffff:1.2.3.4", None)),
            ("[fe80::1%eth0]", v6("fe80::1", eth0())),
            ("fe80::1%3", v6("fe80::1", Some(Zone::Index(3)))),
            ("localhost%eth0", Host::Name { name: "localhost".to_owned(), zone: eth0() }),
            ("localhost", name("localhost")),
            ("[localhost]", name("localhost")),
            ("eth0:1", name("eth0:1")),
            ("", name("")),
            ("[]", name("")),
            ("[::1", name("[::1")),
            ("::1]", name("::1]")),
            ("[[::1]]", name("[::1]")),
            ("1.2.3.4.5", name("1.2.3.4.5")),
        ] {
            assert_eq!(Host::parse(text.as_bytes(), Wildcards::Allowed), Ok(host), "{text:?}");
        }
        assert_eq!(Host::parse(b"*", Wildcards::Refused), Ok(name("*")));
    }

    #[test]
    fn hosts_are_written_as_they_were_read() {
        for text in ["*", "127.0.0.1", "[::1]", "[fe80::1%eth0]", "[fe80::1%3]", "localhost%lo", ""]
        {
            let host = Host::parse(text.as_bytes(), Wildcards::Allowed).unwrap();
            assert_eq!(host.to_string(), text);
        }
    }

    #[test]
    fn zones_must_not_be_empty_or_zero() {
        for text in ["fe80::1%", "fe80::1%0", "[fe80::1%-1]", "fe80::1%_x", "localhost%", "*%"] {
            let host = Host::parse(text.as_bytes(), Wildcards::Allowed);
            assert_eq!(host, Err(Error::INVAL), "{text:?}");
        }
    }

    #[test]
    fn ports() {
        for (text, allowed, refused) in [
            ("*", Some(0), None),
            ("0", Some(0), Some(0)),
            ("1", Some(1), Some(1)),
            ("65535", Some(65535), Some(65535)),
            ("567bad", Some(567), Some(567)),
            ("", None, None),
            ("00", None, None),
            ("bad", None, None),
            ("-1", None, None),
            ("65536", None, None),
            ("99999", None, None),
            ("99999999999999999999", None, None),
        ] {
            let port = |wildcards| parse_port(text.as_bytes(), wildcards).ok();
            assert_eq!(port(Wildcards::Allowed), allowed, "{text:?}");
            assert_eq!(port(Wildcards::Refused), refused, "{text:?}");
        }
    }

    #[test]
    fn hosts_with_ports() {
        let allowed = |text: &str| parse_host_port(text.as_bytes(), Wildcards::Allowed);
        assert_eq!(allowed("*:*"), Ok((Host::Any, 0)));
        assert_eq!(allowed("[1234::1]:80"), Ok((v6("1234::1", None), 80)));
        // Brackets are customary, not required.
        let host = v6("abcd:1234::1:0:234", None);
        assert_eq!(allowed("abcd:1234::1:0:234:123"), Ok((host, 123)));
        for text in ["", "127.0.0.1", "[1.2.3.4:]x", "[1.2.3.4:5555]x:", "localhost:"] {
            assert_eq!(allowed(text), Err(Error::INVAL), "{text:?}");
        }
    }
}
