// SPDX-License-Identifier: MPL-2.0
//! What a listener or connecter needs to know of the socket options: the values that end up in
//! the kernel. A listener keeps its own copy, so that options set after the bind do not reach it.

#![forbid(unsafe_code)]

use std::os::fd::RawFd;

/// The kernel side of a socket's options, as they were at bind or connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    /// `ZMQ_SNDBUF` in bytes; `None` leaves the system's default. tcp only, as in libzmq.
    pub sndbuf: Option<u32>,
    /// `ZMQ_RCVBUF` in bytes; `None` leaves the system's default. tcp only, as in libzmq.
    pub rcvbuf: Option<u32>,
    /// `ZMQ_TOS`; 0 sets nothing.
    pub tos: u32,
    /// `ZMQ_PRIORITY`; 0 sets nothing.
    pub priority: u32,
    /// `ZMQ_BUSY_POLL` in microseconds; 0 or less sets nothing.
    pub busy_poll: i32,
    /// `ZMQ_BINDTODEVICE`; empty for none.
    pub bind_to_device: Vec<u8>,
    pub keepalive: Keepalive,
    /// `ZMQ_TCP_MAXRT` in milliseconds; 0 sets nothing.
    pub maxrt: u32,
    /// `ZMQ_IPV6`: names resolve to IPv6 or IPv4-mapped addresses; otherwise to IPv4 only.
    pub ipv6: bool,
    /// `ZMQ_BACKLOG`.
    pub backlog: i32,
    /// `ZMQ_USE_FD`: a descriptor that listens already, to be used by the next bind.
    pub use_fd: Option<RawFd>,
}

/// `ZMQ_TCP_KEEPALIVE` and the three values beside it; `None` leaves the system's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// On or off; the other values count only when this one is given.
    pub on: Option<bool>,
    /// Probes without an answer before the connection is given up.
    pub cnt: Option<u32>,
    /// Seconds of silence before the first probe.
    pub idle: Option<u32>,
    /// Seconds between probes.
    pub intvl: Option<u32>,
}

impl Default for SocketSettings {
    fn default() -> SocketSettings {
        SocketSettings {
            sndbuf: None,
            rcvbuf: None,
            tos: 0,
            priority: 0,
            busy_poll: 0,
            bind_to_device: Vec::new(),
            keepalive: Keepalive::default(),
            maxrt: 0,
            ipv6: false,
            backlog: 100,
            use_fd: None,
        }
    }
}
