// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Datagram sockets: traffic from the start, without a peer to connect to or a handshake, and
//! without events for the monitor, as in libzmq.

use super::SocketPort;
use super::reactor::Reactor;
use super::session::{Lease, Origin, Session, State};
use crate::endpoint::Transport;
use crate::engine::{Decoder, Deframing, Encoder, Inbound, Link, Outbound, Traffic};
use crate::options::Options;
use crate::transport::Stream;
use std::sync::Arc;

/// A datagram socket to be run by an I/O thread.
pub struct DatagramSpec {
    /// The session's number, which is its endpoint's, too.
    pub id: u64,
    /// The socket's number.
    pub socket: u64,
    pub stream: Stream,
    pub outbound: Outbound,
    /// `None`: whatever arrives is for nobody (RADIO).
    pub inbound: Option<Inbound>,
    pub endpoint: Vec<u8>,
    pub options: Arc<Options>,
    pub port: Arc<dyn SocketPort>,
    pub lease: Lease,
    pub link: Arc<Link>,
}

impl Reactor {
    pub(super) fn begin_datagrams(&mut self, spec: DatagramSpec) {
        let DatagramSpec { id, stream, link, port, inbound, .. } = spec;
        let stream = Arc::new(stream);
        let mut session = Session::new(
            spec.socket,
            Origin::Datagrams,
            Transport::Udp,
            spec.options,
            port.clone(),
            spec.lease,
            spec.endpoint,
        );
        session.link = Some(link.clone());
        session.state = State::Traffic(stream.clone());
        self.sessions.insert(id, session);
        let traffic = Traffic {
            hello: None,
            notices: Vec::new(),
            stream: stream.clone(),
            encoder: Encoder::datagrams(spec.outbound),
            decoder: Decoder::new(inbound.map_or(Deframing::Raw, Deframing::Datagrams)),
            metadata: None,
            leftover: Vec::new(),
            unsent: Vec::new(),
        };
        let mut attached = link.attach(traffic).is_ok();
        if inbound.is_some()
            && let Some(set) = port.read_set(&self.handle)
        {
            attached &= set.add(link.clone(), stream.fd()).is_ok();
        }
        if !attached {
            self.end_session(id);
            return;
        }
        let progress = link.io_write();
        if self.write_link(id, progress) && self.sessions.contains_key(&id) {
            self.promise(id);
        }
    }
}
