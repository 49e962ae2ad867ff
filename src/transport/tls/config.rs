// SPDX-License-Identifier: MPL-2.0
//! What the options `ZMQ_WSS_*` ask for, checked once: at bind and at connect.
//!
//! | option | a server | a client |
//! |---|---|---|
//! | `ZMQ_WSS_CERT_PEM`, `ZMQ_WSS_KEY_PEM` | required | its own, if servers ask for one |
//! | `ZMQ_WSS_TRUST_PEM`, `ZMQ_WSS_TRUST_SYSTEM` | whose clients to let in; without, any | whose servers to talk to; required |
//! | `ZMQ_WSS_HOSTNAME` | unused | the server's name; by default the endpoint's host |
//!
//! Whatever is wrong with them is EINVAL.

#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};

use super::Tls;
use super::negotiation::Negotiation;
use super::verify::{Clients, Servers, Trust};
use crate::endpoint::Host;
use crate::errno::{Error, Result};
use crate::fork::Once;
use crate::options::Options;

/// Sessions a client remembers for one endpoint.
const SESSIONS: usize = 8;

/// How to connect to one endpoint. Kept across reconnects, so that they resume the session.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl ClientTls {
    /// The client side of a connection to `host`.
    ///
    /// # Errors
    /// INVAL for PEM that cannot be used, a key that is not the certificate's, no trust anchor, or
    /// a host that cannot be the name in a certificate.
    pub fn new(options: &Options, host: &Host) -> Result<ClientTls> {
        let trust = Trust::new(options)?.ok_or(Error::INVAL)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::INVAL)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Servers::new(trust, provider())?));
        let mut config = match identity(options)? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|_| Error::INVAL)?
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        // For traffic.rs.
        config.enable_secret_extraction = true;
        Ok(ClientTls { config: Arc::new(config), server: server_name(options, host)? })
    }

    /// A new connection; its handshake is still to be made.
    pub fn start(&self) -> Result<Tls> {
        UnbufferedClientConnection::new(self.config.clone(), self.server.clone())
            .map(|connection| Tls::new(Negotiation::Client(connection)))
            .map_err(|_| Error::NOMEM)
    }
}

/// How to serve one endpoint.
#[derive(Debug)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// # Errors
    /// INVAL for a missing certificate or key, PEM that cannot be used, or a key that is not the
    /// certificate's.
    pub fn new(options: &Options) -> Result<ServerTls> {
        let (chain, key) = identity(options)?.ok_or(Error::INVAL)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::INVAL)?;
        let builder = match Trust::new(options)? {
            Some(trust) => {
                builder.with_client_cert_verifier(Arc::new(Clients::new(trust, provider())?))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|_| Error::INVAL)?;
        config.ticketer = Ticketer::new().map_err(|_| Error::NOMEM)?;
        config.enable_secret_extraction = true;
        Ok(ServerTls(Arc::new(config)))
    }

    /// A connection just accepted; its handshake is still to be made.
    pub fn start(&self) -> Result<Tls> {
        UnbufferedServerConnection::new(self.0.clone())
            .map(|connection| Tls::new(Negotiation::Server(connection)))
            .map_err(|_| Error::NOMEM)
    }

    #[cfg(test)]
    pub(super) fn config(&mut self) -> Option<&mut ServerConfig> {
        Arc::get_mut(&mut self.0)
    }
}

/// aws-lc, with the cheapest of the ciphers first: AES with 128 bits takes a third less time than
/// with 256, and a third of ChaCha20's.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: Once<Arc<CryptoProvider>> = Once::new();
    let make = || {
        Arc::new(CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ],
            ..aws_lc_rs::default_provider()
        })
    };
    PROVIDER.get_or_init(make).clone()
}

/// The certificate to show, with those that lead to its issuer, and its key; `None` if neither was
/// given.
fn identity(
    options: &Options,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
    if options.wss_cert_pem.is_empty() && options.wss_key_pem.is_empty() {
        return Ok(None);
    }
    let chain = certificates(&options.wss_cert_pem)?;
    let key = PrivateKeyDer::from_pem_slice(&options.wss_key_pem).map_err(|_| Error::INVAL)?;
    Ok(Some((chain, key)))
}

/// The certificates in PEM text; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::INVAL)?;
    if certificates.is_empty() { Err(Error::INVAL) } else { Ok(certificates) }
}

/// The name that the server's certificate has to bear.
fn server_name(options: &Options, host: &Host) -> Result<ServerName<'static>> {
    if !options.wss_hostname.is_empty() {
        let name = std::str::from_utf8(&options.wss_hostname).map_err(|_| Error::INVAL)?;
        return ServerName::try_from(name.to_owned()).map_err(|_| Error::INVAL);
    }
    match host {
        Host::Any => Err(Error::INVAL),
        Host::V4(addr) => Ok(ServerName::from(IpAddr::from(*addr))),
        Host::V6 { addr, .. } => Ok(ServerName::from(IpAddr::from(*addr))),
        Host::Name { name, .. } => ServerName::try_from(name.clone()).map_err(|_| Error::INVAL),
    }
}
