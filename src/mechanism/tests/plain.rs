// SPDX-License-Identifier: MPL-2.0
//! Handshakes with PLAIN: byte by byte, and what goes wrong on either side.

#![forbid(unsafe_code)]

use super::*;

fn client_config(username: &[u8], password: &[u8]) -> HandshakeConfig {
    let (username, password) = (username.to_vec(), password.to_vec());
    let mechanism = MechanismConfig::PlainClient { username, password };
    HandshakeConfig { mechanism, ..config(SocketType::Req) }
}

fn server_config() -> HandshakeConfig {
    let zap = with_zap(SocketType::Rep, true).zap;
    HandshakeConfig { mechanism: MechanismConfig::PlainServer, zap, ..config(SocketType::Rep) }
}

fn plain_greeting(frames: &str) -> Vec<u8> {
    [wire(SIGNATURE), greeting_3(1, "PLAIN"), wire(frames)].concat()
}

const HELLO: &str = "04 12 05'HELLO' 04'user' 06'secret'";
const WELCOME: &str = "04 08 07'WELCOME'";
const INITIATE: &str = "04 29 08'INITIATE' 0b'Socket-Type' 00000003'REQ' 08'Identity' 00000000";
const READY: &str = "04 19 05'READY' 0b'Socket-Type' 00000003'REP'";

const REPLY: [&[u8]; 7] = [b"", b"1.0", b"1", b"200", b"OK", b"alice", b"\x01K\0\0\0\x01v"];

fn reply(status: &'static [u8]) -> [&'static [u8]; 7] {
    [b"", b"1.0", b"1", status, b"", b"", b""]
}

/// A server that has read HELLO and asks.
fn asking() -> Handshake {
    let mut server = server_config().start();
    server.handle_input(&plain_greeting(HELLO)).unwrap();
    assert!(server.poll_zap_request().is_some());
    server.advance_output(64);
    assert!(server.output().is_empty());
    server
}

/// A server that has sent WELCOME.
fn welcoming() -> Handshake {
    let mut server = asking();
    server.handle_zap_reply(&REPLY).unwrap();
    assert_eq!(server.output(), wire(WELCOME));
    server.advance_output(10);
    server
}

#[test]
fn the_client_cut_at_every_byte() {
    let input = plain_greeting(&format!("{WELCOME} {READY}"));
    let output = plain_greeting(&format!("{HELLO} {INITIATE}"));
    // What is out once this many bytes are in.
    let stages = [(0, 10), (10, 11), (11, 84), (74, 127), (101, 127)];
    let output_len = |received| {
        let (_, len) = *stages.iter().rev().find(|stage| stage.0 <= received).unwrap();
        // HELLO waits for the whole greeting.
        if (11..64).contains(&received) { 64 } else { len }
    };
    for first in 0..=input.len() {
        for second in first..=input.len() {
            let mut client = client_config(b"user", b"secret").start();
            let mut received = 0;
            for piece in [&input[..first], &input[first..second], &input[second..]] {
                assert_eq!(client.handle_input(piece), Ok(piece.len()));
                received += piece.len();
                assert_eq!(client.output(), &output[..output_len(received)], "{received}");
                assert_eq!(client.is_established(), received == input.len());
                assert_eq!(client.poll_zap_request(), None);
            }
            assert_eq!(client.handle_input(b"traffic"), Ok(0));
            let peer = client.into_established().unwrap();
            assert_eq!(peer.properties, properties(&[("Socket-Type", "REP")]));
            assert_eq!(peer.unsent, output);
        }
    }
}

#[test]
fn the_server_cut_at_every_byte() {
    let hello = plain_greeting(HELLO);
    let initiate = wire(INITIATE);
    let output = plain_greeting(&format!("{WELCOME} {READY}"));
    for cut in 0..=hello.len() {
        for second_cut in 0..=initiate.len() {
            let mut server = server_config().start();
            assert_eq!(server.handle_input(&hello[..cut]), Ok(cut));
            assert_eq!(server.poll_zap_request().is_some(), cut == hello.len());
            server.handle_input(&hello[cut..]).unwrap();
            if cut < hello.len() {
                let expected: [&[u8]; 9] =
                    [b"", b"1.0", b"1", b"global", b"127.0.0.1", b"", b"PLAIN", b"user", b"secret"];
                assert_eq!(server.poll_zap_request().unwrap(), expected);
            }
            assert_eq!(server.output(), &output[..64]);
            server.handle_zap_reply(&REPLY).unwrap();
            assert_eq!(server.output(), &output[..74]);
            assert_eq!(server.handle_input(&initiate[..second_cut]), Ok(second_cut));
            server.handle_input(&initiate[second_cut..]).unwrap();
            let peer = server.into_established().unwrap();
            let expected =
                [("User-Id", "alice"), ("K", "v"), ("Socket-Type", "REQ"), ("Identity", "")];
            assert_eq!(peer.properties, properties(&expected));
            assert_eq!(peer.routing_id, Some(vec![]));
            assert_eq!(peer.unsent, output);
        }
    }
}

#[test]
fn credentials_of_any_length() {
    let long = [b'x'; 255];
    for (username, password) in [
        (&b""[..], &b""[..]),
        (b"user", b""),
        (b"", b"secret"),
        (&long, &long),
        (b"\0\xff", b"\r\n"),
    ] {
        let mut pair = Pair::new(client_config(username, password), server_config());
        pair.drive(10_000).unwrap();
        let request = pair.server.poll_zap_request().unwrap();
        assert_eq!(request[7..], [username, password]);
        pair.server.handle_zap_reply(&REPLY).unwrap();
        pair.drive(10_000).unwrap();
        pair.finish();
    }
}

#[test]
fn what_the_server_refuses() {
    use HandshakeEvent::{None as Nothing, Protocol};
    let unspecified = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_UNSPECIFIED);
    let unexpected = Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
    let malformed = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_HELLO);
    let hello_rows = [
        ("04 00", unspecified),
        ("04 01 00", unspecified),
        ("04 01 05", unspecified),
        ("04 05 05'HELL'", unspecified),
        ("04 06 ff'HELLO'", unspecified),
        ("04 02 01'X'", unexpected),
        ("04 02 00'X'", unexpected),
        ("04 06 05'hello'", unexpected),
        ("04 06 05'READY'", unexpected),
        (INITIATE, unexpected),
        (WELCOME, unexpected),
        ("04 0a 05'ERROR' 03'400'", unexpected),
        ("04 06 05'HELLO'", malformed),
        ("04 07 05'HELLO' 00", malformed),
        ("04 07 05'HELLO' 01", malformed),
        ("04 08 05'HELLO' 01'u'", malformed),
        ("04 08 05'HELLO' 00 01", malformed),
        ("04 09 05'HELLO' 00 00 00", malformed),
        ("04 0a 05'HELLO' 01'u' 02'p'", malformed),
        ("04 0b 05'HELLO' 01'u' 01'p!'", malformed),
        ("04 0a 05'HELLO' ff'u' 01'p'", malformed),
    ];
    for (frame, event) in hello_rows {
        let input = plain_greeting(frame);
        let expected = HandshakeError { class: FailureClass::Protocol, errno: Error::PROTO, event };
        for cut in 0..input.len() {
            let mut server = server_config().start();
            assert_eq!(server.handle_input(&input[..cut]), Ok(cut), "{frame}");
            assert_eq!(server.handle_input(&input[cut..]), Err(expected), "{frame}");
            assert_eq!(server.poll_zap_request(), None);
            assert_eq!(server.output(), plain_greeting(""));
        }
    }
    let initiate_rows = [
        ("04 00", Error::PROTO, unexpected),
        ("04 08 08'INITIAT'", Error::PROTO, unexpected),
        ("04 09 08'initiate'", Error::PROTO, unexpected),
        (HELLO, Error::PROTO, unexpected),
        (READY, Error::PROTO, unexpected),
        ("04 0a 05'ERROR' 03'400'", Error::PROTO, unexpected),
        ("04 0a 08'INITIATE' 00", Error::PROTO, Nothing),
        ("04 0f 08'INITIATE' 01'X' 00000001", Error::PROTO, Nothing),
        ("04 1c 08'INITIATE' 0b'Socket-Type' 00000003'REP'", Error::INVAL, Nothing),
    ];
    for (frame, errno, event) in initiate_rows {
        let expected = HandshakeError { class: FailureClass::Protocol, errno, event };
        let mut server = welcoming();
        assert_eq!(server.handle_input(&wire(frame)), Err(expected), "{frame}");
        assert!(!server.is_established() && server.output().is_empty());
    }
}

#[test]
fn a_client_that_does_not_wait_for_welcome() {
    let unspecified = ProtocolError::ZMTP_UNSPECIFIED.into();
    for frame in [INITIATE, HELLO, "04 00"] {
        let mut server = asking();
        assert_eq!(server.handle_input(&wire(frame)), Err(unspecified), "{frame}");
        // The answer comes too late.
        assert!(server.handle_zap_reply(&REPLY).is_err());
        assert!(!server.is_established() && server.output().is_empty());
    }
    let mut server = server_config().start();
    let eager = plain_greeting(&format!("{HELLO} {INITIATE}"));
    assert_eq!(server.handle_input(&eager), Err(unspecified));
}

#[test]
fn what_the_client_refuses() {
    use HandshakeEvent::{Auth, None as Nothing, Protocol};
    let unexpected = Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
    let welcome = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_WELCOME);
    let metadata = Protocol(ProtocolError::ZMTP_INVALID_METADATA);
    let malformed_error = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_ERROR);
    let after_welcome = |frame: &str| format!("{WELCOME} {frame}");
    let rows = [
        ("04 00".to_owned(), unexpected),
        ("04 07 07'WELCOM'".to_owned(), unexpected),
        ("04 09 07'WELCOME' 00".to_owned(), welcome),
        // The peer takes itself for a client, too.
        (HELLO.to_owned(), unexpected),
        (READY.to_owned(), unexpected),
        (after_welcome(WELCOME), unexpected),
        (after_welcome(INITIATE), unexpected),
        (after_welcome("04 06 05'ready'"), unexpected),
        (after_welcome("04 07 05'READY' 00"), metadata),
        (after_welcome("04 0c 05'READY' 01'X' 00000001"), metadata),
        (after_welcome("04 19 05'READY' 0b'Socket-Type' 00000003'REQ'"), metadata),
        ("04 06 05'ERROR'".to_owned(), malformed_error),
        ("04 07 05'ERROR' 01".to_owned(), malformed_error),
        ("04 0a 05'ERROR' 03'300'".to_owned(), Auth(300)),
        ("04 0a 05'ERROR' 03'400'".to_owned(), Auth(400)),
        ("04 0a 05'ERROR' 03'500'".to_owned(), Auth(500)),
        ("04 0a 05'ERROR' 03'200'".to_owned(), Nothing),
        ("04 07 05'ERROR' 00".to_owned(), Nothing),
        (after_welcome("04 0a 05'ERROR' 03'400'"), Auth(400)),
        // As libzmq says it.
        ("04 05 5e'RROR'".to_owned(), malformed_error),
        ("04 06 5e'RROR' 01".to_owned(), malformed_error),
        ("04 09 5e'RROR' 03'300'".to_owned(), Auth(300)),
        ("04 09 5e'RROR' 03'400'".to_owned(), Auth(400)),
        (after_welcome("04 09 5e'RROR' 03'500'"), Auth(500)),
    ];
    for (frames, event) in rows {
        let input = plain_greeting(&frames);
        let expected = HandshakeError { class: FailureClass::Protocol, errno: Error::PROTO, event };
        for cut in 0..input.len() {
            let mut client = client_config(b"user", b"secret").start();
            assert_eq!(client.handle_input(&input[..cut]), Ok(cut), "{frames}");
            assert_eq!(client.handle_input(&input[cut..]), Err(expected), "{frames}");
            assert!(!client.is_established());
        }
    }
}

#[test]
fn other_mechanisms_and_versions() {
    let greeting = |mechanism| [wire(SIGNATURE), greeting_3(1, mechanism)].concat();
    let mismatch = ProtocolError::ZMTP_MECHANISM_MISMATCH.into();
    let silent = HandshakeError::silent(Error::PROTO);
    for side in [client_config(b"", b""), server_config()] {
        for (input, error) in [
            (greeting("NULL"), mismatch),
            (greeting("PLAI"), mismatch),
            (greeting("PLAIN2"), mismatch),
            (greeting("CURVE"), mismatch),
            (wire("01"), silent),
            (wire("ff 0000000000000001 7f 01 03"), silent),
        ] {
            assert_eq!(side.clone().start().handle_input(&input), Err(error));
        }
    }
}

#[test]
fn two_clients_and_two_servers() {
    let client = client_config(b"user", b"secret");
    let error = Pair::new(client.clone(), client).drive(10_000).unwrap_err().1;
    assert_eq!(error, ProtocolError::ZMTP_UNEXPECTED_COMMAND.into());
    // Both wait until the time is over.
    let mut pair = Pair::new(server_config(), server_config());
    pair.drive(10_000).unwrap();
    assert!(!pair.client.is_established() && !pair.server.is_established());
    assert_eq!(pair.server.poll_zap_request(), None);
}

#[test]
fn the_handler_refuses() {
    for (status, number, class, error) in [
        (b"300", 300, FailureClass::Connection, ""),
        (b"400", 400, FailureClass::Protocol, "04 09 5e'RROR' 03'400'"),
        (b"500", 500, FailureClass::Protocol, "04 09 5e'RROR' 03'500'"),
    ] {
        let mut server = asking();
        let refused = HandshakeError { class, ..HandshakeError::auth(number) };
        assert_eq!(server.handle_zap_reply(&reply(status)), Err(refused));
        assert_eq!(server.output(), wire(error));
        server.handle_zap_reply(&REPLY).unwrap_err();
        server.handle_input(&wire(INITIATE)).unwrap_err();
        assert!(!server.is_established());
    }
    let mut server = asking();
    let malformed = ProtocolError::ZAP_INVALID_STATUS_CODE.into();
    assert_eq!(server.handle_zap_reply(&reply(b"2000")), Err(malformed));
    assert!(server.output().is_empty());
}

#[test]
fn nobody_to_ask() {
    let refused = HandshakeError::no_zap_handler();
    let mut server = asking();
    assert_eq!(server.handle_no_zap_handler(), Err(refused));
    assert!(server.output().is_empty());
    // Even where the configuration asks for less.
    let mut server = HandshakeConfig { zap: None, ..server_config() }.start();
    assert_eq!(server.handle_input(&plain_greeting(HELLO)), Err(refused));
    assert_eq!(server.poll_zap_request(), None);
    assert!(!server.is_established());
}

#[test]
fn an_answer_nobody_asked_for() {
    for mut server in [server_config().start(), welcoming()] {
        server.handle_zap_reply(&reply(b"400")).unwrap();
        server.handle_no_zap_handler().unwrap();
        assert!(!server.is_established());
    }
    let mut server = welcoming();
    server.handle_zap_reply(&reply(b"400")).unwrap();
    server.handle_input(&wire(INITIATE)).unwrap();
    assert!(server.is_established());
}

#[test]
fn noise_never_panics() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..2000_usize {
        let (side, mut input) = match round % 4 {
            0 => (server_config(), plain_greeting("")),
            1 => (server_config(), plain_greeting("04 12 05'HELLO'")),
            2 => (client_config(b"u", b"p"), plain_greeting("")),
            _ => (client_config(b"u", b"p"), plain_greeting(&format!("{WELCOME} 04"))),
        };
        for _ in 0..round % 53 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            input.push(seed as u8);
        }
        let mut handshake = side.start();
        let _ = handshake.handle_input(&input);
        assert!(!handshake.is_established());
    }
}
