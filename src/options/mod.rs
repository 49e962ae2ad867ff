// SPDX-License-Identifier: MPL-2.0
//! Socket and context options.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Options`], the values of one socket, with their defaults |
//! | `table.rs` | [`table::TABLE`]: one row an option, everything about setting and getting it |
//! | `value.rs` | the rules for sizes that the C interface lays on values |
//! | `context.rs` | [`ContextOptions`] |
//! | `filter.rs`, `key.rs`, `text.rs` | accept filters, CURVE keys, numbers and addresses in text |
//!
//! A socket owns one [`Options`]; listeners and sessions work with a copy made at bind or connect,
//! so most changes act on the next bind or connect only (the table's `when` says which do not).
//! Man pages: zmq_setsockopt(3), zmq_getsockopt(3), zmq_ctx_set(3), zmq_ctx_get(3).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

mod context;
mod filter;
mod key;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;
pub mod value;

pub use context::ContextOptions;
pub use filter::{IpcFilters, TcpAcceptFilter};
pub use key::{Key, SecretKey};

use crate::abi::*;
use crate::errno::{Error, Result};

/// Whether GSSAPI is built in; without it its options are EINVAL.
pub const GSSAPI_BUILT: bool = cfg!(feature = "gssapi");

/// ZMQ_IN_BATCH_SIZE and ZMQ_OUT_BATCH_SIZE of a socket that has not set them.
const BATCH_SIZE: i32 = 8192;

fn batch(size: i32) -> Option<usize> {
    usize::try_from(size).ok().filter(|_| size != BATCH_SIZE)
}

/// The security mechanism of a socket's connections, numbered as `ZMQ_MECHANISM` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Mechanism {
    Null = ZMQ_NULL,
    Plain = ZMQ_PLAIN,
    Curve = ZMQ_CURVE,
    Gssapi = ZMQ_GSSAPI,
}

/// The options of one socket, except those that only its pattern knows.
///
/// Times are in milliseconds, sizes in bytes, and -1 leaves a kernel option alone, where nothing
/// else is said. Strings are bytes without a terminating NUL.
#[derive(Clone)]
pub struct Options {
    pub socket_type: i32,

    // Messages and pipes.
    /// 0 for no limit, likewise for `rcvhwm`.
    pub sndhwm: i32,
    pub rcvhwm: i32,
    /// -1 waits for ever, likewise for `rcvtimeo`.
    pub sndtimeo: i32,
    pub rcvtimeo: i32,
    /// -1 waits for ever.
    pub linger: i32,
    pub immediate: bool,
    /// As set; [`Options::conflates`] tells whether it has an effect.
    pub conflate: bool,
    /// -1 for no limit.
    pub maxmsgsize: i64,
    pub invert_matching: bool,
    /// Bit i allows I/O thread i; 0 allows all.
    pub affinity: u64,
    /// Up to 255 bytes.
    pub routing_id: Vec<u8>,
    pub router_notify: i32,
    /// Empty for none, likewise for `disconnect_msg` and `hiccup_msg`.
    pub hello_msg: Vec<u8>,
    pub disconnect_msg: Vec<u8>,
    pub hiccup_msg: Vec<u8>,
    /// Properties for the handshake, by name; sent in this order.
    pub metadata: BTreeMap<Vec<u8>, Vec<u8>>,
    /// See [`in_batch`](Options::in_batch).
    pub in_batch_size: i32,
    pub out_batch_size: i32,
    /// Large frames are received by reference to the read buffer. Comes from the context.
    pub zero_copy_recv: bool,

    // What the socket's type asks for.
    /// Inbound messages are checked against the socket's own subscriptions.
    pub filter: bool,
    /// The peer's routing id is passed up as the first message of a connection.
    pub recv_routing_id: bool,
    /// No ZMTP on the wire.
    pub raw_socket: bool,
    /// Raw connections are announced by an empty message when they come and go.
    pub raw_notify: bool,

    // Connections.
    pub backlog: i32,
    /// 0 and -1: no reconnecting.
    pub reconnect_ivl: i32,
    /// 0: no growth.
    pub reconnect_ivl_max: i32,
    /// `ZMQ_RECONNECT_STOP_*` bits.
    pub reconnect_stop: i32,
    /// 0: no limit.
    pub connect_timeout: i32,
    /// 0: no limit.
    pub handshake_ivl: i32,
    /// 0: no heartbeats.
    pub heartbeat_ivl: i32,
    /// In tenths of a second, as it goes over the wire.
    pub heartbeat_ttl: u16,
    /// -1: the same as `heartbeat_ivl`.
    pub heartbeat_timeout: i32,

    // Kernel sockets.
    pub sndbuf: i32,
    pub rcvbuf: i32,
    /// 0 leaves it alone, likewise for `priority` and `busy_poll`.
    pub tos: i32,
    pub priority: i32,
    pub busy_poll: i32,
    pub tcp_keepalive: i32,
    pub tcp_keepalive_cnt: i32,
    /// In seconds, likewise for `tcp_keepalive_intvl`.
    pub tcp_keepalive_idle: i32,
    pub tcp_keepalive_intvl: i32,
    /// 0 leaves it alone.
    pub tcp_maxrt: i32,
    pub ipv6: bool,
    /// Empty for any.
    pub bound_device: Vec<u8>,
    /// A listening descriptor to adopt at bind, or -1.
    pub use_fd: i32,
    pub loopback_fastpath: bool,
    pub tcp_accept_filters: Vec<TcpAcceptFilter>,
    pub ipc_filters: IpcFilters,
    /// "host:port", or empty for no proxy.
    pub socks_proxy: Vec<u8>,
    /// Empty: the proxy is asked for no authentication.
    pub socks_username: Vec<u8>,
    pub socks_password: Vec<u8>,

    // Multicast. `rate` is in kilobits a second.
    pub rate: i32,
    pub recovery_ivl: i32,
    pub multicast_hops: i32,
    pub multicast_maxtpdu: i32,
    pub multicast_loop: bool,

    // Security. Setting credentials also chooses `mechanism` and `as_server`.
    pub mechanism: Mechanism,
    pub as_server: bool,
    /// Not empty: every connection asks ZAP.
    pub zap_domain: Vec<u8>,
    pub zap_enforce_domain: bool,
    pub plain_username: Vec<u8>,
    pub plain_password: Vec<u8>,
    pub curve_publickey: Key,
    pub curve_secretkey: SecretKey,
    pub curve_serverkey: Key,
    pub gssapi_principal: Vec<u8>,
    pub gssapi_service_principal: Vec<u8>,
    pub gssapi_principal_nametype: i32,
    pub gssapi_service_nametype: i32,
    pub gssapi_plaintext: bool,

    // TLS, for wss:// and tls://. PEM text; empty for none.
    pub wss_key_pem: Vec<u8>,
    pub wss_cert_pem: Vec<u8>,
    pub wss_trust_pem: Vec<u8>,
    pub wss_hostname: Vec<u8>,
    pub wss_trust_system: bool,
}

impl Options {
    /// The defaults of a socket of this type, in a context whose `ZMQ_IPV6` and `ZMQ_BLOCKY` are
    /// given.
    pub fn new(socket_type: i32, ctx_ipv6: bool, ctx_blocky: bool) -> Options {
        // Subscriptions that did not go out are not worth waiting for.
        let subscriber = matches!(socket_type, ZMQ_SUB | ZMQ_XSUB | ZMQ_DISH);
        Options {
            socket_type,

            sndhwm: 1000,
            rcvhwm: 1000,
            sndtimeo: -1,
            rcvtimeo: -1,
            linger: if ctx_blocky && !subscriber { -1 } else { 0 },
            immediate: false,
            conflate: false,
            maxmsgsize: -1,
            invert_matching: false,
            affinity: 0,
            routing_id: Vec::new(),
            router_notify: 0,
            hello_msg: Vec::new(),
            disconnect_msg: Vec::new(),
            hiccup_msg: Vec::new(),
            metadata: BTreeMap::new(),
            in_batch_size: BATCH_SIZE,
            out_batch_size: BATCH_SIZE,
            zero_copy_recv: true,

            filter: socket_type == ZMQ_SUB,
            recv_routing_id: matches!(socket_type, ZMQ_ROUTER | ZMQ_REP),
            raw_socket: matches!(socket_type, ZMQ_STREAM | ZMQ_DGRAM),
            raw_notify: true,

            backlog: 100,
            reconnect_ivl: 100,
            reconnect_ivl_max: 0,
            reconnect_stop: 0,
            connect_timeout: 0,
            handshake_ivl: 30_000,
            heartbeat_ivl: 0,
            heartbeat_ttl: 0,
            heartbeat_timeout: -1,

            sndbuf: -1,
            rcvbuf: -1,
            tos: 0,
            priority: 0,
            busy_poll: 0,
            tcp_keepalive: -1,
            tcp_keepalive_cnt: -1,
            tcp_keepalive_idle: -1,
            tcp_keepalive_intvl: -1,
            tcp_maxrt: 0,
            ipv6: ctx_ipv6,
            bound_device: Vec::new(),
            use_fd: -1,
            loopback_fastpath: false,
            tcp_accept_filters: Vec::new(),
            ipc_filters: IpcFilters::default(),
            socks_proxy: Vec::new(),
            socks_username: Vec::new(),
            socks_password: Vec::new(),

            rate: 100,
            recovery_ivl: 10_000,
            multicast_hops: 1,
            multicast_maxtpdu: 1500,
            multicast_loop: true,

            mechanism: Mechanism::Null,
            as_server: false,
            zap_domain: Vec::new(),
            zap_enforce_domain: false,
            plain_username: Vec::new(),
            plain_password: Vec::new(),
            curve_publickey: Key::default(),
            curve_secretkey: SecretKey::default(),
            curve_serverkey: Key::default(),
            gssapi_principal: Vec::new(),
            gssapi_service_principal: Vec::new(),
            gssapi_principal_nametype: ZMQ_GSSAPI_NT_HOSTBASED,
            gssapi_service_nametype: ZMQ_GSSAPI_NT_HOSTBASED,
            gssapi_plaintext: false,

            wss_key_pem: Vec::new(),
            wss_cert_pem: Vec::new(),
            wss_trust_pem: Vec::new(),
            wss_hostname: Vec::new(),
            wss_trust_system: false,
        }
    }

    /// `zmq_setsockopt` for what every socket has; EINVAL also for what its pattern handles.
    ///
    /// `null` says that the caller's pointer was NULL, which some options tell from an empty
    /// value; `value` is empty then. (A NULL pointer with a length is for the C entry to refuse.)
    pub fn set(&mut self, number: i32, value: &[u8], null: bool) -> Result<()> {
        table::row(number).ok_or(Error::INVAL)?.set(self, value, null)
    }

    /// `zmq_getsockopt` into the caller's buffer. Returns the length of the value, which the C
    /// entry stores; EINVAL also for what the socket itself or its pattern answers.
    pub fn get(&self, number: i32, out: &mut [u8]) -> Result<usize> {
        table::row(number).ok_or(Error::INVAL)?.get(self, out)
    }

    /// Whether `conflate` has an effect: it is stored for every type, but works for some.
    pub fn conflates(&self) -> bool {
        let able = matches!(self.socket_type, ZMQ_DEALER | ZMQ_PULL | ZMQ_PUSH | ZMQ_PUB | ZMQ_SUB);
        self.conflate && able
    }

    /// Bytes that one read may bring; `None` leaves it to the library, as the default does.
    pub fn in_batch(&self) -> Option<usize> {
        batch(self.in_batch_size)
    }

    /// Likewise for one write.
    pub fn out_batch(&self) -> Option<usize> {
        batch(self.out_batch_size)
    }

    /// The hello message for a new connection, if the type sends one.
    pub fn hello_to_send(&self) -> Option<&[u8]> {
        let able = matches!(
            self.socket_type,
            ZMQ_REQ | ZMQ_REP | ZMQ_DEALER | ZMQ_ROUTER | ZMQ_SERVER | ZMQ_CLIENT | ZMQ_PEER
        );
        (able && !self.hello_msg.is_empty()).then_some(&self.hello_msg)
    }

    /// The message to receive when an accepted peer goes, if the type receives one.
    pub fn disconnect_to_receive(&self) -> Option<&[u8]> {
        let able = matches!(self.socket_type, ZMQ_REP | ZMQ_ROUTER | ZMQ_SERVER | ZMQ_PEER);
        (able && !self.disconnect_msg.is_empty()).then_some(&self.disconnect_msg)
    }

    /// The message to receive when a connection of ours breaks, if the type receives one.
    pub fn hiccup_to_receive(&self) -> Option<&[u8]> {
        let able = matches!(self.socket_type, ZMQ_REQ | ZMQ_DEALER | ZMQ_CLIENT | ZMQ_PEER);
        (able && !self.hiccup_msg.is_empty()).then_some(&self.hiccup_msg)
    }
}
