// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Sessions: one connection at a time between a socket's pipe and a peer, from the first attempt to
//! the end of its linger time.

use super::handshake::Handshaking;
use super::reactor::{IoHandle, Reactor, Source, Timer};
use super::timers::TimerId;
use super::{Event, SocketPort};
use crate::abi::*;
use crate::endpoint::{Host, IpcAddress, TcpConnect, TcpSource, Transport, WsConnect};
use crate::engine::{Failure, FailureClass, Home, Link, Owner, Rx, RxRules};
use crate::errno::{Error, Result};
use crate::options::Options;
use crate::pattern::supports_conflate;
use crate::pipe::rope::rope;
use crate::pipe::{Latest, Pipe, UNLIMITED};
use crate::transport::socks::Socks;
use crate::transport::tls::ClientTls;
use crate::transport::{Listener, SocketSettings, Stream, host, plain};
use crate::zmtp::error::HandshakeEvent;
use crate::zmtp::heartbeat::{Heartbeat, HeartbeatAction};
use crate::zmtp::zws::CloseCode;
use mio::Interest;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a session or listener shares with its context: while it exists, the context cannot end.
pub type Lease = Arc<dyn Send + Sync>;

/// A listener to be run by an I/O thread.
pub struct ListenSpec {
    /// The endpoint's number.
    pub endpoint: u64,
    /// The socket's number.
    pub socket: u64,
    pub listener: Listener,
    pub options: Arc<Options>,
    pub port: Arc<dyn SocketPort>,
    pub lease: Lease,
}

/// Where a session connects to.
pub enum ConnectTo {
    Tcp(TcpConnect),
    Tls(TcpConnect, ClientTls),
    Ipc(IpcAddress),
    Ws(WsConnect),
    Wss(WsConnect, ClientTls),
    /// vsock or tipc.
    Plain(plain::Address),
}

impl ConnectTo {
    pub(super) fn transport(&self) -> Transport {
        match self {
            ConnectTo::Tcp(_) => Transport::Tcp,
            ConnectTo::Tls(..) => Transport::Tls,
            ConnectTo::Ipc(_) => Transport::Ipc,
            ConnectTo::Ws(_) => Transport::Ws,
            ConnectTo::Wss(..) => Transport::Wss,
            ConnectTo::Plain(plain::Address::Vsock(_)) => Transport::Vsock,
            ConnectTo::Plain(plain::Address::Tipc(_)) => Transport::Tipc,
        }
    }

    /// Host and port of tcp and of what runs over it.
    pub(super) fn host_and_port(&self) -> Option<(&Host, u16)> {
        match self {
            ConnectTo::Tcp(address) | ConnectTo::Tls(address, _) => {
                Some((&address.host, address.port))
            }
            ConnectTo::Ws(address) | ConnectTo::Wss(address, _) => {
                Some((&address.host, address.port))
            }
            ConnectTo::Ipc(_) | ConnectTo::Plain(_) => None,
        }
    }

    /// Where to connect from.
    pub(super) fn source(&self) -> Option<&TcpSource> {
        match self {
            ConnectTo::Tcp(address) | ConnectTo::Tls(address, _) => address.source.as_ref(),
            _ => None,
        }
    }

    /// Of ws and wss.
    pub(super) fn websocket(&self) -> Option<&WsConnect> {
        match self {
            ConnectTo::Ws(address) | ConnectTo::Wss(address, _) => Some(address),
            _ => None,
        }
    }

    /// What lies between the protocol and tcp.
    pub(super) fn tls(&self) -> Option<&ClientTls> {
        match self {
            ConnectTo::Tls(_, tls) | ConnectTo::Wss(_, tls) => Some(tls),
            _ => None,
        }
    }
}

/// A session to be run by an I/O thread.
pub struct ConnectSpec {
    /// The session's number, which is its endpoint's, too.
    pub id: u64,
    pub socket: u64,
    pub to: ConnectTo,
    /// The endpoint as the user gave it.
    pub endpoint: Vec<u8>,
    pub options: Arc<Options>,
    pub port: Arc<dyn SocketPort>,
    pub lease: Lease,
    /// The link of the pipe the socket has already; `None` with ZMQ_IMMEDIATE.
    pub link: Option<Arc<Link>>,
}

/// Which side made the connection.
pub(super) enum Origin {
    Connected(Box<ConnectTo>),
    /// By the listener of this endpoint.
    Accepted(u64),
    /// There is none: datagrams.
    Datagrams,
}

pub(super) enum State {
    /// Waiting for the time to connect, or for ever.
    Idle,
    Resolving,
    Connecting(Stream),
    /// Talking to the proxy that is to connect.
    Proxying(Box<(Stream, Socks)>),
    /// Making the stream ready for its first byte, see [`Stream::negotiate`].
    Negotiating(Stream),
    Handshaking(Box<Handshaking>),
    Traffic(Arc<Stream>),
}

pub(super) struct Session {
    pub(super) socket: u64,
    pub(super) origin: Origin,
    pub(super) transport: Transport,
    pub(super) options: Arc<Options>,
    pub(super) settings: SocketSettings,
    pub(super) port: Arc<dyn SocketPort>,
    _lease: Lease,
    pub(super) link: Option<Arc<Link>>,
    pub(super) state: State,
    /// Where and how the proxy is reached, if there is one (ZMQ_SOCKS_PROXY).
    pub(super) proxy: Option<Box<TcpConnect>>,
    /// Both ends of the present connection, for the monitor.
    pub(super) local: Vec<u8>,
    /// Of a connecting session the text the user gave, and once a connection of tcp or tls was lost
    /// the address that it had come to.
    pub(super) remote: Vec<u8>,
    /// The address that the present connection, or the last one, came to.
    reached: Vec<u8>,
    /// Attempts since the last successful one.
    pub(super) attempts: u32,
    pub(super) connected_before: bool,
    /// The present connection has no security mechanism, not even NULL.
    pub(super) without_mechanism: bool,
    pub(super) timer: Option<TimerId>,
    heartbeat: Option<Heartbeat>,
    heartbeat_timer: Option<TimerId>,
    traffic_seen: u64,
    output_watched: bool,
    /// Nothing can be written any more to the present connection.
    output_failed: bool,
    /// It is among the reactor's promises.
    pub(super) promised: bool,
    /// The socket is done with it; it lives on until its messages are sent or the time is over.
    closing: bool,
    linger_timer: Option<TimerId>,
}

impl Session {
    pub(super) fn new(
        socket: u64,
        origin: Origin,
        transport: Transport,
        options: Arc<Options>,
        port: Arc<dyn SocketPort>,
        lease: Lease,
        endpoint: Vec<u8>,
    ) -> Session {
        Session {
            socket,
            origin,
            transport,
            settings: SocketSettings::from(&*options),
            options,
            port,
            _lease: lease,
            link: None,
            state: State::Idle,
            proxy: None,
            local: Vec::new(),
            remote: endpoint,
            reached: Vec::new(),
            attempts: 0,
            connected_before: false,
            without_mechanism: false,
            timer: None,
            heartbeat: None,
            heartbeat_timer: None,
            traffic_seen: 0,
            output_watched: false,
            output_failed: false,
            promised: false,
            closing: false,
            linger_timer: None,
        }
    }

    pub(super) fn is_connecting_side(&self) -> bool {
        matches!(self.origin, Origin::Connected(_))
    }

    /// Takes down both ends of a connection, for the monitor. `path` ends their texts.
    pub(super) fn name_ends(&mut self, stream: &Stream, path: &str) {
        if !matches!(self.transport, Transport::Ws | Transport::Wss) {
            self.local = stream.local_endpoint();
            if !self.is_connecting_side() {
                self.remote = stream.remote_endpoint();
            } else if matches!(self.transport, Transport::Tcp | Transport::Tls)
                && self.proxy.is_none()
            {
                self.reached = stream.remote_endpoint();
            }
            return;
        }
        let text = |address: Result<SocketAddr>| match address {
            Ok(address) => (host::endpoint_text(self.transport, &address) + path).into_bytes(),
            Err(_) => Vec::new(),
        };
        let (local, remote) = (text(stream.local_addr()), text(stream.peer_addr()));
        self.local = local;
        // A connecting session's is the user's text.
        if !self.is_connecting_side() {
            self.remote = remote;
        }
    }

    /// Tells the monitor how the security mechanism failed.
    pub(super) fn handshake_event(&self, event: HandshakeEvent) {
        match event {
            HandshakeEvent::None => {}
            HandshakeEvent::NoDetail(errno) => {
                self.event(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.raw() as u64);
            }
            HandshakeEvent::Protocol(code) => {
                self.event(ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, u64::from(code.code()));
            }
            HandshakeEvent::Auth(status) => {
                self.event(ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, u64::from(status));
            }
        }
    }

    pub(super) fn event(&self, event: i32, value: u64) {
        if matches!(self.origin, Origin::Datagrams) {
            return;
        }
        self.port.event(Event {
            event: event as u64,
            values: vec![value],
            local: self.local.clone(),
            remote: self.remote.clone(),
            bound: !self.is_connecting_side(),
        });
    }
}

/// The pipe of a network connection and the link behind it. `id` is the session's number.
pub fn network_pipe(
    id: u64,
    options: &Options,
    home: Arc<IoHandle>,
    port: Arc<dyn SocketPort>,
) -> Result<(Pipe, Arc<Link>)> {
    let (out_writer, out_reader) = rope()?;
    let (in_writer, in_reader) = rope()?;
    let receive_limit = limit(options.rcvhwm);
    let rules = RxRules {
        limit: receive_limit,
        max_msg_size: options.maxmsgsize,
        subscriptions: matches!(options.socket_type, ZMQ_PUB | ZMQ_XPUB),
        replies_only: options.socket_type == ZMQ_REQ,
        groups: options.socket_type == ZMQ_RADIO,
        grouped_only: options.socket_type == ZMQ_DISH,
        batch: options.in_batch(),
    };
    let (sends, receives) = supports_conflate(options.socket_type);
    let latest_out = (options.conflate && sends).then(Latest::default);
    let latest_in = (options.conflate && receives).then(Latest::default);
    let rx = match &latest_in {
        Some(latest) => Rx::conflating(latest.clone(), rules)?,
        None => Rx::new(in_writer, rules),
    };
    let home: Arc<dyn Home> = home;
    let owner: Arc<dyn Owner> = port;
    let out = (out_reader, latest_out.clone());
    let link = Arc::new(Link::new(id as usize, out, rx, options.out_batch(), home, owner));
    let mut pipe =
        Pipe::new(out_writer, in_reader, link.clone(), limit(options.sndhwm), receive_limit);
    pipe.conflate(latest_out, latest_in);
    Ok((pipe, link))
}

/// A high-water mark as the pipe counts it.
pub fn limit(hwm: i32) -> u64 {
    match u64::try_from(hwm) {
        Ok(0) | Err(_) => UNLIMITED,
        Ok(hwm) => hwm,
    }
}

impl Reactor {
    /// A write failed during traffic. What the peer had sent before is still to be read, and then
    /// reading tells of the end. The connection ends here only if nobody reads any more, or reading
    /// would not come upon this error.
    pub(super) fn write_failed(&mut self, id: u64, error: Error) {
        self.unwatch_output(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.output_failed = true;
        let ends_reading = matches!(error, Error::PIPE | Error::CONNRESET | Error::TIMEDOUT);
        if session.closing || !ends_reading {
            self.traffic_failed(id, Failure::connection(error));
        }
    }

    /// The connection failed during traffic.
    pub(super) fn traffic_failed(&mut self, id: u64, failure: Failure) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !matches!(session.state, State::Traffic(_)) {
            return;
        }
        if matches!(session.origin, Origin::Datagrams) {
            self.end_session(id);
            return;
        }
        session.handshake_event(failure.event);
        if session.without_mechanism && failure.class != FailureClass::Protocol {
            let errno = failure.error.raw() as u64;
            session.event(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno);
        }
        self.connection_lost(id, failure.class);
    }

    /// Reports the loss of the connection and decides how to go on.
    pub(super) fn connection_lost(&mut self, id: u64, class: FailureClass) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let fd = match &session.state {
            State::Traffic(stream) => Some(stream.fd()),
            State::Negotiating(stream) => Some(stream.fd()),
            State::Handshaking(handshaking) => Some(handshaking.stream.fd()),
            _ => None,
        };
        let self_connected = match &session.state {
            State::Traffic(stream) => stream.is_connected_to_itself(),
            State::Negotiating(stream) => stream.is_connected_to_itself(),
            State::Handshaking(handshaking) => handshaking.stream.is_connected_to_itself(),
            _ => false,
        };
        let notify = match &session.state {
            State::Traffic(_) if session.options.raw_socket => session.options.raw_notify,
            State::Traffic(_) => session.options.router_notify & ZMQ_NOTIFY_DISCONNECT != 0,
            _ => false,
        };
        let in_traffic = matches!(session.state, State::Traffic(_));
        let Some(session) = self.disconnect(id, None) else { return };
        if let Some(fd) = fd {
            // Not before: who sends when it hears of this means the next connection.
            session.event(ZMQ_EVENT_DISCONNECTED, fd as u64);
        }
        if !session.reached.is_empty() {
            session.remote.clone_from(&session.reached);
        }
        let connecting = session.is_connecting_side();
        if in_traffic && let Some(link) = &session.link {
            if notify {
                link.inject(0, b"");
            }
            let loss = match connecting {
                true => session.options.hiccup_to_receive(),
                false => session.options.disconnect_to_receive(),
            };
            if let Some(loss) = loss {
                link.inject(0, loss);
            }
        }
        let again = connecting && (class != FailureClass::Protocol || self_connected);
        if !again {
            self.end_session(id);
            return;
        }
        if session.closing && !session.link.as_ref().is_some_and(|link| link.has_waiting()) {
            self.end_session(id);
            return;
        }
        if session.options.reconnect_ivl <= 0 {
            session.port.endpoint_gone(id);
            self.end_session(id);
            return;
        }
        if session.options.immediate
            && let Some(link) = session.link.take()
        {
            link.close_inbound();
            session.port.pipe_ended(link.pipe());
        }
        self.schedule_connect(id);
    }

    /// Takes the present stream away from the session, whatever it was doing. With `farewell` the
    /// peer is told, where there is a word for it.
    pub(super) fn disconnect(
        &mut self,
        id: u64,
        farewell: Option<CloseCode>,
    ) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&id)?;
        let state = std::mem::replace(&mut session.state, State::Idle);
        self.timers.cancel(session.timer.take());
        self.timers.cancel(session.heartbeat_timer.take());
        session.heartbeat = None;
        session.output_failed = false;
        let watched = std::mem::replace(&mut session.output_watched, false);
        let link = session.link.clone();
        let websocket = matches!(session.transport, Transport::Ws | Transport::Wss);
        match state {
            State::Connecting(stream) | State::Negotiating(stream) => {
                self.deregister(stream.fd());
            }
            State::Proxying(proxying) => self.deregister(proxying.0.fd()),
            State::Handshaking(mut handshaking) => {
                self.deregister(handshaking.stream.fd());
                if let Some(code) = farewell {
                    handshaking.say_close(code);
                }
                if websocket {
                    self.leave(Arc::new(handshaking.stream));
                }
            }
            State::Traffic(stream) => {
                if watched {
                    self.deregister(stream.fd());
                }
                if let Some(link) = link {
                    if let Some((set, _)) = link.place() {
                        set.remove(&link, stream.fd());
                    }
                    if let Some(code) = farewell {
                        link.say_close(code);
                    }
                    link.detach();
                }
                if websocket {
                    self.leave(stream);
                }
            }
            State::Idle | State::Resolving => {}
        }
        self.sessions.get_mut(&id)
    }

    /// The end of a session: its pipe ends with it.
    pub(super) fn end_session(&mut self, id: u64) {
        self.disconnect(id, Some(CloseCode::NORMAL));
        let Some(session) = self.sessions.remove(&id) else { return };
        self.timers.cancel(session.linger_timer);
        if let Some(link) = &session.link {
            link.close_inbound();
            session.port.pipe_ended(link.pipe());
        }
        if let Origin::Accepted(listener) = session.origin
            && let Some(listening) = self.listeners.get_mut(&listener)
        {
            listening.children.retain(|child| *child != id);
        }
        self.handle.add_load(-1);
    }

    /// The handshake is over, the stream belongs to the link now.
    pub(super) fn begin_heartbeat(&mut self, id: u64, heartbeat: Option<Heartbeat>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.heartbeat = heartbeat;
        if let Some(heartbeat) = &mut session.heartbeat {
            heartbeat.on_established(now);
        }
        session.traffic_seen = session.link.as_ref().map_or(0, |link| link.traffic());
        self.arm_heartbeat(id);
    }

    fn arm_heartbeat(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.timers.cancel(session.heartbeat_timer.take());
        if let Some(at) = session.heartbeat.as_ref().and_then(Heartbeat::poll_timeout) {
            session.heartbeat_timer = Some(self.timers.add(at, Timer::Heartbeat(id)));
        }
    }

    fn heartbeat_due(&mut self, id: u64) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.heartbeat_timer = None;
        let (Some(heartbeat), Some(link)) = (&mut session.heartbeat, &session.link) else { return };
        let traffic = link.traffic();
        if traffic != session.traffic_seen {
            session.traffic_seen = traffic;
            heartbeat.on_traffic();
        }
        match heartbeat.handle_timeout(now) {
            HeartbeatAction::None => {}
            HeartbeatAction::SendPing => {
                let mut frame = Vec::new();
                heartbeat.ping().encode_frame(&mut frame);
                link.send_command(&frame);
            }
            HeartbeatAction::Expired => {
                self.connection_lost(id, FailureClass::Timeout);
                return;
            }
        }
        self.arm_heartbeat(id);
    }

    /// A PING has come; what came after it counts as later traffic.
    pub(super) fn ping_ttl(&mut self, id: u64, deciseconds: u16, traffic: u64) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(heartbeat) = &mut session.heartbeat else { return };
        session.traffic_seen = traffic;
        heartbeat.on_traffic();
        heartbeat.on_ping(now, deciseconds);
        self.arm_heartbeat(id);
    }

    pub(super) fn handle_timer(&mut self, timer_id: TimerId, timer: Timer) {
        match timer {
            Timer::Connect(id) => {
                if self.forget_timer(id, timer_id) {
                    self.start_connecting(id);
                }
            }
            Timer::ConnectTimeout(id) => {
                if self.forget_timer(id, timer_id) {
                    self.connect_failed(id, Error::TIMEDOUT);
                }
            }
            Timer::Handshake(id) => {
                if self.forget_timer(id, timer_id) {
                    self.handshake_failed(id, Failure::timeout());
                }
            }
            Timer::Heartbeat(id) => self.heartbeat_due(id),
            Timer::Linger(id) => self.end_session(id),
            Timer::Leave(id) => self.end_leaving(id),
            Timer::Accept(id) => self.accept_again(id),
        }
    }

    fn forget_timer(&mut self, id: u64, timer: TimerId) -> bool {
        match self.sessions.get_mut(&id) {
            Some(session) if session.timer == Some(timer) => {
                session.timer = None;
                true
            }
            _ => false,
        }
    }

    // Output of established connections.

    pub(super) fn watch_output(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Traffic(stream) = &session.state else { return };
        if !session.output_watched {
            session.output_watched = true;
            let fd = stream.fd();
            self.register(fd, id, Source::Output, Interest::WRITABLE);
        }
    }

    pub(super) fn unwatch_output(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Traffic(stream) = &session.state else { return };
        if std::mem::replace(&mut session.output_watched, false) {
            let fd = stream.fd();
            self.deregister(fd);
        }
    }

    /// Everything queued has been handed to the kernel.
    pub(super) fn output_drained(&mut self, id: u64) {
        let done = self.sessions.get(&id).is_some_and(|session| {
            session.closing && !session.link.as_ref().is_some_and(|link| link.has_waiting())
        });
        if done {
            self.end_session(id);
        }
    }

    // Closing.

    /// The socket has closed its end of the session's pipe.
    pub(super) fn pipe_closed(&mut self, id: u64) {
        let Some(session) = self.sessions.get(&id) else { return };
        if !session.closing {
            let linger = session.options.linger;
            self.close_session(id, linger);
        }
    }

    pub(super) fn close_endpoint(&mut self, endpoint: u64, linger: i32) {
        if let Some(listening) = self.listeners.remove(&endpoint) {
            for child in listening.children.clone() {
                if let Some(link) = self.sessions.get(&child).and_then(|s| s.link.clone()) {
                    // The socket lets go of the pipe; what it has queued still goes out.
                    if let Some(session) = self.sessions.get(&child) {
                        session.port.pipe_ended(link.pipe());
                    }
                }
                self.close_session(child, linger);
            }
            self.close_listener(listening);
        } else {
            self.close_session(endpoint, linger);
        }
    }

    pub(super) fn close_socket(&mut self, socket: u64, linger: i32) {
        let listeners: Vec<u64> = self
            .listeners
            .iter()
            .filter(|(_, listening)| listening.socket == socket)
            .map(|(id, _)| *id)
            .collect();
        for id in listeners {
            if let Some(listening) = self.listeners.remove(&id) {
                self.close_listener(listening);
            }
        }
        let sessions: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.socket == socket)
            .map(|(id, _)| *id)
            .collect();
        for id in sessions {
            self.close_session(id, linger);
        }
    }

    /// Ends a session once its messages are sent, or after `linger` ms, whichever comes first.
    fn close_session(&mut self, id: u64, linger: i32) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.closing = true;
        self.timers.cancel(session.linger_timer.take());
        let waiting = session.link.as_ref().is_some_and(|link| link.has_waiting());
        if !waiting || linger == 0 {
            let stopped = session.options.reconnect_stop & ZMQ_RECONNECT_STOP_AFTER_DISCONNECT != 0;
            if stopped && session.is_connecting_side() && matches!(session.state, State::Idle) {
                // The attempt that is due will not be made.
                session.event(ZMQ_EVENT_CLOSED, u64::from(u32::MAX));
            }
            self.end_session(id);
            return;
        }
        if let Ok(linger) = u64::try_from(linger) {
            let at: Instant = self.now + Duration::from_millis(linger);
            session.linger_timer = Some(self.timers.add(at, Timer::Linger(id)));
        }
        if session.output_failed {
            self.traffic_failed(id, Failure::connection(Error::PIPE));
        } else if matches!(session.state, State::Traffic(_)) {
            self.promise(id);
        }
    }
}
