// SPDX-License-Identifier: MPL-2.0
//! How much memory is in use. The linker sends `malloc` and its siblings here (`build.rs`), those
//! of Rust, of C and of the library's messages alike.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// What may be in use beyond what an input accounts for: buffers of fixed sizes.
pub const FIXED: usize = 2 << 20;
/// What may be in use for each byte of an input: the shortest property or message has its own
/// memory, in several places.
pub const EACH: usize = 256;

static IN_USE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// Runs `f` and fails if it takes memory out of proportion to the `input` bytes there are.
pub fn bounded<T>(input: usize, f: impl FnOnce() -> T) -> T {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = f();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    let allowed = FIXED + EACH * input;
    assert!(
        taken <= allowed as isize,
        "{taken} bytes of memory for an input of {input}, {allowed} allowed"
    );
    result
}

fn add(bytes: usize) {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    let now = IN_USE.fetch_add(bytes, Relaxed).saturating_add(bytes);
    PEAK.fetch_max(now, Relaxed);
}

fn subtract(bytes: usize) {
    IN_USE.fetch_sub(bytes as isize, Relaxed);
}

unsafe extern "C" {
    fn __real_malloc(size: usize) -> *mut c_void;
    fn __real_calloc(count: usize, size: usize) -> *mut c_void;
    fn __real_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
    fn __real_free(memory: *mut c_void);
    fn __real_posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;
    fn __real_aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn malloc_usable_size(memory: *mut c_void) -> usize;
}

/// Counts memory just allocated; for a request that failed the peak alone, as a claim that nobody
/// should have made.
fn allocated(memory: *mut c_void, requested: usize) -> *mut c_void {
    if memory.is_null() {
        let requested = isize::try_from(requested).unwrap_or(isize::MAX);
        PEAK.fetch_max(IN_USE.load(Relaxed).saturating_add(requested), Relaxed);
    } else {
        // SAFETY: memory of the allocator.
        add(unsafe { malloc_usable_size(memory) });
    }
    memory
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_malloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's arguments.
    allocated(unsafe { __real_malloc(size) }, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's arguments.
    allocated(unsafe { __real_calloc(count, size) }, count.saturating_mul(size))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe {
        let before = if memory.is_null() { 0 } else { malloc_usable_size(memory) };
        let moved = allocated(__real_realloc(memory, size), size);
        if !moved.is_null() {
            subtract(before);
        }
        moved
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_free(memory: *mut c_void) {
    // SAFETY: the caller's arguments.
    unsafe {
        if !memory.is_null() {
            subtract(malloc_usable_size(memory));
        }
        __real_free(memory);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_posix_memalign(
    out: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let status = __real_posix_memalign(out, alignment, size);
        allocated(if status == 0 { *out } else { std::ptr::null_mut() }, size);
        status
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's arguments.
    allocated(unsafe { __real_aligned_alloc(alignment, size) }, size)
}
