// SPDX-License-Identifier: MPL-2.0
//! The server's side of the handshake.

#![forbid(unsafe_code)]

use super::cipher::Traffic;
use super::{
    Context, INITIATE, NAME, NO_CONTEXT, Step, handle_initiate, handle_ready, initiate, ready,
};
use crate::mechanism::metadata::LocalProperties;
use crate::mechanism::server::{Properties, ServerState};
use crate::mechanism::zap::{Zap, ZapConfig};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{Cipher, HandshakeError, ProtocolError};

/// The server's part of one handshake.
pub struct GssapiServer {
    local: LocalProperties,
    zap: Option<ZapConfig>,
    plaintext: bool,
    state: State,
}

type Shared = Box<dyn Context>;

type State = ServerState<Stage, Shared>;

enum Stage {
    ExpectInitiate(Shared),
    /// The context is to take its next step, with this token of the client.
    Due(Shared, Vec<u8>),
    /// What the step led to is to be sent.
    Stepped(Shared, Step),
    /// The client has proved who it is, and is to say that it is content, too.
    ExpectEnd(Shared),
    /// READY is to be sent. From here on with what ZAP has said of the client.
    Admitted(Shared, Properties),
    ExpectReady(Shared, Properties),
    Ready(Option<Shared>, Peer),
}

impl GssapiServer {
    /// With `zap` a handler is asked whether a client may come in; without, every one may that the
    /// context accepts. With `plaintext` the context is for the proof alone.
    pub fn new(
        local: LocalProperties,
        context: Shared,
        plaintext: bool,
        zap: Option<ZapConfig>,
    ) -> GssapiServer {
        let state = State::Step(Stage::ExpectInitiate(context));
        GssapiServer { local, zap, plaintext, state }
    }

    fn handle_end(&mut self, context: Shared, body: &[u8]) -> Result<State, HandshakeError> {
        // A last token would come too late, so it is not looked at.
        if !body.is_empty() && !body.starts_with(INITIATE) {
            return Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND.into());
        }
        let name = context.peer_name().ok_or(NO_CONTEXT)?;
        let zap = Zap::new(self.zap.take(), NAME, &self.local.routing_id, &[&name]);
        Ok(State::ask(zap, context, Stage::Admitted))
    }
}

impl Mechanism for GssapiServer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(Stage::ExpectInitiate(context)) => {
                State::Step(Stage::Due(context, handle_initiate(body)?.to_vec()))
            }
            State::Step(Stage::ExpectEnd(context)) => self.handle_end(context, body)?,
            State::Step(Stage::ExpectReady(mut context, mut properties)) => {
                let mut peer = handle_ready(&self.local, &mut *context, self.plaintext, body)?;
                properties.append(&mut peer.properties);
                State::Step(Stage::Ready(Some(context), Peer { properties, ..peer }))
            }
            _ => return Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND.into()),
        };
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(Stage::Stepped(context, Step { token, complete: false })) => {
                (initiate(&token), Stage::ExpectInitiate(context))
            }
            State::Step(Stage::Stepped(context, Step { token, complete: true })) => {
                (initiate(&token), Stage::ExpectEnd(context))
            }
            State::Step(Stage::Admitted(mut context, properties)) => {
                let body = ready(&self.local, &mut *context, self.plaintext);
                (body, Stage::ExpectReady(context, properties))
            }
            other => {
                self.state = other;
                return Ok(None);
            }
        };
        self.state = State::Step(next);
        body.ok_or(ProtocolError::ZMTP_CRYPTOGRAPHIC.into()).map(Some)
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Step(Stage::Ready(..)))
    }

    fn poll_zap_request(&mut self) -> Option<Vec<Vec<u8>>> {
        self.state.poll_zap_request()
    }

    fn handle_zap_reply(&mut self, frames: &[&[u8]]) -> Result<(), HandshakeError> {
        self.state.handle_zap_reply(frames)
    }

    fn handle_no_zap_handler(&mut self) -> Result<(), HandshakeError> {
        self.state.handle_no_zap_handler()
    }

    fn has_work(&self) -> bool {
        matches!(self.state, State::Step(Stage::Due(..)))
    }

    fn work(&mut self) -> Result<(), HandshakeError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(Stage::Due(mut context, token)) => {
                let step = context.step(&token).ok_or(NO_CONTEXT)?;
                State::Step(Stage::Stepped(context, step))
            }
            other => other,
        };
        Ok(())
    }

    fn cipher(&mut self) -> Option<Cipher> {
        match &mut self.state {
            State::Step(Stage::Ready(context, _)) if !self.plaintext => {
                Some(Cipher::Joint(Box::new(Traffic::new(context.take()?))))
            }
            _ => None,
        }
    }

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            State::Step(Stage::Ready(_, peer)) => peer,
            _ => Peer::default(),
        }
    }
}
