// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! DISH: receives the messages of the groups it joined, and sends nothing (RFC 48).
//!
//! In a pipe a message is two parts, the group and the body, as it goes over the wire. The caller
//! gets the body, with the group beside it. Radios are told which groups to send; those that
//! cannot be told send everything, so messages are looked at here as well.

use super::fair_queue::FairQueue;
use super::fan_out::FanOut;
use super::{JOIN, LEAVE, Pattern};
use crate::errno::{Error, Result};
use crate::msg::GROUP_MAX;
use crate::pipe::{PipeId, Pipes, Sink};
use std::collections::HashSet;

#[derive(Default)]
pub struct Dish {
    incoming: FairQueue,
    outgoing: FanOut,
    groups: HashSet<Vec<u8>>,
    /// Of the message whose body is next.
    group: Vec<u8>,
}

impl Pattern for Dish {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        self.incoming.attach(pipes, id);
        self.outgoing.attach(pipes, id);
        self.send_groups(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.detach(pipes, id);
        self.outgoing.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.activated(pipes, id);
    }

    fn hiccuped(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.send_groups(pipes, id);
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        if !self.incoming.inside() && !self.find(pipes, true) {
            return Err(Error::AGAIN);
        }
        let id = self.incoming.receive(pipes, sink)?;
        if sink.more() {
            // Not from a RADIO: in one process anybody can be at the other end.
            self.incoming.skip_message(pipes, id);
        }
        sink.set_group(&self.group)
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.inside() || self.find(pipes, false)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn join(&mut self, pipes: &mut Pipes, group: &[u8]) -> Result<()> {
        if group.len() > GROUP_MAX || !self.groups.insert(group.to_vec()) {
            return Err(Error::INVAL);
        }
        self.outgoing.send_command(pipes, &[JOIN, group].concat());
        Ok(())
    }

    fn leave(&mut self, pipes: &mut Pipes, group: &[u8]) -> Result<()> {
        if !self.groups.remove(group) {
            return Err(Error::INVAL);
        }
        self.outgoing.send_command(pipes, &[LEAVE, group].concat());
        Ok(())
    }
}

impl Dish {
    /// Looks for the next message of a group that was joined, and drops others. With `take` the
    /// body is the next part to receive afterwards.
    fn find(&mut self, pipes: &mut Pipes, take: bool) -> bool {
        while let Some(id) = self.incoming.ready(pipes) {
            if let Some(pipe) = pipes.get_mut(id)
                && let Some(frame) = pipe.frame()
                && frame.more()
                && self.groups.contains(frame.body)
            {
                if take {
                    self.group.clear();
                    self.group.extend_from_slice(frame.body);
                    pipe.skip();
                    self.incoming.begin();
                }
                return true;
            }
            self.incoming.skip_message(pipes, id);
        }
        false
    }

    /// Tells one radio all groups.
    fn send_groups(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        for group in &self.groups {
            if pipe.check_write() {
                // Without memory this one misses it.
                let _ = pipe.write_command(&[JOIN, group].concat());
            }
        }
        if !self.groups.is_empty() {
            pipe.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    fn join(bench: &mut Bench, group: &str) -> crate::errno::Result<()> {
        bench.pattern.join(&mut bench.pipes, group.as_bytes())
    }

    fn leave(bench: &mut Bench, group: &str) -> crate::errno::Result<()> {
        bench.pattern.leave(&mut bench.pipes, group.as_bytes())
    }

    #[test]
    fn groups_are_joined_once_and_left_once() {
        let mut bench = Bench::new(ZMQ_DISH);
        assert_eq!(leave(&mut bench, "TV"), Err(Error::INVAL));
        assert_eq!(join(&mut bench, "TV"), Ok(()));
        assert_eq!(join(&mut bench, "TV"), Err(Error::INVAL));
        assert_eq!(join(&mut bench, ""), Ok(()));
        assert_eq!(leave(&mut bench, "TV"), Ok(()));
        assert_eq!(leave(&mut bench, "TV"), Err(Error::INVAL));
        assert_eq!(join(&mut bench, &"g".repeat(255)), Ok(()));
        assert_eq!(join(&mut bench, &"g".repeat(256)), Err(Error::INVAL));
        assert_eq!(leave(&mut bench, &"g".repeat(256)), Err(Error::INVAL));
    }

    #[test]
    fn radios_are_told() {
        let mut bench = Bench::new(ZMQ_DISH);
        join(&mut bench, "early").unwrap();
        let peer = bench.connect();
        join(&mut bench, "TV").unwrap();
        leave(&mut bench, "TV").unwrap();
        let told: Vec<_> = bench.take(peer).concat();
        assert_eq!(told, ["/\x04JOINearly", "/\x04JOINTV", "/\x05LEAVETV"]);
        bench.hiccup(peer);
        assert_eq!(bench.take(peer), [["/\x04JOINearly"]]);
        assert_eq!(bench.send(&["x"]), Err(Error::NOTSUP));
        assert!(bench.can_send());
    }

    #[test]
    fn only_messages_of_joined_groups_are_received() {
        let mut bench = Bench::new(ZMQ_DISH);
        let peers = [bench.connect(), bench.connect()];
        for group in ["", "TV", "a group with a long name"] {
            join(&mut bench, group).unwrap();
        }
        for polled in [false, true] {
            for (peer, group) in
                [(0, "TV"), (1, "other"), (1, ""), (0, "T"), (0, "a group with a long name")]
            {
                bench.put(peers[peer], &[group, &format!("to {group}")]);
            }
            bench.put(peers[0], &["TV"]);
            for group in ["TV", "", "a group with a long name"] {
                assert!(!polled || bench.can_receive());
                let (body, received) = bench.receive_with_group().unwrap();
                assert_eq!((body, received), (format!("to {group}"), group.to_owned()));
            }
            assert!(!polled || !bench.can_receive());
            assert_eq!(bench.receive(), Err(Error::AGAIN));
        }
        bench.put(peers[0], &["TV", "missed"]);
        leave(&mut bench, "TV").unwrap();
        assert!(!bench.can_receive());
    }

    #[test]
    fn further_parts_are_dropped() {
        let mut bench = Bench::new(ZMQ_DISH);
        let peer = bench.connect();
        join(&mut bench, "TV").unwrap();
        bench.put(peer, &["TV", "a", "b", "c"]);
        bench.put(peer, &["TV", "d"]);
        assert_eq!(bench.receive().unwrap(), ["a"]);
        assert_eq!(bench.receive().unwrap(), ["d"]);
    }

    #[test]
    fn what_came_before_the_end_is_received() {
        let mut bench = Bench::new(ZMQ_DISH);
        let peer = bench.connect();
        join(&mut bench, "TV").unwrap();
        bench.put(peer, &["TV", "last"]);
        bench.leave(peer);
        assert_eq!(bench.receive().unwrap(), ["last"]);
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        assert!(bench.closed(peer));
    }
}
