// SPDX-License-Identifier: MPL-2.0
//! The table of socket options: one row an option, and in it everything about the option that
//! does not depend on the socket's state.
//!
//! A number without a row is unknown: EINVAL. Those of the transports that are not built in
//! (`ZMQ_VMCI_*`, `ZMQ_NORM_*`) have none, nor does `ZMQ_BLOCKY`, which is for contexts only.
//! Aliases (`ZMQ_IDENTITY`, `ZMQ_DELAY_ATTACH_ON_CONNECT`, ...) share a number and so a row.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use super::filter::TcpAcceptFilter;
use super::key::{Key, answer_key, parse_key};
use super::value::{answer_bytes, answer_exact, answer_int_exact, answer_string};
use super::value::{parse_array, parse_int_in};
use super::{GSSAPI_BUILT, Mechanism, Options};
use crate::abi::*;
use crate::errno::{Error, Result};

/// One option.
pub struct Row {
    pub number: i32,
    /// As in `zmq.h`.
    pub name: &'static str,
    pub stability: Stability,
    pub when: When,
    /// False for options of a part that is left out of this build; they are EINVAL.
    pub built: bool,
    pub rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    Stable,
    Deprecated,
    /// Shown in the header under `ZMQ_BUILD_DRAFT_API`.
    Draft,
}

/// When setting an option begins to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once, existing connections included.
    Live,
    /// At the next bind or connect.
    Next,
    /// It is only read.
    Never,
}

/// Type and range for setting, and what getting answers.
pub enum Rule {
    /// An `int`, both ways.
    Int { valid: RangeInclusive<i32>, set: fn(&mut Options, i32), get: fn(&Options) -> i32 },
    /// An `int` that cannot be set.
    ReadInt { get: fn(&Options) -> i32 },
    /// An `int` that cannot be got.
    WriteInt { valid: RangeInclusive<i32>, set: fn(&mut Options, i32) },
    /// A `uint64_t`, any value.
    U64 { set: fn(&mut Options, u64), get: fn(&Options) -> u64 },
    /// An `int64_t`, any value.
    I64 { set: fn(&mut Options, i64), get: fn(&Options) -> i64 },
    /// Bytes or a string. `set` sees an empty value only if `empty` allows one.
    Bytes {
        valid: RangeInclusive<usize>,
        empty: Empty,
        set: fn(&mut Options, &[u8]) -> Result<()>,
        get: Answer,
    },
    /// A CURVE key in any of its forms.
    Key { set: fn(&mut Options, &Key), get: fn(&Options) -> &Key },
    /// The socket itself knows the answer; it cannot be set.
    Socket,
    /// The socket's pattern takes it, and answers it if anything does; EINVAL for the others.
    Pattern,
}

/// What an empty value means to an option of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// EINVAL.
    Refused,
    /// NULL with length 0 clears, "" with length 0 is EINVAL.
    NullClears,
    /// Either clears.
    Clears,
}

/// How an option of bytes is answered.
pub enum Answer {
    /// It cannot be got.
    Nothing,
    /// Bytes as they are.
    Raw(fn(&Options) -> &[u8]),
    /// With a terminating NUL.
    Text(fn(&Options) -> &[u8]),
}

use Answer::{Nothing, Raw, Text};
use Empty::{Clears, NullClears, Refused};
use Stability::{Deprecated, Draft, Stable};
use When::{Live, Never, Next};

const ANY: RangeInclusive<i32> = i32::MIN..=i32::MAX;
const NOT_NEGATIVE: RangeInclusive<i32> = 0..=i32::MAX;
const POSITIVE: RangeInclusive<i32> = 1..=i32::MAX;
/// -1 stands for "no limit", "for ever" or "as the system has it".
const FROM_MINUS_ONE: RangeInclusive<i32> = -1..=i32::MAX;
const ZERO_OR_ONE: RangeInclusive<i32> = 0..=1;

const ANY_LENGTH: RangeInclusive<usize> = 1..=usize::MAX;
const SHORT: RangeInclusive<usize> = 1..=255;
/// An interface name: `IFNAMSIZ`.
const DEVICE: RangeInclusive<usize> = 1..=16;

macro_rules! row {
    ($number:ident, $stability:expr, $when:expr, $rule:expr) => {
        Row {
            number: $number,
            name: stringify!($number),
            stability: $stability,
            when: $when,
            built: true,
            rule: $rule,
        }
    };
}

macro_rules! gssapi {
    ($number:ident, $rule:expr) => {
        Row { built: GSSAPI_BUILT, ..row!($number, Stable, Next, $rule) }
    };
}

/// An `int` in one field.
macro_rules! int {
    ($field:ident, $valid:expr) => {
        Rule::Int { valid: $valid, set: |o, value| o.$field = value, get: |o| o.$field }
    };
}

/// An `int` that is true unless 0, in one field.
macro_rules! flag {
    ($field:ident, $valid:expr) => {
        Rule::Int {
            valid: $valid,
            set: |o, value| o.$field = value != 0,
            get: |o| i32::from(o.$field),
        }
    };
}

/// Bytes in one field.
macro_rules! bytes {
    ($field:ident, $valid:expr, $empty:expr, $answer:ident) => {
        Rule::Bytes {
            valid: $valid,
            empty: $empty,
            set: |o, value| {
                o.$field = value.to_vec();
                Ok(())
            },
            get: bytes!(@get $field $answer),
        }
    };
    (@get $field:ident Nothing) => { Nothing };
    (@get $field:ident $answer:ident) => { $answer(|o| &o.$field) };
}

/// One list of `IpcFilters`.
macro_rules! ipc_filter {
    ($list:ident, $id:ty) => {
        Rule::Bytes {
            valid: 4..=4,
            empty: NullClears,
            set: |o, value| {
                if value.is_empty() {
                    o.ipc_filters.$list.clear();
                } else {
                    let id = <$id>::from_ne_bytes(parse_array(value)?);
                    if !o.ipc_filters.$list.contains(&id) {
                        o.ipc_filters.$list.push(id);
                    }
                }
                Ok(())
            },
            get: Nothing,
        }
    };
}

/// A name or password of PLAIN, which makes the socket a PLAIN client; a NULL pointer turns back to
/// the mechanism NULL and keeps the name.
macro_rules! plain {
    ($field:ident) => {
        Rule::Bytes {
            valid: SHORT,
            empty: NullClears,
            set: |o, value| {
                if value.is_empty() {
                    o.mechanism = Mechanism::Null;
                } else {
                    o.$field = value.to_vec();
                    o.as_server = false;
                    o.mechanism = Mechanism::Plain;
                }
                Ok(())
            },
            get: Text(|o| &o.$field),
        }
    };
}

/// The role of server under a mechanism; 0 turns back to the mechanism NULL.
macro_rules! server {
    ($mechanism:ident) => {
        Rule::Int {
            valid: ZERO_OR_ONE,
            set: |o, value| {
                o.as_server = value != 0;
                o.mechanism = if o.as_server { Mechanism::$mechanism } else { Mechanism::Null };
            },
            get: |o| i32::from(o.as_server && o.mechanism == Mechanism::$mechanism),
        }
    };
}

/// Every socket option.
pub static TABLE: &[Row] = &[
    // General
    row!(ZMQ_AFFINITY, Stable, Next, Rule::U64 { set: |o, v| o.affinity = v, get: |o| o.affinity }),
    row!(ZMQ_ROUTING_ID, Stable, Next, bytes!(routing_id, SHORT, Refused, Raw)),
    row!(ZMQ_RCVMORE, Stable, Never, Rule::Socket),
    row!(ZMQ_FD, Stable, Never, Rule::Socket),
    row!(ZMQ_EVENTS, Stable, Never, Rule::Socket),
    row!(ZMQ_TYPE, Stable, Never, Rule::ReadInt { get: |o| o.socket_type }),
    row!(ZMQ_LAST_ENDPOINT, Stable, Never, Rule::Socket),
    row!(ZMQ_THREAD_SAFE, Stable, Never, Rule::Socket),
    row!(ZMQ_LINGER, Stable, Live, int!(linger, FROM_MINUS_ONE)),
    row!(ZMQ_SNDHWM, Stable, Live, int!(sndhwm, NOT_NEGATIVE)),
    row!(ZMQ_RCVHWM, Stable, Live, int!(rcvhwm, NOT_NEGATIVE)),
    row!(ZMQ_SNDTIMEO, Stable, Live, int!(sndtimeo, FROM_MINUS_ONE)),
    row!(ZMQ_RCVTIMEO, Stable, Live, int!(rcvtimeo, FROM_MINUS_ONE)),
    row!(ZMQ_MAXMSGSIZE, Stable, Next, MAXMSGSIZE),
    row!(ZMQ_IMMEDIATE, Stable, Next, flag!(immediate, ZERO_OR_ONE)),
    row!(ZMQ_CONFLATE, Stable, Next, flag!(conflate, ZERO_OR_ONE)),
    row!(ZMQ_INVERT_MATCHING, Stable, Live, flag!(invert_matching, ANY)),
    row!(ZMQ_HELLO_MSG, Draft, Next, bytes!(hello_msg, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_DISCONNECT_MSG, Draft, Next, bytes!(disconnect_msg, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_HICCUP_MSG, Draft, Next, bytes!(hiccup_msg, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_METADATA, Draft, Next, METADATA),
    row!(ZMQ_IN_BATCH_SIZE, Draft, Next, int!(in_batch_size, POSITIVE)),
    row!(ZMQ_OUT_BATCH_SIZE, Draft, Next, int!(out_batch_size, POSITIVE)),
    // Connecting, handshake, heartbeats
    row!(ZMQ_RECONNECT_IVL, Stable, Next, int!(reconnect_ivl, FROM_MINUS_ONE)),
    row!(ZMQ_RECONNECT_IVL_MAX, Stable, Next, int!(reconnect_ivl_max, NOT_NEGATIVE)),
    // Of its bits, AFTER_DISCONNECT acts at once.
    row!(ZMQ_RECONNECT_STOP, Draft, Next, int!(reconnect_stop, ANY)),
    row!(ZMQ_BACKLOG, Stable, Next, int!(backlog, NOT_NEGATIVE)),
    row!(ZMQ_CONNECT_TIMEOUT, Stable, Next, int!(connect_timeout, NOT_NEGATIVE)),
    row!(ZMQ_HANDSHAKE_IVL, Stable, Next, int!(handshake_ivl, NOT_NEGATIVE)),
    row!(ZMQ_HEARTBEAT_IVL, Stable, Next, int!(heartbeat_ivl, NOT_NEGATIVE)),
    row!(ZMQ_HEARTBEAT_TTL, Stable, Next, HEARTBEAT_TTL),
    // Its default of -1 cannot be set.
    row!(ZMQ_HEARTBEAT_TIMEOUT, Stable, Next, int!(heartbeat_timeout, NOT_NEGATIVE)),
    // Kernel sockets
    row!(ZMQ_SNDBUF, Stable, Next, int!(sndbuf, FROM_MINUS_ONE)),
    row!(ZMQ_RCVBUF, Stable, Next, int!(rcvbuf, FROM_MINUS_ONE)),
    row!(ZMQ_TOS, Stable, Next, int!(tos, NOT_NEGATIVE)),
    row!(ZMQ_PRIORITY, Draft, Next, int!(priority, NOT_NEGATIVE)),
    row!(ZMQ_BUSY_POLL, Draft, Next, int!(busy_poll, ANY)),
    row!(ZMQ_TCP_KEEPALIVE, Stable, Next, int!(tcp_keepalive, -1..=1)),
    row!(ZMQ_TCP_KEEPALIVE_CNT, Stable, Next, int!(tcp_keepalive_cnt, FROM_MINUS_ONE)),
    row!(ZMQ_TCP_KEEPALIVE_IDLE, Stable, Next, int!(tcp_keepalive_idle, FROM_MINUS_ONE)),
    row!(ZMQ_TCP_KEEPALIVE_INTVL, Stable, Next, int!(tcp_keepalive_intvl, FROM_MINUS_ONE)),
    row!(ZMQ_TCP_MAXRT, Stable, Next, int!(tcp_maxrt, NOT_NEGATIVE)),
    row!(ZMQ_IPV6, Stable, Next, flag!(ipv6, ZERO_OR_ONE)),
    row!(ZMQ_IPV4ONLY, Deprecated, Next, IPV4ONLY),
    row!(ZMQ_BINDTODEVICE, Stable, Next, bytes!(bound_device, DEVICE, NullClears, Text)),
    row!(ZMQ_USE_FD, Stable, Next, int!(use_fd, FROM_MINUS_ONE)),
    row!(ZMQ_LOOPBACK_FASTPATH, Draft, Next, flag!(loopback_fastpath, ANY)),
    row!(ZMQ_TCP_ACCEPT_FILTER, Deprecated, Next, TCP_ACCEPT_FILTER),
    row!(ZMQ_IPC_FILTER_UID, Deprecated, Next, ipc_filter!(uids, u32)),
    row!(ZMQ_IPC_FILTER_GID, Deprecated, Next, ipc_filter!(gids, u32)),
    row!(ZMQ_IPC_FILTER_PID, Deprecated, Next, ipc_filter!(pids, i32)),
    row!(ZMQ_SOCKS_PROXY, Stable, Next, bytes!(socks_proxy, ANY_LENGTH, NullClears, Text)),
    row!(ZMQ_SOCKS_USERNAME, Draft, Next, bytes!(socks_username, SHORT, Clears, Text)),
    row!(ZMQ_SOCKS_PASSWORD, Draft, Next, bytes!(socks_password, SHORT, Clears, Text)),
    // Multicast
    row!(ZMQ_RATE, Stable, Next, int!(rate, POSITIVE)),
    row!(ZMQ_RECOVERY_IVL, Stable, Next, int!(recovery_ivl, NOT_NEGATIVE)),
    row!(ZMQ_MULTICAST_HOPS, Stable, Next, int!(multicast_hops, POSITIVE)),
    row!(ZMQ_MULTICAST_MAXTPDU, Stable, Next, int!(multicast_maxtpdu, POSITIVE)),
    row!(ZMQ_MULTICAST_LOOP, Draft, Next, flag!(multicast_loop, ANY)),
    // Security
    row!(ZMQ_MECHANISM, Stable, Never, Rule::ReadInt { get: |o| o.mechanism as i32 }),
    row!(ZMQ_PLAIN_SERVER, Stable, Next, server!(Plain)),
    row!(ZMQ_PLAIN_USERNAME, Stable, Next, plain!(plain_username)),
    row!(ZMQ_PLAIN_PASSWORD, Stable, Next, plain!(plain_password)),
    row!(ZMQ_CURVE_SERVER, Stable, Next, server!(Curve)),
    row!(ZMQ_CURVE_PUBLICKEY, Stable, Next, CURVE_PUBLICKEY),
    row!(ZMQ_CURVE_SECRETKEY, Stable, Next, CURVE_SECRETKEY),
    row!(ZMQ_CURVE_SERVERKEY, Stable, Next, CURVE_SERVERKEY),
    gssapi!(ZMQ_GSSAPI_SERVER, GSSAPI_SERVER),
    gssapi!(ZMQ_GSSAPI_PRINCIPAL, GSSAPI_PRINCIPAL),
    gssapi!(ZMQ_GSSAPI_SERVICE_PRINCIPAL, GSSAPI_SERVICE_PRINCIPAL),
    gssapi!(ZMQ_GSSAPI_PLAINTEXT, flag!(gssapi_plaintext, ZERO_OR_ONE)),
    gssapi!(ZMQ_GSSAPI_PRINCIPAL_NAMETYPE, int!(gssapi_principal_nametype, 0..=2)),
    gssapi!(ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE, int!(gssapi_service_nametype, 0..=2)),
    // There is no way back to an empty domain.
    row!(ZMQ_ZAP_DOMAIN, Stable, Next, bytes!(zap_domain, SHORT, Refused, Text)),
    row!(ZMQ_ZAP_ENFORCE_DOMAIN, Draft, Next, flag!(zap_enforce_domain, ANY)),
    row!(ZMQ_WSS_KEY_PEM, Draft, Next, bytes!(wss_key_pem, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_WSS_CERT_PEM, Draft, Next, bytes!(wss_cert_pem, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_WSS_TRUST_PEM, Draft, Next, bytes!(wss_trust_pem, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_WSS_HOSTNAME, Draft, Next, bytes!(wss_hostname, ANY_LENGTH, Clears, Nothing)),
    row!(ZMQ_WSS_TRUST_SYSTEM, Draft, Next, WSS_TRUST_SYSTEM),
    // Patterns
    row!(ZMQ_SUBSCRIBE, Stable, Live, Rule::Pattern),
    row!(ZMQ_UNSUBSCRIBE, Stable, Live, Rule::Pattern),
    row!(ZMQ_ROUTER_MANDATORY, Stable, Live, Rule::Pattern),
    row!(ZMQ_ROUTER_RAW, Deprecated, Next, Rule::Pattern),
    row!(ZMQ_ROUTER_HANDOVER, Stable, Live, Rule::Pattern),
    // The pattern sets it, but every socket answers it.
    row!(ZMQ_ROUTER_NOTIFY, Draft, Next, Rule::ReadInt { get: |o| o.router_notify }),
    // From the next peer on.
    row!(ZMQ_PROBE_ROUTER, Stable, Live, Rule::Pattern),
    // For the next connect, which clears it.
    row!(ZMQ_CONNECT_ROUTING_ID, Stable, Live, Rule::Pattern),
    row!(ZMQ_REQ_CORRELATE, Stable, Live, Rule::Pattern),
    row!(ZMQ_REQ_RELAXED, Stable, Live, Rule::Pattern),
    row!(ZMQ_XPUB_VERBOSE, Stable, Live, Rule::Pattern),
    row!(ZMQ_XPUB_VERBOSER, Stable, Live, Rule::Pattern),
    row!(ZMQ_XPUB_NODROP, Stable, Live, Rule::Pattern),
    row!(ZMQ_XPUB_MANUAL, Stable, Live, Rule::Pattern),
    row!(ZMQ_XPUB_MANUAL_LAST_VALUE, Draft, Live, Rule::Pattern),
    row!(ZMQ_XPUB_WELCOME_MSG, Stable, Live, Rule::Pattern),
    row!(ZMQ_ONLY_FIRST_SUBSCRIBE, Draft, Live, Rule::Pattern),
    row!(ZMQ_XSUB_VERBOSE_UNSUBSCRIBE, Draft, Live, Rule::Pattern),
    row!(ZMQ_TOPICS_COUNT, Draft, Never, Rule::Pattern),
    row!(ZMQ_STREAM_NOTIFY, Stable, Live, Rule::Pattern),
];

const MAXMSGSIZE: Rule = Rule::I64 { set: |o, v| o.maxmsgsize = v, get: |o| o.maxmsgsize };

/// "X-key:value", split at the first colon. A key keeps its first value.
const METADATA: Rule = Rule::Bytes {
    valid: ANY_LENGTH,
    empty: Refused,
    set: |o, property| {
        let colon = property.iter().position(|byte| *byte == b':').ok_or(Error::INVAL)?;
        let (key, value) = (&property[..colon], &property[colon + 1..]);
        // A property of four bytes would be taken for an `int` by libzmq.
        let well_formed = key.starts_with(b"X-")
            && SHORT.contains(&key.len())
            && !value.is_empty()
            && property.len() != size_of::<i32>();
        if !well_formed {
            return Err(Error::INVAL);
        }
        o.metadata.entry(key.to_vec()).or_insert_with(|| value.to_vec());
        Ok(())
    },
    get: Nothing,
};

/// Kept in tenths of a second, so the answer is rounded down. -99 to -1 round to 0 as well.
const HEARTBEAT_TTL: Rule = Rule::Int {
    valid: -99..=u16::MAX as i32 * 100 + 99,
    set: |o, value| o.heartbeat_ttl = (value / 100) as u16,
    get: |o| i32::from(o.heartbeat_ttl) * 100,
};

/// The inverse of `ZMQ_IPV6`.
const IPV4ONLY: Rule = Rule::Int {
    valid: ZERO_OR_ONE,
    set: |o, value| o.ipv6 = value == 0,
    get: |o| i32::from(!o.ipv6),
};

const TCP_ACCEPT_FILTER: Rule = Rule::Bytes {
    valid: SHORT,
    empty: NullClears,
    set: |o, value| {
        if value.is_empty() {
            o.tcp_accept_filters.clear();
        } else {
            o.tcp_accept_filters.push(TcpAcceptFilter::parse(value, o.ipv6)?);
        }
        Ok(())
    },
    get: Nothing,
};

const CURVE_PUBLICKEY: Rule = Rule::Key {
    set: |o, key| {
        o.curve_publickey = *key;
        o.mechanism = Mechanism::Curve;
    },
    get: |o| &o.curve_publickey,
};

const CURVE_SECRETKEY: Rule = Rule::Key {
    set: |o, key| {
        *o.curve_secretkey = *key;
        o.mechanism = Mechanism::Curve;
    },
    get: |o| &o.curve_secretkey,
};

/// Knowing the server's key makes the socket a client.
const CURVE_SERVERKEY: Rule = Rule::Key {
    set: |o, key| {
        o.curve_serverkey = *key;
        o.mechanism = Mechanism::Curve;
        o.as_server = false;
    },
    get: |o| &o.curve_serverkey,
};

/// Unlike its siblings, 0 stays with the mechanism.
const GSSAPI_SERVER: Rule = Rule::Int {
    valid: ZERO_OR_ONE,
    set: |o, value| {
        o.as_server = value != 0;
        o.mechanism = Mechanism::Gssapi;
    },
    get: |o| i32::from(o.as_server && o.mechanism == Mechanism::Gssapi),
};

const GSSAPI_PRINCIPAL: Rule = Rule::Bytes {
    valid: SHORT,
    empty: Refused,
    set: |o, value| {
        o.gssapi_principal = value.to_vec();
        o.mechanism = Mechanism::Gssapi;
        Ok(())
    },
    get: Text(|o| &o.gssapi_principal),
};

/// Knowing the server's principal makes the socket a client.
const GSSAPI_SERVICE_PRINCIPAL: Rule = Rule::Bytes {
    valid: SHORT,
    empty: Refused,
    set: |o, value| {
        o.gssapi_service_principal = value.to_vec();
        o.mechanism = Mechanism::Gssapi;
        o.as_server = false;
        Ok(())
    },
    get: Text(|o| &o.gssapi_service_principal),
};

const WSS_TRUST_SYSTEM: Rule =
    Rule::WriteInt { valid: ZERO_OR_ONE, set: |o, value| o.wss_trust_system = value != 0 };

/// The row of an option, by number.
pub fn row(number: i32) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.number == number)
}

impl Row {
    pub(super) fn set(&self, options: &mut Options, value: &[u8], null: bool) -> Result<()> {
        if !self.built {
            return Err(Error::INVAL);
        }
        match &self.rule {
            Rule::Int { valid, set, .. } | Rule::WriteInt { valid, set } => {
                set(options, parse_int_in(value, valid)?);
            }
            Rule::U64 { set, .. } => set(options, u64::from_ne_bytes(parse_array(value)?)),
            Rule::I64 { set, .. } => set(options, i64::from_ne_bytes(parse_array(value)?)),
            Rule::Key { set, .. } => set(options, &*parse_key(value)?),
            Rule::Bytes { valid, empty, set, .. } => {
                let clears = match empty {
                    Empty::Refused => false,
                    Empty::NullClears => null,
                    Empty::Clears => true,
                };
                let fits = valid.contains(&value.len()) || value.is_empty() && clears;
                if !fits {
                    return Err(Error::INVAL);
                }
                set(options, value)?;
            }
            Rule::ReadInt { .. } | Rule::Socket | Rule::Pattern => return Err(Error::INVAL),
        }
        Ok(())
    }

    pub(super) fn get(&self, options: &Options, out: &mut [u8]) -> Result<usize> {
        if !self.built {
            return Err(Error::INVAL);
        }
        match &self.rule {
            Rule::Int { get, .. } | Rule::ReadInt { get } => answer_int_exact(out, get(options)),
            Rule::U64 { get, .. } => answer_exact(out, &get(options).to_ne_bytes()),
            Rule::I64 { get, .. } => answer_exact(out, &get(options).to_ne_bytes()),
            Rule::Key { get, .. } => answer_key(out, get(options)),
            Rule::Bytes { get: Answer::Raw(get), .. } => answer_bytes(out, get(options)),
            Rule::Bytes { get: Answer::Text(get), .. } => answer_string(out, get(options)),
            Rule::Bytes { get: Answer::Nothing, .. }
            | Rule::WriteInt { .. }
            | Rule::Socket
            | Rule::Pattern => Err(Error::INVAL),
        }
    }
}
