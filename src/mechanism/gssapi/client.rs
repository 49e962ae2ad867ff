// SPDX-License-Identifier: MPL-2.0
//! The client's side of the handshake.

#![forbid(unsafe_code)]

use super::cipher::Traffic;
use super::{Context, NAME, NO_CONTEXT, Step, handle_initiate, handle_ready, initiate, ready};
use crate::mechanism::metadata::LocalProperties;
use crate::mechanism::{ERROR, handle_error_command};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{Cipher, HandshakeError, ProtocolError};

/// The client's part of one handshake.
pub struct GssapiClient {
    local: LocalProperties,
    plaintext: bool,
    state: State,
}

type Shared = Box<dyn Context>;

enum State {
    /// The context is to take its next step, with this token of the server; none at first.
    Due(Shared, Vec<u8>),
    /// What the step led to is to be sent.
    Stepped(Shared, Step),
    ExpectInitiate(Shared),
    ExpectReady(Shared),
    /// READY is to be sent.
    Initiated(Shared, Peer),
    Ready(Option<Shared>, Peer),
    Failed,
}

impl GssapiClient {
    /// With `plaintext` the context is for the proof alone.
    pub fn new(local: LocalProperties, context: Shared, plaintext: bool) -> GssapiClient {
        GssapiClient { local, plaintext, state: State::Due(context, Vec::new()) }
    }

    fn handle(&mut self, body: &[u8]) -> Result<State, HandshakeError> {
        let state = std::mem::replace(&mut self.state, State::Failed);
        if let (State::ExpectInitiate(_) | State::ExpectReady(_), Some(data)) =
            (&state, body.strip_prefix(ERROR))
        {
            return Err(handle_error_command(data));
        }
        match state {
            State::ExpectInitiate(context) => {
                Ok(State::Due(context, handle_initiate(body)?.to_vec()))
            }
            State::ExpectReady(mut context) => {
                let peer = handle_ready(&self.local, &mut *context, self.plaintext, body)?;
                Ok(State::Initiated(context, peer))
            }
            _ => Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND.into()),
        }
    }
}

impl Mechanism for GssapiClient {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        self.state = self.handle(body)?;
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Stepped(context, Step { token, complete: false }) => {
                (initiate(&token), State::ExpectInitiate(context))
            }
            State::Stepped(context, Step { token, complete: true }) => {
                (initiate(&token), State::ExpectReady(context))
            }
            State::Initiated(mut context, peer) => {
                let body = ready(&self.local, &mut *context, self.plaintext);
                (body, State::Ready(Some(context), peer))
            }
            other => {
                self.state = other;
                return Ok(None);
            }
        };
        self.state = next;
        body.ok_or(ProtocolError::ZMTP_CRYPTOGRAPHIC.into()).map(Some)
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(..))
    }

    fn has_work(&self) -> bool {
        matches!(self.state, State::Due(..))
    }

    fn work(&mut self) -> Result<(), HandshakeError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Due(mut context, token) => {
                let step = context.step(&token).ok_or(NO_CONTEXT)?;
                State::Stepped(context, step)
            }
            other => other,
        };
        Ok(())
    }

    fn cipher(&mut self) -> Option<Cipher> {
        match &mut self.state {
            State::Ready(context, _) if !self.plaintext => {
                Some(Cipher::Joint(Box::new(Traffic::new(context.take()?))))
            }
            _ => None,
        }
    }

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            State::Ready(_, peer) => peer,
            _ => Peer::default(),
        }
    }
}
