// SPDX-License-Identifier: MPL-2.0
//! Has the linker send all allocations through `src/memory.rs`.

fn main() {
    for function in ["malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
