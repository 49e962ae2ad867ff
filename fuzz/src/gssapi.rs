// SPDX-License-Identifier: MPL-2.0
//! GSSAPI with contexts that are made up, so that it takes no key server and no library of the
//! system's: a few steps, tokens of any length, and a seal that the peer here knows.

#![forbid(unsafe_code)]

use crate::curve;
use crate::handshake::Local;
use crate::input::Input;
use zmq::mechanism::gssapi::{Context, GssapiClient, GssapiServer, Step};
use zmq::mechanism::metadata::LocalProperties;
use zmq::zmtp::handshake::{Handshake, HandshakeConfig, Mechanism};

pub use crate::curve::frame;

/// What comes ahead of a text in a MESSAGE: its name, the length, a number and dots.
pub const HEAD: usize = 12 + SEAL;
const SEAL: usize = 24;

pub fn greeting() -> Vec<u8> {
    let mut greeting = curve::greeting();
    greeting[12..18].copy_from_slice(b"GSSAPI");
    greeting
}

/// A context of so many steps. It takes every token but those that begin with 0xff.
#[derive(Clone)]
pub struct Script {
    pub steps: u8,
    /// The lengths of its tokens.
    length: usize,
    /// The last step of the side that is the first to be done says nothing more.
    silent: bool,
    /// Whose name it was begun under; none: the context does not know.
    name: Option<Vec<u8>>,
    /// The name of a text that it does not seal.
    unsealed: Option<u8>,
    taken: u8,
    sealed: u64,
    opened: u64,
}

impl Script {
    pub fn read(input: &mut Input) -> Script {
        let choice = input.u8();
        Script {
            steps: choice & 3,
            length: [1, 2, 255, 5000][usize::from(choice >> 2 & 3)],
            silent: choice & 0x10 != 0,
            name: (choice & 0x20 == 0).then(|| input.chunk().to_vec()),
            unsealed: (choice & 0x40 != 0).then(|| input.u8()),
            taken: 0,
            sealed: 0,
            opened: 0,
        }
    }

    pub fn peer(&self) -> Peer {
        Peer(Script { unsealed: None, ..self.clone() })
    }

    fn token(&self, number: u8) -> Vec<u8> {
        let mut token = vec![b'.'; self.length];
        token[0] = number;
        token
    }
}

impl Context for Script {
    fn step(&mut self, token: &[u8]) -> Option<Step> {
        assert!(self.taken < self.steps.max(1), "a step after the last one");
        self.taken += 1;
        // A client's first step has no token to go by.
        let refused = self.steps == 0 || token.first().is_some_and(|&first| first == 0xff);
        let complete = self.taken == self.steps;
        let silent = complete && self.silent;
        let token = if silent { Vec::new() } else { self.token(self.taken) };
        (!refused).then_some(Step { token, complete })
    }

    fn peer_name(&self) -> Option<Vec<u8>> {
        assert_eq!(self.taken, self.steps, "not established");
        self.name.clone()
    }

    fn wrap(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(self.taken, self.steps, "not established");
        self.sealed += 1;
        let refused = self.unsealed.is_some_and(|first| text.get(1) == Some(&first));
        (!refused).then(|| seal(self.sealed, text))
    }

    fn unwrap(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(self.taken, self.steps, "not established");
        let (head, text) = sealed.split_first_chunk::<SEAL>()?;
        if head[..] != seal(self.opened + 1, b"")[..] {
            return None;
        }
        self.opened += 1;
        Some(text.iter().map(|byte| byte.wrapping_sub(1)).collect())
    }
}

fn seal(number: u64, text: &[u8]) -> Vec<u8> {
    let mut sealed = number.to_be_bytes().to_vec();
    sealed.resize(SEAL, b'.');
    sealed.extend(text.iter().map(|byte| byte.wrapping_add(1)));
    sealed
}

/// The other side, which does as it should, as far as the fuzzer lets it.
pub struct Peer(Script);

impl Peer {
    /// The frames with its tokens, for a server or a client that takes as many steps as it does.
    pub fn tokens(&self, to_server: bool) -> Vec<Vec<u8>> {
        let token = |number| {
            let token = self.0.token(number);
            let length = (token.len() as u32).to_be_bytes();
            frame(&[&b"\x08INITIATE"[..], &length, &token].concat())
        };
        // A client takes its first step without one; a server is told at last that it was enough.
        match to_server {
            true => (1..=self.0.steps).map(token).chain([frame(b"")]).collect(),
            false => (1..self.0.steps).map(token).collect(),
        }
    }

    /// The body of a MESSAGE.
    pub fn message(&mut self, text: &[u8]) -> Vec<u8> {
        self.0.sealed += 1;
        let sealed = seal(self.0.sealed, text);
        [&b"\x07MESSAGE"[..], &(sealed.len() as u32).to_be_bytes(), &sealed].concat()
    }
}

/// This side.
pub fn start(local: &Local, context: Script, server: bool, plaintext: bool) -> Handshake {
    let Local { socket_type, max_msg_size, ref routing_id, ref properties, ref zap } = *local;
    let (routing_id, more) = (routing_id.clone(), properties.clone());
    let own = LocalProperties { socket_type, routing_id: routing_id.clone(), more };
    let context = Box::new(context);
    let mechanism: Box<dyn Mechanism> = match server {
        true => Box::new(GssapiServer::new(own, context, plaintext, zap.clone())),
        false => Box::new(GssapiClient::new(own, context, plaintext)),
    };
    let security_required = zap.is_some();
    Handshake::new(HandshakeConfig {
        socket_type,
        routing_id,
        max_msg_size,
        security_required,
        mechanism,
    })
}
