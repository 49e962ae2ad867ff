// SPDX-License-Identifier: MPL-2.0
//! The pipe between a socket and one peer: two queues, one each way, with credit.
//!
//! [`rope`] is the queue: bytes in ZMTP framing, one producer and one consumer. [`Pipe`] is a
//! socket's end of a pipe: what it writes goes into one rope, what it reads comes from another. On
//! the other side is either a second socket (inproc) or a connection; the pipe knows it only as a
//! [`Peer`]. [`Pipes`] is the set of pipes of one socket.
//!
//! High-water marks count whole messages (zmq_setsockopt(3), ZMQ_SNDHWM). A writer compares what
//! it has written with what the reader has taken; a writer that found no room asks to be told, and
//! the reader tells it once half the mark was read or nothing is left.

pub mod asymmetric;
mod chunk;
mod depot;
mod end;
pub mod rope;
pub mod sync;
mod table;

pub use end::{
    Body, LOCAL_REFERENCE_THRESHOLD, Latest, LatestMessage, Peer, Pipe, REFERENCE_THRESHOLD,
    Readiness, Sink, UNLIMITED, pair,
};
pub use rope::{COMMAND, Frame, MORE};
pub use table::{PipeId, Pipes};
#[cfg(test)]
mod tests;
