// SPDX-License-Identifier: MPL-2.0
//! The message: 64 bytes, the memory of `zmq_msg_t`.
//!
//! A message holds its content in one of four ways:
//!
//! | kind | content | made by |
//! |---|---|---|
//! | inline | up to [`INLINE_CAPACITY`] bytes in the message itself | [`Msg::from_slice`], [`Msg::with_size`] |
//! | heap | one allocated block, counted once it is shared | the same, and [`MsgBuilder`] |
//! | external | the caller's buffer, given back through its free function | [`Msg::external`] |
//! | constant | the caller's buffer, which outlives everything | [`Msg::constant`] |
//!
//! Beside its content a message carries the flags "more" and "command", a routing id (SERVER,
//! PEER), a group (RADIO, DISH) and the [`Metadata`] of the connection it came from.
//!
//! A message is *valid* from its initialisation until it is closed. Memory that is filled with
//! zeros is not valid; every method gives an empty answer there instead of failing.
//!
//! Man pages: zmq_msg_init(3) and its neighbours.

mod metadata;
mod storage;
#[cfg(test)]
mod tests;

pub use metadata::Metadata;
pub use storage::{FreeFn, GROUP_MAX, INLINE_CAPACITY, MAX_SIZE, Msg, MsgBuilder};
