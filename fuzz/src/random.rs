// SPDX-License-Identifier: MPL-2.0
//! Random numbers that are the same in every run, in place of libsodium's.

use libsodium_sys as sodium;
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::slice;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(1) };
}

/// Starts the sequence over.
pub fn restart() {
    static INSTALL: std::sync::Once = std::sync::Once::new();
    INSTALL.call_once(|| {
        static IMPLEMENTATION: sodium::randombytes_implementation =
            sodium::randombytes_implementation {
                implementation_name: Some(name),
                random: Some(random),
                stir: None,
                uniform: None,
                buf: Some(fill),
                close: None,
            };
        // SAFETY: before anything else of libsodium; the table lives for ever.
        unsafe { sodium::randombytes_set_implementation(&IMPLEMENTATION) };
        zmq::mechanism::curve::sodium::initialise().expect("libsodium");
    });
    STATE.set(1);
}

fn next() -> u64 {
    // splitmix64.
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

extern "C" fn name() -> *const c_char {
    c"same".as_ptr()
}

extern "C" fn random() -> u32 {
    next() as u32
}

unsafe extern "C" fn fill(buffer: *mut c_void, size: usize) {
    if size > 0 {
        // SAFETY: libsodium's caller gives a buffer of this size.
        let bytes = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
        bytes.fill_with(|| next() as u8);
    }
}
