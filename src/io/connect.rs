// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Connecting, and connecting again.

use super::reactor::{Command, Reactor, Source, Timer};
use super::session::{ConnectSpec, ConnectTo, Origin, Session, State};
use crate::abi::*;
use crate::endpoint::Transport;
use crate::errno::{Error, Result};
use crate::transport::host::{self, Dns};
use crate::transport::{Resolved, Stream, ipc, tcp};
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
        session.remote = session.endpoint.clone();
        session.local = Vec::new();
        let Origin::Connected(to) = &session.origin else { return };
        match &**to {
            ConnectTo::Ipc(address) => match ipc::open() {
                Ok(stream) => match ipc::connect_stream(&stream, address) {
                    Ok(()) => self.connected(id, stream),
                    Err(error) => {
                        session.state = State::Connecting(stream);
                        self.connect_failed(id, error);
                    }
                },
                Err(error) => self.connect_failed(id, error),
            },
            to => {
                let Some((host, port)) = to.host_and_port() else { return };
                let handle = self.handle.clone();
                let answer = self.resolver.resolve(
                    host,
                    port,
                    session.options.ipv6,
                    Box::new(move |addresses: Result<Vec<SocketAddr>>| {
                        let first =
                            addresses.and_then(|list| list.first().copied().ok_or(Error::INVAL));
                        handle.post(Command::Resolved(id, first));
                    }),
                );
                session.state = State::Resolving;
                if let Resolved::Now(address) = answer {
                    self.resolved(id, address);
                }
            }
        }
    }

    pub(super) fn resolved(&mut self, id: u64, address: Result<SocketAddr>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !matches!(session.state, State::Resolving) {
            return;
        }
        session.state = State::Idle;
        let (stream, connected) = match address.and_then(|address| begin(session, address)) {
            Ok(begun) => begun,
            Err(error) => {
                self.connect_failed(id, error);
                return;
            }
        };
        match connected {
            Ok(true) => self.connected(id, stream),
            Ok(false) => {
                session.event(ZMQ_EVENT_CONNECT_DELAYED, libc::EINPROGRESS as u64);
                let fd = stream.fd();
                session.state = State::Connecting(stream);
                let timeout = session.options.connect_timeout;
                if let Ok(timeout @ 1..) = u64::try_from(timeout) {
                    let at = self.now + Duration::from_millis(timeout);
                    session.timer = Some(self.timers.add(at, Timer::ConnectTimeout(id)));
                }
                self.register(fd, id, Source::Own, Interest::WRITABLE | Interest::READABLE);
            }
            Err(error) => {
                session.state = State::Connecting(stream);
                self.connect_failed(id, error);
            }
        }
    }

    /// A descriptor of a session that is not in traffic became ready.
    pub(super) fn session_ready(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &session.state {
            State::Connecting(stream) => {
                let result = tcp::connect_finish(stream, &session.settings);
                match result {
                    Ok(()) => {
                        let state = std::mem::replace(&mut session.state, State::Idle);
                        self.timers.cancel(session.timer.take());
                        if let State::Connecting(stream) = state {
                            self.deregister(stream.fd());
                            self.connected(id, stream);
                        }
                    }
                    Err(Error::AGAIN | Error::INPROGRESS) => {}
                    Err(error) => self.connect_failed(id, error),
                }
            }
            State::Negotiating(_) => self.continue_negotiation(id),
            State::Handshaking(_) => self.continue_handshake(id),
            _ => {}
        }
    }

    fn connected(&mut self, id: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let stream = match &session.origin {
            Origin::Connected(to) => layered(stream, to),
            Origin::Accepted(_) => Ok(stream),
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
        let is_tcp = matches!(session.transport, Transport::Tcp | Transport::Tls);
        if let State::Connecting(stream) = &session.state {
            let fd = stream.fd();
            session.event(ZMQ_EVENT_CLOSED, fd as u64);
        }
        let Some(session) = self.disconnect(id, None) else { return };
        let stop = session.options.reconnect_stop & ZMQ_RECONNECT_STOP_CONN_REFUSED != 0;
        if refused && stop && is_tcp {
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
    let source = to.source().map(|source| {
        host::resolve_local(&source.host, source.port, session.options.ipv6, Dns::Forbidden)
    });
    let source = source.transpose()?;
    let stream = tcp::open(address, &session.settings)?;
    let connected = tcp::connect_stream(&stream, address, source, &session.settings);
    Ok((stream, connected))
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
