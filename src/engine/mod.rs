// SPDX-License-Identifier: MPL-2.0
//! A connection: transport, protocol and pipe, and who does its I/O.
//!
//! A [`Link`] joins the socket's pipe to a stream. Its output ([`Tx`]) is written by the sending
//! thread or by the I/O thread, as [`TxOwnership`] says; its input ([`Rx`]) is read by a waiting
//! thread or by the I/O thread, as the [`RxClaim`] of the socket's [`RxSet`] says. Connecting and
//! handshakes are not done here but in `io`, which hands over a stream that is ready for traffic.

#![forbid(unsafe_code)]

pub mod counters;
mod datagram;
mod decode;
mod encode;
mod link;
mod outbox;
mod pace;
#[cfg(all(test, not(feature = "loom"), not(feature = "async-only")))]
mod partial_writes;
mod rx;
mod rx_claim;
mod rx_set;
mod seal;
mod tx;
mod tx_ownership;

/// The library to compare with (`bench`): the I/O thread makes all writes and reads, and what it
/// writes was copied. A caller only appends to the pipe.
pub const ASYNC_ONLY: bool = cfg!(feature = "async-only");

pub use crate::zmtp::error::FailureClass;
pub use counters::{Counters, Side, Written};
pub use datagram::{Inbound, Outbound};
pub use decode::{Decoder, Deframing};
pub use encode::Encoder;
pub use link::{Failure, Home, Link, Owner, Request, Traffic};
pub use pace::Pace;
pub use rx::{ReadEnd, Rx, RxRules};
pub use rx_claim::{Claim, RxClaim};
pub use rx_set::{RxSet, Watch};
pub use seal::halves;
pub use tx::{Progress, Tx};
pub use tx_ownership::{TxOwnership, TxState};
