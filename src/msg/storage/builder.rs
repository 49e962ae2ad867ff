// SPDX-License-Identifier: MPL-2.0
//! Making a message of the pieces that arrive.

use std::mem::MaybeUninit;
use std::{ptr, slice};

use super::block::Block;
use super::{HEAP, INLINE, INLINE_CAPACITY, Msg};
use crate::errno::{Error, Result};

/// A message that is received piece by piece. Its memory grows with the bytes that have come, so
/// that a peer's claim of a great length costs nothing.
#[derive(Debug)]
pub struct MsgBuilder {
    /// What there is so far: an inline message, or one on the heap that nobody shares.
    msg: Msg,
    /// How many bytes the memory of `msg` has room for.
    capacity: usize,
    total: usize,
}

/// What a builder allocates at first.
const FIRST_CAPACITY: usize = 64 * 1024;

impl MsgBuilder {
    /// A builder of a message of `total` bytes. Fails with ENOMEM, also when no memory could ever
    /// have that size.
    pub fn new(total: usize) -> Result<MsgBuilder> {
        if total <= INLINE_CAPACITY {
            return Ok(MsgBuilder { msg: Msg::new(), capacity: INLINE_CAPACITY, total });
        }
        Block::total(total)?;
        let capacity = total.min(FIRST_CAPACITY);
        let block = Block::allocate(capacity)?;
        let msg = Msg::with_outside(HEAP, Block::content(block), 0, block);
        Ok(MsgBuilder { msg, capacity, total })
    }

    /// Memory for what comes next: at least one byte until the message is full, at most `limit` and
    /// at most what remains. Fails with ENOMEM.
    pub fn spare(&mut self, limit: usize) -> Result<&mut [MaybeUninit<u8>]> {
        let filled = self.msg.len();
        if filled == self.capacity && !self.is_full() {
            self.reserve(filled + 1)?;
        }
        let room = self.capacity.min(self.total) - filled;
        let start = self.msg.as_mut_ptr().wrapping_add(filled).cast();
        // SAFETY: the memory has `capacity` bytes, of which those from `filled` on are unused.
        Ok(unsafe { slice::from_raw_parts_mut(start, room.min(limit)) })
    }

    /// Counts `n` bytes as received.
    ///
    /// # Safety
    /// The first `n` bytes of what the last call of [`MsgBuilder::spare`] returned are written.
    pub unsafe fn advance(&mut self, n: usize) {
        let filled = self.msg.len() + n;
        debug_assert!(filled <= self.capacity.min(self.total));
        if self.msg.kind == INLINE {
            self.msg.len_or_class = filled as u8;
        } else {
            self.msg.body.outside.len = filled;
        }
    }

    /// Appends a copy of `bytes`. Fails with ENOMEM, and with EMSGSIZE when they are more than
    /// remain; the builder is then as before.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let filled = self.msg.len();
        if bytes.len() > self.remaining() {
            return Err(Error::MSGSIZE);
        }
        if bytes.len() > self.capacity - filled {
            self.reserve(filled + bytes.len())?;
        }
        // SAFETY: there is room for the bytes behind those that are filled; they are written before
        // they are counted; what the caller has does not overlap with the builder's memory.
        unsafe {
            let start = self.msg.as_mut_ptr().add(filled);
            ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            self.advance(bytes.len());
        }
        Ok(())
    }

    /// How many bytes are still to come.
    pub fn remaining(&self) -> usize {
        self.total - self.msg.len()
    }

    pub fn is_full(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes received so far, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let filled = self.msg.len();
        // SAFETY: that many bytes are written, and shared with nobody before `finish`.
        unsafe { slice::from_raw_parts_mut(self.msg.as_mut_ptr(), filled) }
    }

    /// Leaves out the first `count` bytes of a message that is full.
    pub fn trim_front(&mut self, count: usize) {
        let filled = self.msg.len();
        let count = count.min(filled);
        if self.msg.kind == INLINE {
            self.filled_mut().copy_within(count.., 0);
            self.msg.len_or_class = (filled - count) as u8;
        } else {
            // SAFETY: a heap message, of which at least `count` bytes are written.
            unsafe {
                self.msg.body.outside.data = self.msg.body.outside.data.add(count);
                self.msg.body.outside.len = filled - count;
            }
        }
        self.total -= count;
        self.capacity = self.total;
    }

    /// The message, with the bytes received so far.
    pub fn finish(self) -> Msg {
        self.msg
    }

    /// Makes room for `needed` bytes, by doubling, no further than to the total.
    fn reserve(&mut self, needed: usize) -> Result<()> {
        let capacity = self.capacity.saturating_mul(2).max(needed).min(self.total);
        let Some(block) = self.msg.block() else { return Err(Error::MSGSIZE) };
        // SAFETY: the block is a heap message's, and shared with nobody before `finish`; the
        // message refers to the new one from here on.
        unsafe {
            let block = Block::reallocate(block, capacity)?;
            self.msg.body.outside.block = block;
            self.msg.body.outside.data = Block::content(block);
        }
        self.capacity = capacity;
        Ok(())
    }
}
