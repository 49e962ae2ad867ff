// SPDX-License-Identifier: MPL-2.0
//! From the first byte of a connection to traffic.
//!
//! ```text
//! Greeting ─┬─ 3.0, 3.1 ───────> Commands of the mechanism ─┬─> Established
//!           └─ 1.0, 2.0 ─> RoutingId (first frame) ─────────┘
//! Upgrade ──┬─ ZWS2.0/NULL, … ─> Commands of the mechanism ─┬─> Established
//!           └─ ZWS2.0 ───> RoutingId (first message) ───────┘
//! ```
//!
//! Inside WebSocket the HTTP upgrade takes the place of the greeting; see [`zws`](super::zws).
//!
//! Each state owns only its own data and is consumed by the step into the next. Bytes go in by
//! [`Handshake::handle_input`], which takes no byte of the traffic that follows; bytes to send
//! come out by [`Handshake::output`]. The security mechanism is given from above, as a
//! [`Mechanism`]; its question to a ZAP handler passes through here.
//!
//! Peers of 1.0, 2.0 and bare ZWS 2.0 know no security: with security on they are refused.
//!
//! RFC 13, 15, 23, 37, 45.

#![forbid(unsafe_code)]

use super::cipher::Cipher;
use super::error::{HandshakeError, HandshakeEvent, ProtocolError};
use super::frame::{
    Flags, Framing, HeaderParse, MAX_HEADER, MAX_HEADER_ANY, check_size, encode_header,
};
use super::greeting::{Greeting, PeerGreeting, Version, mechanism_field, signature};
use super::socket_type::SocketType;
use super::zws::frame::{Framer, Kind};
use super::zws::{self, CloseCode, Side, SubProtocol, SubProtocols, Upgrade, UpgradeConfig, close};
use crate::errno::Error;

/// The longest frame taken during a handshake. Far above any honest one; it bounds what a peer
/// nobody has authenticated can make us keep.
pub const MAX_FRAME: i64 = 1 << 20;

/// While so many bytes wait to be sent, WebSocket's PINGs are not answered.
const MAX_ANSWERS: usize = 64 * 1024;

/// A security mechanism's part in the handshake of ZMTP 3.x: commands in, commands out.
///
/// The caller passes in each command of the peer, and after every call takes out commands until
/// there is none. A first error ends the handshake; commands to send may still be there.
pub trait Mechanism: Send {
    /// The name in the greeting.
    fn name(&self) -> &'static str;

    /// The body of a command from the peer.
    fn handle_command(&mut self, body: &[u8]) -> Result<()>;

    /// The body of the next command to send, if it is this side's turn.
    fn poll_command(&mut self) -> Result<Option<Vec<u8>>>;

    /// Whether the handshake is complete: nothing left to send, nothing to wait for.
    fn is_ready(&self) -> bool;

    /// The frames of a request to the ZAP handler, once, when the mechanism has a question. The
    /// handshake then waits for [`Mechanism::handle_zap_reply`] or
    /// [`Mechanism::handle_no_zap_handler`].
    fn poll_zap_request(&mut self) -> Option<Vec<Vec<u8>>> {
        None
    }

    /// The frames of the ZAP handler's reply.
    fn handle_zap_reply(&mut self, _frames: &[&[u8]]) -> Result<()> {
        Ok(())
    }

    /// The question cannot be put: nobody is bound to the ZAP endpoint.
    fn handle_no_zap_handler(&mut self) -> Result<()> {
        Ok(())
    }

    /// Whether the next step may take long, as it may have to ask a server of its own. Until
    /// [`Mechanism::work`] has taken it, there is no command to send, and none is passed in.
    fn has_work(&self) -> bool {
        false
    }

    /// Takes that step, on a thread that may wait.
    fn work(&mut self) -> Result<()> {
        Ok(())
    }

    /// What is to be done to frames in traffic, once the handshake is complete. Asked once.
    fn cipher(&mut self) -> Option<Cipher> {
        None
    }

    /// What the handshake has told of the peer.
    fn into_peer(self: Box<Self>) -> Peer;
}

/// What a mechanism has learned of the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    pub routing_id: Option<Vec<u8>>,
    pub socket_type: Option<SocketType>,
    /// In the order of precedence: what ZAP has said, then what the peer said itself. Names may
    /// repeat; the first counts.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// The end of a handshake: what the engine needs for traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    pub version: Version,
    /// The peer's; `None` if it gave none.
    pub routing_id: Option<Vec<u8>>,
    pub socket_type: Option<SocketType>,
    /// As [`Peer::properties`]; none for peers of 1.0 and 2.0.
    pub properties: Vec<(String, Vec<u8>)>,
    /// The peer forwards no subscriptions: a publisher takes it to subscribe to everything
    /// ([`EMPTY_SUBSCRIPTION_FRAME`](super::command::EMPTY_SUBSCRIPTION_FRAME)).
    pub implicit_subscribe: bool,
    /// Bytes of the handshake not sent yet; they go ahead of any traffic.
    pub unsent: Vec<u8>,
}

/// What a handshake has to know of this side.
pub struct HandshakeConfig {
    pub socket_type: SocketType,
    pub routing_id: Vec<u8>,
    /// `ZMQ_MAXMSGSIZE`: negative for no limit.
    pub max_msg_size: i64,
    /// Peers must authenticate: those of 1.0 and 2.0 are refused. Any mechanism but NULL implies
    /// it.
    pub security_required: bool,
    pub mechanism: Box<dyn Mechanism>,
}

/// The handshake of one connection, from this side.
pub struct Handshake {
    state: State,
    local: Local,
}

enum State {
    Upgrade(ExpectUpgrade),
    Greeting(ExpectGreeting),
    RoutingId(ExpectRoutingId),
    Commands(ExpectCommands),
    /// The mechanism is at [`Work`].
    Working(Version, FrameReader),
    Established(Box<Established>, Option<Cipher>),
    Failed(HandshakeError),
}

/// What stays the same through all states, and the bytes to send.
struct Local {
    socket_type: SocketType,
    routing_id: Vec<u8>,
    max_frame: i64,
    security_required: bool,
    output: Vec<u8>,
    sent: usize,
    /// Inside WebSocket, once the upgrade is complete.
    framer: Option<Framer>,
    /// The upgrade is complete and nobody was told.
    upgraded: bool,
}

impl Local {
    fn new(config: HandshakeConfig) -> (Local, Box<dyn Mechanism>) {
        let HandshakeConfig { socket_type, routing_id, max_msg_size, .. } = config;
        let local = Local {
            output: Vec::new(),
            sent: 0,
            socket_type,
            routing_id,
            max_frame: if max_msg_size < 0 { MAX_FRAME } else { max_msg_size.min(MAX_FRAME) },
            security_required: config.security_required || config.mechanism.name() != "NULL",
            framer: None,
            upgraded: false,
        };
        (local, config.mechanism)
    }

    fn push_command(&mut self, body: &[u8]) {
        if let Some(framer) = &mut self.framer {
            framer.frame(Flags::COMMAND, body, &mut self.output);
            return;
        }
        let mut header = [0; MAX_HEADER];
        let len = encode_header(Flags::COMMAND, body.len() as u64, &mut header);
        self.output.extend_from_slice(&header[..len]);
        self.output.extend_from_slice(body);
    }

    fn push_routing_id(&mut self, framing: Framing) {
        if let Some(framer) = &mut self.framer {
            framer.frame(Flags::NONE, &self.routing_id, &mut self.output);
            return;
        }
        let mut header = [0; MAX_HEADER_ANY];
        let len = framing.encode_header(Flags::NONE, self.routing_id.len() as u64, &mut header);
        self.output.extend_from_slice(&header[..len]);
        self.output.extend_from_slice(&self.routing_id);
    }
}

type Result<T> = std::result::Result<T, HandshakeError>;

impl Handshake {
    pub fn new(config: HandshakeConfig) -> Handshake {
        let (mut local, mechanism) = Local::new(config);
        local.output.extend_from_slice(&signature(local.routing_id.len()));
        let greeting = Greeting::new(local.socket_type, mechanism.name());
        Handshake { state: State::Greeting(ExpectGreeting { greeting, mechanism }), local }
    }

    /// A handshake inside WebSocket.
    pub fn upgrading(config: HandshakeConfig, upgrade: UpgradeConfig) -> Handshake {
        let (mut local, mechanism) = Local::new(config);
        let ours = SubProtocols::new(mechanism.name(), local.security_required);
        let upgrade = Upgrade::new(upgrade, ours, &mut local.output);
        Handshake { state: State::Upgrade(ExpectUpgrade { upgrade, mechanism }), local }
    }

    /// Takes bytes from the peer and returns how many of them belong to the handshake; what is
    /// left is traffic. After the end of the handshake it takes none, nor while there is work: what
    /// is left then is to be passed in again.
    ///
    /// # Errors
    /// The handshake has failed, for good. [`Handshake::output`] may still hold a last command
    /// for the peer: send it, and let the peer close, so that a reset does not overtake it. The
    /// event is reported once; further calls return the error without it.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut input = bytes;
        self.step(|state, local| match state {
            State::Upgrade(state) => state.handle(&mut input, local),
            State::Greeting(state) => state.handle(&mut input, local),
            State::RoutingId(state) => state.handle(&mut input, local),
            State::Commands(state) => state.handle(&mut input, local),
            end => Ok(end),
        })?;
        Ok(bytes.len() - input.len())
    }

    /// A step of the mechanism that may take long, when there is one. Until it is given back to
    /// [`Handshake::handle_work`], no input is taken. To be looked at in the beginning and after
    /// each [`Handshake::handle_input`].
    pub fn poll_work(&mut self) -> Option<Work> {
        let failed = State::Failed(HandshakeError::silent(Error::PROTO));
        match std::mem::replace(&mut self.state, failed) {
            State::Commands(ExpectCommands { version, frames, mechanism })
                if mechanism.has_work() =>
            {
                self.state = State::Working(version, frames);
                Some(Work { mechanism, result: Ok(()) })
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// That step was taken.
    ///
    /// # Errors
    /// As [`Handshake::handle_input`].
    pub fn handle_work(&mut self, work: Work) -> Result<()> {
        self.step(|state, local| match state {
            State::Working(version, frames) => {
                let state = ExpectCommands { version, frames, mechanism: work.mechanism };
                state.after(work.result, local)
            }
            other => Ok(other),
        })
    }

    /// The frames of a question to the ZAP handler, when there is one; each question once. To be
    /// looked at after each [`Handshake::handle_input`].
    pub fn poll_zap_request(&mut self) -> Option<Vec<Vec<u8>>> {
        match &mut self.state {
            State::Commands(state) => state.mechanism.poll_zap_request(),
            _ => None,
        }
    }

    /// The frames of the ZAP handler's reply.
    ///
    /// # Errors
    /// As [`Handshake::handle_input`].
    pub fn handle_zap_reply(&mut self, frames: &[&[u8]]) -> Result<()> {
        self.step(|state, local| match state {
            State::Commands(mut state) => {
                let result = state.mechanism.handle_zap_reply(frames);
                state.after(result, local)
            }
            other => Ok(other),
        })
    }

    /// There is no ZAP handler to ask.
    ///
    /// # Errors
    /// As [`Handshake::handle_input`].
    pub fn handle_no_zap_handler(&mut self) -> Result<()> {
        self.step(|state, local| match state {
            State::Commands(mut state) => {
                let result = state.mechanism.handle_no_zap_handler();
                state.after(result, local)
            }
            other => Ok(other),
        })
    }

    /// Counts the first `count` bytes of [`Handshake::output`] as sent.
    pub fn advance_output(&mut self, count: usize) {
        let local = &mut self.local;
        local.sent = local.sent.saturating_add(count).min(local.output.len());
        if local.sent == local.output.len() {
            local.output.clear();
            local.sent = 0;
        }
    }

    /// The bytes to send now.
    pub fn output(&self) -> &[u8] {
        self.local.output.get(self.local.sent..).unwrap_or_default()
    }

    /// Tells the peer, behind the output, that the connection ends, where there is a word for that.
    pub fn close(&mut self, code: CloseCode) {
        if let Some(framer) = &mut self.local.framer {
            framer.control(Kind::Close, &code.payload(), &mut self.local.output);
        }
    }

    /// Whether the upgrade to WebSocket has become complete, once. To be looked at after each
    /// [`Handshake::handle_input`], also a failed one.
    pub fn poll_upgraded(&mut self) -> bool {
        std::mem::take(&mut self.local.upgraded)
    }

    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(..))
    }

    /// What is to be done to frames in traffic, of a handshake that is complete.
    pub fn take_cipher(&mut self) -> Option<Cipher> {
        match &mut self.state {
            State::Established(_, cipher) => cipher.take(),
            _ => None,
        }
    }

    /// The result of a handshake that is complete; `None` of one that is not.
    pub fn into_established(self) -> Option<Established> {
        let unsent = self.output().to_vec();
        match self.state {
            State::Established(established, _) => Some(Established { unsent, ..*established }),
            _ => None,
        }
    }

    fn step(&mut self, step: impl FnOnce(State, &mut Local) -> Result<State>) -> Result<()> {
        let failed = State::Failed(HandshakeError::silent(Error::PROTO));
        let result = match std::mem::replace(&mut self.state, failed) {
            State::Failed(error) => Err(error),
            state => step(state, &mut self.local),
        };
        match result {
            Ok(state) => {
                self.state = state;
                Ok(())
            }
            Err(error) => {
                self.state = State::Failed(HandshakeError { event: HandshakeEvent::None, ..error });
                Err(error)
            }
        }
    }
}

/// A step of a mechanism that may take long ([`Mechanism::work`]).
pub struct Work {
    mechanism: Box<dyn Mechanism>,
    result: Result<()>,
}

impl Work {
    /// Takes the step. May block.
    pub fn run(&mut self) {
        self.result = self.mechanism.work();
    }
}

struct ExpectUpgrade {
    upgrade: Upgrade,
    mechanism: Box<dyn Mechanism>,
}

impl ExpectUpgrade {
    fn handle(mut self, input: &mut &[u8], local: &mut Local) -> Result<State> {
        let side = self.upgrade.side();
        let Some(agreed) = self.upgrade.handle(input, &mut local.output)? else {
            return Ok(State::Upgrade(self));
        };
        local.upgraded = true;
        local.framer = Some(Framer::new(side));
        let frames = FrameReader::new(Envelope::WebSocket(side), local.max_frame);
        match agreed {
            SubProtocol::Mechanism => {
                let version = Version::V3_1;
                let state = ExpectCommands { version, frames, mechanism: self.mechanism };
                match state.after(Ok(()), local)? {
                    State::Commands(state) => state.handle(input, local),
                    end => Ok(end),
                }
            }
            SubProtocol::Bare => {
                let version = Version::V2_0;
                local.push_routing_id(version.framing());
                ExpectRoutingId { version, socket_type: None, frames }.handle(input, local)
            }
        }
    }
}

struct ExpectGreeting {
    greeting: Greeting,
    mechanism: Box<dyn Mechanism>,
}

impl ExpectGreeting {
    fn handle(mut self, input: &mut &[u8], local: &mut Local) -> Result<State> {
        let Some(peer) = self.greeting.handle(input, &mut local.output) else {
            return Ok(State::Greeting(self));
        };
        match peer {
            PeerGreeting::V3 { version, mechanism } => {
                if mechanism != mechanism_field(self.mechanism.name()) {
                    return Err(ProtocolError::ZMTP_MECHANISM_MISMATCH.into());
                }
                let frames = FrameReader::new(Envelope::Zmtp(Framing::V2), local.max_frame);
                let state = ExpectCommands { version, frames, mechanism: self.mechanism };
                match state.after(Ok(()), local)? {
                    State::Commands(state) => state.handle(input, local),
                    end => Ok(end),
                }
            }
            _ if local.security_required => Err(HandshakeError::silent(Error::PROTO)),
            PeerGreeting::Unversioned { received } => {
                // Our signature was the header of this frame.
                local.output.extend_from_slice(&local.routing_id);
                let version = Version::V1_0Unversioned;
                let mut state = ExpectRoutingId::new(version, None, local);
                state.frames.buffer = received;
                state.handle(input, local)
            }
            PeerGreeting::V1V2 { version, socket_type } => {
                local.push_routing_id(version.framing());
                let socket_type = SocketType::from_number(i32::from(socket_type));
                ExpectRoutingId::new(version, socket_type, local).handle(input, local)
            }
        }
    }
}

/// ZMTP 1.0 and 2.0: the first frame is the peer's routing id.
struct ExpectRoutingId {
    version: Version,
    socket_type: Option<SocketType>,
    frames: FrameReader,
}

impl ExpectRoutingId {
    fn new(version: Version, socket_type: Option<SocketType>, local: &Local) -> ExpectRoutingId {
        let frames = FrameReader::new(Envelope::Zmtp(version.framing()), local.max_frame);
        ExpectRoutingId { version, socket_type, frames }
    }

    fn handle(mut self, input: &mut &[u8], local: &mut Local) -> Result<State> {
        let Some(routing_id) = self.frames.read(input, local)? else {
            return Ok(State::RoutingId(self));
        };
        let unversioned = self.version == Version::V1_0Unversioned;
        let publisher = matches!(local.socket_type, SocketType::Pub | SocketType::Xpub);
        let established = Established {
            version: self.version,
            routing_id: Some(routing_id),
            socket_type: self.socket_type,
            properties: Vec::new(),
            implicit_subscribe: unversioned && publisher,
            unsent: Vec::new(),
        };
        Ok(State::Established(Box::new(established), None))
    }
}

/// ZMTP 3.x: commands until the mechanism is ready.
struct ExpectCommands {
    version: Version,
    frames: FrameReader,
    mechanism: Box<dyn Mechanism>,
}

impl ExpectCommands {
    fn handle(mut self, input: &mut &[u8], local: &mut Local) -> Result<State> {
        // Flags are not looked at: libzmq does not either, and some peers send none.
        while !self.mechanism.has_work()
            && let Some(body) = self.frames.read(input, local)?
        {
            let result = self.mechanism.handle_command(&body);
            match self.after(result, local)? {
                State::Commands(state) => self = state,
                end => return Ok(end),
            }
        }
        Ok(State::Commands(self))
    }

    /// Takes out what the mechanism has to send after a call that returned `result`. Also after
    /// a failed one: the peer is told why.
    fn after(mut self, mut result: Result<()>, local: &mut Local) -> Result<State> {
        loop {
            match self.mechanism.poll_command() {
                Ok(Some(body)) => local.push_command(&body),
                Ok(None) => break,
                Err(error) => {
                    result = result.and(Err(error));
                    break;
                }
            }
        }
        result?;
        if !self.mechanism.is_ready() {
            return Ok(State::Commands(self));
        }
        let cipher = self.mechanism.cipher();
        let Peer { routing_id, socket_type, properties } = self.mechanism.into_peer();
        let established = Established {
            version: self.version,
            routing_id,
            socket_type,
            properties,
            implicit_subscribe: false,
            unsent: Vec::new(),
        };
        Ok(State::Established(Box::new(established), cipher))
    }
}

/// What frames come in.
#[derive(Clone, Copy)]
enum Envelope {
    Zmtp(Framing),
    /// To this side.
    WebSocket(Side),
}

/// Collects one frame at a time, and not a byte more. Its memory grows with the bytes received,
/// not with the length claimed.
struct FrameReader {
    envelope: Envelope,
    max_size: i64,
    buffer: Vec<u8>,
}

/// The start of a frame of either kind.
struct Head {
    header_len: usize,
    body_len: u64,
    /// Inside WebSocket.
    websocket: Option<zws::frame::Head>,
}

impl FrameReader {
    fn new(envelope: Envelope, max_size: i64) -> FrameReader {
        FrameReader { envelope, max_size, buffer: Vec::new() }
    }

    /// Takes bytes off the front of `input`; the body of the frame once it is whole. What belongs
    /// to WebSocket alone is dealt with.
    fn read(&mut self, input: &mut &[u8], local: &mut Local) -> Result<Option<Vec<u8>>> {
        loop {
            let Some(head) = self.head().map_err(HandshakeError::silent)? else {
                let Some((&byte, rest)) = input.split_first() else {
                    return Ok(None);
                };
                self.buffer.push(byte);
                *input = rest;
                continue;
            };
            let body_len = check_size(head.body_len, self.max_size);
            let frame_len = head.header_len + body_len.map_err(HandshakeError::silent)?;
            let missing = frame_len.saturating_sub(self.buffer.len());
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.buffer.extend_from_slice(taken);
            *input = rest;
            if taken.len() < missing {
                return Ok(None);
            }
            let mut body = std::mem::take(&mut self.buffer);
            body.drain(..head.header_len);
            let Some(websocket) = head.websocket else { return Ok(Some(body)) };
            if let Some(mask) = websocket.mask {
                mask.apply(&mut body);
            }
            let reply = match websocket.kind {
                Kind::Zmtp(_) => return Ok(Some(body)),
                Kind::Fragment { .. } => return Err(HandshakeError::silent(Error::PROTO)),
                Kind::Ping => Some((Kind::Pong, body)),
                Kind::Pong => None,
                Kind::Close => Some((Kind::Close, close::answer(&body))),
            };
            if let (Some((reply, payload)), Some(framer)) = (reply, &mut local.framer)
                && local.output.len() < MAX_ANSWERS
            {
                framer.control(reply, &payload, &mut local.output);
            }
            if websocket.kind == Kind::Close {
                return Err(HandshakeError::closed());
            }
        }
    }

    fn head(&self) -> std::result::Result<Option<Head>, Error> {
        match self.envelope {
            Envelope::Zmtp(framing) => Ok(match framing.parse_header(&self.buffer)? {
                HeaderParse::Incomplete => None,
                HeaderParse::Header { header_len, body_len, .. } => {
                    Some(Head { header_len, body_len, websocket: None })
                }
            }),
            Envelope::WebSocket(side) => Ok(zws::frame::parse(&self.buffer, side)?.map(|head| {
                Head { header_len: head.header_len, body_len: head.body_len, websocket: Some(head) }
            })),
        }
    }
}
