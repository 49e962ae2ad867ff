// SPDX-License-Identifier: MPL-2.0
//! CURVE byte by byte, against values computed by an independent implementation of its boxes; and
//! everything a peer may do wrong.

#![forbid(unsafe_code)]

use super::cipher::{Side, cipher};
use super::*;
use crate::mechanism::metadata::LocalProperties;
use crate::mechanism::zap::ZapConfig;
use crate::zmtp::handshake::{Handshake, HandshakeConfig, Mechanism};
use crate::zmtp::{Cipher, Established, Flags, Halves, HandshakeError, HandshakeEvent, SocketType};
use HandshakeEvent::{Auth, None as Nothing, Protocol};
use std::cell::Cell;

const CLIENT_SECRET: [u8; 32] = [0x11; 32];
const SERVER_SECRET: [u8; 32] = [0x22; 32];
const CLIENT_PUBLIC: &str = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
const SERVER_PUBLIC: &str = "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";

// Random numbers are 01 01 …, then 02 02 …: C' and S' are the keys of [1; 32] and [2; 32], the
// cookie's key is [3; 32], the tails of nonces are [4; 16] (cookie), [5; 16] (WELCOME) and [6; 16]
// (vouch). A ROUTER serves a DEALER with the routing id "me".
const HELLO_BODY: &str = "\
    0548454c4c4f0100000000000000000000000000000000000000000000000000000000000000000000000000000000\
    000000000000000000000000000000000000000000000000000000000000000000a4e09292b651c278b9772c569f5f\
    a9bb13d906b46ab68c9df9dc2b4409f8a20900000000000000012f3757f2f1e0cd0c16cdded3c4bf8499d6d6e27ee4\
    c725611c28b106e5a170726a4fd527d87ea282ef453619a52b717207229b9cddfb4959239c86217b41d2a19ca27dd0\
    2e1f5453093bc6aca12452a8";
const WELCOME_BODY: &str = "\
    0757454c434f4d4505050505050505050505050505050505b800d533299b9e4188503db9bb7ab2867082424ec8b346\
    d4d9204b21b57898b5ff0c18c75d55f37234c024eb1bff910b76f2d8fed0a0606260d96801f7430d51c3e2cbf209f4\
    ef61cf2feef0dce37590006dbbc4dc9077660271bfebc8e794e250e68ffc9c35da3fdc50aa29ce28d386eb17feab3a\
    b7ba3da2bf62bb17a5cf1dbfad90ffd728225d0e8dd8bd41582f24";
const INITIATE_BODY: &str = "\
    08494e495449415445040404040404040404040404040404043e56d7cf4621f1839953b91c0b44147c6850c2443615\
    9066ea9285a92df8c356331f0ae55d3587fb2f9ef1f2fef49c58a691523909ea9ac49661f41507748f2da030c13d89\
    c6bc7445d138788811fd790000000000000002352e80f1f205cef6260205939cbc8a099dcbb3942c134055c7ae5869\
    21a8b96e6e599ef3672ef64fd272f3a87db1fb06f3263a14b8e1bada606f174139e99aa31747e49872eec7a06ec4de\
    4e379111e37b04a23cd06b21091777421c7de78021bfe954b7f05d8e6d73c5c56e29eae0000543e51738e7020cf8ff\
    eeff63c216d13faaedf0465c76fa2e0a4b7a8bbba22e83bf8e3e81bf46b9cb4b7b101983b59d33fe504dfa2d6ecdc1\
    d5679ee15c7b7bf73195e486";
const READY_BODY: &str = "\
    055245414459000000000000000182a251187f98b2804a02ab6d34eb1a9e8c8523db54e3e1ea33d4794898e5721f7f\
    ec0a9e7d437eb1c0d9d2b28b3ca26adc718b";
/// MESSAGE from the client: "hello" with MORE, counter 3.
const FROM_CLIENT: &str =
    "074d4553534147450000000000000003b81f7717989162c7f0a156bb639ed3995eee9c50a189";
/// MESSAGE from the server: the command PONG, counter 2.
const FROM_SERVER: &str =
    "074d4553534147450000000000000002eabb63fba8060074b08bb05c0b121fce29967b0e0629";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn key(hex: &str) -> [u8; KEY] {
    bytes(hex).try_into().unwrap()
}

thread_local! {
    static CALLS: Cell<u8> = const { Cell::new(0) };
}

fn numbered(bytes: &mut [u8]) {
    bytes.fill(CALLS.replace(CALLS.get() + 1) + 1);
}

/// Makes the next random numbers these.
fn random_from(first: u8) {
    sodium::initialise().unwrap();
    CALLS.set(first - 1);
}

fn properties(socket_type: SocketType, routing_id: &[u8]) -> LocalProperties {
    LocalProperties { socket_type, routing_id: routing_id.to_vec(), more: Vec::new() }
}

fn client() -> CurveClient {
    random_from(1);
    CurveClient::with_random(
        properties(SocketType::Dealer, b"me"),
        key(CLIENT_PUBLIC),
        Secret::from(&CLIENT_SECRET),
        key(SERVER_PUBLIC),
        numbered,
    )
}

fn server_with(zap: Option<ZapConfig>) -> CurveServer {
    random_from(2);
    let local = properties(SocketType::Router, b"");
    CurveServer::with_random(local, Secret::from(&SERVER_SECRET), zap, numbered)
}

fn server() -> CurveServer {
    server_with(None)
}

fn zap(handler_required: bool) -> Option<ZapConfig> {
    let (domain, peer_address) = (b"global".to_vec(), "127.0.0.1".to_owned());
    Some(ZapConfig { domain, handler_required, peer_address })
}

/// A client that waits for READY.
fn initiated_client() -> CurveClient {
    let mut client = client();
    client.poll_command().unwrap();
    client.handle_command(&bytes(WELCOME_BODY)).unwrap();
    random_from(6);
    assert_eq!(client.poll_command().unwrap(), Some(bytes(INITIATE_BODY)));
    client
}

/// A server that waits for INITIATE.
fn welcoming_server(zap: Option<ZapConfig>) -> CurveServer {
    let mut server = server_with(zap);
    server.handle_command(&bytes(HELLO_BODY)).unwrap();
    assert_eq!(server.poll_command().unwrap(), Some(bytes(WELCOME_BODY)));
    assert_eq!(server.poll_command().unwrap(), None);
    server
}

fn event(result: Result<(), HandshakeError>) -> HandshakeEvent {
    result.unwrap_err().event
}

// The handshake.

fn greeted(rest: &[u8]) -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    greeting.extend_from_slice(b"CURVE");
    greeting.resize(64, 0);
    [&greeting, rest].concat()
}

fn framed(body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(length) => [&[4, length], body].concat(),
        Err(_) => [&[6], &(body.len() as u64).to_be_bytes()[..], body].concat(),
    }
}

fn handshake(socket_type: SocketType, mechanism: Box<dyn Mechanism>) -> Handshake {
    Handshake::new(HandshakeConfig {
        socket_type,
        routing_id: Vec::new(),
        max_msg_size: -1,
        security_required: true,
        mechanism,
    })
}

fn named(established: &Established) -> Vec<(&str, &[u8])> {
    established.properties.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn is_open(mut handshake: Handshake, sealed: &str, flags: Flags, body: &[u8]) -> bool {
    let Some(Cipher::Apart(mut cipher)) = handshake.take_cipher() else { return false };
    let mut sealed = bytes(sealed);
    let opened = cipher.open.open(&mut sealed).unwrap();
    assert!(handshake.take_cipher().is_none());
    opened.flags == flags && sealed[opened.offset..] == *body
}

#[test]
fn the_client_cut_at_every_byte() {
    let input = greeted(&[framed(&bytes(WELCOME_BODY)), framed(&bytes(READY_BODY))].concat());
    let hello = greeted(&framed(&bytes(HELLO_BODY)));
    let output = [&hello[..], &framed(&bytes(INITIATE_BODY))].concat();
    for cut in 0..=input.len() {
        let mut client = handshake(SocketType::Dealer, Box::new(client()));
        random_from(6);
        assert_eq!(client.handle_input(&input[..cut]), Ok(cut));
        let sent = match cut {
            0..10 => 10,
            10 => 11,
            11..64 => 64,
            64..234 => hello.len(),
            _ => output.len(),
        };
        assert_eq!(client.output(), &output[..sent], "{cut}");
        assert_eq!(client.is_established(), cut == input.len());
        assert_eq!(client.handle_input(&input[cut..]), Ok(input.len() - cut));
        assert_eq!(client.output(), output);
        assert_eq!(client.handle_input(b"traffic"), Ok(0));
        if cut == 0 {
            assert!(is_open(client, FROM_SERVER, Flags::COMMAND, b"\x04PONG"));
        } else {
            let peer = client.into_established().unwrap();
            assert_eq!(named(&peer), [("Socket-Type", &b"ROUTER"[..]), ("Identity", b"")]);
        }
    }
}

#[test]
fn the_server_cut_at_every_byte() {
    let input = greeted(&[framed(&bytes(HELLO_BODY)), framed(&bytes(INITIATE_BODY))].concat());
    let welcome = greeted(&framed(&bytes(WELCOME_BODY)));
    let output = [&welcome[..], &framed(&bytes(READY_BODY))].concat();
    for cut in 0..=input.len() {
        let mut server = handshake(SocketType::Router, Box::new(server()));
        assert_eq!(server.handle_input(&input[..cut]), Ok(cut));
        let sent = match cut {
            0..10 => 10,
            10 => 11,
            11..266 => 64,
            266..569 => welcome.len(),
            _ => output.len(),
        };
        assert_eq!(server.output(), &output[..sent], "{cut}");
        assert_eq!(server.is_established(), cut == input.len());
        assert_eq!(server.handle_input(&input[cut..]), Ok(input.len() - cut));
        assert_eq!(server.output(), output);
        assert_eq!(server.poll_zap_request(), None);
        if cut == 0 {
            assert!(is_open(server, FROM_CLIENT, Flags::MORE, b"hello"));
        } else {
            let peer = server.into_established().unwrap();
            assert_eq!(named(&peer), [("Socket-Type", &b"DEALER"[..]), ("Identity", b"me")]);
            assert_eq!(peer.routing_id.as_deref(), Some(&b"me"[..]));
        }
    }
}

#[test]
fn two_sides_with_random_keys() {
    sodium::initialise().unwrap();
    let secrets = [Secret::new(|key| sodium::random(key)), Secret::new(|key| sodium::random(key))];
    let [of_client, of_server] = secrets.each_ref().map(|secret| secret.public_key().unwrap());
    let [client_secret, server_secret] = secrets;
    let mut hellos = Vec::new();
    for _ in 0..2 {
        let (client_secret, server_secret) = (client_secret.clone(), server_secret.clone());
        let local = properties(SocketType::Req, b"");
        let mut client = CurveClient::new(local, of_client, client_secret, of_server);
        let mut server =
            CurveServer::new(properties(SocketType::Rep, b""), server_secret, zap(true));
        let hello = client.poll_command().unwrap().unwrap();
        assert_eq!(client.poll_command().unwrap(), None);
        server.handle_command(&hello).unwrap();
        client.handle_command(&server.poll_command().unwrap().unwrap()).unwrap();
        assert!(server.cipher().is_none() && client.cipher().is_none());
        server.handle_command(&client.poll_command().unwrap().unwrap()).unwrap();
        assert_eq!(server.poll_command().unwrap(), None);
        let request = server.poll_zap_request().unwrap();
        let expected: [&[u8]; 8] =
            [b"", b"1.0", b"1", b"global", b"127.0.0.1", b"", b"CURVE", &of_client];
        assert_eq!(request, expected);
        assert_eq!(server.poll_zap_request(), None);
        server.handle_zap_reply(&reply(b"200")).unwrap();
        client.handle_command(&server.poll_command().unwrap().unwrap()).unwrap();
        assert!(client.is_ready() && server.is_ready());
        hellos.push(hello);
    }
    // Nothing but the beginning is the same the next time.
    assert_eq!(hellos[0][..80], hellos[1][..80]);
    assert_ne!(hellos[0][80..112], hellos[1][80..112]);
}

fn reply(status: &'static [u8]) -> [&'static [u8]; 7] {
    [b"", b"1.0", b"1", status, b"", b"alice", b"\x01K\0\0\0\x01v"]
}

// The ZAP handler.

#[test]
fn let_in_by_the_handler() {
    let mut server = welcoming_server(zap(true));
    server.handle_command(&bytes(INITIATE_BODY)).unwrap();
    assert_eq!(server.poll_zap_request().unwrap()[7], key(CLIENT_PUBLIC));
    server.handle_zap_reply(&reply(b"200")).unwrap();
    assert_eq!(server.poll_command().unwrap(), Some(bytes(READY_BODY)));
    let peer = Box::new(server).into_peer();
    let names: Vec<_> = peer.properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["User-Id", "K", "Socket-Type", "Identity"]);
}

#[test]
fn refused_by_the_handler() {
    for (status, number, error) in [
        (&b"300"[..], 300, None),
        (b"400", 400, Some(b"\x05ERROR\x03400")),
        (b"500", 500, Some(b"\x05ERROR\x03500")),
    ] {
        let mut server = welcoming_server(zap(true));
        server.handle_command(&bytes(INITIATE_BODY)).unwrap();
        server.poll_zap_request().unwrap();
        assert_eq!(event(server.handle_zap_reply(&reply(status))), Auth(number));
        let command = server.poll_command().unwrap();
        assert_eq!(command.as_deref(), error.map(|error| &error[..]));
        assert_eq!(server.poll_command().unwrap(), None);
        assert!(!server.is_ready() && server.cipher().is_none());
        if let Some(command) = command {
            assert_eq!(event(initiated_client().handle_command(&command)), Auth(number));
        }
    }
    let mut server = welcoming_server(zap(true));
    server.handle_command(&bytes(INITIATE_BODY)).unwrap();
    server.poll_zap_request().unwrap();
    let malformed = Protocol(ProtocolError::ZAP_MALFORMED_REPLY);
    assert_eq!(event(server.handle_zap_reply(&[])), malformed);
    assert_eq!(server.poll_command().unwrap(), None);
}

#[test]
fn without_a_handler() {
    for (required, let_in) in [(false, true), (true, false)] {
        let mut server = welcoming_server(zap(required));
        server.handle_command(&bytes(INITIATE_BODY)).unwrap();
        server.poll_zap_request().unwrap();
        let result = server.handle_no_zap_handler();
        assert_eq!(result.is_ok(), let_in);
        assert_eq!(server.poll_command().unwrap(), let_in.then(|| bytes(READY_BODY)));
    }
}

#[test]
fn nothing_is_taken_while_the_handler_thinks() {
    let mut server = welcoming_server(zap(true));
    server.handle_command(&bytes(INITIATE_BODY)).unwrap();
    let unspecified = Protocol(ProtocolError::ZMTP_UNSPECIFIED);
    assert_eq!(event(server.handle_command(&bytes(FROM_CLIENT))), unspecified);
    server.handle_zap_reply(&reply(b"200")).unwrap();
    assert_eq!(server.poll_command().unwrap(), None);
}

// What goes wrong in the handshake.

const CRYPTOGRAPHIC: HandshakeEvent = Protocol(ProtocolError::ZMTP_CRYPTOGRAPHIC);
const UNEXPECTED: HandshakeEvent = Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
const UNSPECIFIED: HandshakeEvent = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED);

/// Every command cut at every byte, and with every byte changed.
fn damaged(
    name: &str,
    body: &[u8],
    cut: impl Fn(usize) -> HandshakeEvent,
    changed: impl Fn(usize) -> HandshakeEvent,
    handle: impl Fn(&[u8]) -> Result<(), HandshakeError>,
) {
    for length in 0..body.len() {
        assert_eq!(event(handle(&body[..length])), cut(length), "{name} of {length} bytes");
    }
    for index in 0..body.len() {
        let mut body = body.to_vec();
        body[index] ^= 0x80;
        let expected = changed(index);
        match handle(&body) {
            Ok(()) => assert_eq!(expected, Nothing, "{name}, byte {index}"),
            Err(error) => assert_eq!(error.event, expected, "{name}, byte {index}"),
        }
    }
    let longer = [body, b"x"].concat();
    assert_eq!(event(handle(&longer)), cut(longer.len()), "{name} and more");
}

#[test]
fn damaged_commands() {
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_HELLO);
    damaged(
        "HELLO",
        &bytes(HELLO_BODY),
        |length| if length < 6 { UNSPECIFIED } else { malformed },
        |index| match index {
            // 0x85 is a name of 133 bytes.
            0..6 => UNEXPECTED,
            6..8 => malformed,
            // The padding is not looked at.
            8..80 => Nothing,
            // The highest bit of a key has no meaning.
            111 => Nothing,
            _ => CRYPTOGRAPHIC,
        },
        |body| server().handle_command(body),
    );
    damaged(
        "WELCOME",
        &bytes(WELCOME_BODY),
        |length| if length < 8 { UNEXPECTED } else { CRYPTOGRAPHIC },
        |index| if index < 8 { UNEXPECTED } else { CRYPTOGRAPHIC },
        |body| {
            let mut client = client();
            client.poll_command()?;
            client.handle_command(body)
        },
    );
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_INITIATE);
    damaged(
        "INITIATE",
        &bytes(INITIATE_BODY),
        |length| match length {
            0..9 => UNSPECIFIED,
            9..257 => malformed,
            _ => CRYPTOGRAPHIC,
        },
        |index| if index < 9 { UNEXPECTED } else { CRYPTOGRAPHIC },
        |body| welcoming_server(None).handle_command(body),
    );
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_READY);
    damaged(
        "READY",
        &bytes(READY_BODY),
        |length| match length {
            0..6 => UNEXPECTED,
            6..30 => malformed,
            _ => CRYPTOGRAPHIC,
        },
        |index| if index < 6 { UNEXPECTED } else { CRYPTOGRAPHIC },
        |body| initiated_client().handle_command(body),
    );
}

#[test]
fn commands_out_of_turn() {
    let others = [HELLO_BODY, WELCOME_BODY, INITIATE_BODY, READY_BODY, FROM_CLIENT].map(bytes);
    for (number, body) in others.iter().enumerate() {
        if number != 0 {
            assert_eq!(event(server().handle_command(body)), UNEXPECTED);
        }
        if number != 2 {
            assert_eq!(event(welcoming_server(None).handle_command(body)), UNEXPECTED);
        }
        // HELLO has not been sent.
        assert_eq!(event(client().handle_command(body)), UNEXPECTED);
        if number != 3 {
            assert_eq!(event(initiated_client().handle_command(body)), UNEXPECTED);
        }
    }
    let mut client = client();
    client.poll_command().unwrap();
    assert_eq!(event(client.handle_command(&bytes(READY_BODY))), UNEXPECTED);
    assert_eq!(client.poll_command().unwrap(), None);
}

#[test]
fn what_the_peer_says_of_errors() {
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_ERROR);
    for (body, expected) in [
        (&b"\x05ERROR\x03400"[..], Auth(400)),
        (b"\x05ERROR\x03300", Auth(300)),
        (b"\x05ERROR\x00", Nothing),
        (b"\x05ERROR\x05other", Nothing),
        (b"\x05ERROR", malformed),
        (b"\x05ERROR\x04400", malformed),
    ] {
        assert_eq!(event(initiated_client().handle_command(body)), expected, "{body:?}");
    }
    assert_eq!(event(client().handle_command(b"\x05ERROR\x03400")), UNEXPECTED);
}

#[test]
fn wrong_keys() {
    // The client has another server in mind.
    random_from(1);
    let local = properties(SocketType::Dealer, b"");
    let secret = Secret::from(&CLIENT_SECRET);
    let (public, other) = (key(CLIENT_PUBLIC), key(CLIENT_PUBLIC));
    let mut client = CurveClient::with_random(local.clone(), public, secret, other, numbered);
    let hello = client.poll_command().unwrap().unwrap();
    assert_eq!(event(server().handle_command(&hello)), CRYPTOGRAPHIC);
    // Keys of zeros are no keys.
    let secret = Secret::from(&CLIENT_SECRET);
    let mut client = CurveClient::with_random(local.clone(), public, secret, [0; 32], numbered);
    assert_eq!(client.poll_command().unwrap_err().event, CRYPTOGRAPHIC);
    let mut hello = bytes(HELLO_BODY);
    hello[80..112].fill(0);
    assert_eq!(event(server().handle_command(&hello)), CRYPTOGRAPHIC);
    // The client's own keys do not belong together.
    let secret = Secret::from(&[0x33; 32]);
    random_from(1);
    let mut client = CurveClient::with_random(local, public, secret, key(SERVER_PUBLIC), numbered);
    client.poll_command().unwrap();
    client.handle_command(&bytes(WELCOME_BODY)).unwrap();
    let initiate = client.poll_command().unwrap().unwrap();
    assert_eq!(event(welcoming_server(None).handle_command(&initiate)), CRYPTOGRAPHIC);
}

/// INITIATE of one who knows C' and holds the secret key of C, with any text of the vouch.
fn initiate(client: &[u8; KEY], vouched: [&str; 2], properties: &[u8]) -> Vec<u8> {
    let transient = Secret::from(&[1; 32]);
    let of_server = Secret::from(&[2; 32]).public_key().unwrap();
    let mut text = client.to_vec();
    text.extend_from_slice(&[6; TAIL]);
    let mut vouch = vouched.map(bytes).concat();
    let key = Secret::from(&CLIENT_SECRET).shared_with(&of_server).unwrap();
    put_box(&key, &random_nonce(b"VOUCH---", &[6; TAIL]), &mut vouch, &mut text);
    text.extend_from_slice(properties);
    let mut body = bytes(INITIATE_BODY)[..INITIATE.len() + COOKIE].to_vec();
    body.extend_from_slice(&9u64.to_be_bytes());
    let key = transient.shared_with(&of_server).unwrap();
    put_box(&key, &counter_nonce(b"CurveZMQINITIATE", 9), &mut text, &mut body);
    body
}

const TRANSIENT: &str = "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209";

#[test]
fn vouches() {
    let client = key(CLIENT_PUBLIC);
    let socket_type = b"\x0bSocket-Type\0\0\0\x06DEALER";
    let mut server = welcoming_server(None);
    server.handle_command(&initiate(&client, [TRANSIENT, SERVER_PUBLIC], socket_type)).unwrap();
    assert_eq!(server.poll_command().unwrap(), Some(bytes(READY_BODY)));
    let key_exchange = Protocol(ProtocolError::ZMTP_KEY_EXCHANGE);
    for (client, vouched, expected) in [
        // For another connection; made for another server.
        (client, [CLIENT_PUBLIC, SERVER_PUBLIC], key_exchange),
        (client, [TRANSIENT, CLIENT_PUBLIC], key_exchange),
        (client, [SERVER_PUBLIC, TRANSIENT], key_exchange),
        // With somebody else's name.
        (key(SERVER_PUBLIC), [TRANSIENT, SERVER_PUBLIC], CRYPTOGRAPHIC),
        ([0; 32], [TRANSIENT, SERVER_PUBLIC], CRYPTOGRAPHIC),
    ] {
        let body = initiate(&client, vouched, socket_type);
        assert_eq!(event(welcoming_server(None).handle_command(&body)), expected, "{vouched:?}");
    }
}

#[test]
fn properties_of_the_peer() {
    let client = key(CLIENT_PUBLIC);
    for properties in [&b"\0"[..], b"\x0bSocket-Type\0\0\0\x03SUB", b"\x01A\xff\xff\xff\xff"] {
        let body = initiate(&client, [TRANSIENT, SERVER_PUBLIC], properties);
        assert_eq!(event(welcoming_server(None).handle_command(&body)), Nothing);
        let shared = Secret::from(&[2; 32]).shared_with(&key(TRANSIENT)).unwrap();
        let mut ready = bytes(READY_BODY)[..READY.len() + COUNTER].to_vec();
        let mut text = properties.to_vec();
        put_box(&shared, &counter_nonce(b"CurveZMQREADY---", 1), &mut text, &mut ready);
        let invalid = Protocol(ProtocolError::ZMTP_INVALID_METADATA);
        assert_eq!(event(initiated_client().handle_command(&ready)), invalid);
    }
}

#[test]
fn a_cookie_is_for_one_connection() {
    // Another server process, or another connection to the same one: other random numbers.
    random_from(40);
    let local = properties(SocketType::Router, b"");
    let secret = Secret::from(&SERVER_SECRET);
    let mut server = CurveServer::with_random(local, secret, None, numbered);
    server.handle_command(&bytes(HELLO_BODY)).unwrap();
    server.poll_command().unwrap();
    assert_eq!(event(server.handle_command(&bytes(INITIATE_BODY))), CRYPTOGRAPHIC);
    // A second one on the same connection.
    let mut server = welcoming_server(None);
    server.handle_command(&bytes(INITIATE_BODY)).unwrap();
    server.poll_command().unwrap();
    let unspecified = Protocol(ProtocolError::ZMTP_UNSPECIFIED);
    assert_eq!(event(server.handle_command(&bytes(INITIATE_BODY))), unspecified);
    assert!(server.cipher().is_none());
}

// Traffic.

fn traffic() -> [Halves; 2] {
    sodium::initialise().unwrap();
    let key = Secret::from(&[7; KEY]);
    [cipher(Side::Client, &key, 2, 1), cipher(Side::Server, &key, 1, 2)]
}

fn sealed(cipher: &mut Halves, flags: Flags, body: &[u8]) -> Vec<u8> {
    let length = cipher.seal.sealed_length(flags, b"", body);
    let mut out = Vec::new();
    cipher.seal.seal(flags, b"", body, &mut out);
    assert_eq!(length, Some(out.len()));
    out
}

#[test]
fn traffic_byte_by_byte() {
    let key =
        Secret::from(&[1; 32]).shared_with(&Secret::from(&[2; 32]).public_key().unwrap()).unwrap();
    let mut client = cipher(Side::Client, &key, 2, 1);
    assert_eq!(sealed(&mut client, Flags::MORE, b"hello"), bytes(FROM_CLIENT));
    let mut server = cipher(Side::Server, &key, 1, 2);
    let mut out = b"before".to_vec();
    server.seal.seal(Flags::COMMAND | Flags::LONG, b"\x04PO", b"NG", &mut out);
    assert_eq!(out, [b"before".to_vec(), bytes(FROM_SERVER)].concat());
}

#[test]
fn bodies_of_every_size_both_ways() {
    let [mut client, mut server] = traffic();
    let sizes = (0..200).chain(950..1100).chain([8191, 8192, 65_536, 1 << 20]);
    for size in sizes {
        let body: Vec<u8> = (0..size).map(|index| (index * 31 + index / 4096) as u8).collect();
        for head in [&b""[..], b"\x09SUBSCRIBE"] {
            for (from, to) in [(0, 1), (1, 0)] {
                let both = [&mut client, &mut server];
                let mut out = Vec::new();
                both[from].seal.seal(Flags::MORE, head, &body, &mut out);
                let opened = both[to].open.open(&mut out).unwrap();
                assert_eq!(opened.flags, Flags::MORE);
                assert!(out[opened.offset..] == [head, &body].concat(), "{size}");
            }
        }
    }
}

#[test]
fn replayed_reordered_or_changed() {
    let [mut client, mut server] = traffic();
    let messages: Vec<_> =
        (0..5u8).map(|number| sealed(&mut client, Flags::NONE, &[number])).collect();
    let mut open = |message: &[u8]| {
        server.open.open(&mut message.to_vec()).map(|opened| {
            assert_eq!(opened.flags, Flags::NONE);
        })
    };
    let replayed = Err(ProtocolError::ZMTP_INVALID_SEQUENCE);
    assert_eq!(open(&messages[0]), Ok(()));
    assert_eq!(open(&messages[0]), replayed);
    // A gap is none of our business; the stream below has none.
    assert_eq!(open(&messages[3]), Ok(()));
    assert_eq!(open(&messages[2]), replayed);
    assert_eq!(open(&messages[3]), replayed);
    // A counter of one's own choice does not fit the tag, and does not count.
    let mut forged = messages[2].clone();
    forged[8..16].copy_from_slice(&100u64.to_be_bytes());
    let cryptographic = Err(ProtocolError::ZMTP_CRYPTOGRAPHIC);
    assert_eq!(open(&forged), cryptographic);
    for index in 16..messages[4].len() {
        let mut changed = messages[4].clone();
        changed[index] ^= 1;
        assert_eq!(open(&changed), cryptographic, "{index}");
    }
    for length in 0..messages[4].len() {
        let expected = match length {
            0..8 => ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED,
            8..33 => ProtocolError::ZMTP_MALFORMED_COMMAND_MESSAGE,
            _ => ProtocolError::ZMTP_CRYPTOGRAPHIC,
        };
        assert_eq!(open(&messages[4][..length]), Err(expected), "{length}");
    }
    for index in 0..8 {
        let mut changed = messages[4].clone();
        changed[index] ^= 1;
        assert_eq!(open(&changed), Err(ProtocolError::ZMTP_UNEXPECTED_COMMAND));
    }
    assert_eq!(open(&messages[4]), Ok(()));
    // What one side has sent is not what the other would send.
    let mut own = sealed(&mut client, Flags::NONE, b"own");
    assert_eq!(client.open.open(&mut own), Err(ProtocolError::ZMTP_CRYPTOGRAPHIC));
}

#[test]
fn counters_go_on_from_the_handshake() {
    let key = Secret::from(&[7; KEY]);
    let mut server = cipher(Side::Server, &key, 1, 2);
    for (sent, expected) in [
        (0, Err(ProtocolError::ZMTP_INVALID_SEQUENCE)),
        (1, Err(ProtocolError::ZMTP_INVALID_SEQUENCE)),
        (2, Ok(())),
    ] {
        let mut message = sealed(&mut cipher(Side::Client, &key, sent, 1), Flags::NONE, b"x");
        assert_eq!(server.open.open(&mut message).map(|_| ()), expected, "{sent}");
    }
    // No counter is used twice.
    let mut client = cipher(Side::Client, &key, 2, 1);
    for counter in 3..20u64 {
        let message = sealed(&mut client, Flags::NONE, b"the same");
        assert_eq!(message[8..16], counter.to_be_bytes());
    }
}

// Whatever a peer sends.

/// Marsaglia's xorshift64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A command as it should be, with something wrong somewhere.
    fn spoil(&mut self, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        match self.below(5) {
            0 => body.truncate(self.below(body.len())),
            1 => {
                let index = self.below(body.len());
                body[index] = self.next() as u8;
            }
            2 => {
                let length = self.below(300);
                body.extend(self.bytes(length));
            }
            3 => {
                let name = body[0].min(8) as usize + 1;
                let length = self.below(400);
                body.truncate(name);
                body.extend(self.bytes(length));
            }
            _ => {
                let length = self.below(400);
                body = self.bytes(length);
            }
        }
        body
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let commands = [HELLO_BODY, WELCOME_BODY, INITIATE_BODY, READY_BODY, FROM_CLIENT].map(bytes);
    for round in 0..3000 {
        let mechanism: Box<dyn Mechanism> = match round % 4 {
            0 => Box::new(client()),
            1 => Box::new(server()),
            2 => Box::new(initiated_client()),
            _ => Box::new(welcoming_server(zap(true))),
        };
        let mut handshake = handshake(SocketType::Router, mechanism);
        let mut input = greeted(b"");
        for _ in 0..4 {
            let body = &commands[numbers.below(commands.len())];
            let body = if numbers.below(3) == 0 { body.clone() } else { numbers.spoil(body) };
            input.extend(framed(&body));
        }
        if numbers.below(10) == 0 {
            let index = numbers.below(input.len());
            input[index] = numbers.next() as u8;
        }
        let mut rest = &input[..];
        while !rest.is_empty() {
            let step = numbers.below(rest.len()) + 1;
            match handshake.handle_input(&rest[..step]) {
                Ok(0) | Err(_) => break,
                Ok(taken) => rest = &rest[taken..],
            }
            if handshake.poll_zap_request().is_some() {
                let _ = handshake.handle_zap_reply(&reply(b"200"));
            }
        }
        let [mut client, mut server] = traffic();
        let message = sealed(&mut client, Flags::NONE, b"message");
        let mut spoiled = numbers.spoil(&message);
        assert!(spoiled == message || server.open.open(&mut spoiled).is_err());
    }
}
