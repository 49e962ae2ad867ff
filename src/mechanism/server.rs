// SPDX-License-Identifier: MPL-2.0
//! What the servers of all mechanisms have in common: a ZAP handler may be asked whether a client
//! is let in, and the client waits for the answer.
//!
//! RFC 27.

#![forbid(unsafe_code)]

use super::zap::Zap;
use crate::zmtp::{HandshakeError, HandshakeEvent};

/// What ZAP has said of a client, or the client of itself.
pub type Properties = Vec<(String, Vec<u8>)>;

/// What a server's handshake has come to. `S` are the steps of the mechanism itself, `C` is the
/// client that the handler is asked about.
#[derive(Debug)]
pub enum ServerState<S, C> {
    Step(S),
    /// The client has to wait. The step after that is `admit`'s, which is given the properties that
    /// the answer brought.
    Asking {
        zap: Zap,
        client: C,
        admit: fn(C, Properties) -> S,
    },
    /// The handler has refused with a status that the client may be told: 400 or 500.
    Refused(u16),
    Failed,
}

impl<S, C> ServerState<S, C> {
    /// Asks about a client, if there is anybody to ask.
    pub fn ask(zap: Zap, client: C, admit: fn(C, Properties) -> S) -> ServerState<S, C> {
        if zap.is_settled() {
            ServerState::Step(admit(client, zap.into_properties()))
        } else {
            ServerState::Asking { zap, client, admit }
        }
    }

    /// As [`Mechanism::poll_zap_request`](crate::zmtp::Mechanism::poll_zap_request).
    pub fn poll_zap_request(&mut self) -> Option<Vec<Vec<u8>>> {
        match self {
            ServerState::Asking { zap, .. } => zap.poll_request(),
            _ => None,
        }
    }

    /// As [`Mechanism::handle_zap_reply`](crate::zmtp::Mechanism::handle_zap_reply).
    ///
    /// # Errors
    /// The handler has refused, or its reply is malformed.
    pub fn handle_zap_reply(&mut self, frames: &[&[u8]]) -> Result<(), HandshakeError> {
        self.answered(|zap| zap.handle_reply(frames))
    }

    /// As [`Mechanism::handle_no_zap_handler`](crate::zmtp::Mechanism::handle_no_zap_handler).
    ///
    /// # Errors
    /// One is required.
    pub fn handle_no_zap_handler(&mut self) -> Result<(), HandshakeError> {
        self.answered(Zap::handle_no_handler)
    }

    fn answered(
        &mut self,
        answer: impl FnOnce(&mut Zap) -> Result<(), HandshakeError>,
    ) -> Result<(), HandshakeError> {
        *self = match std::mem::replace(self, ServerState::Failed) {
            ServerState::Asking { mut zap, client, admit } => match answer(&mut zap) {
                Ok(()) => ServerState::ask(zap, client, admit),
                Err(error) => {
                    if let HandshakeEvent::Auth(status @ (400 | 500)) = error.event {
                        *self = ServerState::Refused(status);
                    }
                    return Err(error);
                }
            },
            other => other,
        };
        Ok(())
    }
}
