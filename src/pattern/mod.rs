// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Socket types: which pipe a message goes to, and which pipe the next one comes from.
//!
//! A socket type knows pipes and nothing else: no transport, thread, lock or clock. All methods
//! are called by the socket with its lock held; none blocks. Where an operation cannot go on it
//! answers EAGAIN, and the socket waits and calls again.
//!
//! | file | holds |
//! |---|---|
//! | `fair_queue` | receiving: one whole message a pipe, in turn |
//! | `load_balancer` | sending: one whole message a pipe, in turn |
//! | `fan_out` | sending to every pipe that is marked |
//! | `trie`, `topics`, `subscriptions` | prefixes, counted, and mapped to pipes |
//! | `routing` | sending by the peer's routing id |
//! | the others | one socket type each |

mod channel;
mod client;
mod dealer;
mod dgram;
mod dish;
mod fair_queue;
mod fan_out;
mod gather;
mod load_balancer;
mod pair;
mod peer;
mod pipe_list;
mod publisher;
mod pull;
mod push;
mod radio;
mod rep;
mod req;
mod router;
mod routing;
mod scatter;
mod server;
mod stream;
mod sub;
mod subscriptions;
#[cfg(test)]
mod testing;
mod topics;
mod trie;
mod xpub;
mod xsub;

use crate::abi::*;
use crate::errno::{Error, Result};
use crate::pipe::{Body, Pipe, PipeId, Pipes, Readiness, Sink};

/// The body of the command that subscribes, without its topic (RFC 37).
const SUBSCRIBE: &[u8] = b"\x09SUBSCRIBE";
/// The body of the command that cancels a subscription, without its topic.
const CANCEL: &[u8] = b"\x06CANCEL";
/// The body of the command that joins a group, without its name (RFC 48).
const JOIN: &[u8] = b"\x04JOIN";
/// The body of the command that leaves a group, without its name.
const LEAVE: &[u8] = b"\x05LEAVE";

/// The pipe went away between the parts of the message: this part and the rest go nowhere. A
/// blocking send takes this for success, one that must not block answers EAGAIN.
pub const DROPPED: Error = Error::PIPE;

/// What every socket type provides (RFC 28–31, 41, 49, 51, 52 and the man page zmq_socket(3)).
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

    /// Whether a peer goes by this routing id (ROUTER, REP, STREAM).
    fn knows_routing_id(&self, routing_id: &[u8]) -> bool {
        let _ = routing_id;
        false
    }

    /// Poll events of the peer with this routing id (`zmq_socket_get_peer_state`). EHOSTUNREACH:
    /// there is none. ENOTSUP: the socket type does not route by id.
    fn peer_state(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Result<i32> {
        let _ = (pipes, routing_id);
        Err(Error::NOTSUP)
    }

    /// The pipe of the peer with this number as its routing id (SERVER, PEER). EHOSTUNREACH: there
    /// is none. ENOTSUP: the socket type does not number its peers.
    fn pipe_of(&self, routing_id: u32) -> Result<PipeId> {
        let _ = routing_id;
        Err(Error::NOTSUP)
    }

    /// The routing id of the peer attached last (PEER); 0 when none.
    fn last_peer(&self) -> u32 {
        0
    }

    /// The routing id of the pipe attached last (STREAM).
    fn last_routing_id(&self) -> &[u8] {
        &[]
    }

    /// Sends one message part. On success a [`Body::Message`] may be left empty; on an error it is
    /// untouched. EAGAIN: nowhere to send it now. ENOTSUP: not a sending socket type. [`DROPPED`].
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

    /// Joins a group (DISH). EINVAL: it was joined already, or its name is too long.
    fn join(&mut self, pipes: &mut Pipes, group: &[u8]) -> Result<()> {
        let _ = (pipes, group);
        Err(Error::NOTSUP)
    }

    /// Leaves a group (DISH). EINVAL: it was not joined.
    fn leave(&mut self, pipes: &mut Pipes, group: &[u8]) -> Result<()> {
        let _ = (pipes, group);
        Err(Error::NOTSUP)
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

/// The socket type with this number; `None` when there is no such type.
pub fn new(socket_type: i32) -> Option<Box<dyn Pattern>> {
    Some(match socket_type {
        ZMQ_PAIR => Box::new(pair::Pair::default()),
        ZMQ_DEALER => Box::new(dealer::Dealer::default()),
        ZMQ_PULL => Box::new(pull::Pull::default()),
        ZMQ_PUSH => Box::new(push::Push::default()),
        ZMQ_REQ => Box::new(req::Req::default()),
        ZMQ_REP => Box::new(rep::Rep::default()),
        ZMQ_ROUTER => Box::new(router::Router::default()),
        ZMQ_PUB => Box::new(publisher::Publisher::default()),
        ZMQ_SUB => Box::new(sub::Sub::default()),
        ZMQ_XPUB => Box::new(xpub::XPub::default()),
        ZMQ_XSUB => Box::new(xsub::XSub::default()),
        ZMQ_STREAM => Box::new(stream::Stream::default()),
        ZMQ_SERVER => Box::new(server::Server::default()),
        ZMQ_CLIENT => Box::new(client::Client::default()),
        ZMQ_GATHER => Box::new(gather::Gather::default()),
        ZMQ_SCATTER => Box::new(scatter::Scatter::default()),
        ZMQ_PEER => Box::new(peer::Peer::default()),
        ZMQ_CHANNEL => Box::new(channel::Channel::default()),
        ZMQ_RADIO => Box::new(radio::Radio::default()),
        ZMQ_DISH => Box::new(dish::Dish::default()),
        ZMQ_DGRAM => Box::new(dgram::Dgram::default()),
        _ => return None,
    })
}

/// Whether ZMQ_CONFLATE has a meaning for the socket type: (for what it sends, for what it
/// receives). The other direction of such a pipe carries subscriptions and must stay a queue.
pub fn supports_conflate(socket_type: i32) -> (bool, bool) {
    match socket_type {
        ZMQ_PUSH | ZMQ_PUB => (true, false),
        ZMQ_PULL | ZMQ_SUB => (false, true),
        ZMQ_DEALER => (true, true),
        _ => (false, false),
    }
}

/// ZMQ_LINGER of a new socket, in milliseconds; -1 waits without end. Subscriptions that were not
/// sent are not worth waiting for.
pub fn default_linger(socket_type: i32) -> i32 {
    if matches!(socket_type, ZMQ_SUB | ZMQ_XSUB | ZMQ_DISH) { 0 } else { -1 }
}

/// Drops the content of a message that goes nowhere.
fn discard(body: &mut Body<'_>) {
    if let Body::Message(message) = body {
        drop(message.take());
    }
}

/// Reads and drops everything; for socket types that receive nothing.
fn discard_inbound(pipes: &mut Pipes, id: PipeId) {
    let Some(pipe) = pipes.get_mut(id) else { return };
    loop {
        match pipe.check_read() {
            Readiness::Ready => pipe.skip(),
            Readiness::Empty => return,
            Readiness::Ended => break,
        }
    }
    pipes.ended.push(id);
}

/// Writes an empty message, so that a ROUTER at the other end learns of this peer
/// (ZMQ_PROBE_ROUTER).
fn probe(pipe: &mut Pipe) {
    if pipe.check_write() && pipe.write(&mut Body::Bytes(&[]), false).is_ok() {
        pipe.flush();
    }
}

/// The value of an `int` option.
fn int_value(value: &[u8]) -> Result<i32> {
    value.try_into().map(i32::from_ne_bytes).map_err(|_| Error::INVAL)
}

/// The value of an `int` option that is off at 0 and on above; EINVAL below.
fn flag_value(value: &[u8]) -> Result<bool> {
    match int_value(value)? {
        ..0 => Err(Error::INVAL),
        value => Ok(value != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_values() {
        for (value, expected) in [(0, Ok(false)), (1, Ok(true)), (7, Ok(true))] {
            assert_eq!(flag_value(&i32::to_ne_bytes(value)), expected);
        }
        assert_eq!(flag_value(&(-1i32).to_ne_bytes()), Err(Error::INVAL));
        assert_eq!(flag_value(&[1]), Err(Error::INVAL));
        assert_eq!(int_value(&[0; 8]), Err(Error::INVAL));
        assert_eq!(int_value(&(-1i32).to_ne_bytes()), Ok(-1));
    }

    #[test]
    fn a_direction_that_does_not_exist() {
        let mut pipes = Pipes::default();
        let mut buffer = [0; 8];
        for socket_type in [ZMQ_PUSH, ZMQ_PUB, ZMQ_RADIO] {
            let mut sink = Sink::Buffer { buffer: &mut buffer, length: 0, more: false };
            let mut pattern = new(socket_type).unwrap();
            assert_eq!(pattern.receive(&mut pipes, &mut sink), Err(Error::NOTSUP));
            assert!(!pattern.can_receive(&mut pipes));
        }
        for socket_type in [ZMQ_PULL, ZMQ_SUB, ZMQ_DISH] {
            let mut pattern = new(socket_type).unwrap();
            let sent = pattern.send(&mut pipes, &mut Body::Bytes(b"x"), false);
            assert_eq!(sent, Err(Error::NOTSUP));
            // As in libzmq, a DISH says it can.
            assert_eq!(pattern.can_send(&mut pipes), socket_type == ZMQ_DISH);
        }
    }

    #[test]
    fn every_socket_type() {
        for socket_type in -1..30 {
            let mut pipes = Pipes::default();
            let pattern = new(socket_type);
            assert_eq!(pattern.is_some(), (ZMQ_PAIR..=ZMQ_CHANNEL).contains(&socket_type));
            let Some(mut pattern) = pattern else { continue };
            assert!(!pattern.can_receive(&mut pipes));
            let always = [
                ZMQ_PUB, ZMQ_XPUB, ZMQ_XSUB, ZMQ_ROUTER, ZMQ_STREAM, ZMQ_SERVER, ZMQ_PEER,
                ZMQ_RADIO, ZMQ_DISH,
            ];
            assert_eq!(pattern.can_send(&mut pipes), always.contains(&socket_type));
            assert!(!pattern.knows_routing_id(b"x"));
            let state = pattern.peer_state(&mut pipes, b"x");
            let unknown = |routes| Err(if routes { Error::HOSTUNREACH } else { Error::NOTSUP });
            assert_eq!(state, unknown([ZMQ_ROUTER, ZMQ_REP].contains(&socket_type)));
            let numbers = [ZMQ_SERVER, ZMQ_PEER].contains(&socket_type);
            assert_eq!(pattern.pipe_of(1).map(drop), unknown(numbers).map(drop));
            assert_eq!(pattern.set_option(&mut pipes, ZMQ_LINGER, &[0; 4]), Err(Error::INVAL));
            if socket_type != ZMQ_DISH {
                assert_eq!(pattern.join(&mut pipes, b"group"), Err(Error::NOTSUP));
                assert_eq!(pattern.leave(&mut pipes, b"group"), Err(Error::NOTSUP));
            }
        }
    }
}
