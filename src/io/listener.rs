// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Listeners: accepting connections.

use super::reactor::{Reactor, Source, Timer};
use super::session::{Lease, ListenSpec, Origin, Session};
use super::{Event, SocketPort, next_id};
use crate::abi::*;
use crate::options::Options;
use crate::transport::{Accept, Accepted, Kind, Listener};
use mio::Interest;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before accepting again when descriptors have run out.
const EXHAUSTED_REST: Duration = Duration::from_millis(100);

pub(super) struct Listening {
    pub(super) socket: u64,
    pub(super) children: Vec<u64>,
    listener: Listener,
    options: Arc<Options>,
    port: Arc<dyn SocketPort>,
    lease: Lease,
    /// Descriptors have run out, and a timer is set. Whoever knocks meanwhile is not looked at: with
    /// a timer for each, the rests would become none.
    resting: bool,
}

impl Listening {
    fn event(&self, event: i32, value: u64) {
        self.port.event(Event {
            event: event as u64,
            values: vec![value],
            local: self.listener.endpoint().to_vec(),
            remote: Vec::new(),
            bound: true,
        });
    }

    /// Whether the accept filters let this peer in.
    fn admits(&self, accepted: &Accepted) -> bool {
        match accepted.stream.kind() {
            Kind::Tcp | Kind::Tls => {
                let filters = &self.options.tcp_accept_filters;
                filters.is_empty()
                    || accepted
                        .peer
                        .is_some_and(|peer| filters.iter().any(|filter| filter.matches(&peer)))
            }
            Kind::Ipc => {
                let filters = &self.options.ipc_filters;
                filters.is_empty()
                    || accepted
                        .stream
                        .credentials()
                        .is_ok_and(|credentials| credentials.pass(filters))
            }
            Kind::Vsock | Kind::Tipc => true,
            Kind::Udp => false,
        }
    }
}

impl Reactor {
    pub(super) fn listen(&mut self, spec: ListenSpec) {
        let id = spec.endpoint;
        let fd = spec.listener.fd();
        let listening = Listening {
            socket: spec.socket,
            children: Vec::new(),
            listener: spec.listener,
            options: spec.options,
            port: spec.port,
            lease: spec.lease,
            resting: false,
        };
        self.listeners.insert(id, listening);
        self.register(fd, id, Source::Own, Interest::READABLE);
        self.accept(id);
    }

    /// The rest after descriptors ran out is over.
    pub(super) fn accept_again(&mut self, id: u64) {
        if let Some(listening) = self.listeners.get_mut(&id) {
            listening.resting = false;
            self.accept(id);
        }
    }

    /// Accepts everybody who waits.
    pub(super) fn accept(&mut self, id: u64) {
        if self.listeners.get(&id).is_some_and(|listening| listening.resting) {
            return;
        }
        loop {
            let Some(listening) = self.listeners.get_mut(&id) else { return };
            match listening.listener.accept() {
                Ok(Accept::Accepted(accepted)) => {
                    if !listening.admits(&accepted) {
                        listening.event(ZMQ_EVENT_ACCEPT_FAILED, libc::EACCES as u64);
                        continue;
                    }
                    let session_id = next_id();
                    let mut session = Session::new(
                        listening.socket,
                        Origin::Accepted(id),
                        listening.listener.transport(),
                        listening.options.clone(),
                        listening.port.clone(),
                        listening.lease.clone(),
                        listening.listener.endpoint().to_vec(),
                    );
                    session.name_ends(&accepted.stream, listening.listener.path());
                    listening.children.push(session_id);
                    listening.port.event(Event {
                        event: ZMQ_EVENT_ACCEPTED as u64,
                        values: vec![accepted.stream.fd() as u64],
                        local: session.local.clone(),
                        remote: session.remote.clone(),
                        bound: true,
                    });
                    self.sessions.insert(session_id, session);
                    self.handle.add_load(1);
                    self.start_engine(session_id, accepted.stream);
                }
                Ok(Accept::WouldBlock) => return,
                Ok(Accept::Lost(error)) => {
                    listening.event(ZMQ_EVENT_ACCEPT_FAILED, error.raw() as u64);
                }
                Ok(Accept::Exhausted(error)) => {
                    listening.resting = true;
                    listening.event(ZMQ_EVENT_ACCEPT_FAILED, error.raw() as u64);
                    self.timers.add(self.now + EXHAUSTED_REST, Timer::Accept(id));
                    return;
                }
                Err(error) => {
                    listening.event(ZMQ_EVENT_ACCEPT_FAILED, error.raw() as u64);
                    return;
                }
            }
        }
    }

    pub(super) fn close_listener(&mut self, listening: Listening) {
        let fd = listening.listener.fd();
        self.deregister(fd);
        let Listening { listener, port, lease, .. } = listening;
        let local = listener.endpoint().to_vec();
        let told = listener.is_stopped();
        let (event, value) = match listener.close() {
            Ok(()) => (ZMQ_EVENT_CLOSED, fd as u64),
            Err(error) => (ZMQ_EVENT_CLOSE_FAILED, error.raw() as u64),
        };
        if !told {
            port.event(Event {
                event: event as u64,
                values: vec![value],
                local,
                remote: Vec::new(),
                bound: true,
            });
        }
        self.handle.add_load(-1);
        drop(lease);
    }
}
