// SPDX-License-Identifier: MPL-2.0
//! Handshakes, driven by what a peer sends.

#![forbid(unsafe_code)]

use crate::input::{Input, Pieces};
use crate::{memory, random};
use zmq::mechanism::{HandshakeConfig, MechanismConfig, zap::ZapConfig};
use zmq::zmtp::{Cipher, Established, Handshake, HandshakeError, SocketType};

/// What the ZAP handler says, if it is asked.
#[derive(Clone, Debug)]
pub enum Answer {
    /// There is none.
    NoHandler,
    Frames(Vec<Vec<u8>>),
    /// Nothing, for ever.
    Silence,
}

impl Answer {
    pub fn read(input: &mut Input) -> Answer {
        let status = match input.u8() % 8 {
            0 => return Answer::NoHandler,
            1 => return Answer::Silence,
            2 => b"300",
            3 => b"400",
            4 => b"500",
            5 => {
                let count = input.u8() % 10;
                return Answer::Frames((0..count).map(|_| input.chunk().to_vec()).collect());
            }
            _ => b"200",
        };
        let (user, metadata) = (input.chunk(), input.chunk());
        let frames: [&[u8]; 7] = [b"", b"1.0", b"1", status, b"text", user, metadata];
        Answer::Frames(frames.map(<[u8]>::to_vec).to_vec())
    }
}

/// This side, except for its mechanism.
#[derive(Clone)]
pub struct Local {
    pub socket_type: SocketType,
    pub routing_id: Vec<u8>,
    pub max_msg_size: i64,
    pub properties: Vec<(String, Vec<u8>)>,
    pub zap: Option<ZapConfig>,
}

impl Local {
    pub fn read(input: &mut Input) -> Local {
        let socket_type = input.choose(SocketType::ALL);
        let options = input.u8();
        let routing_id = vec![7; [0, 1, 5, 255][usize::from(options & 3)]];
        let max_msg_size = [-1, 0, 100, i64::MAX][usize::from(options >> 2 & 3)];
        let property = ("X-Name".to_owned(), b"value".to_vec());
        let properties = if options & 0x10 != 0 { vec![property] } else { Vec::new() };
        let zap = (options & 0x20 != 0).then(|| ZapConfig {
            domain: b"global".to_vec(),
            handler_required: options & 0x40 != 0,
            peer_address: "127.0.0.1".to_owned(),
        });
        Local { socket_type, routing_id, max_msg_size, properties, zap }
    }

    pub fn with(&self, mechanism: MechanismConfig) -> HandshakeConfig {
        HandshakeConfig {
            socket_type: self.socket_type,
            routing_id: self.routing_id.clone(),
            mechanism,
            max_msg_size: self.max_msg_size,
            properties: self.properties.clone(),
            zap: self.zap.clone(),
        }
    }
}

/// How far a handshake has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Pending,
    Established(Established),
    Failed(HandshakeError),
}

/// What a handshake has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes taken; the others are traffic.
    pub taken: usize,
    pub output: Vec<u8>,
    pub upgraded: bool,
    pub end: End,
}

/// A handshake on its way.
pub struct Driven<'a> {
    handshake: Handshake,
    answer: &'a Answer,
    outcome: Outcome,
}

impl<'a> Driven<'a> {
    pub fn new(handshake: Handshake, answer: &'a Answer) -> Driven<'a> {
        let outcome = Outcome { taken: 0, output: Vec::new(), upgraded: false, end: End::Pending };
        Driven { handshake, answer, outcome }
    }

    /// Takes bytes as far as they belong to the handshake. Then the ZAP handler answers what it was
    /// asked.
    pub fn feed(&mut self, bytes: &[u8], pieces: Pieces) {
        for piece in pieces.split(bytes) {
            if self.outcome.end != End::Pending || self.handshake.is_established() {
                break;
            }
            let mut rest = piece;
            while !rest.is_empty() && self.outcome.end == End::Pending {
                let taken = match self.handshake.handle_input(rest) {
                    Ok(taken) => taken,
                    Err(error) => {
                        self.failed(error);
                        break;
                    }
                };
                assert!(taken <= rest.len());
                self.outcome.taken += taken;
                rest = &rest[taken..];
                let worked = self.work();
                if self.handshake.is_established() {
                    break;
                }
                assert!(worked || rest.is_empty(), "bytes left before the end");
            }
            self.look();
        }
        self.answer();
    }

    /// Does the work there is, in which nothing is taken. True: there was some.
    fn work(&mut self) -> bool {
        let mut worked = false;
        while let Some(mut work) = self.handshake.poll_work() {
            worked = true;
            assert_eq!(self.handshake.handle_input(b"not now"), Ok(0));
            assert!(self.handshake.poll_work().is_none());
            work.run();
            if let Err(error) = self.handshake.handle_work(work) {
                self.failed(error);
            }
        }
        worked
    }

    fn answer(&mut self) {
        // A peer's answer may bring another question, so far none does.
        for _ in 0..2 {
            let Some(request) = self.handshake.poll_zap_request() else { break };
            assert!(request.len() >= 7 && request[0].is_empty());
            let result = match self.answer {
                Answer::NoHandler => self.handshake.handle_no_zap_handler(),
                Answer::Silence => Ok(()),
                Answer::Frames(frames) => {
                    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                    self.handshake.handle_zap_reply(&frames)
                }
            };
            if let Err(error) = result {
                self.failed(error);
            }
            self.look();
        }
    }

    fn failed(&mut self, error: HandshakeError) {
        if self.outcome.end == End::Pending {
            self.outcome.end = End::Failed(error);
        }
        assert!(self.handshake.handle_input(b"x").is_err(), "a failure is for good");
    }

    fn look(&mut self) {
        self.outcome.upgraded |= self.handshake.poll_upgraded();
        // In two steps, as a kernel may take it.
        let output = self.handshake.output().to_vec();
        self.handshake.advance_output(output.len() / 2);
        assert_eq!(self.handshake.output(), &output[output.len() / 2..]);
        self.handshake.advance_output(output.len() - output.len() / 2);
        assert!(self.handshake.output().is_empty());
        self.outcome.output.extend_from_slice(&output);
    }

    /// What was sent since the last time this was asked, or in all.
    pub fn output(&mut self) -> Vec<u8> {
        self.look();
        self.outcome.output.clone()
    }

    pub fn end(mut self) -> (Outcome, Option<Cipher>) {
        self.look();
        let cipher = self.handshake.take_cipher();
        assert!(self.handshake.take_cipher().is_none());
        let established = self.handshake.is_established();
        if let Some(done) = self.handshake.into_established() {
            assert!(established && done.unsent.is_empty());
            // A ZAP handler that is asked once more after the end has no say.
            if self.outcome.end == End::Pending {
                self.outcome.end = End::Established(done);
            }
        }
        (self.outcome, cipher)
    }
}

/// Runs a handshake over these flights, after each of which the ZAP handler answers.
pub fn drive(
    start: &dyn Fn() -> Handshake,
    flights: &[&[u8]],
    answer: &Answer,
    pieces: Pieces,
) -> Outcome {
    random::restart();
    let mut driven = Driven::new(start(), answer);
    for flight in flights {
        driven.feed(flight, pieces);
    }
    driven.end().0
}

/// The same bytes in any pieces come to the same. `lenient`: what can come to no good may be
/// refused earlier the more of it is there.
pub fn check(
    start: &dyn Fn() -> Handshake,
    flights: &[&[u8]],
    answer: &Answer,
    seed: u16,
    lenient: bool,
) -> Outcome {
    let total = flights.iter().map(|flight| flight.len()).sum();
    let run = |pieces| memory::bounded(total, || drive(start, flights, answer, pieces));
    let whole = run(Pieces::Whole);
    for pieces in [Pieces::Bytes, Pieces::Random(seed)] {
        let split = run(pieces);
        match (&whole.end, &split.end) {
            (End::Failed(_), End::Pending) if lenient => {}
            // Of a piece that failed it is not known how much was taken.
            (End::Failed(one), End::Failed(other)) => {
                assert_eq!(one, other, "{pieces:?}");
                assert_eq!(whole.output.len(), split.output.len(), "{pieces:?}");
            }
            _ if lenient => {
                assert_eq!(whole.end, split.end, "{pieces:?}");
                assert_eq!(whole.taken, split.taken, "{pieces:?}");
                // Masked by random keys.
                assert_eq!(whole.output.len(), split.output.len(), "{pieces:?}");
            }
            _ => assert_eq!(whole, split, "{pieces:?}"),
        }
    }
    whole
}

/// Flights, each with its length ahead of it; the last one takes what is left.
pub fn flights<'a>(input: &mut Input<'a>, count: usize) -> Vec<&'a [u8]> {
    let mut flights = Vec::new();
    for _ in 1..count {
        if input.is_empty() {
            return flights;
        }
        flights.push(input.long_chunk());
    }
    flights.push(input.rest());
    flights
}
