// SPDX-License-Identifier: MPL-2.0
//! Bytes in and out of the kernel, name resolution, kernel socket options.
//!
//! A transport moves bytes and knows no protocol: [`Stream`] makes one non-blocking attempt to
//! write or read and says what came of it, [`tcp`] and [`ipc`] make streams by listening and
//! connecting, [`tls`] is a layer on them, [`udp`] makes sockets for datagrams, [`plain`] has vsock
//! and tipc, [`socks`] what is said to a proxy, [`Resolver`] turns host names into addresses without
//! holding up its caller, by [`workers`]. The descriptors are always non-blocking and
//! close-on-exec; waiting for them is the business of the layers above.
//!
//! `sys` holds the system calls std and socket2 do not offer, and is the only place here with
//! unsafe code; what only Linux has is in `sys/linux.rs`.

#![deny(unsafe_code)]

pub mod host;
pub mod ipc;
mod listener;
pub mod plain;
mod resolver;
mod settings;
mod sockopt;
pub mod socks;
mod stream;
#[allow(unsafe_code)]
mod sys;
pub mod tcp;
#[cfg(test)]
// The tests that use it are left out there.
#[cfg_attr(any(feature = "loom", feature = "async-only"), allow(dead_code))]
pub(crate) mod test_wire;
pub mod tls;
pub mod udp;
pub mod workers;

pub use listener::{Accept, Accepted, ListenError, Listener};
pub use resolver::{Resolved, Resolver};
pub use settings::{Keepalive, SocketSettings};
pub use stream::{Kind, ReadOutcome, Stream, WriteOutcome};
pub use sys::{
    EventFd, Thread, ipv6_supported, poll_fds, poll_fds_masked, sched_yield, set_timer_slack,
};

/// How long a thread sleeps at once when there is no descriptor left that could wake it.
pub const DEAF_SLEEP: std::time::Duration = std::time::Duration::from_millis(5);
