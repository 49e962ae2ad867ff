// SPDX-License-Identifier: MPL-2.0
//! A ZAP handler's reply, and what it brings into a handshake.
#![no_main]

use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use zmq::mechanism::metadata::{Properties, encode_property};
use zmq::mechanism::zap::{Zap, ZapConfig};

fuzz_target!(|data: &[u8]| memory::bounded(data.len(), || run(data)));

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    let config = ZapConfig {
        domain: input.chunk().to_vec(),
        handler_required: choice & 1 != 0,
        peer_address: "::1".to_owned(),
    };
    let credentials = [input.chunk(), input.chunk()];
    let mut zap = Zap::new(Some(config.clone()), "PLAIN", b"id", &credentials);
    let mut frames: Vec<&[u8]> = vec![b"", b"1.0", b"1", b"200", b"OK", b"user"];
    if choice & 2 != 0 {
        frames.push(input.long_chunk());
    } else {
        frames.truncate(usize::from(choice >> 2 & 7));
        frames.extend((0..choice >> 5).map(|_| input.chunk()));
    }

    if choice & 0x80 != 0 {
        // Nobody has asked.
        assert_eq!(zap.handle_reply(&frames), Ok(()));
        assert!(!zap.is_settled());
    }
    let request = zap.poll_request().expect("a question");
    assert!(zap.poll_request().is_none(), "once only");
    let expected: [&[u8]; 9] = [
        b"",
        b"1.0",
        b"1",
        &config.domain,
        b"::1",
        b"id",
        b"PLAIN",
        credentials[0],
        credentials[1],
    ];
    assert_eq!(request, expected);

    let result = zap.handle_reply(&frames);
    assert_eq!(result.is_ok(), zap.is_settled());
    // One answer counts.
    assert_eq!(zap.handle_reply(&frames), Ok(()));
    assert_eq!(zap.handle_no_handler(), Ok(()));
    assert_eq!(result.is_ok(), zap.is_settled());

    let well_formed = frames.len() == 7
        && frames[..4] == [b"".as_slice(), b"1.0", b"1", b"200"]
        && Properties::new(frames[6]).all(|property| property.is_ok());
    assert_eq!(result.is_ok(), well_formed);
    if well_formed {
        let properties = zap.into_properties();
        assert_eq!(properties[0], ("User-Id".to_owned(), frames[5].to_vec()));
        let mut again = Vec::new();
        for (name, value) in &properties[1..] {
            encode_property(name, value, &mut again);
        }
        // All but those whose names are no text.
        assert!(again.len() <= frames[6].len());
        if Properties::new(frames[6]).flatten().all(|(name, _)| str::from_utf8(name).is_ok()) {
            assert_eq!(again, frames[6]);
        }
    }
}
