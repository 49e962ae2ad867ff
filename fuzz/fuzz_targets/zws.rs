// SPDX-License-Identifier: MPL-2.0
//! Frames of WebSocket, to either side, through the receiving side of a connection.
#![no_main]

use ferrozmq_fuzz::connection::{Connection, Received};
use ferrozmq_fuzz::input::Pieces;
use ferrozmq_fuzz::zmtp::rules;
use ferrozmq_fuzz::{Input, memory, websocket};
use libfuzzer_sys::fuzz_target;
use zmq::engine::{Decoder, Deframing, Encoder, RxRules};
use zmq::errno::Error;
use zmq::zmtp::zws::Side;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let rules = rules(&mut input);
    let (choice, seed) = (input.u8(), input.u16());
    let side = if choice & 1 == 0 { Side::Server } else { Side::Client };
    let sent = websocket::frames(&mut input, side);
    let leftover = if choice & 8 != 0 { usize::from(choice >> 4) * 5 } else { 0 };
    let leftover = leftover.min(sent.len());

    let receive =
        |pieces| memory::bounded(sent.len(), || receive(rules, side, &sent, leftover, pieces));
    let whole = receive(Pieces::Whole);
    let split = receive(Pieces::Random(seed));
    let output = websocket::parse_all(&whole.output, side);
    assert_eq!(whole.frames, split.frames);
    assert_eq!(whole.failure, split.failure);
    assert_eq!(output, websocket::parse_all(&split.output, side));

    let Some((expected, answers)) = websocket::expected(&sent, side, &rules) else { return };
    assert_eq!(whole.frames, expected.frames);
    let failure = whole.failure.expect("the end at least");
    assert_eq!(failure.error != Error::PIPE, expected.failed, "{failure:?}");
    if answers.iter().map(|(_, payload)| payload.len() + 6).sum::<usize>() < 8192 {
        let said: Vec<_> = output.into_iter().filter(|(opcode, _)| *opcode != 8).collect();
        assert_eq!(said, answers);
    }
});

fn receive(rules: RxRules, side: Side, bytes: &[u8], leftover: usize, pieces: Pieces) -> Received {
    let decoder = Decoder::new(Deframing::WebSocket(side));
    let (leftover, rest) = bytes.split_at(leftover);
    let mut connection = Connection::new(rules, Encoder::websocket(side), decoder, leftover);
    connection.feed(rest, pieces);
    connection.finish();
    connection.end()
}
