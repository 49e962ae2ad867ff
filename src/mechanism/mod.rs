// SPDX-License-Identifier: MPL-2.0
//! Security mechanisms, without I/O: NULL, PLAIN, CURVE, GSSAPI, and what all of them share.
//!
//! A mechanism implements [`Mechanism`](crate::zmtp::Mechanism); [`HandshakeConfig`] turns a
//! socket's options into the handshake of one connection.
//!
//! | module | holds |
//! |---|---|
//! | [`curve`] | CURVE |
//! | [`gssapi`] | GSSAPI, with the cargo feature of that name |
//! | [`metadata`] | the properties in READY and INITIATE, and in a ZAP reply |
//! | [`null`] | NULL |
//! | [`plain`] | PLAIN |
//! | [`server`] | what servers have in common |
//! | [`zap`] | the question to a ZAP handler and its reply |
//!
//! RFC 23, 37 (NULL, ERROR), 24 (PLAIN), 25, 26 (CURVE), 27 (ZAP), 38 (GSSAPI).

#![deny(unsafe_code)]

pub mod curve;
// Fuzzed over contexts that are made up.
#[cfg(any(test, fuzzing, feature = "gssapi"))]
pub mod gssapi;
pub mod metadata;
pub mod null;
pub mod plain;
mod server;
pub mod zap;

#[cfg(test)]
mod tests;

use crate::zmtp::zws::UpgradeConfig;
use crate::zmtp::{Handshake, HandshakeError, Mechanism, ProtocolError, SocketType, handshake};
use curve::sodium::{PublicKey, Secret};
use metadata::LocalProperties;
use zap::ZapConfig;

const ERROR: &[u8] = b"\x05ERROR";

/// The mechanism of a socket, with its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MechanismConfig {
    Null,
    PlainClient {
        username: Vec<u8>,
        password: Vec<u8>,
    },
    PlainServer,
    /// The client's own keys, and the server's public one.
    CurveClient {
        public: PublicKey,
        secret: Secret,
        server: PublicKey,
    },
    CurveServer {
        secret: Secret,
    },
    /// Whose ticket to use, for which service.
    #[cfg(feature = "gssapi")]
    GssapiClient {
        principal: Option<gssapi::system::Name>,
        service: gssapi::system::Name,
        /// Traffic is not sealed.
        plaintext: bool,
    },
    /// Whose key to use.
    #[cfg(feature = "gssapi")]
    GssapiServer {
        principal: Option<gssapi::system::Name>,
        plaintext: bool,
    },
}

/// What a handshake has to know of the socket it is for.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    pub socket_type: SocketType,
    /// `ZMQ_ROUTING_ID`.
    pub routing_id: Vec<u8>,
    pub mechanism: MechanismConfig,
    /// `ZMQ_MAXMSGSIZE`: negative for no limit.
    pub max_msg_size: i64,
    /// `ZMQ_METADATA`: names and values.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Set if this side is to ask a ZAP handler: with NULL, if `ZMQ_ZAP_DOMAIN` is not empty. A
    /// PLAIN server without it lets nobody in, one of CURVE or GSSAPI everybody.
    pub zap: Option<ZapConfig>,
}

impl HandshakeConfig {
    /// Begins the handshake of a new connection.
    pub fn start(self) -> Handshake {
        Handshake::new(self.handshake())
    }

    /// Begins the handshake of a new connection inside WebSocket.
    pub fn start_upgrade(self, upgrade: UpgradeConfig) -> Handshake {
        Handshake::upgrading(self.handshake(), upgrade)
    }

    fn handshake(self) -> handshake::HandshakeConfig {
        let HandshakeConfig { socket_type, routing_id, max_msg_size, .. } = self;
        let properties =
            LocalProperties { socket_type, routing_id: routing_id.clone(), more: self.properties };
        let security_required = self.zap.is_some();
        let mechanism: Box<dyn Mechanism> = match self.mechanism {
            MechanismConfig::Null => Box::new(null::Null::new(properties, self.zap)),
            MechanismConfig::PlainClient { username, password } => {
                Box::new(plain::PlainClient::new(properties, username, password))
            }
            MechanismConfig::PlainServer => Box::new(plain::PlainServer::new(properties, self.zap)),
            MechanismConfig::CurveClient { public, secret, server } => {
                Box::new(curve::CurveClient::new(properties, public, secret, server))
            }
            MechanismConfig::CurveServer { secret } => {
                Box::new(curve::CurveServer::new(properties, secret, self.zap))
            }
            #[cfg(feature = "gssapi")]
            MechanismConfig::GssapiClient { principal, service, plaintext } => {
                let context = gssapi::system::Initiator::new(principal, service, !plaintext);
                Box::new(gssapi::GssapiClient::new(properties, Box::new(context), plaintext))
            }
            #[cfg(feature = "gssapi")]
            MechanismConfig::GssapiServer { principal, plaintext } => {
                let context = Box::new(gssapi::system::Acceptor::new(principal, !plaintext));
                Box::new(gssapi::GssapiServer::new(properties, context, plaintext, self.zap))
            }
        };
        handshake::HandshakeConfig {
            socket_type,
            routing_id,
            max_msg_size,
            security_required,
            mechanism,
        }
    }
}

/// The body of ERROR, under this name, with this ZAP status.
fn error_command(name: &[u8], status: u16) -> Vec<u8> {
    let reason = status.to_string();
    let mut body = name.to_vec();
    body.push(u8::try_from(reason.len()).unwrap_or(u8::MAX));
    body.extend_from_slice(reason.as_bytes());
    body
}

/// What the peer's ERROR means; `data` is its body after the name.
fn handle_error_command(data: &[u8]) -> HandshakeError {
    let reason = data.split_first().and_then(|(&len, rest)| rest.get(..usize::from(len)));
    match reason {
        Some(b"300") => HandshakeError::auth(300),
        Some(b"400") => HandshakeError::auth(400),
        Some(b"500") => HandshakeError::auth(500),
        Some(_) => HandshakeError::silent(crate::errno::Error::PROTO),
        None => ProtocolError::ZMTP_MALFORMED_COMMAND_ERROR.into(),
    }
}
