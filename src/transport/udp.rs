// SPDX-License-Identifier: MPL-2.0
//! udp: datagram sockets, bound to an address or a multicast group, or for sending to one.
//!
//! They are opened and bound in the thread that binds or connects, so that errors are those of
//! its call; host names are looked up there, too, as in libzmq. Man pages: zmq_udp(7), udp(7),
//! ip(7), ipv6(7).

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::host::{self, Dns};
use super::{Kind, SocketSettings, Stream, sockopt, sys};
use crate::endpoint::{Host, Role, UdpAddress};
use crate::errno::{Error, Result};

/// What the addresses of an endpoint come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resolved {
    /// Where datagrams arrive, and for multicast the interface, by its address.
    local: SocketAddr,
    /// Where they go to: a peer or a group.
    target: SocketAddr,
    /// The interface's number; 0 leaves it to the system.
    interface: u32,
}

impl Resolved {
    fn is_multicast(&self) -> bool {
        self.target.ip().is_multicast()
    }
}

/// A socket that datagrams arrive at. With it the endpoint: as it was written, or with the number
/// of a port that the system chose.
///
/// # Errors
/// NODEV for an unknown host, interface or device, INVAL for an interface without a group or of
/// another family, ADDRNOTAVAIL, ACCES, and those of the options, PERM among them.
pub fn bind(address: &UdpAddress, settings: &SocketSettings) -> Result<(Stream, Vec<u8>)> {
    let resolved = resolve(address, Role::Bind, settings.ipv6)?;
    let socket = open(&resolved, settings)?;
    socket.set_reuse_address(true)?;
    if resolved.is_multicast() {
        // Whoever joins the group on this port is to get its datagrams.
        socket.set_reuse_port(true)?;
        let any = unspecified(&resolved.target, resolved.target.port());
        socket.bind(&any.into())?;
        join(&socket, &resolved)?;
        // A DGRAM socket may send to groups as well.
        send_multicast_like(&socket, &resolved, settings)?;
    } else {
        socket.bind(&resolved.local.into())?;
    }
    let mut endpoint = address.endpoint();
    if address.port == 0
        && let Some(bound) = socket.local_addr()?.as_socket()
    {
        let shown = SocketAddr::new(resolved.target.ip(), bound.port());
        endpoint = format!("udp://{shown}").into_bytes();
        if let Some(interface) = &address.interface {
            endpoint = format!("udp://{interface};{shown}").into_bytes();
        }
    }
    Ok((Stream::from_socket(socket, Kind::Udp), endpoint))
}

/// A socket that datagrams leave from, and where they go to.
///
/// # Errors
/// INVAL for an unknown host, NODEV for an unknown interface, and those of the options.
pub fn connect(address: &UdpAddress, settings: &SocketSettings) -> Result<(Stream, SocketAddr)> {
    let resolved = resolve(address, Role::Connect, settings.ipv6)?;
    let socket = open(&resolved, settings)?;
    if resolved.is_multicast() {
        send_multicast_like(&socket, &resolved, settings)?;
    }
    Ok((Stream::from_socket(socket, Kind::Udp), resolved.target))
}

fn resolve(address: &UdpAddress, role: Role, ipv6: bool) -> Result<Resolved> {
    let mut local = None;
    // For want of a name there is no number, and groups of IPv6 are joined by number.
    let mut interface = Some(0);
    if let Some(given) = &address.interface {
        let addr = host::resolve_local(given, address.port, ipv6, Dns::Forbidden)?;
        if addr.ip().is_multicast() {
            return Err(Error::INVAL);
        }
        interface = match given {
            Host::Any => Some(0),
            Host::Name { name, .. } => sys::interface_index(name),
            Host::V4(_) | Host::V6 { .. } => None,
        };
        local = Some(addr);
    }
    let target = match role {
        Role::Connect => host::resolve_remote(&address.host, address.port, ipv6)?
            .first()
            .copied()
            .ok_or(Error::INVAL)?,
        _ => host::resolve_local(&address.host, address.port, ipv6, Dns::Allowed)?,
    };
    let multicast = target.ip().is_multicast();
    let local = match local {
        Some(_) if !multicast => return Err(Error::INVAL),
        Some(local) => local,
        None if multicast || role == Role::Connect => unspecified(&target, address.port),
        None => target,
    };
    if local.is_ipv4() != target.is_ipv4() {
        return Err(Error::INVAL);
    }
    let interface = match interface {
        None if target.is_ipv6() => return Err(Error::NODEV),
        interface => interface.unwrap_or(0),
    };
    Ok(Resolved { local, target, interface })
}

/// A fresh socket with the options that have nothing to do with multicast.
fn open(resolved: &Resolved, settings: &SocketSettings) -> Result<Socket> {
    let domain = Domain::for_address(resolved.target);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    sockopt::prepare(&socket, settings)?;
    Ok(socket)
}

fn join(socket: &Socket, resolved: &Resolved) -> Result<()> {
    match (resolved.target.ip(), resolved.local.ip()) {
        (IpAddr::V4(group), IpAddr::V4(interface)) => {
            socket.join_multicast_v4(&group, &interface)?;
        }
        (IpAddr::V6(group), _) => {
            socket.join_multicast_v6(&group, interface_of(resolved))?;
        }
        _ => return Err(Error::INVAL),
    }
    Ok(())
}

/// `ZMQ_MULTICAST_LOOP`, `ZMQ_MULTICAST_HOPS`, and the interface to send from.
fn send_multicast_like(
    socket: &Socket,
    resolved: &Resolved,
    settings: &SocketSettings,
) -> Result<()> {
    match resolved.local.ip() {
        IpAddr::V4(interface) => {
            socket.set_multicast_loop_v4(settings.multicast_loop)?;
            socket.set_multicast_ttl_v4(settings.multicast_hops)?;
            if !interface.is_unspecified() {
                socket.set_multicast_if_v4(&interface)?;
            }
        }
        IpAddr::V6(_) => {
            socket.set_multicast_loop_v6(settings.multicast_loop)?;
            socket.set_multicast_hops_v6(settings.multicast_hops)?;
            if interface_of(resolved) != 0 {
                socket.set_multicast_if_v6(interface_of(resolved))?;
            }
        }
    }
    Ok(())
}

/// The number of the interface, which the group's zone can give as well.
fn interface_of(resolved: &Resolved) -> u32 {
    match resolved.target {
        SocketAddr::V6(target) if resolved.interface == 0 => target.scope_id(),
        _ => resolved.interface,
    }
}

/// The unspecified address of the same family.
fn unspecified(like: &SocketAddr, port: u16) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), port),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
    }
}

/// One attempt to send a datagram; false when the kernel has no room. One that cannot be sent is
/// lost, as any datagram can be.
pub(super) fn send(socket: &Socket, datagram: &[u8], to: SocketAddr) -> bool {
    let to = SockAddr::from(to);
    loop {
        match socket.send_to_with_flags(datagram, &to, sys::SEND_FLAGS).map_err(Error::from) {
            Err(Error::INTR) => {}
            Err(Error::AGAIN) => return false,
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Errors of earlier datagrams that are passed over before the next one is read.
const STALE_ERRORS: usize = 16;

/// One attempt to receive a datagram into `buffer`: its length, and who sent it; `None` when
/// nothing is there.
///
/// # Errors
/// Those of a socket that is of no use: BADF, NOTSOCK, INVAL.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>> {
    for _ in 0..STALE_ERRORS {
        match sys::receive_from(socket.as_fd(), buffer).map_err(Error::from) {
            Ok((length, from)) => {
                let from = from.as_socket().ok_or(Error::INVAL)?;
                return Ok(Some((length, from)));
            }
            Err(Error::AGAIN | Error::NOMEM | Error::NOBUFS) => return Ok(None),
            Err(error @ (Error::BADF | Error::NOTSOCK | Error::INVAL | Error::FAULT)) => {
                return Err(error);
            }
            // A signal, or what the network reports about a datagram sent before.
            Err(_) => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::poll_fds;
    use super::*;
    use crate::endpoint::{BindEndpoint, ConnectEndpoint, parse_bind, parse_connect};
    use std::time::Duration;

    fn bound(text: &str) -> UdpAddress {
        match parse_bind(format!("udp://{text}").as_bytes()) {
            Ok(BindEndpoint::Udp(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn connected(text: &str) -> UdpAddress {
        match parse_connect(format!("udp://{text}").as_bytes()) {
            Ok(ConnectEndpoint::Udp(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn addresses_to_bind() {
        for (text, ipv6, expected) in [
            ("127.0.0.1:7", false, Ok(("127.0.0.1:7", "127.0.0.1:7", 0))),
            ("*:7", false, Ok(("0.0.0.0:7", "0.0.0.0:7", 0))),
            ("*:7", true, Ok(("[::]:7", "[::]:7", 0))),
            ("lo:7", false, Ok(("127.0.0.1:7", "127.0.0.1:7", 0))),
            ("no name:7", false, Err(Error::NODEV)),
            ("[::1]:7", false, Err(Error::NODEV)),
            ("[::1]:7", true, Ok(("[::1]:7", "[::1]:7", 0))),
            ("239.0.0.1:7", false, Ok(("0.0.0.0:7", "239.0.0.1:7", 0))),
            ("*;239.0.0.1:7", false, Ok(("0.0.0.0:7", "239.0.0.1:7", 0))),
            ("127.0.0.1;239.0.0.1:7", false, Ok(("127.0.0.1:7", "239.0.0.1:7", 0))),
            ("lo;239.0.0.1:7", false, Ok(("127.0.0.1:7", "239.0.0.1:7", 1))),
            ("nosuch0;239.0.0.1:7", false, Err(Error::NODEV)),
            ("lo;localhost:7", false, Err(Error::INVAL)),
            ("[ff02::1]:7", true, Ok(("[::]:7", "[ff02::1]:7", 0))),
            ("*;[ff02::1]:7", true, Ok(("[::]:7", "[ff02::1]:7", 0))),
            ("lo;[ff02::1]:7", true, Ok(("[::1]:7", "[ff02::1]:7", 1))),
            ("[::1];[ff02::1]:7", true, Err(Error::NODEV)),
        ] {
            if ipv6 && !sys::ipv6_supported() {
                continue;
            }
            let resolved = resolve(&bound(text), Role::Bind, ipv6);
            let shown =
                resolved.map(|it| (it.local.to_string(), it.target.to_string(), it.interface));
            let shown = shown
                .as_ref()
                .map(|(local, target, interface)| (local.as_str(), target.as_str(), *interface));
            assert_eq!(shown.map_err(|error| *error), expected, "{text}");
        }
    }

    #[test]
    fn addresses_to_send_to() {
        for (text, expected) in [
            ("127.0.0.1:7", Ok(("0.0.0.0:7", "127.0.0.1:7"))),
            ("localhost:7", Ok(("0.0.0.0:7", "127.0.0.1:7"))),
            ("lo:7", Err(Error::INVAL)),
            ("no name:7", Err(Error::INVAL)),
            ("lo;239.0.0.1:7", Ok(("127.0.0.1:7", "239.0.0.1:7"))),
        ] {
            let resolved = resolve(&connected(text), Role::Connect, false);
            let shown = resolved.map(|it| (it.local.to_string(), it.target.to_string()));
            let shown = shown.as_ref().map(|(local, target)| (local.as_str(), target.as_str()));
            assert_eq!(shown.map_err(|error| *error), expected, "{text}");
        }
    }

    #[test]
    fn datagrams_there() {
        let settings = SocketSettings { tos: 8, ..SocketSettings::default() };
        let (there, endpoint) = bind(&bound("127.0.0.1:*"), &settings).unwrap();
        let endpoint = String::from_utf8(endpoint).unwrap();
        let at = endpoint.strip_prefix("udp://").unwrap();
        assert_eq!(there.kind(), Kind::Udp);
        assert_eq!(there.socket().tos_v4().unwrap(), 8);
        let (here, target) = connect(&connected(at), &settings).unwrap();
        assert_eq!(target.to_string(), at);

        let mut buffer = [0; 16];
        assert_eq!(there.receive_datagram(&mut buffer), Ok(None));
        for text in [&b"one"[..], b"", b"three"] {
            assert!(here.send_datagram(text, target));
        }
        for text in [&b"one"[..], b"", b"three"] {
            let mut fds = [libc::pollfd { fd: there.fd(), events: libc::POLLIN, revents: 0 }];
            assert_eq!(poll_fds(&mut fds, Some(Duration::from_secs(10))), Ok(1));
            let (length, from) = there.receive_datagram(&mut buffer).unwrap().unwrap();
            assert_eq!(&buffer[..length], text);
            assert_eq!(from.ip().to_string(), "127.0.0.1");
        }
        // What cannot be sent is lost without a word.
        assert!(here.send_datagram(&[0; 70_000], target));
    }

    #[test]
    fn endpoints_are_as_written_unless_the_port_was_open() {
        let settings = SocketSettings::default();
        let (stream, endpoint) = bind(&bound("*:*"), &settings).unwrap();
        let port = stream.local_addr().unwrap().port();
        assert_eq!(endpoint, format!("udp://0.0.0.0:{port}").as_bytes());
        drop(stream);
        let text = format!("*:{port}");
        let (_stream, endpoint) = bind(&bound(&text), &settings).unwrap();
        assert_eq!(endpoint, format!("udp://{text}").as_bytes());
    }

    #[test]
    fn multicast_options_reach_the_kernel() {
        let settings = SocketSettings {
            multicast_hops: 3,
            multicast_loop: false,
            ..SocketSettings::default()
        };
        let (stream, _) = connect(&connected("lo;239.0.0.1:7"), &settings).unwrap();
        let socket = stream.socket();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        assert!(!socket.multicast_loop_v4().unwrap());
        assert_eq!(socket.multicast_if_v4().unwrap().to_string(), "127.0.0.1");
        if sys::ipv6_supported() {
            let settings = SocketSettings { ipv6: true, ..settings };
            let (stream, _) = connect(&connected("lo;[ff02::1]:7"), &settings).unwrap();
            let socket = stream.socket();
            assert_eq!(socket.multicast_hops_v6().unwrap(), 3);
            assert!(!socket.multicast_loop_v6().unwrap());
            assert_eq!(socket.multicast_if_v6().unwrap(), 1);
        }
    }

    #[test]
    fn errors_are_those_of_the_bind() {
        let settings = SocketSettings::default();
        // An address for documentation, which no machine has (RFC 5737).
        assert_eq!(bind(&bound("203.0.113.1:7"), &settings).unwrap_err(), Error::ADDRNOTAVAIL);
        let nowhere =
            SocketSettings { bind_to_device: b"nosuch0".into(), ..SocketSettings::default() };
        let error = bind(&bound("127.0.0.1:*"), &nowhere).unwrap_err();
        assert!([Error::NODEV, Error::PERM].contains(&error));
    }
}
