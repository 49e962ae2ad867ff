// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! RADIO: sends to those who joined the message's group (RFC 48).
//!
//! In a pipe a message is two parts, the group and the body, as it goes over the wire. Peers join
//! and leave groups by commands; datagram peers cannot, and get everything.

use super::fan_out::FanOut;
use super::{JOIN, LEAVE, Pattern, flag_value};
use crate::abi::ZMQ_XPUB_NODROP;
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Readiness};
use std::collections::HashMap;

#[derive(Default)]
pub struct Radio {
    outgoing: FanOut,
    groups: Groups,
    /// Those who get every message.
    everything: Vec<PipeId>,
    no_drop: bool,
}

/// Who is in which group, and how often each has joined it.
type Groups = HashMap<Vec<u8>, HashMap<PipeId, u32>>;

impl Pattern for Radio {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.outgoing.attach(pipes, id);
        if subscribe_to_all {
            self.everything.push(id);
        }
        self.read_activated(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.detach(pipes, id);
        self.everything.retain(|other| *other != id);
        self.groups.retain(|_, members| {
            members.remove(&id);
            !members.is_empty()
        });
    }

    /// Reads the commands that have come; whatever else peers send is dropped.
    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        loop {
            match pipe.check_read() {
                Readiness::Ready => {}
                Readiness::Empty => return,
                Readiness::Ended => break,
            }
            if let Some(frame) = pipe.frame()
                && frame.is_command()
            {
                if let Some(group) = frame.body.strip_prefix(JOIN) {
                    join(&mut self.groups, group, id);
                } else if let Some(group) = frame.body.strip_prefix(LEAVE) {
                    leave(&mut self.groups, group, id);
                }
            }
            pipe.skip();
        }
        pipes.ended.push(id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.outgoing.activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if more {
            return Err(Error::INVAL);
        }
        self.outgoing.unmark_all();
        if let Some(members) = self.groups.get(body.group()) {
            for id in members.keys() {
                self.outgoing.mark(pipes, *id);
            }
        }
        for id in &self.everything {
            self.outgoing.mark(pipes, *id);
        }
        if self.no_drop && !self.outgoing.marked_have_room(pipes) {
            return Err(Error::AGAIN);
        }
        match body {
            // Made now, what is to be shared cannot fail to be between the two parts.
            Body::Bytes(_) if body.worth_sharing() => {
                let mut message = body.share()?;
                self.send_parts(pipes, &mut Body::Message(&mut message))
            }
            _ => self.send_parts(pipes, body),
        }
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        match option {
            ZMQ_XPUB_NODROP => self.no_drop = flag_value(value)?,
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }
}

impl Radio {
    fn send_parts(&mut self, pipes: &mut Pipes, body: &mut Body<'_>) -> Result<()> {
        self.outgoing.send(pipes, &mut Body::Bytes(body.group()), true)?;
        self.outgoing.send(pipes, body, false)
    }
}

fn join(groups: &mut Groups, group: &[u8], id: PipeId) {
    let members = match groups.get_mut(group) {
        Some(members) => members,
        None => groups.entry(group.to_vec()).or_default(),
    };
    let times = members.entry(id).or_default();
    *times = times.saturating_add(1);
}

fn leave(groups: &mut Groups, group: &[u8], id: PipeId) {
    let Some(members) = groups.get_mut(group) else { return };
    match members.get_mut(&id) {
        Some(times) if *times > 1 => *times -= 1,
        _ => {
            members.remove(&id);
            if members.is_empty() {
                groups.remove(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use crate::abi::*;
    use crate::errno::Error;

    #[test]
    fn members_of_the_group_get_it() {
        let mut bench = Bench::new(ZMQ_RADIO);
        let [one, both, none] = [bench.connect(), bench.connect(), bench.connect()];
        bench.put_command(one, "\x04JOINTV");
        bench.put_command(both, "\x04JOINTV");
        bench.put_command(both, "\x04JOIN");
        bench.send_to_group("TV", "news").unwrap();
        bench.send_to_group("", "to the group without a name").unwrap();
        bench.send_to_group("T", "a part of a name").unwrap();
        bench.send(&["bytes have no group"]).unwrap();
        assert_eq!(bench.take(one), [["TV", "news"]]);
        let unnamed = ["to the group without a name", "bytes have no group"];
        assert_eq!(bench.take(both), [["TV", "news"], ["", unnamed[0]], ["", unnamed[1]]]);
        assert!(bench.take(none).is_empty());
    }

    #[test]
    fn whoever_left_as_often_as_it_joined_is_out() {
        let mut bench = Bench::new(ZMQ_RADIO);
        let peer = bench.connect();
        for (command, member) in [
            ("\x05LEAVETV", false),
            ("\x04JOINTV", true),
            ("\x04JOINTV", true),
            ("\x05LEAVETV", true),
            ("\x05LEAVEtv", true),
            ("\x09SUBSCRIBETV", true),
            ("\x05LEAVETV", false),
            ("\x05LEAVETV", false),
        ] {
            bench.put_command(peer, command);
            bench.send_to_group("TV", "x").unwrap();
            assert_eq!(!bench.take(peer).is_empty(), member, "{command:?}");
        }
    }

    #[test]
    fn messages_are_one_part() {
        let mut bench = Bench::new(ZMQ_RADIO);
        assert_eq!(bench.send_part("a", true), Err(Error::INVAL));
        assert_eq!(bench.receive(), Err(Error::NOTSUP));
        assert!(bench.can_send() && !bench.can_receive());
    }

    #[test]
    fn full_peers_miss_whole_messages_unless_nothing_may_be_dropped() {
        let mut bench = Bench::with_limits(ZMQ_RADIO, (1, 10));
        let peers = [bench.connect(), bench.connect()];
        for peer in peers {
            bench.put_command(peer, "\x04JOINTV");
        }
        bench.send_to_group("TV", "1").unwrap();
        assert_eq!(bench.take(peers[0]), [["TV", "1"]]);
        bench.send_to_group("TV", "2").unwrap();
        assert_eq!(bench.take(peers[0]), [["TV", "2"]]);
        assert_eq!(bench.take(peers[1]), [["TV", "1"]]);
        bench.set_int(ZMQ_XPUB_NODROP, 1).unwrap();
        bench.send_to_group("TV", "3").unwrap();
        assert_eq!(bench.send_to_group("TV", "4"), Err(Error::AGAIN));
        for peer in peers {
            assert_eq!(bench.take(peer), [["TV", "3"]]);
        }
        bench.send_to_group("TV", "4").unwrap();
        assert_eq!(bench.set_int(ZMQ_XPUB_NODROP, -1), Err(Error::INVAL));
        assert_eq!(bench.set_int(ZMQ_XPUB_VERBOSE, 1), Err(Error::INVAL));
    }

    #[test]
    fn large_bodies() {
        let mut bench = Bench::new(ZMQ_RADIO);
        let peers = [bench.connect(), bench.connect()];
        for peer in peers {
            bench.put_command(peer, "\x04JOIN");
        }
        // An even length goes as bytes, an odd one as a message.
        for length in [20_000, 20_001] {
            let body = "x".repeat(length);
            bench.send(&[&body]).unwrap();
            for peer in peers {
                assert_eq!(bench.take(peer), [["", &body]]);
            }
        }
    }

    #[test]
    fn peers_that_cannot_join_get_everything() {
        let mut bench = Bench::new(ZMQ_RADIO);
        let how =
            super::super::testing::Connecting { subscribe_to_all: true, ..Default::default() };
        let peer = bench.connect_as(how);
        bench.send_to_group("TV", "news").unwrap();
        assert_eq!(bench.take(peer), [["TV", "news"]]);
        bench.detach(peer);
        bench.send_to_group("TV", "news").unwrap();
    }

    #[test]
    fn peers_come_and_go() {
        let mut bench = Bench::new(ZMQ_RADIO);
        let [leaving, staying] = [bench.connect(), bench.connect()];
        for peer in [leaving, staying] {
            bench.put_command(peer, "\x04JOINTV");
        }
        bench.put(leaving, &["whatever"]);
        bench.leave(leaving);
        assert!(bench.closed(leaving));
        bench.send_to_group("TV", "news").unwrap();
        assert_eq!(bench.take(staying), [["TV", "news"]]);
    }
}
