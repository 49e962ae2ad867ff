// SPDX-License-Identifier: MPL-2.0
//! Endpoint strings, parsed once into types.
//!
//! A bind or connect goes through these steps, each with its errno, in libzmq's order:
//!
//! 1. [`split`]: EINVAL for what is no URI, EPROTONOSUPPORT for an unknown transport;
//! 2. [`Transport::compatible`]: ENOCOMPATPROTO for a transport the socket's type cannot use;
//! 3. the caller chooses an I/O thread if [`Transport::needs_io_thread`]: EMTHREAD;
//! 4. [`BindEndpoint::parse`] or [`ConnectEndpoint::parse`]: EINVAL, ENAMETOOLONG or ENODEV for
//!    the address.
//!
//! Nothing here asks the system: DNS and interface names stay [`Host::Name`], zones stay
//! [`Zone::Name`], and the transport resolves them. Each file also formats its endpoint the way
//! `ZMQ_LAST_ENDPOINT` shows it. Man pages: zmq_tcp(7), zmq_ipc(7), zmq_inproc(7), zmq_udp(7),
//! zmq_tipc(7), zmq_vsock(7).
#![forbid(unsafe_code)]

mod host;
mod ipc;
mod tcp;
mod tipc;
mod udp;
mod vsock;
mod ws;

pub use host::{Host, Zone};
pub use ipc::{IpcAddress, IpcBind};
pub use tcp::{TcpBind, TcpConnect, TcpSource, tcp_endpoint};
pub use tipc::{TipcAddress, TipcBind};
pub use udp::{UdpAddress, peer_address, peer_address_text};
pub use vsock::VsockAddress;
pub use ws::{WsBind, WsConnect, ws_endpoint};

use crate::abi::*;
use crate::errno::{Error, Result};

/// The transports that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Inproc,
    Ipc,
    Tcp,
    /// ZMTP inside TLS; addresses as for tcp.
    Tls,
    Ws,
    Wss,
    Udp,
    Tipc,
    Vsock,
}

/// What an endpoint is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Bind,
    Connect,
    /// `zmq_unbind` and `zmq_disconnect`, which do the same.
    Terminate,
}

impl Transport {
    const ALL: &[Transport] = &[
        Transport::Inproc,
        Transport::Ipc,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
        Transport::Udp,
        Transport::Tipc,
        Transport::Vsock,
    ];

    /// The transport of a scheme, in lower case as endpoints are written.
    pub fn from_scheme(scheme: &[u8]) -> Option<Transport> {
        Transport::ALL.iter().copied().find(|known| known.scheme().as_bytes() == scheme)
    }

    pub fn scheme(self) -> &'static str {
        match self {
            Transport::Inproc => "inproc",
            Transport::Ipc => "ipc",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
            Transport::Udp => "udp",
            Transport::Tipc => "tipc",
            Transport::Vsock => "vsock",
        }
    }

    /// ENOCOMPATPROTO unless a socket of this type can use the transport in this role. Over udp
    /// RADIO connects, DISH and DGRAM bind. STREAM's raw bytes have no place inside WebSocket.
    pub fn compatible(self, socket_type: i32, role: Role) -> Result<()> {
        let compatible = match (self, role) {
            (Transport::Udp, Role::Bind) => matches!(socket_type, ZMQ_DISH | ZMQ_DGRAM),
            (Transport::Udp, Role::Connect) => socket_type == ZMQ_RADIO,
            (Transport::Udp, Role::Terminate) => {
                matches!(socket_type, ZMQ_RADIO | ZMQ_DISH | ZMQ_DGRAM)
            }
            (Transport::Ws | Transport::Wss, _) => socket_type != ZMQ_STREAM,
            _ => true,
        };
        if compatible { Ok(()) } else { Err(Error::NOCOMPATPROTO) }
    }

    /// Whether binding and connecting take an I/O thread, and fail with EMTHREAD without one.
    pub fn needs_io_thread(self) -> bool {
        self != Transport::Inproc
    }
}

/// Splits "scheme://address" at the first "://". EINVAL if that or anything around it is missing,
/// EPROTONOSUPPORT if the transport is unknown or not built in (pgm, epgm, norm, vmci).
pub fn split(uri: &[u8]) -> Result<(Transport, &[u8])> {
    const SEPARATOR: &[u8] = b"://";
    let position = uri.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let (scheme, rest) = uri.split_at(position.ok_or(Error::INVAL)?);
    let address = rest.strip_prefix(SEPARATOR).unwrap_or_default();
    if scheme.is_empty() || address.is_empty() {
        return Err(Error::INVAL);
    }
    let transport = Transport::from_scheme(scheme).ok_or(Error::PROTONOSUPPORT)?;
    Ok((transport, address))
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindEndpoint {
    /// The name: any bytes.
    Inproc(Vec<u8>),
    Ipc(IpcBind),
    Tcp(TcpBind),
    Tls(TcpBind),
    Ws(WsBind),
    Wss(WsBind),
    Udp(UdpAddress),
    Tipc(TipcBind),
    Vsock(VsockAddress),
}

impl BindEndpoint {
    /// Parses the address of an endpoint, the part after "://".
    ///
    /// With `ZMQ_USE_FD` the address of tcp, ws and their TLS forms is not looked at, so it must
    /// not be parsed; that of ipc is taken literally, by [`IpcAddress::parse`].
    pub fn parse(transport: Transport, address: &[u8]) -> Result<BindEndpoint> {
        Ok(match transport {
            Transport::Inproc => BindEndpoint::Inproc(address.to_vec()),
            Transport::Ipc => BindEndpoint::Ipc(IpcBind::parse(address)?),
            Transport::Tcp => BindEndpoint::Tcp(TcpBind::parse(address)?),
            Transport::Tls => BindEndpoint::Tls(TcpBind::parse(address)?),
            Transport::Ws => BindEndpoint::Ws(WsBind::parse(address)?),
            Transport::Wss => BindEndpoint::Wss(WsBind::parse(address)?),
            Transport::Udp => BindEndpoint::Udp(UdpAddress::parse_bind(address)?),
            Transport::Tipc => BindEndpoint::Tipc(TipcBind::parse(address)?),
            Transport::Vsock => BindEndpoint::Vsock(VsockAddress::parse(address)?),
        })
    }
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectEndpoint {
    /// The name: any bytes.
    Inproc(Vec<u8>),
    Ipc(IpcAddress),
    Tcp(TcpConnect),
    Tls(TcpConnect),
    Ws(WsConnect),
    Wss(WsConnect),
    Udp(UdpAddress),
    Tipc(TipcAddress),
    Vsock(VsockAddress),
}

impl ConnectEndpoint {
    /// Parses the address of an endpoint, the part after "://".
    pub fn parse(transport: Transport, address: &[u8]) -> Result<ConnectEndpoint> {
        Ok(match transport {
            Transport::Inproc => ConnectEndpoint::Inproc(address.to_vec()),
            Transport::Ipc => ConnectEndpoint::Ipc(IpcAddress::parse(address)?),
            Transport::Tcp => ConnectEndpoint::Tcp(TcpConnect::parse(address)?),
            Transport::Tls => ConnectEndpoint::Tls(TcpConnect::parse(address)?),
            Transport::Ws => ConnectEndpoint::Ws(WsConnect::parse(address)?),
            Transport::Wss => ConnectEndpoint::Wss(WsConnect::parse(address)?),
            Transport::Udp => ConnectEndpoint::Udp(UdpAddress::parse_connect(address)?),
            Transport::Tipc => ConnectEndpoint::Tipc(TipcAddress::parse(address)?),
            Transport::Vsock => ConnectEndpoint::Vsock(VsockAddress::parse(address)?),
        })
    }
}

/// [`split`] and [`BindEndpoint::parse`] in one, where nothing is to be checked between them.
pub fn parse_bind(uri: &[u8]) -> Result<BindEndpoint> {
    let (transport, address) = split(uri)?;
    BindEndpoint::parse(transport, address)
}

/// [`split`] and [`ConnectEndpoint::parse`] in one, where nothing is to be checked between them.
pub fn parse_connect(uri: &[u8]) -> Result<ConnectEndpoint> {
    let (transport, address) = split(uri)?;
    ConnectEndpoint::parse(transport, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        for (uri, result) in [
            ("", Err(Error::INVAL)),
            ("tcp", Err(Error::INVAL)),
            ("tcp:127.0.0.1:1", Err(Error::INVAL)),
            ("tcp:/127.0.0.1:1", Err(Error::INVAL)),
            ("://127.0.0.1:1", Err(Error::INVAL)),
            ("tcp://", Err(Error::INVAL)),
            ("inproc://", Err(Error::INVAL)),
            ("unknown://", Err(Error::INVAL)),
            ("unknown://x", Err(Error::PROTONOSUPPORT)),
            ("TCP://127.0.0.1:1", Err(Error::PROTONOSUPPORT)),
            (" tcp://127.0.0.1:1", Err(Error::PROTONOSUPPORT)),
            ("pgm://x", Err(Error::PROTONOSUPPORT)),
            ("epgm://x", Err(Error::PROTONOSUPPORT)),
            ("norm://x", Err(Error::PROTONOSUPPORT)),
            ("vmci://x", Err(Error::PROTONOSUPPORT)),
            ("tcp://127.0.0.1:1", Ok((Transport::Tcp, "127.0.0.1:1"))),
            ("inproc://a://b", Ok((Transport::Inproc, "a://b"))),
            ("ipc:///tmp/x", Ok((Transport::Ipc, "/tmp/x"))),
            ("inproc:///", Ok((Transport::Inproc, "/"))),
        ] {
            let result = result.map(|(transport, address)| (transport, address.as_bytes()));
            assert_eq!(split(uri.as_bytes()), result, "{uri}");
        }
    }

    #[test]
    fn schemes_are_their_transports() {
        for transport in Transport::ALL.iter().copied() {
            let scheme = transport.scheme();
            assert_eq!(Transport::from_scheme(scheme.as_bytes()), Some(transport));
            assert_eq!(transport.needs_io_thread(), scheme != "inproc");
        }
    }

    #[test]
    fn udp_and_websocket_are_choosy() {
        let (ok, refused) = (Ok(()), Err(Error::NOCOMPATPROTO));
        for socket_type in ZMQ_PAIR..=ZMQ_CHANNEL {
            for transport in Transport::ALL.iter().filter(|known| **known != Transport::Udp) {
                let messages_only = matches!(transport, Transport::Ws | Transport::Wss);
                for role in [Role::Bind, Role::Connect, Role::Terminate] {
                    let expected =
                        if messages_only && socket_type == ZMQ_STREAM { refused } else { ok };
                    assert_eq!(transport.compatible(socket_type, role), expected);
                }
            }
            let udp = |role| Transport::Udp.compatible(socket_type, role);
            let expected = match socket_type {
                ZMQ_RADIO => [refused, ok, ok],
                ZMQ_DISH | ZMQ_DGRAM => [ok, refused, ok],
                _ => [refused; 3],
            };
            let answers = [udp(Role::Bind), udp(Role::Connect), udp(Role::Terminate)];
            assert_eq!(answers, expected, "{socket_type}");
        }
    }

    #[test]
    fn inproc_names_are_any_bytes() {
        let name = [b"inproc://".as_slice(), &[0xff; 300]].concat();
        assert_eq!(parse_bind(&name), Ok(BindEndpoint::Inproc(vec![0xff; 300])));
        assert_eq!(parse_connect(&name), Ok(ConnectEndpoint::Inproc(vec![0xff; 300])));
    }

    #[test]
    fn tls_addresses_are_those_of_tcp() {
        let Ok(BindEndpoint::Tls(tls)) = parse_bind(b"tls://*:*") else { panic!() };
        assert_eq!(parse_bind(b"tcp://*:*"), Ok(BindEndpoint::Tcp(tls)));
        let Ok(ConnectEndpoint::Tls(tls)) = parse_connect(b"tls://a:1") else { panic!() };
        assert_eq!(parse_connect(b"tcp://a:1"), Ok(ConnectEndpoint::Tcp(tls)));
    }

    #[test]
    fn every_transport_parses() {
        for uri in [
            "inproc://a",
            "ipc://a",
            "tcp://a:1",
            "tls://a:1",
            "ws://a:1",
            "wss://a:1",
            "udp://a:1",
            "tipc://{5560,0,0}",
            "vsock://2:1",
        ] {
            assert!(parse_bind(uri.as_bytes()).is_ok(), "{uri}");
            assert!(parse_connect(uri.as_bytes()).is_ok(), "{uri}");
        }
    }
}
