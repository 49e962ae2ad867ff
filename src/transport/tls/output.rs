// SPDX-License-Identifier: MPL-2.0
//! Records that wait for the kernel, one behind the other in one piece of memory.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io::IoSlice;

use super::Wire;
use crate::errno::Result;
use crate::transport::stream::WriteOutcome;

thread_local! {
    /// Where records are made. The thread's, since the kernel mostly takes them at once; a
    /// connection that has some left keeps the memory.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Less than this part of its memory is not worth keeping it for.
const LITTLE: usize = 4;

#[derive(Default)]
pub(super) struct Output {
    memory: Vec<u8>,
    /// The bytes from here on wait.
    start: usize,
    end: usize,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Memory for so many bytes more.
    pub(super) fn reserve(&mut self, length: usize) {
        if self.memory.is_empty() {
            self.memory = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        let end = self.end + length;
        if self.memory.len() < end {
            self.memory.resize(end.next_power_of_two(), 0);
        }
    }

    /// Has `make` fill a record of `length` bytes; without it if that fails.
    pub(super) fn push(
        &mut self,
        length: usize,
        make: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        self.reserve(length);
        let end = self.end + length;
        make(self.memory.get_mut(self.end..end).unwrap_or_default())?;
        self.end = end;
        Ok(())
    }

    /// A record that is made already.
    pub(super) fn push_made(&mut self, record: &[u8]) {
        let _ = self.push(record.len(), |place| {
            place.copy_from_slice(record);
            Ok(())
        });
    }

    /// Sends; false when the wire does not take it all.
    pub(super) fn flush(&mut self, wire: &dyn Wire) -> Result<bool> {
        while !self.is_empty() {
            let bytes = self.memory.get(self.start..self.end).unwrap_or_default();
            match wire.write_some(&[IoSlice::new(bytes)])? {
                WriteOutcome::Wrote(0) | WriteOutcome::WouldBlock => {
                    self.shrink();
                    return Ok(false);
                }
                WriteOutcome::Wrote(count) => self.start += count,
            }
        }
        self.keep(Vec::new());
        Ok(true)
    }

    /// A little that waits for long moves to memory of its own.
    fn shrink(&mut self) {
        if self.len() <= self.memory.len() / LITTLE {
            let rest = self.memory.get(self.start..self.end).unwrap_or_default().to_vec();
            self.keep(rest);
        }
    }

    /// Keeps `rest` alone. The memory is the thread's again, if it has none as large.
    fn keep(&mut self, rest: Vec<u8>) {
        (self.start, self.end) = (0, rest.len());
        let memory = std::mem::replace(&mut self.memory, rest);
        let _ = SPARE.try_with(|spare| {
            let other = spare.take();
            spare.set(if memory.len() > other.len() { memory } else { other });
        });
    }

    /// What waits, in place of sending it.
    #[cfg(test)]
    pub(super) fn take(self) -> Vec<u8> {
        self.memory.get(self.start..self.end).unwrap_or_default().to_vec()
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.memory.len()
    }
}
