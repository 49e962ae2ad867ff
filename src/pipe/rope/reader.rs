// SPDX-License-Identifier: MPL-2.0
//! The consuming end of a rope, frame by frame.

use super::super::asymmetric::heavy_fence;
use super::super::chunk::ChunkPtr;
use super::super::sync::{Arc, Ordering, fence};
use super::{
    COMMAND, Committed, External, MORE, Mark, OWNED, SKIP, Shared, clear, frame_at, owned_at,
};
use crate::msg::{Metadata, Msg};
use crate::zmtp::command::Command;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// Looks of a reader that lingers, and the pause before each.
const LINGER_LOOKS: usize = if cfg!(feature = "loom") { 0 } else { 2 };
const LINGER_PAUSE: Duration = Duration::from_micros(1);

/// The frame at the head of a rope.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub flags: u8,
    pub body: &'a [u8],
    /// The body is a message that can be taken as it is.
    pub external: bool,
    /// The properties of the connection it came from.
    pub metadata: Option<&'a std::sync::Arc<Metadata>>,
}

impl Frame<'_> {
    pub fn more(&self) -> bool {
        self.flags & MORE != 0
    }

    pub fn is_command(&self) -> bool {
        self.flags & COMMAND != 0
    }

    /// What a socket without a use for commands makes of it: of a subscription the topic.
    #[inline]
    pub fn as_message(&self) -> &[u8] {
        if self.is_command() { self.topic() } else { self.body }
    }

    #[cold]
    fn topic(&self) -> &[u8] {
        match Command::parse(self.body) {
            Command::Subscribe(topic) | Command::Cancel(topic) => topic,
            _ => b"",
        }
    }
}

/// Where the body of a frame is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameBody {
    Inside,
    External,
    Owned,
}

/// The consuming end.
pub struct Reader {
    shared: Arc<Shared>,
    /// The first frame not taken; chunks before it were given back.
    pub(super) head: Mark,
    /// The committed position as last seen, and the messages up to there.
    pub(super) limit: u64,
    pub(super) limit_messages: u64,
    /// Bytes in the rope of the frame last returned by [`frame`](Reader::frame); 0 for none.
    frame_length: usize,
    frame_flags: u8,
    frame_body: FrameBody,
    /// The message of an owned frame, which is still the rope's: it is never dropped here.
    owned: ManuallyDrop<Msg>,
    pub(super) externals: VecDeque<(u64, External)>,
    externals_seen: u64,
    /// The frame before `head` had MORE set.
    pub(super) inside_message: bool,
    metadata: Option<std::sync::Arc<Metadata>>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, start: Mark) -> Reader {
        Reader {
            shared,
            head: start,
            limit: 0,
            limit_messages: 0,
            frame_length: 0,
            frame_flags: 0,
            frame_body: FrameBody::Inside,
            owned: ManuallyDrop::new(Msg::new()),
            externals: VecDeque::new(),
            externals_seen: 0,
            inside_message: false,
            metadata: None,
        }
    }

    /// Looks for newly committed messages. True: there is something to take.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let written = &self.shared.written;
        let position = written.position.load(Ordering::Acquire);
        if position != self.limit {
            self.limit = position;
            self.limit_messages = written.messages.load(Ordering::Relaxed);
            if written.externals.load(Ordering::Relaxed) != self.externals_seen {
                self.take_externals();
            }
        }
        self.head.position != self.limit
    }

    #[cold]
    fn take_externals(&mut self) {
        let mut shared = self.shared.externals.lock();
        self.externals_seen += shared.len() as u64;
        self.externals.extend(shared.drain(..));
    }

    /// The frame at the head if it is known to be there, is no command and its body lies in the rope.
    /// `None` says nothing: see [`frame`](Reader::frame).
    #[inline(always)]
    pub fn plain_frame(&mut self) -> Option<Frame<'_>> {
        let (chunk, offset) = (self.head.chunk, self.head.offset);
        if self.head.position == self.limit
            || !self.externals.is_empty()
            || chunk.sealed() == offset
        {
            return None;
        }
        // SAFETY: the head lies before the limit, so a whole header was committed here.
        let (flags, header, length) = unsafe { frame_at(chunk, offset) };
        if flags & (OWNED | SKIP | COMMAND) != 0 {
            return None;
        }
        self.frame_flags = flags;
        self.frame_body = FrameBody::Inside;
        self.frame_length = header + length;
        // SAFETY: frames are committed whole, and lie in one chunk.
        let body = unsafe { chunk.bytes(offset + header, length) };
        Some(Frame { flags, body, external: false, metadata: self.metadata.as_ref() })
    }

    /// The frame at the head; `None` when everything committed was taken.
    #[inline]
    pub fn frame(&mut self) -> Option<Frame<'_>> {
        loop {
            if self.head.position == self.limit && !self.refresh() {
                return None;
            }
            if self.head.chunk.sealed() == self.head.offset {
                self.next_chunk();
                continue;
            }
            if !self.externals.is_empty() {
                self.take_metadata();
            }
            // Field by field: a copy of the whole mark would wait for its parts to be stored.
            let (chunk, offset) = (self.head.chunk, self.head.offset);
            // SAFETY: the head lies before the limit, so a whole header was committed here.
            let (flags, header, length) = unsafe { frame_at(chunk, offset) };
            self.frame_flags = flags;
            if !self.externals.is_empty()
                && self.external_at(self.head.position + header as u64).is_some()
            {
                self.frame_length = header;
                self.frame_body = FrameBody::External;
                if flags & SKIP != 0 {
                    self.skip();
                    continue;
                }
                return self.external_at(self.head.position + header as u64).map(|body| Frame {
                    flags,
                    body: body.data(),
                    external: true,
                    metadata: self.metadata.as_ref(),
                });
            }
            self.frame_body = FrameBody::Inside;
            self.frame_length = header + length;
            if flags & OWNED != 0 {
                self.frame_body = FrameBody::Owned;
                // SAFETY: an owned frame lies here; `skip` and `take_external` give its message
                // away with the frame, so nobody does twice.
                self.owned = ManuallyDrop::new(unsafe { owned_at(chunk, offset) });
                return Some(Frame {
                    flags: flags & !OWNED,
                    body: self.owned.data(),
                    external: true,
                    metadata: self.metadata.as_ref(),
                });
            }
            if flags & SKIP != 0 {
                self.skip();
                continue;
            }
            // SAFETY: frames are committed whole, and lie in one chunk.
            let body = unsafe { chunk.bytes(offset + header, length) };
            let metadata = self.metadata.as_ref();
            return Some(Frame { flags, body, external: false, metadata });
        }
    }

    /// Takes the frame that [`frame`](Reader::frame) returned last.
    #[inline(always)]
    pub fn skip(&mut self) {
        if self.frame_body == FrameBody::Inside {
            self.pass_frame();
        } else {
            drop(self.take_external());
        }
    }

    /// Takes the frame that [`frame`](Reader::frame) returned last, if its body is a message.
    pub fn take_external(&mut self) -> Option<Msg> {
        let body = match self.frame_body {
            FrameBody::Inside => None,
            // SAFETY: the frame is passed now, so its message is taken here only.
            FrameBody::Owned => Some(unsafe { ManuallyDrop::take(&mut self.owned) }),
            FrameBody::External => match self.externals.pop_front() {
                Some((_, External::Body(body))) => {
                    self.head.bodies += body.len() as u64;
                    Some(body)
                }
                _ => None,
            },
        };
        if body.is_some() {
            self.pass_frame();
        }
        body
    }

    /// The properties of the connection that the frame at the head came from.
    pub fn metadata(&self) -> Option<&std::sync::Arc<Metadata>> {
        self.metadata.as_ref()
    }

    #[cold]
    fn take_metadata(&mut self) {
        while let Some((position, External::Metadata(_))) = self.externals.front() {
            if *position > self.head.position {
                break;
            }
            if let Some((_, External::Metadata(metadata))) = self.externals.pop_front() {
                self.metadata = metadata;
            }
        }
    }

    /// A view of what is committed, for other threads.
    pub fn committed(&self) -> Committed {
        Committed(self.shared.clone())
    }

    /// Messages taken since the start.
    pub fn messages(&self) -> u64 {
        self.head.messages
    }

    /// Messages committed and not taken.
    pub fn backlog(&mut self) -> u64 {
        self.refresh();
        self.limit_messages.wrapping_sub(self.head.messages)
    }

    /// The writer closed the rope; there may still be something to take.
    pub fn closed(&self) -> bool {
        self.shared.flags.closed.load(Ordering::Acquire)
    }

    /// The writer closed the rope, and everything was taken.
    pub fn ended(&mut self) -> bool {
        self.closed() && self.frame().is_none()
    }

    /// Waits up to two microseconds for messages, without touching what the writer stores to
    /// meanwhile. True: there is one.
    #[cold]
    pub fn linger(&mut self) -> bool {
        for _ in 0..LINGER_LOOKS {
            let begin = Instant::now();
            while begin.elapsed() < LINGER_PAUSE {
                std::hint::spin_loop();
            }
            if self.frame().is_some() {
                return true;
            }
        }
        false
    }

    /// Goes to sleep. False: there is a frame after all, or the rope was closed.
    pub fn sleep(&mut self) -> bool {
        // A reader that nobody has woken since is seen to be asleep by every later commit.
        if !self.shared.flags.asleep.load(Ordering::Relaxed) {
            self.shared.flags.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.shared.flags.light.load(Ordering::Acquire) {
                heavy_fence();
            }
        }
        // Frames to be passed over are no reason to stay awake, so asking for news is not enough.
        if self.frame().is_some() || self.closed() {
            self.shared.flags.asleep.store(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Looks whether the writer waits for credit. True: the caller must tell it.
    #[must_use]
    pub fn grant_credit(&mut self) -> bool {
        fence(Ordering::SeqCst);
        clear(&self.shared.flags.waiting_for_credit)
    }

    /// The external body at this position, which is then the first one waiting.
    fn external_at(&self, position: u64) -> Option<&Msg> {
        match self.externals.front() {
            Some((at, External::Body(body))) if *at == position => Some(body),
            _ => None,
        }
    }

    /// Takes the frame that [`plain_frame`](Reader::plain_frame) returned last.
    #[inline(always)]
    pub fn pass_frame(&mut self) {
        debug_assert!(self.frame_length != 0, "no frame was looked at");
        self.head.offset += self.frame_length;
        self.head.position += self.frame_length as u64;
        self.frame_length = 0;
        self.frame_body = FrameBody::Inside;
        if self.frame_flags & SKIP == 0 {
            self.inside_message = self.frame_flags & MORE != 0;
            if !self.inside_message {
                // The count was ahead if it came from the writer (`Sender::advance`); it must never
                // pass the writer's own, which would take that for a full rope.
                self.head.messages = (self.head.messages + 1).min(self.limit_messages);
                self.store_messages();
            }
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Bytes in the rope of the frame last looked at.
    pub(super) fn frame_length(&self) -> usize {
        self.frame_length
    }

    #[inline]
    pub(super) fn store_messages(&self) {
        self.shared.read.messages.store(self.head.messages, Ordering::Release);
    }

    /// Gives the head's chunk back and goes on to the next one, if there is one.
    #[cold]
    pub(super) fn next_chunk(&mut self) -> bool {
        let Some(next) = self.head.chunk.next() else { return false };
        let old = self.head.chunk;
        self.head.chunk = next;
        self.head.offset = 0;
        let unused = if old.capacity() == 0 {
            Some(old)
        } else {
            old.unlink();
            ChunkPtr::from_raw(self.shared.spare.swap(old.raw(), Ordering::AcqRel))
        };
        if let Some(chunk) = unused {
            // SAFETY: the reader has left it and the writer has long been in a later one.
            unsafe { chunk.free() };
        }
        true
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.shared.flags.owned.load(Ordering::Acquire) {
            while self.frame().is_some() {
                self.skip();
            }
        }
        self.shared.left_offset.store(self.head.offset, Ordering::Release);
        self.shared.left_position.store(self.head.position, Ordering::Release);
        self.shared.left.store(self.head.chunk.raw(), Ordering::Release);
        self.shared.flags.gone.store(true, Ordering::Release);
    }
}
