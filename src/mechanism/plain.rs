// SPDX-License-Identifier: MPL-2.0
//! PLAIN: the client says a name and a password, in clear text; a ZAP handler on the server's side
//! decides.
//!
//! ```text
//! client            server
//! HELLO      ─────>          name and password; the server asks its ZAP handler
//!            <─────  WELCOME, or ERROR with the handler's status 400 or 500
//! INITIATE   ─────>          the client's properties
//!            <─────  READY   the server's properties
//! ```
//!
//! A server without anybody to ask lets nobody in.
//!
//! libzmq's PLAIN has another name for ERROR than the RFC: see [`LIBZMQ_ERROR`]. A server uses
//! that one, a client knows both.
//!
//! RFC 24; commands as in RFC 23, ERROR as in RFC 37.

#![forbid(unsafe_code)]

use super::metadata::LocalProperties;
use super::server::{Properties, ServerState};
use super::zap::{Zap, ZapConfig};
use super::{ERROR, error_command, handle_error_command};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{HandshakeError, ProtocolError};

const NAME: &str = "PLAIN";
const HELLO: &[u8] = b"\x05HELLO";
const WELCOME: &[u8] = b"\x07WELCOME";
const INITIATE: &[u8] = b"\x08INITIATE";
const READY: &[u8] = b"\x05READY";
/// ERROR as libzmq writes and expects it: its source says `"\x05ERROR"`, which in C is the byte 5E
/// and `RROR`. Told by the proper name, a client of libzmq would take a refusal for a breach of
/// the protocol, and not report it as `ZMQ_EVENT_HANDSHAKE_FAILED_AUTH`.
const LIBZMQ_ERROR: &[u8] = b"\x5eRROR";

/// The client's part of one handshake.
#[derive(Debug)]
pub struct PlainClient {
    local: LocalProperties,
    state: ClientState,
}

#[derive(Debug)]
enum ClientState {
    /// HELLO is to be sent.
    Hello {
        username: Vec<u8>,
        password: Vec<u8>,
    },
    ExpectWelcome,
    /// INITIATE is to be sent.
    Initiate,
    ExpectReady,
    Ready(Peer),
    Failed,
}

impl PlainClient {
    /// Name and password have up to 255 bytes; more are cut, the options let none through.
    pub fn new(local: LocalProperties, username: Vec<u8>, password: Vec<u8>) -> PlainClient {
        PlainClient { local, state: ClientState::Hello { username, password } }
    }

    fn handle(&mut self, body: &[u8]) -> Result<ClientState, HandshakeError> {
        let unexpected = ProtocolError::ZMTP_UNEXPECTED_COMMAND;
        let state = std::mem::replace(&mut self.state, ClientState::Failed);
        if let Some(rest) = body.strip_prefix(WELCOME) {
            match state {
                ClientState::ExpectWelcome if rest.is_empty() => Ok(ClientState::Initiate),
                ClientState::ExpectWelcome => {
                    Err(ProtocolError::ZMTP_MALFORMED_COMMAND_WELCOME.into())
                }
                _ => Err(unexpected.into()),
            }
        } else if let Some(properties) = body.strip_prefix(READY) {
            match state {
                ClientState::ExpectReady => match self.local.decode_peer(properties) {
                    Ok(peer) => Ok(ClientState::Ready(peer)),
                    Err(_) => Err(ProtocolError::ZMTP_INVALID_METADATA.into()),
                },
                _ => Err(unexpected.into()),
            }
        } else if let Some(data) =
            body.strip_prefix(LIBZMQ_ERROR).or_else(|| body.strip_prefix(ERROR))
        {
            match state {
                ClientState::ExpectWelcome | ClientState::ExpectReady => {
                    Err(handle_error_command(data))
                }
                _ => Err(unexpected.into()),
            }
        } else {
            Err(unexpected.into())
        }
    }
}

impl Mechanism for PlainClient {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        self.state = self.handle(body)?;
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match &self.state {
            ClientState::Hello { username, password } => {
                (hello(username, password), ClientState::ExpectWelcome)
            }
            ClientState::Initiate => {
                let mut body = INITIATE.to_vec();
                self.local.encode(&mut body);
                (body, ClientState::ExpectReady)
            }
            _ => return Ok(None),
        };
        self.state = next;
        Ok(Some(body))
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, ClientState::Ready(_))
    }

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            ClientState::Ready(peer) => peer,
            _ => Peer::default(),
        }
    }
}

fn hello(username: &[u8], password: &[u8]) -> Vec<u8> {
    let mut body = HELLO.to_vec();
    for text in [username, password] {
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        body.push(len);
        body.extend(text.iter().take(usize::from(len)));
    }
    body
}

/// The server's part of one handshake.
#[derive(Debug)]
pub struct PlainServer {
    local: LocalProperties,
    state: State,
}

/// The state, with nothing to remember of a client while ZAP is asked.
type State = ServerState<ServerStep, ()>;

#[derive(Debug)]
enum ServerStep {
    /// With what to ask ZAP; `None`: there is nobody to ask.
    ExpectHello(Option<ZapConfig>),
    /// WELCOME is to be sent. From here on with what ZAP has said of the client.
    Welcome(Properties),
    ExpectInitiate(Properties),
    /// READY is to be sent.
    Initiated(Peer),
    Ready(Peer),
}

impl PlainServer {
    /// Without `zap` it lets nobody in.
    pub fn new(local: LocalProperties, zap: Option<ZapConfig>) -> PlainServer {
        PlainServer { local, state: State::Step(ServerStep::ExpectHello(zap)) }
    }

    fn handle_hello(&self, body: &[u8], zap: Option<ZapConfig>) -> Result<State, HandshakeError> {
        // A command is its name, the length ahead of it, and data.
        if !matches!(body, [len, rest @ ..] if rest.len() >= usize::from(*len).max(1)) {
            return Err(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED.into());
        }
        let data = body.strip_prefix(HELLO).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
        let (username, password) =
            split_credentials(data).ok_or(ProtocolError::ZMTP_MALFORMED_COMMAND_HELLO)?;
        let zap = zap.ok_or(HandshakeError::no_zap_handler())?;
        let zap = Zap::new(Some(zap), NAME, &self.local.routing_id, &[username, password]);
        Ok(State::ask(zap, (), |(), properties| ServerStep::Welcome(properties)))
    }
}

impl Mechanism for PlainServer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(ServerStep::ExpectHello(zap)) => self.handle_hello(body, zap)?,
            State::Step(ServerStep::ExpectInitiate(mut properties)) => {
                let data =
                    body.strip_prefix(INITIATE).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
                let mut peer = self.local.decode_peer(data).map_err(HandshakeError::silent)?;
                properties.append(&mut peer.properties);
                State::Step(ServerStep::Initiated(Peer { properties, ..peer }))
            }
            _ => return Err(ProtocolError::ZMTP_UNSPECIFIED.into()),
        };
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(ServerStep::Welcome(properties)) => {
                (WELCOME.to_vec(), State::Step(ServerStep::ExpectInitiate(properties)))
            }
            State::Step(ServerStep::Initiated(peer)) => {
                let mut body = READY.to_vec();
                self.local.encode(&mut body);
                (body, State::Step(ServerStep::Ready(peer)))
            }
            State::Refused(status) => (error_command(LIBZMQ_ERROR, status), State::Failed),
            other => {
                self.state = other;
                return Ok(None);
            }
        };
        self.state = next;
        Ok(Some(body))
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Step(ServerStep::Ready(_)))
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

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            State::Step(ServerStep::Ready(peer)) => peer,
            _ => Peer::default(),
        }
    }
}

/// The two texts of HELLO, each with its length in a byte ahead of it, and nothing behind them.
fn split_credentials(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = data.split_first()?;
    let (username, rest) = rest.split_at_checked(usize::from(len))?;
    let (&len, password) = rest.split_first()?;
    (password.len() == usize::from(len)).then_some((username, password))
}
