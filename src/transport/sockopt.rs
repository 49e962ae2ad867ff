// SPDX-License-Identifier: MPL-2.0
//! Which kernel socket options are set when. See socket(7), ip(7), ipv6(7), tcp(7).
//!
//! Some belong to the socket before it binds or connects, some to a connection once it is there:
//! a `TCP_USER_TIMEOUT` set early would also cut the connect itself short.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::{SocketSettings, sys};
use crate::errno::{Error, Result};

/// A fresh tcp socket of `addr`'s family, with what has to be set before bind or connect.
pub(super) fn open_tcp(addr: &SocketAddr, settings: &SocketSettings) -> Result<Socket> {
    let domain = Domain::for_address(*addr);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    if addr.ip().to_canonical().is_loopback() {
        // Nothing is congested within one machine, and an algorithm that paces what it sends (BBR)
        // only wakes up needlessly. Every Linux has this one, and lets everybody choose it. Accepted
        // connections inherit it.
        let _ = socket.set_tcp_congestion(b"reno");
    }
    prepare(&socket, settings)?;
    Ok(socket)
}

/// What any socket of IP gets before bind or connect.
pub(super) fn prepare(socket: &Socket, settings: &SocketSettings) -> Result<()> {
    let fd = socket.as_fd();
    mark_traffic(fd, settings)?;
    if !settings.bind_to_device.is_empty() {
        sys::bind_to_device(fd, &settings.bind_to_device)?;
    }
    // Sizes and busy polling are wishes: a system that refuses them still has a connection.
    if let Some(size) = settings.sndbuf {
        let _ = socket.set_send_buffer_size(size as usize);
    }
    if let Some(size) = settings.rcvbuf {
        let _ = socket.set_recv_buffer_size(size as usize);
    }
    if settings.busy_poll > 0 {
        let _ = sys::set_busy_poll(fd, settings.busy_poll);
    }
    Ok(())
}

/// `ZMQ_TOS` and `ZMQ_PRIORITY`; accepted connections do not inherit them everywhere.
pub(super) fn mark_traffic(fd: BorrowedFd<'_>, settings: &SocketSettings) -> Result<()> {
    if settings.tos != 0 {
        let tos = int(settings.tos);
        sys::set_option(fd, libc::IPPROTO_IP, libc::IP_TOS, tos)?;
        match sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos).map_err(Error::raw) {
            // An IPv4 socket, or a value beyond IPv6's eight bits.
            Ok(()) | Err(libc::ENOPROTOOPT | libc::EINVAL) => (),
            Err(errno) => return Err(Error::from_raw(errno)),
        }
    }
    if settings.priority != 0 {
        sys::set_priority(fd, int(settings.priority))?;
    }
    Ok(())
}

/// What a tcp connection gets once it is established, accepted or connected.
pub(super) fn tune_tcp(socket: &Socket, settings: &SocketSettings) -> Result<()> {
    // Messages are batched above; waiting for more in the kernel would only add latency.
    socket.set_tcp_nodelay(true)?;
    let fd = socket.as_fd();
    if let Some(bytes) = settings.unsent {
        let _ = sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, int(bytes));
    }
    let keepalive = settings.keepalive;
    if let Some(on) = keepalive.on {
        socket.set_keepalive(on)?;
        for (name, value) in [
            (libc::TCP_KEEPCNT, keepalive.cnt),
            (libc::TCP_KEEPIDLE, keepalive.idle),
            (libc::TCP_KEEPINTVL, keepalive.intvl),
        ] {
            if let Some(value) = value {
                sys::set_option(fd, libc::IPPROTO_TCP, name, int(value))?;
            }
        }
    }
    if settings.maxrt > 0 {
        sys::set_user_timeout(fd, int(settings.maxrt))?;
    }
    Ok(())
}

fn int(value: u32) -> libc::c_int {
    value.try_into().unwrap_or(libc::c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Keepalive;
    use super::*;
    use std::time::Duration;

    #[test]
    fn settings_reach_the_kernel() {
        let settings = SocketSettings {
            sndbuf: Some(8192),
            rcvbuf: Some(10_000),
            tos: 0x28,
            priority: 4,
            keepalive: Keepalive { on: Some(true), cnt: Some(3), idle: Some(50), intvl: Some(7) },
            maxrt: 1500,
            ..SocketSettings::default()
        };
        let socket = open_tcp(&"127.0.0.1:0".parse().unwrap(), &settings).unwrap();
        // The kernel doubles what it is asked for.
        assert_eq!(socket.send_buffer_size().unwrap(), 16384);
        assert_eq!(socket.recv_buffer_size().unwrap(), 20_000);
        assert_eq!(socket.tos_v4().unwrap(), 0x28);
        assert!(socket.nonblocking().unwrap() && sys::is_close_on_exec(socket.as_fd()));
        assert!(!socket.keepalive().unwrap());

        tune_tcp(&socket, &settings).unwrap();
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(50));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn ipv6_sockets_take_ipv4_too() {
        if !sys::ipv6_supported() {
            return;
        }
        let settings = SocketSettings { tos: 8, ..SocketSettings::default() };
        let socket = open_tcp(&"[::1]:0".parse().unwrap(), &settings).unwrap();
        assert!(!socket.only_v6().unwrap());
        assert_eq!(socket.tclass_v6().unwrap(), 8);
    }

    #[test]
    fn a_device_there_is_none_of() {
        let settings =
            SocketSettings { bind_to_device: b"nosuch0".into(), ..SocketSettings::default() };
        let error = open_tcp(&"127.0.0.1:0".parse().unwrap(), &settings).unwrap_err();
        assert!([Error::NODEV, Error::PERM].contains(&error));
    }
}
