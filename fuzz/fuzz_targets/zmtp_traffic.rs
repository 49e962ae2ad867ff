// SPDX-License-Identifier: MPL-2.0
//! Frames and commands of all versions, and raw bytes, through the receiving side of a connection.
#![no_main]

use ferrozmq_fuzz::connection::{Connection, Frame, Received};
use ferrozmq_fuzz::input::Pieces;
use ferrozmq_fuzz::zmtp::{Expected, Step, rules};
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use zmq::engine::{Decoder, Deframing, Encoder, RxRules};
use zmq::errno::Error;
use zmq::zmtp::Version;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let rules = rules(&mut input);
    let (choice, seed) = (input.u8(), input.u16());
    let framing = match choice & 7 {
        0 => Deframing::Legacy,
        1 => Deframing::Raw,
        _ => Deframing::Zmtp,
    };
    let commands = choice & 7 != 2;
    let mut sent = Vec::new();
    for step in Step::read_all(&mut input) {
        match framing {
            Deframing::Legacy => step.put_legacy(&mut sent),
            _ => step.put(&mut sent),
        }
    }
    // What came with the end of the handshake.
    let leftover = if choice & 8 != 0 { usize::from(choice >> 4) * 5 } else { 0 };
    let leftover = leftover.min(sent.len());

    let receive = |pieces| {
        let decoder = Decoder { commands, ..Decoder::new(framing) };
        memory::bounded(sent.len(), || receive(rules, decoder, &sent, leftover, pieces))
    };
    let whole = receive(Pieces::Whole);
    let split = receive(Pieces::Random(seed));
    if framing == Deframing::Raw {
        for received in [&whole, &split] {
            let bytes: Vec<u8> =
                received.frames.iter().flat_map(|frame| frame.body.iter().copied()).collect();
            assert_eq!(bytes, sent);
        }
        return;
    }
    assert_eq!(whole, split);

    let expected = match framing {
        Deframing::Legacy => Expected::of_legacy(&sent, &rules),
        _ if !commands => Expected::without_commands(&sent, &rules),
        _ => Expected::of(&sent, &rules),
    };
    assert_eq!(whole.frames, expected.frames);
    let failure = whole.failure.expect("the end at least");
    assert_eq!(failure.error != Error::PIPE, expected.failed, "{failure:?}");
    // Of many answers at once some may be left out.
    let answers = expected.output();
    if answers.len() < 8192 && framing == Deframing::Zmtp {
        assert_eq!(whole.output, answers);
    }
});

fn receive(
    rules: RxRules,
    decoder: Decoder,
    bytes: &[u8],
    leftover: usize,
    pieces: Pieces,
) -> Received {
    let framing = decoder.framing;
    let encoder = match framing {
        Deframing::Legacy => Encoder::framed(Version::V1_0),
        Deframing::Raw => Encoder::raw(),
        _ => Encoder::plain(),
    };
    let (leftover, rest) = bytes.split_at(leftover);
    let mut connection = Connection::new(rules, encoder, decoder, leftover);
    connection.feed(rest, pieces);
    connection.finish();
    let mut received = connection.end();
    if framing == Deframing::Raw {
        received.frames.retain(|frame: &Frame| !frame.body.is_empty());
    }
    received
}
