// SPDX-License-Identifier: MPL-2.0
//! TLS records, to a server and to a client, over a socket pair: any bytes, from the first one or
//! once the handshake is complete; records sealed with the right keys, of any type and shape.
//!
//! The library's side gets nothing but what the peer sent as data, in order, and all of it up to the
//! first record that is not as it should be; the peer can open all it is answered, and nothing comes
//! behind a fatal alert. Keys are not the same in every run: rustls has no random numbers but its
//! own.
#![no_main]

use ferrozmq_fuzz::input::Pieces;
use ferrozmq_fuzz::tls::{HEADER, IDENTITY, Negotiation, Peer, RECORD};
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use zmq::endpoint::Host;
use zmq::errno::Error;
use zmq::options::Options;
use zmq::transport::tls::{ClientTls, ServerTls};
use zmq::transport::{Kind, ReadOutcome, Stream, WriteOutcome};

/// Bytes that an input makes at most, until the record that reaches them.
const LONGEST: usize = 128 * 1024;
/// Records without data in a row that nobody minds.
const IDLE: usize = 32;

/// What a server says before it has heard the client's last message.
const EARLY: &[u8] = b"early";

const DATA: u8 = 23;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const TLS12: u16 = 0x0303;

fuzz_target!(|data: &[u8]| memory::bounded(data.len() + 8192, || run(data)));

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, how, seed, room) = (input.u8(), input.u8(), input.u16(), input.u16());
    let server = choice & 1 == 0;
    let (mut local, mut far) = Local::new(server, usize::from(room) % 40_000 + 1);
    let pieces = [Pieces::Whole, Pieces::Random(seed)][usize::from(how & 1)];
    if choice & 2 != 0 {
        for piece in pieces.split(input.rest()) {
            far.send(piece, &mut local);
        }
        assert!(!local.negotiated && local.received.is_empty());
        return;
    }
    let mut early: &[u8] = if how & 2 != 0 { EARLY } else { b"" };
    let spoiled = (how & 4 != 0).then(|| (usize::from(input.u16()), input.u8()));
    let negotiation = Negotiation::new(!server, usize::from(choice >> 2));
    let Some((mut peer, last)) = negotiate(negotiation, &mut local, &mut far, &mut early, spoiled)
    else {
        return;
    };
    let early = if how & 2 != 0 && early.is_empty() { EARLY } else { b"" };
    let mut sender = Sender::new(last, early, spoiled.is_some());
    while !input.is_empty() && sender.volume < LONGEST {
        sender.step(&mut input, &mut peer, &mut local, &mut far, pieces);
    }
    sender.send(&mut local, &mut far, pieces);
    far.hear(&mut peer);
    if input.is_empty() && how & 8 != 0 {
        far.0.shutdown(Shutdown::Write).expect("an end");
        local.advance();
        assert!(local.end.is_some() || !local.negotiated);
        sender.closing = true;
    }
    sender.check(&local);
    // What is sent to the peer goes on as long as there is nothing wrong.
    local.check_answers(&peer, &sender);
    let failed = matches!(local.end, Some(Some(_)));
    let negotiated = local.negotiated;
    drop(local.stream);
    far.hear(&mut peer);
    assert!(failed || !negotiated || peer.is_told(), "no end");
}

/// The library's side.
struct Local {
    stream: Stream,
    room: usize,
    negotiated: bool,
    received: Vec<u8>,
    /// How reading has ended: with an error, or as the peer wanted.
    end: Option<Option<Error>>,
    /// What it has sent.
    answers: Vec<u8>,
}

/// The peer's socket.
struct Far(Socket);

impl Local {
    fn new(server: bool, room: usize) -> (Local, Far) {
        let (near, far) =
            Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("sockets");
        let mut options = Options::new(0, false, true);
        let tls = if server {
            options.wss_cert_pem = IDENTITY.to_vec();
            options.wss_key_pem = IDENTITY.to_vec();
            ServerTls::new(&options).and_then(|tls| tls.start())
        } else {
            options.wss_trust_pem = IDENTITY.to_vec();
            let host = Host::Name { name: "localhost".to_owned(), zone: None };
            ClientTls::new(&options, &host).and_then(|tls| tls.start())
        };
        let stream = Stream::new(OwnedFd::from(near), Kind::Tcp).with_tls(tls.expect("tls"));
        let local = Local {
            stream,
            room,
            negotiated: false,
            received: Vec::new(),
            end: None,
            answers: Vec::new(),
        };
        (local, Far(far))
    }

    /// Takes what has come, to the end of it.
    fn advance(&mut self) {
        if !self.negotiated && self.end.is_none() {
            match self.stream.negotiate() {
                Ok(done) => self.negotiated = done,
                Err(error) => self.end = Some(Some(error)),
            }
        }
        let mut buffer = vec![0; self.room];
        while self.negotiated {
            let end = match self.stream.read_into(&mut buffer) {
                Ok(ReadOutcome::Read(count)) => {
                    assert!(count > 0 && self.end.is_none());
                    self.received.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Ok(ReadOutcome::WouldBlock) => None,
                Ok(ReadOutcome::Closed) => Some(None),
                Err(error) => Some(Some(error)),
            };
            assert!(self.end.is_none() || self.end == end, "it ends once");
            assert_eq!(self.stream.holds_input(), end.is_some());
            self.end = end;
            return;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if !self.negotiated {
            return;
        }
        match self.stream.write_some(&[IoSlice::new(bytes)]) {
            Ok(WriteOutcome::Wrote(count)) => {
                assert!(!matches!(self.end, Some(Some(_))), "nothing may follow");
                self.answers.extend_from_slice(&bytes[..count]);
            }
            Ok(WriteOutcome::WouldBlock) => {}
            Err(error) => assert_eq!(self.end, Some(Some(error))),
        }
    }

    fn check_answers(&self, peer: &Peer, sender: &Sender) {
        if !sender.spoiled {
            assert!(peer.data == self.answers || self.stream.has_unsent());
        }
        assert!(peer.key_updates <= sender.asked);
        let refusals = peer.alerts.iter().filter(|alert| alert[0] == 1).count();
        assert!(refusals <= 1, "to negotiate anew is refused once");
    }
}

impl Far {
    /// Sends to the library, which takes it at once.
    fn send(&mut self, mut bytes: &[u8], local: &mut Local) {
        while !bytes.is_empty() && local.end.is_none() {
            let count = self.0.write(bytes).expect("the library reads it");
            bytes = &bytes[count..];
            local.advance();
        }
    }

    fn read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match (&self.0).read_to_end(&mut all) {
                // Of what the library did not read a kernel tells once, ahead of what has come.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return all;
                }
                Ok(_) => return all,
            }
        }
    }

    fn hear(&mut self, peer: &mut Peer) {
        let bytes = self.read();
        peer.receive(&bytes);
    }
}

/// Both handshakes, and what the peer has not sent when its own is complete. `None`: it is not.
fn negotiate(
    mut negotiation: Negotiation,
    local: &mut Local,
    far: &mut Far,
    early: &mut &[u8],
    spoiled: Option<(usize, u8)>,
) -> Option<(Peer, Vec<u8>)> {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut sent = 0;
    loop {
        local.advance();
        input.extend_from_slice(&far.read());
        let done = negotiation.step(&mut input, &mut output, early);
        if let Some((at, with)) = spoiled
            && let Some(byte) = at.checked_sub(sent).and_then(|at| output.get_mut(at))
        {
            *byte ^= with;
        }
        sent += output.len();
        match done {
            Ok(true) => return Some((negotiation.finish(input), output)),
            Ok(false) if output.is_empty() || local.end.is_some() => {
                assert!(spoiled.is_some(), "a handshake that fails");
                return None;
            }
            Ok(false) => far.send(&std::mem::take(&mut output), local),
            Err(error) => {
                assert!(spoiled.is_some(), "{error}");
                return None;
            }
        }
    }
}

/// What the peer sends, and what has to come of it.
struct Sender {
    /// Records that wait.
    bytes: Vec<u8>,
    volume: usize,
    /// All data sealed in order.
    data: Vec<u8>,
    /// How much of it has to come, while there was nothing wrong...
    good: Option<usize>,
    /// ... and how much may, since there was something that ends a connection.
    most: Option<usize>,
    idle: usize,
    /// New keys asked for.
    asked: usize,
    spoiled: bool,
    closing: bool,
    /// The good part, as it was when something went wrong.
    least: usize,
}

impl Sender {
    fn new(last: Vec<u8>, early: &[u8], spoiled: bool) -> Sender {
        Sender {
            bytes: last,
            volume: 0,
            data: early.to_vec(),
            good: (!spoiled).then_some(early.len()),
            most: None,
            idle: 0,
            asked: 0,
            spoiled,
            closing: false,
            least: 0,
        }
    }

    fn doubt(&mut self) {
        if let Some(good) = self.good.take() {
            self.least = good;
        }
    }

    /// Nothing may come behind this.
    fn end(&mut self) {
        self.doubt();
        self.most.get_or_insert(self.data.len());
    }

    fn idle(&mut self) {
        self.idle += 1;
        if self.idle > IDLE {
            self.doubt();
        }
    }

    fn record(&mut self, peer: &mut Peer, typ: u8, version: u16, content: &[u8], padding: usize) {
        let padding = if peer.is_tls13() { padding } else { 0 };
        let long = content.len() + padding > RECORD;
        let before = self.data.len();
        let record = peer.seal(typ, version, content, padding);
        self.volume += record.len();
        self.bytes.extend_from_slice(&record);
        let (mut typ, mut content) = (typ, content);
        if typ == 0 && peer.is_tls13() {
            // That is padding, ahead of which the type is looked for.
            let end = content.iter().rposition(|byte| *byte != 0);
            (content, typ) = end.map_or((content, 0), |end| (&content[..end], content[end]));
        }
        match typ {
            DATA if long => self.end(),
            DATA if content.is_empty() => self.idle(),
            DATA => {
                self.idle = 0;
                self.data.extend_from_slice(content);
                if let Some(good) = &mut self.good {
                    *good = self.data.len();
                }
            }
            ALERT if matches!(content, [2, _] | [_, 0]) => self.end(),
            _ => self.doubt(),
        }
        // In TLS 1.3 it is not looked at.
        if version != TLS12 && !peer.is_tls13() {
            self.doubt();
            self.least = self.least.min(before);
        }
    }

    fn message(&mut self, peer: &mut Peer, typ: u8, length: u16, body: &[u8], part: usize) {
        let [a, b] = length.to_be_bytes();
        let message = [&[typ, 0, a, b], body].concat();
        for part in message.chunks(part.max(1)) {
            self.record(peer, HANDSHAKE, TLS12, part, 0);
        }
    }

    fn step(
        &mut self,
        input: &mut Input,
        peer: &mut Peer,
        local: &mut Local,
        far: &mut Far,
        pieces: Pieces,
    ) {
        let kind = input.u8();
        let high = usize::from(kind >> 4);
        match kind & 15 {
            0 => self.record(peer, DATA, TLS12, input.chunk(), high),
            1 => {
                let (length, padding) = (usize::from(input.u16()), usize::from(input.u16()));
                let start = self.data.len();
                let content: Vec<u8> =
                    (start..start + length % 17_000).map(|at| (at * 7 + at / 251) as u8).collect();
                self.record(peer, DATA, TLS12, &content, padding % 17_000 * (high & 1));
            }
            2 => {
                let (typ, version) = (input.u8(), if high & 1 != 0 { input.u16() } else { TLS12 });
                self.record(peer, typ, version, input.chunk(), high >> 1);
            }
            3 => self.record(peer, ALERT, TLS12, input.bytes(2), 0),
            4 => {
                let ask = high & 1;
                // As it should be, in as many records as one likes.
                let good = self.good;
                self.message(peer, 24, 1, &[ask as u8], [5, 1, 4, 3][high >> 1 & 3]);
                if peer.is_tls13() {
                    peer.take_key();
                    (self.good, self.asked) = (good, self.asked + ask);
                    self.idle();
                } else {
                    self.end();
                }
            }
            5 => {
                let good = self.good;
                let body = [&[0, 0, 0, 9, 1, 2, 3, 4, 0, 0, 1, kind, 0, 0][..]].concat();
                self.message(peer, 4, 14, &body, [18, 1, 4, 3][high & 3]);
                if peer.is_tls13() && peer.is_server() {
                    self.good = good;
                    self.idle();
                } else {
                    self.end();
                }
            }
            6 => {
                let (typ, length) = (input.u8(), input.u16());
                self.message(peer, typ, length, input.chunk(), high * high * high + 1);
            }
            7 => {
                // Bytes that no cipher has seen.
                self.bytes.extend_from_slice(input.chunk());
                self.doubt();
            }
            8 => {
                // A record, then a byte of it changed: at its end, or in its header.
                let (at, with) = (usize::from(input.u16()), input.u8());
                let start = self.bytes.len();
                let before = self.data.len();
                self.record(peer, DATA, TLS12, input.chunk(), high);
                let at = at % (self.bytes.len() - start);
                self.bytes[start + at] ^= with;
                if with != 0 {
                    self.doubt();
                    if at >= HEADER {
                        self.most.get_or_insert(before);
                    }
                    self.least = self.least.min(before);
                }
            }
            9 => {
                let (count, typ) = (input.u8(), input.choose(&[DATA, HANDSHAKE, ALERT]));
                let content = input.chunk();
                for _ in 0..count {
                    self.record(peer, typ, TLS12, content, high);
                }
            }
            10 | 11 => {
                self.send(local, far, pieces);
                local.write(input.chunk());
                far.hear(peer);
            }
            12 => {
                // A client that wants to begin anew, a server that wants it to.
                let typ = u8::from(!peer.is_server());
                self.message(peer, typ, 0, b"", 4);
            }
            _ => {
                self.send(local, far, pieces);
                far.hear(peer);
            }
        }
    }

    fn send(&mut self, local: &mut Local, far: &mut Far, pieces: Pieces) {
        let bytes = std::mem::take(&mut self.bytes);
        for piece in pieces.split(&bytes) {
            far.send(piece, local);
        }
        local.advance();
    }

    fn check(&self, local: &Local) {
        let received = &local.received;
        assert!(self.data.starts_with(received), "other data");
        assert!(received.len() >= self.good.unwrap_or(self.least), "not all of it");
        assert!(self.most.is_none_or(|most| received.len() <= most), "what nobody may get");
        if self.good.is_some() {
            assert!(local.negotiated && received.len() == self.data.len());
            assert_eq!(local.end, self.closing.then_some(None));
        }
    }
}
