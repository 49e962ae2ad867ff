// SPDX-License-Identifier: MPL-2.0
//! A listening socket of any stream transport, and what accepting can come to.

#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::Socket;

use super::{Stream, ipc, plain, sys, tcp, tls};
use crate::endpoint::Transport;
use crate::errno::{Error, Result};

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// tcp, or a transport over it.
    Tcp(tcp::Listener),
    /// The same with TLS between.
    Tls(tls::Listener),
    Ipc(ipc::Listener),
    /// vsock and tipc.
    Plain(plain::Listener),
}

/// Why there is no listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenError {
    pub error: Error,
    /// The descriptor that was opened, if it came to that. It is closed again.
    pub fd: Option<RawFd>,
}

impl From<Error> for ListenError {
    fn from(error: Error) -> ListenError {
        ListenError { error, fd: None }
    }
}

impl From<ListenError> for Error {
    fn from(refused: ListenError) -> Error {
        refused.error
    }
}

/// A connection just accepted, its options applied.
#[derive(Debug)]
pub struct Accepted {
    pub stream: Stream,
    /// The peer's address, for accept filters; `None` for ipc, see [`Stream::credentials`].
    pub peer: Option<SocketAddr>,
}

/// What came of one attempt to accept.
#[derive(Debug)]
pub enum Accept {
    Accepted(Accepted),
    /// Nobody waits: wait for readability.
    WouldBlock,
    /// A connection was lost on its way; report it and go on accepting.
    Lost(Error),
    /// Descriptors or memory ran out. The connection still waits and raises no further edge:
    /// report it and try again after a while.
    Exhausted(Error),
}

impl Listener {
    /// One attempt to accept a connection.
    ///
    /// # Errors
    /// Only those that make the listener useless (BADF, INVAL, NOTSOCK, ...).
    pub fn accept(&self) -> Result<Accept> {
        match self {
            Listener::Tcp(listener) => listener.accept(),
            Listener::Tls(listener) => listener.accept(),
            Listener::Ipc(listener) => listener.accept(),
            Listener::Plain(listener) => listener.accept(),
        }
    }

    /// The resolved endpoint, of any transport: what `ZMQ_LAST_ENDPOINT` tells after the bind.
    pub fn endpoint(&self) -> &[u8] {
        match self {
            Listener::Tcp(listener) => listener.endpoint(),
            Listener::Tls(listener) => listener.endpoint(),
            Listener::Ipc(listener) => listener.endpoint(),
            Listener::Plain(listener) => listener.endpoint(),
        }
    }

    /// What is spoken with those who are accepted.
    pub fn transport(&self) -> Transport {
        match self {
            Listener::Tcp(listener) => listener.transport(),
            Listener::Tls(listener) => listener.transport(),
            Listener::Ipc(_) => Transport::Ipc,
            Listener::Plain(listener) => listener.transport(),
        }
    }

    /// What ends the endpoints of accepted connections: the path of ws, else nothing.
    pub fn path(&self) -> &str {
        match self {
            Listener::Tcp(listener) => listener.path(),
            Listener::Tls(listener) => listener.path(),
            Listener::Ipc(_) | Listener::Plain(_) => "",
        }
    }

    /// What frees the port at once; `None` for transports without ports that others could want.
    pub fn stopper(&self) -> Option<tcp::Stopper> {
        match self {
            Listener::Tcp(listener) => Some(listener.stopper()),
            Listener::Tls(listener) => Some(listener.stopper()),
            Listener::Ipc(_) | Listener::Plain(_) => None,
        }
    }

    /// Whether its [`stopper`](Listener::stopper) was used.
    pub fn is_stopped(&self) -> bool {
        match self {
            Listener::Tcp(listener) => listener.is_stopped(),
            Listener::Tls(listener) => listener.is_stopped(),
            Listener::Ipc(_) | Listener::Plain(_) => false,
        }
    }

    /// The descriptor's number, for monitor events and readiness.
    pub fn fd(&self) -> RawFd {
        self.as_raw_fd()
    }

    /// Stops listening and removes what a wildcard ipc bind created.
    ///
    /// # Errors
    /// Those of removing the file and the directory; the descriptor is closed all the same.
    pub fn close(self) -> Result<()> {
        match self {
            Listener::Tcp(_) | Listener::Tls(_) | Listener::Plain(_) => Ok(()),
            Listener::Ipc(listener) => listener.close(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp(listener) => listener.as_raw_fd(),
            Listener::Tls(listener) => listener.as_raw_fd(),
            Listener::Ipc(listener) => listener.as_raw_fd(),
            Listener::Plain(listener) => listener.as_raw_fd(),
        }
    }
}

/// Makes the socket listen, with `prepare`.
pub(super) fn listening(
    socket: Socket,
    prepare: impl FnOnce(&Socket) -> Result<()>,
) -> Result<Socket, ListenError> {
    match prepare(&socket) {
        Ok(()) => Ok(socket),
        Err(error) => Err(ListenError { error, fd: Some(socket.as_raw_fd()) }),
    }
}

/// accept(2), its errors sorted; `make` turns the new descriptor into a stream with its options.
pub(super) fn accept_with(
    listener: BorrowedFd<'_>,
    make: impl FnOnce(OwnedFd) -> Result<Stream>,
) -> Result<Accept> {
    let (descriptor, peer) = loop {
        match sys::accept(listener) {
            Ok(accepted) => break accepted,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return failure(error.into()),
        }
    };
    Ok(match make(descriptor) {
        Ok(stream) => Accept::Accepted(Accepted { stream, peer }),
        Err(error) => Accept::Lost(error),
    })
}

/// accept(2) also reports what happened to the connection in the queue, so whatever does not
/// concern the listener or the process counts as the loss of one connection.
fn failure(error: Error) -> Result<Accept> {
    match error {
        Error::AGAIN => Ok(Accept::WouldBlock),
        Error::MFILE | Error::NFILE | Error::NOBUFS | Error::NOMEM => Ok(Accept::Exhausted(error)),
        // EOPNOTSUPP, which ENOTSUP equals on Linux: not a stream socket.
        Error::BADF | Error::FAULT | Error::INVAL | Error::NOTSOCK | Error::NOTSUP => Err(error),
        error => Ok(Accept::Lost(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted() {
        assert!(matches!(failure(Error::AGAIN), Ok(Accept::WouldBlock)));
        for error in [Error::MFILE, Error::NFILE, Error::NOBUFS, Error::NOMEM] {
            assert!(matches!(failure(error), Ok(Accept::Exhausted(e)) if e == error));
        }
        for error in [Error::CONNABORTED, Error::PROTO, Error::PERM, Error::HOSTUNREACH] {
            assert!(matches!(failure(error), Ok(Accept::Lost(e)) if e == error));
        }
        for error in [Error::BADF, Error::INVAL, Error::NOTSOCK] {
            assert_eq!(failure(error).unwrap_err(), error);
        }
    }
}
