// SPDX-License-Identifier: MPL-2.0
//! TLS 1.2 and 1.3 between a stream and whatever runs over it (RFC 5246, RFC 8446), by rustls.
//!
//! A [`Stream`](super::Stream) has a TLS layer or none. With one, its methods move plaintext and
//! keep what they promise without: one attempt, which never waits, with "would block" an outcome of
//! its own. Two things differ, and whoever drives a stream has to know them:
//!
//! - What `write_some` accepted may still lie here as ciphertext the kernel did not take. It counts
//!   as a write in flight ([`Stream::has_unsent`](super::Stream::has_unsent)): nothing more is
//!   accepted until [`Stream::flush`](super::Stream::flush) or the next write got rid of it, when
//!   the socket has become writable. It is never more than one batch of records.
//! - What the kernel gave may lie here, opened or not, until somebody takes it. A read fills all the
//!   room it is given before it says that there is no more, so a read that left some has seen the
//!   socket empty, and a full one calls for another. The end of the stream may lie behind a short
//!   read: [`Stream::holds_input`](super::Stream::holds_input). So may more input, if most of what
//!   came was no data: [`Stream::gave_way`](super::Stream::gave_way).
//!
//! Before the first byte [`Stream::negotiate`](super::Stream::negotiate) makes the TLS handshake.
//! wss is the same layer beneath a WebSocket.
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | what the options `ZMQ_WSS_*` ask for, checked at bind and connect |
//! | `verify.rs` | whom to trust |
//! | `negotiation.rs` | the handshake |
//! | `traffic.rs` | which records there are once it is complete, and their keys |
//! | `cipher.rs` | one key: records sealed and opened |
//! | `channel.rs` | one connection: its bytes on their way |
//! | `output.rs` | records that the kernel has not taken |
//! | `listener.rs` | a listening socket |

#![forbid(unsafe_code)]

mod channel;
mod cipher;
mod config;
mod listener;
mod negotiation;
mod output;
#[cfg(test)]
pub(crate) mod tests;
mod traffic;
mod verify;

pub use config::{ClientTls, ServerTls};
pub use listener::{Listener, listen};

use std::cell::RefCell;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::stream::{ReadOutcome, WriteOutcome};
use crate::errno::{Error, Result};
pub(super) use channel::Wire;
use channel::{Channel, SCRATCH};
use negotiation::Negotiation;

thread_local! {
    /// Where ciphertext is received. The thread's, since hardly any is left there
    /// between two reads; a connection that has some left keeps the buffer.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The TLS layer of a stream. One thread may write while another reads: the lock is held while
/// records are made or opened and for single attempts to write or read, none of which waits.
#[derive(Debug)]
pub struct Tls {
    channel: Mutex<Channel>,
    unsent: AtomicBool,
}

impl Tls {
    fn new(negotiation: Negotiation) -> Tls {
        Tls { channel: Mutex::new(Channel::new(negotiation)), unsent: AtomicBool::new(false) }
    }

    /// One step of the handshake; true when it is complete.
    pub(super) fn negotiate(&self, wire: &dyn Wire) -> Result<bool> {
        self.with(|channel, buffer| {
            if buffer.is_empty() {
                buffer.resize(SCRATCH, 0);
            }
            channel.negotiate(wire, buffer)
        })
    }

    pub(super) fn write(&self, wire: &dyn Wire, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome> {
        let mut channel = self.channel.lock();
        let outcome = channel.write(wire, buffers);
        self.unsent.store(channel.has_unsent(), Ordering::Release);
        outcome
    }

    pub(super) fn flush(&self, wire: &dyn Wire) -> Result<bool> {
        let mut channel = self.channel.lock();
        let outcome = channel.flush(wire);
        self.unsent.store(channel.has_unsent(), Ordering::Release);
        outcome
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.unsent.load(Ordering::Acquire)
    }

    /// Reads up to `room` bytes and gives them to `take`, piece by piece.
    pub(super) fn read(
        &self,
        wire: &dyn Wire,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<ReadOutcome> {
        self.with(|channel, buffer| channel.read(wire, buffer, room, take))
    }

    /// Reads into `place`; what is behind it may have changed, too.
    pub(super) fn read_into(&self, wire: &dyn Wire, place: &mut [u8]) -> Result<ReadOutcome> {
        self.with(|channel, buffer| channel.read_into(wire, buffer, place))
    }

    pub(super) fn holds_input(&self) -> bool {
        self.channel.lock().holds_input()
    }

    pub(super) fn gave_way(&self) -> bool {
        self.channel.lock().gave_way()
    }

    /// Tells the peer that nothing more comes, if that can be done at once.
    pub(super) fn close(&self, wire: &dyn Wire) {
        self.channel.lock().close(wire);
    }

    /// Whether the handshake continued a session of an earlier connection.
    pub fn is_resumed(&self) -> bool {
        self.channel.lock().is_resumed()
    }

    fn with<T>(&self, step: impl FnOnce(&mut Channel, &mut Vec<u8>) -> Result<T>) -> Result<T> {
        BUFFER.with(|buffer| {
            let mut buffer = buffer.try_borrow_mut().map_err(|_| Error::FAULT)?;
            let mut channel = self.channel.lock();
            let outcome = step(&mut channel, &mut buffer);
            self.unsent.store(channel.has_unsent(), Ordering::Release);
            outcome
        })
    }
}
