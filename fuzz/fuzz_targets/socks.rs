// SPDX-License-Identifier: MPL-2.0
//! What a SOCKS proxy says, in any pieces.
#![no_main]

use ferrozmq_fuzz::input::Pieces;
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use zmq::endpoint::Host;
use zmq::errno::Result;
use zmq::transport::socks::Socks;

fuzz_target!(|data: &[u8]| memory::bounded(data.len() + 4096, || run(data)));

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    let host = match choice & 3 {
        0 => Host::V4([127, 0, 0, 1].into()),
        1 => Host::V6 { addr: u128::from(input.u64()).into(), zone: None },
        _ => {
            let length = usize::from(input.u16() & 0x1ff);
            Host::Name { name: "n".repeat(length), zone: None }
        }
    };
    let (port, username, password) = (input.u16(), input.chunk(), input.chunk());
    let (seed, said) = (input.u16(), input.rest());
    let start = || Socks::new(&host, port, username, password);
    if start().is_err() {
        let fits = !matches!(&host, Host::Name { name, .. } if name.is_empty() || name.len() > 255);
        assert!(port == 0 || !fits);
        return;
    }
    let whole = talk(start(), said, Pieces::Whole);
    for pieces in [Pieces::Bytes, Pieces::Random(seed)] {
        assert_eq!(whole, talk(start(), said, pieces), "{pieces:?}");
    }
}

/// What was taken and said, and whether it came to an end, or failed.
fn talk(socks: Result<Socks>, said: &[u8], pieces: Pieces) -> (Vec<u8>, usize, bool, bool) {
    let mut socks = socks.expect("it was looked at");
    let (mut output, mut taken) = (Vec::new(), 0);
    let mut rest = said;
    loop {
        output.extend_from_slice(socks.output());
        socks.advance_output(socks.output().len());
        let wanted = socks.wanted();
        assert!(wanted <= 262);
        assert_eq!(wanted == 0, socks.is_done());
        let available = &rest[..wanted.min(rest.len())];
        let Some(piece) = pieces.split(available).next() else {
            return (output, taken, socks.is_done(), false);
        };
        if socks.handle_input(piece).is_err() {
            return (output, 0, false, true);
        }
        taken += piece.len();
        rest = &rest[piece.len()..];
    }
}
