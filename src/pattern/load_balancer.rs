// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Load balancing: pipes with room take turns, one whole message each.
//!
//! Invariants:
//! - The list has two sections: pipes that may have room, then pipes found full, which wait for
//!   credit. The socket tells when there is some.
//! - `current` lies in the first section, unless that is empty; it moves on after a last part.
//! - A message is never spread over two pipes and never cut: when the pipe goes away in between,
//!   what was written is taken back, the next part is told so, and those after it are swallowed.

use super::pipe_list::{BalancePlace, PipeList};
use super::{DROPPED, discard};
use crate::errno::{Error, Result};
use crate::pipe::{Body, Pipe, PipeId, Pipes};

#[derive(Default)]
pub struct LoadBalancer {
    list: PipeList<BalancePlace>,
    active: usize,
    current: usize,
    /// A message was begun on the current pipe.
    inside: bool,
    /// The pipe of the message that was begun is gone, which nobody has been told yet.
    lost: bool,
    /// The parts up to the last one are swallowed.
    dropping: bool,
}

impl LoadBalancer {
    pub fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.list.push(pipes, id);
        self.activated(pipes, id);
    }

    /// The pipe is about to be removed.
    pub fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(mut place) = self.list.place(pipes, id) else { return };
        if self.inside && place == self.current {
            if let Some(pipe) = pipes.get_mut(id) {
                pipe.rollback();
            }
            self.inside = false;
            self.lost = true;
        }
        if place < self.active {
            place = self.deactivate(pipes, place);
        }
        self.list.remove(pipes, place);
    }

    /// A pipe that was found full has room again.
    pub fn activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        match self.list.place(pipes, id) {
            Some(place) if place >= self.active => {
                self.list.swap(pipes, place, self.active);
                self.active += 1;
            }
            _ => {}
        }
    }

    /// Sends one part, and says to which pipe; no pipe when the part was swallowed. EAGAIN: there
    /// is no room anywhere. [`DROPPED`].
    #[inline(always)]
    pub fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<PipeId> {
        if self.current < self.active && !self.lost && !self.dropping {
            let id = self.list.at(self.current);
            if let Some(pipe) = pipes.get_mut(id)
                && pipe.has_room()
            {
                self.write(pipe, body, more)?;
                return Ok(id);
            }
        }
        self.send_slowly(pipes, body, more)
    }

    /// The same, whatever there is to be considered.
    #[inline(never)]
    fn send_slowly(
        &mut self,
        pipes: &mut Pipes,
        body: &mut Body<'_>,
        more: bool,
    ) -> Result<PipeId> {
        if self.dropping {
            self.dropping = more;
            discard(body);
            return Ok(PipeId::NONE);
        }
        if std::mem::take(&mut self.lost) {
            self.dropping = more;
            return Err(DROPPED);
        }
        while self.active > 0 {
            let id = self.list.at(self.current);
            let Some(pipe) = pipes.get_mut(id) else { return Err(Error::AGAIN) };
            if pipe.check_write() {
                self.write(pipe, body, more)?;
                return Ok(id);
            }
            if self.inside {
                pipe.rollback();
                self.inside = false;
                self.dropping = more;
                return Err(DROPPED);
            }
            self.deactivate(pipes, self.current);
        }
        Err(Error::AGAIN)
    }

    /// Writes a part to the current pipe.
    #[inline(always)]
    fn write(&mut self, pipe: &mut Pipe, body: &mut Body<'_>, more: bool) -> Result<()> {
        if let Err(error) = pipe.write(body, more) {
            if !self.inside {
                pipe.rollback();
            }
            return Err(error);
        }
        self.inside = more;
        if !more {
            pipe.flush();
            self.current += 1;
            if self.current >= self.active {
                self.current = 0;
            }
        }
        Ok(())
    }

    /// Whether a send would succeed.
    pub fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.inside || self.lost || self.dropping || self.writable(pipes)
    }

    /// Between messages: whether there is room for one.
    pub fn writable(&mut self, pipes: &mut Pipes) -> bool {
        while self.active > 0 {
            let id = self.list.at(self.current);
            if pipes.get_mut(id).is_some_and(|pipe| pipe.check_write()) {
                return true;
            }
            self.deactivate(pipes, self.current);
        }
        false
    }

    /// Forgets a message that was begun: the next part sent is a first part.
    #[cold]
    pub fn abandon(&mut self, pipes: &mut Pipes) {
        if self.inside
            && let Some(pipe) = pipes.get_mut(self.list.at(self.current))
        {
            pipe.rollback();
        }
        self.inside = false;
        self.lost = false;
        self.dropping = false;
    }

    /// Moves a pipe to the section of full ones; returns its new place.
    #[cold]
    fn deactivate(&mut self, pipes: &mut Pipes, place: usize) -> usize {
        self.active -= 1;
        self.list.swap(pipes, place, self.active);
        if self.current == self.active {
            // The current pipe has moved to the place that became free, or is full.
            self.current = if place == self.active { 0 } else { place };
        }
        self.active
    }
}
