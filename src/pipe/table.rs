// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The pipes of one socket.

use super::end::Pipe;

/// Names a pipe of a socket. Never used again for another pipe of the same socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PipeId {
    index: u32,
    generation: u32,
}

impl PipeId {
    /// No pipe.
    pub const NONE: PipeId = PipeId { index: u32::MAX, generation: 0 };

    /// The id as one number, to be kept in an atomic.
    pub fn to_raw(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub fn from_raw(raw: u64) -> PipeId {
        PipeId { index: raw as u32, generation: (raw >> 32) as u32 }
    }
}

/// The pipes of one socket, by id.
#[derive(Default)]
pub struct Pipes {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
    /// Pipes found to have ended while reading: the socket detaches them before it returns.
    pub ended: Vec<PipeId>,
    /// Pipes the socket type gives up: the socket detaches them before it returns, and closes those
    /// without a ZMTP connection.
    pub closing: Vec<PipeId>,
}

struct Slot {
    generation: u32,
    pipe: Option<Box<Pipe>>,
}

impl Pipes {
    /// Adds a pipe and gives it its id.
    pub fn insert(&mut self, mut pipe: Pipe) -> PipeId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, pipe: None });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        pipe.id = PipeId { index, generation: slot.generation };
        let id = pipe.id;
        slot.pipe = Some(Box::new(pipe));
        self.count += 1;
        id
    }

    pub fn remove(&mut self, id: PipeId) -> Option<Box<Pipe>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let pipe = slot.pipe.take()?;
        self.free.push(id.index);
        self.count -= 1;
        Some(pipe)
    }

    #[inline]
    pub fn get(&self, id: PipeId) -> Option<&Pipe> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.pipe.as_deref() } else { None }
    }

    #[inline]
    pub fn get_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation { slot.pipe.as_deref_mut() } else { None }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn ids(&self) -> Vec<PipeId> {
        self.iter().map(|pipe| pipe.id).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pipe> {
        self.slots.iter().filter_map(|slot| slot.pipe.as_deref())
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pipe> {
        self.slots.iter_mut().filter_map(|slot| slot.pipe.as_deref_mut())
    }
}
