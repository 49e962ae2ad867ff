// SPDX-License-Identifier: MPL-2.0
//! The server's side of the handshake.
//!
//! Between WELCOME and INITIATE the server keeps nothing of the client but the key of the cookie,
//! which is made for this connection: so a cookie is of no use on another one.

#![forbid(unsafe_code)]

use super::cipher::{Side, cipher};
use super::sodium::{self, KEY, PublicKey, Secret};
use super::{
    COOKIE, HELLO, HELLO_PADDING, HELLO_SIZE, HELLO_TEXT, HELLO_VERSION, INITIATE,
    INITIATE_MINIMUM, NAME, READY, Random, TAIL, Transient, VOUCH, WELCOME, WELCOME_SIZE,
    check_structure, counter_nonce, open_box, put_box, random_nonce, random_tail, split,
};
use crate::mechanism::metadata::LocalProperties;
use crate::mechanism::server::{Properties, ServerState};
use crate::mechanism::zap::{Zap, ZapConfig};
use crate::mechanism::{ERROR, error_command};
use crate::zmtp::handshake::{Mechanism, Peer};
use crate::zmtp::{Cipher, HandshakeError, ProtocolError};
use zeroize::Zeroizing;

const CRYPTOGRAPHIC: ProtocolError = ProtocolError::ZMTP_CRYPTOGRAPHIC;

/// The server's part of one handshake.
#[derive(Debug)]
pub struct CurveServer {
    local: LocalProperties,
    zap: Option<ZapConfig>,
    secret: Secret,
    random: Random,
    state: State,
}

type State = ServerState<Step, Client>;

#[derive(Debug)]
enum Step {
    ExpectHello,
    /// WELCOME is to be sent: to C', with the key of boxes between C' and S.
    Welcome {
        client_transient: PublicKey,
        key: Secret,
    },
    /// With the key of the cookie.
    ExpectInitiate(Secret),
    /// READY is to be sent.
    Initiated(Client),
    Ready(Client),
}

/// A client that has proved who it is.
#[derive(Debug)]
struct Client {
    peer: Peer,
    /// The key of everything from here on.
    key: Secret,
    /// The last counter the client used.
    received: u64,
}

impl Client {
    /// What ZAP has said of it comes ahead of what it says of itself.
    fn admitted(mut self, properties: Properties) -> Step {
        self.peer.properties.splice(..0, properties);
        Step::Initiated(self)
    }
}

/// The counter of READY.
const READY_COUNTER: u64 = 1;

impl CurveServer {
    /// With `zap` a handler is asked whether a client may come in; without, every one may that
    /// knows the server's public key.
    pub fn new(local: LocalProperties, secret: Secret, zap: Option<ZapConfig>) -> CurveServer {
        CurveServer::with_random(local, secret, zap, sodium::random)
    }

    pub(super) fn with_random(
        local: LocalProperties,
        secret: Secret,
        zap: Option<ZapConfig>,
        random: Random,
    ) -> CurveServer {
        CurveServer { local, zap, secret, random, state: State::Step(Step::ExpectHello) }
    }

    fn handle_hello(&self, body: &[u8]) -> Result<State, ProtocolError> {
        let malformed = ProtocolError::ZMTP_MALFORMED_COMMAND_HELLO;
        check_structure(body)?;
        let mut rest = body.strip_prefix(HELLO).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
        if body.len() != HELLO_SIZE || split(&mut rest) != Some(HELLO_VERSION) {
            return Err(malformed);
        }
        let _padding: [u8; HELLO_PADDING] = split(&mut rest).ok_or(malformed)?;
        let client_transient = split(&mut rest).ok_or(malformed)?;
        let counter = u64::from_be_bytes(split(&mut rest).ok_or(malformed)?);
        let key = self.secret.shared_with(&client_transient).ok_or(CRYPTOGRAPHIC)?;
        let nonce = counter_nonce(b"CurveZMQHELLO---", counter);
        let text = open_box(&key, &nonce, rest).ok_or(CRYPTOGRAPHIC)?;
        if !sodium::equal(&text, &HELLO_TEXT) {
            return Err(CRYPTOGRAPHIC);
        }
        Ok(State::Step(Step::Welcome { client_transient, key }))
    }

    /// The command, and the key of the cookie in it.
    fn welcome(&self, client_transient: &PublicKey, key: &Secret) -> Option<(Vec<u8>, Secret)> {
        let transient = Transient::generate(self.random)?;
        let cookie_key = Secret::new(|key| (self.random)(key));
        let mut text = Zeroizing::new(Vec::with_capacity(KEY + COOKIE));
        text.extend_from_slice(&transient.public);
        let tail: [u8; TAIL] = random_tail(self.random);
        text.extend_from_slice(&tail);
        let mut cookie = Zeroizing::new([0; 2 * KEY]);
        cookie[..KEY].copy_from_slice(client_transient);
        cookie[KEY..].copy_from_slice(transient.secret.as_bytes());
        put_box(&cookie_key, &random_nonce(b"COOKIE--", &tail), &mut *cookie, &mut text);

        let mut body = Vec::with_capacity(WELCOME_SIZE);
        body.extend_from_slice(WELCOME);
        let tail: [u8; TAIL] = random_tail(self.random);
        body.extend_from_slice(&tail);
        put_box(key, &random_nonce(b"WELCOME-", &tail), &mut text, &mut body);
        Some((body, cookie_key))
    }

    fn handle_initiate(
        &mut self,
        cookie_key: &Secret,
        body: &[u8],
    ) -> Result<State, HandshakeError> {
        let malformed = ProtocolError::ZMTP_MALFORMED_COMMAND_INITIATE;
        check_structure(body)?;
        let mut rest = body.strip_prefix(INITIATE).ok_or(ProtocolError::ZMTP_UNEXPECTED_COMMAND)?;
        if body.len() < INITIATE_MINIMUM {
            return Err(malformed.into());
        }
        let cookie: [u8; COOKIE] = split(&mut rest).ok_or(malformed)?;
        let (client_transient, secret) = open_cookie(cookie_key, &cookie).ok_or(CRYPTOGRAPHIC)?;
        let received = u64::from_be_bytes(split(&mut rest).ok_or(malformed)?);
        let key = secret.shared_with(&client_transient).ok_or(CRYPTOGRAPHIC)?;
        let nonce = counter_nonce(b"CurveZMQINITIATE", received);
        let text = open_box(&key, &nonce, rest).ok_or(CRYPTOGRAPHIC)?;

        let mut rest = &text[..];
        let client: PublicKey = split(&mut rest).ok_or(malformed)?;
        let vouch: [u8; VOUCH] = split(&mut rest).ok_or(malformed)?;
        let vouched = open_vouch(&secret, &client, &vouch).ok_or(CRYPTOGRAPHIC)?;
        let public = self.secret.public_key().ok_or(CRYPTOGRAPHIC)?;
        let mut expected = [0; 2 * KEY];
        expected[..KEY].copy_from_slice(&client_transient);
        expected[KEY..].copy_from_slice(&public);
        if !sodium::equal(&vouched, &expected) {
            return Err(ProtocolError::ZMTP_KEY_EXCHANGE.into());
        }
        let peer = self.local.decode_peer(rest).map_err(HandshakeError::silent)?;
        let zap = Zap::new(self.zap.take(), NAME, &self.local.routing_id, &[&client]);
        Ok(State::ask(zap, Client { peer, key, received }, Client::admitted))
    }

    fn ready(&self, key: &Secret) -> Vec<u8> {
        let mut text = Zeroizing::new(Vec::new());
        self.local.encode(&mut text);
        let mut body = READY.to_vec();
        body.extend_from_slice(&READY_COUNTER.to_be_bytes());
        put_box(key, &counter_nonce(b"CurveZMQREADY---", READY_COUNTER), &mut text, &mut body);
        body
    }
}

/// The client's transient public key and our secret one.
fn open_cookie(key: &Secret, cookie: &[u8; COOKIE]) -> Option<(PublicKey, Secret)> {
    let mut rest = &cookie[..];
    let nonce = random_nonce(b"COOKIE--", &split(&mut rest)?);
    let text = open_box(key, &nonce, rest)?;
    let (client_transient, rest) = text.split_first_chunk()?;
    Some((*client_transient, Secret::from(rest.first_chunk()?)))
}

fn open_vouch(
    secret: &Secret,
    client: &PublicKey,
    vouch: &[u8; VOUCH],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = &vouch[..];
    let nonce = random_nonce(b"VOUCH---", &split(&mut rest)?);
    open_box(&secret.shared_with(client)?, &nonce, rest)
}

impl Mechanism for CurveServer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(Step::ExpectHello) => self.handle_hello(body)?,
            State::Step(Step::ExpectInitiate(cookie_key)) => {
                self.handle_initiate(&cookie_key, body)?
            }
            _ => return Err(ProtocolError::ZMTP_UNSPECIFIED.into()),
        };
        Ok(())
    }

    fn poll_command(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let (body, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Step(Step::Welcome { client_transient, key }) => {
                let (body, cookie_key) =
                    self.welcome(&client_transient, &key).ok_or(CRYPTOGRAPHIC)?;
                (body, State::Step(Step::ExpectInitiate(cookie_key)))
            }
            State::Step(Step::Initiated(client)) => {
                (self.ready(&client.key), State::Step(Step::Ready(client)))
            }
            State::Refused(status) => (error_command(ERROR, status), State::Failed),
            other => {
                self.state = other;
                return Ok(None);
            }
        };
        self.state = next;
        Ok(Some(body))
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Step(Step::Ready(_)))
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

    fn cipher(&mut self) -> Option<Cipher> {
        match &self.state {
            State::Step(Step::Ready(Client { key, received, .. })) => {
                Some(Cipher::Apart(cipher(Side::Server, key, READY_COUNTER, *received)))
            }
            _ => None,
        }
    }

    fn into_peer(self: Box<Self>) -> Peer {
        match self.state {
            State::Step(Step::Ready(client)) => client.peer,
            _ => Peer::default(),
        }
    }
}
