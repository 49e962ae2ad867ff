// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Reading before sending: who gets a message of PUB, XPUB and RADIO depends on what the peers have
//! said, and that may have arrived just now, with the I/O thread on its way to read it.
//!
//! So a message that is not part of a stream is sent after a [`glance`](crate::engine::RxSet::glance)
//! at the connections: a subscription that arrived before the call counts. Within a stream, where a
//! system call would cost as much as several messages, the I/O thread reads, as it does for
//! everybody else; what is sent while it does is sent before the subscription.

use super::Open;
use crate::abi::{ZMQ_PUB, ZMQ_RADIO, ZMQ_XPUB};
use crate::engine::{ASYNC_ONLY, Pace};
use crate::errno::Result;
use crate::pipe::Body;
use std::time::Instant;

/// When to read, for a socket type that depends on it.
pub(super) struct ReadFirst {
    pace: Pace,
    /// The look of the I/O thread after streams during which this socket was last seen to send one.
    /// As long as it is the latest one, nobody has to look at a clock.
    stream_look: u64,
    /// A message was begun.
    inside: bool,
    /// It was not part of a stream.
    paced: bool,
}

impl ReadFirst {
    /// `None`: a socket type for which it does not matter.
    pub fn new(socket_type: i32) -> Option<ReadFirst> {
        let matters = !ASYNC_ONLY && matches!(socket_type, ZMQ_PUB | ZMQ_XPUB | ZMQ_RADIO);
        matters.then_some(ReadFirst {
            pace: Pace::NEW,
            stream_look: 0,
            inside: false,
            paced: false,
        })
    }
}

impl Open {
    /// [`try_send`](Open::try_send), for the first attempt of a call.
    #[inline]
    pub(super) fn send(&mut self, body: &mut Body<'_>, more: bool) -> Result<()> {
        if self.read_first.is_some() && (more || !self.is_in_stream()) {
            return self.read_and_send(body, more);
        }
        self.try_send(body, more)
    }

    /// True when this is certain without looking at a clock, and no message was begun.
    #[inline]
    fn is_in_stream(&self) -> bool {
        let (Some(first), Some(set)) = (&self.read_first, &self.read_set) else { return false };
        let look = set.stream_look();
        look != 0 && look == first.stream_look && !first.inside && !first.paced
    }

    #[inline(never)]
    fn read_and_send(&mut self, body: &mut Body<'_>, more: bool) -> Result<()> {
        if self.begins_after_pause() {
            self.glance();
        }
        let result = self.try_send(body, more);
        if let Some(first) = &mut self.read_first {
            first.inside = if result.is_ok() { more } else { first.inside };
            if !first.inside && std::mem::take(&mut first.paced) {
                first.pace.ended(Instant::now());
            }
        }
        result
    }

    /// Whether a message begins that is not part of a stream. There is nothing to read without
    /// connections.
    fn begins_after_pause(&mut self) -> bool {
        if self.is_in_stream() {
            return false;
        }
        let (Some(first), Some(set)) = (&mut self.read_first, &self.read_set) else { return false };
        if first.inside {
            return false;
        }
        first.paced = !first.pace.is_stream(Instant::now());
        if !first.paced {
            first.stream_look = set.stream_look();
        }
        first.paced
    }

    /// Reads what has arrived, whoever has the claim.
    fn glance(&mut self) {
        let Some(set) = &self.read_set else { return };
        let mut activated = std::mem::take(&mut self.activated);
        let found = set.glance(&mut activated);
        for pipe in activated.drain(..) {
            self.activate_read(pipe);
        }
        self.activated = activated;
        self.process_mail();
        self.sweep();
        if found {
            // It may be what another thread sleeps for, or waits for with ZMQ_FD.
            self.socket.notify();
        }
    }
}
