// SPDX-License-Identifier: MPL-2.0
//! NULL: both sides say READY with their properties, in any order.
//!
//! If ZAP is configured, READY waits for the handler's answer; meanwhile the peer's READY is
//! taken. A refusal with status 400 or 500 goes to the peer as ERROR, one with 300 says nothing.
//!
//! RFC 23 and 37.

#![forbid(unsafe_code)]

use super::metadata::LocalProperties;
use super::zap::{Zap, ZapConfig};
use super::{ERROR, error_command, handle_error_command};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{HandshakeError, HandshakeEvent, ProtocolError};

const READY: &[u8] = b"\x05READY";

/// The state of one handshake.
#[derive(Debug)]
pub struct Null {
    local: LocalProperties,
    zap: Zap,
    to_send: Command,
    /// The peer's READY.
    peer: Option<Peer>,
}

/// The one command this side sends.
#[derive(Debug)]
enum Command {
    Ready,
    Error(u16),
    Sent,
}

impl Null {
    pub fn new(local: LocalProperties, zap: Option<ZapConfig>) -> Null {
        let zap = Zap::new(zap, "NULL", &local.routing_id, &[]);
        Null { local, zap, to_send: Command::Ready, peer: None }
    }
}

impl Mechanism for Null {
    fn name(&self) -> &'static str {
        "NULL"
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        if self.peer.is_some() {
            return Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND.into());
        }
        if let Some(properties) = body.strip_prefix(READY) {
            let peer = self.local.decode_peer(properties).map_err(HandshakeError::silent)?;
            self.peer = Some(peer);
            Ok(())
        } else if let Some(data) = body.strip_prefix(ERROR) {
            Err(handle_error_command(data))
        } else {
            Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND.into())
        }
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let body = match self.to_send {
            Command::Ready if self.zap.is_settled() => {
                let mut body = READY.to_vec();
                self.local.encode(&mut body);
                body
            }
            Command::Error(status) => error_command(ERROR, status),
            Command::Ready | Command::Sent => return Ok(None),
        };
        self.to_send = Command::Sent;
        Ok(Some(body))
    }

    fn is_ready(&self) -> bool {
        matches!(self.to_send, Command::Sent) && self.peer.is_some()
    }

    fn poll_zap_request(&mut self) -> Option<Vec<Vec<u8>>> {
        self.zap.poll_request()
    }

    fn handle_zap_reply(&mut self, frames: &[&[u8]]) -> Result<(), HandshakeError> {
        self.zap.handle_reply(frames).inspect_err(|error| {
            if let HandshakeEvent::Auth(status @ (400 | 500)) = error.event {
                self.to_send = Command::Error(status);
            }
        })
    }

    fn handle_no_zap_handler(&mut self) -> Result<(), HandshakeError> {
        self.zap.handle_no_handler()
    }

    fn into_peer(self: Box<Self>) -> Peer {
        let mut peer = self.peer.unwrap_or_default();
        let properties = self.zap.into_properties();
        peer.properties.splice(..0, properties);
        peer
    }
}
