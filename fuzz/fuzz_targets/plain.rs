// SPDX-License-Identifier: MPL-2.0
//! PLAIN, either side of it.
#![no_main]

use ferrozmq_fuzz::handshake::{Answer, End, Local, check, flights};
use ferrozmq_fuzz::{Input, zmtp};
use libfuzzer_sys::fuzz_target;
use zmq::mechanism::MechanismConfig;

const NAMES: [&[u8]; 6] =
    [b"\x05HELLO", b"\x07WELCOME", b"\x08INITIATE", b"\x05READY", b"\x05ERROR", b"\x5eRROR"];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (local, answer) = (Local::read(&mut input), Answer::read(&mut input));
    let (seed, choice) = (input.u16(), input.u8());
    let mechanism = if choice & 1 == 0 {
        MechanismConfig::PlainServer
    } else {
        let (username, password) = (input.chunk().to_vec(), input.chunk().to_vec());
        MechanismConfig::PlainClient { username, password }
    };
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    greeting.extend_from_slice(b"PLAIN");
    greeting.resize(64, 0);
    let mut sent = vec![greeting];
    for _ in 0..choice >> 1 & 3 {
        let kind = input.u8();
        let data = input.chunk();
        let body = [NAMES[usize::from(kind) % NAMES.len()], data].concat();
        let mut frame = Vec::new();
        zmtp::put_header(4, kind & 0x80 != 0, body.len() as u64, &mut frame);
        frame.extend_from_slice(&body);
        sent.push(frame);
    }
    let rest = flights(&mut input, 3);
    let all: Vec<&[u8]> = sent.iter().map(Vec::as_slice).chain(rest).collect();

    let start = || local.with(mechanism.clone()).start();
    let outcome = check(&start, &all, &answer, seed, false);

    if choice & 1 == 0 && matches!(outcome.end, End::Established(_)) {
        let zap = local.zap.as_ref().expect("somebody to ask");
        match &answer {
            Answer::Frames(frames) => assert_eq!(frames[3], b"200"),
            Answer::NoHandler => assert!(!zap.handler_required),
            Answer::Silence => panic!("let in without an answer"),
        }
    }
});
