// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Connecting, by way of a proxy if there is one, and connecting again.

use super::reactor::{Command, Reactor, Source, Timer};
use super::session::{ConnectSpec, ConnectTo, Origin, Session, State};
use crate::abi::*;
use crate::endpoint::{ConnectEndpoint, TcpConnect, Transport};
use crate::errno::{Error, Result};
use crate::transport::host::{self, Dns};
use crate::transport::socks::Socks;
use crate::transport::{Kind, ReadOutcome, Resolved, Stream, WriteOutcome, ipc, plain, tcp};
use mio::Interest;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

impl Reactor {
    pub(super) fn connect(&mut self, spec: ConnectSpec) {
        let id = spec.id;
        let transport = spec.to.transport();
        let mut session = Session::new(
            spec.socket,
            Origin::Connected(Box::new(spec.to)),
            transport,
            spec.options,
            spec.port,
            spec.lease,
            spec.endpoint,
        );
        session.link = spec.link;
        self.sessions.insert(id, session);
        self.start_connecting(id);
    }

    pub(super) fn start_connecting(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.local = Vec::new();
        let Origin::Connected(to) = &session.origin else { return };
        let begun = match &**to {
            ConnectTo::Ipc(address) => ipc::open().map(|stream| {
                let connected = ipc::connect_stream(&stream, address);
                (stream, connected.map(|()| true))
            }),
            ConnectTo::Plain(address) => plain::open(address).map(|stream| {
                let connected = plain::connect_stream(&stream, address);
                (stream, connected)
            }),
            _ if session.options.socks_proxy.is_empty() => {
                session.proxy = None;
                self.resolve(id);
                return;
            }
            _ => match proxy(&session.options.socks_proxy) {
                Ok(proxy) => {
                    if session.transport == Transport::Tcp {
                        session.remote = proxy.endpoint(Transport::Tcp).into_bytes();
                    }
                    session.proxy = Some(Box::new(proxy));
                    self.resolve(id);
                    return;
                }
                Err(error) => Err(error),
            },
        };
        self.begun(id, begun);
    }

    /// Looks up the host to connect to, or the proxy's.
    fn resolve(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Origin::Connected(to) = &session.origin else { return };
        let target = match &session.proxy {
            Some(proxy) => Some((&proxy.host, proxy.port)),
            None => to.host_and_port(),
        };
        let Some((host, port)) = target else { return };
        let handle = self.handle.clone();
        let answer = self.resolver.resolve(
            host,
            port,
            session.options.ipv6,
            Box::new(move |addresses: Result<Vec<SocketAddr>>| {
                let first = addresses.and_then(|list| list.first().copied().ok_or(Error::INVAL));
                handle.post(Command::Resolved(id, first));
            }),
        );
        session.state = State::Resolving;
        if let Resolved::Now(address) = answer {
            self.resolved(id, address);
        }
    }

    pub(super) fn resolved(&mut self, id: u64, address: Result<SocketAddr>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !matches!(session.state, State::Resolving) {
            return;
        }
        session.state = State::Idle;
        let begun = address.and_then(|address| begin(session, address));
        self.begun(id, begun);
    }

    /// The attempt has begun: a stream, and whether it is connected already.
    fn begun(&mut self, id: u64, begun: Result<(Stream, Result<bool>)>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (stream, connected) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.connect_failed(id, error);
                return;
            }
        };
        match connected {
            Ok(true) => self.reached(id, stream),
            Ok(false) => {
                session.event(ZMQ_EVENT_CONNECT_DELAYED, libc::EINPROGRESS as u64);
                let fd = stream.fd();
                session.state = State::Connecting(stream);
                self.limit_connecting(id, false);
                self.register(fd, id, Source::Own, Interest::WRITABLE | Interest::READABLE);
            }
            Err(error) => {
                session.state = State::Connecting(stream);
                self.connect_failed(id, error);
            }
        }
    }

    /// Sets the time limit for connecting, unless it runs already. A proxy has the time of a
    /// handshake if there is no other limit.
    fn limit_connecting(&mut self, id: u64, proxying: bool) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let limit = match session.options.connect_timeout {
            ..=0 if proxying => session.options.handshake_ivl,
            limit => limit,
        };
        if let Ok(limit @ 1..) = u64::try_from(limit)
            && session.timer.is_none()
        {
            let at = self.now + Duration::from_millis(limit);
            session.timer = Some(self.timers.add(at, Timer::ConnectTimeout(id)));
        }
    }

    /// A descriptor of a session that is not in traffic became ready.
    pub(super) fn session_ready(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &session.state {
            State::Connecting(stream) => {
                let result = match stream.kind() {
                    Kind::Tcp => tcp::connect_finish(stream, &session.settings),
                    _ => plain::connect_finish(stream),
                };
                match result {
                    Ok(()) => {
                        let state = std::mem::replace(&mut session.state, State::Idle);
                        if let State::Connecting(stream) = state {
                            self.deregister(stream.fd());
                            self.reached(id, stream);
                        }
                    }
                    Err(Error::AGAIN | Error::INPROGRESS) => {}
                    Err(error) => self.connect_failed(id, error),
                }
            }
            State::Proxying(_) => self.continue_proxying(id),
            State::Negotiating(_) => self.continue_negotiation(id),
            State::Handshaking(_) => self.continue_handshake(id),
            _ => {}
        }
    }

    /// The stream is connected to the peer, or to the proxy.
    fn reached(&mut self, id: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.proxy.is_none() {
            self.connected(id, stream);
            return;
        }
        let Origin::Connected(to) = &session.origin else { return };
        let Some((host, port)) = to.host_and_port() else { return };
        let options = &session.options;
        match Socks::new(host, port, &options.socks_username, &options.socks_password) {
            Ok(socks) => {
                let fd = stream.fd();
                session.state = State::Proxying(Box::new((stream, socks)));
                self.limit_connecting(id, true);
                self.register(fd, id, Source::Own, Interest::WRITABLE | Interest::READABLE);
                self.continue_proxying(id);
            }
            Err(error) => {
                session.state = State::Connecting(stream);
                self.connect_failed(id, error);
            }
        }
    }

    fn continue_proxying(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Proxying(proxying) = &mut session.state else { return };
        let (stream, socks) = &mut **proxying;
        match converse(stream, socks) {
            Ok(false) => {}
            Ok(true) => {
                let state = std::mem::replace(&mut session.state, State::Idle);
                if let State::Proxying(proxying) = state {
                    self.deregister(proxying.0.fd());
                    self.connected(id, proxying.0);
                }
            }
            Err(error) => self.connect_failed(id, error),
        }
    }

    fn connected(&mut self, id: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.timers.cancel(session.timer.take());
        let stream = match &session.origin {
            Origin::Connected(to) => layered(stream, to),
            Origin::Accepted(_) | Origin::Datagrams => Ok(stream),
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                self.connect_failed(id, error);
                return;
            }
        };
        session.attempts = 0;
        session.name_ends(&stream, "");
        session.event(ZMQ_EVENT_CONNECTED, stream.fd() as u64);
        self.start_engine(id, stream);
    }

    pub(super) fn connect_failed(&mut self, id: u64, error: Error) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let refused = error == Error::CONNREFUSED;
        let can_refuse =
            matches!(session.transport, Transport::Tcp | Transport::Tls | Transport::Vsock)
                && session.proxy.is_none();
        let fd = match &session.state {
            State::Connecting(stream) => Some(stream.fd()),
            State::Proxying(proxying) => Some(proxying.0.fd()),
            _ => None,
        };
        if let Some(fd) = fd {
            session.event(ZMQ_EVENT_CLOSED, fd as u64);
        }
        let Some(session) = self.disconnect(id, None) else { return };
        let stop = session.options.reconnect_stop & ZMQ_RECONNECT_STOP_CONN_REFUSED != 0;
        if refused && stop && can_refuse {
            session.port.endpoint_gone(id);
            self.end_session(id);
            return;
        }
        if session.options.reconnect_ivl > 0 {
            self.schedule_connect(id);
        }
    }

    /// Arms the timer for the next attempt.
    pub(super) fn schedule_connect(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let interval = session.options.reconnect_ivl.max(1) as u64;
        let maximum = session.options.reconnect_ivl_max.max(0) as u64;
        let wait = if maximum > 0 {
            let doubled = interval.saturating_mul(1u64 << session.attempts.min(32));
            session.attempts = session.attempts.saturating_add(1);
            doubled.min(maximum)
        } else {
            interval + random() % interval
        };
        session.event(ZMQ_EVENT_CONNECT_RETRIED, wait);
        let at = self.now + Duration::from_millis(wait);
        session.timer = Some(self.timers.add(at, Timer::Connect(id)));
    }
}

/// Starts the attempt on a resolved address: the stream, and what came of connecting it.
fn begin(session: &Session, address: SocketAddr) -> Result<(Stream, Result<bool>)> {
    let Origin::Connected(to) = &session.origin else { return Err(Error::INVAL) };
    let source = match &session.proxy {
        Some(proxy) => proxy.source.as_ref(),
        None => to.source(),
    };
    let source = source.map(|source| {
        host::resolve_local(&source.host, source.port, session.options.ipv6, Dns::Forbidden)
    });
    let source = source.transpose()?;
    let stream = tcp::open(address, &session.settings)?;
    let connected = tcp::connect_stream(&stream, address, source, &session.settings);
    Ok((stream, connected))
}

/// Where the proxy is, by ZMQ_SOCKS_PROXY.
fn proxy(text: &[u8]) -> Result<TcpConnect> {
    match ConnectEndpoint::parse(Transport::Tcp, text)? {
        ConnectEndpoint::Tcp(proxy) => Ok(proxy),
        _ => Err(Error::INVAL),
    }
}

/// Goes on talking to a proxy. True: it has connected. False: wait for the socket to become
/// readable, or writable.
fn converse(stream: &Stream, socks: &mut Socks) -> Result<bool> {
    let mut buffer = [0; 512];
    loop {
        while !socks.output().is_empty() {
            match stream.write_one(socks.output())? {
                WriteOutcome::Wrote(count) => socks.advance_output(count),
                WriteOutcome::WouldBlock => return Ok(false),
            }
        }
        if socks.is_done() {
            return Ok(true);
        }
        let wanted = socks.wanted().min(buffer.len());
        match stream.read_into(&mut buffer[..wanted])? {
            ReadOutcome::Read(count) => socks.handle_input(&buffer[..count])?,
            ReadOutcome::WouldBlock => return Ok(false),
            ReadOutcome::Closed => return Err(Error::PIPE),
        }
    }
}

/// The layer that the endpoint asks for, on a stream just connected.
fn layered(stream: Stream, to: &ConnectTo) -> Result<Stream> {
    match to.tls() {
        Some(tls) => Ok(stream.with_tls(tls.start()?)),
        None => Ok(stream),
    }
}

/// A number nobody can foresee, from the standard library's source of randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
