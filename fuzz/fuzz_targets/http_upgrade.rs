// SPDX-License-Identifier: MPL-2.0
//! The HTTP upgrade of WebSocket, either side of it, and the handshake inside.
#![no_main]

use ferrozmq_fuzz::handshake::{Answer, End, Local, check, flights};
use ferrozmq_fuzz::{Input, websocket};
use libfuzzer_sys::fuzz_target;
use zmq::mechanism::MechanismConfig;
use zmq::zmtp::zws::{Side, UpgradeConfig};

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: JUPqQM68r9vFFFDYM1ckvfIW80s=\r\n";
const PROTOCOLS: [&[u8]; 4] = [
    b"Sec-WebSocket-Protocol: ZWS2.0/NULL\r\n\r\n",
    b"Sec-WebSocket-Protocol: ZWS2.0\r\n\r\n",
    b"Sec-WebSocket-Protocol: ZWS2.0/PLAIN,ZWS2.0/NULL , ZWS2.0\r\n\r\n",
    b"",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (local, answer) = (Local::read(&mut input), Answer::read(&mut input));
    let (seed, choice) = (input.u16(), input.u8());
    let (side, usual, upgrade) = if choice & 1 == 0 {
        (Side::Server, REQUEST, UpgradeConfig::Server)
    } else {
        let (host, path) = ("a".to_owned(), "/".to_owned());
        let key = "AAECAwQFBgcICQoLDA0ODw==".to_owned();
        (Side::Client, RESPONSE, UpgradeConfig::Client { host, path, key })
    };
    let mut sent = Vec::new();
    if choice & 2 != 0 {
        sent.extend_from_slice(usual);
    }
    // Headers of the fuzzer's, and how the opening ends.
    sent.extend_from_slice(input.long_chunk());
    sent.extend_from_slice(PROTOCOLS[usize::from(choice >> 2 & 3)]);
    let usual = sent.clone();
    if choice & 0x10 != 0 {
        sent.extend(websocket::frames(&mut input, side));
    }
    let rest = flights(&mut input, 2);
    let mut all = vec![&sent[..]];
    all.extend(rest);

    let start = || local.with(MechanismConfig::Null).start_upgrade(upgrade.clone());
    let outcome = check(&start, &all, &answer, seed, true);

    if let End::Established(_) = outcome.end {
        assert!(outcome.upgraded);
    }
    if side == Side::Server && !outcome.upgraded {
        assert!(outcome.output.is_empty(), "said something to {usual:?}");
    }
});
