// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Peers by their routing id (ROUTER, REP, STREAM).
//!
//! [`RoutingTable`] maps routing ids to pipes. [`RoutedPeers`] is the receiving half that ROUTER
//! and REP share: peers whose id is known take turns in a fair queue, the others stay *anonymous*:
//! nothing is sent to them or read from them.

use super::fair_queue::FairQueue;
use super::{flag_value, int_value, probe};
use crate::abi::*;
use crate::errno::{Error, Result};
use crate::pipe::{PipeId, Pipes, Readiness};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Invariant: every pipe in the table has, as its `routing_id`, the id it is entered under.
pub struct RoutingTable {
    by_id: HashMap<Vec<u8>, PipeId>,
    next_auto_id: u32,
    last: PipeId,
}

impl Default for RoutingTable {
    fn default() -> RoutingTable {
        let next_auto_id = RandomState::new().hash_one(0) as u32;
        RoutingTable { by_id: HashMap::new(), next_auto_id, last: PipeId::NONE }
    }
}

impl RoutingTable {
    /// The pipe with this routing id.
    #[inline]
    pub fn find(&mut self, pipes: &Pipes, routing_id: &[u8]) -> Option<PipeId> {
        // Replies come in a row to the same peer more often than not.
        if pipes.get(self.last).is_some_and(|pipe| pipe.routing_id == routing_id) {
            return Some(self.last);
        }
        let id = *self.by_id.get(routing_id)?;
        self.last = id;
        Some(id)
    }

    pub fn contains(&self, routing_id: &[u8]) -> bool {
        self.by_id.contains_key(routing_id)
    }

    /// The pipes in the table.
    pub fn pipes(&self) -> impl Iterator<Item = PipeId> {
        self.by_id.values().copied()
    }

    /// Enters a pipe under a routing id, which must be free.
    pub fn enter(&mut self, pipes: &mut Pipes, id: PipeId, routing_id: &[u8]) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        pipe.routing_id = routing_id.to_vec();
        pipe.awaiting_identity = false;
        self.by_id.insert(pipe.routing_id.clone(), id);
    }

    /// Enters a pipe under an id made up here: a zero byte and a number.
    pub fn enter_unnamed(&mut self, pipes: &mut Pipes, id: PipeId) {
        let mut routing_id = [0; 5];
        loop {
            routing_id[1..].copy_from_slice(&self.next_auto_id.to_be_bytes());
            self.next_auto_id = self.next_auto_id.wrapping_add(1);
            // Peers may choose such an id themselves.
            if !self.contains(&routing_id) {
                break;
            }
        }
        self.enter(pipes, id, &routing_id);
    }

    /// Removes a pipe. False: it was not in the table.
    pub fn leave(&mut self, pipes: &Pipes, id: PipeId) -> bool {
        let Some(pipe) = pipes.get(id) else { return false };
        if self.by_id.get(&pipe.routing_id) != Some(&id) {
            return false;
        }
        self.by_id.remove(&pipe.routing_id);
        if self.last == id {
            self.last = PipeId::NONE;
        }
        true
    }
}

/// The peers of a ROUTER or REP socket, and what it receives from them.
#[derive(Default)]
pub struct RoutedPeers {
    pub table: RoutingTable,
    pub incoming: FairQueue,
    pub mandatory: bool,
    /// Peers are plain TCP (ZMQ_ROUTER_RAW): ids are always made up.
    pub raw: bool,
    /// Polling has told of a message that was not begun since (ROUTER).
    pub promised: bool,
    handover: bool,
    probe_router: bool,
    notify: i32,
}

impl RoutedPeers {
    pub fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        if self.probe_router {
            probe(pipe);
        }
        if pipe.awaiting_identity && !self.raw {
            // Go to sleep, so that the end of the pipe is told.
            self.look_at_anonymous(pipes, id);
        } else {
            let routing_id = std::mem::take(&mut pipe.routing_id);
            self.enter(pipes, id, &routing_id);
        }
    }

    pub fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.promised
            && let Some(pipe) = pipes.get(id)
        {
            let routing_id = pipe.routing_id.clone();
            self.promised = !self.incoming.keep_promised(pipes, id, &routing_id);
        }
        self.table.leave(pipes, id);
        self.incoming.detach(pipes, id);
    }

    pub fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.is_anonymous(pipes, id) {
            self.look_at_anonymous(pipes, id);
        } else {
            self.incoming.activated(pipes, id);
        }
    }

    /// The peer has told its routing id; only the first time counts.
    pub fn identified(&mut self, pipes: &mut Pipes, id: PipeId, routing_id: &[u8]) {
        if pipes.get(id).is_some_and(|pipe| pipe.awaiting_identity) {
            self.enter(pipes, id, routing_id);
        }
    }

    /// See [`Pattern::peer_state`](super::Pattern::peer_state).
    pub fn peer_state(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Result<i32> {
        let id = self.table.find(pipes, routing_id).ok_or(Error::HOSTUNREACH)?;
        let room = pipes.get_mut(id).is_some_and(|pipe| pipe.check_write());
        Ok(if room { ZMQ_POLLOUT } else { 0 })
    }

    pub fn set_option(&mut self, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_ROUTER_MANDATORY => self.mandatory = flag_value(value)?,
            ZMQ_ROUTER_RAW => self.raw = flag_value(value)?,
            ZMQ_ROUTER_HANDOVER => self.handover = flag_value(value)?,
            ZMQ_PROBE_ROUTER => self.probe_router = flag_value(value)?,
            ZMQ_ROUTER_NOTIFY => match int_value(value)? {
                bits @ 0..=3 => self.notify = bits,
                _ => return Err(Error::INVAL),
            },
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }

    pub fn option(&self, option: i32) -> Result<i32> {
        if option == ZMQ_ROUTER_NOTIFY { Ok(self.notify) } else { Err(Error::INVAL) }
    }

    /// Gives the pipe its place under the routing id the peer told, if it can have it.
    fn enter(&mut self, pipes: &mut Pipes, id: PipeId, routing_id: &[u8]) {
        if routing_id.is_empty() {
            self.table.enter_unnamed(pipes, id);
        } else if let Some(holder) = self.table.find(pipes, routing_id) {
            if !self.handover {
                self.refuse(pipes, id);
                return;
            }
            // The old pipe goes. What is left of a message being received from it stays, and one that
            // polling has told of, under the name it had.
            if self.promised {
                self.promised = !self.incoming.keep_promised(pipes, holder, routing_id);
            }
            self.table.leave(pipes, holder);
            self.table.enter_unnamed(pipes, holder);
            pipes.closing.push(holder);
            self.table.enter(pipes, id, routing_id);
        } else {
            self.table.enter(pipes, id, routing_id);
        }
        self.incoming.attach(pipes, id);
    }

    /// Another peer has the id: the pipe stays anonymous for good.
    fn refuse(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(pipe) = pipes.get_mut(id) {
            pipe.routing_id.clear();
            pipe.awaiting_identity = false;
        }
        self.look_at_anonymous(pipes, id);
    }

    fn is_anonymous(&self, pipes: &Pipes, id: PipeId) -> bool {
        pipes.get(id).is_some_and(|pipe| pipe.routing_id.is_empty() || pipe.awaiting_identity)
    }

    /// What the peer sent is of no use once it is gone.
    fn look_at_anonymous(&self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        if pipe.check_read() == Readiness::Ended || pipe.write_ended() {
            pipes.ended.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Connecting};
    use super::*;

    /// ROUTER and REP treat their peers alike.
    const TYPES: [i32; 2] = [ZMQ_ROUTER, ZMQ_REP];

    fn named(routing_id: &[u8]) -> Connecting<'_> {
        Connecting { routing_id, ..Connecting::default() }
    }

    fn awaiting() -> Connecting<'static> {
        Connecting { awaiting_identity: true, ..Connecting::default() }
    }

    #[test]
    fn made_up_ids_count_up() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            let ids: Vec<_> = (0..3).map(|_| bench.connect()).collect();
            let numbers: Vec<u32> = ids
                .iter()
                .map(|&peer| {
                    let id = bench.routing_id(peer);
                    assert_eq!((id.len(), id[0]), (5, 0));
                    u32::from_be_bytes([id[1], id[2], id[3], id[4]])
                })
                .collect();
            assert_eq!(numbers[1], numbers[0].wrapping_add(1));
            assert_eq!(numbers[2], numbers[0].wrapping_add(2));

            let chosen = [&[0][..], &numbers[0].wrapping_add(3).to_be_bytes()].concat();
            bench.connect_as(named(&chosen));
            let next = bench.connect();
            assert_ne!(bench.routing_id(next), chosen);
        }
    }

    #[test]
    fn a_pipe_is_anonymous_until_its_peer_is_identified() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            let [one, other] = [bench.connect_as(awaiting()), bench.connect_as(awaiting())];
            bench.put(one, &["", "early"]);
            assert!(!bench.can_receive());
            assert_eq!(bench.receive(), Err(Error::AGAIN));
            bench.identify(one, "A");
            bench.identify(other, "");
            assert!(bench.pattern.knows_routing_id(b"A"));
            assert_eq!(bench.routing_id(other).len(), 5);
            assert!(bench.can_receive());
            assert!(bench.receive().unwrap().contains(&"early".to_string()));

            // After a reconnection the id is told again; the first one stays.
            bench.identify(one, "B");
            assert_eq!(bench.routing_id(one), b"A");
            assert!(!bench.pattern.knows_routing_id(b"B"));
        }
    }

    #[test]
    fn a_chosen_id_is_not_replaced_by_the_peers() {
        let mut bench = Bench::new(ZMQ_ROUTER);
        let peer = bench.connect_as(named(b"chosen"));
        bench.identify(peer, "told");
        assert_eq!(bench.routing_id(peer), b"chosen");
    }

    #[test]
    fn an_anonymous_pipe_that_ends_is_removed() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            for messages in 0..2 {
                let peer = bench.connect_as(awaiting());
                for _ in 0..messages {
                    bench.put(peer, &["", "unread"]);
                }
                bench.leave(peer);
                assert!(bench.closed(peer));
            }
        }
    }

    #[test]
    fn without_handover_the_newcomer_stays_anonymous() {
        for socket_type in TYPES {
            let mut bench = Bench::with_limits(socket_type, (1000, 2));
            let old = bench.connect_as(named(b"X"));
            let late = bench.connect_as(awaiting());
            let new = bench.connect_as(named(b"X"));
            bench.identify(late, "X");
            for newcomer in [late, new] {
                assert!(bench.put(newcomer, &["", "unread"]));
                assert!(bench.put(newcomer, &["", "unread"]));
                assert!(!bench.put(newcomer, &["", "no room"]), "messages pile up");
            }
            assert!(!bench.can_receive());
            bench.put(old, &["", "read"]);
            assert!(bench.receive().unwrap().contains(&"read".to_string()));
            bench.detach(new);
            bench.detach(late);
            assert!(bench.pattern.knows_routing_id(b"X"));
        }
    }

    #[test]
    fn with_handover_the_newcomer_takes_the_id() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            bench.set_int(ZMQ_ROUTER_HANDOVER, 1).unwrap();
            let old = bench.connect_as(named(b"X"));
            let new = bench.connect_as(awaiting());
            bench.put(old, &["", "unread"]);
            bench.identify(new, "X");
            assert!(bench.closed(old));
            assert_eq!(bench.routing_id(new), b"X");
            assert_eq!(bench.receive(), Err(Error::AGAIN));
            bench.put(new, &["", "hello"]);
            assert!(bench.receive().unwrap().contains(&"hello".to_string()));
        }
    }

    #[test]
    fn options() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            for option in
                [ZMQ_ROUTER_MANDATORY, ZMQ_ROUTER_RAW, ZMQ_ROUTER_HANDOVER, ZMQ_PROBE_ROUTER]
            {
                for (value, expected) in [(0, Ok(())), (5, Ok(())), (-1, Err(Error::INVAL))] {
                    assert_eq!(bench.set_int(option, value), expected);
                }
                assert_eq!(bench.set_option(option, &[1]), Err(Error::INVAL));
                assert_eq!(bench.option(option), Err(Error::INVAL));
            }
            assert_eq!(bench.option(ZMQ_ROUTER_NOTIFY), Ok(0));
            for (value, expected) in
                [(3, Ok(())), (4, Err(Error::INVAL)), (-1, Err(Error::INVAL)), (1, Ok(()))]
            {
                assert_eq!(bench.set_int(ZMQ_ROUTER_NOTIFY, value), expected);
            }
            assert_eq!(bench.option(ZMQ_ROUTER_NOTIFY), Ok(1));
            assert_eq!(bench.set_int(ZMQ_REQ_RELAXED, 1), Err(Error::INVAL));
        }
    }

    #[test]
    fn probing_greets_each_new_peer() {
        for socket_type in TYPES {
            let mut bench = Bench::new(socket_type);
            bench.set_int(ZMQ_PROBE_ROUTER, 1).unwrap();
            let peer = bench.connect_as(awaiting());
            assert_eq!(bench.take(peer), [[""]]);
        }
    }
}
