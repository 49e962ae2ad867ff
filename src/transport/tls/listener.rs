// SPDX-License-Identifier: MPL-2.0
//! tls: a listening tcp socket whose connections speak TLS.

#![forbid(unsafe_code)]

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::ServerTls;
use crate::endpoint::{Host, Transport};
use crate::errno::Result;
use crate::transport::{Accept, Accepted, ListenError, SocketSettings, tcp};

/// A listening tls socket.
#[derive(Debug)]
pub struct Listener {
    tcp: tcp::Listener,
    tls: Arc<ServerTls>,
}

/// Listens as [`tcp::listen`] does.
pub fn listen(
    host: &Host,
    port: u16,
    settings: &SocketSettings,
    tls: Arc<ServerTls>,
) -> Result<Listener, ListenError> {
    let tcp = tcp::listen(host, port, settings)?;
    Ok(Listener::new(tcp.carrying(Transport::Tls, String::new()), tls))
}

impl Listener {
    /// `tcp` carries tls, or what runs over it.
    pub fn new(tcp: tcp::Listener, tls: Arc<ServerTls>) -> Listener {
        Listener { tcp, tls }
    }

    /// One attempt to accept a connection; its handshake is still to be made.
    pub fn accept(&self) -> Result<Accept> {
        match self.tcp.accept()? {
            Accept::Accepted(Accepted { stream, peer }) => Ok(match self.tls.start() {
                Ok(tls) => Accept::Accepted(Accepted { stream: stream.with_tls(tls), peer }),
                Err(error) => Accept::Lost(error),
            }),
            other => Ok(other),
        }
    }

    /// See [`tcp::Listener::stopper`].
    pub fn stopper(&self) -> tcp::Stopper {
        self.tcp.stopper()
    }

    pub fn is_stopped(&self) -> bool {
        self.tcp.is_stopped()
    }

    /// The endpoint bound to, in digits.
    pub fn endpoint(&self) -> &[u8] {
        self.tcp.endpoint()
    }

    pub fn transport(&self) -> Transport {
        self.tcp.transport()
    }

    /// What ends the endpoints of its connections.
    pub fn path(&self) -> &str {
        self.tcp.path()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }
}
