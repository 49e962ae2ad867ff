// SPDX-License-Identifier: MPL-2.0
//! A peer that speaks CURVE, knows all keys there are to be known, and says in its boxes whatever
//! it likes.

#![forbid(unsafe_code)]

use crate::handshake::{Answer, Driven, End, Local};
use crate::input::{Input, Pieces};
use crate::{random, zmtp};
use zmq::engine::halves;
use zmq::mechanism::MechanismConfig;
use zmq::mechanism::curve::sodium::{KEY, Nonce, PublicKey, Secret};
use zmq::zmtp::cipher::Halves;
use zmq::zmtp::{Cipher, Handshake, SocketType};

/// A client's and a server's keys.
pub struct Keys {
    pub client: Secret,
    pub client_public: PublicKey,
    pub server: Secret,
    pub server_public: PublicKey,
}

impl Keys {
    pub fn new() -> Keys {
        random::restart();
        let (client, server) = (secret(0x11), secret(0x22));
        let (client_public, server_public) = (public(&client), public(&server));
        Keys { client, client_public, server, server_public }
    }

    pub fn server_side(&self) -> MechanismConfig {
        MechanismConfig::CurveServer { secret: self.server.clone() }
    }

    pub fn client_side(&self) -> MechanismConfig {
        MechanismConfig::CurveClient {
            public: self.client_public,
            secret: self.client.clone(),
            server: self.server_public,
        }
    }
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::new()
    }
}

pub fn secret(byte: u8) -> Secret {
    Secret::from(&[byte; KEY])
}

pub fn public(secret: &Secret) -> PublicKey {
    secret.public_key().expect("a key")
}

pub fn greeting() -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    greeting.extend_from_slice(b"CURVE");
    greeting.resize(64, 0);
    greeting
}

pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    zmtp::put_header(4, false, body.len() as u64, &mut frame);
    frame.extend_from_slice(body);
    frame
}

/// A nonce of a text and what comes after it.
fn nonce(prefix: &[u8], tail: &[u8]) -> Nonce {
    [prefix, tail].concat().try_into().expect("24 bytes")
}

/// A sealed text behind its tag. `None` of a key that is none.
fn sealed(key: &Option<Secret>, nonce: &Nonce, mut text: Vec<u8>) -> Vec<u8> {
    let Some(key) = key else { return vec![0; text.len() + 16] };
    let tag = key.seal(nonce, &mut text);
    [&tag, &text[..]].concat()
}

fn opened(key: &Option<Secret>, nonce: &Nonce, sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, text) = sealed.split_first_chunk()?;
    let mut text = text.to_vec();
    key.as_ref()?.open(nonce, tag, &mut text).then_some(text)
}

/// What the fuzzer does to a text before it is sealed, or to a command before it is sent.
fn change(input: &mut Input, how: u8, bytes: &mut Vec<u8>) {
    match how & 3 {
        0 | 1 => {}
        2 => {
            let (at, with) = (usize::from(input.u16()), input.u8());
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte ^= with;
            }
        }
        _ => {
            let length = usize::from(input.u16()) % (bytes.len() + 8);
            bytes.resize(length, 0x55);
        }
    }
}

/// What is left of a handshake.
pub struct Ended {
    pub end: End,
    pub cipher: Option<Cipher>,
    /// The key of the traffic, if the peer knows it, and the last counter it used.
    pub key: Option<Secret>,
    pub counter: u64,
}

/// The commands of a peer in the frames that this side has sent, from the greeting on.
fn last_command<'a>(output: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = output.windows(name.len()).rposition(|window| window == name)?;
    Some(&output[at + name.len()..])
}

/// A client of the fuzzer's and our server.
pub fn against_server(input: &mut Input, local: &Local, answer: &Answer, keys: &Keys) -> Ended {
    random::restart();
    let mut server = Driven::new(local.with(keys.server_side()).start(), answer);
    server.feed(&greeting(), Pieces::Whole);
    let transient = secret(0x33);
    let (how, more) = (input.u8(), input.u8());
    let mut counter = if how & 0x40 != 0 { input.u64() } else { 1 };

    let mut text = vec![0; 64];
    change(input, how, &mut text);
    let key = transient.shared_with(&keys.server_public);
    let nonce_of_hello = nonce(b"CurveZMQHELLO---", &counter.to_be_bytes());
    let hello_box = sealed(&key, &nonce_of_hello, text);
    let mut hello = [b"\x05HELLO\x01\0".as_slice(), &[0; 72], &public(&transient)].concat();
    hello.extend_from_slice(&counter.to_be_bytes());
    hello.extend_from_slice(&hello_box);
    change(input, how >> 2, &mut hello);
    server.feed(&frame(&hello), Pieces::Whole);

    let output = server.output();
    let welcome = last_command(&output, b"\x07WELCOME").and_then(|rest| {
        let (tail, rest) = rest.split_first_chunk::<16>()?;
        opened(&key, &nonce(b"WELCOME-", tail), rest.get(..144)?)
    });
    let Some(welcome) = welcome else {
        let (outcome, cipher) = server.end();
        return Ended { end: outcome.end, cipher, key: None, counter };
    };
    let server_transient: PublicKey = welcome[..KEY].try_into().expect("a key");
    let cookie = &welcome[KEY..];
    counter = if how & 0x80 != 0 { input.u64() } else { counter.wrapping_add(1) };

    // The vouch, from the permanent key.
    let mut vouch = [&public(&transient)[..], &keys.server_public].concat();
    change(input, how >> 4, &mut vouch);
    let vouch_nonce = nonce(b"VOUCH---", &[9; 16]);
    let vouch = sealed(&keys.client.shared_with(&server_transient), &vouch_nonce, vouch);
    let mut text = [&keys.client_public[..], &[9; 16], &vouch].concat();
    let kind = if more & 0x40 != 0 { b"" } else { property(local.socket_type) };
    text.extend_from_slice(kind);
    text.extend_from_slice(input.long_chunk());
    change(input, more, &mut text);
    let key = transient.shared_with(&server_transient);
    let nonce_of_initiate = nonce(b"CurveZMQINITIATE", &counter.to_be_bytes());
    let initiate_box = sealed(&key, &nonce_of_initiate, text);
    let mut initiate = [b"\x08INITIATE", cookie, &counter.to_be_bytes(), &initiate_box].concat();
    change(input, more >> 2, &mut initiate);
    server.feed(&frame(&initiate), Pieces::Whole);
    let (outcome, cipher) = server.end();
    Ended { end: outcome.end, cipher, key, counter }
}

/// A server of the fuzzer's and our client.
pub fn against_client(input: &mut Input, local: &Local, keys: &Keys) -> Ended {
    random::restart();
    let mut client = Driven::new(local.with(keys.client_side()).start(), &Answer::Silence);
    client.feed(&greeting(), Pieces::Whole);
    let transient = secret(0x44);
    let (how, more) = (input.u8(), input.u8());
    let output = client.output();
    let hello = last_command(&output, b"\x05HELLO").expect("it comes first");
    let client_transient: PublicKey = hello[74..74 + KEY].try_into().expect("a key");

    let mut text = [&public(&transient)[..], &[0xc0; 96]].concat();
    change(input, how, &mut text);
    let key = keys.server.shared_with(&client_transient);
    let welcome_box = sealed(&key, &nonce(b"WELCOME-", &[8; 16]), text);
    let mut welcome = [b"\x07WELCOME".as_slice(), &[8; 16], &welcome_box].concat();
    change(input, how >> 2, &mut welcome);
    client.feed(&frame(&welcome), Pieces::Whole);

    let counter = if how & 0x80 != 0 { input.u64() } else { 1 };
    let key = transient.shared_with(&client_transient);
    let command = if more & 0x20 != 0 {
        let mut command = b"\x05ERROR".to_vec();
        command.extend_from_slice(input.chunk());
        command
    } else {
        let kind = if more & 0x40 != 0 { b"" } else { property(local.socket_type) };
        let mut text = kind.to_vec();
        text.extend_from_slice(input.long_chunk());
        change(input, more, &mut text);
        let nonce_of_ready = nonce(b"CurveZMQREADY---", &counter.to_be_bytes());
        let ready_box = sealed(&key, &nonce_of_ready, text);
        let mut ready = [b"\x05READY", &counter.to_be_bytes()[..], &ready_box].concat();
        change(input, more >> 2, &mut ready);
        ready
    };
    client.feed(&frame(&command), Pieces::Whole);
    let (outcome, cipher) = client.end();
    Ended { end: outcome.end, cipher, key, counter }
}

/// The property Socket-Type of a peer that goes with this type.
fn property(ours: SocketType) -> &'static [u8] {
    match ours.peers().first() {
        Some(SocketType::Pair) => b"\x0bSocket-Type\0\0\0\x04PAIR",
        Some(SocketType::Sub) => b"\x0bSocket-Type\0\0\0\x03SUB",
        Some(SocketType::Pub) => b"\x0bSocket-Type\0\0\0\x03PUB",
        Some(SocketType::Req) => b"\x0bSocket-Type\0\0\0\x03REQ",
        Some(SocketType::Rep) => b"\x0bSocket-Type\0\0\0\x03REP",
        _ => b"",
    }
}

/// A frame of the traffic, sealed by the peer. `to_server`: it is the client's.
pub fn message(key: &Secret, to_server: bool, counter: u64, inner: u8, body: &[u8]) -> Vec<u8> {
    let prefix = if to_server { b"CurveZMQMESSAGEC" } else { b"CurveZMQMESSAGES" };
    let text = [&[inner], body].concat();
    let sealed = sealed(&Some(key.clone()), &nonce(prefix, &counter.to_be_bytes()), text);
    [b"\x07MESSAGE", &counter.to_be_bytes()[..], &sealed].concat()
}

/// The ciphers of a client and of a server that have met.
pub fn ciphers(keys: &Keys) -> (Halves, Halves) {
    random::restart();
    let local = Local {
        socket_type: SocketType::Dealer,
        routing_id: Vec::new(),
        max_msg_size: -1,
        properties: Vec::new(),
        zap: None,
    };
    let mut client = local.with(keys.client_side()).start();
    let mut server = local.with(keys.server_side()).start();
    while !client.is_established() || !server.is_established() {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    [client, server].map(|mut side| halves(side.take_cipher().expect("a cipher"))).into()
}

fn pass(from: &mut Handshake, to: &mut Handshake) {
    let bytes = from.output().to_vec();
    from.advance_output(bytes.len());
    assert_eq!(to.handle_input(&bytes), Ok(bytes.len()));
}
