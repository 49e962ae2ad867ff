// SPDX-License-Identifier: MPL-2.0
//! The queue of a pipe: an unbounded single-producer single-consumer rope of bytes.
//!
//! A rope carries frames in ZMTP 3.x framing (RFC 37: flags, length, body), back to back, so that
//! what a socket has queued for a stream connection already is what goes over the wire. A frame
//! lies in one piece within one chunk. Bodies that should not be copied, and the metadata of
//! the connection that later frames came from, travel beside the bytes as [`External`]s, tied
//! to a position in the rope. In a rope that stays in the process the message itself can take the
//! place of its body instead ([`append_owned`](Writer::append_owned)): no queue beside the rope,
//! no lock.
//!
//! Invariants:
//! - One [`Writer`] and one [`Reader`] exist for a rope; each is used by one thread at a time.
//! - The committed position only grows, and always lies at the end of a whole message. The reader
//!   never looks beyond it, the writer never stores before it.
//! - *Asleep*: a reader that found nothing may go to sleep; it then looks once more. A writer that
//!   commits looks at the flag afterwards, and whoever clears it must wake the reader. So either
//!   the reader sees the message or the writer sees the sleeper. A writer that has found the reader
//!   awake many times in a row says that its fences are *light* from then on; a reader that goes to
//!   sleep and finds that said makes a heavy one.
//! - *Waiting for credit* is the same hand-over in the other direction.
//! - An *owned* message lies in the rope from its append until the reader takes it; whoever drops
//!   frames that were not taken (rollback, a reader that leaves, the rope itself) drops it.
//! - [`rewind`] needs both ends at once; whoever holds both may start the chunk over.

mod reader;
mod sender;

pub use reader::{Frame, Reader};
pub use sender::{LARGEST_PIECE, Sender};

use super::asymmetric::{can_be_light, light_fence};
use super::chunk::{Chunk, ChunkPtr};
use super::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, CacheLine, Mutex, Ordering, fence,
};
use crate::errno::Result;
use crate::msg::{Metadata, Msg};
use std::collections::VecDeque;

/// The first chunk of a rope, in bytes.
#[cfg(not(feature = "loom"))]
pub const CHUNK_MIN: usize = 1024;
/// Chunks grow up to this while the reader lags behind, in bytes.
#[cfg(not(feature = "loom"))]
pub const CHUNK_MAX: usize = 64 * 1024;
#[cfg(feature = "loom")]
pub const CHUNK_MIN: usize = 8;
#[cfg(feature = "loom")]
pub const CHUNK_MAX: usize = 8;

/// Frame flag: more parts of the message follow.
pub const MORE: u8 = 1;
/// Frame flag: the length takes eight bytes.
pub const LONG: u8 = 2;
/// Frame flag: a command, not a message part.
pub const COMMAND: u8 = 4;
/// Frame flag that never leaves the process: the frame was dealt with, the reader passes over it.
pub const SKIP: u8 = 0x80;

/// Frame flag that never leaves the process: what follows is the message itself, in memory.
const OWNED: u8 = 0x40;
/// A frame with an owned message in bytes.
const OWNED_FRAME: usize = 2 + size_of::<Msg>();

/// The longest frame header in bytes.
pub const HEADER_MAX: usize = 9;

/// From so many bytes on a body is large: beside it, the cost of a piece of a gather write is none.
pub const LARGE: usize = 8192;

/// So many commits in a row have to find the reader awake before the writer's fences are light.
const AWAKE: u32 = if cfg!(feature = "loom") { 1 } else { 64 };

/// A limit that is never reached (high-water mark 0).
pub const UNLIMITED: u64 = u64::MAX;

/// What travels beside the bytes of a rope.
#[derive(Debug)]
pub enum External {
    /// The body of the frame whose header ends here.
    Body(Msg),
    /// Frames from here on came from a connection with these properties.
    Metadata(Option<std::sync::Arc<Metadata>>),
}

struct Shared {
    written: CacheLine<Written>,
    read: CacheLine<Read>,
    flags: CacheLine<Flags>,
    externals: Mutex<VecDeque<(u64, External)>>,
    /// A chunk the reader is done with, for the writer to use again.
    spare: AtomicPtr<Chunk>,
    /// The chunk a dropped reader was in, where in it, and how many bytes came before.
    left: AtomicPtr<Chunk>,
    left_offset: AtomicUsize,
    left_position: AtomicU64,
}

/// Stored by the writer.
#[derive(Default)]
struct Written {
    /// Committed bytes since the start.
    position: AtomicU64,
    /// Committed messages since the start.
    messages: AtomicU64,
    /// Externals pushed since the start.
    externals: AtomicU64,
    /// Committed bytes since the start, external bodies included.
    volume: AtomicU64,
}

/// Stored by the reader.
#[derive(Default)]
struct Read {
    /// Messages taken since the start.
    messages: AtomicU64,
}

/// What both ends look at often and which seldom changes: on the lines above each look would have
/// to fetch what the other end has just stored.
#[derive(Default)]
struct Flags {
    /// By the writer.
    closed: AtomicBool,
    waiting_for_credit: AtomicBool,
    /// There have been owned messages.
    owned: AtomicBool,
    /// The writer's fence between a commit and its look at `asleep` is a light one.
    light: AtomicBool,
    /// By the reader.
    asleep: AtomicBool,
    gone: AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.flags.owned.load(Ordering::Acquire)
            && let Some(chunk) = ChunkPtr::from_raw(self.left.load(Ordering::Acquire))
        {
            let at = Place {
                chunk,
                offset: self.left_offset.load(Ordering::Acquire),
                position: self.left_position.load(Ordering::Acquire),
            };
            // SAFETY: both ends are gone, and the reader took nothing from here on.
            unsafe { at.drop_owned(self.written.position.load(Ordering::Acquire)) };
        }
        for first in [&self.spare, &self.left] {
            let mut next = ChunkPtr::from_raw(first.load(Ordering::Acquire));
            while let Some(chunk) = next {
                next = chunk.next();
                // SAFETY: both ends are gone, so nobody else can reach the chunk.
                unsafe { chunk.free() };
            }
        }
    }
}

/// Creates a rope. ENOMEM when there is no memory.
pub fn rope() -> Result<(Writer, Reader)> {
    let first = ChunkPtr::allocate(0)?;
    let shared = Arc::new(Shared {
        written: CacheLine::default(),
        read: CacheLine::default(),
        flags: CacheLine::default(),
        externals: Mutex::new(VecDeque::new()),
        spare: AtomicPtr::new(std::ptr::null_mut()),
        left: AtomicPtr::new(std::ptr::null_mut()),
        left_offset: AtomicUsize::new(0),
        left_position: AtomicU64::new(0),
    });
    let start = Mark { chunk: first, offset: 0, position: 0, messages: 0, bodies: 0 };
    let writer = Writer {
        shared: shared.clone(),
        end: start,
        capacity: 0,
        raw_end: 0,
        begun: None,
        staged: Vec::new(),
        large_end: 0,
        consumed: 0,
        found_awake: 0,
        chunk_size: CHUNK_MIN,
    };
    let reader = Reader::new(shared, start);
    Ok((writer, reader))
}

/// A place in the rope: a chunk and an offset, and what lies before it.
#[derive(Clone, Copy)]
struct Mark {
    chunk: ChunkPtr,
    offset: usize,
    position: u64,
    messages: u64,
    /// Bytes of external bodies.
    bodies: u64,
}

impl Mark {
    /// All bytes before this place, in the rope and beside it.
    fn volume(&self) -> u64 {
        self.position + self.bodies
    }
}

/// A place where a frame begins.
struct Place {
    chunk: ChunkPtr,
    offset: usize,
    position: u64,
}

impl Place {
    /// Drops the owned messages of the frames from here to the position `end`.
    ///
    /// # Safety
    /// The frames there were appended whole, and nobody else takes them now or later.
    unsafe fn drop_owned(mut self, end: u64) {
        while self.position < end {
            if self.chunk.sealed() == self.offset {
                let Some(next) = self.chunk.next() else { return };
                self.chunk = next;
                self.offset = 0;
                continue;
            }
            // SAFETY: the caller's promise.
            let (flags, header, body) = unsafe { frame_at(self.chunk, self.offset) };
            if flags & OWNED != 0 {
                // SAFETY: as above; the message is not looked at again.
                drop(unsafe { owned_at(self.chunk, self.offset) });
            }
            self.offset += header + body;
            self.position += (header + body) as u64;
        }
    }
}

/// The flags of the frame that begins at `offset`, the length of its header and that of its body,
/// wherever that is.
///
/// # Safety
/// A frame begins there, and the caller may read it.
#[inline]
unsafe fn frame_at(chunk: ChunkPtr, offset: usize) -> (u8, usize, usize) {
    // SAFETY: every frame has two bytes at least.
    let start = unsafe { chunk.bytes(offset, 2) };
    if start[0] & LONG == 0 {
        return (start[0], 2, start[1] as usize);
    }
    // SAFETY: as the flag says.
    (start[0], HEADER_MAX, long_length(unsafe { chunk.bytes(offset + 1, 8) }))
}

/// The message of the frame that begins at `offset`.
///
/// # Safety
/// The frame is an owned one and the caller may read it. The message must be dropped or given away
/// only once.
unsafe fn owned_at(chunk: ChunkPtr, offset: usize) -> Msg {
    // SAFETY: `append_owned` stored a whole message there.
    unsafe {
        let bytes = chunk.bytes(offset + 2, size_of::<Msg>());
        std::ptr::read_unaligned(bytes.as_ptr().cast())
    }
}

#[inline]
fn long_length(bytes: &[u8]) -> usize {
    let mut length = [0; 8];
    length.copy_from_slice(bytes);
    u64::from_be_bytes(length) as usize
}

/// The producing end.
pub struct Writer {
    shared: Arc<Shared>,
    /// The end of the last complete frame.
    end: Mark,
    capacity: usize,
    /// The end of received bytes not yet recognised as frames, in `end.chunk`.
    raw_end: usize,
    /// Where the message that is not complete yet begins; `end` is what a commit publishes
    /// otherwise. Nothing is copied for messages of one part.
    begun: Option<Mark>,
    /// Externals that belong to frames not committed yet.
    staged: Vec<(u64, External)>,
    /// The end of the last frame with a large body, which stayed where it was.
    large_end: u64,
    /// The last known count of messages taken that there is credit for.
    consumed: u64,
    /// How many commits in a row have found the reader awake, up to [`AWAKE`].
    found_awake: u32,
    chunk_size: usize,
}

impl Writer {
    /// Appends a frame, copying its body. Nothing is visible to the reader before [`commit`].
    ///
    /// [`commit`]: Writer::commit
    #[inline(always)]
    pub fn append(&mut self, flags: u8, body: &[u8]) -> Result<()> {
        self.append_with(flags, body.len(), |room| room.copy_from_slice(body))
    }

    /// Appends a frame whose body of `length` bytes is stored by `fill`.
    #[inline(always)]
    pub fn append_with(
        &mut self,
        flags: u8,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let total = if length > 255 { length + 9 } else { length + 2 };
        self.reserve(total)?;
        self.begin_frame(flags);
        // SAFETY: `reserve` made room for `total` bytes beyond what was committed.
        let room = unsafe { self.end.chunk.spare(self.end.offset, total) };
        let header = put_header(room, flags, length as u64);
        fill(&mut room[header..]);
        self.frame_done(total, flags);
        Ok(())
    }

    /// Appends a frame whose body stays where it is.
    pub fn append_external(&mut self, flags: u8, body: Msg) -> Result<()> {
        self.reserve(HEADER_MAX)?;
        self.begin_frame(flags);
        // SAFETY: `reserve` made room.
        let room = unsafe { self.end.chunk.spare(self.end.offset, HEADER_MAX) };
        let header = put_header(room, flags, body.len() as u64);
        self.end.bodies += body.len() as u64;
        let end = self.end.position + header as u64;
        if body.len() >= LARGE {
            self.large_end = end;
        }
        self.staged.push((end, External::Body(body)));
        self.frame_done(header, flags);
        Ok(())
    }

    /// Appends a frame whose body stays where it is, in a rope that no [`Sender`] reads and into
    /// which no [`append_external`](Writer::append_external) goes.
    pub fn append_owned(&mut self, flags: u8, body: Msg) -> Result<()> {
        self.reserve(OWNED_FRAME)?;
        let owned = &self.shared.flags.owned;
        if !owned.load(Ordering::Relaxed) {
            owned.store(true, Ordering::Release);
        }
        self.begin_frame(flags);
        // SAFETY: `reserve` made room.
        let room = unsafe { self.end.chunk.spare(self.end.offset, OWNED_FRAME) };
        put_header(room, flags | OWNED, size_of::<Msg>() as u64);
        // SAFETY: the room behind the header has the size of a message.
        unsafe { std::ptr::write_unaligned(room[2..].as_mut_ptr().cast(), body) };
        self.frame_done(OWNED_FRAME, flags);
        Ok(())
    }

    /// Frames from here on carry this metadata.
    pub fn append_metadata(&mut self, metadata: Option<std::sync::Arc<Metadata>>) {
        self.staged.push((self.end.position, External::Metadata(metadata)));
    }

    /// Makes all whole messages visible to the reader. True: the reader was asleep and the caller
    /// must wake it.
    #[inline]
    #[must_use]
    pub fn commit(&mut self) -> bool {
        self.stage();
        let position = &self.shared.written.position;
        if self.found_awake == AWAKE {
            position.store(self.position(), Ordering::Release);
            light_fence();
        } else {
            position.swap(self.position(), Ordering::SeqCst);
            // On x86 the exchange is a fence by itself; loom knows of none that are.
            #[cfg(any(feature = "loom", not(target_arch = "x86_64")))]
            fence(Ordering::SeqCst);
            self.count_awake();
        }
        let asleep = clear(&self.shared.flags.asleep);
        if asleep {
            self.found_awake = 0;
            // With release: a reader that sees this sees what was committed until now, too.
            self.shared.flags.light.store(false, Ordering::Release);
        }
        asleep
    }

    fn count_awake(&mut self) {
        self.found_awake += 1;
        if self.found_awake == AWAKE && can_be_light() {
            self.shared.flags.light.store(true, Ordering::Release);
            // A reader that goes to sleep without having seen this is seen by every commit from now
            // on.
            fence(Ordering::SeqCst);
        }
    }

    /// Like [`commit`](Writer::commit) for a reader that never sleeps on the flag, because another
    /// protocol decides who reads (TX ownership, RX claim).
    #[inline]
    pub fn publish(&mut self) {
        self.stage();
        self.shared.written.position.store(self.position(), Ordering::Release);
    }

    /// Everything that is published with the position.
    #[inline]
    fn stage(&mut self) {
        if !self.staged.is_empty() {
            self.publish_externals();
        }
        let written = &self.shared.written;
        // The count may be ahead of the position for a moment, never behind it: a reader that
        // reads the position first credits at most a few messages too early.
        written.messages.store(self.messages(), Ordering::Relaxed);
        written.volume.store(self.volume(), Ordering::Relaxed);
    }

    #[cold]
    fn publish_externals(&mut self) {
        let limit = self.position();
        let whole = self.begun.is_none();
        let mut externals = self.shared.externals.lock();
        let count = if whole {
            self.staged.len()
        } else {
            self.staged.iter().take_while(|(position, _)| *position <= limit).count()
        };
        externals.extend(self.staged.drain(..count));
        let pushed = self.shared.written.externals.load(Ordering::Relaxed) + count as u64;
        self.shared.written.externals.store(pushed, Ordering::Relaxed);
    }

    /// Drops everything after the last whole message. The committed part stays.
    pub fn rollback(&mut self) {
        let boundary = self.begun.take().unwrap_or(self.end);
        let limit = boundary.position;
        if self.shared.flags.owned.load(Ordering::Relaxed) {
            let at = Place { chunk: boundary.chunk, offset: boundary.offset, position: limit };
            // SAFETY: these frames were not committed, and are taken back now.
            unsafe { at.drop_owned(self.end.position) };
        }
        let mut next = boundary.chunk.next();
        if next.is_some() {
            boundary.chunk.reopen();
        }
        while let Some(chunk) = next {
            next = chunk.next();
            // SAFETY: nothing in this chunk was committed, so the reader never reached it.
            unsafe { chunk.free() };
        }
        self.staged.retain(|(position, external)| {
            *position < limit || (*position == limit && matches!(external, External::Body(_)))
        });
        self.end = boundary;
        self.raw_end = self.end.offset;
        self.capacity = self.end.chunk.capacity();
    }

    /// True while a message has been begun and its last part is missing.
    pub fn inside_message(&self) -> bool {
        self.begun.is_some()
    }

    /// The end of the last whole message.
    #[inline]
    fn position(&self) -> u64 {
        self.begun.as_ref().map_or(self.end.position, |begun| begun.position)
    }

    /// Bytes of whole messages appended since the start, external bodies included.
    pub fn volume(&self) -> u64 {
        self.begun.as_ref().map_or(self.end.volume(), Mark::volume)
    }

    /// Whether the last frame has a large body, which stayed where it was.
    pub fn ends_with_large(&self) -> bool {
        self.large_end == self.end.position && self.large_end != 0
    }

    /// Messages appended since the start.
    #[inline]
    pub fn messages(&self) -> u64 {
        // A message begun is counted when it ends.
        self.end.messages
    }

    /// Whether one more message may be appended. What the reader has taken counts in whole
    /// [`credit_interval`]s: a full rope has room again once half of it was taken.
    #[inline(always)]
    pub fn has_room(&mut self, limit: u64) -> bool {
        self.has_known_room(limit) || self.uncredited(limit) < limit
    }

    /// The same by the credit already seen.
    #[inline(always)]
    pub fn has_known_room(&self, limit: u64) -> bool {
        self.end.messages.wrapping_sub(self.consumed) < limit
    }

    /// Messages that count against the limit.
    #[cold]
    pub fn uncredited(&mut self, limit: u64) -> u64 {
        let taken = self.shared.read.messages.load(Ordering::Acquire);
        self.consumed = taken - taken % credit_interval(limit);
        self.end.messages.wrapping_sub(self.consumed)
    }

    /// Messages the reader has not taken yet.
    pub fn backlog(&self) -> u64 {
        let taken = self.shared.read.messages.load(Ordering::Acquire);
        self.end.messages.wrapping_sub(taken)
    }

    /// Asks to be told about credit. False: there is room after all.
    pub fn wait_for_credit(&mut self, limit: u64) -> bool {
        self.shared.flags.waiting_for_credit.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.has_room(limit) {
            self.shared.flags.waiting_for_credit.store(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Nothing more will be written. True: the reader was asleep and must be woken.
    #[must_use]
    pub fn close(&mut self) -> bool {
        self.rollback();
        // Whoever finds the rope closed must find every message, too.
        self.publish();
        self.shared.flags.closed.store(true, Ordering::Release);
        self.commit()
    }

    /// The reader was dropped: whatever is written goes nowhere.
    #[inline(always)]
    pub fn reader_gone(&self) -> bool {
        self.shared.flags.gone.load(Ordering::Acquire)
    }

    // Receiving: bytes arrive raw, and are recognised as frames one after the other.

    /// Room for received bytes behind those not yet recognised, at least `minimum` bytes; the
    /// unrecognised ones move along when a new chunk is needed. ENOMEM when there is no memory.
    pub fn receive_buffer(&mut self, minimum: usize) -> Result<&mut [u8]> {
        if self.capacity - self.raw_end < minimum {
            self.move_unparsed(minimum)?;
        }
        // SAFETY: beyond what was committed, within the capacity.
        Ok(unsafe { self.end.chunk.spare(self.raw_end, self.capacity - self.raw_end) })
    }

    /// The first `length` bytes of [`receive_buffer`](Writer::receive_buffer) were filled.
    pub fn received(&mut self, length: usize) {
        self.raw_end += length.min(self.capacity - self.raw_end);
    }

    /// Received bytes not yet recognised as frames.
    #[inline]
    pub fn unparsed(&self) -> &[u8] {
        // SAFETY: these bytes were received and are not committed.
        unsafe { self.end.chunk.bytes(self.end.offset, self.raw_end - self.end.offset) }
    }

    /// The same, to be changed in place.
    pub fn unparsed_mut(&mut self) -> &mut [u8] {
        // SAFETY: these bytes were received and are not committed.
        unsafe { self.end.chunk.spare(self.end.offset, self.raw_end - self.end.offset) }
    }

    /// The first `offset` unparsed bytes are dealt with, and `length` bytes behind them are a
    /// frame's body. Its header replaces the end of those before it, of which there are enough for
    /// it and at least two more; what remains of them is passed over.
    pub fn accept_body(&mut self, offset: usize, length: usize, flags: u8) {
        let header = if length > 255 { HEADER_MAX } else { 2 };
        debug_assert!(offset >= header + 2 && offset - header <= 2 + 255);
        let unparsed = self.unparsed_mut();
        let surplus = offset - header;
        put_header(unparsed, SKIP, (surplus - 2) as u64);
        put_header(&mut unparsed[surplus..], flags, length as u64);
        self.advance(surplus, SKIP);
        self.begin_frame(flags);
        self.advance(header + length, flags);
    }

    /// The first `length` unparsed bytes are a frame; `flags` replaces its first byte.
    #[inline]
    pub fn accept_frame(&mut self, length: usize, flags: u8) {
        debug_assert!(length >= 2 && length <= self.raw_end - self.end.offset);
        self.begin_frame(flags);
        // SAFETY: within the unparsed bytes.
        let first = unsafe { self.end.chunk.spare(self.end.offset, 1) };
        first[0] = flags;
        self.advance(length, flags);
    }

    /// The first `header` unparsed bytes are the header of a frame whose body is `body`.
    pub fn accept_external(&mut self, header: usize, flags: u8, body: Msg) {
        self.begin_frame(flags);
        self.end.bodies += body.len() as u64;
        self.staged.push((self.end.position + header as u64, External::Body(body)));
        self.accept_frame(header, flags);
    }

    /// The first `length` unparsed bytes are for nobody, and `next` tells whether the rest of them
    /// begins with a whole message part.
    ///
    /// Few bytes ahead of a part stay, to be passed over with it. Otherwise the rest moves forward:
    /// a reader that takes nothing must not have them pile up.
    pub fn discard(&mut self, length: usize, next: bool) {
        const FEW: usize = 2 + 255;
        if next && (2..=FEW).contains(&length) {
            put_header(self.unparsed_mut(), SKIP, (length - 2) as u64);
            self.advance(length, SKIP);
            return;
        }
        let unparsed = self.unparsed_mut();
        let length = length.min(unparsed.len());
        unparsed.copy_within(length.., 0);
        self.raw_end -= length;
    }

    /// Drops unparsed bytes beyond the first `keep`.
    pub fn truncate_unparsed(&mut self, keep: usize) {
        self.raw_end = self.raw_end.min(self.end.offset + keep);
    }

    /// The size of the current chunk, for deciding how much to read at once.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// The next chunks may be larger, since the last read filled this one.
    pub fn grow(&mut self) {
        self.chunk_size = (self.chunk_size * 2).min(CHUNK_MAX);
    }

    #[cold]
    fn move_unparsed(&mut self, minimum: usize) -> Result<()> {
        let unparsed = self.raw_end - self.end.offset;
        let old = self.end;
        self.new_chunk(unparsed + minimum)?;
        // SAFETY: the old bytes are unparsed and uncommitted, the new chunk has room for them.
        let (from, to) =
            unsafe { (old.chunk.bytes(old.offset, unparsed), self.end.chunk.spare(0, unparsed)) };
        to.copy_from_slice(from);
        self.raw_end = unparsed;
        Ok(())
    }

    #[inline(always)]
    fn reserve(&mut self, total: usize) -> Result<()> {
        debug_assert_eq!(self.raw_end, self.end.offset);
        if self.capacity - self.end.offset < total { self.new_chunk(total) } else { Ok(()) }
    }

    #[cold]
    fn new_chunk(&mut self, minimum: usize) -> Result<()> {
        if self.end.offset > 0 && self.backlog() > 0 {
            self.grow();
        }
        let wanted = self.chunk_size.max(minimum);
        let spare =
            ChunkPtr::from_raw(self.shared.spare.swap(std::ptr::null_mut(), Ordering::AcqRel));
        let chunk = match spare {
            Some(chunk) if chunk.capacity() >= wanted => {
                chunk.reopen();
                chunk
            }
            other => {
                if let Some(small) = other {
                    // SAFETY: whoever takes a chunk out of the spare slot owns it.
                    unsafe { small.free() };
                }
                ChunkPtr::allocate(wanted)?
            }
        };
        self.end.chunk.seal(self.end.offset, chunk);
        self.end.chunk = chunk;
        self.end.offset = 0;
        self.raw_end = 0;
        self.capacity = chunk.capacity();
        Ok(())
    }

    #[inline(always)]
    fn frame_done(&mut self, length: usize, flags: u8) {
        self.advance(length, flags);
        self.raw_end = self.end.offset;
    }

    #[inline(always)]
    fn begin_frame(&mut self, flags: u8) {
        if flags & MORE != 0 && self.begun.is_none() {
            self.begun = Some(self.end);
        }
    }

    /// A command to be passed over is no message, wherever it stands.
    #[inline(always)]
    fn advance(&mut self, length: usize, flags: u8) {
        self.end.offset += length;
        self.end.position += length as u64;
        if flags & (MORE | SKIP) == 0 {
            self.end.messages += 1;
            if self.begun.is_some() {
                self.begun = None;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rollback();
        self.shared.flags.closed.store(true, Ordering::Release);
    }
}

/// After so many messages taken there is credit: half the limit, so that neither side has to look
/// after, or wait for, single messages.
pub fn credit_interval(limit: u64) -> u64 {
    if limit == UNLIMITED { UNLIMITED } else { limit.div_ceil(2).max(1) }
}

/// Looks at what was committed to a rope, from any thread.
pub struct Committed(Arc<Shared>);

impl Committed {
    /// Bytes committed since the start, external bodies included.
    pub fn volume(&self) -> u64 {
        // The position is stored after the volume, with release.
        self.0.written.position.load(Ordering::Acquire);
        self.0.written.volume.load(Ordering::Relaxed)
    }
}

/// Clears a flag that the other end sets. True: it was set, and the caller must tell the other end.
#[inline]
fn clear(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
        && flag.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Writes a frame header, returns its length. LONG is set as the length needs it.
#[inline(always)]
fn put_header(room: &mut [u8], flags: u8, length: u64) -> usize {
    if length > 255 {
        room[0] = flags | LONG;
        room[1..HEADER_MAX].copy_from_slice(&length.to_be_bytes());
        HEADER_MAX
    } else {
        room[0] = flags & !LONG;
        room[1] = length as u8;
        2
    }
}

/// Starts the current chunk over when nothing is left in the rope, so that a connection with
/// little traffic keeps using the same, cached memory. Whoever holds both ends may call this.
#[inline]
pub fn rewind(writer: &mut Writer, reader: &mut Reader) {
    let position = writer.end.position;
    let idle = writer.raw_end == writer.end.offset
        && writer.begun.is_none()
        && reader.head.position == position
        && writer.shared.written.position.load(Ordering::Relaxed) == position;
    if !idle || !Arc::ptr_eq(&writer.shared, reader.shared()) {
        return;
    }
    while reader.head.chunk != writer.end.chunk {
        if !reader.next_chunk() {
            return;
        }
    }
    writer.end.offset = 0;
    writer.raw_end = 0;
    reader.head.offset = 0;
}
