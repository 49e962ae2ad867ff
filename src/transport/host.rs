// SPDX-License-Identifier: MPL-2.0
//! The host part of an endpoint turned into an address, and addresses turned into text.
//!
//! A host is `*`, an address in digits, the name of a network interface or a DNS name, depending
//! on where it stands; one pair of square brackets around it is dropped, and `%zone` after it is
//! the scope of an IPv6 address (RFC 4007). `ipv6` always means the option `ZMQ_IPV6`: with it
//! addresses are IPv6 ones, IPv4 mapped into them, unless the system has no IPv6 at all; without
//! it they are IPv4 ones only.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::sys;
use crate::errno::{Error, Result};

/// Whether names may be looked up in the DNS, which may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dns {
    Allowed,
    Forbidden,
}

/// The address to bind to: `*`, an address, the name of an interface, a DNS name if `dns` allows.
/// Binds of tcp allow DNS; source addresses of connects do not.
///
/// # Errors
/// NODEV when the host is none of these, INVAL for a bad zone, NOMEM.
pub fn resolve_local(host: &str, port: u16, ipv6: bool, dns: Dns) -> Result<SocketAddr> {
    let ipv6 = ipv6 && sys::ipv6_supported();
    let Host { name, zone } = Host::parse(host)?;
    if name == "*" {
        let any: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        return Ok(complete(SocketAddr::new(any, 0), port, zone));
    }
    if let Some(ip) = parse_ip(name, ipv6) {
        return Ok(complete(SocketAddr::new(ip, 0), port, zone));
    }
    match sys::interface_address(name, ipv6) {
        Ok(Some(addr)) => return Ok(complete(addr, port, zone)),
        Ok(None) | Err(Error::NODEV) => (),
        Err(error) => return Err(error),
    }
    let addresses = sys::lookup(name, ipv6, dns == Dns::Forbidden).map_err(or_else_no_device)?;
    let addr = addresses.into_iter().next().ok_or(Error::NODEV)?;
    Ok(complete(addr, port, zone))
}

/// The address to connect to, if the host can be understood without asking anyone; `None` if it
/// is a name for [`resolve_remote`].
pub fn resolve_literal(host: &str, port: u16, ipv6: bool) -> Option<Result<SocketAddr>> {
    let ipv6 = ipv6 && sys::ipv6_supported();
    let Host { name, zone } = match Host::parse(host) {
        Ok(host) => host,
        Err(error) => return Some(Err(error)),
    };
    if let Some(ip) = parse_ip(name, ipv6) {
        return Some(Ok(complete(SocketAddr::new(ip, 0), port, zone)));
    }
    // What cannot be a name: an address of the other family, nothing, the wildcard.
    if name.is_empty() || name == "*" || name.parse::<IpAddr>().is_ok() {
        return Some(Err(Error::INVAL));
    }
    let addresses = sys::lookup(name, ipv6, true).ok()?;
    let addr = addresses.into_iter().next()?;
    Some(Ok(complete(addr, port, zone)))
}

/// The addresses to connect to, best first; asks the DNS and may block for long.
///
/// # Errors
/// INVAL when there is none, NOMEM.
pub fn resolve_remote(host: &str, port: u16, ipv6: bool) -> Result<Vec<SocketAddr>> {
    let ipv6 = ipv6 && sys::ipv6_supported();
    let Host { name, zone } = Host::parse(host)?;
    let addresses = sys::lookup(name, ipv6, false)
        .map_err(|error| if error == Error::NOMEM { error } else { Error::INVAL })?;
    Ok(addresses.into_iter().map(|addr| complete(addr, port, zone)).collect())
}

/// `tcp://address:port`, IPv6 addresses in brackets.
pub fn endpoint_text(addr: &SocketAddr) -> String {
    let (host, port) = (address_text(addr), addr.port());
    match addr {
        SocketAddr::V4(_) => format!("tcp://{host}:{port}"),
        SocketAddr::V6(_) => format!("tcp://[{host}]:{port}"),
    }
}

/// The address without its port; a link-local one with its zone.
pub fn address_text(addr: &SocketAddr) -> String {
    match addr {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) if v6.scope_id() == 0 => v6.ip().to_string(),
        SocketAddr::V6(v6) => match sys::interface_name(v6.scope_id()) {
            Some(name) => format!("{}%{name}", v6.ip()),
            None => format!("{}%{}", v6.ip(), v6.scope_id()),
        },
    }
}

/// A host without its brackets, its zone taken off.
struct Host<'a> {
    name: &'a str,
    zone: Option<u32>,
}

impl Host<'_> {
    /// # Errors
    /// INVAL for a zone that is empty, zero or no interface.
    fn parse(text: &str) -> Result<Host<'_>> {
        let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        let Some((name, zone)) = text.rsplit_once('%') else {
            return Ok(Host { name: text, zone: None });
        };
        let index = if zone.starts_with(|first: char| first.is_ascii_alphabetic()) {
            sys::interface_index(zone)
        } else {
            zone.parse().ok()
        };
        match index {
            None | Some(0) => Err(Error::INVAL),
            zone => Ok(Host { name, zone }),
        }
    }
}

/// An address in its usual digits that fits the family.
fn parse_ip(name: &str, ipv6: bool) -> Option<IpAddr> {
    match (name.parse().ok()?, ipv6) {
        (IpAddr::V4(v4), false) => Some(v4.into()),
        (IpAddr::V4(v4), true) => Some(v4.to_ipv6_mapped().into()),
        (IpAddr::V6(v6), true) => Some(v6.into()),
        (IpAddr::V6(_), false) => None,
    }
}

fn complete(mut addr: SocketAddr, port: u16, zone: Option<u32>) -> SocketAddr {
    addr.set_port(port);
    if let (SocketAddr::V6(v6), Some(zone)) = (&mut addr, zone) {
        v6.set_scope_id(zone);
    }
    addr
}

fn or_else_no_device(error: Error) -> Error {
    if error == Error::NOMEM { error } else { Error::NODEV }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_hosts() {
        let v6 = sys::ipv6_supported();
        for (host, ipv6, expected) in [
            ("*", false, Ok("0.0.0.0:7")),
            ("[*]", false, Ok("0.0.0.0:7")),
            ("*", true, Ok("[::]:7")),
            ("127.0.0.1", false, Ok("127.0.0.1:7")),
            ("[127.0.0.1]", false, Ok("127.0.0.1:7")),
            ("127.1", false, Ok("127.0.0.1:7")),
            ("127.0.0.1", true, Ok("[::ffff:127.0.0.1]:7")),
            ("[::1]", true, Ok("[::1]:7")),
            ("::1", true, Ok("[::1]:7")),
            ("::1", false, Err(Error::NODEV)),
            ("lo", false, Ok("127.0.0.1:7")),
            ("fe80::1%lo", true, Ok("[fe80::1%1]:7")),
            ("fe80::1%1", true, Ok("[fe80::1%1]:7")),
            ("fe80::1%", true, Err(Error::INVAL)),
            ("fe80::1%0", true, Err(Error::INVAL)),
            ("fe80::1%nosuch0", true, Err(Error::INVAL)),
            ("", false, Err(Error::NODEV)),
            ("no\0name", false, Err(Error::NODEV)),
            ("localhost", false, Err(Error::NODEV)),
        ] {
            if ipv6 && !v6 {
                continue;
            }
            let result = resolve_local(host, 7, ipv6, Dns::Forbidden).map(|a| a.to_string());
            assert_eq!(result.as_deref().map_err(|e| *e), expected, "{host:?} ipv6 {ipv6}");
        }
        let named = resolve_local("localhost", 7, false, Dns::Allowed).map(|a| a.to_string());
        assert_eq!(named.as_deref(), Ok("127.0.0.1:7"));
    }

    #[test]
    fn remote_hosts() {
        for (host, expected) in [
            ("127.0.0.1", Some(Ok("127.0.0.1:7"))),
            ("127.1", Some(Ok("127.0.0.1:7"))),
            ("[127.0.0.1]", Some(Ok("127.0.0.1:7"))),
            ("::1", Some(Err(Error::INVAL))),
            ("*", Some(Err(Error::INVAL))),
            ("", Some(Err(Error::INVAL))),
            ("1%", Some(Err(Error::INVAL))),
            ("localhost", None),
            // Interface names are for binding only.
            ("lo", None),
        ] {
            let result = resolve_literal(host, 7, false).map(|r| r.map(|a| a.to_string()));
            let result = result.as_ref().map(|r| r.as_deref().map_err(|e| *e));
            assert_eq!(result, expected, "{host:?}");
        }
        assert_eq!(resolve_remote("localhost", 7, false).unwrap()[0].to_string(), "127.0.0.1:7");
        assert_eq!(resolve_remote("no host", 7, false), Err(Error::INVAL));
    }

    #[test]
    fn texts() {
        for (addr, expected) in [
            ("127.0.0.1:5555", "tcp://127.0.0.1:5555"),
            ("[::1]:5555", "tcp://[::1]:5555"),
            ("[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1"),
            ("[fe80::1%1]:1", "tcp://[fe80::1%lo]:1"),
        ] {
            assert_eq!(endpoint_text(&addr.parse().unwrap()), expected);
        }
        assert_eq!(address_text(&"[::ffff:127.0.0.1]:1".parse().unwrap()), "::ffff:127.0.0.1");
    }
}
