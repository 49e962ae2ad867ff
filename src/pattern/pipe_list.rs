// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A list of pipes in which every pipe knows its own place.
//!
//! The algorithms keep such a list in sections (active pipes first, idle ones behind) and move a
//! pipe between sections by swapping, so that no step depends on how many pipes are idle.

use crate::pipe::{Pipe, PipeId, Pipes};
use std::marker::PhantomData;

/// Which of a pipe's places a list uses.
pub trait Place {
    fn get(pipe: &Pipe) -> usize;
    fn set(pipe: &mut Pipe, place: usize);
}

macro_rules! places {
    ($($name:ident = $field:ident;)*) => {
        $(
            #[derive(Default)]
            pub struct $name;

            impl Place for $name {
                #[inline]
                fn get(pipe: &Pipe) -> usize {
                    pipe.$field
                }

                #[inline]
                fn set(pipe: &mut Pipe, place: usize) {
                    pipe.$field = place;
                }
            }
        )*
    };
}

places! {
    FairPlace = fair_place;
    BalancePlace = balance_place;
    FanPlace = fan_place;
}

/// The place of a pipe that is in no list.
const NOWHERE: usize = usize::MAX;

#[derive(Default)]
pub struct PipeList<P: Place> {
    list: Vec<PipeId>,
    place: PhantomData<P>,
}

impl<P: Place> PipeList<P> {
    /// Appends a pipe and returns its place.
    pub fn push(&mut self, pipes: &mut Pipes, id: PipeId) -> usize {
        self.list.push(id);
        let place = self.list.len() - 1;
        set_place::<P>(pipes, id, place);
        place
    }

    /// The place of a pipe; `None` when it is not in the list.
    #[inline]
    pub fn place(&self, pipes: &Pipes, id: PipeId) -> Option<usize> {
        let place = P::get(pipes.get(id)?);
        (self.list.get(place) == Some(&id)).then_some(place)
    }

    /// The pipe at a place; no pipe beyond the end.
    #[inline]
    pub fn at(&self, place: usize) -> PipeId {
        self.list.get(place).copied().unwrap_or(PipeId::NONE)
    }

    #[inline]
    pub fn swap(&mut self, pipes: &mut Pipes, one: usize, other: usize) {
        if one == other || one.max(other) >= self.list.len() {
            return;
        }
        self.list.swap(one, other);
        set_place::<P>(pipes, self.list[one], one);
        set_place::<P>(pipes, self.list[other], other);
    }

    /// Removes the pipe at `place`; the last one takes its place.
    pub fn remove(&mut self, pipes: &mut Pipes, place: usize) {
        self.swap(pipes, place, self.list.len().saturating_sub(1));
        if let Some(id) = self.list.pop() {
            set_place::<P>(pipes, id, NOWHERE);
        }
    }
}

#[inline]
fn set_place<P: Place>(pipes: &mut Pipes, id: PipeId, place: usize) {
    if let Some(pipe) = pipes.get_mut(id) {
        P::set(pipe, place);
    }
}
