// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Socket types: which pipe a message goes to, and which pipe the next one comes from.
//!
//! A socket type knows pipes and nothing else: no transport, thread, lock or clock. All methods
//! are called by the socket with its lock held; none blocks. Where an operation cannot go on it
//! answers EAGAIN, and the socket waits and calls again.

use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

/// What every socket type provides (RFC 28–31 and the man page zmq_socket(3)).
pub trait Pattern: Send {
    /// A pipe was added to `pipes`. `subscribe_to_all`: the peer cannot send subscriptions, so it
    /// gets everything (ZMTP 1.0 subscribers).
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool);

    /// The pipe is about to be removed; it can still be looked at.
    fn detach(&mut self, pipes: &mut Pipes, id: PipeId);

    /// A pipe that was found empty has something to read, or has ended.
    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId);

    /// A pipe that was found full has room again.
    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        let _ = (pipes, id);
    }

    /// The connection behind the pipe was made anew: what the peer should know must be said again
    /// (subscriptions).
    fn hiccuped(&mut self, pipes: &mut Pipes, id: PipeId) {
        let _ = (pipes, id);
    }

    /// The connection behind the pipe has told the peer's routing id (ROUTER; `id` empty: none).
    fn identified(&mut self, pipes: &mut Pipes, id: PipeId, routing_id: &[u8]) {
        let _ = (pipes, id, routing_id);
    }

    /// Sends one message part. On success a [`Body::Message`] may be left empty; on an error it is
    /// untouched. EAGAIN: nowhere to send it now. ENOTSUP: not a sending socket type.
    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        let _ = (pipes, body, more);
        Err(Error::NOTSUP)
    }

    /// Receives one message part. EAGAIN: nothing there. ENOTSUP: not a receiving socket type.
    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        let _ = (pipes, sink);
        Err(Error::NOTSUP)
    }

    /// Whether a receive would succeed now (ZMQ_POLLIN).
    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }

    /// Whether a send would succeed now (ZMQ_POLLOUT).
    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }

    /// Sets an option that belongs to the socket type. EINVAL: not one of its options, or a bad
    /// value; the socket then tries the general options.
    fn set_option(&mut self, pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        let _ = (pipes, option, value);
        Err(Error::INVAL)
    }

    /// Reads an integer option that belongs to the socket type. EINVAL: not one of its options.
    fn option(&mut self, pipes: &mut Pipes, option: i32) -> Result<i32> {
        let _ = (pipes, option);
        Err(Error::INVAL)
    }
}
