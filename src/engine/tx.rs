// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The output of a connection: `speculative_write`.
//!
//! The bytes written are the pipe's own memory: the rope holds frames as they go over the wire, and
//! large bodies are gathered from the messages that own them. Nothing is copied, not even when the
//! kernel takes only a part: the rest stays where it is and is gathered again. Only commands,
//! sealed frames, and frames for peers with another framing pass through the [`Outbox`], and of the
//! last kind large bodies still go out from where they lie.

use super::encode::Encoder;
use super::outbox::Outbox;
use crate::errno::{Error, Result};
use crate::pipe::rope::{COMMAND, Sender};
use crate::pipe::{Latest, REFERENCE_THRESHOLD};
use crate::transport::{Stream, WriteOutcome};
use std::io::IoSlice;
use std::sync::Arc;

/// Bytes gathered for one write.
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
    /// There is no connection.
    Detached,
    /// The connection is broken.
    Failed(Error),
}

/// What the synchronous path has done so far.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub total_attempts: u64,
    pub sync_success: u64,
    pub would_block: u64,
    pub errors: u64,
    pub total_bytes_sync: u64,
    pub loop_iterations: u64,
}

/// The output of a connection. Touched only by the owner of the output.
pub struct Tx {
    sender: Sender,
    latest: Option<Latest>,
    stream: Option<Arc<Stream>>,
    encoder: Encoder,
    /// Whole frames not sent as they lie in the rope.
    outbox: Outbox,
    /// How much of the rope's volume is in there.
    encoded: u64,
    pub counters: Counters,
}

impl Tx {
    pub fn new(sender: Sender, latest: Option<Latest>) -> Tx {
        Tx {
            sender,
            latest,
            stream: None,
            encoder: Encoder::plain(),
            outbox: Outbox::default(),
            encoded: 0,
            counters: Counters::default(),
        }
    }

    /// `first` goes out ahead of everything else.
    pub fn attach(&mut self, stream: Arc<Stream>, encoder: Encoder, first: Vec<u8>) {
        self.stream = Some(stream);
        self.encoder = encoder;
        self.outbox = Outbox::new(first);
        self.encoded = 0;
    }

    /// Forgets the stream and what was written of a message in part.
    pub fn detach(&mut self) {
        self.stream = None;
        self.encoder = Encoder::plain();
        self.outbox = Outbox::default();
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
        if !self.sender.at_frame_boundary() || self.outbox.is_inside_body() {
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

    /// One attempt to write what was inserted, before the connection ends.
    pub fn write_inserted(&mut self) {
        if let Some(stream) = self.stream.clone()
            && !self.outbox.is_empty()
        {
            let _ = self.write_some(&stream);
        }
    }

    /// The stream holds bytes that the kernel has not taken.
    pub fn has_unsent(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.has_unsent())
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
    pub fn speculative_write(&mut self, writes: usize) -> Progress {
        let Some(stream) = self.stream.clone() else { return Progress::Detached };
        for _ in 0..writes {
            self.counters.loop_iterations += 1;
            // What the stream has accepted and the kernel has not taken goes first.
            if stream.has_unsent() {
                match stream.flush() {
                    Ok(true) => {}
                    Ok(false) => {
                        self.counters.would_block += 1;
                        return Progress::Blocked;
                    }
                    Err(error) => {
                        self.counters.errors += 1;
                        return Progress::Failed(error);
                    }
                }
            }
            if !self.prepare_output_buffer() {
                return Progress::Drained;
            }
            self.counters.total_attempts += 1;
            match self.write_some(&stream) {
                Ok((true, written)) if !stream.has_unsent() => {
                    self.counters.sync_success += 1;
                    self.counters.total_bytes_sync += written as u64;
                }
                Ok((_, written)) => {
                    self.counters.would_block += 1;
                    self.counters.total_bytes_sync += written as u64;
                    return Progress::Blocked;
                }
                Err(error) => {
                    self.counters.errors += 1;
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
        if let Some(latest) = &self.latest {
            if let Some(message) = latest.lock().message.take() {
                self.encoder.message(&message, self.outbox.bytes());
                return true;
            }
            return false;
        }
        if self.encoder.is_plain() {
            return !self.sender.drained();
        }
        let before = self.sender.volume();
        while self.outbox.has_room() {
            let Some(frame) = self.sender.frame() else { break };
            let flags = frame.flags;
            let length = frame.body.len();
            let large = frame.external && length >= REFERENCE_THRESHOLD && flags & COMMAND == 0;
            if large && self.encoder.takes_references() {
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
            self.outbox.shrink();
            return false;
        }
        true
    }

    /// One attempt. True: all that was offered was taken.
    fn write_some(&mut self, stream: &Stream) -> Result<(bool, usize)> {
        if !self.outbox.is_empty() {
            let (outcome, offered) = self.outbox.write(stream)?;
            let WriteOutcome::Wrote(written) = outcome else { return Ok((false, 0)) };
            self.outbox.advance(written);
            if self.outbox.is_empty() {
                self.encoded = 0;
                if self.encoder.is_plain() {
                    self.outbox.shrink();
                }
            }
            return Ok((written >= offered, written));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (count, total) = self.sender.gather(&mut slices, BATCH);
        if count == 0 {
            self.sender.advance(0);
            return Ok((true, 0));
        }
        match stream.write_some(&slices[..count])? {
            WriteOutcome::Wrote(written) => {
                self.sender.advance(written);
                Ok((written >= total, written))
            }
            WriteOutcome::WouldBlock => Ok((false, 0)),
        }
    }
}
