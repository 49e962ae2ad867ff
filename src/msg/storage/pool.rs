// SPDX-License-Identifier: MPL-2.0
//! Blocks kept to be used again.
//!
//! A message that goes by reference is allocated by one thread and released by another. General
//! allocators pay for that with locks and with cache lines that travel for every single block.
//! Here each thread keeps a few blocks of each size in a *magazine*, and hands them on to other
//! threads by the magazine: what one thread releases another allocates again. A small message's
//! block mostly stays with one thread, and the magazine is a quarter of malloc's work.
//!
//! Invariants:
//! - A block in a magazine or the depot belongs to it alone, comes from `malloc` and has the size
//!   of its class.
//! - Nobody waits: whoever finds a class of the depot locked, as a forked child may for ever, uses
//!   `malloc` and `free`.
//! - What is kept is bounded: [`MAGAZINE_BYTES`] per class and thread, [`DEPOT_BYTES`] for all
//!   in the depot.

use super::block::Block;
use crate::thread_words::{Word, get, set};
use parking_lot::Mutex;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

/// No block is as small as this, in bytes: less content is kept in the message itself.
const SMALLEST: usize = 64;
/// Classes: four sizes for each power of two from there on.
const CLASSES: usize = 40;
const SHIFT: u32 = SMALLEST.trailing_zeros();

const MAGAZINE_BLOCKS: usize = 16;
const MAGAZINE_BYTES: usize = 128 * 1024;
const DEPOT_BYTES: usize = 16 * 1024 * 1024;

/// A size class; 0 stands for blocks that are not kept.
pub(super) type Class = u8;

pub(super) const NOT_KEPT: Class = 0;

/// The class for blocks of `total` bytes.
#[inline(always)]
pub(super) fn class_of(total: usize) -> Class {
    // Every class has a multiple of SMALL_STEP bytes, as long as they are small.
    const SMALL_STEP: usize = SMALLEST / 4;
    const SMALL: [Class; 64] = {
        let mut table = [NOT_KEPT; 64];
        let mut index = 0;
        while index < table.len() {
            table[index] = computed_class((index + 1) * SMALL_STEP);
            index += 1;
        }
        table
    };
    match SMALL.get(total.wrapping_sub(1) / SMALL_STEP) {
        Some(&class) => class,
        None => computed_class(total),
    }
}

const fn computed_class(total: usize) -> Class {
    if total <= SMALLEST {
        return NOT_KEPT;
    }
    let shift = (total - 1).ilog2();
    let quarter = ((total - 1) >> (shift - 2)) & 3;
    let class = (shift - SHIFT) as usize * 4 + quarter + 1;
    if class > CLASSES { NOT_KEPT } else { class as Class }
}

/// The bytes of the blocks of a class that is kept.
#[inline]
pub(super) const fn class_size(class: Class) -> usize {
    let index = (class as usize).saturating_sub(1);
    (5 + index % 4) << (SHIFT as usize + index / 4 - 2)
}

/// Blocks of one class.
#[derive(Clone, Copy)]
struct Magazine {
    blocks: [Option<NonNull<Block>>; MAGAZINE_BLOCKS],
    count: usize,
    /// How many blocks of the class there may be, up to MAGAZINE_BLOCKS.
    capacity: usize,
}

// SAFETY: the blocks are memory that belongs to nobody else.
unsafe impl Send for Magazine {}

impl Magazine {
    const fn empty(class: Class) -> Magazine {
        let blocks = MAGAZINE_BYTES / class_size(class);
        let capacity = if blocks > MAGAZINE_BLOCKS { MAGAZINE_BLOCKS } else { blocks };
        Magazine { blocks: [None; MAGAZINE_BLOCKS], count: 0, capacity }
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<NonNull<Block>> {
        self.count = self.count.checked_sub(1)?;
        *self.blocks.get(self.count)?
    }

    /// False: it is full.
    #[inline(always)]
    fn push(&mut self, block: NonNull<Block>) -> bool {
        if self.count >= self.capacity {
            return false;
        }
        let Some(place) = self.blocks.get_mut(self.count) else { return false };
        *place = Some(block);
        self.count += 1;
        true
    }

    fn free(&mut self) {
        while let Some(block) = self.pop() {
            // SAFETY: blocks come from malloc, and this one belongs to the magazine.
            unsafe { libc::free(block.as_ptr().cast()) };
        }
    }
}

/// A thread's magazines.
struct Magazines([Magazine; CLASSES]);

impl Drop for Magazines {
    fn drop(&mut self) {
        for (class, magazine) in (1..).zip(&mut self.0) {
            if magazine.count < magazine.capacity || !hand_over(class, magazine) {
                magazine.free();
            }
        }
    }
}

thread_local! {
    static HAND_OVER: HandOver = const { HandOver };
}

/// Gives up a thread's magazines when it ends.
struct HandOver;

impl Drop for HandOver {
    fn drop(&mut self) {
        let own = get(Word::Magazines).cast::<Magazines>();
        set(Word::Magazines, ptr::null_mut());
        if !own.is_null() {
            // SAFETY: made by `first_use`, and nobody else finds it any more.
            drop(unsafe { Box::from_raw(own) });
        }
    }
}

/// This thread's magazine for a class that is kept, to do something with; `None` for a thread that
/// is about to end.
#[inline(always)]
fn with_magazine<T>(class: Class, body: impl FnOnce(&mut Magazine) -> T) -> Option<T> {
    // NULL before the first use and when the thread is about to end.
    let mut own = get(Word::Magazines).cast::<Magazines>();
    if own.is_null() {
        own = first_use()?;
    }
    // SAFETY: this thread's alone, and nothing that is done with a magazine comes back here.
    let own = unsafe { &mut *own };
    own.0.get_mut(usize::from(class).wrapping_sub(1)).map(body)
}

#[cold]
fn first_use() -> Option<*mut Magazines> {
    // Makes sure that they are given up in the end.
    HAND_OVER.try_with(|_| ()).ok()?;
    let magazines = std::array::from_fn(|index| Magazine::empty(index as Class + 1));
    let own = Box::into_raw(Box::new(Magazines(magazines)));
    set(Word::Magazines, own.cast());
    Some(own)
}

/// Bytes in the depot.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Full magazines, by class.
static DEPOT: [Mutex<Vec<Magazine>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];

/// Puts a full magazine into the depot and empties it. False: there is no place for it.
#[cold]
fn hand_over(class: Class, magazine: &mut Magazine) -> bool {
    let bytes = class_size(class) * magazine.count;
    if KEPT.load(Ordering::Relaxed) + bytes > DEPOT_BYTES {
        return false;
    }
    let Some(Some(mut full)) = DEPOT.get(usize::from(class) - 1).map(Mutex::try_lock) else {
        return false;
    };
    KEPT.fetch_add(bytes, Ordering::Relaxed);
    full.push(std::mem::replace(magazine, Magazine::empty(class)));
    true
}

/// Fills an empty magazine from the depot. `None`: there is nothing.
#[cold]
fn refill(class: Class, magazine: &mut Magazine) -> Option<()> {
    *magazine = DEPOT.get(usize::from(class) - 1)?.try_lock()?.pop()?;
    KEPT.fetch_sub(class_size(class) * magazine.count, Ordering::Relaxed);
    Some(())
}

/// A block of a class that is kept, with whatever it held before; `None`: none is at hand.
#[inline(always)]
pub(super) fn take(class: Class) -> Option<NonNull<Block>> {
    with_magazine(class, |magazine| {
        if magazine.count == 0 {
            refill(class, magazine)?;
        }
        magazine.pop()
    })?
}

/// Keeps a block of this class. False: it is the caller's to free.
#[inline(always)]
pub(super) fn give_back(block: NonNull<Block>, class: Class) -> bool {
    with_magazine(class, |magazine| {
        magazine.push(block) || (hand_over(class, magazine) && magazine.push(block))
    })
    .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let sizes = [80, 96, 112, 128, 160, 192, 224, 256, 320].map(class_of);
        assert_eq!(sizes, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for total in [0, 1, SMALLEST, 65537, usize::MAX] {
            assert_eq!(class_of(total), NOT_KEPT);
        }
        assert_eq!(class_of(65536), 40);
        for total in SMALLEST + 1..=65536 {
            let size = class_size(class_of(total));
            assert!(size >= total && size < total + total / 4 + 1);
        }
    }

    fn block(class: Class) -> NonNull<Block> {
        // SAFETY: malloc has no preconditions.
        NonNull::new(unsafe { libc::malloc(class_size(class)) }.cast()).unwrap()
    }

    #[test]
    fn blocks_come_back() {
        let class = class_of(5000);
        let kept = block(class);
        assert!(give_back(kept, class));
        assert_eq!(take(class), Some(kept));
        // SAFETY: taken just now, from malloc before.
        unsafe { libc::free(kept.as_ptr().cast()) };
    }

    #[test]
    fn what_one_thread_releases_another_allocates() {
        let class = class_of(40_000);
        let given: usize = std::thread::spawn(move || {
            (0..1000)
                .filter(|_| {
                    let block = block(class);
                    let kept = give_back(block, class);
                    if !kept {
                        // SAFETY: it was not kept.
                        unsafe { libc::free(block.as_ptr().cast()) };
                    }
                    kept
                })
                .count()
        })
        .join()
        .unwrap();
        assert!(given < 1000, "what is kept is bounded");
        // Only whole magazines survive their thread.
        give_back(block(class), class);
        let mut taken = 0;
        while let Some(block) = take(class) {
            // SAFETY: taken just now, from malloc before.
            unsafe { libc::free(block.as_ptr().cast()) };
            taken += 1;
        }
        assert!(taken > 1 && taken <= given + 1);
    }
}
