// SPDX-License-Identifier: MPL-2.0
//! tls: a listening tcp socket whose connections speak TLS.

#![forbid(unsafe_code)]

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::ServerTls;
use crate::endpoint::{Host, Transport};
use crate::errno::Result;
use crate::transport::{Accept, Accepted, ListenError, SocketSettings, host, tcp};

/// A listening tls socket.
#[derive(Debug)]
pub struct Listener {
    tcp: tcp::Listener,
    tls: Arc<ServerTls>,
    endpoint: Vec<u8>,
}

/// Listens as [`tcp::listen`] does.
pub fn listen(
    host: &Host,
    port: u16,
    settings: &SocketSettings,
    tls: Arc<ServerTls>,
) -> Result<Listener, ListenError> {
    Ok(Listener::new(tcp::listen(host, port, settings)?, tls))
}

/// Listens on the descriptor of `ZMQ_USE_FD`, as [`tcp::adopt`] does.
pub fn adopt(
    descriptor: RawFd,
    settings: &SocketSettings,
    tls: Arc<ServerTls>,
) -> Result<Listener> {
    Ok(Listener::new(tcp::adopt(descriptor, settings)?, tls))
}

impl Listener {
    fn new(tcp: tcp::Listener, tls: Arc<ServerTls>) -> Listener {
        let endpoint = host::endpoint_text(Transport::Tls, &tcp.local_addr()).into_bytes();
        Listener { tcp, tls, endpoint }
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

    /// The endpoint bound to, in digits.
    pub fn endpoint(&self) -> &[u8] {
        &self.endpoint
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }
}
