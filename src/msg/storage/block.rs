// SPDX-License-Identifier: MPL-2.0
//! The allocation behind a heap or external message.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use super::FreeFn;
use super::pool::{self, Class};
use crate::errno::{Error, Result};

/// The head of a heap message's allocation, with the content behind it; or all there is of an
/// external message's allocation. Allocated with `malloc`, so that a failure is an error.
#[repr(C, align(16))]
pub(super) struct Block {
    /// Counts the messages only while they are marked SHARED.
    pub(super) references: AtomicUsize,
    /// What gives the buffer of an external message back, and its arguments.
    pub(super) free: Option<FreeFn>,
    pub(super) data: *mut c_void,
    pub(super) hint: *mut c_void,
}

/// The longest content. No object is larger than isize::MAX, and the head is a part of it.
pub const MAX_SIZE: usize = isize::MAX as usize - size_of::<Block>();

impl Block {
    /// A block with `size` bytes of content, not written yet.
    #[inline]
    pub(super) fn allocate(size: usize) -> Result<NonNull<Block>> {
        let total = Block::total(size)?;
        // SAFETY: malloc has no preconditions.
        let block = NonNull::new(unsafe { libc::malloc(total) }).ok_or(Error::NOMEM)?.cast();
        let empty = Block {
            references: AtomicUsize::new(1),
            free: None,
            data: ptr::null_mut(),
            hint: ptr::null_mut(),
        };
        // SAFETY: malloc gave at least size_of::<Block>() bytes, aligned for any C type.
        unsafe { block.write(empty) };
        Ok(block)
    }

    /// A block with at least `size` bytes of content, not written yet, and the class it belongs to.
    #[inline]
    pub(super) fn allocate_kept(size: usize) -> Result<(NonNull<Block>, Class)> {
        let class = pool::class_of(Block::total(size)?);
        // Nothing looks into the head of a block of a class before it is shared.
        match pool::take(class) {
            Some(block) => Ok((block, class)),
            None => Ok((Block::allocate_new(size, class)?, class)),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_new(size: usize, class: Class) -> Result<NonNull<Block>> {
        let kept = class != pool::NOT_KEPT;
        Block::allocate(if kept { pool::class_size(class) - size_of::<Block>() } else { size })
    }

    /// Changes the content of a block that nobody shares to `size` bytes; on failure it stays as it
    /// was.
    ///
    /// # Safety
    /// `block` is a heap message's, not shared, and not used any more on success.
    pub(super) unsafe fn reallocate(block: NonNull<Block>, size: usize) -> Result<NonNull<Block>> {
        let total = Block::total(size)?;
        // SAFETY: blocks come from malloc.
        let moved = unsafe { libc::realloc(block.as_ptr().cast(), total) };
        NonNull::new(moved.cast()).ok_or(Error::NOMEM)
    }

    /// Whether a heap message's block has room for `size` bytes and is not much too large.
    ///
    /// # Safety
    /// `block` is a live heap message's, of this class.
    #[inline(always)]
    pub(super) unsafe fn fits(block: NonNull<Block>, class: Class, size: usize) -> bool {
        let room = if class == pool::NOT_KEPT {
            // SAFETY: blocks come from malloc.
            unsafe { libc::malloc_usable_size(block.as_ptr().cast()) }
        } else {
            pool::class_size(class)
        };
        let needed = size + size_of::<Block>();
        room >= needed && room <= 2 * needed
    }

    /// The bytes to allocate for a content of `size`.
    pub(super) fn total(size: usize) -> Result<usize> {
        if size > MAX_SIZE { Err(Error::NOMEM) } else { Ok(size + size_of::<Block>()) }
    }

    /// Where the content of a heap message's block is.
    #[inline]
    pub(super) fn content(block: NonNull<Block>) -> *mut u8 {
        block.as_ptr().cast::<u8>().wrapping_add(size_of::<Block>())
    }

    /// Gives up one message's reference; the last one frees the block and gives an external buffer
    /// back.
    ///
    /// # Safety
    /// `block` is alive, `class` and `shared` are its message's, and the message does not use it
    /// again.
    #[inline]
    pub(super) unsafe fn release(block: NonNull<Block>, class: Class, shared: bool) {
        if shared {
            // SAFETY: the block is alive as long as the caller's reference is counted.
            let references = unsafe { &block.as_ref().references };
            // A count of one is only ours to change, so it needs no read-modify-write.
            if references.load(Ordering::Acquire) != 1 {
                if references.fetch_sub(1, Ordering::Release) != 1 {
                    return;
                }
                fence(Ordering::Acquire);
            }
        }
        if class != pool::NOT_KEPT {
            if !pool::give_back(block, class) {
                // SAFETY: nobody else has a reference; blocks come from malloc.
                unsafe { libc::free(block.as_ptr().cast()) };
            }
            return;
        }
        // SAFETY: nobody else has a reference.
        unsafe { Block::free(block) }
    }

    /// Frees a block that is not kept, and gives an external buffer back.
    ///
    /// # Safety
    /// `block` is alive and nobody uses it again.
    #[cold]
    unsafe fn free(block: NonNull<Block>) {
        // SAFETY: the caller's promise; blocks come from malloc; the buffer is given back here
        // only, once.
        unsafe {
            let (free, data, hint) = {
                let block = block.as_ref();
                (block.free, block.data, block.hint)
            };
            libc::free(block.as_ptr().cast());
            if let Some(free) = free {
                free(data, hint);
            }
        }
    }
}

/// Tells the compiler that memory just allocated holds values, whatever they are: it belongs to C
/// code from now on, which may send it without having written all of it.
///
/// # Safety
/// `data` is writable for `len` bytes.
#[inline]
pub(super) unsafe fn assume_written(data: *mut u8, len: usize) {
    // SAFETY: writes nothing. To the compiler it is a piece of code that may have written to all
    // memory reachable by `data`, with whatever values it finds there later.
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    unsafe {
        let _ = len;
        std::arch::asm!("/* {0} */", in(reg) data, options(nostack, preserves_flags));
    }
    // SAFETY: by the caller's promise.
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    unsafe {
        data.write_bytes(0, len);
    }
}
