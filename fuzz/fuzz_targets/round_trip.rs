// SPDX-License-Identifier: MPL-2.0
//! What one socket sends is what the other one gets, in all framings, sealed and not.
#![no_main]

use ferrozmq_fuzz::connection::{Connection, Frame};
use ferrozmq_fuzz::curve::{self, Keys};
use ferrozmq_fuzz::zmtp::Step;
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use socket2::{Domain, Socket, Type};
use std::sync::LazyLock;
use zmq::engine::{Decoder, Deframing, Encoder, Progress, RxRules};
use zmq::msg::Msg;
use zmq::zmtp::Version;
use zmq::zmtp::zws::Side;

static KEYS: LazyLock<Keys> = LazyLock::new(Keys::new);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (choice, small) = (input.u8(), input.u8());
    let steps = Step::read_all(&mut input);
    memory::bounded(data.len() + 96 * 1024, || run(choice, small, steps));
});

fn run(choice: u8, small: u8, steps: Vec<Step>) {
    let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("pair");
    if small & 1 != 0 {
        // Writes are cut short.
        near.set_send_buffer_size(4096).expect("a size");
    }
    // Whether subscriptions travel as commands.
    let mut commands = true;
    let (mut encoder, framing) = match choice & 7 {
        0 => {
            commands = false;
            (Encoder::framed(Version::V1_0), Deframing::Legacy)
        }
        1 => {
            commands = false;
            (Encoder::framed(Version::V3_0), Deframing::Zmtp)
        }
        2 => {
            commands = false;
            (Encoder::websocket(Side::Client), Deframing::WebSocket(Side::Server))
        }
        3 => {
            commands = false;
            (Encoder::websocket(Side::Server), Deframing::WebSocket(Side::Client))
        }
        _ => (Encoder::plain(), Deframing::Zmtp),
    };
    let mut decoder = Decoder::new(framing);
    if choice & 8 != 0 && framing != Deframing::Legacy {
        let (client, server) = curve::ciphers(&KEYS);
        encoder = encoder.sealed(client.seal);
        decoder = decoder.opened(server.open);
    }
    let rules = RxRules {
        limit: [u64::MAX, 3][usize::from(small >> 1 & 1)],
        max_msg_size: -1,
        subscriptions: true,
        ..RxRules::default()
    };
    let mut from = Connection::over(near, rules, encoder, Decoder::new(Deframing::Raw), b"");
    let mut to = Connection::over(far, rules, Encoder::raw(), decoder, b"");

    let mut expected = Vec::new();
    let mut begun = Vec::new();
    for step in steps {
        let Step::Frame { flags, long, body, .. } = step else { continue };
        let topic = [(1, b"\x09SUBSCRIBE".as_slice()), (0, b"\x06CANCEL")]
            .into_iter()
            .find_map(|(mark, name)| Some((mark, body.strip_prefix(name)?)));
        let command = topic.is_some() && flags & 4 != 0 && begun.is_empty();
        let flags = if command { 4 } else { flags & 1 };
        if long {
            let body = Msg::from_slice(&body).expect("memory");
            from.writer.append_external(flags, body).expect("memory");
        } else {
            from.writer.append(flags, &body).expect("memory");
        }
        begun.push(match topic {
            Some((mark, topic)) if command && !commands => {
                Frame::new(0, &[&[mark], topic].concat())
            }
            _ => Frame::new(flags, &body),
        });
        if flags & 1 == 0 {
            expected.append(&mut begun);
            if small & 4 != 0 {
                from.publish();
            }
        }
        if small & 8 != 0 {
            to.read();
        }
    }
    from.publish();
    for _ in 0..100_000 {
        let progress = from.link.io_write();
        to.read();
        if progress == Some(Progress::Drained) {
            break;
        }
    }
    to.read();
    let received = to.end();
    assert_eq!(received.failure, None);
    assert_eq!(received.frames, expected);
    from.end();
}
