// SPDX-License-Identifier: MPL-2.0
//! The receiving side of a connection, as the library has it: a link, a stream of the kernel's, the
//! rope that its socket reads. What a peer sends goes in, what the socket and the peer get comes
//! out.

#![forbid(unsafe_code)]

use crate::input::Pieces;
use crate::memory;
use crate::zmtp::Expected;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use zmq::engine::{
    Decoder, Deframing, Encoder, Failure, Home, Link, Owner, Progress, ReadEnd, Request, Rx,
    RxRules, Traffic, halves,
};
use zmq::errno::Error;
use zmq::pipe::rope::{Reader, Writer, rope};
use zmq::pipe::{Peer, PipeId};
use zmq::transport::{Kind, Stream};
use zmq::zmtp::{Cipher, Halves};

/// A frame as a socket gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub more: bool,
    pub command: bool,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn new(flags: u8, body: &[u8]) -> Frame {
        Frame { more: flags & 1 != 0, command: flags & 4 != 0, body: body.to_vec() }
    }
}

/// What came of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub frames: Vec<Frame>,
    /// What the peer was sent.
    pub output: Vec<u8>,
    pub failure: Option<Failure>,
}

/// Time-outs the peer has asked for.
#[derive(Default)]
struct Thread(Mutex<usize>);

impl Home for Thread {
    fn request(&self, _token: usize, request: Request) {
        if let Request::PingTtl { deciseconds, .. } = request {
            assert!(deciseconds > 0);
            *self.0.lock().unwrap() += 1;
        }
    }
}

struct Nobody;

impl Owner for Nobody {
    fn readable(&self, _pipe: PipeId) {}
    fn writable(&self, _pipe: PipeId) {}
}

pub struct Connection {
    pub link: Link,
    /// What the socket sends.
    pub writer: Writer,
    reader: Reader,
    /// Unless it is somebody else's.
    peer: Option<Socket>,
    limit: u64,
    received: Received,
}

impl Connection {
    pub fn new(rules: RxRules, encoder: Encoder, decoder: Decoder, leftover: &[u8]) -> Connection {
        let (near, peer) =
            Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("sockets");
        let mut connection = Connection::over(near, rules, encoder, decoder, leftover);
        connection.peer = Some(peer);
        connection
    }

    /// One whose peer is somebody else's.
    pub fn over(
        near: Socket,
        rules: RxRules,
        encoder: Encoder,
        decoder: Decoder,
        leftover: &[u8],
    ) -> Connection {
        let (inbound, reader) = rope().expect("memory");
        let (writer, outbound) = rope().expect("memory");
        let home = Arc::new(Thread::default());
        let rx = Rx::new(inbound, rules);
        let link = Link::new(1, (outbound, None), rx, None, home, Arc::new(Nobody));
        let stream = Arc::new(Stream::new(OwnedFd::from(near), Kind::Ipc));
        let (leftover, unsent) = (leftover.to_vec(), Vec::new());
        let traffic = Traffic {
            stream,
            encoder,
            decoder,
            metadata: None,
            leftover,
            unsent,
            hello: None,
            notices: Vec::new(),
        };
        link.attach(traffic).expect("memory");
        let limit = rules.limit;
        let received = Received::default();
        Connection { link, writer, reader, peer: None, limit, received }
    }

    /// The peer sends these bytes, and they are read as they come.
    pub fn feed(&mut self, bytes: &[u8], pieces: Pieces) {
        for piece in pieces.split(bytes) {
            let mut rest = piece;
            while !rest.is_empty() && self.received.failure.is_none() {
                let Some(peer) = &mut self.peer else { return };
                match peer.write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                self.read();
            }
        }
    }

    /// The peer has finished sending.
    pub fn finish(&mut self) {
        let Some(peer) = &self.peer else { return };
        peer.shutdown(std::net::Shutdown::Write).expect("a socket");
        if self.received.failure.is_some() {
            return;
        }
        self.read();
        assert!(self.received.failure.is_some(), "the end was not seen");
    }

    /// Reads until nothing is left. The socket takes what has come whenever it has to.
    pub fn read(&mut self) {
        let mut stalled = false;
        while self.received.failure.is_none() {
            let (_, end) = self.link.read(false);
            self.write();
            assert!(self.reader.backlog() <= self.limit, "more messages than may wait");
            match end {
                ReadEnd::Drained => break,
                ReadEnd::More => stalled = false,
                ReadEnd::Stalled => {
                    let taken = self.take();
                    assert!(taken || !stalled, "waits for room in an empty pipe");
                    stalled = true;
                }
                ReadEnd::Failed(failure) => self.received.failure = Some(failure),
                ReadEnd::Detached => panic!("detached"),
            }
        }
    }

    /// The socket takes what there is. True: there was something.
    fn take(&mut self) -> bool {
        let before = self.received.frames.len();
        while let Some(frame) = self.reader.frame() {
            self.received.frames.push(Frame::new(frame.flags, frame.body));
            if frame.external && before % 2 == 0 {
                let body = self.reader.take_external().expect("it is a message");
                assert_eq!(body.data(), self.received.frames.last().expect("a frame").body);
            } else {
                self.reader.skip();
            }
        }
        let _ = self.reader.grant_credit();
        self.received.frames.len() != before
    }

    /// The library writes what it has to, the peer reads it.
    pub fn write(&mut self) {
        for _ in 0..1000 {
            let progress = self.link.io_write();
            self.read_peer();
            match progress {
                Some(Progress::Drained | Progress::Detached | Progress::Failed(_)) => return,
                _ => {}
            }
        }
        panic!("no end of writing");
    }

    fn read_peer(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let mut buffer = [0; 16384];
        loop {
            match peer.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => self.received.output.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Publishes what was appended to the writer; it may be written already.
    pub fn publish(&mut self) {
        self.link.written(&mut self.writer);
    }

    pub fn end(mut self) -> Received {
        self.take();
        self.write();
        // Nothing that was not whole is left.
        self.link.detach();
        assert!(!self.take());
        self.link.close_inbound();
        assert!(self.reader.ended());
        self.received
    }
}

/// Receives sealed frames, and looks whether that comes to what was expected of them.
pub fn check_sealed(rules: RxRules, cipher: Cipher, sent: &[u8], expected: &Expected, seed: u16) {
    let Halves { open, seal } = halves(cipher);
    let decoder = Decoder::new(Deframing::Zmtp).opened(open);
    let encoder = Encoder::plain().sealed(seal);
    let received = memory::bounded(sent.len(), || {
        let mut connection = Connection::new(rules, encoder, decoder, b"");
        connection.feed(sent, Pieces::Random(seed));
        connection.finish();
        connection.end()
    });
    let Received { frames, failure, .. } = received;
    assert_eq!(frames, expected.frames);
    let failure = failure.expect("the end at least");
    assert_eq!(failure.error != Error::PIPE, expected.failed, "{failure:?}");
}
