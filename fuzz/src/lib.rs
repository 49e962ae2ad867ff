// SPDX-License-Identifier: MPL-2.0
//! What the fuzz targets share. A target looks for more than crashes: memory in use stays in
//! proportion to the bytes that have come ([`memory`]), the same bytes in other pieces come to the
//! same ([`handshake`], [`connection`]), and frames are those that a second, simple decoder finds
//! ([`zmtp`], [`websocket`]).

#![deny(unsafe_op_in_unsafe_fn)]

pub mod connection;
pub mod curve;
pub mod gssapi;
pub mod handshake;
pub mod input;
pub mod memory;
pub mod random;
pub mod tls;
pub mod websocket;
pub mod zmtp;

pub use input::Input;
