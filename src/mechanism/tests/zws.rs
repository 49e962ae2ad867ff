// SPDX-License-Identifier: MPL-2.0
//! Handshakes inside WebSocket: two sides in memory, and hand-written peers cut at every byte.

#![forbid(unsafe_code)]

use super::*;
use crate::zmtp::ProtocolError;
use crate::zmtp::zws::frame::{Framer, Kind};
use crate::zmtp::zws::sample::{REQUEST, RESPONSE};
use crate::zmtp::zws::{CloseCode, Side, UpgradeConfig, sample};

fn client(config: HandshakeConfig) -> Handshake {
    config.start_upgrade(sample::client())
}

fn server(config: HandshakeConfig) -> Handshake {
    config.start_upgrade(UpgradeConfig::Server)
}

/// Frames of a client, as they stand in a row: 'm' a message, 'c' a command, others control frames.
fn masked(frames: &[(char, &[u8])]) -> Vec<u8> {
    let mut framer = Framer::new(Side::Client);
    let mut out = Vec::new();
    for &(what, body) in frames {
        match what {
            'm' => framer.frame(crate::zmtp::Flags::NONE, body, &mut out),
            'c' => framer.frame(crate::zmtp::Flags::COMMAND, body, &mut out),
            'p' => framer.control(Kind::Ping, body, &mut out),
            'o' => framer.control(Kind::Pong, body, &mut out),
            _ => framer.control(Kind::Close, body, &mut out),
        }
    }
    out
}

const READY_DEALER: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02id";

#[test]
fn two_sides_of_ours() {
    for step in [1, 2, 7, 64, 10_000] {
        let mut dealer = config(SocketType::Dealer);
        dealer.routing_id = b"dealer-1".to_vec();
        let mut pair = Pair { client: client(dealer), server: server(config(SocketType::Router)) };
        pair.drive(step).unwrap();
        assert!(pair.client.poll_upgraded() && !pair.client.poll_upgraded());
        assert!(pair.server.poll_upgraded() && !pair.server.poll_upgraded());
        let (client, server) = pair.finish();
        assert_eq!((client.version, server.version), (Version::V3_1, Version::V3_1));
        assert_eq!(client.properties, properties(&[("Socket-Type", "ROUTER"), ("Identity", "")]));
        assert_eq!(server.routing_id.as_deref(), Some(&b"dealer-1"[..]));
        assert!(client.unsent.is_empty() && server.unsent.is_empty());
    }
}

#[test]
fn the_mechanism_is_agreed_by_the_upgrade() {
    let plain = |config: HandshakeConfig| HandshakeConfig {
        mechanism: MechanismConfig::PlainClient {
            username: b"u".to_vec(),
            password: b"p".to_vec(),
        },
        ..config
    };
    let client = client(plain(config(SocketType::Req)));
    assert!(client.output().windows(14).any(|text| text == b" ZWS2.0/PLAIN\r"));
    let mut pair = Pair { client, server: server(config(SocketType::Rep)) };
    // A mismatch is a failed upgrade.
    let error = HandshakeError::protocol(ProtocolError::WS_UNSPECIFIED);
    assert_eq!(pair.drive(10_000), Err((false, error)));
    assert!(!pair.server.poll_upgraded());
    assert_eq!(pair.server.output(), b"");
    // Before the upgrade there is no word for it.
    pair.server.close(CloseCode::PROTOCOL);
    assert_eq!(pair.server.output(), b"");
}

/// A client's bytes against a router, as one piece and cut at every byte: what is sent back, and
/// what came of it.
fn run(
    config: impl Fn() -> HandshakeConfig,
    input: &[u8],
) -> (Vec<u8>, Result<usize, HandshakeError>) {
    let feed = |pieces: &[&[u8]]| {
        let mut handshake = server(config());
        let mut used = 0;
        for piece in pieces {
            match handshake.handle_input(piece) {
                Ok(count) => used += count,
                Err(error) => return (handshake.output().to_vec(), Err(error)),
            }
        }
        (handshake.output().to_vec(), Ok(used))
    };
    let whole = feed(&[input]);
    for split in 0..input.len() {
        let (first, second) = input.split_at(split);
        let (output, result) = feed(&[first, second]);
        assert_eq!((&output, &result), (&whole.0, &whole.1), "{split}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(feed(&bytes), whole);
    whole
}

#[test]
fn a_client_byte_by_byte() {
    let router = || HandshakeConfig { routing_id: b"me".to_vec(), ..config(SocketType::Router) };
    let ready =
        [b"\x82\x2c\x02\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\x02me"
            .as_slice()]
        .concat();
    let frames = masked(&[('p', b"ping"), ('o', b""), ('p', b""), ('c', READY_DEALER)]);
    let input = [REQUEST.as_bytes(), &frames].concat();
    let (output, used) = run(router, &input);
    assert_eq!(used, Ok(input.len()));
    let expected = [RESPONSE.as_bytes(), &ready, b"\x8a\x04ping\x8a\x00"].concat();
    assert_eq!(output, expected, "{}", String::from_utf8_lossy(&output));

    // Traffic is left alone.
    let mut handshake = server(router());
    let with_traffic = [&input[..], b"\x82\x81"].concat();
    assert_eq!(handshake.handle_input(&with_traffic), Ok(input.len()));
    assert!(handshake.is_established());
    assert_eq!(handshake.handle_input(b"\x82\x81"), Ok(0));
    let established = handshake.into_established().unwrap();
    assert_eq!(established.routing_id.as_deref(), Some(&b"id"[..]));
    assert_eq!(established.version, Version::V3_1);
}

#[test]
fn without_a_mechanism() {
    let router = || HandshakeConfig { routing_id: b"me".to_vec(), ..config(SocketType::Router) };
    let request = REQUEST.replace("ZWS2.0/NULL,ZWS2.0", "ZWS2.0");
    let response = RESPONSE.replace("ZWS2.0/NULL", "ZWS2.0");
    let input = [request.as_bytes(), &masked(&[('p', b"x"), ('m', b"you")])].concat();
    let (output, used) = run(router, &input);
    assert_eq!(used, Ok(input.len()));
    assert_eq!(output, [response.as_bytes(), b"\x82\x03\x00me\x8a\x01x"].concat());

    let mut handshake = server(router());
    handshake.handle_input(&input).unwrap();
    assert!(handshake.poll_upgraded());
    let established = handshake.into_established().unwrap();
    assert_eq!(established.version, Version::V2_0);
    assert_eq!(established.routing_id.as_deref(), Some(&b"you"[..]));
    assert_eq!(established.properties, []);

    // Not past a ZAP handler.
    let (output, result) = run(|| with_zap(SocketType::Rep, false), request.as_bytes());
    assert_eq!(result, Err(HandshakeError::protocol(ProtocolError::WS_UNSPECIFIED)));
    assert_eq!(output, b"");
}

#[test]
fn failures_after_the_upgrade() {
    let router = || config(SocketType::Router);
    let after = |bytes: &[u8]| [REQUEST.as_bytes(), bytes].concat();
    for (what, bytes, error) in [
        ("an unmasked frame", b"\x82\x01\x00".to_vec(), HandshakeError::silent(Error::PROTO)),
        ("text", b"\x81\x81\0\0\0\0\0".to_vec(), HandshakeError::silent(Error::PROTO)),
        ("a fragment", b"\x02\x81\0\0\0\0\0".to_vec(), HandshakeError::silent(Error::PROTO)),
        ("an empty frame", b"\x82\x80\0\0\0\0".to_vec(), HandshakeError::silent(Error::PROTO)),
        (
            "a great length",
            b"\x82\xff\x00\x00\x00\x00\x01\x00\x00\x00\0\0\0\0\0".to_vec(),
            HandshakeError::silent(Error::MSGSIZE),
        ),
        (
            "another command",
            masked(&[('c', b"\x05HELLO")]),
            ProtocolError::ZMTP_UNEXPECTED_COMMAND.into(),
        ),
        ("a close", masked(&[('x', b"\x03\xe8")]), HandshakeError::closed()),
    ] {
        let (output, result) = run(router, &after(&bytes));
        assert_eq!(result, Err(error), "{what}");
        assert_eq!(output.ends_with(b"\x88\x02\x03\xe8"), what == "a close");
        // A last word goes out behind what is to be sent, once.
        let mut handshake = server(router());
        assert!(handshake.handle_input(&after(&bytes)).is_err());
        for _ in 0..2 {
            handshake.close(CloseCode::PROTOCOL);
        }
        let close: &[u8] = if what == "a close" { b"" } else { b"\x88\x02\x03\xea" };
        assert_eq!(handshake.output(), [&output, close].concat());
        // The upgrade went well, and that is told.
        let mut handshake = server(router());
        assert!(handshake.handle_input(&after(&bytes)).is_err());
        assert!(handshake.poll_upgraded());
    }
}

#[test]
fn a_close_is_masked_by_a_client() {
    let mut handshake = client(config(SocketType::Dealer));
    let request = handshake.output().len();
    handshake.advance_output(request);
    let input = [RESPONSE.as_bytes(), b"\x88\x00"].concat();
    assert_eq!(handshake.handle_input(&input), Err(HandshakeError::closed()));
    let output = handshake.output();
    assert_eq!(&output[output.len() - 6..output.len() - 4], b"\x88\x80");
}

#[test]
fn answers_that_nobody_reads_are_not_kept() {
    let mut server = server(config(SocketType::Router));
    server.handle_input(REQUEST.as_bytes()).unwrap();
    let pings = masked(&[('p', [b'x'; 125].as_slice()); 1000]);
    for _ in 0..10 {
        assert_eq!(server.handle_input(&pings), Ok(pings.len()));
    }
    assert!(server.output().len() < 100_000);
    // Once they are read there are answers again.
    server.advance_output(usize::MAX);
    server.handle_input(&masked(&[('p', b"again")])).unwrap();
    assert_eq!(server.output(), b"\x8a\x05again");
    server.advance_output(usize::MAX);
    server.handle_input(&masked(&[('c', READY_DEALER)])).unwrap();
    assert!(server.is_established());
}
