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

    /// Has `make` fill a record of `length` bytes; without it if that fails.
    pub(super) fn push(
        &mut self,
        length: usize,
        make: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        if self.memory.is_empty() {
            self.memory = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        let end = self.end + length;
        if self.memory.len() < end {
            self.memory.resize(end.next_power_of_two(), 0);
        }
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
                WriteOutcome::Wrote(0) | WriteOutcome::WouldBlock => return Ok(false),
                WriteOutcome::Wrote(count) => self.start += count,
            }
        }
        (self.start, self.end) = (0, 0);
        let memory = std::mem::take(&mut self.memory);
        if !memory.is_empty() {
            let _ = SPARE.try_with(|spare| spare.set(memory));
        }
        Ok(true)
    }

    /// What waits, in place of sending it.
    #[cfg(test)]
    pub(super) fn take(self) -> Vec<u8> {
        self.memory.get(self.start..self.end).unwrap_or_default().to_vec()
    }
}
