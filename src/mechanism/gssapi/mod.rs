// SPDX-License-Identifier: MPL-2.0
//! GSSAPI: the two sides prove by the tokens of a security context, as a rule Kerberos's, who they
//! are; the context then seals what follows, unless `ZMQ_GSSAPI_PLAINTEXT` says otherwise.
//!
//! ```text
//! client            server
//! INITIATE   ─────>          a token
//!            <─────  INITIATE  a token; both again until the context is established
//! empty      ─────>          the client's context is; the server may ask a ZAP handler
//!            <─────  READY   the server's properties
//! READY      ─────>          the client's properties
//! MESSAGE    <────>  MESSAGE traffic
//! ```
//!
//! READY comes inside a MESSAGE, except with `ZMQ_GSSAPI_PLAINTEXT`, which also leaves traffic as
//! it is. A server that refuses says nothing, it closes: clients of libzmq know no ERROR here.
//!
//! To establish a context may take long, as there may be a key server to ask, so every step of it
//! is the mechanism's [`work`](crate::zmtp::Mechanism::work). What does it is a [`Context`] here.
//!
//! | module | holds |
//! |---|---|
//! | [`client`], [`server`] | the two sides of the handshake |
//! | [`cipher`] | traffic |
//! | [`token`] | whether Kerberos's token of a message is sealed |
//! | [`system`] | the system's library (cargo feature `gssapi`) |
//!
//! RFC 38, RFC 2743, man page zmq_gssapi(7), and as libzmq has it on the wire.

#![forbid(unsafe_code)]

mod cipher;
mod client;
mod server;
#[cfg(feature = "gssapi")]
pub mod system;
#[cfg(test)]
mod tests;
pub mod token;

pub use client::GssapiClient;
pub use server::GssapiServer;

use super::metadata::LocalProperties;
use crate::errno::Error;
use crate::zmtp::handshake::Peer;
use crate::zmtp::{HandshakeError, ProtocolError};

const NAME: &str = "GSSAPI";
const INITIATE: &[u8] = b"\x08INITIATE";
const READY: &[u8] = b"\x05READY";

/// A security context, from one side.
pub trait Context: Send {
    /// The next step towards it, with the peer's token. May block.
    ///
    /// `None`: it cannot be had, and nothing else is to be called.
    fn step(&mut self, token: &[u8]) -> Option<Step>;

    /// The name of the peer that began an established context.
    fn peer_name(&self) -> Option<Vec<u8>>;

    /// Seals a text. `None`: it cannot be sealed.
    fn wrap(&mut self, text: &[u8]) -> Option<Vec<u8>>;

    /// What was sealed by the peer. `None`: it was not, or only signed, or it is here for the second
    /// time.
    fn unwrap(&mut self, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// What a step has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// For the peer; may be empty in the end.
    pub token: Vec<u8>,
    /// The context is established.
    pub complete: bool,
}

/// There is no context to be had: no credentials, or not the right ones. As with a connection lost,
/// a client tries again, for a ticket may be there next time.
const NO_CONTEXT: HandshakeError = HandshakeError::lost(Error::ACCES);

/// The body of the command with a token.
fn initiate(token: &[u8]) -> Option<Vec<u8>> {
    // The end of it is told by a command without a name.
    if token.is_empty() {
        return Some(Vec::new());
    }
    put_token(INITIATE, token)
}

/// The token in INITIATE.
fn handle_initiate(body: &[u8]) -> Result<&[u8], ProtocolError> {
    check_structure(body)?;
    let data = body.strip_prefix(INITIATE).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
    token(data).ok_or(ProtocolError::ZMTP_MALFORMED_COMMAND_INITIATE)
}

/// The body of READY.
fn ready(local: &LocalProperties, context: &mut dyn Context, plaintext: bool) -> Option<Vec<u8>> {
    let mut body = READY.to_vec();
    local.encode(&mut body);
    if plaintext {
        return Some(body);
    }
    body.insert(0, 0);
    put_token(cipher::MESSAGE, &context.wrap(&body)?)
}

/// What READY says of the peer.
fn handle_ready(
    local: &LocalProperties,
    context: &mut dyn Context,
    plaintext: bool,
    body: &[u8],
) -> Result<Peer, ProtocolError> {
    let text;
    let body = if plaintext {
        body
    } else {
        text = cipher::unwrap(context, body)?;
        text.get(1..).unwrap_or_default()
    };
    check_structure(body)?;
    let data = body.strip_prefix(READY).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
    local.decode_peer(data).map_err(|_| ProtocolError::ZMTP_INVALID_METADATA)
}

/// A token behind the name of its command, its length in four bytes ahead of it.
fn put_token(name: &[u8], token: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(token.len()).ok()?;
    Some([name, &length.to_be_bytes(), token].concat())
}

/// The token that is all of `data`.
fn token(data: &[u8]) -> Option<&[u8]> {
    let (length, token) = data.split_first_chunk()?;
    (usize::try_from(u32::from_be_bytes(*length)) == Ok(token.len())).then_some(token)
}

/// A command is its name, the length ahead of it, and data.
fn check_structure(body: &[u8]) -> Result<(), ProtocolError> {
    match body {
        [length, rest @ ..] if rest.len() >= usize::from(*length).max(1) => Ok(()),
        _ => Err(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED),
    }
}
