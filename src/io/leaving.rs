// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Streams that have said their last word and wait a moment for the peer to close.
//!
//! Inside WebSocket a connection ends with a CLOSE frame. Closing the descriptor right behind it
//! would answer whatever the peer still sends with a reset, and a reset may destroy the frame before
//! the peer has read it. So nothing is sent any more, what comes is thrown away, and the descriptor
//! is closed once the peer has closed, or after a second. Neither session nor context wait for it.

use super::next_id;
use super::reactor::{Reactor, Source, Timer};
use super::timers::TimerId;
use crate::transport::Stream;
use mio::Interest;
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may take to close.
const LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Leaving {
    stream: Arc<Stream>,
    timer: TimerId,
}

impl Reactor {
    /// Ends a stream whose last word was written.
    pub(super) fn leave(&mut self, stream: Arc<Stream>) {
        if !stream.finish() {
            return;
        }
        let id = next_id();
        self.register(stream.fd(), id, Source::Own, Interest::READABLE);
        let timer = self.timers.add(self.now + LIMIT, Timer::Leave(id));
        self.leaving.insert(id, Leaving { stream, timer });
    }

    /// Something came from the peer, perhaps its end. False: this is no stream that leaves.
    pub(super) fn leaving_ready(&mut self, id: u64) -> bool {
        let Some(leaving) = self.leaving.get(&id) else { return false };
        if !leaving.stream.discard() {
            self.timers.cancel(Some(leaving.timer));
            self.end_leaving(id);
        }
        true
    }

    pub(super) fn end_leaving(&mut self, id: u64) {
        if let Some(leaving) = self.leaving.remove(&id) {
            self.deregister(leaving.stream.fd());
        }
    }
}
