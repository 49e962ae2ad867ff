// SPDX-License-Identifier: MPL-2.0
//! Whole handshakes with NULL: two sides in memory, and hand-written peers of every version,
//! their bytes cut at every place.

#![forbid(unsafe_code)]

mod plain;
mod zws;

use super::*;
use crate::errno::Error;
use crate::zmtp::handshake::MAX_FRAME;
use crate::zmtp::{Established, FailureClass, HandshakeEvent, Version};

fn config(socket_type: SocketType) -> HandshakeConfig {
    HandshakeConfig {
        socket_type,
        routing_id: Vec::new(),
        mechanism: MechanismConfig::Null,
        max_msg_size: -1,
        properties: Vec::new(),
        zap: None,
    }
}

fn with_zap(socket_type: SocketType, handler_required: bool) -> HandshakeConfig {
    let zap = ZapConfig {
        domain: b"global".to_vec(),
        handler_required,
        peer_address: "127.0.0.1".to_owned(),
    };
    HandshakeConfig { zap: Some(zap), ..config(socket_type) }
}

/// Bytes from hexadecimal digits and quoted text.
fn wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, piece) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(piece.as_bytes());
            continue;
        }
        let digits: Vec<u32> = piece.chars().filter_map(|digit| digit.to_digit(16)).collect();
        bytes.extend(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8));
    }
    bytes
}

/// A greeting of ZMTP 3.x from byte 10 on.
fn greeting_3(minor: u8, mechanism: &str) -> Vec<u8> {
    let mut rest = vec![3, minor];
    rest.extend_from_slice(mechanism.as_bytes());
    rest.resize(54, 0);
    rest
}

const SIGNATURE: &str = "ff 0000000000000001 7f";

fn greeted(minor: u8, frames: &str) -> Vec<u8> {
    [wire(SIGNATURE), greeting_3(minor, "NULL"), wire(frames)].concat()
}

/// Two handshakes that talk to each other, some bytes at a time.
struct Pair {
    client: Handshake,
    server: Handshake,
}

impl Pair {
    fn new(client: HandshakeConfig, server: HandshakeConfig) -> Pair {
        Pair { client: client.start(), server: server.start() }
    }

    /// Moves up to `step` bytes each way until nothing moves any more.
    fn drive(&mut self, step: usize) -> Result<(), (bool, HandshakeError)> {
        loop {
            let sent = transfer(&mut self.client, &mut self.server, step);
            let back = transfer(&mut self.server, &mut self.client, step);
            match (sent, back) {
                (Err(error), _) => return Err((false, error)),
                (_, Err(error)) => return Err((true, error)),
                (Ok(0), Ok(0)) => return Ok(()),
                _ => {}
            }
        }
    }

    fn finish(self) -> (Established, Established) {
        assert!(self.client.is_established() && self.server.is_established());
        (self.client.into_established().unwrap(), self.server.into_established().unwrap())
    }
}

fn transfer(
    from: &mut Handshake,
    to: &mut Handshake,
    step: usize,
) -> Result<usize, HandshakeError> {
    let count = from.output().len().min(step);
    let used = to.handle_input(&from.output()[..count])?;
    assert_eq!(used, count);
    from.advance_output(count);
    Ok(count)
}

fn properties(rows: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

#[test]
fn two_sides_of_ours() {
    for step in [1, 2, 7, 64, 10_000] {
        let mut dealer = config(SocketType::Dealer);
        dealer.routing_id = b"dealer-1".to_vec();
        dealer.properties = properties(&[("X-Hello", "World")]);
        let mut pair = Pair::new(dealer, config(SocketType::Router));
        pair.drive(step).unwrap();
        let (client, server) = pair.finish();
        assert_eq!((client.version, server.version), (Version::V3_1, Version::V3_1));
        assert_eq!(client.socket_type, Some(SocketType::Router));
        assert_eq!(client.routing_id, Some(vec![]));
        assert_eq!(client.properties, properties(&[("Socket-Type", "ROUTER"), ("Identity", "")]));
        assert_eq!(server.socket_type, Some(SocketType::Dealer));
        assert_eq!(server.routing_id.as_deref(), Some(&b"dealer-1"[..]));
        assert_eq!(
            server.properties,
            properties(&[
                ("Socket-Type", "DEALER"),
                ("Identity", "dealer-1"),
                ("X-Hello", "World")
            ])
        );
        assert!(client.unsent.is_empty() && server.unsent.is_empty());
    }
}

#[test]
fn every_two_types() {
    for &one in SocketType::ALL {
        for &other in SocketType::ALL {
            let mut pair = Pair::new(config(one), config(other));
            match pair.drive(10_000) {
                Ok(()) => {
                    assert!(one.accepts(other));
                    let (client, _) = pair.finish();
                    assert_eq!(client.routing_id.is_some(), other.sends_routing_id());
                }
                Err((_, error)) => {
                    assert!(!one.accepts(other));
                    assert_eq!(error, HandshakeError::silent(Error::INVAL));
                }
            }
        }
    }
}

/// A peer by its bytes, and what comes of them.
struct Script {
    socket_type: SocketType,
    routing_id: &'static [u8],
    input: Vec<u8>,
    /// How many bytes are out once this many have come in, up to the next row.
    stages: &'static [(usize, usize)],
    output: Vec<u8>,
    established: Established,
}

impl Script {
    fn config(&self) -> HandshakeConfig {
        HandshakeConfig { routing_id: self.routing_id.to_vec(), ..config(self.socket_type) }
    }

    fn output_len(&self, received: usize) -> usize {
        self.stages.iter().rev().find(|stage| stage.0 <= received).unwrap().1
    }

    /// Feeds the pieces, traffic after them, and checks what went out after each.
    fn run(&self, pieces: &[&[u8]]) {
        let mut handshake = self.config().start();
        let mut received = 0;
        assert_eq!(handshake.output(), &self.output[..10]);
        for piece in pieces {
            assert_eq!(handshake.handle_input(piece), Ok(piece.len()));
            received += piece.len();
            let output_len = self.output_len(received);
            assert_eq!(handshake.output(), &self.output[..output_len], "after {received}");
            assert_eq!(handshake.is_established(), received == self.input.len());
        }
        assert_eq!(handshake.handle_input(b"traffic"), Ok(0));
        let unsent = self.output.clone();
        let expected = Established { unsent, ..self.established.clone() };
        assert_eq!(handshake.into_established(), Some(expected));
    }
}

fn scripts() -> Vec<Script> {
    let established = |version, routing_id: Option<&str>, socket_type| Established {
        version,
        routing_id: routing_id.map(|id| id.as_bytes().to_vec()),
        socket_type,
        properties: Vec::new(),
        implicit_subscribe: false,
        unsent: Vec::new(),
    };
    let ready_sub = "04 19 05'READY' 0b'Socket-Type' 00000003'SUB'";
    let ready_rep = "04 19 05'READY' 0b'Socket-Type' 00000003'REP'";
    let ready_req = "04 28 05'READY' 0b'Socket-Type' 00000003'REQ' 08'Identity' 00000002'me'";
    let ready_pub = "04 19 05'READY' 0b'Socket-Type' 00000003'PUB'";
    let signature_me = "ff 0000000000000003 7f";
    vec![
        Script {
            socket_type: SocketType::Req,
            routing_id: b"me",
            input: greeted(1, ready_rep),
            stages: &[(0, 10), (10, 11), (11, 64), (64, 106)],
            output: [wire(signature_me), greeting_3(1, "NULL"), wire(ready_req)].concat(),
            established: Established {
                properties: properties(&[("Socket-Type", "REP")]),
                ..established(Version::V3_1, None, Some(SocketType::Rep))
            },
        },
        Script {
            socket_type: SocketType::Pub,
            routing_id: b"",
            // No command flag, a long length, an unknown property with an odd name.
            input: greeted(
                0,
                "02 0000000000000023 05'READY' 05'x-odd' 00000000
                 0b'Socket-Type' 00000003'SUB'",
            ),
            stages: &[(0, 10), (10, 11), (11, 64), (64, 91)],
            output: greeted(1, ready_pub),
            established: Established {
                properties: properties(&[("x-odd", ""), ("Socket-Type", "SUB")]),
                ..established(Version::V3_0, None, Some(SocketType::Sub))
            },
        },
        Script {
            socket_type: SocketType::Pub,
            routing_id: b"",
            // Revision 2 has no other greeting than 3 has.
            input: [
                wire("ff 00000000000000aa 01 02 00"),
                greeting_3(0, "NULL")[2..].to_vec(),
                wire(ready_sub),
            ]
            .concat(),
            stages: &[(0, 10), (10, 11), (11, 64), (64, 91)],
            output: greeted(1, ready_pub),
            established: Established {
                properties: properties(&[("Socket-Type", "SUB")]),
                ..established(Version::V3_1, None, Some(SocketType::Sub))
            },
        },
        Script {
            socket_type: SocketType::Dealer,
            routing_id: b"me",
            // 2.0, type 6 (ROUTER), routing id "you".
            input: wire("ff 0000000000000004 7f 01 06 00 03'you'"),
            stages: &[(0, 10), (10, 11), (11, 12), (12, 16)],
            output: wire("ff 0000000000000003 7f 03 05 00 02'me'"),
            established: established(Version::V2_0, Some("you"), Some(SocketType::Router)),
        },
        Script {
            socket_type: SocketType::Xpub,
            routing_id: b"",
            // 2.0, an unknown type, no routing id.
            input: wire("ff 0000000000000001 7f 01 ee 00 00"),
            stages: &[(0, 10), (10, 11), (11, 12), (12, 14)],
            output: wire("ff 0000000000000001 7f 03 09 00 00"),
            established: established(Version::V2_0, Some(""), None),
        },
        Script {
            socket_type: SocketType::Pub,
            routing_id: b"me",
            // 1.0 with revision 0.
            input: wire("ff 0000000000000001 7f 00 02 04 00'you'"),
            stages: &[(0, 10), (10, 11), (11, 12), (12, 16)],
            output: wire("ff 0000000000000003 7f 03 01 03 00'me'"),
            established: established(Version::V1_0, Some("you"), Some(SocketType::Sub)),
        },
        Script {
            socket_type: SocketType::Pub,
            routing_id: b"me",
            // 1.0 without a greeting, no routing id.
            input: wire("01 00"),
            stages: &[(0, 10), (1, 12)],
            output: wire("ff 0000000000000003 7f'me'"),
            established: Established {
                implicit_subscribe: true,
                ..established(Version::V1_0Unversioned, Some(""), None)
            },
        },
        Script {
            socket_type: SocketType::Router,
            routing_id: b"",
            input: wire("04 00'you'"),
            stages: &[(0, 10)],
            output: wire("ff 0000000000000001 7f"),
            established: established(Version::V1_0Unversioned, Some("you"), None),
        },
        Script {
            socket_type: SocketType::Xpub,
            routing_id: b"me",
            // The same in a long frame, which looks like a greeting for nine bytes.
            input: wire("ff 0000000000000004 00'you'"),
            stages: &[(0, 10), (10, 12)],
            output: wire("ff 0000000000000003 7f'me'"),
            established: Established {
                implicit_subscribe: true,
                ..established(Version::V1_0Unversioned, Some("you"), None)
            },
        },
        Script {
            socket_type: SocketType::Push,
            routing_id: b"",
            // A long frame with nothing in it.
            input: wire("ff 0000000000000001 00"),
            stages: &[(0, 10)],
            output: wire("ff 0000000000000001 7f"),
            established: established(Version::V1_0Unversioned, Some(""), None),
        },
    ]
}

#[test]
fn peers_of_every_version_cut_at_every_byte() {
    for script in scripts() {
        let input = &script.input[..];
        script.run(&[input]);
        script.run(&input.chunks(1).collect::<Vec<_>>());
        for first in 0..=input.len() {
            for second in first..=input.len() {
                script.run(&[&input[..first], &input[first..second], &input[second..]]);
            }
        }
    }
}

#[test]
fn traffic_behind_the_handshake_is_left_alone() {
    for script in scripts() {
        let mut handshake = script.config().start();
        let input = [&script.input[..], b"\x00\x05hello"].concat();
        assert_eq!(handshake.handle_input(&input), Ok(script.input.len()));
        assert!(handshake.is_established());
    }
}

#[test]
fn output_goes_out_in_any_pieces() {
    let script = scripts().swap_remove(0);
    for piece in 1..=script.output.len() {
        let mut handshake = script.config().start();
        handshake.handle_input(&script.input).unwrap();
        let mut sent = Vec::new();
        while !handshake.output().is_empty() && sent.len() < 100 {
            let count = piece.min(handshake.output().len());
            sent.extend_from_slice(&handshake.output()[..count]);
            handshake.advance_output(count);
        }
        let unsent = handshake.into_established().unwrap().unsent;
        assert_eq!([sent, unsent].concat(), script.output);
    }
}

#[test]
fn a_handshake_without_end_has_no_result() {
    assert!(config(SocketType::Pub).start().into_established().is_none());
}

/// What goes wrong for a REP, and how: errno and event; the class is always that of a protocol
/// error.
fn failures() -> Vec<(HandshakeConfig, Vec<u8>, Error, HandshakeEvent)> {
    use HandshakeEvent::{Auth, None as Nothing, Protocol};
    let unexpected = Protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
    let malformed_error = Protocol(ProtocolError::ZMTP_MALFORMED_COMMAND_ERROR);
    let mismatch = Protocol(ProtocolError::ZMTP_MECHANISM_MISMATCH);
    let rows = [
        // Commands other than READY and ERROR.
        ("04 00", Error::PROTO, unexpected),
        ("04 05 05'READ'", Error::PROTO, unexpected),
        ("04 06 05'ready'", Error::PROTO, unexpected),
        ("00 06 05'HELLO'", Error::PROTO, unexpected),
        ("04 07 04'PING' 0000", Error::PROTO, unexpected),
        // ERROR.
        ("04 06 05'ERROR'", Error::PROTO, malformed_error),
        ("04 07 05'ERROR' 01", Error::PROTO, malformed_error),
        ("04 09 05'ERROR' 03'40'", Error::PROTO, malformed_error),
        ("04 0a 05'ERROR' 03'300'", Error::PROTO, Auth(300)),
        ("04 0a 05'ERROR' 03'400'", Error::PROTO, Auth(400)),
        ("04 0a 05'ERROR' 03'500'", Error::PROTO, Auth(500)),
        ("04 0b 05'ERROR' 03'400?'", Error::PROTO, Auth(400)),
        ("04 0a 05'ERROR' 03'200'", Error::PROTO, Nothing),
        ("04 0a 05'ERROR' 03'401'", Error::PROTO, Nothing),
        ("04 0b 05'ERROR' 04'busy'", Error::PROTO, Nothing),
        ("04 07 05'ERROR' 00", Error::PROTO, Nothing),
        // READY with bad properties.
        ("04 07 05'READY' 00", Error::PROTO, Nothing),
        ("04 0c 05'READY' 01'X' 00000001", Error::PROTO, Nothing),
        ("04 0c 05'READY' 01'X' ffffffff", Error::PROTO, Nothing),
        ("04 19 05'READY' 0b'Socket-Type' 00000003'REP'", Error::INVAL, Nothing),
        ("04 19 05'READY' 0b'Socket-Type' 00000003'req'", Error::INVAL, Nothing),
        ("04 1a 05'READY' 0b'Socket-Type' 00000003'REQ' 00", Error::PROTO, Nothing),
        // Too long.
        ("06 0000000000100001", Error::MSGSIZE, Nothing),
        ("06 ffffffffffffffff", Error::MSGSIZE, Nothing),
    ];
    let rep = || config(SocketType::Rep);
    let mut failures: Vec<_> =
        rows.map(|(frames, errno, event)| (rep(), greeted(1, frames), errno, event)).into();
    let other = |name| [wire(SIGNATURE), greeting_3(1, name)].concat();
    let small = || HandshakeConfig { max_msg_size: 10, ..rep() };
    let secure = || with_zap(SocketType::Rep, false);
    failures.extend([
        (rep(), other("PLAIN"), Error::PROTO, mismatch),
        (rep(), other(""), Error::PROTO, mismatch),
        (rep(), other("NULLL"), Error::PROTO, mismatch),
        (rep(), other("NULL\0x"), Error::PROTO, mismatch),
        // Older versions: frames that cannot be.
        (rep(), wire("00"), Error::PROTO, Nothing),
        (rep(), wire("ff 0000000000000000 00"), Error::PROTO, Nothing),
        (rep(), wire("ff ffffffffffffffff 00"), Error::MSGSIZE, Nothing),
        (rep(), wire("ff 0000000000000001 7f 00 03 00"), Error::PROTO, Nothing),
        (rep(), wire("ff 0000000000000001 7f 01 03 02 0000000000100001"), Error::MSGSIZE, Nothing),
        // ZMQ_MAXMSGSIZE holds for the handshake too.
        (small(), wire("0c 00"), Error::MSGSIZE, Nothing),
        (small(), greeted(1, "04 0b"), Error::MSGSIZE, Nothing),
        // Older versions where security is on.
        (secure(), wire("01"), Error::PROTO, Nothing),
        (secure(), wire("ff 0000000000000001 00"), Error::PROTO, Nothing),
        (secure(), wire("ff 0000000000000001 7f 00 03"), Error::PROTO, Nothing),
        (secure(), wire("ff 0000000000000001 7f 01 03"), Error::PROTO, Nothing),
        // READY twice, while the first waits for ZAP.
        (
            secure(),
            greeted(1, "04 19 05'READY' 0b'Socket-Type' 00000003'REQ' 04 06 05'READY'"),
            Error::PROTO,
            unexpected,
        ),
    ]);
    failures
}

#[test]
fn failures_by_class_and_event_cut_at_every_byte() {
    for (config, input, errno, event) in failures() {
        let expected = HandshakeError { class: FailureClass::Protocol, errno, event };
        for cut in 0..input.len() {
            let mut handshake = config.clone().start();
            assert_eq!(handshake.handle_input(&input[..cut]), Ok(cut), "{input:x?}");
            assert!(!handshake.is_established());
            assert_eq!(handshake.handle_input(&input[cut..]), Err(expected), "{input:x?}");
            let again = HandshakeError { event: HandshakeEvent::None, ..expected };
            assert_eq!(handshake.handle_input(b"more"), Err(again));
            assert!(!handshake.is_established());
            assert!(handshake.into_established().is_none());
        }
    }
}

#[test]
fn a_long_ready_is_taken_up_to_the_limit() {
    let len = MAX_FRAME as usize - 6 - 6;
    let mut body = b"\x05READY\x01X".to_vec();
    body.extend_from_slice(&(len as u32).to_be_bytes());
    body.resize(MAX_FRAME as usize, b'v');
    let frame = [wire("06 0000000000100000"), body].concat();
    let mut handshake = config(SocketType::Rep).start();
    let input = [greeted(1, ""), frame].concat();
    for piece in input.chunks(4096) {
        assert_eq!(handshake.handle_input(piece), Ok(piece.len()));
    }
    let established = handshake.into_established().unwrap();
    assert_eq!(established.socket_type, None);
    assert_eq!(established.properties[0].1.len(), len);
}

const OK: [&[u8]; 7] = [b"", b"1.0", b"1", b"200", b"OK", b"alice", b"\x01K\0\0\0\x01v"];

/// Both sides up to the point where the server waits for ZAP.
fn waiting_for_zap(handler_required: bool, step: usize) -> Pair {
    let mut pair = Pair::new(config(SocketType::Req), with_zap(SocketType::Rep, handler_required));
    assert_eq!(pair.server.poll_zap_request(), None);
    pair.drive(step).unwrap();
    assert!(!pair.client.is_established() && !pair.server.is_established());
    let request = pair.server.poll_zap_request().unwrap();
    let expected: [&[u8]; 7] = [b"", b"1.0", b"1", b"global", b"127.0.0.1", b"", b"NULL"];
    assert_eq!(request, expected);
    assert_eq!(pair.server.poll_zap_request(), None);
    assert_eq!(pair.client.poll_zap_request(), None);
    pair
}

#[test]
fn zap_accepts() {
    for step in [1, 10_000] {
        let mut pair = waiting_for_zap(true, step);
        pair.server.handle_zap_reply(&OK).unwrap();
        pair.drive(step).unwrap();
        let (_, server) = pair.finish();
        let expected = [("User-Id", "alice"), ("K", "v"), ("Socket-Type", "REQ"), ("Identity", "")];
        assert_eq!(server.properties, properties(&expected));
    }
}

#[test]
fn zap_refuses() {
    for (status, number, error) in [(b"300", 300, ""), (b"400", 400, "04 0a 05'ERROR' 03'400'")] {
        let mut pair = waiting_for_zap(true, 10_000);
        let reply: [&[u8]; 7] = [b"", b"1.0", b"1", status, b"", b"", b""];
        let refused = HandshakeError::refused(number);
        assert_eq!(pair.server.handle_zap_reply(&reply), Err(refused));
        assert_eq!(pair.server.output(), wire(error));
        let told = transfer(&mut pair.server, &mut pair.client, 100);
        assert_eq!(told, if error.is_empty() { Ok(0) } else { Err(HandshakeError::auth(number)) });
        let again = HandshakeError { event: HandshakeEvent::None, ..refused };
        assert_eq!(pair.server.handle_zap_reply(&OK), Err(again));
        assert!(!pair.server.is_established());
    }
}

#[test]
fn zap_reply_is_malformed() {
    let mut pair = waiting_for_zap(true, 10_000);
    let error = pair.server.handle_zap_reply(&[b""]).unwrap_err();
    assert_eq!(error, ProtocolError::ZAP_MALFORMED_REPLY.into());
    assert!(pair.server.output().is_empty());
}

#[test]
fn no_zap_handler() {
    let mut open = waiting_for_zap(false, 10_000);
    open.server.handle_no_zap_handler().unwrap();
    open.drive(10_000).unwrap();
    let (_, server) = open.finish();
    assert_eq!(server.properties, properties(&[("Socket-Type", "REQ"), ("Identity", "")]));

    let mut strict = waiting_for_zap(true, 10_000);
    let error = strict.server.handle_no_zap_handler().unwrap_err();
    assert_eq!(error.event, HandshakeEvent::NoDetail(Error::FAULT));
    assert!(strict.server.output().is_empty());
}

#[test]
fn noise_never_panics() {
    // A small generator is enough: every first byte, every length, all kinds of bits.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..3000_usize {
        let mut input = match round % 4 {
            0 => Vec::new(),
            1 => wire(SIGNATURE),
            2 => greeted(1, ""),
            _ => greeted(1, "04 19 05'READY' 0b'Socket-Type'"),
        };
        for _ in 0..round % 97 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            input.push(seed as u8);
        }
        let mut whole = config(SocketType::Router).start();
        let whole_result = whole.handle_input(&input);
        let mut pieces = config(SocketType::Router).start();
        let mut used = 0;
        let result = input
            .chunks(3)
            .try_for_each(|piece| pieces.handle_input(piece).map(|count| used += count));
        assert_eq!(whole_result, result.map(|()| used));
        assert_eq!(whole.output(), pieces.output());
    }
}
