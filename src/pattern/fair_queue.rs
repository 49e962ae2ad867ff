// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Fair queuing: pipes with something to read take turns, one whole message each.
//!
//! Invariants:
//! - The list has two sections: pipes that may have something to read, then pipes found empty,
//!   which are asleep. The socket tells when a sleeper wakes.
//! - `current` lies in the first section, unless that is empty.
//! - Once the first part of a message was taken all its parts can be: what is left of the message
//!   when its pipe is detached is kept in `rest`.

use super::pipe_list::{FairPlace, PipeList};
use crate::errno::{Error, Result};
use crate::msg::Msg;
use crate::pipe::{PipeId, Pipes, Readiness, Sink};
use std::collections::VecDeque;

#[derive(Default)]
pub struct FairQueue {
    list: PipeList<FairPlace>,
    active: usize,
    current: usize,
    /// The message at the head of the current pipe was begun.
    inside: bool,
    rest: VecDeque<Msg>,
}

impl FairQueue {
    pub fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.list.push(pipes, id);
        self.activated(pipes, id);
    }

    /// The pipe is about to be removed.
    pub fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(mut place) = self.list.place(pipes, id) else { return };
        if self.inside && place == self.current {
            self.keep_rest(pipes, id);
        }
        if place < self.active {
            place = self.deactivate(pipes, place);
        }
        self.list.remove(pipes, place);
    }

    /// A pipe that was found empty has something to read, or has ended.
    pub fn activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(place) = self.list.place(pipes, id) else { return };
        let Some(pipe) = pipes.get_mut(id) else { return };
        let readiness = pipe.check_read();
        if readiness == Readiness::Ended {
            pipes.ended.push(id);
        }
        match (readiness == Readiness::Ready, place < self.active) {
            (true, false) => {
                self.list.swap(pipes, place, self.active);
                self.active += 1;
            }
            (false, true) => {
                self.deactivate(pipes, place);
            }
            _ => {}
        }
    }

    /// Receives one part, and says from which pipe. EAGAIN: nothing there.
    #[inline(always)]
    pub fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<PipeId> {
        if self.current < self.active && self.rest.is_empty() {
            let id = self.list.at(self.current);
            if let Some(pipe) = pipes.get_mut(id)
                && pipe.read(sink)?
            {
                self.part_taken(sink.more());
                return Ok(id);
            }
        }
        self.receive_slowly(pipes, sink)
    }

    /// The same, whatever there is to be considered.
    #[inline(never)]
    fn receive_slowly(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<PipeId> {
        if !self.rest.is_empty() {
            return self.receive_rest(sink);
        }
        loop {
            let id = self.current_pipe()?;
            let Some(pipe) = pipes.get_mut(id) else { return Err(Error::AGAIN) };
            if pipe.read_any(sink)? {
                self.part_taken(sink.more());
                return Ok(id);
            }
            // Nobody else waits for his turn.
            if self.active > 1 || !pipe.linger() {
                self.sleep_if_empty(pipes, id);
            }
        }
    }

    /// Like [`receive`](FairQueue::receive); drops messages whose first part is not accepted.
    #[inline]
    pub fn receive_accepted(
        &mut self,
        pipes: &mut Pipes,
        sink: &mut Sink<'_>,
        accept: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        while self.rest.is_empty() {
            let id = self.current_pipe()?;
            let Some(pipe) = pipes.get_mut(id) else { return Err(Error::AGAIN) };
            match pipe.frame() {
                Some(frame) if self.inside || accept(frame.as_message()) => {
                    pipe.read(sink)?;
                    self.part_taken(sink.more());
                    return Ok(());
                }
                Some(_) => self.skip_message(pipes, id),
                None => self.sleep_or_fetch(pipes, id, &accept)?,
            }
        }
        self.receive_rest(sink)?;
        Ok(())
    }

    /// Receives a message of one part, and says from which pipe; drops those of several. For socket
    /// types that receive by this alone.
    #[inline]
    pub fn receive_single(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<PipeId> {
        loop {
            let id = self.current_pipe()?;
            let Some(pipe) = pipes.get_mut(id) else { return Err(Error::AGAIN) };
            match pipe.frame() {
                Some(frame) if frame.more() => self.skip_message(pipes, id),
                Some(_) => {
                    pipe.read(sink)?;
                    self.part_taken(false);
                    return Ok(id);
                }
                None => self.sleep_if_empty(pipes, id),
            }
        }
    }

    /// Whether a [`receive_single`](FairQueue::receive_single) would succeed.
    pub fn can_receive_single(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(id) = self.ready(pipes) {
            let frame = pipes.get_mut(id).and_then(|pipe| pipe.frame());
            if frame.is_some_and(|frame| !frame.more()) {
                return true;
            }
            self.skip_message(pipes, id);
        }
        false
    }

    /// Whether a receive would succeed.
    pub fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.inside() || self.ready(pipes).is_some()
    }

    /// Whether a [`receive_accepted`](FairQueue::receive_accepted) would succeed.
    pub fn can_receive_accepted(
        &mut self,
        pipes: &mut Pipes,
        accept: impl Fn(&[u8]) -> bool,
    ) -> bool {
        if self.inside() {
            return true;
        }
        while let Ok(id) = self.current_pipe() {
            let Some(pipe) = pipes.get_mut(id) else { return false };
            match pipe.frame() {
                Some(frame) if accept(frame.as_message()) => return true,
                Some(_) => self.skip_message(pipes, id),
                None => match self.sleep_or_fetch(pipes, id, &accept) {
                    Ok(()) if !self.rest.is_empty() => return true,
                    Ok(()) => {}
                    Err(_) => return false,
                },
            }
        }
        false
    }

    /// Between messages: the pipe the next message comes from.
    #[inline]
    pub fn ready(&mut self, pipes: &mut Pipes) -> Option<PipeId> {
        loop {
            let id = self.current_pipe().ok()?;
            if pipes.get_mut(id)?.check_read() == Readiness::Ready {
                return Some(id);
            }
            self.sleep_if_empty(pipes, id);
        }
    }

    /// The message of the pipe that [`ready`](FairQueue::ready) returned is begun, though none of
    /// the parts that are left was taken.
    #[inline]
    pub fn begin(&mut self) {
        self.inside = true;
    }

    /// True between the parts of a message.
    #[inline]
    pub fn inside(&self) -> bool {
        self.inside || !self.rest.is_empty()
    }

    /// Drops the message at the head of the pipe that [`ready`](FairQueue::ready) returned, or the
    /// rest of the one of which [`receive`](FairQueue::receive) returned a part.
    #[cold]
    pub fn skip_message(&mut self, pipes: &mut Pipes, id: PipeId) {
        if !self.rest.is_empty() {
            self.rest.clear();
            return;
        }
        if let Some(pipe) = pipes.get_mut(id) {
            pipe.skip_message();
        }
        self.part_taken(false);
    }

    /// Drops everything that can be read now.
    pub fn drain(&mut self, pipes: &mut Pipes) {
        self.rest.clear();
        while let Some(id) = self.ready(pipes) {
            self.skip_message(pipes, id);
        }
        self.inside = false;
    }

    #[inline(always)]
    fn current_pipe(&self) -> Result<PipeId> {
        if self.active == 0 { Err(Error::AGAIN) } else { Ok(self.list.at(self.current)) }
    }

    #[inline(always)]
    fn part_taken(&mut self, more: bool) {
        self.inside = more;
        if !more {
            self.current += 1;
            if self.current >= self.active {
                self.current = 0;
            }
        }
    }

    /// The current pipe has no frame: it sleeps, unless something has just come.
    #[cold]
    fn sleep_if_empty(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        match pipe.check_read() {
            Readiness::Ready => return,
            Readiness::Empty => {}
            Readiness::Ended => pipes.ended.push(id),
        }
        self.deactivate(pipes, self.current);
    }

    /// The current pipe has no frame: it is empty, or it conflates. Then its message is fetched
    /// into `rest` to be looked at.
    #[cold]
    fn sleep_or_fetch(
        &mut self,
        pipes: &mut Pipes,
        id: PipeId,
        accept: &impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let Some(pipe) = pipes.get_mut(id) else { return Err(Error::AGAIN) };
        if pipe.check_read() == Readiness::Ready && pipe.frame().is_none() {
            let mut message = Msg::new();
            if pipe.read(&mut Sink::Message(&mut message))? {
                message.set_more(false);
                self.part_taken(false);
                if accept(message.data()) {
                    self.rest.push_back(message);
                }
            }
            return Ok(());
        }
        self.sleep_if_empty(pipes, id);
        Ok(())
    }

    /// Moves a pipe to the idle section; returns its new place.
    fn deactivate(&mut self, pipes: &mut Pipes, place: usize) -> usize {
        if place == self.current {
            self.inside = false;
        }
        self.active -= 1;
        self.list.swap(pipes, place, self.active);
        if self.current == self.active {
            // The current pipe has moved to the place that became free, or is idle now.
            self.current = if place == self.active { 0 } else { place };
        }
        self.active
    }

    /// Polling has told of a message. If it is this pipe's, which is about to go, it stays, with a
    /// part before it: true.
    #[cold]
    pub fn keep_promised(&mut self, pipes: &mut Pipes, id: PipeId, first: &[u8]) -> bool {
        if self.inside() || self.ready(pipes) != Some(id) {
            return false;
        }
        let Some(pipe) = pipes.get(id) else { return false };
        let Ok(mut part) = Msg::from_slice(first) else { return false };
        part.set_more(true);
        part.set_metadata(pipe.metadata().cloned());
        self.rest.push_back(part);
        self.keep_rest(pipes, id);
        self.part_taken(false);
        true
    }

    #[cold]
    fn keep_rest(&mut self, pipes: &mut Pipes, id: PipeId) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        let mut part = Msg::new();
        while let Ok(true) = pipe.read(&mut Sink::Message(&mut part)) {
            let more = part.more();
            self.rest.push_back(part.take());
            if !more {
                break;
            }
        }
    }

    #[cold]
    fn receive_rest(&mut self, sink: &mut Sink<'_>) -> Result<PipeId> {
        let Some(part) = self.rest.pop_front() else { return Err(Error::AGAIN) };
        let (more, metadata) = (part.more(), part.metadata().cloned());
        sink.put_message(part, more, metadata.as_ref())?;
        Ok(PipeId::NONE)
    }
}
