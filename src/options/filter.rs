// SPDX-License-Identifier: MPL-2.0
//! Who may connect: `ZMQ_TCP_ACCEPT_FILTER` and the `ZMQ_IPC_FILTER_*` options.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::text::{ip_literal, leading_int};
use crate::errno::{Error, Result};

/// One network of `ZMQ_TCP_ACCEPT_FILTER`: a numeric address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpAcceptFilter {
    network: IpAddr,
    prefix: u32,
}

impl TcpAcceptFilter {
    /// Parses "address" or "address/bits".
    ///
    /// With `ipv6`, which is the socket's `ZMQ_IPV6` at this moment, the filter applies to IPv6
    /// sockets, where IPv4 peers appear as ::ffff:a.b.c.d. An IPv4 address is then mapped, and its
    /// bits count within the 128 of the mapped address, as in libzmq. Without it, IPv6 networks
    /// are EINVAL.
    pub fn parse(text: &[u8], ipv6: bool) -> Result<TcpAcceptFilter> {
        // The value comes with or without a terminating NUL.
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let (address, bits) = match text.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
            None => (text, None),
        };
        let network = match (ip_literal(without_zone(without_brackets(address))?), ipv6) {
            (Some(IpAddr::V4(address)), true) => IpAddr::V6(address.to_ipv6_mapped()),
            (Some(IpAddr::V6(_)), false) | (None, _) => return Err(Error::INVAL),
            (Some(address), _) => address,
        };
        let width = if network.is_ipv6() { 128 } else { 32 };
        let prefix = match bits {
            None => width,
            Some(b"0") => 0,
            Some(bits) => match u32::try_from(leading_int(bits)) {
                Ok(bits @ 1..) if bits <= width => bits,
                _ => return Err(Error::INVAL),
            },
        };
        Ok(TcpAcceptFilter { network, prefix })
    }

    /// Whether the peer at this address belongs to the network. The two families never match; an
    /// IPv4 peer on an IPv6 socket is given in its mapped form, as the kernel reports it.
    pub fn matches(&self, peer: &SocketAddr) -> bool {
        match (self.network, peer.ip()) {
            (IpAddr::V4(network), IpAddr::V4(peer)) => {
                let differing = u32::from(network) ^ u32::from(peer);
                differing.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(peer)) => {
                let differing = u128::from(network) ^ u128::from(peer);
                differing.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

fn without_brackets(address: &[u8]) -> &[u8] {
    match address {
        [b'[', inner @ .., b']'] => inner,
        _ => address,
    }
}

/// Drops the "%zone" of an address, which plays no part in matching but has to be one.
fn without_zone(address: &[u8]) -> Result<&[u8]> {
    let Some(percent) = address.iter().rposition(|byte| *byte == b'%') else {
        return Ok(address);
    };
    let zone = &address[percent + 1..];
    if zone.first().is_some_and(u8::is_ascii_alphabetic) || leading_int(zone) != 0 {
        Ok(&address[..percent])
    } else {
        Err(Error::INVAL)
    }
}

/// The `ZMQ_IPC_FILTER_*` lists, each value in them once. A peer in any of them may connect; while
/// all are empty, everybody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpcFilters {
    pub uids: Vec<u32>,
    /// A peer is in this list by its primary group or as a listed member.
    pub gids: Vec<u32>,
    pub pids: Vec<i32>,
}

impl IpcFilters {
    /// Whether nothing filters, so nobody need ask who the peer is.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty() && self.gids.is_empty() && self.pids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, ipv6: bool, peer: &str) -> bool {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
        TcpAcceptFilter::parse(filter.as_bytes(), ipv6).unwrap().matches(&peer)
    }

    #[test]
    fn malformed_networks() {
        for (text, ipv6) in [
            ("", false),
            ("foo", false),
            ("0.0.0.0foo", false),
            ("0.0.0.0/foo", false),
            ("0.0.0.0/", false),
            ("0.0.0.0/-1", false),
            ("0.0.0.0/33", false),
            ("0.0.0.0/00", false),
            ("0.0.0.0/99999999999999999999", false),
            ("*", false),
            ("127.0.0.1:80", false),
            ("::1", false),
            ("::1/129", true),
            ("fe80::1%/64", true),
            ("fe80::1%0/64", true),
            ("\0", false),
        ] {
            let result = TcpAcceptFilter::parse(text.as_bytes(), ipv6);
            assert_eq!(result, Err(Error::INVAL), "{text:?}");
        }
    }

    #[test]
    fn networks() {
        assert!(matches("127.0.0.1/32", false, "127.0.0.1"));
        assert!(matches("127.0.0.1", false, "127.0.0.1"));
        assert!(matches("127.0.0.1\0", false, "127.0.0.1"));
        assert!(matches("[127.0.0.1]", false, "127.0.0.1"));
        assert!(!matches("127.0.0.255/32", false, "127.0.0.1"));
        assert!(matches("0.0.0.0/0", false, "10.1.2.3"));
        assert!(matches("10.0.0.0/8", false, "10.255.0.1"));
        assert!(!matches("10.0.0.0/8", false, "11.0.0.1"));
        assert!(matches("10.64.0.0/10", false, "10.127.255.255"));
        assert!(!matches("10.64.0.0/10", false, "10.128.0.0"));
        assert!(matches("fe80::1%eth0/10", true, "fe80::2"));
        assert!(matches("2001:db8::/33", true, "2001:db8:7fff::1"));
        assert!(!matches("2001:db8::/33", true, "2001:db8:8000::1"));
        assert!(matches("::1", true, "::1"));
    }

    #[test]
    fn families_do_not_match() {
        assert!(!matches("0.0.0.0/0", false, "::1"));
        assert!(!matches("0.0.0.0/0", false, "::ffff:127.0.0.1"));
        assert!(!matches("::/0", true, "127.0.0.1"));
    }

    #[test]
    fn ipv4_networks_of_an_ipv6_socket_are_mapped() {
        assert!(matches("127.0.0.1", true, "::ffff:127.0.0.1"));
        assert!(!matches("127.0.0.2", true, "::ffff:127.0.0.1"));
        assert!(matches("127.0.0.0/104", true, "::ffff:127.9.9.9"));
        assert!(!matches("127.0.0.0/104", true, "::ffff:126.9.9.9"));
    }
}
