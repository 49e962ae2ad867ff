// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Full-size chunks kept to be used again, by any rope of the process.
//!
//! A rope keeps one chunk. In a stream that is not enough now and then, and chunks are large: the
//! general allocator gives their pages back to the system and asks for them anew, which costs more
//! than filling them.
//!
//! Invariants:
//! - A chunk in here belongs to the depot alone, and has [`CHUNK_MAX`] bytes.
//! - Nobody waits: whoever finds the depot locked, as a forked child may for ever, does without.

use super::chunk::ChunkPtr;
use super::rope::CHUNK_MAX;
use parking_lot::Mutex;

/// How many chunks are kept at most: 2 MiB.
const CHUNKS: usize = if cfg!(feature = "loom") { 0 } else { 32 };

struct Depot {
    chunks: [Option<ChunkPtr>; CHUNKS],
    count: usize,
}

static DEPOT: Mutex<Depot> = Mutex::new(Depot { chunks: [None; CHUNKS], count: 0 });

/// A chunk of `capacity` bytes, with what is left in it of earlier messages.
pub(super) fn take(capacity: usize) -> Option<ChunkPtr> {
    if capacity != CHUNK_MAX {
        return None;
    }
    let mut depot = DEPOT.try_lock()?;
    let last = depot.count.checked_sub(1)?;
    depot.count = last;
    depot.chunks.get_mut(last)?.take()
}

/// True: the depot has taken `chunk`, which belongs to the caller alone.
pub(super) fn keep(chunk: ChunkPtr) -> bool {
    if chunk.capacity() != CHUNK_MAX {
        return false;
    }
    let Some(mut depot) = DEPOT.try_lock() else { return false };
    let count = depot.count;
    let Some(place) = depot.chunks.get_mut(count) else { return false };
    *place = Some(chunk);
    depot.count = count + 1;
    true
}
