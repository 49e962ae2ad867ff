// SPDX-License-Identifier: MPL-2.0
//! Handles: what `zmq_ctx_new` and `zmq_socket` return, as pointers that can be checked.
//!
//! A handle points to a small cell in one reserved range of memory that is never given back, so
//! looking at it is always safe, whatever the caller passes: a pointer outside the range or not
//! at the start of a cell is refused, and so is a cell whose tag is not that of a live object of
//! the right kind. The cells are readable memory because some bindings look at the first bytes
//! of what they are given. A cell is used again only after many others were.

use crate::errno::{Error, Result};
use crate::fork::Global;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// What a handle stands for. The values are libzmq's tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    Context = 0xabad_cafe,
    Socket = 0xbadd_ecaf,
    Poller = 0xcafe_babe,
}

const DEAD: u32 = 0xdead_beef;

/// One handle. `value` is a number the owner of the kind gives a meaning to.
#[repr(C, align(64))]
struct Cell {
    tag: AtomicU32,
    value: AtomicUsize,
}

/// Where the range begins; 0 before there is one.
static START: AtomicUsize = AtomicUsize::new(0);

const CELL_SIZE: usize = size_of::<Cell>();
/// More handles than any process opens; the memory is only reserved.
const CELLS: usize = 1 << 20;
/// Freed cells rest until this many others have been freed.
const QUARANTINE: usize = 4096;

struct Cells {
    used: usize,
    free: VecDeque<usize>,
}

static STATE: Global<Cells> = Global::new(Cells { used: 0, free: VecDeque::new() });

/// Where the range begins. With the lock of [`STATE`] held.
fn reserve() -> Result<usize> {
    let start = START.load(Ordering::Relaxed);
    if start != 0 {
        return Ok(start);
    }
    // SAFETY: an anonymous private mapping of zeros, reserved and never unmapped.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            CELLS * CELL_SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(Error::NOMEM);
    }
    START.store(start as usize, Ordering::Relaxed);
    Ok(start as usize)
}

/// The cell at this address, if it is one.
#[inline(always)]
fn cell(address: usize) -> Option<&'static Cell> {
    let start = START.load(Ordering::Relaxed);
    let offset = address.wrapping_sub(start);
    if start == 0 || offset >= CELLS * CELL_SIZE || !offset.is_multiple_of(CELL_SIZE) {
        return None;
    }
    // SAFETY: the address is that of a cell in the reserved range, whose zeros or former content
    // are a valid Cell, and which is never unmapped.
    Some(unsafe { &*(address as *const Cell) })
}

/// Makes a handle. EMFILE when there are too many, ENOMEM.
pub fn open(kind: Kind, value: usize) -> Result<*mut c_void> {
    let address = {
        let mut cells = STATE.lock();
        let start = reserve()?;
        if cells.free.len() > QUARANTINE || cells.used == CELLS {
            cells.free.pop_front().ok_or(Error::MFILE)?
        } else {
            cells.used += 1;
            start + (cells.used - 1) * CELL_SIZE
        }
    };
    let cell = cell(address).ok_or(Error::FAULT)?;
    cell.value.store(value, Ordering::Relaxed);
    cell.tag.store(kind as u32, Ordering::Release);
    Ok(address as *mut c_void)
}

/// The value of a live handle of this kind.
#[inline]
pub fn value(kind: Kind, handle: *mut c_void) -> Option<usize> {
    let cell = cell(handle as usize)?;
    if cell.tag.load(Ordering::Acquire) != kind as u32 {
        return None;
    }
    Some(cell.value.load(Ordering::Relaxed))
}

/// Ends a handle; true for the one call that did.
pub fn close(kind: Kind, handle: *mut c_void) -> bool {
    let ended = end(kind, handle);
    if ended {
        STATE.lock().free.push_back(handle as usize);
    }
    ended
}

/// The same without a lock; its cell is not used again.
pub fn end(kind: Kind, handle: *mut c_void) -> bool {
    let Some(cell) = cell(handle as usize) else { return false };
    cell.tag.compare_exchange(kind as u32, DEAD, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_handles_of_the_right_kind_count() {
        let handle = open(Kind::Socket, 7).unwrap();
        assert_eq!(value(Kind::Socket, handle), Some(7));
        assert_eq!(value(Kind::Context, handle), None);
        assert_eq!(value(Kind::Socket, handle.wrapping_byte_add(8)), None);
        assert_eq!(value(Kind::Socket, std::ptr::null_mut()), None);
        assert_eq!(value(Kind::Socket, (&raw const handle).cast_mut().cast()), None);
        assert!(close(Kind::Socket, handle));
        assert!(!close(Kind::Socket, handle));
        assert_eq!(value(Kind::Socket, handle), None);
        assert_ne!(open(Kind::Socket, 8).unwrap(), handle, "not used again at once");
    }
}
