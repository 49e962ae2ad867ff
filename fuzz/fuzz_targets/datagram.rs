// SPDX-License-Identifier: MPL-2.0
//! Datagrams of RADIO and DISH, and the addresses that DGRAM puts ahead of its own.
#![no_main]

use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use zmq::endpoint::{peer_address, peer_address_text};
use zmq::zmtp::datagram::{MAX_DATAGRAM, encode, parse};

fuzz_target!(|data: &[u8]| memory::bounded(data.len(), || run(data)));

fn run(data: &[u8]) {
    if let Some((group, body)) = parse(data) {
        let mut again = b"what was there".to_vec();
        assert_eq!(encode(group, body, &mut again), data.len() <= MAX_DATAGRAM);
        if data.len() <= MAX_DATAGRAM {
            assert_eq!(again, data);
        }
    } else {
        assert!(data.first().is_none_or(|length| usize::from(*length) >= data.len()));
    }
    let mut input = Input::new(data);
    let ipv6 = input.u8() & 1 != 0;
    let text = input.rest();
    if let Some(address) = peer_address(text, ipv6) {
        assert_eq!(address.is_ipv6(), ipv6);
        let shown = peer_address_text(&address);
        let again = peer_address(&shown, ipv6).expect("what was shown");
        assert_eq!((again.ip(), again.port()), (address.ip(), address.port()));
    }
}
