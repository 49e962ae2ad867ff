// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The output of a connection: `speculative_write`.
//!
//! The bytes written are the pipe's own memory: the rope holds frames as they go over the wire, and
//! large bodies are gathered from the messages that own them. Nothing is copied, not even when the
//! kernel takes only a part: the rest stays where it is and is gathered again. Only commands,
//! sealed frames, and frames for peers with another framing pass through the [`Outbox`], and of the
//! last kind large bodies still go out from where they lie.

use super::ASYNC_ONLY;
use super::counters::{self, Side, Written};
use super::datagram::Pending;
use super::encode::Encoder;
use super::outbox::Outbox;
use crate::errno::{Error, Result};
use crate::pipe::rope::{COMMAND, Sender};
use crate::pipe::{Latest, REFERENCE_THRESHOLD};
use crate::transport::{Stream, WriteOutcome};
use crate::zmtp::zws::CloseCode;
use std::io::IoSlice;
use std::sync::Arc;

/// Bytes gathered for one write, unless ZMQ_OUT_BATCH_SIZE says otherwise.
pub const BATCH: usize = 256 * 1024;
/// Pieces gathered for one write.
pub(super) const SLICES: usize = 32;

/// What a round of writing came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Everything that was there has been written.
    Drained,
    /// The kernel takes no more: `output_stopped`.
    Blocked,
    /// The bound on writes was reached; there is more.
    More,
    /// There is no connection, or it has said that it ends.
    Detached,
    /// The connection is broken.
    Failed(Error),
}

/// The output of a connection. Touched only by the owner of the output.
pub struct Tx {
    pub(super) sender: Sender,
    latest: Option<Latest>,
    stream: Option<Arc<Stream>>,
    encoder: Encoder,
    /// Whole frames not sent as they lie in the rope.
    outbox: Outbox,
    /// The same for datagrams.
    pub(super) pending: Pending,
    /// How much of the rope's volume is in there.
    pub(super) encoded: u64,
    /// Bytes gathered for one write, but for large bodies.
    batch: usize,
    pub written: Written,
}

impl Tx {
    pub fn new(sender: Sender, latest: Option<Latest>) -> Tx {
        Tx {
            sender,
            latest,
            stream: None,
            encoder: Encoder::plain(),
            outbox: Outbox::default(),
            pending: Pending::default(),
            encoded: 0,
            batch: BATCH,
            written: Written::default(),
        }
    }

    /// Gathers so many bytes for one write.
    pub fn with_batch(mut self, batch: usize) -> Tx {
        self.batch = batch;
        self
    }

    /// `first` goes out ahead of everything else.
    pub fn attach(&mut self, stream: Arc<Stream>, encoder: Encoder, first: Vec<u8>) {
        self.stream = Some(stream);
        self.encoder = encoder;
        self.outbox = Outbox::new(first);
        self.pending = Pending::default();
        self.encoded = 0;
    }

    /// Forgets the stream and what was written of a message in part.
    pub fn detach(&mut self) {
        self.stream = None;
        self.encoder = Encoder::plain();
        self.outbox = Outbox::default();
        self.pending = Pending::default();
        self.encoded = 0;
        self.sender.forget_partial();
    }

    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// How much of the rope's volume was written.
    pub fn volume(&self) -> u64 {
        self.sender.volume() - self.encoded
    }

    /// Puts whole frames in front of everything that was not begun. True: they were taken.
    pub fn insert(&mut self, frames: &mut Vec<u8>) -> bool {
        if self.stream.is_none() {
            frames.clear();
            return true;
        }
        if !self.sender.at_frame_boundary() || !self.outbox.has_room(self.batch) {
            return false;
        }
        if self.encoder.is_plain() {
            self.outbox.bytes().append(frames);
        } else {
            self.encoder.frames(frames, self.outbox.bytes());
            frames.clear();
        }
        true
    }

    /// Tells the peer that the connection ends, where the framing has a word for that and no frame
    /// is under way, with one attempt to write it.
    pub fn close(&mut self, code: CloseCode) {
        if self.stream.is_some() && !self.outbox.is_inside_body() {
            self.encoder.close(code, self.outbox.bytes());
            self.write_inserted();
        }
    }

    /// One attempt to write what was inserted, before the connection ends.
    pub fn write_inserted(&mut self) {
        if let Some(stream) = self.stream.clone()
            && !self.outbox.is_empty()
        {
            let _ = self.write_some(&stream);
        }
    }

    /// The kernel has not taken all of what left the rope, or never lay there.
    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty() || self.stream.as_ref().is_some_and(|stream| stream.has_unsent())
    }

    /// Nothing is left to write.
    pub fn drained(&mut self) -> bool {
        self.outbox.is_empty() && self.sender.drained() && !self.has_latest()
    }

    /// A conflating pipe has a message that was not written.
    pub fn has_latest(&self) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|latest| !self.outbox.is_empty() || latest.lock().message.is_some())
    }

    /// Writes until nothing is left, the kernel takes no more, or `writes` writes were made.
    ///
    /// At most one write is in flight at any time, since each returns at once.
    pub fn speculative_write(&mut self, writes: usize, side: Side) -> Progress {
        let Some(stream) = self.stream.clone() else { return Progress::Detached };
        if let Some(outbound) = self.encoder.outbound() {
            return self.send_datagrams(&stream, outbound, writes, side);
        }
        for turn in 1..=writes {
            // What the stream has accepted and the kernel has not taken goes first.
            if stream.has_unsent() {
                match stream.flush() {
                    Ok(true) => {}
                    Ok(false) => {
                        self.written.of(side).would_block += 1;
                        return Progress::Blocked;
                    }
                    Err(error) => {
                        self.written.of(side).errors += 1;
                        return Progress::Failed(error);
                    }
                }
            }
            let buffered = self.outbox.bytes().len();
            let prepared = self.prepare_output_buffer();
            let counters = self.written.of(side);
            counters.loop_iterations += 1;
            counters.copied_bytes += (self.outbox.bytes().len() - buffered) as u64;
            if self.encoder.is_broken() {
                counters.errors += 1;
                return Progress::Failed(Error::PROTO);
            }
            if !prepared {
                return if self.encoder.has_closed() {
                    Progress::Detached
                } else {
                    Progress::Drained
                };
            }
            counters.total_attempts += 1;
            let result = self.write_some(&stream);
            let counters = self.written.of(side);
            match result {
                Ok((asked, outcome)) => {
                    counters::log(side, turn, asked, &outcome);
                    if let WriteOutcome::Wrote(written) = outcome {
                        counters.total_bytes_sync += written as u64;
                        if written >= asked && !stream.has_unsent() {
                            counters.sync_success += 1;
                            continue;
                        }
                    }
                    counters.would_block += 1;
                    return Progress::Blocked;
                }
                Err(error) => {
                    counters::log(side, turn, 0, &error);
                    counters.errors += 1;
                    return Progress::Failed(error);
                }
            }
        }
        if self.drained() { Progress::Drained } else { Progress::More }
    }

    /// Fills the outbox if frames are not sent as they lie. False: there is nothing to write.
    fn prepare_output_buffer(&mut self) -> bool {
        if !self.outbox.is_written() {
            return true;
        }
        if self.encoder.has_closed() {
            return false;
        }
        if let Some(latest) = &self.latest {
            if let Some(message) = latest.lock().message.take() {
                self.encoder.message(&message, self.outbox.bytes());
                return true;
            }
            return false;
        }
        if self.encoder.is_plain() && !ASYNC_ONLY {
            return !self.sender.drained();
        }
        let before = self.sender.volume();
        while self.outbox.has_room(self.batch) {
            let Some(frame) = self.sender.frame() else { break };
            let flags = frame.flags;
            let length = frame.body.len();
            let large = frame.external && length >= REFERENCE_THRESHOLD && flags & COMMAND == 0;
            if large && self.encoder.takes_references() && !ASYNC_ONLY {
                let mask = self.encoder.head(flags, length, self.outbox.bytes());
                if let Some(body) = self.sender.take_external() {
                    self.outbox.push(body, mask);
                }
            } else {
                self.encoder.frame(flags, frame.body, self.outbox.bytes());
                self.sender.skip();
            }
        }
        self.encoded += self.sender.volume() - before;
        if self.outbox.is_empty() {
            // Frames that are no bytes in this framing count as written.
            self.encoded = 0;
            self.outbox.shrink();
            return false;
        }
        true
    }

    /// One attempt: how many bytes were offered, and what became of them.
    fn write_some(&mut self, stream: &Stream) -> Result<(usize, WriteOutcome)> {
        if !self.outbox.is_empty() {
            let (outcome, offered) = self.outbox.write(stream)?;
            if let WriteOutcome::Wrote(written) = outcome {
                self.outbox.advance(written);
                if self.outbox.is_empty() {
                    self.encoded = 0;
                    if self.encoder.is_plain() {
                        self.outbox.shrink();
                    }
                }
            }
            return Ok((offered, outcome));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (count, total) = self.sender.gather(&mut slices, self.batch);
        if count == 0 {
            self.sender.advance(0);
            return Ok((0, WriteOutcome::Wrote(0)));
        }
        let outcome = stream.write_some(&slices[..count])?;
        if let WriteOutcome::Wrote(written) = outcome {
            self.sender.advance(written);
        }
        Ok((total, outcome))
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        counters::add_to_totals(&self.written);
    }
}

#[cfg(all(test, not(feature = "loom"), not(feature = "async-only")))]
mod tests {
    //! Zero copy on the synchronous path: what the kernel is given is the pipe's memory and the
    //! messages' own, also after a write that was cut short.

    use super::super::counters::Counters;
    use super::*;
    use crate::msg::Msg;
    use crate::pipe::REFERENCE_THRESHOLD;
    use crate::pipe::rope::{MORE, Writer, rope};
    use crate::transport::{Kind, ReadOutcome};
    use crate::zmtp::{Version, zws};
    use socket2::{Domain, Socket, Type};

    const PLENTY: usize = 1000;

    struct Connection {
        writer: Writer,
        tx: Tx,
        peer: Stream,
        received: Vec<u8>,
    }

    impl Connection {
        fn new(encoder: Encoder) -> Connection {
            let (writer, reader) = rope().unwrap();
            let mut tx = Tx::new(Sender::new(reader), None);
            let (near, peer) =
                Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
            near.set_send_buffer_size(4096).unwrap();
            tx.attach(Arc::new(Stream::new(near.into(), Kind::Ipc)), encoder, Vec::new());
            let peer = Stream::new(peer.into(), Kind::Ipc);
            Connection { writer, tx, peer, received: Vec::new() }
        }

        fn read(&mut self) {
            let mut buffer = [0; 65536];
            while let ReadOutcome::Read(count) = self.peer.read_into(&mut buffer).unwrap() {
                self.received.extend_from_slice(&buffer[..count]);
            }
        }

        /// Writes everything that is committed, in the end by the I/O thread's side.
        fn write_all(&mut self) -> Counters {
            let mut side = Side::Caller;
            while self.tx.speculative_write(PLENTY, side) != Progress::Drained {
                side = Side::IoThread;
                self.read();
            }
            self.read();
            let mut both = self.tx.written.caller;
            both.add(&self.tx.written.io_thread);
            both
        }
    }

    /// A body's frame as it goes over the wire.
    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2];
        bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn nothing_is_copied_between_the_pipe_and_the_kernel() {
        for length in [300, REFERENCE_THRESHOLD, 1 << 20] {
            let mut connection = Connection::new(Encoder::plain());
            let bytes = body(length);
            for _ in 0..5 {
                if length < REFERENCE_THRESHOLD {
                    connection.writer.append(0, &bytes).unwrap();
                } else {
                    let message = Msg::from_slice(&bytes).unwrap();
                    connection.writer.append_external(0, message).unwrap();
                }
            }
            connection.writer.publish();
            let counters = connection.write_all();
            assert!(connection.received == framed(&bytes).repeat(5), "length {length}");
            assert_eq!(counters.copied_bytes, 0);
            assert_eq!(counters.total_bytes_sync, connection.received.len() as u64);
            assert_eq!(counters.errors, 0);
            assert_eq!(counters.would_block > 0, length > 300, "length {length}");
        }
    }

    /// Or whoever owns the output would look for them for ever.
    #[test]
    fn frames_that_are_no_bytes_count_as_written() {
        let mut connection = Connection::new(Encoder::raw());
        for _ in 0..3 {
            connection.writer.append(0, b"").unwrap();
            connection.writer.publish();
            assert_eq!(connection.tx.speculative_write(PLENTY, Side::Caller), Progress::Drained);
            assert_eq!(connection.tx.volume(), connection.writer.volume());
        }
    }

    #[test]
    fn a_write_is_no_longer_than_the_batch_and_one_body() {
        let small: Vec<u8> = (0..1000)
            .flat_map(|at| [&[0, (at % 200) as u8][..], &body(at % 200)].concat())
            .collect();
        for batch in [1, 1000, 65_537] {
            let mut connection = Connection::new(Encoder::plain());
            connection.tx.batch = batch;
            for _ in 0..2 {
                for length in (0..1000).map(|at| at % 200) {
                    connection.writer.append(0, &body(length)).unwrap();
                }
                connection.writer.publish();
                while !connection.tx.sender().drained() {
                    let before = connection.received.len();
                    connection.tx.speculative_write(1, Side::Caller);
                    connection.read();
                    assert!((1..=batch).contains(&(connection.received.len() - before)));
                }
                let large = Msg::from_slice(&body(50_000)).unwrap();
                connection.writer.append_external(0, large).unwrap();
                connection.writer.publish();
                connection.write_all();
            }
            assert!(connection.received == [&small[..], &framed(&body(50_000))].concat().repeat(2));
        }
    }

    /// The memory that a write is given, piece by piece.
    fn pieces(sender: &mut Sender) -> Vec<(*const u8, usize)> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (count, _) = sender.gather(&mut slices, BATCH);
        slices[..count].iter().map(|slice| (slice.as_ptr(), slice.len())).collect()
    }

    #[test]
    fn large_bodies_reach_the_kernel_where_they_lie() {
        let (mut writer, reader) = rope().unwrap();
        let mut sender = Sender::new(reader);
        let message = Msg::from_slice(&body(50_000)).unwrap();
        let at = message.data().as_ptr();
        writer.append(MORE, b"small").unwrap();
        writer.append_external(0, message).unwrap();
        writer.publish();
        assert_eq!(pieces(&mut sender)[1], (at, 50_000));
        // After a write that was cut short inside the body: the rest, in the same memory.
        sender.advance(7 + 9 + 20_000);
        assert_eq!(pieces(&mut sender), [(at.wrapping_add(20_000), 30_000)]);
        sender.advance(29_999);
        assert_eq!(pieces(&mut sender), [(at.wrapping_add(49_999), 1)]);
        sender.advance(1);
        assert_eq!(pieces(&mut sender), []);
    }

    /// With another framing only heads are copied, and what has to be masked, once, however often
    /// the write is cut short.
    #[test]
    fn another_framing_copies_what_it_must() {
        for (encoder, header, copied) in [
            (Encoder::raw(), 0, 0),
            (Encoder::framed(Version::V1_0), 10, 10),
            (Encoder::websocket(zws::Side::Server), 11, 11),
            (Encoder::websocket(zws::Side::Client), 15, 200_015),
        ] {
            let mut connection = Connection::new(encoder);
            let bytes = body(200_000);
            connection.writer.append_external(0, Msg::from_slice(&bytes).unwrap()).unwrap();
            connection.writer.publish();
            let counters = connection.write_all();
            let (head, rest) = connection.received.split_at(header);
            assert_eq!(rest.len(), bytes.len());
            let masked = head.get(1).is_some_and(|byte| copied > header as u64 && byte & 0x80 != 0);
            assert_eq!(rest == bytes, !masked);
            assert_eq!(counters.copied_bytes, copied);
            assert!(counters.would_block > 1);
        }
    }

    #[test]
    fn each_side_has_its_counters() {
        let mut connection = Connection::new(Encoder::plain());
        connection.writer.append(0, b"one").unwrap();
        connection.writer.publish();
        assert_eq!(connection.tx.speculative_write(2, Side::Caller), Progress::Drained);
        let once = Counters {
            total_attempts: 1,
            sync_success: 1,
            total_bytes_sync: 5,
            loop_iterations: 2,
            ..Counters::default()
        };
        assert_eq!(connection.tx.written, Written { caller: once, ..Written::default() });
        connection.writer.append(0, b"two").unwrap();
        connection.writer.publish();
        assert_eq!(connection.tx.speculative_write(1, Side::IoThread), Progress::Drained);
        let io_thread = Counters { loop_iterations: 1, ..once };
        assert_eq!(connection.tx.written, Written { caller: once, io_thread });
    }
}
