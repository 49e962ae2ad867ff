// SPDX-License-Identifier: MPL-2.0
//! Walks over the option table, and what single options do beyond it.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::table::{Answer, Empty, Row, Rule, Stability, TABLE, When, row};
use super::*;
use crate::abi::*;

const INVALID: Result<()> = Err(Error::INVAL);

fn new() -> Options {
    Options::new(ZMQ_PAIR, false, true)
}

fn set_int(options: &mut Options, number: i32, value: i32) -> Result<()> {
    options.set(number, &value.to_ne_bytes(), false)
}

fn get_int(options: &Options, number: i32) -> Result<i32> {
    let mut out = [0; 4];
    options.get(number, &mut out).map(|_| i32::from_ne_bytes(out))
}

fn get_text(options: &Options, number: i32) -> Vec<u8> {
    let mut out = [0xee; 300];
    let length = options.get(number, &mut out).unwrap();
    assert!(out[length - 1..].iter().all(|byte| *byte == 0));
    out[..length - 1].to_vec()
}

/// Options of `int` as the reference lists them: default, smallest and largest value.
const INTS: &[(i32, i32, i32, i32)] = &[
    (ZMQ_LINGER, -1, -1, i32::MAX),
    (ZMQ_SNDHWM, 1000, 0, i32::MAX),
    (ZMQ_RCVHWM, 1000, 0, i32::MAX),
    (ZMQ_RCVTIMEO, -1, -1, i32::MAX),
    (ZMQ_SNDTIMEO, -1, -1, i32::MAX),
    (ZMQ_IMMEDIATE, 0, 0, 1),
    (ZMQ_CONFLATE, 0, 0, 1),
    (ZMQ_PRIORITY, 0, 0, i32::MAX),
    (ZMQ_IN_BATCH_SIZE, 8192, 1, i32::MAX),
    (ZMQ_OUT_BATCH_SIZE, 8192, 1, i32::MAX),
    (ZMQ_BUSY_POLL, 0, i32::MIN, i32::MAX),
    (ZMQ_RECONNECT_IVL, 100, -1, i32::MAX),
    (ZMQ_RECONNECT_IVL_MAX, 0, 0, i32::MAX),
    (ZMQ_RECONNECT_STOP, 0, i32::MIN, i32::MAX),
    (ZMQ_BACKLOG, 100, 0, i32::MAX),
    (ZMQ_HANDSHAKE_IVL, 30000, 0, i32::MAX),
    (ZMQ_CONNECT_TIMEOUT, 0, 0, i32::MAX),
    (ZMQ_HEARTBEAT_IVL, 0, 0, i32::MAX),
    (ZMQ_HEARTBEAT_TIMEOUT, -1, 0, i32::MAX),
    (ZMQ_SNDBUF, -1, -1, i32::MAX),
    (ZMQ_RCVBUF, -1, -1, i32::MAX),
    (ZMQ_TOS, 0, 0, i32::MAX),
    (ZMQ_TCP_KEEPALIVE, -1, -1, 1),
    (ZMQ_TCP_KEEPALIVE_CNT, -1, -1, i32::MAX),
    (ZMQ_TCP_KEEPALIVE_IDLE, -1, -1, i32::MAX),
    (ZMQ_TCP_KEEPALIVE_INTVL, -1, -1, i32::MAX),
    (ZMQ_TCP_MAXRT, 0, 0, i32::MAX),
    (ZMQ_IPV6, 0, 0, 1),
    (ZMQ_IPV4ONLY, 1, 0, 1),
    (ZMQ_USE_FD, -1, -1, i32::MAX),
    (ZMQ_RATE, 100, 1, i32::MAX),
    (ZMQ_RECOVERY_IVL, 10000, 0, i32::MAX),
    (ZMQ_MULTICAST_HOPS, 1, 1, i32::MAX),
    (ZMQ_MULTICAST_MAXTPDU, 1500, 1, i32::MAX),
    (ZMQ_PLAIN_SERVER, 0, 0, 1),
    (ZMQ_CURVE_SERVER, 0, 0, 1),
    (ZMQ_GSSAPI_SERVER, 0, 0, 1),
    (ZMQ_GSSAPI_PLAINTEXT, 0, 0, 1),
    (ZMQ_GSSAPI_PRINCIPAL_NAMETYPE, 0, 0, 2),
    (ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE, 0, 0, 2),
];

/// Options of `int` that take any value and answer 0 or 1, with their default.
const ANY_AS_FLAG: &[(i32, i32)] = &[
    (ZMQ_INVERT_MATCHING, 0),
    (ZMQ_LOOPBACK_FASTPATH, 0),
    (ZMQ_MULTICAST_LOOP, 1),
    (ZMQ_ZAP_ENFORCE_DOMAIN, 0),
];

#[test]
fn the_table_is_complete() {
    let numbers: HashSet<i32> = TABLE.iter().map(|row| row.number).collect();
    assert_eq!(numbers.len(), TABLE.len(), "two rows for one number");
    let unassigned = [0, 1, 2, 3, 10, 20, 26, 29, 30, 67, 82, 83];
    let not_built = (85..=88).chain(117..=124);
    let without: HashSet<i32> =
        unassigned.into_iter().chain(not_built).chain([ZMQ_BLOCKY]).collect();
    for number in 0..=124 {
        assert_eq!(numbers.contains(&number), !without.contains(&number), "{number}");
    }
}

#[test]
fn numbers_without_a_row_are_invalid() {
    let mut options = new();
    for number in [-1, 0, 1, 26, 67, ZMQ_BLOCKY, 85, 117, 125, i32::MAX, i32::MIN] {
        assert_eq!(set_int(&mut options, number, 1), INVALID, "{number}");
        assert_eq!(get_int(&options, number), Err(Error::INVAL), "{number}");
    }
}

#[test]
fn integers_have_the_defaults_and_ranges_of_the_reference() {
    for (number, default, min, max) in INTS.iter().copied() {
        let Row { name, built, .. } = *row(number).unwrap();
        if !built {
            continue;
        }
        let mut options = new();
        assert_eq!(get_int(&options, number), Ok(default), "{name}");
        for value in [min, max] {
            assert_eq!(set_int(&mut options, number, value), Ok(()), "{name} {value}");
            assert_eq!(get_int(&options, number), Ok(value), "{name}");
        }
        for value in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            assert_eq!(set_int(&mut options, number, value), INVALID, "{name} {value}");
            assert_eq!(get_int(&options, number), Ok(max), "{name}");
        }
    }
    for (number, default) in ANY_AS_FLAG.iter().copied() {
        let mut options = new();
        assert_eq!(get_int(&options, number), Ok(default));
        for (value, answer) in [(0, 0), (1, 1), (-1, 1), (i32::MAX, 1), (0, 0), (i32::MIN, 1)] {
            assert_eq!(set_int(&mut options, number, value), Ok(()));
            assert_eq!(get_int(&options, number), Ok(answer), "{number} {value}");
        }
    }
    let listed: HashSet<i32> =
        INTS.iter().map(|int| int.0).chain(ANY_AS_FLAG.iter().map(|int| int.0)).collect();
    for row in TABLE.iter().filter(|row| row.built && matches!(row.rule, Rule::Int { .. })) {
        assert!(listed.contains(&row.number) || row.number == ZMQ_HEARTBEAT_TTL, "{}", row.name);
    }
}

/// The size in bytes of an option that has one size only.
fn fixed_size(rule: &Rule) -> Option<usize> {
    match rule {
        Rule::Int { .. } | Rule::ReadInt { .. } | Rule::WriteInt { .. } => Some(4),
        Rule::U64 { .. } | Rule::I64 { .. } => Some(8),
        _ => None,
    }
}

#[test]
fn integers_need_exactly_their_size() {
    for row in TABLE.iter().filter(|row| row.built) {
        let Some(size) = fixed_size(&row.rule) else { continue };
        let mut options = new();
        for wrong in [0, 1, 3, 4, 5, 8, 9, 300].into_iter().filter(|wrong| *wrong != size) {
            let (value, mut out) = (vec![0; wrong], vec![0xee; wrong]);
            assert_eq!(options.set(row.number, &value, false), INVALID, "{} {wrong}", row.name);
            let answer = options.get(row.number, &mut out);
            assert_eq!(answer, Err(Error::INVAL), "{} {wrong}", row.name);
            assert!(out.iter().all(|byte| *byte == 0xee), "{}", row.name);
        }
        assert_eq!(options.set(row.number, &[], true), INVALID, "{}", row.name);
        if !matches!(row.rule, Rule::WriteInt { .. }) {
            assert_eq!(options.get(row.number, &mut vec![0xee; size]), Ok(size), "{}", row.name);
        }
    }
}

#[test]
fn one_way_options() {
    for row in TABLE {
        let read_only =
            !row.built || matches!(row.rule, Rule::ReadInt { .. } | Rule::Socket | Rule::Pattern);
        let write_only = !row.built
            || matches!(row.rule, Rule::WriteInt { .. } | Rule::Socket | Rule::Pattern)
            || matches!(row.rule, Rule::Bytes { get: Answer::Nothing, .. });
        let mut options = new();
        for size in [0, 1, 3, 4, 5, 8, 32, 41, 255, 256] {
            if read_only {
                assert_eq!(options.set(row.number, &vec![1; size], false), INVALID, "{}", row.name);
            }
            if write_only {
                let answer = options.get(row.number, &mut vec![0; size]);
                assert_eq!(answer, Err(Error::INVAL), "{}", row.name);
            }
        }
        if row.when == When::Never {
            let read = matches!(row.rule, Rule::ReadInt { .. } | Rule::Socket | Rule::Pattern);
            assert!(read, "{}", row.name);
        }
    }
}

#[test]
fn bytes_keep_to_their_lengths() {
    let special = [ZMQ_METADATA, ZMQ_TCP_ACCEPT_FILTER];
    for row in TABLE.iter().filter(|row| row.built && !special.contains(&row.number)) {
        let Rule::Bytes { valid, empty, get, .. } = &row.rule else { continue };
        let name = row.name;
        let mut options = new();
        let longest = (*valid.end()).min(2000);
        for length in [*valid.start(), longest] {
            let value = vec![b'v'; length];
            assert_eq!(options.set(row.number, &value, false), Ok(()), "{name} {length}");
            let terminator = match get {
                Answer::Nothing => continue,
                Answer::Raw(_) => 0,
                Answer::Text(_) => 1,
            };
            let size = length + terminator;
            let mut out = vec![0xee; size + 3];
            assert_eq!(options.get(row.number, &mut out), Ok(size), "{name}");
            assert_eq!(out[..length], value, "{name}");
            assert!(out[length..].iter().all(|byte| *byte == 0), "{name}");
            assert_eq!(options.get(row.number, &mut out[..size]), Ok(size), "{name}");
            let short = options.get(row.number, &mut out[..size - 1]);
            assert_eq!(short, Err(Error::INVAL), "{name}");
        }
        if longest == *valid.end() {
            let value = vec![b'v'; longest + 1];
            assert_eq!(options.set(row.number, &value, false), INVALID, "{name}");
        }
        if *valid.start() > 1 {
            let value = vec![b'v'; *valid.start() - 1];
            assert_eq!(options.set(row.number, &value, false), INVALID, "{name}");
        }
        let of_empty = if *empty == Empty::Clears { Ok(()) } else { INVALID };
        assert_eq!(options.set(row.number, &[], false), of_empty, "{name}");
        let of_null = if *empty == Empty::Refused { INVALID } else { Ok(()) };
        assert_eq!(options.set(row.number, &[], true), of_null, "{name}");
    }
}

#[test]
fn lengths_and_clearing_of_the_reference() {
    // number, longest, whether NULL and whether "" of length 0 clears, default answered
    for (number, longest, null, empty, answered) in [
        (ZMQ_ROUTING_ID, 255, false, false, true),
        (ZMQ_BINDTODEVICE, 16, true, false, true),
        (ZMQ_SOCKS_PROXY, usize::MAX, true, false, true),
        (ZMQ_SOCKS_USERNAME, 255, true, true, true),
        (ZMQ_SOCKS_PASSWORD, 255, true, true, true),
        (ZMQ_PLAIN_USERNAME, 255, true, false, true),
        (ZMQ_PLAIN_PASSWORD, 255, true, false, true),
        (ZMQ_ZAP_DOMAIN, 255, false, false, true),
        (ZMQ_HELLO_MSG, usize::MAX, true, true, false),
        (ZMQ_DISCONNECT_MSG, usize::MAX, true, true, false),
        (ZMQ_HICCUP_MSG, usize::MAX, true, true, false),
        (ZMQ_WSS_KEY_PEM, usize::MAX, true, true, false),
        (ZMQ_WSS_CERT_PEM, usize::MAX, true, true, false),
        (ZMQ_WSS_TRUST_PEM, usize::MAX, true, true, false),
        (ZMQ_WSS_HOSTNAME, usize::MAX, true, true, false),
        (ZMQ_TCP_ACCEPT_FILTER, 255, true, false, false),
    ] {
        let row = row(number).unwrap();
        let Rule::Bytes { valid, .. } = &row.rule else { panic!("{}", row.name) };
        assert_eq!(*valid, 1..=longest, "{}", row.name);
        let mut options = new();
        assert_eq!(options.set(number, &[], true).is_ok(), null, "{}", row.name);
        assert_eq!(options.set(number, &[], false).is_ok(), empty, "{}", row.name);
        let length = usize::from(number != ZMQ_ROUTING_ID);
        let answer = options.get(number, &mut [0xee; 9]);
        assert_eq!(answer, if answered { Ok(length) } else { Err(Error::INVAL) }, "{}", row.name);
    }
}

#[test]
fn what_acts_at_once() {
    let live: HashSet<&str> =
        TABLE.iter().filter(|row| row.when == When::Live).map(|row| row.name).collect();
    for name in ["ZMQ_LINGER", "ZMQ_SNDHWM", "ZMQ_RCVHWM", "ZMQ_SNDTIMEO", "ZMQ_RCVTIMEO"] {
        assert!(live.contains(name), "{name}");
    }
    assert!(!live.contains("ZMQ_IMMEDIATE") && !live.contains("ZMQ_TOS"));
}

#[test]
fn draft_numbers_start_at_93() {
    for row in TABLE {
        assert_eq!(row.stability == Stability::Draft, row.number >= 93, "{}", row.name);
    }
}

#[test]
fn wide_integers() {
    let mut options = new();
    let mut out = [0xee; 8];
    assert_eq!(options.get(ZMQ_AFFINITY, &mut out), Ok(8));
    assert_eq!(out, [0; 8]);
    assert_eq!(options.set(ZMQ_AFFINITY, &u64::MAX.to_ne_bytes(), false), Ok(()));
    assert_eq!(options.affinity, u64::MAX);
    assert_eq!(options.get(ZMQ_MAXMSGSIZE, &mut out), Ok(8));
    assert_eq!(i64::from_ne_bytes(out), -1);
    for value in [i64::MIN, 0, i64::MAX] {
        assert_eq!(options.set(ZMQ_MAXMSGSIZE, &value.to_ne_bytes(), false), Ok(()));
        assert_eq!(options.maxmsgsize, value);
    }
}

#[test]
fn heartbeat_ttl_is_rounded_to_tenths_of_a_second() {
    let mut options = new();
    for (value, answer) in
        [(150, 100), (99, 0), (100, 100), (-99, 0), (-1, 0), (0, 0), (6_553_599, 6_553_500)]
    {
        assert_eq!(set_int(&mut options, ZMQ_HEARTBEAT_TTL, value), Ok(()), "{value}");
        assert_eq!(get_int(&options, ZMQ_HEARTBEAT_TTL), Ok(answer), "{value}");
    }
    for value in [-100, 6_553_600, i32::MIN, i32::MAX] {
        assert_eq!(set_int(&mut options, ZMQ_HEARTBEAT_TTL, value), INVALID, "{value}");
    }
}

#[test]
fn ipv4only_is_the_inverse_of_ipv6() {
    let mut options = new();
    set_int(&mut options, ZMQ_IPV4ONLY, 0).unwrap();
    assert_eq!(get_int(&options, ZMQ_IPV6), Ok(1));
    set_int(&mut options, ZMQ_IPV6, 0).unwrap();
    assert_eq!(get_int(&options, ZMQ_IPV4ONLY), Ok(1));
}

#[test]
fn routing_ids_are_bytes() {
    let mut options = new();
    options.set(ZMQ_ROUTING_ID, b"\0id\0", false).unwrap();
    let mut out = [0xee; 6];
    assert_eq!(options.get(ZMQ_ROUTING_ID, &mut out), Ok(4));
    assert_eq!(&out, b"\0id\0\0\0");
    assert_eq!(options.get(ZMQ_ROUTING_ID, &mut out[..4]), Ok(4));
}

#[test]
fn plain_options_choose_the_mechanism() {
    let mut options = new();
    let mechanism = |options: &Options| get_int(options, ZMQ_MECHANISM).unwrap();
    assert_eq!(mechanism(&options), ZMQ_NULL);
    set_int(&mut options, ZMQ_PLAIN_SERVER, 1).unwrap();
    assert_eq!((mechanism(&options), options.as_server), (ZMQ_PLAIN, true));
    assert_eq!(get_int(&options, ZMQ_PLAIN_SERVER), Ok(1));
    options.set(ZMQ_PLAIN_USERNAME, b"user", false).unwrap();
    assert_eq!((mechanism(&options), options.as_server), (ZMQ_PLAIN, false));
    assert_eq!(get_int(&options, ZMQ_PLAIN_SERVER), Ok(0));
    options.set(ZMQ_PLAIN_PASSWORD, &[], true).unwrap();
    assert_eq!(mechanism(&options), ZMQ_NULL);
    // The name stays although the mechanism went.
    assert_eq!(get_text(&options, ZMQ_PLAIN_USERNAME), b"user");
    set_int(&mut options, ZMQ_PLAIN_SERVER, 1).unwrap();
    set_int(&mut options, ZMQ_PLAIN_SERVER, 0).unwrap();
    assert_eq!((mechanism(&options), options.as_server), (ZMQ_NULL, false));
}

#[test]
fn curve_options_choose_the_mechanism() {
    let mut options = new();
    set_int(&mut options, ZMQ_CURVE_SERVER, 1).unwrap();
    assert_eq!(get_int(&options, ZMQ_MECHANISM), Ok(ZMQ_CURVE));
    options.set(ZMQ_CURVE_SECRETKEY, &[7; 32], false).unwrap();
    assert_eq!(get_int(&options, ZMQ_CURVE_SERVER), Ok(1));
    options.set(ZMQ_CURVE_SERVERKEY, &[b'0'; 40], false).unwrap();
    assert_eq!(get_int(&options, ZMQ_CURVE_SERVER), Ok(0));
    assert_eq!(options.mechanism, Mechanism::Curve);

    let mut options = new();
    assert_eq!(options.set(ZMQ_CURVE_PUBLICKEY, &[b' '; 40], false), INVALID);
    assert_eq!(options.mechanism, Mechanism::Null);
    options.set(ZMQ_CURVE_PUBLICKEY, b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\0", false).unwrap();
    assert_eq!(options.mechanism, Mechanism::Curve);
    assert_eq!(options.curve_publickey[..4], [0xbb, 0x88, 0x47, 0x1d]);
    let mut out = [0; 41];
    assert_eq!(options.get(ZMQ_CURVE_PUBLICKEY, &mut out), Ok(41));
    assert_eq!(&out, b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\0");
    assert_eq!(options.get(ZMQ_CURVE_PUBLICKEY, &mut out[..40]), Err(Error::INVAL));
}

#[test]
fn the_last_mechanism_set_wins() {
    let mut options = new();
    options.set(ZMQ_CURVE_SECRETKEY, &[7; 32], false).unwrap();
    options.set(ZMQ_PLAIN_USERNAME, b"user", false).unwrap();
    assert_eq!(options.mechanism, Mechanism::Plain);
    set_int(&mut options, ZMQ_CURVE_SERVER, 1).unwrap();
    assert_eq!(options.mechanism, Mechanism::Curve);
    assert_eq!(get_int(&options, ZMQ_PLAIN_SERVER), Ok(0));
}

#[test]
fn metadata() {
    let long_key = [b"X-".as_slice(), &[b'k'; 253], b":v"].concat();
    let longer_key = [b"X-".as_slice(), &[b'k'; 254], b":v"].concat();
    for (property, valid) in [
        (b"X-key:value".as_slice(), true),
        (b"X-:v", false), // four bytes
        (b"X-:vv", true),
        (b"X-a:b:c", true),
        (b"X-key:", false),
        (b":value", false),
        (b"X-key", false),
        (b"x-key:value", false),
        (b"key:value", false),
        (b"", false),
        (&long_key, true),
        (&longer_key, false),
    ] {
        let result = new().set(ZMQ_METADATA, property, false);
        assert_eq!(result, if valid { Ok(()) } else { INVALID }, "{property:?}");
    }
    let mut options = new();
    for property in [b"X-b:1".as_slice(), b"X-a:2:3", b"X-b:4"] {
        options.set(ZMQ_METADATA, property, false).unwrap();
    }
    let sent: Vec<_> = options.metadata.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    assert_eq!(sent, [(b"X-a".as_slice(), b"2:3".as_slice()), (b"X-b", b"1")]);
}

#[test]
fn accept_filters_add_up_until_cleared() {
    let mut options = new();
    options.set(ZMQ_TCP_ACCEPT_FILTER, b"127.0.0.1", false).unwrap();
    options.set(ZMQ_TCP_ACCEPT_FILTER, b"10.0.0.0/8", false).unwrap();
    assert_eq!(options.set(ZMQ_TCP_ACCEPT_FILTER, b"::1", false), INVALID);
    assert_eq!(options.tcp_accept_filters.len(), 2);
    options.set(ZMQ_TCP_ACCEPT_FILTER, &[], true).unwrap();
    assert!(options.tcp_accept_filters.is_empty());
    set_int(&mut options, ZMQ_IPV6, 1).unwrap();
    options.set(ZMQ_TCP_ACCEPT_FILTER, b"::1", false).unwrap();

    for number in [ZMQ_IPC_FILTER_UID, ZMQ_IPC_FILTER_GID, ZMQ_IPC_FILTER_PID] {
        set_int(&mut options, number, 5).unwrap();
        set_int(&mut options, number, -6).unwrap();
        set_int(&mut options, number, 5).unwrap();
    }
    let filters = &options.ipc_filters;
    assert_eq!(filters.uids, [5, -6i32 as u32]);
    assert_eq!(filters.gids, filters.uids);
    assert_eq!(filters.pids, [5, -6]);
    options.set(ZMQ_IPC_FILTER_GID, &[], true).unwrap();
    assert!(options.ipc_filters.gids.is_empty() && !options.ipc_filters.is_empty());
}

#[test]
fn gssapi_in_a_build_without_it() {
    let mut options = new();
    if GSSAPI_BUILT {
        return;
    }
    for number in [62, 63, 64, 65, 90, 91] {
        assert_eq!(set_int(&mut options, number, 0), INVALID);
        assert_eq!(get_int(&options, number), Err(Error::INVAL));
    }
}

#[test]
fn gssapi_in_a_build_with_it() {
    let mut options = new();
    if !GSSAPI_BUILT {
        return;
    }
    // No option but those that name a principal or the server's role chooses the mechanism.
    for (number, valid, invalid) in [
        (ZMQ_GSSAPI_PLAINTEXT, 0..=1, 2),
        (ZMQ_GSSAPI_PRINCIPAL_NAMETYPE, 0..=2, 3),
        (ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE, 0..=2, 3),
    ] {
        assert_eq!(get_int(&options, number), Ok(0));
        assert_eq!(set_int(&mut options, number, invalid), INVALID);
        assert_eq!(set_int(&mut options, number, -1), INVALID);
        for value in valid {
            set_int(&mut options, number, value).unwrap();
            assert_eq!(get_int(&options, number), Ok(value));
        }
        assert_eq!(options.mechanism, Mechanism::Null);
    }
    assert_eq!(set_int(&mut options, ZMQ_GSSAPI_SERVER, 2), INVALID);
    set_int(&mut options, ZMQ_GSSAPI_SERVER, 1).unwrap();
    assert_eq!(get_int(&options, ZMQ_GSSAPI_SERVER), Ok(1));
    for number in [ZMQ_GSSAPI_PRINCIPAL, ZMQ_GSSAPI_SERVICE_PRINCIPAL] {
        assert_eq!(options.set(number, b"", false), INVALID);
        assert_eq!(options.set(number, b"", true), INVALID);
        assert_eq!(options.set(number, &[b'x'; 256], false), INVALID);
        options.set(number, &[b'x'; 255], false).unwrap();
        assert_eq!(options.mechanism, Mechanism::Gssapi);
    }
    // The principal of a server to connect to makes a client.
    assert_eq!(get_int(&options, ZMQ_GSSAPI_SERVER), Ok(0));
    set_int(&mut options, ZMQ_PLAIN_SERVER, 1).unwrap();
    assert_eq!(get_int(&options, ZMQ_GSSAPI_SERVER), Ok(0));
    set_int(&mut options, ZMQ_GSSAPI_SERVER, 0).unwrap();
    assert_eq!(get_int(&options, ZMQ_MECHANISM), Ok(ZMQ_GSSAPI));
}

#[test]
fn defaults_by_socket_type() {
    for socket_type in ZMQ_PAIR..=ZMQ_CHANNEL {
        let options = Options::new(socket_type, true, true);
        let subscriber = [ZMQ_SUB, ZMQ_XSUB, ZMQ_DISH].contains(&socket_type);
        assert_eq!(options.linger, if subscriber { 0 } else { -1 }, "{socket_type}");
        assert_eq!(options.filter, socket_type == ZMQ_SUB);
        assert_eq!(options.recv_routing_id, [ZMQ_ROUTER, ZMQ_REP].contains(&socket_type));
        assert_eq!(options.raw_socket, [ZMQ_STREAM, ZMQ_DGRAM].contains(&socket_type));
        assert!(options.ipv6);
        assert_eq!(get_int(&options, ZMQ_TYPE), Ok(socket_type));
        assert_eq!(get_int(&options, ZMQ_ROUTER_NOTIFY), Ok(0));
        assert_eq!(Options::new(socket_type, false, false).linger, 0);
    }
}

#[test]
fn some_options_work_for_some_types() {
    let mut conflating = Vec::new();
    let (mut hello, mut disconnect, mut hiccup) = (Vec::new(), Vec::new(), Vec::new());
    for socket_type in ZMQ_PAIR..=ZMQ_CHANNEL {
        let mut options = Options::new(socket_type, false, true);
        assert!(!options.conflates() && options.hello_to_send().is_none());
        set_int(&mut options, ZMQ_CONFLATE, 1).unwrap();
        for number in [ZMQ_HELLO_MSG, ZMQ_DISCONNECT_MSG, ZMQ_HICCUP_MSG] {
            options.set(number, b"hi", false).unwrap();
        }
        conflating.extend(options.conflates().then_some(socket_type));
        hello.extend(options.hello_to_send().map(|_| socket_type));
        disconnect.extend(options.disconnect_to_receive().map(|_| socket_type));
        hiccup.extend(options.hiccup_to_receive().map(|_| socket_type));
    }
    assert_eq!(conflating, [ZMQ_PUB, ZMQ_SUB, ZMQ_DEALER, ZMQ_PULL, ZMQ_PUSH]);
    let both = [ZMQ_REQ, ZMQ_REP, ZMQ_DEALER, ZMQ_ROUTER, ZMQ_SERVER, ZMQ_CLIENT, ZMQ_PEER];
    assert_eq!(hello, both);
    assert_eq!(disconnect, [ZMQ_REP, ZMQ_ROUTER, ZMQ_SERVER, ZMQ_PEER]);
    assert_eq!(hiccup, [ZMQ_REQ, ZMQ_DEALER, ZMQ_CLIENT, ZMQ_PEER]);
}
