// SPDX-License-Identifier: MPL-2.0
//! The memory of a rope: chunks of bytes in a singly linked list.
//!
//! Invariants:
//! - Only the writer stores into a chunk, and only beyond what it has committed; only the reader
//!   looks at committed bytes. The two ranges never overlap, so no byte is shared at any time.
//! - The next chunk is linked behind one before that is *sealed* with its final length: whoever
//!   comes to the end of a sealed chunk finds the next one.
//! - The reader gives a chunk back only after it has moved to the next one.

use super::depot;
use super::sync::{AtomicPtr, AtomicUsize, Ordering};
use crate::errno::{Error, Result};
use std::ptr::NonNull;

/// The length of a chunk that is still being filled.
pub(super) const OPEN: usize = usize::MAX;

pub(super) struct Chunk {
    /// The chunk behind this one; null while this one is the last.
    pub(super) next: AtomicPtr<Chunk>,
    /// How many of its bytes belong to the rope, or [`OPEN`].
    pub(super) sealed: AtomicUsize,
    memory: NonNull<u8>,
    capacity: usize,
    /// Who touched which byte, for the model checker.
    #[cfg(feature = "loom")]
    tracks: Vec<loom::cell::UnsafeCell<()>>,
    /// Has the model checker find chunks that are never freed.
    #[cfg(feature = "loom")]
    _leak: loom::alloc::Track<()>,
}

/// An owned or shared pointer to a chunk; what it may be used for is said at each method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkPtr(NonNull<Chunk>);

// SAFETY: a chunk is plain memory with atomic links; who may touch which bytes is decided by the
// committed position, as the module header says.
unsafe impl Send for ChunkPtr {}

impl ChunkPtr {
    /// An open chunk of `capacity` bytes; ENOMEM when there is no memory.
    pub(super) fn allocate(capacity: usize) -> Result<ChunkPtr> {
        if let Some(kept) = depot::take(capacity) {
            kept.reopen();
            return Ok(kept);
        }
        let mut memory: Vec<u8> = Vec::new();
        memory.try_reserve_exact(capacity).map_err(|_| Error::NOMEM)?;
        memory.resize(capacity, 0);
        let memory = Box::into_raw(memory.into_boxed_slice());
        let chunk = Chunk {
            next: AtomicPtr::new(std::ptr::null_mut()),
            sealed: AtomicUsize::new(OPEN),
            // SAFETY: Box::into_raw never returns null.
            memory: unsafe { NonNull::new_unchecked(memory.cast()) },
            capacity,
            #[cfg(feature = "loom")]
            tracks: (0..capacity).map(|_| loom::cell::UnsafeCell::new(())).collect(),
            #[cfg(feature = "loom")]
            _leak: loom::alloc::Track::new(()),
        };
        // SAFETY: as above.
        Ok(ChunkPtr(unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(chunk))) }))
    }

    /// Frees the chunk, or keeps it for another rope.
    ///
    /// # Safety
    /// Nobody else may hold or reach this chunk any more.
    pub(super) unsafe fn free(self) {
        if depot::keep(self) {
            return;
        }
        #[cfg(feature = "loom")]
        for track in &self.chunk().tracks {
            track.with_mut(|_| ());
        }
        // SAFETY: both came from Box::into_raw in `allocate`, and the caller is the last owner.
        unsafe {
            let chunk = Box::from_raw(self.0.as_ptr());
            let slice = std::ptr::slice_from_raw_parts_mut(chunk.memory.as_ptr(), chunk.capacity);
            drop(Box::from_raw(slice));
        }
    }

    pub(super) fn from_raw(raw: *mut Chunk) -> Option<ChunkPtr> {
        NonNull::new(raw).map(ChunkPtr)
    }

    pub(super) fn raw(self) -> *mut Chunk {
        self.0.as_ptr()
    }

    fn chunk<'a>(self) -> &'a Chunk {
        // SAFETY: a ChunkPtr is held only by the writer (the last chunks), the reader (from its
        // position on) or the rope's spare slot, and freed only by the last of them.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn capacity(self) -> usize {
        self.chunk().capacity
    }

    pub(super) fn sealed(self) -> usize {
        self.chunk().sealed.load(Ordering::Acquire)
    }

    pub(super) fn next(self) -> Option<ChunkPtr> {
        ChunkPtr::from_raw(self.chunk().next.load(Ordering::Acquire))
    }

    /// Writer: ends this chunk after `length` bytes and links `next` behind it.
    pub(super) fn seal(self, length: usize, next: ChunkPtr) {
        self.chunk().next.store(next.raw(), Ordering::Release);
        self.chunk().sealed.store(length, Ordering::Release);
    }

    /// Reader: the chunk leaves the list, to be used again.
    pub(super) fn unlink(self) {
        self.chunk().next.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// Writer: makes this the last chunk again, after the ones behind it were rolled back.
    pub(super) fn reopen(self) {
        self.chunk().sealed.store(OPEN, Ordering::Release);
        self.chunk().next.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// Committed bytes, for the reader; or uncommitted ones, for the writer.
    ///
    /// # Safety
    /// The range lies within the capacity, was written, and belongs to the calling side for as
    /// long as the slice lives.
    pub(super) unsafe fn bytes<'a>(self, offset: usize, length: usize) -> &'a [u8] {
        debug_assert!(offset + length <= self.capacity());
        #[cfg(feature = "loom")]
        for track in &self.chunk().tracks[offset..offset + length] {
            track.with(|_| ());
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.chunk().memory.as_ptr().add(offset), length) }
    }

    /// Bytes the writer has not committed.
    ///
    /// # Safety
    /// The range lies within the capacity beyond the committed bytes, and only the writer calls.
    pub(super) unsafe fn spare<'a>(self, offset: usize, length: usize) -> &'a mut [u8] {
        debug_assert!(offset + length <= self.capacity());
        #[cfg(feature = "loom")]
        for track in &self.chunk().tracks[offset..offset + length] {
            track.with_mut(|_| ());
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.chunk().memory.as_ptr().add(offset), length) }
    }
}
