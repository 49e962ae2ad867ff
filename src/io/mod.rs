// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! I/O threads: connecting, accepting, handshakes, timers, and the traffic nobody else handles.
//!
//! An [`IoThread`] runs a reactor: listeners, sessions and the read sets of sockets, each known by
//! a number that is unique in the process. Others talk to it through its [`IoHandle`], by
//! commands. What it has to tell a socket goes through the socket's [`SocketPort`].

mod connect;
mod datagram;
mod handshake;
mod leaving;
mod listener;
mod reactor;
mod session;
mod timers;
mod zap;

pub use datagram::DatagramSpec;
pub use reactor::{Command, IoHandle, IoThread};
pub use session::{ConnectSpec, ConnectTo, Lease, ListenSpec, limit, network_pipe};

use crate::engine::{Link, Owner, RxSet};
use crate::errno::Result;
use crate::pipe::{Pipe, PipeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number for a session, listener, endpoint or read set.
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a socket monitor is told (zmq_socket_monitor(3)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub event: u64,
    pub values: Vec<u64>,
    pub local: Vec<u8>,
    pub remote: Vec<u8>,
    /// The address of version 1: the local one on the binding side, else the remote one.
    pub bound: bool,
}

/// What an I/O thread tells a socket. None of these calls blocks.
pub trait SocketPort: Owner {
    /// A connection of this endpoint is ready for traffic and gets a pipe of its own.
    fn attach(&self, pipe: Pipe, link: Arc<Link>, endpoint: u64);

    /// The connection behind a pipe made by `zmq_connect` is ready. `routing_id` is the peer's;
    /// `again`: it is not the first one.
    fn connected(&self, pipe: PipeId, routing_id: Vec<u8>, again: bool);

    /// No connection will be behind this pipe any more; what was received can still be read.
    fn pipe_ended(&self, pipe: PipeId);

    /// The endpoint ended on its own account.
    fn endpoint_gone(&self, endpoint: u64);

    /// The socket's read set, on this I/O thread if there is none yet. `None`: the socket is gone.
    fn read_set(&self, home: &Arc<IoHandle>) -> Option<Arc<RxSet>>;

    /// Takes the claim back from a socket that does not use it. True: the claim is free.
    fn take_back(&self) -> bool;

    /// A pipe to the ZAP handler of the socket's context; `None`: there is none. `home` gets
    /// [`Command::Zap`] with this session when there is something to read.
    fn zap_connect(&self, session: u64, home: &Arc<IoHandle>) -> Result<Option<Pipe>>;

    /// Reports to the socket's monitor, which is there until the last session and listener end.
    fn event(&self, event: Event);
}
