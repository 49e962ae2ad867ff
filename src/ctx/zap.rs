// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The way from a handshake to the ZAP handler of its context (RFC 27): a pipe to whoever has bound
//! `inproc://zeromq.zap.01`. At this end of it is no socket but an I/O thread, which is told by a
//! command that there is something to read.

use super::Context;
use super::inproc::{End, InprocEnd, InprocPeer, InprocPort, PeerFacts, Side};
use crate::abi::{ZMQ_DEALER, ZMQ_REP, ZMQ_ROUTER, ZMQ_SERVER};
use crate::engine::Owner;
use crate::errno::Result;
use crate::io::{Command, IoHandle};
use crate::pipe::{Pipe, PipeId};
use std::sync::Arc;

/// Where a handler is bound, without the transport.
const NAME: &[u8] = b"zeromq.zap.01";
/// What a handler may be. A socket of another type can answer nothing: it counts as none.
const HANDLER_TYPES: [i32; 3] = [ZMQ_REP, ZMQ_ROUTER, ZMQ_SERVER];

impl Context {
    /// Connects the handshake of a session to the handler; `None`: there is none. The pipe has no
    /// high-water mark. `home` gets [`Command::Zap`] whenever there is something to read.
    pub fn connect_zap(&self, session: u64, home: &Arc<IoHandle>) -> Result<Option<Pipe>> {
        let side = Side {
            socket: session,
            socket_type: ZMQ_DEALER,
            port: Arc::new(Asker { session, home: home.clone() }),
            sndhwm: 0,
            rcvhwm: 0,
            routing_id: Vec::new(),
            hello: Vec::new(),
            disconnect: Vec::new(),
            recv_routing_id: false,
            conflate: (false, false),
        };
        self.inproc.connect_bound(NAME, &HANDLER_TYPES, &side)
    }
}

/// A handshake as the handler's socket sees it.
struct Asker {
    session: u64,
    home: Arc<IoHandle>,
}

impl Owner for Asker {
    fn readable(&self, _pipe: PipeId) {
        self.home.post(Command::Zap(self.session));
    }

    fn writable(&self, _pipe: PipeId) {}
}

impl InprocPort for Asker {
    fn attach_inproc(&self, mut pipe: Pipe, _end: InprocEnd) {
        pipe.close();
    }

    fn peer_gone(&self, _pipe: PipeId) {
        self.home.post(Command::Zap(self.session));
    }

    fn bound(&self, _own: &Arc<End>, _peer: InprocPeer) {}

    fn peer_limits(&self, _pipe: PipeId, _peer: PeerFacts) {}
}
