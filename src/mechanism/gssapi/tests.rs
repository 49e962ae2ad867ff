// SPDX-License-Identifier: MPL-2.0
//! Both sides of GSSAPI byte by byte, over contexts that are written down, and everything a peer
//! may do wrong. The system's own contexts have their test in tests/gssapi.py.

#![forbid(unsafe_code)]

use super::cipher::Traffic;
use super::*;
use crate::mechanism::zap::ZapConfig;
use crate::zmtp::cipher::{Open, Seal};
use crate::zmtp::handshake::{Handshake, HandshakeConfig, Mechanism};
use crate::zmtp::{Cipher, FailureClass, Flags, HandshakeEvent, SocketType};
use HandshakeEvent::{Auth, NoDetail, Protocol};

/// Steps of a context: the token that comes in, the one that goes out, whether that is all.
type Steps = &'static [(&'static [u8], &'static [u8], bool)];

/// As with Kerberos: one token each way.
const CLIENT: Steps = &[(b"", b"1", false), (b"2", b"", true)];
const SERVER: Steps = &[(b"1", b"2", true)];

/// A context of these steps. It seals by adding one to every byte.
struct Script {
    steps: Steps,
    sealed: u64,
    opened: u64,
}

/// What is ahead of a sealed text: its number, and dots.
const HEAD: usize = 24;

impl Context for Script {
    fn step(&mut self, token: &[u8]) -> Option<Step> {
        let (&(expected, token_out, complete), rest) = self.steps.split_first()?;
        self.steps = rest;
        (token == expected).then(|| Step { token: token_out.to_vec(), complete })
    }

    fn peer_name(&self) -> Option<Vec<u8>> {
        Some(b"alice@REALM".to_vec())
    }

    fn wrap(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        self.sealed += 1;
        let mut sealed = self.sealed.to_be_bytes().to_vec();
        sealed.resize(HEAD, b'.');
        sealed.extend(text.iter().map(|byte| byte.wrapping_add(1)));
        (text != b"\0no").then_some(sealed)
    }

    fn unwrap(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = sealed.split_first_chunk::<HEAD>()?;
        let (number, dots) = head.split_first_chunk()?;
        if u64::from_be_bytes(*number) != self.opened + 1 || dots.iter().any(|&dot| dot != b'.') {
            return None;
        }
        self.opened += 1;
        Some(text.iter().map(|byte| byte.wrapping_sub(1)).collect())
    }
}

fn context(steps: Steps) -> Box<dyn Context> {
    Box::new(Script { steps, sealed: 0, opened: 0 })
}

fn properties(socket_type: SocketType, routing_id: &[u8]) -> LocalProperties {
    LocalProperties { socket_type, routing_id: routing_id.to_vec(), more: Vec::new() }
}

fn client_of(steps: Steps, plaintext: bool) -> Handshake {
    let local = properties(SocketType::Req, b"me");
    handshake(Box::new(GssapiClient::new(local, context(steps), plaintext)))
}

fn client(plaintext: bool) -> Handshake {
    client_of(CLIENT, plaintext)
}

fn server_of(steps: Steps, plaintext: bool, zap: Option<ZapConfig>) -> Handshake {
    let local = properties(SocketType::Rep, b"us");
    handshake(Box::new(GssapiServer::new(local, context(steps), plaintext, zap)))
}

fn server(plaintext: bool, zap: Option<ZapConfig>) -> Handshake {
    server_of(SERVER, plaintext, zap)
}

fn zap(handler_required: bool) -> Option<ZapConfig> {
    let (domain, peer_address) = (b"global".to_vec(), "127.0.0.1".to_owned());
    Some(ZapConfig { domain, handler_required, peer_address })
}

fn handshake(mechanism: Box<dyn Mechanism>) -> Handshake {
    Handshake::new(HandshakeConfig {
        socket_type: SocketType::Req,
        routing_id: Vec::new(),
        max_msg_size: -1,
        security_required: true,
        mechanism,
    })
}

fn greeted(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    bytes.extend_from_slice(b"GSSAPI");
    bytes.resize(64, 0);
    for body in frames {
        bytes.extend_from_slice(&[4, body.len() as u8]);
        bytes.extend_from_slice(body);
    }
    bytes
}

/// MESSAGE with what a context seals as its number `number`.
fn message(number: u64, text: &[u8]) -> Vec<u8> {
    let mut context = Script { steps: CLIENT, sealed: number - 1, opened: 0 };
    let sealed = context.wrap(text).unwrap();
    [&b"\x07MESSAGE"[..], &(sealed.len() as u32).to_be_bytes(), &sealed].concat()
}

const TOKEN_1: &[u8] = b"\x08INITIATE\0\0\0\x011";
const TOKEN_2: &[u8] = b"\x08INITIATE\0\0\0\x012";
const TOKEN_3: &[u8] = b"\x08INITIATE\0\0\0\x013";
const TOKEN_4: &[u8] = b"\x08INITIATE\0\0\0\x014";
const READY_REQ: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\x02me";
const READY_REP: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x03REP";

/// READY as it goes over the wire.
fn on_the_wire(ready: &[u8], plaintext: bool) -> Vec<u8> {
    match plaintext {
        true => ready.to_vec(),
        false => message(1, &[b"\0", ready].concat()),
    }
}

/// Passes in bytes, some at a time, and does the work there is in between; what is behind the
/// handshake is left.
fn feed<'a>(
    side: &mut Handshake,
    mut input: &'a [u8],
    step: usize,
) -> Result<&'a [u8], HandshakeError> {
    loop {
        while let Some(mut work) = side.poll_work() {
            assert_eq!(side.handle_input(b"not now"), Ok(0));
            assert!(side.poll_work().is_none());
            work.run();
            side.handle_work(work)?;
        }
        if input.is_empty() || side.is_established() {
            return Ok(input);
        }
        input = &input[side.handle_input(&input[..input.len().min(step)])?..];
    }
}

#[test]
fn both_sides_byte_by_byte() {
    for plaintext in [false, true] {
        let to_server = greeted(&[TOKEN_1, b"", &on_the_wire(READY_REQ, plaintext)]);
        let to_client = greeted(&[TOKEN_2, &on_the_wire(READY_REP, plaintext)]);
        for step in [1, 2, 7, 1000] {
            let mut client = client(plaintext);
            assert_eq!(feed(&mut client, &to_client, step), Ok(&b""[..]));
            let mut server = server(plaintext, None);
            let with_traffic = [&to_server[..], b"traffic"].concat();
            assert_eq!(feed(&mut server, &with_traffic, step), Ok(&b"traffic"[..]));
            assert_eq!((client.output(), server.output()), (&to_server[..], &to_client[..]));

            for side in [&mut client, &mut server] {
                assert!(side.is_established());
                let cipher = side.take_cipher();
                assert_eq!(matches!(cipher, Some(Cipher::Joint(_))), !plaintext);
                assert_eq!(cipher.is_none(), plaintext);
                assert!(side.take_cipher().is_none());
            }
            let client = client.into_established().unwrap();
            assert_eq!(client.socket_type, Some(SocketType::Rep));
            let server = server.into_established().unwrap();
            assert_eq!(server.routing_id.as_deref(), Some(&b"me"[..]));
            assert_eq!(server.properties.len(), 2);
        }
    }
}

#[test]
fn contexts_of_more_steps() {
    // Two rounds; and one that ends with a word of the client.
    const LONG_CLIENT: Steps = &[(b"", b"1", false), (b"2", b"3", false), (b"4", b"", true)];
    const LONG_SERVER: Steps = &[(b"1", b"2", false), (b"3", b"4", true)];
    const LAST_WORD: Steps = &[(b"", b"1", false), (b"2", b"3", true)];
    for (to_server, to_client, client_steps, server_steps) in [
        (
            &[TOKEN_1, TOKEN_3, b"", READY_REQ][..],
            &[TOKEN_2, TOKEN_4, READY_REP][..],
            LONG_CLIENT,
            LONG_SERVER,
        ),
        (&[TOKEN_1, TOKEN_3, READY_REQ], &[TOKEN_2, READY_REP], LAST_WORD, SERVER),
    ] {
        let (to_server, to_client) = (greeted(to_server), greeted(to_client));
        let mut client = client_of(client_steps, true);
        assert_eq!(feed(&mut client, &to_client, 1000), Ok(&b""[..]));
        let mut server = server_of(server_steps, true, None);
        assert_eq!(feed(&mut server, &to_server, 1000), Ok(&b""[..]));
        assert!(client.is_established() && server.is_established());
        assert_eq!((client.output(), server.output()), (&to_server[..], &to_client[..]));
    }
}

#[test]
fn no_context_to_be_had() {
    let lost = HandshakeError {
        class: FailureClass::Connection,
        errno: Error::ACCES,
        event: NoDetail(Error::ACCES),
    };
    let mut without_ticket = client_of(&[], false);
    assert_eq!(feed(&mut without_ticket, &greeted(&[]), 100), Err(lost));
    assert_eq!(without_ticket.output(), greeted(&[]));
    let mut doubting = client(false);
    assert_eq!(feed(&mut doubting, &greeted(&[TOKEN_3]), 100), Err(lost));
    assert_eq!(doubting.output(), greeted(&[TOKEN_1]));
    let mut refusing = server(false, None);
    assert_eq!(feed(&mut refusing, &greeted(&[TOKEN_4]), 100), Err(lost));
    assert_eq!(refusing.output(), greeted(&[]));
}

#[test]
fn what_each_side_refuses() {
    let unspecified = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED);
    let unexpected = Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
    let initiate = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_INITIATE);
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE);
    let cryptographic = Protocol(ProtocolError::ZMTP_CRYPTOGRAPHIC);
    let metadata = Protocol(ProtocolError::ZMTP_INVALID_METADATA);
    // What ends a handshake that waits for a token.
    let tokens: &[(&[u8], HandshakeEvent)] = &[
        (b"", unspecified),
        (b"\x08", unspecified),
        (b"\x08INITIAT", unspecified),
        (b"\x05READY", unexpected),
        (b"\x07INITIATE", unexpected),
        (b"\x08INITIATE", initiate),
        (b"\x08INITIATE\0\0\0", initiate),
        (b"\x08INITIATE\0\0\0\x02x", initiate),
        (b"\x08INITIATE\0\0\0\x00x", initiate),
        (b"\x08INITIATE\xff\xff\xff\xffx", initiate),
    ];
    for (body, event) in tokens {
        for mut side in [client(false), server(false, None)] {
            let error = feed(&mut side, &greeted(&[body]), 1000).unwrap_err();
            assert_eq!(error.event, *event, "{body:?}");
            assert_eq!(error.class, FailureClass::Protocol);
        }
    }
    // And one that waits for READY.
    let of_type = |socket_type: &str| {
        let head = b"\x05READY\x0bSocket-Type\0\0\0\x03";
        [&head[..], socket_type.as_bytes()].concat()
    };
    let ready: [(Vec<u8>, bool, HandshakeEvent); 15] = [
        (b"\x05READ".to_vec(), true, unspecified),
        (b"\x05READX".to_vec(), true, unexpected),
        (b"\x05READY\x0bSocket-Type".to_vec(), true, metadata),
        (of_type("PUB"), true, metadata),
        (on_the_wire(READY_REP, false), true, unexpected),
        (READY_REP.to_vec(), false, unexpected),
        (b"\x07MESSAG".to_vec(), false, unspecified),
        (b"\x07MESSAGE".to_vec(), false, malformed),
        (b"\x07MESSAGE\0\0\0\x02x".to_vec(), false, malformed),
        (b"\x07MESSAGE\0\0\0\x01x".to_vec(), false, cryptographic),
        ([&message(1, READY_REP)[..], b"x"].concat(), false, malformed),
        (message(2, READY_REP), false, cryptographic),
        (message(1, b""), false, unspecified),
        (message(1, b"\0\x05READY\x0b"), false, metadata),
        (message(1, &[b"\0", &of_type("SUB")[..]].concat()), false, metadata),
    ];
    for (body, plaintext, event) in &ready {
        let mut client = client(*plaintext);
        let error = feed(&mut client, &greeted(&[TOKEN_2, body]), 1000).unwrap_err();
        assert_eq!(error.event, *event, "{body:?}");
        let mut server = server(*plaintext, None);
        let error = feed(&mut server, &greeted(&[TOKEN_1, b"", body]), 1000).unwrap_err();
        assert_eq!(error.event, *event, "{body:?}");
    }
    // A client that has not said that it is content.
    for body in [&b"\x05READY"[..], b"\x07MESSAGE", b"x"] {
        let mut server = server(false, None);
        let error = feed(&mut server, &greeted(&[TOKEN_1, body]), 1000).unwrap_err();
        assert_eq!(error.event, unexpected);
    }
    // ERROR, which libzmq does not send.
    for frames in [&[&b"\x05ERROR\x03400"[..]][..], &[TOKEN_2, b"\x05ERROR\x03400"]] {
        let error = feed(&mut client(false), &greeted(frames), 1000).unwrap_err();
        assert_eq!(error.event, Auth(400));
    }
}

#[test]
fn the_handler_is_asked_about_the_principal() {
    let asked = || {
        let mut server = server(true, zap(false));
        feed(&mut server, &greeted(&[TOKEN_1, b""]), 1000).unwrap();
        let request = server.poll_zap_request().unwrap();
        let expected: [&[u8]; 8] =
            [b"", b"1.0", b"1", b"global", b"127.0.0.1", b"us", b"GSSAPI", b"alice@REALM"];
        assert_eq!(request, expected);
        assert_eq!(server.output(), greeted(&[TOKEN_2]));
        server
    };
    let reply =
        |status: &'static [u8]| -> [&[u8]; 7] { [b"", b"1.0", b"1", status, b"", b"al", b""] };
    let mut server = asked();
    server.handle_zap_reply(&reply(b"200")).unwrap();
    assert_eq!(server.output(), greeted(&[TOKEN_2, READY_REP]));
    server.handle_input(&greeted(&[READY_REQ])[64..]).unwrap();
    let (name, user) = &server.into_established().unwrap().properties[0];
    assert_eq!((&name[..], &user[..]), ("User-Id", &b"al"[..]));

    // Nothing is said to who is refused.
    for (status, event) in [(&b"300"[..], 300), (b"400", 400), (b"500", 500)] {
        let mut server = asked();
        assert_eq!(server.handle_zap_reply(&reply(status)).unwrap_err().event, Auth(event));
        assert_eq!(server.output(), greeted(&[TOKEN_2]));
    }
    let mut open = asked();
    open.handle_no_zap_handler().unwrap();
    assert_eq!(open.output(), greeted(&[TOKEN_2, READY_REP]));
    // A client that does not wait.
    let mut server = asked();
    let error = server.handle_input(&greeted(&[READY_REQ])[64..]).unwrap_err();
    assert_eq!(error.event, Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND));
}

// Traffic.

fn traffic() -> Traffic {
    Traffic::new(context(CLIENT))
}

fn sealed(traffic: &mut Traffic, flags: Flags, head: &[u8], body: &[u8]) -> Vec<u8> {
    let length = traffic.sealed_length(flags, head, body).unwrap();
    let mut out = b"before".to_vec();
    traffic.seal(flags, head, body, &mut out);
    assert_eq!(out.len(), 6 + length);
    out.split_off(6)
}

#[test]
fn traffic_both_ways() {
    let (mut near, mut far) = (traffic(), traffic());
    for size in (0..300).chain([65_536, 1 << 20]) {
        let body: Vec<u8> = (0..size).map(|index| (index * 31) as u8).collect();
        for (flags, head, inner) in [
            (Flags::NONE, &b""[..], 0),
            (Flags::MORE, b"", 1),
            (Flags::COMMAND | Flags::LONG, b"\x09SUBSCRIBE", 2),
        ] {
            let mut bytes = sealed(&mut near, flags, head, &body);
            assert_eq!(bytes[12 + HEAD], inner + 1);
            let opened = far.open(&mut bytes).unwrap();
            assert_eq!(opened.flags.byte(), flags.byte() & !Flags::LONG.byte());
            assert!(bytes[opened.offset..] == [head, &body].concat());
        }
    }
}

#[test]
fn subscriptions_as_libzmq_has_them() {
    for (inner, body) in
        [(4, &b"\x09SUBSCRIBEtopic"[..]), (5, b"\x09SUBSCRIBEtopic"), (8, b"\x06CANCELtopic")]
    {
        let mut bytes = message(1, &[&[inner], &b"topic"[..]].concat());
        let opened = traffic().open(&mut bytes).unwrap();
        assert_eq!((opened.flags, &bytes[opened.offset..]), (Flags::COMMAND, body));
    }
}

#[test]
fn traffic_that_is_none() {
    let malformed = ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE;
    let good = message(1, b"\0body");
    for length in 0..good.len() {
        let expected = match length {
            0..8 => ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED,
            _ => malformed,
        };
        assert_eq!(traffic().open(&mut good[..length].to_vec()), Err(expected), "{length}");
    }
    for (mut bytes, error) in [
        ([&good[..], b"x"].concat(), malformed),
        (message(1, b""), malformed),
        (message(2, b"\0body"), ProtocolError::ZMTP_CRYPTOGRAPHIC),
        (READY_REP.to_vec(), ProtocolError::ZMTP_UNEXPECTED_COMMAND),
    ] {
        assert_eq!(traffic().open(&mut bytes), Err(error));
    }
    let mut twice = traffic();
    assert!(twice.open(&mut good.clone()).is_ok());
    assert_eq!(twice.open(&mut good.clone()), Err(ProtocolError::ZMTP_CRYPTOGRAPHIC));
    assert_eq!(traffic().sealed_length(Flags::NONE, b"n", b"o"), None);
}
