// SPDX-License-Identifier: MPL-2.0
//! GSSAPI, either side of it, over contexts that are made up: any bytes; any tokens and texts in
//! commands that are as they should be; and traffic.
#![no_main]

use ferrozmq_fuzz::Input;
use ferrozmq_fuzz::connection::check_sealed;
use ferrozmq_fuzz::gssapi::{self, Script};
use ferrozmq_fuzz::handshake::{Answer, Driven, End, Local, check, flights};
use ferrozmq_fuzz::input::Pieces;
use ferrozmq_fuzz::zmtp::{self, Expected, Step};
use libfuzzer_sys::fuzz_target;
use zmq::engine::RxRules;
use zmq::mechanism::gssapi::token;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (local, answer) = (Local::read(&mut input), Answer::read(&mut input));
    let (choice, seed) = (input.u8(), input.u16());
    let server = choice & 1 == 0;
    let plaintext = choice & 2 != 0;
    let script = Script::read(&mut input);
    let mut sent = vec![gssapi::greeting()];
    // The peer's commands, up to the one that the fuzzer spoils or leaves out.
    let mut peer = script.peer();
    let good = choice >> 2 & 7;
    if good > 0 {
        sent.extend(peer.tokens(server).into_iter().take(usize::from(good)));
    }
    if good > 3 {
        let ready = [b"\x05READY", input.long_chunk()].concat();
        let body = if plaintext { ready } else { peer.message(&[b"\0", &ready[..]].concat()) };
        sent.push(gssapi::frame(&body));
    }
    let start = || gssapi::start(&local, script.clone(), server, plaintext);
    let with_traffic = good == 7;
    let rest = if with_traffic { Vec::new() } else { flights(&mut input, 3) };
    let all: Vec<&[u8]> = sent.iter().map(Vec::as_slice).chain(rest.iter().copied()).collect();
    let outcome = check(&start, &all, &answer, seed, false);

    for flight in rest {
        token::is_sealed(flight);
    }
    let established = matches!(outcome.end, End::Established(_));
    if established {
        assert!(script.steps > 0, "without a context");
        if let (true, Some(zap)) = (server, &local.zap) {
            match &answer {
                Answer::Frames(frames) => assert_eq!(frames[3], b"200"),
                Answer::NoHandler => assert!(!zap.handler_required),
                Answer::Silence => panic!("let in without an answer"),
            }
        }
    }
    if !with_traffic || !established {
        return;
    }

    let mut driven = Driven::new(start(), &answer);
    for flight in all {
        driven.feed(flight, Pieces::Whole);
    }
    let (_, cipher) = driven.end();
    assert_eq!(cipher.is_none(), plaintext);
    let Some(cipher) = cipher else { return };
    let rules = zmtp::rules(&mut input);
    let (sent, expected) = traffic(&mut input, &mut peer, &rules);
    check_sealed(rules, cipher, &sent, &expected, seed);
});

/// Frames sealed by the peer, among them some that are not as they should be, and what is to come
/// of them.
fn traffic(input: &mut Input, peer: &mut gssapi::Peer, rules: &RxRules) -> (Vec<u8>, Expected) {
    let mut sent = Vec::new();
    let mut expected = Expected::default();
    let mut open = true;
    while !input.is_empty() && sent.len() < zmtp::LONGEST {
        let how = input.u8();
        let Step::Frame { flags, long, body, .. } = Step::read(input) else { continue };
        // More, command, subscribe, cancel; what else there may be is not looked at.
        let inner = how & 0x0f | if how & 0x30 == 0x30 { 0xf0 } else { 0 };
        let mut message = peer.message(&[&[inner], &body[..]].concat());
        let mut good = true;
        match how >> 6 {
            0 if how & 0x30 == 0x10 => {
                // Another text is a text, too: the stand-in signs nothing.
                let at = usize::from(input.u16()) % gssapi::HEAD;
                let with = input.u8();
                message[at] ^= with;
                good = with == 0;
            }
            1 if how & 0x30 == 0x10 => {
                let length = usize::from(input.u16()) % (message.len() + 1);
                good = length == message.len();
                message.truncate(length);
            }
            2 if how & 0x30 == 0x10 => {
                // No flags, and no text.
                message = peer.message(b"");
                good = false;
            }
            3 if how & 0x30 == 0x10 => {
                message.push(how);
                good = false;
            }
            _ => {}
        }
        zmtp::put_header(flags & 1, long, message.len() as u64, &mut sent);
        sent.extend_from_slice(&message);
        if open {
            let fits = rules.max_msg_size < 0 || message.len() as i64 <= rules.max_msg_size;
            let (flags, body) = match inner & 12 {
                0 => (inner & 1 | (inner & 2) << 1, body),
                8 => (4, [b"\x06CANCEL", &body[..]].concat()),
                _ => (4, [b"\x09SUBSCRIBE", &body[..]].concat()),
            };
            if !fits || !good {
                expected.failed = true;
                open = false;
            } else {
                open = expected.frame(flags, &body, rules);
            }
        }
    }
    (sent, expected)
}
