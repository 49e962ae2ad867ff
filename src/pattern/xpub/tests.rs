// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! XPUB and PUB: matching, what the caller hears of, manual mode, limits.

use super::super::testing::{Bench, Connecting, Message};
use super::*;

fn subscribe(bench: &mut Bench, peer: usize, topic: &str) {
    bench.put(peer, &[&format!("\x01{topic}")]);
}

fn cancel(bench: &mut Bench, peer: usize, topic: &str) {
    bench.put(peer, &[&format!("\x00{topic}")]);
}

/// Everything there is to receive: `+topic`, `-topic`, or the message.
fn received(bench: &mut Bench) -> Vec<String> {
    let mut received = Vec::new();
    while bench.can_receive() {
        received.push(bench.receive().unwrap().join("|").replace('\x01', "+").replace('\0', "-"));
    }
    assert_eq!(bench.receive(), Err(Error::AGAIN));
    received
}

fn taken(bench: &mut Bench, peers: &[usize]) -> Vec<String> {
    let join = |messages: Vec<Message>| messages.concat().join(",");
    peers.iter().map(|&peer| join(bench.take(peer))).collect()
}

#[test]
fn only_subscribers_get_a_message() {
    let mut bench = Bench::new(ZMQ_XPUB);
    let peers = [bench.connect(), bench.connect(), bench.connect()];
    subscribe(&mut bench, peers[0], "A");
    bench.put_command(peers[1], "\x09SUBSCRIBEAB");
    bench.put_command(peers[1], "\x09SUBSCRIBE");
    bench.put_command(peers[2], "\x09OTHER");
    assert_eq!(received(&mut bench), ["+A", "+AB", "+"]);
    for message in [&["A"][..], &["ABC", "body"], &["B", "A"], &[""]] {
        bench.send(message).unwrap();
    }
    assert_eq!(taken(&mut bench, &peers), ["A,ABC,body", "A,ABC,body,B,A,", ""]);
    bench.put_command(peers[1], "\x06CANCEL");
    cancel(&mut bench, peers[0], "A");
    assert_eq!(received(&mut bench), ["-", "-A"]);
    bench.send(&["A"]).unwrap();
    bench.send(&["AB"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["", "AB", ""]);
}

#[test]
fn what_the_caller_hears_of() {
    let steps: &[(&str, [&[&str]; 3])] = &[
        // Step, then what is received: plain, VERBOSE, VERBOSER.
        ("0+A", [&["+A"], &["+A"], &["+A"]]),
        ("1+A", [&[], &["+A"], &["+A"]]),
        ("1+A", [&[], &["+A"], &["+A"]]),
        ("1+B", [&["+B"], &["+B"], &["+B"]]),
        ("0-A", [&[], &[], &["-A"]]),
        ("0-A", [&["-A"], &["-A"], &["-A"]]),
        ("0-unknown", [&["-unknown"], &["-unknown"], &["-unknown"]]),
        ("0+B", [&[], &["+B"], &["+B"]]),
        ("1-A", [&["-A"], &["-A"], &["-A"]]),
        ("1leave", [&[], &[], &["-B"]]),
        ("0+A", [&["+A"], &["+A"], &["+A"]]),
        ("0leave", [&["-A", "-B"], &["-A", "-B"], &["-A", "-B"]]),
    ];
    let modes = [None, Some(ZMQ_XPUB_VERBOSE), Some(ZMQ_XPUB_VERBOSER)];
    for (mode, option) in modes.into_iter().enumerate() {
        let mut bench = Bench::new(ZMQ_XPUB);
        if let Some(option) = option {
            bench.set_int(option, 1).unwrap();
        }
        let peers = [bench.connect(), bench.connect()];
        for (step, expected) in steps {
            let peer = peers[usize::from(step.starts_with('1'))];
            match step[1..].split_at(1) {
                ("+", topic) => subscribe(&mut bench, peer, topic),
                ("-", topic) => cancel(&mut bench, peer, topic),
                _ => bench.leave(peer),
            }
            assert_eq!(received(&mut bench), expected[mode], "{step}, mode {mode}");
        }
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(0));
    }
}

#[test]
fn verbose_clears_what_verboser_set() {
    let mut bench = Bench::new(ZMQ_XPUB);
    let peers = [bench.connect(), bench.connect()];
    bench.set_int(ZMQ_XPUB_VERBOSER, 1).unwrap();
    bench.set_int(ZMQ_XPUB_VERBOSE, 1).unwrap();
    for peer in peers {
        subscribe(&mut bench, peer, "A");
    }
    cancel(&mut bench, peers[0], "A");
    assert_eq!(received(&mut bench), ["+A", "+A"]);
}

#[test]
fn messages_from_subscribers() {
    let cases: &[(i32, &[&str], &[&str])] = &[
        (0, &["hello"], &["hello"]),
        (0, &[""], &[""]),
        (0, &["hello", "\x01A", "tail"], &["hello|+A", "tail"]),
        (1, &["hello", "\x01A", "tail"], &["hello|+A|tail"]),
        (1, &["\x01A", "\x01B", "tail"], &["+A", "+B", "tail"]),
    ];
    for (only_first, message, expected) in cases {
        let mut bench = Bench::new(ZMQ_XPUB);
        bench.set_int(ZMQ_ONLY_FIRST_SUBSCRIBE, *only_first).unwrap();
        let peer = bench.connect();
        bench.put(peer, message);
        assert_eq!(received(&mut bench), *expected, "{message:?}");
        subscribe(&mut bench, peer, "next");
        assert_eq!(received(&mut bench), ["+next"]);
    }
}

#[test]
fn pub_keeps_nothing() {
    for manual in [0, 1] {
        let mut bench = Bench::new(ZMQ_PUB);
        bench.set_int(ZMQ_XPUB_MANUAL, manual).unwrap();
        let peer = bench.connect();
        bench.put(peer, &["hello", "\x01A"]);
        assert!(!bench.can_receive());
        assert_eq!(bench.receive(), Err(Error::NOTSUP));
        bench.send(&["A"]).unwrap();
        assert_eq!(taken(&mut bench, &[peer]), [["A", ""][manual as usize]]);
        let expected = if manual == 1 { Ok(()) } else { Err(Error::INVAL) };
        assert_eq!(bench.set_option(ZMQ_SUBSCRIBE, b"A"), expected);
        assert_eq!(bench.set_option(ZMQ_UNSUBSCRIBE, b"A"), expected);
        bench.leave(peer);
        assert!(bench.closed(peer));
    }
}

#[test]
fn full_peers_miss_messages() {
    for socket_type in [ZMQ_PUB, ZMQ_XPUB] {
        let mut bench = Bench::with_limits(socket_type, (1, 10));
        let peers = [bench.connect(), bench.connect()];
        for peer in peers {
            subscribe(&mut bench, peer, "");
        }
        bench.send(&["1", "a"]).unwrap();
        assert_eq!(taken(&mut bench, &peers[..1]), ["1,a"]);
        bench.send(&["2", "b"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["2,b", "1,a"]);

        bench.set_int(ZMQ_XPUB_NODROP, 1).unwrap();
        bench.send(&["3"]).unwrap();
        assert_eq!(taken(&mut bench, &peers[..1]), ["3"]);
        assert_eq!(bench.send(&["4"]), Err(Error::AGAIN));
        assert!(bench.can_send());
        assert_eq!(taken(&mut bench, &peers), ["", "3"]);
        bench.send(&["4", "c"]).unwrap();
        assert_eq!(taken(&mut bench, &peers), ["4,c", "4,c"]);
        // Full peers that would not get it do not hold it up.
        cancel(&mut bench, peers[1], "");
        bench.send(&["5"]).unwrap();
        assert_eq!(bench.send(&["6"]), Err(Error::AGAIN));
        bench.kill(peers[0]);
        bench.send(&["6"]).unwrap();
    }
}

#[test]
fn a_burst_ends_at_the_mark() {
    let begin = Instant::now();
    let mut burst = Burst::default();
    let mut at = |microseconds| burst.goes_on(3, || begin + Duration::from_micros(microseconds));
    assert_eq!([0, 10, 20, 30, 40].map(&mut at), [true, true, true, false, true]);
    // It began at 40, and is no burst any more.
    assert_eq!([50, 60, 1040].map(&mut at), [true, true, true]);
    assert_eq!([1050, 1060, 1070, 1080].map(&mut at), [true, true, true, false]);
    let mut unlimited = Burst::default();
    assert!((0..100_000).all(|_| unlimited.goes_on(crate::pipe::UNLIMITED, || begin)));
}

#[test]
fn inverted_matching() {
    let mut bench = Bench::new(ZMQ_XPUB);
    bench.set_int(ZMQ_INVERT_MATCHING, 1).unwrap();
    let peers = [bench.connect(), bench.connect()];
    subscribe(&mut bench, peers[0], "A");
    bench.send(&["A"]).unwrap();
    bench.send(&["B"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["B", "A,B"]);
}

#[test]
fn implicit_subscription_and_welcome() {
    let mut bench = Bench::new(ZMQ_XPUB);
    bench.set_option(ZMQ_XPUB_WELCOME_MSG, b"W").unwrap();
    let all = bench.connect_as(Connecting { subscribe_to_all: true, ..Connecting::default() });
    bench.set_option(ZMQ_XPUB_WELCOME_MSG, b"").unwrap();
    let none = bench.connect();
    bench.send(&["x"]).unwrap();
    assert_eq!(taken(&mut bench, &[all, none]), ["W,x", ""]);
    assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));
}

#[test]
fn manual_subscriptions() {
    let mut bench = Bench::new(ZMQ_XPUB);
    bench.set_int(ZMQ_XPUB_MANUAL, 1).unwrap();
    let peers = [bench.connect(), bench.connect()];
    bench.set_option(ZMQ_SUBSCRIBE, b"nobody").unwrap();
    subscribe(&mut bench, peers[0], "A");
    bench.put(peers[0], &["user", "message"]);
    subscribe(&mut bench, peers[1], "A");
    subscribe(&mut bench, peers[1], "A");
    bench.send(&["A"]).unwrap();
    bench.send(&["XA"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["", ""]);

    assert_eq!(bench.receive().unwrap(), ["\x01A"]);
    assert_eq!(bench.receive().unwrap(), ["user", "message"]);
    bench.set_option(ZMQ_SUBSCRIBE, b"XA").unwrap();
    assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));
    bench.send(&["XA"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["XA", ""]);
    assert_eq!(received(&mut bench), ["+A", "+A"]);
    bench.set_option(ZMQ_SUBSCRIBE, b"XB").unwrap();
    bench.send(&["XB"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["", "XB"]);

    cancel(&mut bench, peers[0], "A");
    assert_eq!(received(&mut bench), ["-A"]);
    bench.set_option(ZMQ_UNSUBSCRIBE, b"XA").unwrap();
    assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(1));

    // What the peer had asked for is cancelled, not what was made of it.
    bench.leave(peers[1]);
    assert_eq!(received(&mut bench), ["-A"]);
    bench.set_option(ZMQ_SUBSCRIBE, b"XA").unwrap();
    assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(0));
}

#[test]
fn a_manual_subscription_whose_peer_has_left() {
    let mut bench = Bench::new(ZMQ_XPUB);
    bench.set_int(ZMQ_XPUB_MANUAL, 1).unwrap();
    let [gone, stays] = [bench.connect(), bench.connect()];
    subscribe(&mut bench, gone, "A");
    subscribe(&mut bench, stays, "B");
    bench.leave(gone);
    for (text, count) in [("\x01A", 0), ("\x01B", 1), ("\x00A", 1)] {
        assert_eq!(bench.receive().unwrap(), [text]);
        bench.set_option(ZMQ_SUBSCRIBE, text.as_bytes()).unwrap();
        assert_eq!(bench.option(ZMQ_TOPICS_COUNT), Ok(count));
    }
}

#[test]
fn the_last_value_goes_to_the_last_subscriber() {
    let mut bench = Bench::new(ZMQ_XPUB);
    bench.set_int(ZMQ_XPUB_MANUAL_LAST_VALUE, 1).unwrap();
    let peers = [bench.connect(), bench.connect()];
    for peer in peers {
        subscribe(&mut bench, peer, "A");
        assert_eq!(received(&mut bench), ["+A"]);
        bench.set_option(ZMQ_SUBSCRIBE, b"A").unwrap();
    }
    bench.send(&["A", "1"]).unwrap();
    bench.send(&["A", "2"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["A,2", "A,1,A,2"]);
    subscribe(&mut bench, peers[0], "B");
    assert_eq!(received(&mut bench), ["+B"]);
    bench.send(&["B"]).unwrap();
    bench.send(&["A"]).unwrap();
    assert_eq!(taken(&mut bench, &peers), ["A", "A"]);
}

#[test]
fn subscribers_that_come_and_go_between_parts() {
    let mut bench = Bench::new(ZMQ_XPUB);
    let peers = [bench.connect(), bench.connect()];
    for peer in peers {
        subscribe(&mut bench, peer, "");
    }
    bench.send_part("a", true).unwrap();
    bench.leave(peers[0]);
    let late = bench.connect();
    subscribe(&mut bench, late, "");
    bench.send_part("b", false).unwrap();
    bench.send(&["c"]).unwrap();
    assert_eq!(taken(&mut bench, &[peers[1], late]), ["a,b,c", "c"]);
}

#[test]
fn options() {
    for socket_type in [ZMQ_PUB, ZMQ_XPUB] {
        let mut bench = Bench::new(socket_type);
        for option in [
            ZMQ_XPUB_VERBOSE,
            ZMQ_XPUB_VERBOSER,
            ZMQ_XPUB_NODROP,
            ZMQ_XPUB_MANUAL_LAST_VALUE,
            ZMQ_XPUB_MANUAL,
            ZMQ_ONLY_FIRST_SUBSCRIBE,
        ] {
            for (value, expected) in [(3, Ok(())), (-1, Err(Error::INVAL)), (0, Ok(()))] {
                assert_eq!(bench.set_int(option, value), expected);
            }
            assert_eq!(bench.set_option(option, b""), Err(Error::INVAL));
        }
        for option in [ZMQ_SUBSCRIBE, ZMQ_UNSUBSCRIBE, ZMQ_XSUB_VERBOSE_UNSUBSCRIBE] {
            assert_eq!(bench.set_int(option, 1), Err(Error::INVAL));
        }
        assert_eq!(bench.option(ZMQ_XPUB_MANUAL), Err(Error::INVAL));
    }
}
