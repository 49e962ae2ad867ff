// SPDX-License-Identifier: MPL-2.0
//! CURVE, either side of it: any bytes; any texts in boxes that are sealed as they should be; and
//! traffic.
#![no_main]

use ferrozmq_fuzz::connection::check_sealed;
use ferrozmq_fuzz::curve::{self, Ended, Keys};
use ferrozmq_fuzz::handshake::{Answer, End, Local, check, flights};
use ferrozmq_fuzz::zmtp::{self, Expected, Step};
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEYS: LazyLock<Keys> = LazyLock::new(Keys::new);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (local, answer) = (Local::read(&mut input), Answer::read(&mut input));
    let (choice, seed) = (input.u8(), input.u16());
    let server = choice & 1 == 0;
    if choice & 6 == 0 {
        let mechanism = if server { KEYS.server_side() } else { KEYS.client_side() };
        let greeting = curve::greeting();
        let mut all = vec![&greeting[..]];
        all.extend(flights(&mut input, 3));
        let start = || local.with(mechanism.clone()).start();
        let outcome = check(&start, &all, &answer, seed, false);
        assert!(!matches!(outcome.end, End::Established(_)), "without a key");
        return;
    }
    let mut ended = memory::bounded(data.len(), || {
        if server {
            curve::against_server(&mut input, &local, &answer, &KEYS)
        } else {
            curve::against_client(&mut input, &local, &KEYS)
        }
    });
    assert_eq!(matches!(ended.end, End::Established(_)), ended.cipher.is_some());
    if server
        && local.zap.as_ref().is_some_and(|zap| zap.handler_required)
        && ended.cipher.is_some()
    {
        assert!(matches!(&answer, Answer::Frames(frames) if frames[3] == b"200"));
    }
    let Some(cipher) = ended.cipher.take() else { return };
    let key = ended.key.clone().expect("the peer's own");

    let rules = zmtp::rules(&mut input);
    let (sent, expected) = traffic(&mut input, ended, &key, server, &rules);
    check_sealed(rules, cipher, &sent, &expected, seed);
});

/// Frames sealed by the peer, among them some that are not as they should be, and what is to come
/// of them.
fn traffic(
    input: &mut Input,
    ended: Ended,
    key: &zmq::mechanism::curve::sodium::Secret,
    server: bool,
    rules: &zmq::engine::RxRules,
) -> (Vec<u8>, Expected) {
    let Ended { mut counter, .. } = ended;
    let mut sent = Vec::new();
    let mut expected = Expected::default();
    let mut open = true;
    while !input.is_empty() && sent.len() < zmtp::LONGEST {
        let how = input.u8();
        let Step::Frame { flags, long, body, .. } = Step::read(input) else { continue };
        let inner = flags & 1 | if flags & 4 != 0 { 2 } else { 0 };
        let last = counter;
        counter = match how & 0x3f {
            0x3f => input.u64(),
            0x3e => counter,
            _ => counter.wrapping_add(1),
        };
        let mut message = curve::message(key, server, counter, inner, &body);
        let mut good = counter > last;
        match how >> 6 {
            3 if how & 1 != 0 => {
                let at = usize::from(input.u16()) % message.len();
                let with = input.u8();
                message[at] ^= with;
                good &= with == 0;
            }
            3 => {
                let length = usize::from(input.u16()) % (message.len() + 1);
                good &= length == message.len();
                message.truncate(length);
            }
            _ => {}
        }
        zmtp::put_header(flags & 1, long, message.len() as u64, &mut sent);
        sent.extend_from_slice(&message);
        if open {
            let fits = rules.max_msg_size < 0 || message.len() as i64 <= rules.max_msg_size;
            if !fits || !good {
                expected.failed = true;
                open = false;
            } else {
                open = expected.frame(flags & 5, &body, rules);
            }
        }
    }
    (sent, expected)
}
