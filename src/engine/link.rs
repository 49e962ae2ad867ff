// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A socket's pipe joined to a stream.

use super::ASYNC_ONLY;
use super::counters::{Side, Written};
use super::decode::Decoder;
use super::encode::Encoder;
use super::pace;
use super::rx::{ReadEnd, Rx};
use super::rx_set::RxSet;
use super::tx::{BATCH, Progress, Tx};
use super::tx_ownership::{TxOwnership, TxState};
use crate::errno::{Error, Result};
use crate::msg::Metadata;
use crate::pipe::rope::{self, Committed, Sender, Writer};
use crate::pipe::{Latest, Peer, PipeId};
use crate::transport::Stream;
use crate::zmtp::error::{FailureClass, HandshakeEvent, ProtocolError};
use crate::zmtp::frame::{Flags, MAX_HEADER, encode_header};
use crate::zmtp::zws::CloseCode;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Writes a caller makes on one call.
const CALLER_WRITES: usize = 2;
/// Writes the I/O thread makes before it looks at others.
const IO_WRITES: usize = 16;
/// Bytes that a caller collects before it writes them itself although the I/O thread would.
const BORROW_AT: u64 = 64 * 1024;
/// The same of large bodies: there a write costs less beside what it writes.
const BORROW_BODIES_AT: u64 = 256 * 1024;
/// Bytes of commands that wait to be written; beyond that they are dropped.
const COMMANDS_MAX: usize = 64 * 1024;

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    pub class: FailureClass,
    pub error: Error,
    /// What the socket monitor is to be told of the security mechanism.
    pub event: HandshakeEvent,
}

impl Failure {
    pub fn connection(error: Error) -> Failure {
        Failure::new(FailureClass::Connection, error)
    }

    pub fn protocol(error: Error) -> Failure {
        Failure::new(FailureClass::Protocol, error)
    }

    /// A frame in traffic that the security mechanism cannot accept.
    pub fn security(error: ProtocolError) -> Failure {
        let event = HandshakeEvent::Protocol(error);
        Failure { event, ..Failure::protocol(Error::PROTO) }
    }

    pub fn timeout() -> Failure {
        Failure::new(FailureClass::Timeout, Error::AGAIN)
    }

    fn new(class: FailureClass, error: Error) -> Failure {
        Failure { class, error, event: HandshakeEvent::None }
    }
}

/// What a link asks of its I/O thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Messages come in a stream: write them from now on.
    Promise,
    /// The kernel takes no more: write when it does.
    Blocked,
    /// Nothing can be written any more; there may be something left to read.
    WriteFailed(Error),
    /// The connection broke.
    Failed(Failure),
    /// The socket has closed its end of the pipe.
    PipeClosed,
    /// The peer asked for a time-out. `traffic` is the number of reads up to its PING, one less if
    /// more than the PING came with it.
    PingTtl { deciseconds: u16, traffic: u64 },
}

/// The I/O thread of a link. `token` is the number the link was given there.
pub trait Home: Send + Sync {
    fn request(&self, token: usize, request: Request);

    /// The number of the thread that has left many connections to this one, or 0.
    fn crowd(&self) -> u64 {
        0
    }
}

/// The socket of a link.
pub trait Owner: Send + Sync {
    /// The pipe was empty and is not any more, or has ended.
    fn readable(&self, pipe: PipeId);
    /// The pipe was full and is not any more.
    fn writable(&self, pipe: PipeId);
}

/// What a connection needs to know before traffic begins.
pub struct Traffic {
    pub stream: Arc<Stream>,
    pub encoder: Encoder,
    pub decoder: Decoder,
    pub metadata: Option<Arc<Metadata>>,
    /// Flags and bodies of frames that the socket gets ahead of what the peer sends.
    pub notices: Vec<(u8, Vec<u8>)>,
    /// Bytes that arrived with the end of the handshake.
    pub leftover: Vec<u8>,
    /// The end of the handshake that could not be sent yet.
    pub unsent: Vec<u8>,
    /// A message to be sent ahead of those in the pipe (ZMQ_HELLO_MSG).
    pub hello: Option<Vec<u8>>,
}

/// Who writes.
enum Caller<'a> {
    /// Whoever appends messages, under the socket's lock; with the end it appends to.
    Sender(Option<&'a mut Writer>),
    /// Somebody with a command, while others may append messages.
    Beside,
}

pub struct Link {
    ownership: TxOwnership,
    /// Writing makes no sense now: no connection, or a full kernel buffer.
    blocked: AtomicBool,
    /// Each message is a write of its own, whoever makes it.
    datagrams: AtomicBool,
    tx: Mutex<Tx>,
    committed: Committed,
    /// Rope bytes and bodies written so far, to be compared with what was appended.
    sent: AtomicU64,
    /// See [`batch`](Link::batch).
    batch: AtomicU64,
    rx: Mutex<Rx>,
    /// Commands to be sent between two frames.
    commands: Mutex<Vec<u8>>,
    commands_waiting: AtomicBool,
    /// A conflating pipe has a message that was not looked at.
    latest_waiting: AtomicBool,
    /// See [`Tx::has_unsent`].
    unsent: AtomicBool,
    home: Arc<dyn Home>,
    /// The session's number at the I/O thread.
    token: usize,
    owner: Arc<dyn Owner>,
    pipe: AtomicU64,
    place: Mutex<Option<(Arc<RxSet>, usize)>>,
    /// Reads that brought something, for the heartbeat.
    traffic: AtomicU64,
    pipe_closed: AtomicBool,
    /// The thread that left the output to the I/O thread.
    promised_by: AtomicU64,
}

impl Link {
    /// A link without a stream. `inbound` is the writing end of what the socket reads, `outbound`
    /// the reading end of what it writes, up to `batch` bytes at a time.
    pub fn new(
        token: usize,
        outbound: (rope::Reader, Option<Latest>),
        rx: Rx,
        batch: Option<usize>,
        home: Arc<dyn Home>,
        owner: Arc<dyn Owner>,
    ) -> Link {
        let (outbound, outbound_latest) = outbound;
        let committed = outbound.committed();
        Link {
            ownership: TxOwnership::new(),
            blocked: AtomicBool::new(true),
            datagrams: AtomicBool::new(false),
            tx: Mutex::new(
                Tx::new(Sender::new(outbound), outbound_latest).with_batch(batch.unwrap_or(BATCH)),
            ),
            committed,
            sent: AtomicU64::new(0),
            batch: AtomicU64::new(BORROW_AT),
            rx: Mutex::new(rx),
            commands: Mutex::new(Vec::new()),
            commands_waiting: AtomicBool::new(false),
            latest_waiting: AtomicBool::new(false),
            unsent: AtomicBool::new(false),
            home,
            token,
            owner,
            pipe: AtomicU64::new(PipeId::NONE.to_raw()),
            place: Mutex::new(None),
            traffic: AtomicU64::new(0),
            pipe_closed: AtomicBool::new(false),
            promised_by: AtomicU64::new(0),
        }
    }

    /// The number of the session this link belongs to.
    pub fn session(&self) -> u64 {
        self.token as u64
    }

    pub fn set_pipe(&self, pipe: PipeId) {
        self.pipe.store(pipe.to_raw(), Ordering::Release);
    }

    pub fn pipe(&self) -> PipeId {
        PipeId::from_raw(self.pipe.load(Ordering::Acquire))
    }

    pub fn owner(&self) -> &Arc<dyn Owner> {
        &self.owner
    }

    /// Reads so far that brought something.
    pub fn traffic(&self) -> u64 {
        self.traffic.load(Ordering::Relaxed)
    }

    pub fn written_so_far(&self) -> Written {
        self.tx.lock().written
    }

    /// True once the socket has closed its end of the pipe.
    pub fn is_pipe_closed(&self) -> bool {
        self.pipe_closed.load(Ordering::Acquire)
    }

    /// Something was appended that has not been written.
    pub fn has_waiting(&self) -> bool {
        self.committed.volume() != self.sent.load(Ordering::Acquire)
            || self.commands_waiting.load(Ordering::Acquire)
            || self.latest_waiting.load(Ordering::Acquire)
            || self.unsent.load(Ordering::Acquire)
    }

    /// The number of the thread that left the output to the I/O thread last, or 0.
    pub fn promised_by(&self) -> u64 {
        self.promised_by.load(Ordering::Relaxed)
    }

    /// Bytes appended so far.
    pub fn appended(&self) -> u64 {
        self.committed.volume()
    }

    /// What a caller collects before it writes, in bytes, as far as is known.
    pub fn batch(&self) -> u64 {
        self.batch.load(Ordering::Relaxed)
    }

    /// Bytes written so far, to see whether somebody is writing.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    // The caller's side. All under the socket's lock.

    /// Leaves an idle output to the I/O thread.
    fn promise(&self) {
        if self.ownership.try_promise() {
            self.promised_by.store(pace::thread(), Ordering::Relaxed);
            self.request(Request::Promise);
        }
    }

    /// Whether enough was collected to be written by the caller.
    #[inline]
    fn is_batch(&self, writer: &Writer) -> bool {
        let waiting = writer.volume() - self.sent.load(Ordering::Relaxed);
        if waiting < BORROW_AT {
            return false;
        }
        let batch = if writer.ends_with_large() { BORROW_BODIES_AT } else { BORROW_AT };
        self.batch.store(batch, Ordering::Relaxed);
        waiting >= batch
    }

    fn write_direct(&self, writer: &mut Writer) {
        let datagrams = self.datagrams.load(Ordering::Relaxed);
        if !datagrams && pace::is_stream(self.home.crowd()) {
            self.promise();
            pace::ended();
            return;
        }
        if !self.ownership.try_app() {
            return;
        }
        self.write_owned(Caller::Sender(Some(writer)));
        if !datagrams {
            pace::ended();
        }
    }

    /// Writes as the owner (`App` or `Borrowed`), and lets go.
    fn write_owned(&self, mut caller: Caller<'_>) {
        loop {
            let borrowed = self.ownership.state() == TxState::Borrowed;
            let progress = {
                let mut tx = self.tx.lock();
                let progress = self.round(&mut tx, CALLER_WRITES, Side::Caller);
                if let (Progress::Drained, Caller::Sender(Some(writer))) = (progress, &mut caller) {
                    tx.sender().rewind(writer);
                }
                progress
            };
            match progress {
                Progress::Drained => match caller {
                    Caller::Sender(_) => self.ownership.app_done(),
                    Caller::Beside => self.ownership.app_done_beside(),
                },
                Progress::More => {
                    self.ownership.app_to_io();
                    if !borrowed {
                        self.request(Request::Promise);
                    }
                }
                Progress::Blocked => {
                    self.blocked.store(true, Ordering::Release);
                    self.ownership.app_to_io();
                    self.request(Request::Blocked);
                }
                Progress::Detached => self.ownership.app_to_io(),
                Progress::Failed(error) => {
                    self.blocked.store(true, Ordering::Release);
                    // Told first: while the output is owned there is no other connection.
                    self.request(Request::WriteFailed(error));
                    self.ownership.app_to_io();
                }
            }
            // Commands may have come in from a reading thread meanwhile.
            if progress != Progress::Drained
                || borrowed
                || !self.has_waiting()
                || !self.ownership.try_app()
            {
                return;
            }
        }
    }

    /// One round of writing by whoever owns the output.
    fn round(&self, tx: &mut Tx, writes: usize, side: Side) -> Progress {
        if self.commands_waiting.load(Ordering::Acquire) {
            let mut commands = self.commands.lock();
            if tx.insert(&mut commands) {
                self.commands_waiting.store(false, Ordering::Release);
            }
        }
        self.latest_waiting.store(false, Ordering::SeqCst);
        let progress = tx.speculative_write(writes, side);
        if progress != Progress::Drained && tx.has_latest() {
            self.latest_waiting.store(true, Ordering::SeqCst);
        }
        self.unsent.store(tx.has_unsent(), Ordering::Release);
        self.sent.store(tx.volume(), Ordering::Release);
        if tx.sender().grant_credit() {
            self.owner.writable(self.pipe());
        }
        progress
    }

    // Commands, from either side.

    /// Sends a command frame between two frames of the pipe. A peer that does not read what it has
    /// asked for gets no more of it.
    pub fn send_command(&self, frame: &[u8]) {
        if self.queue_command(frame) {
            self.write_unpaced(Caller::Beside);
        }
    }

    /// The same for an answer to what is being read: all of them go out when the read is over.
    pub(super) fn answer(&self, frame: &[u8]) {
        if !self.queue_command(frame) {
            self.write_unpaced(Caller::Beside);
            let _ = self.queue_command(frame);
        }
    }

    /// The same for the last command of a connection whose input has ended: it goes out before the
    /// failure is reported, see [`write_last_words`](Link::write_last_words). False: it is not sent.
    pub(super) fn queue_command(&self, frame: &[u8]) -> bool {
        let mut commands = self.commands.lock();
        if commands.len() >= COMMANDS_MAX {
            return false;
        }
        commands.extend_from_slice(frame);
        drop(commands);
        self.commands_waiting.store(true, Ordering::Release);
        true
    }

    /// Writes what no message of the pipe is: it is never part of a stream.
    fn write_unpaced(&self, caller: Caller<'_>) {
        if self.ownership.after_command() != TxState::Idle {
            return;
        }
        if ASYNC_ONLY {
            self.promise();
        } else if self.ownership.try_app() {
            self.write_owned(caller);
        }
    }

    // The I/O thread's side.

    /// Starts traffic on a new connection. What was queued meanwhile is to be written by
    /// [`io_write`](Link::io_write).
    pub fn attach(&self, traffic: Traffic) -> Result<()> {
        let mut woken = false;
        {
            let mut rx = self.rx.lock();
            rx.attach(traffic.stream.clone(), traffic.decoder, traffic.metadata);
            for (flags, body) in &traffic.notices {
                woken |= rx.inject(*flags, body);
            }
            rx.preload(&traffic.leftover)?;
        }
        if woken {
            self.owner.readable(self.pipe());
        }
        self.take_output();
        self.datagrams.store(traffic.encoder.outbound().is_some(), Ordering::Relaxed);
        {
            let mut tx = self.tx.lock();
            tx.attach(traffic.stream, traffic.encoder, traffic.unsent);
            if let Some(hello) = traffic.hello {
                let mut header = [0; MAX_HEADER];
                let length = encode_header(Flags::NONE, hello.len() as u64, &mut header);
                tx.insert(&mut [&header[..length], &hello].concat());
            }
        }
        self.blocked.store(false, Ordering::Release);
        self.ownership.io_keep();
        Ok(())
    }

    /// Ends traffic: whatever was begun in either direction is dropped, whole messages stay.
    pub fn detach(&self) {
        self.blocked.store(true, Ordering::Release);
        self.take_output();
        {
            let mut tx = self.tx.lock();
            self.insert_last_words(&mut tx);
            tx.detach();
            self.unsent.store(false, Ordering::Release);
            self.sent.store(tx.volume(), Ordering::Release);
        }
        self.commands.lock().clear();
        self.commands_waiting.store(false, Ordering::Release);
        self.ownership.io_keep();
        self.rx.lock().detach();
    }

    /// Tells the peer that the connection ends, if that can be said at once; to be detached next.
    pub fn say_close(&self, code: CloseCode) {
        self.take_output();
        self.tx.lock().close(code);
        self.ownership.io_keep();
    }

    /// Gives the socket a frame that did not come over the wire. Not while there is a connection:
    /// what was read of a frame that is not whole yet would be lost.
    pub fn inject(&self, flags: u8, body: &[u8]) {
        if self.rx.lock().inject(flags, body) {
            self.owner.readable(self.pipe());
        }
    }

    /// Changes the high-water mark for what is received.
    pub fn set_receive_limit(&self, limit: u64) {
        self.rx.lock().set_limit(limit);
    }

    /// Closes the inbound side for good: once the socket has read what is there, its pipe ends.
    pub fn close_inbound(&self) {
        if self.rx.lock().close() {
            self.owner.readable(self.pipe());
        }
    }

    /// Waits for a caller that is writing just now; it does not block there.
    fn take_output(&self) {
        while !self.ownership.try_io() {
            crate::transport::sched_yield();
        }
    }

    /// Writes what is waiting. `None`: a caller is writing just now.
    pub fn io_write(&self) -> Option<Progress> {
        self.io_write_times(IO_WRITES)
    }

    /// The same, with one write at most: what is appended meanwhile is left for the next time.
    pub fn io_write_once(&self) -> Option<Progress> {
        self.io_write_times(1)
    }

    fn io_write_times(&self, writes: usize) -> Option<Progress> {
        if !self.ownership.try_io() {
            return None;
        }
        let progress = self.round(&mut self.tx.lock(), writes, Side::IoThread);
        self.blocked
            .store(!matches!(progress, Progress::Drained | Progress::More), Ordering::Release);
        self.ownership.io_keep();
        Some(progress)
    }

    /// Takes the promise back, as long as [`was_released`](Link::was_released) agrees. False:
    /// something is waiting, the promise stays. Sets `fence` if a heavy fence has to come before
    /// that.
    pub fn release(&self, fence: &mut bool) -> bool {
        if !self.ownership.try_io() {
            return false;
        }
        if self.has_waiting() {
            self.ownership.io_keep();
            return false;
        }
        *fence |= self.ownership.io_done();
        true
    }

    /// After [`release`](Link::release). False: something was appended meanwhile,
    /// the promise stays.
    pub fn was_released(&self) -> bool {
        if self.has_waiting() && self.ownership.try_io() {
            self.ownership.io_keep();
            return false;
        }
        true
    }

    // Reading, by whoever holds the lock of the set.

    /// Reads up to a fair share; true when the socket's pipe was asleep and must be activated.
    pub fn read(&self, at_end: bool) -> (bool, ReadEnd) {
        let mut rx = self.rx.lock();
        let before = rx.reads();
        let (activated, end) = rx.read(self, at_end);
        if rx.reads() != before {
            self.traffic.store(rx.reads(), Ordering::Relaxed);
        }
        drop(rx);
        if let ReadEnd::Failed(failure) = end {
            self.write_last_words();
            self.request(Request::Failed(failure));
        } else if self.commands_waiting.load(Ordering::Acquire) {
            self.write_unpaced(Caller::Beside);
        }
        (activated, end)
    }

    /// An answer to a peer that ends the connection goes out, and nothing behind it: messages wait
    /// for the next connection.
    fn write_last_words(&self) {
        // A caller that is writing just now leaves it to whoever detaches.
        if self.commands_waiting.load(Ordering::Acquire) && self.ownership.try_io() {
            self.insert_last_words(&mut self.tx.lock());
            self.ownership.io_keep();
        }
    }

    fn insert_last_words(&self, tx: &mut Tx) {
        if !self.commands_waiting.load(Ordering::Acquire) {
            return;
        }
        let mut commands = self.commands.lock();
        if tx.insert(&mut commands) {
            self.commands_waiting.store(false, Ordering::Release);
            tx.write_inserted();
        }
    }

    /// See [`Request::PingTtl`].
    pub(super) fn ping_ttl(&self, deciseconds: u16, traffic: u64) {
        self.request(Request::PingTtl { deciseconds, traffic });
    }

    /// Where the link is among its socket's connections.
    pub fn set_place(&self, place: Option<(Arc<RxSet>, usize)>) {
        *self.place.lock() = place;
    }

    pub fn place(&self) -> Option<(Arc<RxSet>, usize)> {
        self.place.lock().clone()
    }

    fn request(&self, request: Request) {
        self.home.request(self.token, request);
    }
}

impl Peer for Link {
    #[inline]
    fn written(&self, writer: &mut Writer) {
        writer.publish();
        match self.ownership.after_append() {
            TxState::Idle if ASYNC_ONLY => self.promise(),
            TxState::Idle => self.write_direct(writer),
            TxState::Io
                if !ASYNC_ONLY
                    && self.is_batch(writer)
                    && !self.blocked.load(Ordering::Relaxed)
                    && self.ownership.try_borrow() =>
            {
                self.write_owned(Caller::Sender(Some(writer)));
            }
            _ => {}
        }
    }

    fn replaced(&self) {
        self.latest_waiting.store(true, Ordering::SeqCst);
        self.write_unpaced(Caller::Sender(None));
    }

    fn full(&self) {
        if !ASYNC_ONLY
            && self.ownership.state() == TxState::Io
            && !self.blocked.load(Ordering::Relaxed)
            && self.ownership.try_borrow()
        {
            self.write_owned(Caller::Sender(None));
        }
    }

    fn credit(&self) {
        if let Some((set, place)) = self.place() {
            set.resume(place);
        }
    }

    fn closed(&self) {
        self.pipe_closed.store(true, Ordering::Release);
        self.request(Request::PipeClosed);
    }
}
