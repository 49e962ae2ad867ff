// SPDX-License-Identifier: MPL-2.0
//! The client's side of the handshake.

#![forbid(unsafe_code)]

use super::cipher::{Side, cipher};
use super::sodium::{self, KEY, PublicKey, Secret};
use super::{
    COOKIE, HELLO, HELLO_PADDING, HELLO_SIZE, HELLO_TEXT, HELLO_VERSION, INITIATE, NAME, READY,
    READY_MINIMUM, Random, TAIL, Transient, WELCOME, WELCOME_SIZE, counter_nonce, open_box,
    put_box, random_nonce, random_tail, split,
};
use crate::mechanism::metadata::LocalProperties;
use crate::mechanism::{ERROR, handle_error_command};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{Cipher, HandshakeError, ProtocolError};
use zeroize::Zeroizing;

const CRYPTOGRAPHIC: HandshakeError = HandshakeError::protocol(ProtocolError::ZMTP_CRYPTOGRAPHIC);
const UNEXPECTED: HandshakeError = HandshakeError::protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);

/// The client's part of one handshake.
#[derive(Debug)]
pub struct CurveClient {
    local: LocalProperties,
    random: Random,
    /// The last counter used.
    sent: u64,
    state: State,
}

/// What the client knows from the beginning, in Boxes since all of it moves along.
#[derive(Debug)]
struct Keys {
    public: PublicKey,
    secret: Secret,
    server: PublicKey,
    transient: Transient,
}

#[derive(Debug)]
enum State {
    /// HELLO is to be sent.
    Hello(Option<Box<Keys>>),
    ExpectWelcome(Box<Keys>),
    /// INITIATE is to be sent.
    Initiate {
        keys: Box<Keys>,
        server_transient: PublicKey,
        cookie: [u8; COOKIE],
    },
    /// With the key of everything from here on.
    ExpectReady(Secret),
    Ready {
        peer: Peer,
        key: Secret,
        received: u64,
    },
    Failed,
}

impl CurveClient {
    /// `public` and `secret` are the client's own keys, `server` is the server's public one.
    pub fn new(
        local: LocalProperties,
        public: PublicKey,
        secret: Secret,
        server: PublicKey,
    ) -> CurveClient {
        CurveClient::with_random(local, public, secret, server, sodium::random)
    }

    pub(super) fn with_random(
        local: LocalProperties,
        public: PublicKey,
        secret: Secret,
        server: PublicKey,
        random: Random,
    ) -> CurveClient {
        let keys = Transient::generate(random)
            .map(|transient| Box::new(Keys { public, secret, server, transient }));
        CurveClient { local, random, sent: 0, state: State::Hello(keys) }
    }

    fn hello(&mut self, keys: &Keys) -> Option<Vec<u8>> {
        let key = keys.transient.secret.shared_with(&keys.server)?;
        let mut body = Vec::with_capacity(HELLO_SIZE);
        body.extend_from_slice(HELLO);
        body.extend_from_slice(&HELLO_VERSION);
        body.extend_from_slice(&[0; HELLO_PADDING]);
        body.extend_from_slice(&keys.transient.public);
        self.sent += 1;
        body.extend_from_slice(&self.sent.to_be_bytes());
        let nonce = counter_nonce(b"CurveZMQHELLO---", self.sent);
        put_box(&key, &nonce, &mut HELLO_TEXT.clone(), &mut body);
        Some(body)
    }

    fn handle_welcome(keys: Box<Keys>, body: &[u8]) -> Option<State> {
        if body.len() != WELCOME_SIZE {
            return None;
        }
        let mut rest = body.strip_prefix(WELCOME)?;
        let nonce = random_nonce(b"WELCOME-", &split(&mut rest)?);
        let key = keys.transient.secret.shared_with(&keys.server)?;
        let text = open_box(&key, &nonce, rest)?;
        let mut rest = &text[..];
        let server_transient = split(&mut rest)?;
        let cookie = split(&mut rest)?;
        Some(State::Initiate { keys, server_transient, cookie })
    }

    /// The command, and the key of what follows it.
    fn initiate(
        &mut self,
        keys: &Keys,
        server_transient: &PublicKey,
        cookie: &[u8; COOKIE],
    ) -> Option<(Vec<u8>, Secret)> {
        let key = keys.transient.secret.shared_with(server_transient)?;
        let mut text = Zeroizing::new(Vec::new());
        text.extend_from_slice(&keys.public);
        self.vouch(keys, server_transient, &mut text)?;
        self.local.encode(&mut text);
        let mut body = INITIATE.to_vec();
        body.extend_from_slice(cookie);
        self.sent += 1;
        body.extend_from_slice(&self.sent.to_be_bytes());
        let nonce = counter_nonce(b"CurveZMQINITIATE", self.sent);
        put_box(&key, &nonce, &mut text, &mut body);
        Some((body, key))
    }

    /// Appends what shows that C and C' belong together: C' and S, from C to S'.
    fn vouch(&self, keys: &Keys, server_transient: &PublicKey, out: &mut Vec<u8>) -> Option<()> {
        let key = keys.secret.shared_with(server_transient)?;
        let tail: [u8; TAIL] = random_tail(self.random);
        let mut text = [0; 2 * KEY];
        text[..KEY].copy_from_slice(&keys.transient.public);
        text[KEY..].copy_from_slice(&keys.server);
        out.extend_from_slice(&tail);
        put_box(&key, &random_nonce(b"VOUCH---", &tail), &mut text, out);
        Some(())
    }

    fn handle_ready(&self, key: Secret, body: &[u8]) -> Result<State, ProtocolError> {
        if body.len() < READY_MINIMUM {
            return Err(ProtocolError::ZMTP_MALFORMED_COMMAND_READY);
        }
        let opened = body.strip_prefix(READY).and_then(|mut rest| {
            let received = u64::from_be_bytes(split(&mut rest)?);
            let nonce = counter_nonce(b"CurveZMQREADY---", received);
            Some((received, open_box(&key, &nonce, rest)?))
        });
        let (received, properties) = opened.ok_or(ProtocolError::ZMTP_CRYPTOGRAPHIC)?;
        let peer = self
            .local
            .decode_peer(&properties)
            .map_err(|_| ProtocolError::ZMTP_INVALID_METADATA)?;
        Ok(State::Ready { peer, key, received })
    }
}

impl Mechanism for CurveClient {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        let state = std::mem::replace(&mut self.state, State::Failed);
        self.state = if body.starts_with(WELCOME) {
            match state {
                State::ExpectWelcome(keys) => {
                    CurveClient::handle_welcome(keys, body).ok_or(CRYPTOGRAPHIC)?
                }
                _ => return Err(UNEXPECTED),
            }
        } else if body.starts_with(READY) {
            match state {
                State::ExpectReady(key) => self.handle_ready(key, body)?,
                _ => return Err(UNEXPECTED),
            }
        } else if let Some(data) = body.strip_prefix(ERROR) {
            return Err(match state {
                State::ExpectWelcome(_) | State::ExpectReady(_) => handle_error_command(data),
                _ => UNEXPECTED,
            });
        } else {
            return Err(UNEXPECTED);
        };
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Hello(keys) => {
                let keys = keys.ok_or(CRYPTOGRAPHIC)?;
                (self.hello(&keys).ok_or(CRYPTOGRAPHIC)?, State::ExpectWelcome(keys))
            }
            State::Initiate { keys, server_transient, cookie } => {
                let (body, key) =
                    self.initiate(&keys, &server_transient, &cookie).ok_or(CRYPTOGRAPHIC)?;
                (body, State::ExpectReady(key))
            }
            other => {
                self.state = other;
                return Ok(None);
            }
        };
        self.state = next;
        Ok(Some(body))
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    fn cipher(&mut self) -> Option<Cipher> {
        match &self.state {
            State::Ready { key, received, .. } => {
                Some(Cipher::Apart(cipher(Side::Client, key, self.sent, *received)))
            }
            _ => None,
        }
    }

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            State::Ready { peer, .. } => peer,
            _ => Peer::default(),
        }
    }
}
