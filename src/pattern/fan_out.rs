// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Fan-out: every pipe that is marked gets a copy of the message.
//!
//! Invariants:
//! - The list has four sections: *matching* pipes, which get the message; other *active* ones;
//!   then *eligible* ones, which become active with the next message; then pipes found full, which
//!   wait for credit. The socket tells when there is some.
//! - A pipe that is full at the first part misses the whole message, and one that is attached, or
//!   gets room, in the middle of a message starts with the next one.
//! - Between messages all eligible pipes are active.

use super::discard;
use super::pipe_list::{FanPlace, PipeList};
use crate::errno::Result;
use crate::msg::Msg;
use crate::pipe::{Body, PipeId, Pipes};

#[derive(Default)]
pub struct FanOut {
    list: PipeList<FanPlace>,
    matching: usize,
    active: usize,
    eligible: usize,
    /// A message was begun.
    inside: bool,
}

impl FanOut {
    pub fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.list.push(pipes, id);
        self.activated(pipes, id);
    }

    /// The pipe is about to be removed.
    pub fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(place) = self.list.place(pipes, id) else { return };
        if let Some(pipe) = pipes.get_mut(id) {
            pipe.rollback();
        }
        let place = self.deactivate(pipes, place);
        self.list.remove(pipes, place);
    }

    /// A pipe that was found full has room again.
    pub fn activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(place) = self.list.place(pipes, id) else { return };
        if place < self.eligible {
            return;
        }
        self.list.swap(pipes, place, self.eligible);
        self.eligible += 1;
        if !self.inside {
            self.list.swap(pipes, self.eligible - 1, self.active);
            self.active += 1;
        }
    }

    /// True between the parts of a message.
    pub fn inside(&self) -> bool {
        self.inside
    }

    /// Marks a pipe, if it can get a message that begins now.
    #[inline]
    pub fn mark(&mut self, pipes: &mut Pipes, id: PipeId) {
        match self.list.place(pipes, id) {
            Some(place) if place >= self.matching && place < self.active => {
                self.list.swap(pipes, place, self.matching);
                self.matching += 1;
            }
            _ => {}
        }
    }

    /// Marks every pipe that can get a message that begins now.
    pub fn mark_all(&mut self) {
        self.matching = self.active;
    }

    /// Marks the pipes that are not marked, and the other way round.
    pub fn invert_marks(&mut self, pipes: &mut Pipes) {
        let marked = self.matching;
        self.matching = 0;
        for place in marked..self.active {
            self.list.swap(pipes, place, self.matching);
            self.matching += 1;
        }
    }

    #[inline]
    pub fn unmark_all(&mut self) {
        self.matching = 0;
    }

    /// Whether every marked pipe has room. Those that have not will tell when they have.
    pub fn marked_have_room(&self, pipes: &mut Pipes) -> bool {
        (0..self.matching).all(|place| match pipes.get_mut(self.list.at(place)) {
            Some(pipe) => pipe.check_write() || pipe.write_ended(),
            None => true,
        })
    }

    /// The lowest high-water mark of the connections among the marked pipes.
    pub fn lowest_limit(&self, pipes: &Pipes) -> Option<u64> {
        let marked = (0..self.matching).filter_map(|place| pipes.get(self.list.at(place)));
        marked.filter_map(|pipe| pipe.connection_limit()).min()
    }

    /// Sends one part to the marked pipes; the marks stay. ENOMEM: nobody got it.
    #[inline]
    pub fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if self.matching > 1 && body.worth_sharing() {
            self.send_shared(pipes, body.share()?, more);
            discard(body);
        } else if self.matching == 1 {
            self.inside = true;
            self.write(pipes, 0, body, more);
        } else {
            self.inside = true;
            let bytes = body.bytes();
            let mut place = 0;
            while place < self.matching {
                // When it fails another pipe has taken the place.
                place += usize::from(self.write(pipes, place, &mut Body::Bytes(bytes), more));
            }
            discard(body);
        }
        self.inside = more;
        if !more {
            self.active = self.eligible;
        }
        Ok(())
    }

    /// Sends a command to all pipes; those that are full miss it.
    pub fn send_command(&mut self, pipes: &mut Pipes, command: &[u8]) {
        debug_assert!(!self.inside);
        let mut place = 0;
        while place < self.active {
            let Some(pipe) = pipes.get_mut(self.list.at(place)) else { return };
            if pipe.check_write() {
                // Without memory this one misses it.
                let _ = pipe.write_command(command);
                pipe.flush();
                place += 1;
            } else {
                self.deactivate(pipes, place);
            }
        }
    }

    /// Takes back what a pipe was sent of a message that is not complete; it starts again with
    /// the next one.
    pub fn withdraw(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(place) = self.list.place(pipes, id) else { return };
        match pipes.get_mut(id) {
            Some(pipe) if pipe.writing_message() => pipe.rollback(),
            _ => return,
        }
        self.deactivate(pipes, place);
        self.activated(pipes, id);
    }

    fn send_shared(&mut self, pipes: &mut Pipes, mut message: Msg, more: bool) {
        self.inside = true;
        let mut place = 0;
        while place < self.matching {
            let mut copy = message.share();
            place += usize::from(self.write(pipes, place, &mut Body::Message(&mut copy), more));
        }
    }

    /// False: the pipe misses the message, and is not marked any more.
    #[inline]
    fn write(&mut self, pipes: &mut Pipes, place: usize, body: &mut Body<'_>, more: bool) -> bool {
        let id = self.list.at(place);
        let Some(pipe) = pipes.get_mut(id) else {
            self.deactivate(pipes, place);
            return false;
        };
        let has_room = pipe.check_write();
        if has_room && pipe.write(body, more).is_ok() {
            if !more {
                pipe.flush();
            }
            return true;
        }
        pipe.rollback();
        self.deactivate(pipes, place);
        if has_room {
            // There was no memory; nobody will tell that there is some.
            self.activated(pipes, id);
        }
        false
    }

    /// Moves a pipe out of all sections, behind the eligible ones; returns its new place.
    #[cold]
    fn deactivate(&mut self, pipes: &mut Pipes, mut place: usize) -> usize {
        for section in [&mut self.matching, &mut self.active, &mut self.eligible] {
            if place < *section {
                *section -= 1;
                self.list.swap(pipes, place, *section);
                place = *section;
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::{Peer, Pipe, Readiness, pair, rope::Writer};
    use std::sync::Arc;

    struct Silent;

    impl Peer for Silent {
        fn written(&self, writer: &mut Writer) {
            let _ = writer.commit();
        }

        fn credit(&self) {}

        fn closed(&self) {}
    }

    fn fan_out(count: usize, limit: u64) -> (FanOut, Pipes, Vec<PipeId>, Vec<Pipe>) {
        let (mut fan_out, mut pipes) = (FanOut::default(), Pipes::default());
        let (mut ids, mut remotes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (local, remote) = pair((Arc::new(Silent), Arc::new(Silent)), (limit, 1)).unwrap();
            let id = pipes.insert(local);
            fan_out.attach(&mut pipes, id);
            ids.push(id);
            remotes.push(remote);
        }
        (fan_out, pipes, ids, remotes)
    }

    fn take(remote: &mut Pipe) -> String {
        let mut text = String::new();
        while remote.check_read() == Readiness::Ready {
            text.push_str(&String::from_utf8_lossy(remote.frame().unwrap().body));
            remote.skip();
        }
        text
    }

    #[test]
    fn marked_pipes_get_it() {
        for marks in 0..16u32 {
            for inverted in [false, true] {
                let (mut fan_out, mut pipes, ids, mut remotes) = fan_out(4, 10);
                let marked = |index: usize| marks >> index & 1 == 1;
                for index in (0..4).filter(|&index| marked(index)) {
                    fan_out.mark(&mut pipes, ids[index]);
                    fan_out.mark(&mut pipes, ids[index]);
                }
                if inverted {
                    fan_out.invert_marks(&mut pipes);
                }
                fan_out.send(&mut pipes, &mut Body::Bytes(b"a"), true).unwrap();
                fan_out.send(&mut pipes, &mut Body::Bytes(b"b"), false).unwrap();
                fan_out.unmark_all();
                fan_out.send(&mut pipes, &mut Body::Bytes(b"nobody"), false).unwrap();
                for (index, remote) in remotes.iter_mut().enumerate() {
                    let expected = if marked(index) != inverted { "ab" } else { "" };
                    assert_eq!(take(remote), expected, "{marks:b}, {inverted}");
                }
            }
        }
    }

    #[test]
    fn a_full_pipe_misses_whole_messages() {
        let (mut fan_out, mut pipes, ids, mut remotes) = fan_out(3, 1);
        for text in ["a", "b"] {
            if text == "b" {
                assert_eq!(take(&mut remotes[1]), "aa");
                fan_out.activated(&mut pipes, ids[1]);
            }
            fan_out.mark_all();
            fan_out.send(&mut pipes, &mut Body::Bytes(text.as_bytes()), true).unwrap();
            // Room that comes between the parts counts for the next message.
            if text == "b" {
                assert_eq!(take(&mut remotes[0]), "aa");
                fan_out.activated(&mut pipes, ids[0]);
            }
            fan_out.mark_all();
            fan_out.send(&mut pipes, &mut Body::Bytes(text.as_bytes()), false).unwrap();
        }
        assert_eq!(take(&mut remotes[1]), "bb");
        assert_eq!(take(&mut remotes[2]), "aa");
        fan_out.activated(&mut pipes, ids[1]);
        fan_out.mark_all();
        fan_out.send(&mut pipes, &mut Body::Bytes(b"c"), false).unwrap();
        assert_eq!(remotes.iter_mut().map(take).collect::<String>(), "cc");
    }

    #[test]
    fn pipes_come_and_go_between_parts() {
        let (mut fan_out, mut pipes, ids, mut remotes) = fan_out(3, 10);
        fan_out.mark_all();
        fan_out.send(&mut pipes, &mut Body::Bytes(b"a"), true).unwrap();
        let (local, late) = pair((Arc::new(Silent), Arc::new(Silent)), (10, 1)).unwrap();
        let late_id = pipes.insert(local);
        fan_out.attach(&mut pipes, late_id);
        remotes.push(late);
        fan_out.detach(&mut pipes, ids[0]);
        pipes.remove(ids[0]);
        fan_out.withdraw(&mut pipes, ids[1]);
        fan_out.mark(&mut pipes, late_id);
        fan_out.send(&mut pipes, &mut Body::Bytes(b"b"), false).unwrap();
        fan_out.mark_all();
        fan_out.send(&mut pipes, &mut Body::Bytes(b"c"), false).unwrap();
        let texts: Vec<String> = remotes.iter_mut().map(take).collect();
        assert_eq!(texts, ["", "c", "abc", "c"]);
    }

    #[test]
    fn large_bodies_are_shared() {
        let (mut fan_out, mut pipes, _, mut remotes) = fan_out(3, 10);
        let mut message = crate::msg::Msg::from_slice(&[b'x'; 20_000]).unwrap();
        let memory = message.data().as_ptr();
        fan_out.mark_all();
        fan_out.send(&mut pipes, &mut Body::Message(&mut message), false).unwrap();
        assert!(message.is_empty());
        for remote in &mut remotes {
            assert_eq!(remote.frame().unwrap().body.as_ptr(), memory);
        }
    }

    #[test]
    fn room() {
        let (mut fan_out, mut pipes, ids, mut remotes) = fan_out(2, 1);
        fan_out.mark(&mut pipes, ids[1]);
        fan_out.send(&mut pipes, &mut Body::Bytes(b"x"), false).unwrap();
        assert!(!fan_out.marked_have_room(&mut pipes));
        fan_out.unmark_all();
        fan_out.mark(&mut pipes, ids[0]);
        assert!(fan_out.marked_have_room(&mut pipes));
        fan_out.mark_all();
        assert!(!fan_out.marked_have_room(&mut pipes));
        take(&mut remotes[1]);
        assert!(fan_out.marked_have_room(&mut pipes));
    }
}
