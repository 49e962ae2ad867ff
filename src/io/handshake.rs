// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! From a fresh stream to traffic, run by the I/O thread: what the transport has to negotiate, then
//! the ZMTP handshake, which inside WebSocket begins with the upgrade; all within
//! `ZMQ_HANDSHAKE_IVL`.

use super::reactor::{Command as IoCommand, Reactor, Source, Timer};
use super::session::{Origin, Session, State, network_pipe};
use super::zap::{Answer, Question};
use super::{IoHandle, SocketPort};
use crate::abi::*;
use crate::endpoint::Transport;
use crate::engine::{Decoder, Deframing, Encoder, Failure, FailureClass, Traffic, halves};
use crate::errno::Error;
use crate::mechanism::curve::sodium::{self, Secret};
use crate::mechanism::zap::ZapConfig;
use crate::mechanism::{HandshakeConfig, MechanismConfig};
use crate::msg::{Metadata, Msg};
use crate::options::{Mechanism, Options};
use crate::transport::workers::{self, Workers};
use crate::transport::{ReadOutcome, Stream, WriteOutcome};
use crate::zmtp::command::Command;
use crate::zmtp::error::{HandshakeError, HandshakeEvent};
use crate::zmtp::handshake::{Established, Handshake};
use crate::zmtp::heartbeat::{Heartbeat, HeartbeatConfig};
use crate::zmtp::zws::{CloseCode, Side, UpgradeConfig};
use crate::zmtp::{Cipher, Halves, SocketType, Version, Work};
use mio::Interest;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tungstenite::handshake::client::generate_key;

/// Bytes read at once during a handshake.
const READ_SIZE: usize = 4096;

pub(super) struct Handshaking {
    pub(super) stream: Stream,
    handshake: Handshake,
    question: Option<Question>,
    /// While a step of the mechanism is taken elsewhere.
    working: Option<Arc<()>>,
    /// That step, taken.
    worked: Option<Work>,
    /// Input that came while there was work.
    unread: Vec<u8>,
    /// The handshake has a time limit.
    limited: bool,
}

impl Reactor {
    /// Begins on a stream just connected or accepted.
    pub(super) fn start_engine(&mut self, id: u64, stream: Stream) {
        if !stream.negotiates() {
            self.start_protocol(id, stream);
            return;
        }
        let fd = stream.fd();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.state = State::Negotiating(stream);
        self.limit_handshake(id);
        self.register(fd, id, Source::Own, Interest::READABLE | Interest::WRITABLE);
        self.continue_negotiation(id);
    }

    pub(super) fn continue_negotiation(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Negotiating(stream) = &session.state else { return };
        match stream.negotiate() {
            Ok(false) => {}
            Ok(true) => {
                let state = std::mem::replace(&mut session.state, State::Idle);
                let State::Negotiating(stream) = state else { return };
                self.deregister(stream.fd());
                self.start_protocol(id, stream);
            }
            Err(error) => self.handshake_failed(id, Failure::connection(error)),
        }
    }

    /// Sets the time limit, unless it runs already.
    fn limit_handshake(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Ok(interval @ 1..) = u64::try_from(session.options.handshake_ivl)
            && session.timer.is_none()
        {
            let at = self.now + Duration::from_millis(interval);
            session.timer = Some(self.timers.add(at, Timer::Handshake(id)));
        }
    }

    /// Begins the protocol on a stream that is ready for its first byte.
    fn start_protocol(&mut self, id: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.options.raw_socket {
            self.timers.cancel(session.timer.take());
            self.begin_traffic(id, stream, None, None, Vec::new());
            return;
        }
        let Some(config) = handshake_config(&session.options, &stream) else {
            self.end_session(id);
            return;
        };
        let fd = stream.fd();
        let handshake = match upgrade(session) {
            Some(upgrade) => config.start_upgrade(upgrade),
            None => config.start(),
        };
        session.state = State::Handshaking(Box::new(Handshaking {
            stream,
            handshake,
            question: None,
            working: None,
            worked: None,
            unread: Vec::new(),
            limited: session.options.handshake_ivl > 0,
        }));
        self.limit_handshake(id);
        self.register(fd, id, Source::Own, Interest::READABLE | Interest::WRITABLE);
        self.continue_handshake(id);
    }

    pub(super) fn continue_handshake(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Handshaking(handshaking) = &mut session.state else { return };
        let outcome = handshaking.advance(&*session.port, id, &self.handle, &self.workers);
        if handshaking.handshake.poll_upgraded() {
            session.event(ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0);
        }
        match outcome {
            Ok(Step::Waiting) => {}
            Ok(Step::Established(leftover)) => {
                let state = std::mem::replace(&mut session.state, State::Idle);
                self.timers.cancel(session.timer.take());
                let State::Handshaking(handshaking) = state else { return };
                let Handshaking { stream, mut handshake, .. } = *handshaking;
                self.deregister(stream.fd());
                let cipher = handshake.take_cipher();
                let established = handshake.into_established();
                self.begin_traffic(id, stream, established, cipher, leftover);
            }
            Err(Broken::Stream(error)) => {
                self.handshake_failed(id, Failure::connection(error));
            }
            Err(Broken::Protocol(HandshakeError {
                class: FailureClass::Connection,
                event: HandshakeEvent::NoDetail(error),
                ..
            })) => self.handshake_failed(id, Failure::connection(error)),
            Err(Broken::Protocol(error)) => {
                session.handshake_event(error.event);
                self.connection_lost(id, error.class);
            }
        }
    }

    /// A step of this session's mechanism was taken, unless `mark` is that of an earlier handshake.
    pub(super) fn handshake_worked(&mut self, id: u64, mark: &Weak<()>, work: Work) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Handshaking(handshaking) = &mut session.state else { return };
        let working = handshaking.working.as_ref().map(Arc::as_ptr);
        if working == Some(mark.as_ptr()) {
            handshaking.working = None;
            handshaking.worked = Some(work);
            self.continue_handshake(id);
        }
    }

    /// The stream broke, or the time ran out, before the handshake was complete.
    pub(super) fn handshake_failed(&mut self, id: u64, failure: Failure) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let errno = failure.error.raw() as u64;
        session.event(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno);
        let stop = session.options.reconnect_stop & ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED != 0;
        let class = if stop { FailureClass::Protocol } else { failure.class };
        self.connection_lost(id, class);
    }

    /// Joins the stream to the session's pipe. `established` is `None` for raw connections.
    fn begin_traffic(
        &mut self,
        id: u64,
        stream: Stream,
        established: Option<Established>,
        cipher: Option<Cipher>,
        leftover: Vec<u8>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let options = session.options.clone();
        let port = session.port.clone();
        let stream = Arc::new(stream);
        let metadata = metadata(&stream, established.as_ref());
        let version = established.as_ref().map(|established| established.version);
        let side = websocket_side(session);
        let (mut encoder, mut decoder) = match side {
            Some(side) => (Encoder::websocket(side), Decoder::new(Deframing::WebSocket(side))),
            None => framing(version, options.socket_type),
        };
        if let Some(Halves { seal, open }) = cipher.map(halves) {
            encoder = encoder.sealed(seal);
            decoder = decoder.opened(open);
        }
        let mut new_pipe = None;
        let link = match session.link.clone() {
            Some(link) => link,
            None => match network_pipe(id, &options, self.handle.clone(), port.clone()) {
                Ok((pipe, link)) => {
                    new_pipe = Some(pipe);
                    session.link = Some(link.clone());
                    link
                }
                Err(_) => {
                    self.end_session(id);
                    return;
                }
            },
        };
        session.state = State::Traffic(stream.clone());
        let again = std::mem::replace(&mut session.connected_before, true);
        let modern = version.is_some_and(|version| version >= Version::V3_0);
        session.without_mechanism = !modern;
        if modern {
            session.event(ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0);
        }
        let (routing_id, implicit, unsent) = match established {
            Some(established) => (
                established.routing_id.unwrap_or_default(),
                established.implicit_subscribe,
                established.unsent,
            ),
            None => (Vec::new(), false, Vec::new()),
        };
        let mut notices = Vec::new();
        let notify = match version {
            None => options.raw_notify,
            Some(_) => options.router_notify & ZMQ_NOTIFY_CONNECT != 0,
        };
        if notify {
            notices.push((0, Vec::new()));
        }
        if implicit && matches!(options.socket_type, ZMQ_PUB | ZMQ_XPUB) {
            let mut subscription = Vec::new();
            Command::Subscribe(b"").encode_body(&mut subscription);
            notices.push((crate::pipe::COMMAND, subscription));
        }
        // REQ greets its peers in the same process only: no reply may come first.
        let hello = options.hello_to_send().filter(|_| options.socket_type != ZMQ_REQ);
        let traffic = Traffic {
            stream: stream.clone(),
            encoder,
            decoder,
            metadata,
            notices,
            leftover,
            unsent,
            hello: hello.map(<[u8]>::to_vec),
        };
        if link.attach(traffic).is_err() {
            self.end_session(id);
            return;
        }
        // Before the socket hears of the connection: whoever is woken by that looks here, too.
        if let Some(set) = port.read_set(&self.handle)
            && set.add(link.clone(), stream.fd()).is_err()
        {
            self.connection_lost(id, FailureClass::Connection);
            return;
        }
        match new_pipe {
            Some(mut pipe) => {
                pipe.routing_id = if options.recv_routing_id { routing_id } else { Vec::new() };
                pipe.outgoing = again || self.is_outgoing(id);
                port.attach(pipe, link.clone(), self.endpoint_of(id));
            }
            None => port.connected(link.pipe(), routing_id, again),
        }
        let heartbeat =
            (modern || side.is_some()).then(|| Heartbeat::new(heartbeat_config(&options)));
        self.begin_heartbeat(id, heartbeat);
        let progress = link.io_write();
        if self.write_link(id, progress) && self.sessions.contains_key(&id) {
            self.promise(id);
        }
    }

    fn is_outgoing(&self, id: u64) -> bool {
        self.sessions.get(&id).is_some_and(Session::is_connecting_side)
    }

    /// The number of the endpoint that a session belongs to.
    fn endpoint_of(&self, id: u64) -> u64 {
        match self.sessions.get(&id).map(|session| &session.origin) {
            Some(Origin::Accepted(listener)) => *listener,
            _ => id,
        }
    }
}

enum Step {
    Waiting,
    /// Complete; these bytes have come in beyond it.
    Established(Vec<u8>),
}

enum Broken {
    Stream(Error),
    Protocol(HandshakeError),
}

impl Handshaking {
    fn advance(
        &mut self,
        port: &dyn SocketPort,
        session: u64,
        home: &Arc<IoHandle>,
        workers: &Workers,
    ) -> Result<Step, Broken> {
        loop {
            if let Some(work) = self.worked.take() {
                self.handshake.handle_work(work).map_err(|error| self.broken(error))?;
            }
            self.delegate(session, home, workers)?;
            self.ask(port, session, home)?;
            self.take_answer()?;
            // A peer that has hung up may have said why before.
            let written = self.flush();
            if self.handshake.is_established() {
                return Ok(Step::Established(std::mem::take(&mut self.unread)));
            }
            if self.working.is_some() {
                return written.map(|()| Step::Waiting);
            }
            let mut buffer = [0; READ_SIZE];
            let unread = std::mem::take(&mut self.unread);
            let mut input = &unread[..];
            if input.is_empty() {
                input = match self.stream.read_into(&mut buffer).map_err(Broken::Stream)? {
                    ReadOutcome::Read(count) => &buffer[..count],
                    ReadOutcome::WouldBlock => return written.map(|()| Step::Waiting),
                    ReadOutcome::Closed => return Err(Broken::Stream(Error::PIPE)),
                };
            }
            while !input.is_empty() && !self.handshake.is_established() {
                match self.handshake.handle_input(input) {
                    Ok(0) => break,
                    Ok(taken) => input = &input[taken..],
                    Err(error) => return Err(self.broken(error)),
                }
            }
            if self.handshake.is_established() {
                // Output that the kernel does not take now goes ahead of the traffic.
                let _ = self.flush();
                return Ok(Step::Established(input.to_vec()));
            }
            self.unread = input.to_vec();
        }
    }

    /// Leaves a step of the mechanism that may take long to a thread that may wait. It comes back
    /// as [`Command::Worked`](super::Command::Worked).
    fn delegate(
        &mut self,
        session: u64,
        home: &Arc<IoHandle>,
        workers: &Workers,
    ) -> Result<(), Broken> {
        let Some(mut work) = self.handshake.poll_work() else { return Ok(()) };
        let mark = Arc::new(());
        let wanted = Arc::downgrade(&mark);
        self.working = Some(mark);
        let home = home.clone();
        let job = move || -> workers::Answer {
            // The session may have given up before it was this job's turn.
            if wanted.strong_count() > 0 {
                work.run();
            }
            let command = IoCommand::Worked(session, wanted, Box::new(work));
            Box::new(move || home.post(command))
        };
        workers.run(Box::new(job)).map_err(Broken::Stream)
    }

    /// Puts the handshake's question to the ZAP handler, if it has one.
    fn ask(
        &mut self,
        port: &dyn SocketPort,
        session: u64,
        home: &Arc<IoHandle>,
    ) -> Result<(), Broken> {
        let Some(request) = self.handshake.poll_zap_request() else { return Ok(()) };
        // A question that cannot be put for another reason is as good as refused.
        self.question = Question::put(&request, port, session, home).map_err(Broken::Stream)?;
        if self.question.is_none() {
            self.handshake.handle_no_zap_handler().map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    /// Looks whether the ZAP handler has answered.
    fn take_answer(&mut self) -> Result<(), Broken> {
        let Some(question) = &mut self.question else { return Ok(()) };
        match question.answer().map_err(Broken::Stream)? {
            Answer::None => Ok(()),
            Answer::Reply(frames) => {
                self.question = None;
                let frames: Vec<&[u8]> = frames.iter().map(Msg::data).collect();
                self.handshake.handle_zap_reply(&frames).map_err(|error| self.broken(error))
            }
            // As with a handler that never answers, the peer waits until its time is over: let
            // back in at once, it might find a server that is open for want of a handler.
            Answer::Gone if self.limited => {
                self.question = None;
                Ok(())
            }
            Answer::Gone => Err(Broken::Stream(Error::PIPE)),
        }
    }

    /// The handshake has failed. A last command tells the peer why.
    fn broken(&mut self, error: HandshakeError) -> Broken {
        let too_big = error.errno == Error::MSGSIZE;
        self.say_close(if too_big { CloseCode::TOO_BIG } else { CloseCode::PROTOCOL });
        Broken::Protocol(error)
    }

    /// Tells the peer that the connection ends, if that can be said at once.
    pub(super) fn say_close(&mut self, code: CloseCode) {
        self.handshake.close(code);
        let _ = self.flush();
    }

    fn flush(&mut self) -> Result<(), Broken> {
        if !self.stream.flush().map_err(Broken::Stream)? {
            return Ok(());
        }
        while !self.handshake.output().is_empty() {
            match self.stream.write_one(self.handshake.output()).map_err(Broken::Stream)? {
                WriteOutcome::Wrote(count) => self.handshake.advance_output(count),
                WriteOutcome::WouldBlock => break,
            }
        }
        Ok(())
    }
}

/// This side of a connection inside WebSocket.
fn websocket_side(session: &Session) -> Option<Side> {
    match session.transport {
        Transport::Ws | Transport::Wss if session.is_connecting_side() => Some(Side::Client),
        Transport::Ws | Transport::Wss => Some(Side::Server),
        _ => None,
    }
}

/// What opens a connection inside WebSocket.
fn upgrade(session: &Session) -> Option<UpgradeConfig> {
    websocket_side(session)?;
    Some(match &session.origin {
        Origin::Connected(to) => {
            let address = to.websocket()?;
            UpgradeConfig::Client {
                host: address.host_text.clone(),
                path: address.path.clone(),
                key: generate_key(),
            }
        }
        Origin::Accepted(_) | Origin::Datagrams => UpgradeConfig::Server,
    })
}

/// How frames go out and come in with a peer of this version; raw without one.
fn framing(version: Option<Version>, socket_type: i32) -> (Encoder, Decoder) {
    let subscribes = matches!(socket_type, ZMQ_SUB | ZMQ_XSUB);
    let (encoder, framing) = match version {
        None => (Encoder::raw(), Deframing::Raw),
        Some(Version::V3_1) => (Encoder::plain(), Deframing::Zmtp),
        Some(version @ (Version::V2_0 | Version::V3_0)) if subscribes => {
            (Encoder::framed(version), Deframing::Zmtp)
        }
        Some(Version::V2_0 | Version::V3_0) => (Encoder::plain(), Deframing::Zmtp),
        Some(version) => (Encoder::framed(version), Deframing::Legacy),
    };
    let decoder = Decoder::new(framing);
    let decoder = if version == Some(Version::V2_0) { decoder.without_commands() } else { decoder };
    (encoder, decoder)
}

/// `None` for a mechanism this build does not have: such a socket talks to nobody.
fn handshake_config(options: &Options, stream: &Stream) -> Option<HandshakeConfig> {
    let mechanism = match options.mechanism {
        Mechanism::Null => MechanismConfig::Null,
        Mechanism::Plain if options.as_server => MechanismConfig::PlainServer,
        Mechanism::Plain => MechanismConfig::PlainClient {
            username: options.plain_username.clone(),
            password: options.plain_password.clone(),
        },
        Mechanism::Curve => {
            sodium::initialise().ok()?;
            let secret = Secret::from(&*options.curve_secretkey);
            if options.as_server {
                MechanismConfig::CurveServer { secret }
            } else {
                let (public, server) = (options.curve_publickey, options.curve_serverkey);
                MechanismConfig::CurveClient { public, secret, server }
            }
        }
        #[cfg(feature = "gssapi")]
        Mechanism::Gssapi => gssapi_config(options),
        #[cfg(not(feature = "gssapi"))]
        Mechanism::Gssapi => return None,
    };
    let zap = zap_use(&mechanism, options).map(|handler| ZapConfig {
        domain: options.zap_domain.clone(),
        handler_required: handler == Handler::Required,
        peer_address: stream.peer_address().unwrap_or_default(),
    });
    Some(HandshakeConfig {
        socket_type: SocketType::from_number(options.socket_type)?,
        routing_id: options.routing_id.clone(),
        mechanism,
        max_msg_size: options.maxmsgsize,
        properties: options
            .metadata
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.clone()))
            .collect(),
        zap,
    })
}

#[cfg(feature = "gssapi")]
fn gssapi_config(options: &Options) -> MechanismConfig {
    use crate::mechanism::gssapi::system::Name;
    let principal = (!options.gssapi_principal.is_empty())
        .then(|| Name::new(&options.gssapi_principal, options.gssapi_principal_nametype));
    let plaintext = options.gssapi_plaintext;
    if options.as_server {
        return MechanismConfig::GssapiServer { principal, plaintext };
    }
    let service = Name::new(&options.gssapi_service_principal, options.gssapi_service_nametype);
    MechanismConfig::GssapiClient { principal, service, plaintext }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Handler {
    Required,
    /// Without one every peer is let in.
    Optional,
}

/// Whether a ZAP handler is to be asked about the peer (zmq_setsockopt(3), ZMQ_ZAP_DOMAIN). A
/// server of PLAIN that has nobody to ask refuses everybody, one of CURVE nobody who knows its key,
/// one of GSSAPI nobody who has a ticket.
fn zap_use(mechanism: &MechanismConfig, options: &Options) -> Option<Handler> {
    let domain = !options.zap_domain.is_empty();
    match (mechanism, options.zap_enforce_domain) {
        (MechanismConfig::Null, true) if domain => Some(Handler::Required),
        (MechanismConfig::Null, false) if domain => Some(Handler::Optional),
        (
            MechanismConfig::Null
            | MechanismConfig::PlainClient { .. }
            | MechanismConfig::CurveClient { .. },
            _,
        ) => None,
        #[cfg(feature = "gssapi")]
        (MechanismConfig::GssapiClient { .. }, _) => None,
        #[cfg(feature = "gssapi")]
        (MechanismConfig::GssapiServer { .. }, true) => domain.then_some(Handler::Required),
        #[cfg(feature = "gssapi")]
        (MechanismConfig::GssapiServer { .. }, false) => Some(Handler::Optional),
        (MechanismConfig::CurveServer { .. }, true) => domain.then_some(Handler::Required),
        (MechanismConfig::CurveServer { .. }, false) => Some(Handler::Optional),
        (MechanismConfig::PlainServer, enforce) => {
            (domain || !enforce).then_some(Handler::Required)
        }
    }
}

fn heartbeat_config(options: &Options) -> HeartbeatConfig {
    HeartbeatConfig {
        interval_ms: options.heartbeat_ivl,
        timeout_ms: options.heartbeat_timeout,
        ttl_deciseconds: options.heartbeat_ttl,
    }
}

/// The properties that received messages carry; none from peers before ZMTP 3.0.
fn metadata(stream: &Stream, established: Option<&Established>) -> Option<Arc<Metadata>> {
    if established.is_some_and(|established| established.version < Version::V3_0) {
        return None;
    }
    let mut metadata = Metadata::new();
    if let Some(address) = stream.peer_address() {
        metadata.insert(Metadata::PEER_ADDRESS, address.as_bytes());
    }
    metadata.set_fd(stream.fd());
    for (name, value) in established.map_or(&[][..], |established| &established.properties) {
        metadata.insert(name, value);
    }
    Some(Arc::new(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Handler::{Optional, Required};

    #[test]
    fn when_the_handler_is_asked() {
        let client = MechanismConfig::PlainClient { username: Vec::new(), password: Vec::new() };
        let secret = Secret::from(&[1; 32]);
        let curve_client = MechanismConfig::CurveClient {
            public: [2; 32],
            secret: secret.clone(),
            server: [3; 32],
        };
        let curve_server = MechanismConfig::CurveServer { secret };
        // Without and with a domain; without and with its enforcement.
        for (mechanism, expected) in [
            (MechanismConfig::Null, [None, None, Some(Optional), Some(Required)]),
            (client, [None; 4]),
            (curve_client, [None; 4]),
            (curve_server, [Some(Optional), None, Some(Optional), Some(Required)]),
            (MechanismConfig::PlainServer, [Some(Required), None, Some(Required), Some(Required)]),
        ] {
            for (number, handler) in expected.into_iter().enumerate() {
                let mut options = Options::new(ZMQ_DEALER, false, true);
                options.zap_domain = if number & 2 != 0 { b"global".to_vec() } else { Vec::new() };
                options.zap_enforce_domain = number & 1 != 0;
                assert_eq!(zap_use(&mechanism, &options), handler, "{mechanism:?} {number}");
            }
        }
    }
}
