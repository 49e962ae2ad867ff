// SPDX-License-Identifier: MPL-2.0
//! The group of a message: 16 bytes, with an allocation of its own behind a long one.

use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::errno::{Error, Result};

/// The length of the longest group; what is longer is cut.
pub const GROUP_MAX: usize = 255;

const GROUP_INLINE: usize = 14;
const LONG_GROUP: u8 = 255;

#[repr(C)]
pub(super) union Group {
    short: ShortGroup,
    long: LongGroup,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ShortGroup {
    /// Or `LONG_GROUP`.
    len: u8,
    /// Filled up with NULs.
    text: [u8; GROUP_INLINE + 1],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LongGroup {
    mark: u8,
    block: NonNull<GroupBlock>,
}

/// The head of a long group's allocation; its bytes and a NUL follow.
#[repr(C)]
struct GroupBlock {
    references: AtomicUsize,
    len: usize,
}

impl Group {
    pub(super) const EMPTY: Group =
        Group { short: ShortGroup { len: 0, text: [0; GROUP_INLINE + 1] } };

    pub(super) fn new(group: &[u8]) -> Result<Group> {
        let group = &group[..group.len().min(GROUP_MAX)];
        let group = match group.iter().position(|&byte| byte == 0) {
            Some(end) => &group[..end],
            None => group,
        };
        let len = group.len();
        if len <= GROUP_INLINE {
            let mut text = [0; GROUP_INLINE + 1];
            text[..len].copy_from_slice(group);
            return Ok(Group { short: ShortGroup { len: len as u8, text } });
        }
        // SAFETY: malloc has no preconditions.
        let memory = unsafe { libc::malloc(size_of::<GroupBlock>() + len + 1) };
        let block = NonNull::new(memory).ok_or(Error::NOMEM)?.cast::<GroupBlock>();
        // SAFETY: the new memory has room for the head, the bytes and the NUL.
        unsafe {
            block.write(GroupBlock { references: AtomicUsize::new(1), len });
            let text = block.as_ptr().add(1).cast::<u8>();
            ptr::copy_nonoverlapping(group.as_ptr(), text, len);
            text.add(len).write(0);
        }
        Ok(Group { long: LongGroup { mark: LONG_GROUP, block } })
    }

    #[inline]
    fn mark(&self) -> u8 {
        // SAFETY: both variants begin with this byte.
        unsafe { self.short.len }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.is_long() && self.bytes().is_empty()
    }

    #[inline]
    pub(super) fn is_long(&self) -> bool {
        self.mark() == LONG_GROUP
    }

    fn long(&self) -> Option<&GroupBlock> {
        if !self.is_long() {
            return None;
        }
        // SAFETY: the mark says which variant this is; the block is alive while it is referred to.
        Some(unsafe { self.long.block.as_ref() })
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        if self.is_long() {
            // SAFETY: the mark says which variant this is; the text follows the head.
            unsafe { self.long.block.as_ptr().add(1).cast::<u8>() }
        } else {
            // SAFETY: the mark says which variant this is.
            unsafe { self.short.text.as_ptr() }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.long().map_or(self.mark().into(), |block| block.len);
        // SAFETY: either variant has `len` bytes at this place.
        unsafe { slice::from_raw_parts(self.as_ptr(), len) }
    }

    pub(super) fn add_reference(&self) {
        if let Some(block) = self.long() {
            block.references.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives the group up and leaves an empty one.
    #[inline]
    pub(super) fn release(&mut self) {
        let Some(block) = self.long() else { return };
        if block.references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: nobody else refers to the block; it comes from malloc.
            unsafe { libc::free(self.long.block.as_ptr().cast()) };
        }
        *self = Group::EMPTY;
    }
}
