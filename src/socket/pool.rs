// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The memory of sockets, kept for ever and used again.

use super::{FORKED, Socket};
use crate::ctx::handles::{self, Kind};
use crate::fork::{self, Global};
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// Sockets of one block. Blocks are never freed, so a reference to a socket is good for ever.
const BLOCK: usize = 256;
/// More blocks than handles can name.
const BLOCKS: usize = 4096;

static TABLE: [OnceLock<Box<[Socket]>>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];
static FREE: Global<Free> = Global::new(Free { generation: 0, numbers: Vec::new() });
static USED: Global<usize> = Global::new(0);

/// Sockets nobody uses, of this process: one that the parent gave back may be locked by a thread that
/// came too late with something for it, and which a child does not have.
struct Free {
    generation: u32,
    numbers: Vec<usize>,
}

impl Free {
    fn own(&mut self) -> &mut Vec<usize> {
        let generation = fork::generation();
        if self.generation != generation {
            self.generation = generation;
            self.numbers.clear();
        }
        &mut self.numbers
    }
}

/// The socket of a live handle.
#[inline]
pub fn lookup(handle: *mut c_void) -> Option<&'static Socket> {
    at(handles::value(Kind::Socket, handle)?)
}

#[inline]
fn at(number: usize) -> Option<&'static Socket> {
    TABLE.get(number / BLOCK)?.get()?.get(number % BLOCK)
}

/// A socket nobody uses, and its number.
pub fn take() -> Option<(usize, &'static Socket)> {
    if let Some(number) = FREE.lock().own().pop() {
        return Some((number, at(number)?));
    }
    fork::in_child(forked);
    let mut used = USED.lock();
    let number = *used;
    TABLE.get(number / BLOCK)?.get_or_init(|| (0..BLOCK).map(|_| Socket::new()).collect());
    *used += 1;
    Some((number, at(number)?))
}

/// In the child of a fork: what there is was inherited.
fn forked() {
    for block in TABLE.iter().map_while(OnceLock::get) {
        for socket in block {
            socket.state.store(FORKED, Ordering::Relaxed);
        }
    }
}

/// Gives a socket's memory back for later use.
pub fn give_back(number: usize) {
    FREE.lock().own().push(number);
}
