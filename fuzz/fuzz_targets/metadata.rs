// SPDX-License-Identifier: MPL-2.0
//! Properties on the wire, and as messages carry them.
#![no_main]

use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use zmq::mechanism::metadata::{LocalProperties, Properties, encode_property};
use zmq::msg::Metadata;
use zmq::zmtp::SocketType;

fuzz_target!(|data: &[u8]| memory::bounded(data.len(), || run(data)));

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let socket_type = input.choose(SocketType::ALL);
    let bytes = input.rest();

    // What was read says the same again.
    let mut again = Vec::new();
    let mut whole = true;
    let mut text = true;
    for property in Properties::new(bytes) {
        assert!(whole, "goes on after an error");
        match property {
            Ok((name, value)) => {
                again.push(name.len() as u8);
                again.extend_from_slice(name);
                again.extend_from_slice(&(value.len() as u32).to_be_bytes());
                again.extend_from_slice(value);
                text &= str::from_utf8(name).is_ok();
            }
            Err(_) => whole = false,
        }
    }
    assert!(bytes.starts_with(&again));
    assert_eq!(whole, bytes == again);

    let local = LocalProperties { socket_type, routing_id: b"us".to_vec(), more: Vec::new() };
    let Ok(peer) = local.decode_peer(bytes) else { return };
    assert!(whole);
    if let Some(kind) = peer.socket_type {
        assert!(socket_type.accepts(kind));
    }
    if text {
        let mut encoded = Vec::new();
        for (name, value) in &peer.properties {
            encode_property(name, value, &mut encoded);
        }
        assert_eq!(encoded, bytes);
    }

    let mut metadata = Metadata::new();
    for (name, value) in &peer.properties {
        metadata.insert(name, value);
    }
    for (name, value) in &peer.properties {
        let first = peer.properties.iter().find(|(other, _)| other == name);
        let expected = &first.expect("itself").1;
        let expected = expected.split(|&byte| byte == 0).next().unwrap_or_default();
        let found = metadata.get(name).expect("it was put in");
        assert_eq!(found.to_bytes(), expected, "{name} {value:?}");
    }
    assert_eq!(metadata.is_empty(), peer.properties.is_empty());

    // And what we say of ourselves can be read by the likes of us.
    let mut ours = Vec::new();
    LocalProperties { more: peer.properties.clone(), ..local }.encode(&mut ours);
    assert!(Properties::new(&ours).all(|property| property.is_ok()));
}
