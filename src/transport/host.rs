// SPDX-License-Identifier: MPL-2.0
//! Hosts turned into addresses, and addresses into text.
//!
//! `ipv6` always means the option `ZMQ_IPV6`: with it addresses are IPv6 ones, IPv4 mapped into
//! them, unless the system has no IPv6 at all; without it they are IPv4 ones only.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::sys;
use crate::endpoint::{Host, Transport, Zone, tcp_endpoint};
use crate::errno::{Error, Result};

/// Whether names may be looked up in the DNS, which may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dns {
    Allowed,
    Forbidden,
}

/// The address to bind to. A name is that of a network interface or else, if `dns` allows, one of
/// the DNS: binds of tcp allow it; binds of ws and source addresses of connects do not.
///
/// # Errors
/// NODEV when the host is unknown, INVAL for an unknown zone, NOMEM.
pub fn resolve_local(host: &Host, port: u16, ipv6: bool, dns: Dns) -> Result<SocketAddr> {
    let ipv6 = ipv6 && sys::ipv6_supported();
    let scope = scope(host)?;
    let addr = match host {
        Host::Any if ipv6 => unbound(Ipv6Addr::UNSPECIFIED.into()),
        Host::Any => unbound(Ipv4Addr::UNSPECIFIED.into()),
        Host::V4(_) | Host::V6 { .. } => literal(host, ipv6).ok_or(Error::NODEV)?,
        Host::Name { name, .. } => match sys::interface_address(name, ipv6) {
            Ok(Some(addr)) => addr,
            Ok(None) | Err(Error::NODEV) if dns == Dns::Allowed && could_be_name(name) => {
                first_of(sys::lookup(name, ipv6), Error::NODEV)?
            }
            Ok(None) => return Err(Error::NODEV),
            Err(error) => return Err(error),
        },
    };
    Ok(complete(addr, port, scope))
}

/// The address to connect to, or why there is none, if that can be told without asking anyone;
/// `None` for a name, which is for [`resolve_remote`].
pub fn resolve_literal(host: &Host, port: u16, ipv6: bool) -> Option<Result<SocketAddr>> {
    let ipv6 = ipv6 && sys::ipv6_supported();
    let scope = match scope(host) {
        Ok(scope) => scope,
        Err(error) => return Some(Err(error)),
    };
    match host {
        Host::Name { name, .. } if could_be_name(name) => None,
        _ => Some(match literal(host, ipv6) {
            Some(addr) => Ok(complete(addr, port, scope)),
            None => Err(Error::INVAL),
        }),
    }
}

/// The addresses to connect to, best first and at least one; asks the DNS and may block for long.
///
/// # Errors
/// INVAL when there is none, NOMEM.
pub fn resolve_remote(host: &Host, port: u16, ipv6: bool) -> Result<Vec<SocketAddr>> {
    if let Some(answer) = resolve_literal(host, port, ipv6) {
        return Ok(vec![answer?]);
    }
    let Host::Name { name, .. } = host else { return Err(Error::INVAL) };
    let scope = scope(host)?;
    let mut addresses = sys::lookup(name, ipv6 && sys::ipv6_supported())
        .map_err(|error| if error == Error::NOMEM { error } else { Error::INVAL })?;
    for addr in &mut addresses {
        *addr = complete(*addr, port, scope);
    }
    Ok(addresses)
}

/// The endpoint of a resolved address, as `ZMQ_LAST_ENDPOINT` and monitor events show it.
pub fn endpoint_text(transport: Transport, addr: &SocketAddr) -> String {
    tcp_endpoint(transport, addr, zone_name(addr).as_deref())
}

/// The name of the interface a link-local address belongs to.
pub fn zone_name(addr: &SocketAddr) -> Option<String> {
    match addr {
        SocketAddr::V6(addr) if addr.scope_id() != 0 => sys::interface_name(addr.scope_id()),
        _ => None,
    }
}

/// The address without its port; a link-local one with its zone.
pub fn address_text(addr: &SocketAddr) -> String {
    match (addr, zone_name(addr)) {
        (SocketAddr::V6(addr), None) if addr.scope_id() != 0 => {
            format!("{}%{}", addr.ip(), addr.scope_id())
        }
        (_, None) => addr.ip().to_string(),
        (_, Some(zone)) => format!("{}%{zone}", addr.ip()),
    }
}

/// The scope id of a host's zone; `None` without a zone.
///
/// # Errors
/// INVAL for a zone that is no interface.
fn scope(host: &Host) -> Result<Option<u32>> {
    match host {
        Host::Any | Host::V4(_) | Host::V6 { zone: None, .. } | Host::Name { zone: None, .. } => {
            Ok(None)
        }
        Host::V6 { zone: Some(zone), .. } | Host::Name { zone: Some(zone), .. } => match zone {
            Zone::Index(index) => Ok(Some(*index)),
            Zone::Name(name) => sys::interface_index(name).map(Some).ok_or(Error::INVAL),
        },
    }
}

/// The address of a literal host if it fits the family.
fn literal(host: &Host, ipv6: bool) -> Option<SocketAddr> {
    match host {
        Host::V4(addr) if ipv6 => Some(unbound(addr.to_ipv6_mapped().into())),
        Host::V4(addr) => Some(unbound((*addr).into())),
        Host::V6 { addr, .. } if ipv6 => Some(unbound((*addr).into())),
        // A mapped address is one of IPv4, however it is written.
        Host::V6 { addr, .. } => addr.to_ipv4_mapped().map(|addr| unbound(addr.into())),
        _ => None,
    }
}

/// Whether it makes sense to look a name up. Connect endpoints that only look like an address
/// come here as a name that holds all of it.
fn could_be_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['*', ':', ';', '%', '[', ']'])
}

fn unbound(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}

fn complete(mut addr: SocketAddr, port: u16, scope: Option<u32>) -> SocketAddr {
    addr.set_port(port);
    if let (SocketAddr::V6(addr), Some(scope)) = (&mut addr, scope) {
        addr.set_scope_id(scope);
    }
    addr
}

fn first_of(addresses: Result<Vec<SocketAddr>>, unknown: Error) -> Result<SocketAddr> {
    match addresses {
        Ok(addresses) => addresses.into_iter().next().ok_or(unknown),
        Err(Error::NOMEM) => Err(Error::NOMEM),
        Err(_) => Err(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{ConnectEndpoint, parse_bind, parse_connect};

    fn bind_host(text: &str) -> Host {
        match parse_bind(format!("tcp://{text}:1").as_bytes()) {
            Ok(crate::endpoint::BindEndpoint::Tcp(bind)) => bind.host,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn connect_host(text: &str) -> Host {
        match parse_connect(format!("tcp://{text}:1").as_bytes()) {
            Ok(ConnectEndpoint::Tcp(connect)) => connect.host,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn local_hosts() {
        for (host, ipv6, expected) in [
            ("*", false, Ok("0.0.0.0:7")),
            ("*", true, Ok("[::]:7")),
            ("127.0.0.1", false, Ok("127.0.0.1:7")),
            ("127.0.0.1", true, Ok("[::ffff:127.0.0.1]:7")),
            ("[::1]", true, Ok("[::1]:7")),
            ("::1", false, Err(Error::NODEV)),
            ("::ffff:127.0.0.1", false, Ok("127.0.0.1:7")),
            ("::127.0.0.1", false, Err(Error::NODEV)),
            ("lo", false, Ok("127.0.0.1:7")),
            ("[fe80::1%lo]", true, Ok("[fe80::1%1]:7")),
            ("fe80::1%1", true, Ok("[fe80::1%1]:7")),
            ("fe80::1%nosuch0", true, Err(Error::INVAL)),
            ("no name", false, Err(Error::NODEV)),
            ("localhost", false, Err(Error::NODEV)),
        ] {
            if ipv6 && !sys::ipv6_supported() {
                continue;
            }
            let result = resolve_local(&bind_host(host), 7, ipv6, Dns::Forbidden);
            let result = result.map(|addr| addr.to_string());
            assert_eq!(result.as_deref().map_err(|error| *error), expected, "{host} ipv6 {ipv6}");
        }
        for (host, expected) in [
            ("localhost", Ok("127.0.0.1:7")),
            ("no name", Err(Error::NODEV)),
            ("no\0name", Err(Error::NODEV)),
        ] {
            let result = resolve_local(&bind_host(host), 7, false, Dns::Allowed);
            let result = result.map(|addr| addr.to_string());
            assert_eq!(result.as_deref().map_err(|error| *error), expected, "{host}");
        }
    }

    #[test]
    fn remote_hosts() {
        for (host, expected) in [
            ("127.0.0.1", Some(Ok("127.0.0.1:7"))),
            ("127.1", Some(Ok("127.0.0.1:7"))),
            ("::1", Some(Err(Error::INVAL))),
            ("[::ffff:127.0.0.1]", Some(Ok("127.0.0.1:7"))),
            ("[*]", Some(Err(Error::INVAL))),
            ("", Some(Err(Error::INVAL))),
            ("127.0.0.1:00", Some(Err(Error::INVAL))),
            ("fe80::1%nosuch0", Some(Err(Error::INVAL))),
            ("localhost", None),
            // Interface names are for binding only.
            ("lo", None),
        ] {
            let result = resolve_literal(&connect_host(host), 7, false);
            let result = result.map(|answer| answer.map(|addr| addr.to_string()));
            let result = result.as_ref().map(|r| r.as_deref().map_err(|error| *error));
            assert_eq!(result, expected, "{host}");
        }
        let localhost = resolve_remote(&connect_host("localhost"), 7, false).unwrap();
        assert_eq!(localhost[0].to_string(), "127.0.0.1:7");
        let literal = resolve_remote(&connect_host("127.0.0.1"), 7, false).unwrap();
        assert_eq!(literal, ["127.0.0.1:7".parse().unwrap()]);
        let unknown = Host::Name { name: "no name".into(), zone: None };
        assert_eq!(resolve_remote(&unknown, 7, false), Err(Error::INVAL));
    }

    #[test]
    fn texts() {
        for (addr, endpoint, text) in [
            ("127.0.0.1:5555", "tcp://127.0.0.1:5555", "127.0.0.1"),
            ("[::1]:5555", "tcp://[::1]:5555", "::1"),
            ("[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1"),
            ("[fe80::1%1]:1", "tcp://[fe80::1%lo]:1", "fe80::1%lo"),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(endpoint_text(Transport::Tcp, &addr), endpoint);
            assert_eq!(address_text(&addr), text);
        }
    }
}
