// SPDX-License-Identifier: MPL-2.0
//! What a listener or connecter needs to know of the socket options: the values that end up in
//! the kernel. A listener keeps its own copy, so that options set after the bind do not reach it.

#![forbid(unsafe_code)]

use crate::options::Options;

/// The kernel side of a socket's options, as they were at bind or connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    /// `ZMQ_SNDBUF` in bytes; `None` leaves the system's default. Not for ipc, as in libzmq.
    pub sndbuf: Option<u32>,
    /// `ZMQ_RCVBUF` in bytes; `None` leaves the system's default. Not for ipc, as in libzmq.
    pub rcvbuf: Option<u32>,
    /// Bytes the kernel takes of a tcp connection beyond what it has sent (`TCP_NOTSENT_LOWAT`);
    /// `None` leaves it to the kernel.
    pub unsent: Option<u32>,
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
    /// `ZMQ_MULTICAST_HOPS`. udp only, as what follows.
    pub multicast_hops: u32,
    /// `ZMQ_MULTICAST_LOOP`: this machine gets what it sends to a group.
    pub multicast_loop: bool,
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
            unsent: None,
            tos: 0,
            priority: 0,
            busy_poll: 0,
            bind_to_device: Vec::new(),
            keepalive: Keepalive::default(),
            maxrt: 0,
            ipv6: false,
            backlog: 100,
            multicast_hops: 1,
            multicast_loop: true,
        }
    }
}

/// Up to this `ZMQ_SNDHWM`, in messages, who sets it wants little on its way: without a bound a sender
/// whose peer does not read fills megabytes of the kernel's before its mark begins to count. Senders
/// of streams have higher marks, and the bound would cost them an eighth of their throughput.
const LOW_MARK: i32 = 64;
const UNSENT_AT_LOW_MARK: u32 = 256 * 1024;

impl From<&Options> for SocketSettings {
    fn from(options: &Options) -> SocketSettings {
        SocketSettings {
            sndbuf: unless_negative(options.sndbuf),
            rcvbuf: unless_negative(options.rcvbuf),
            unsent: (1..=LOW_MARK).contains(&options.sndhwm).then_some(UNSENT_AT_LOW_MARK),
            tos: unless_negative(options.tos).unwrap_or(0),
            priority: unless_negative(options.priority).unwrap_or(0),
            busy_poll: options.busy_poll,
            bind_to_device: options.bound_device.clone(),
            keepalive: Keepalive {
                on: unless_negative(options.tcp_keepalive).map(|on| on != 0),
                cnt: unless_negative(options.tcp_keepalive_cnt),
                idle: unless_negative(options.tcp_keepalive_idle),
                intvl: unless_negative(options.tcp_keepalive_intvl),
            },
            maxrt: unless_negative(options.tcp_maxrt).unwrap_or(0),
            ipv6: options.ipv6,
            backlog: options.backlog,
            multicast_hops: unless_negative(options.multicast_hops).unwrap_or(1),
            multicast_loop: options.multicast_loop,
        }
    }
}

/// Options say "leave it to the system" by -1.
fn unless_negative(value: i32) -> Option<u32> {
    u32::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_options() {
        let mut options = Options::new(0, false, true);
        assert_eq!(SocketSettings::from(&options), SocketSettings::default());
        options.sndbuf = 0;
        options.rcvbuf = 4096;
        options.tos = 8;
        options.tcp_keepalive = 0;
        options.tcp_keepalive_idle = 9;
        options.sndhwm = 64;
        options.ipv6 = true;
        let expected = SocketSettings {
            sndbuf: Some(0),
            rcvbuf: Some(4096),
            unsent: Some(256 * 1024),
            tos: 8,
            keepalive: Keepalive { on: Some(false), idle: Some(9), ..Keepalive::default() },
            ipv6: true,
            ..SocketSettings::default()
        };
        assert_eq!(SocketSettings::from(&options), expected);
    }
}
