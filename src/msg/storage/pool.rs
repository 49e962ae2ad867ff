// SPDX-License-Identifier: MPL-2.0
//! Blocks kept to be used again.
//!
//! A message that goes by reference is allocated by one thread and released by another. General
//! allocators pay for that with locks and with cache lines that travel for every single block.
//! Here each thread keeps a few blocks of each size in a *magazine*, and hands them on to other
//! threads by the magazine: what one thread releases another allocates again.
//!
//! Invariants:
//! - A block in a magazine or the depot belongs to it alone, comes from `malloc` and has the size
//!   of its class.
//! - Nobody waits: whoever finds a class of the depot locked, as a forked child may for ever, uses
//!   `malloc` and `free`.
//! - What is kept is bounded: [`MAGAZINE_BYTES`] per class and thread, [`DEPOT_BYTES`] for all
//!   in the depot.

use super::block::Block;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blocks of at most this many bytes are not kept: what is in them is copied rather than handed
/// on, so the thread that releases them is the one that allocated them.
const SMALLEST: usize = 256;
/// Classes: four sizes for each power of two from there on.
const CLASSES: usize = 32;
const SHIFT: u32 = SMALLEST.trailing_zeros();

const MAGAZINE_BLOCKS: usize = 16;
const MAGAZINE_BYTES: usize = 128 * 1024;
const DEPOT_BYTES: usize = 16 * 1024 * 1024;

/// A size class; 0 stands for blocks that are not kept.
pub(super) type Class = u8;

pub(super) const NOT_KEPT: Class = 0;

/// The class for blocks of `total` bytes, and the bytes of its blocks.
#[inline]
pub(super) fn class_of(total: usize) -> (Class, usize) {
    if total <= SMALLEST {
        return (NOT_KEPT, total);
    }
    let shift = (total - 1).ilog2();
    let quarter = ((total - 1) >> (shift - 2)) & 3;
    let class = (shift - SHIFT) as usize * 4 + quarter + 1;
    if class > CLASSES { (NOT_KEPT, total) } else { (class as Class, (5 + quarter) << (shift - 2)) }
}

/// The bytes of the blocks of a class that is kept.
#[inline]
pub(super) fn class_size(class: Class) -> usize {
    let index = usize::from(class.max(1)) - 1;
    (5 + index % 4) << (SHIFT as usize + index / 4 - 2)
}

/// Blocks of one class.
#[derive(Clone, Copy)]
struct Magazine {
    blocks: [Option<NonNull<Block>>; MAGAZINE_BLOCKS],
    count: usize,
}

// SAFETY: the blocks are memory that belongs to nobody else.
unsafe impl Send for Magazine {}

impl Magazine {
    const EMPTY: Magazine = Magazine { blocks: [None; MAGAZINE_BLOCKS], count: 0 };

    fn capacity(class: Class) -> usize {
        (MAGAZINE_BYTES / class_size(class)).clamp(1, MAGAZINE_BLOCKS)
    }

    #[inline]
    fn pop(&mut self) -> Option<NonNull<Block>> {
        self.count = self.count.checked_sub(1)?;
        self.blocks.get_mut(self.count)?.take()
    }

    /// False: it is full.
    #[inline]
    fn push(&mut self, block: NonNull<Block>, class: Class) -> bool {
        if self.count >= Magazine::capacity(class) {
            return false;
        }
        self.blocks[self.count] = Some(block);
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

impl Magazines {
    fn new() -> Box<Magazines> {
        Box::new(Magazines([Magazine::EMPTY; CLASSES]))
    }
}

impl Drop for Magazines {
    fn drop(&mut self) {
        for (class, magazine) in (1..).zip(&mut self.0) {
            if magazine.count < Magazine::capacity(class) || !hand_over(class, magazine) {
                magazine.free();
            }
        }
    }
}

thread_local! {
    static MAGAZINES: RefCell<Option<Box<Magazines>>> = const { RefCell::new(None) };
}

/// Bytes in the depot.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Full magazines, by class.
static DEPOT: [Mutex<Vec<Magazine>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];

/// Puts a full magazine into the depot and empties it. False: there is no place for it.
fn hand_over(class: Class, magazine: &mut Magazine) -> bool {
    let bytes = class_size(class) * magazine.count;
    if KEPT.load(Ordering::Relaxed) + bytes > DEPOT_BYTES {
        return false;
    }
    let Some(Some(mut full)) = DEPOT.get(usize::from(class) - 1).map(Mutex::try_lock) else {
        return false;
    };
    KEPT.fetch_add(bytes, Ordering::Relaxed);
    full.push(std::mem::replace(magazine, Magazine::EMPTY));
    true
}

/// A block of a class that is kept, with whatever it held before; `None`: none is at hand.
#[inline]
pub(super) fn take(class: Class) -> Option<NonNull<Block>> {
    MAGAZINES
        .try_with(|own| {
            let mut own = own.try_borrow_mut().ok()?;
            let own = own.get_or_insert_with(Magazines::new);
            let magazine = own.0.get_mut(usize::from(class) - 1)?;
            if magazine.count == 0 {
                *magazine = DEPOT.get(usize::from(class) - 1)?.try_lock()?.pop()?;
                KEPT.fetch_sub(class_size(class) * magazine.count, Ordering::Relaxed);
            }
            magazine.pop()
        })
        .ok()
        .flatten()
}

/// Keeps a block of this class. False: it is the caller's to free.
#[inline]
pub(super) fn give_back(block: NonNull<Block>, class: Class) -> bool {
    MAGAZINES
        .try_with(|own| {
            let Ok(mut own) = own.try_borrow_mut() else { return false };
            let own = own.get_or_insert_with(Magazines::new);
            let Some(magazine) = own.0.get_mut(usize::from(class) - 1) else { return false };
            magazine.push(block, class)
                || (hand_over(class, magazine) && magazine.push(block, class))
        })
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert_eq!(class_of(1), (NOT_KEPT, 1));
        assert_eq!(class_of(256), (NOT_KEPT, 256));
        assert_eq!(class_of(257), (1, 320));
        assert_eq!(class_of(320), (1, 320));
        assert_eq!(class_of(321), (2, 384));
        assert_eq!(class_of(512), (4, 512));
        assert_eq!(class_of(513), (5, 640));
        assert_eq!(class_of(65536), (32, 65536));
        assert_eq!(class_of(65537), (NOT_KEPT, 65537));
        for total in SMALLEST + 1..=65536 {
            let (class, size) = class_of(total);
            assert_eq!(class_size(class), size);
            assert!(size >= total && size < total + total / 4 + 1);
        }
    }

    fn block(class: Class) -> NonNull<Block> {
        // SAFETY: malloc has no preconditions.
        NonNull::new(unsafe { libc::malloc(class_size(class)) }.cast()).unwrap()
    }

    #[test]
    fn blocks_come_back() {
        let (class, _) = class_of(5000);
        let kept = block(class);
        assert!(give_back(kept, class));
        assert_eq!(take(class), Some(kept));
        // SAFETY: taken just now, from malloc before.
        unsafe { libc::free(kept.as_ptr().cast()) };
    }

    #[test]
    fn what_one_thread_releases_another_allocates() {
        let (class, _) = class_of(40_000);
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
