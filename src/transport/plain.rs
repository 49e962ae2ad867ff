// SPDX-License-Identifier: MPL-2.0
//! vsock and tipc: stream sockets whose addresses need no looking up and whose connections need
//! no options. Whether there are any is for the kernel to say: EAFNOSUPPORT.
//!
//! Man pages: zmq_vsock(7), zmq_tipc(7), vsock(7).

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, RawFd};

use socket2::{Domain, SockAddr, Socket, Type};

use super::listener::{Accept, ListenError, accept_with, listening};
use super::{Kind, SocketSettings, Stream, sys};
use crate::endpoint::{TipcAddress, TipcBind, Transport, VsockAddress};
use crate::errno::{Error, Result};

/// An address of one of these transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    Vsock(VsockAddress),
    Tipc(TipcAddress),
}

impl Address {
    fn kind(&self) -> Kind {
        match self {
            Address::Vsock(_) => Kind::Vsock,
            Address::Tipc(_) => Kind::Tipc,
        }
    }

    fn socket_address(&self) -> SockAddr {
        match self {
            Address::Vsock(VsockAddress { cid, port }) => SockAddr::vsock(*cid, *port),
            Address::Tipc(address) => sys::tipc_address(address),
        }
    }
}

/// A listening socket of vsock or tipc.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    kind: Kind,
    endpoint: Vec<u8>,
}

/// # Errors
/// AFNOSUPPORT where the kernel has no vsock, and those of bind(2): ADDRINUSE, ADDRNOTAVAIL, ACCES.
pub fn listen_vsock(
    address: VsockAddress,
    settings: &SocketSettings,
) -> Result<Listener, ListenError> {
    listen(Kind::Vsock, Some(Address::Vsock(address)), settings)
}

/// # Errors
/// AFNOSUPPORT where the kernel has no tipc, and those of bind(2).
pub fn listen_tipc(bind: TipcBind, settings: &SocketSettings) -> Result<Listener, ListenError> {
    let address = match bind {
        TipcBind::Service(address) => Some(Address::Tipc(address)),
        // Every socket has an identity from the start.
        TipcBind::Random => None,
    };
    listen(Kind::Tipc, address, settings)
}

fn listen(
    kind: Kind,
    address: Option<Address>,
    settings: &SocketSettings,
) -> Result<Listener, ListenError> {
    let socket = listening(open_socket(kind)?, |socket| {
        if let Some(address) = &address {
            socket.bind(&address.socket_address())?;
        }
        Ok(socket.listen(settings.backlog)?)
    })?;
    let local = socket.local_addr().map_err(Error::from)?;
    let endpoint = endpoint_text(kind, &local);
    Ok(Listener { socket, kind, endpoint })
}

impl Listener {
    /// One attempt to accept a connection; see [`Listener::accept`](super::Listener::accept).
    pub fn accept(&self) -> Result<Accept> {
        accept_with(self.socket.as_fd(), |descriptor| Ok(Stream::new(descriptor, self.kind)))
    }

    /// The endpoint bound to, as the kernel has it.
    pub fn endpoint(&self) -> &[u8] {
        &self.endpoint
    }

    pub fn transport(&self) -> Transport {
        if self.kind == Kind::Tipc { Transport::Tipc } else { Transport::Vsock }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A stream to connect to `address` with [`connect_stream`].
///
/// # Errors
/// AFNOSUPPORT where the kernel has no such sockets.
pub fn open(address: &Address) -> Result<Stream> {
    let kind = address.kind();
    Ok(Stream::from_socket(open_socket(kind)?, kind))
}

/// Starts connecting. True: connected already. Otherwise wait for writability, then call
/// [`connect_finish`].
///
/// # Errors
/// Those of connect(2), each a failed attempt that may be repeated.
pub fn connect_stream(stream: &Stream, address: &Address) -> Result<bool> {
    match stream.socket().connect(&address.socket_address()).map_err(Error::from) {
        Ok(()) => Ok(true),
        Err(Error::INPROGRESS | Error::INTR | Error::AGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finishes a connect whose stream became writable.
///
/// # Errors
/// Why it failed.
pub fn connect_finish(stream: &Stream) -> Result<()> {
    match stream.socket().take_error()? {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The endpoint of a socket address, empty for one of another family.
pub(super) fn endpoint_text(kind: Kind, addr: &SockAddr) -> Vec<u8> {
    let text = match kind {
        Kind::Vsock => {
            addr.as_vsock_address().map(|(cid, port)| VsockAddress { cid, port }.endpoint())
        }
        _ => sys::tipc_identity(addr)
            .map(|(node, reference)| TipcAddress::Port { node, reference }.endpoint()),
    };
    text.unwrap_or_default().into_bytes()
}

fn open_socket(kind: Kind) -> Result<Socket> {
    let domain = if kind == Kind::Tipc { Domain::from(libc::AF_TIPC) } else { Domain::VSOCK };
    Ok(Socket::new(domain, Type::STREAM.nonblocking(), None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: VsockAddress = VsockAddress { cid: VsockAddress::ANY, port: VsockAddress::ANY };

    #[test]
    fn vsock_where_the_kernel_has_it() {
        let settings = SocketSettings::default();
        match listen_vsock(ANY, &settings) {
            Ok(listener) => {
                let endpoint = String::from_utf8(listener.endpoint().to_vec()).unwrap();
                let port = endpoint.strip_prefix("vsock://*:").unwrap();
                assert!(port.parse::<u32>().is_ok(), "{endpoint}");
                assert_eq!(listener.transport(), Transport::Vsock);
                assert!(matches!(listener.accept(), Ok(Accept::WouldBlock)));
            }
            Err(refused) => assert_eq!(refused.error, Error::AFNOSUPPORT),
        }
    }

    #[test]
    fn tipc_where_the_kernel_has_it() {
        let settings = SocketSettings::default();
        match listen_tipc(TipcBind::Random, &settings) {
            Ok(listener) => {
                let endpoint = String::from_utf8(listener.endpoint().to_vec()).unwrap();
                assert!(endpoint.starts_with("tipc://<"), "{endpoint}");
                let address = TipcAddress::Range { kind: 5560, lower: 0, upper: 0 };
                assert!(listen_tipc(TipcBind::Service(address), &settings).is_ok());
            }
            Err(refused) => {
                assert_eq!(refused.error, Error::AFNOSUPPORT);
                let port = TipcAddress::Port { node: 0, reference: 1 };
                assert_eq!(open(&Address::Tipc(port)).unwrap_err(), Error::AFNOSUPPORT);
            }
        }
    }

    #[test]
    fn addresses_and_their_texts() {
        let address = Address::Vsock(VsockAddress { cid: 3, port: 5555 }).socket_address();
        assert_eq!(endpoint_text(Kind::Vsock, &address), b"vsock://3:5555");
        let port = TipcAddress::Port { node: 0x0100_2003, reference: 7 };
        let address = Address::Tipc(port).socket_address();
        assert_eq!(endpoint_text(Kind::Tipc, &address), b"tipc://<1.2.3:7>");
        assert_eq!(endpoint_text(Kind::Vsock, &address), b"");
        for service in [
            TipcAddress::Range { kind: 5560, lower: 0, upper: 9 },
            TipcAddress::Instance { kind: 5560, instance: 1, domain: 0 },
        ] {
            let address = Address::Tipc(service).socket_address();
            assert_eq!(address.len(), 16);
            assert_eq!(endpoint_text(Kind::Tipc, &address), b"");
        }
    }
}
