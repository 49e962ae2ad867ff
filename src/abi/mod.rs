// SPDX-License-Identifier: MPL-2.0
//! The C interface as data: every valued macro of `zmq.h` and every C type.
//!
//! The files follow the header's sections and, inside a section, its order; `include/zmq.h` is
//! generated from them (`tests/header.rs` checks that it is up to date), and so is what the header
//! says: a line comment directly above a constant opens a group, a doc comment describes an item.
//! A macro's value never changes and a retired number is never used again.
//!
//! All integer macros are `c_int`, the type they have in C. Everything is re-exported here, so
//! other layers write `crate::abi::ZMQ_ROUTER` without knowing the section.
#![forbid(unsafe_code)]

mod context;
mod draft;
mod error;
mod message;
mod monitor;
mod poll;
mod proxy;
mod socket;
mod utility;
mod version;

pub use context::*;
pub use draft::*;
pub use error::*;
pub use message::*;
pub use monitor::*;
pub use poll::*;
pub use proxy::*;
pub use socket::*;
pub use utility::*;
pub use version::*;

/// Fails to compile unless `$type` has the size, alignment and field offsets of the C structure.
macro_rules! assert_layout {
    ($type:ty, size $size:expr, align $align:expr $(, $field:ident at $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            assert!(align_of::<$type>() == $align);
            $(assert!(std::mem::offset_of!($type, $field) == $offset);)*
        };
    };
}
pub(crate) use assert_layout;
