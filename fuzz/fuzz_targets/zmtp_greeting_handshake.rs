// SPDX-License-Identifier: MPL-2.0
//! Greetings of all versions, and what follows up to traffic with the mechanism NULL.
#![no_main]

use ferrozmq_fuzz::handshake::{Answer, End, Local, check, flights};
use ferrozmq_fuzz::{Input, zmtp};
use libfuzzer_sys::fuzz_target;
use zmq::mechanism::MechanismConfig;
use zmq::zmtp::Version;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (local, answer) = (Local::read(&mut input), Answer::read(&mut input));
    let (seed, choice) = (input.u16(), input.u8());
    let mut sent = match choice & 3 {
        0 => Vec::new(),
        1 => greeting(3, input.u8(), "NULL"),
        2 => greeting(input.u8(), input.u8(), "NULL"),
        _ => [&[0xff][..], &input.u64().to_be_bytes(), &[input.u8()]].concat(),
    };
    if choice & 4 != 0 {
        // The peer's READY, whose properties are the fuzzer's.
        let body = [b"\x05READY", input.long_chunk()].concat();
        zmtp::put_header(4, choice & 8 != 0, body.len() as u64, &mut sent);
        sent.extend_from_slice(&body);
    }
    let rest = flights(&mut input, 2);
    let mut all = vec![&sent[..]];
    all.extend(rest);

    let start = || local.with(MechanismConfig::Null).start();
    let outcome = check(&start, &all, &answer, seed, false);

    assert!(outcome.output.starts_with(&[0xff]));
    if let End::Established(peer) = outcome.end {
        if peer.version < Version::V3_0 {
            assert!(peer.properties.is_empty() && peer.routing_id.is_some());
            assert!(local.zap.is_none(), "past the ZAP handler");
        }
        if let (Some(kind), true) = (peer.socket_type, peer.version.is_v3()) {
            assert!(local.socket_type.accepts(kind));
        }
    }
});

fn greeting(revision: u8, minor: u8, mechanism: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, revision, minor];
    if revision >= 2 {
        bytes.extend_from_slice(mechanism.as_bytes());
        bytes.resize(64, 0);
    }
    bytes
}
