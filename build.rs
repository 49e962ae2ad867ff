// SPDX-License-Identifier: MPL-2.0
//! Gives the shared library libzmq's SONAME, so that programs linked against libzmq load it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libzmq.so.5");
}
