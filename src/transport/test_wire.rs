// SPDX-License-Identifier: MPL-2.0
//! Connections in memory for tests, which take and give as few bytes as they are told to.

#![forbid(unsafe_code)]

use super::stream::{Kind, ReadOutcome, Stream, WriteOutcome};
use super::tls::Wire;
use crate::errno::Result;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Bytes = Arc<Mutex<VecDeque<u8>>>;

/// One end.
#[derive(Clone, Debug)]
pub(crate) struct TestWire {
    outbound: Bytes,
    inbound: Bytes,
    limits: Arc<Limits>,
}

#[derive(Debug)]
struct Limits {
    /// Bytes that one write takes.
    piece: AtomicUsize,
    /// Bytes until it would block.
    room: AtomicUsize,
    /// The most that was offered at once.
    offered: AtomicUsize,
    written: AtomicUsize,
}

impl TestWire {
    fn new(outbound: &Bytes, inbound: &Bytes) -> TestWire {
        let limits = Limits {
            piece: AtomicUsize::new(usize::MAX),
            room: AtomicUsize::new(usize::MAX),
            offered: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
        };
        let (outbound, inbound) = (outbound.clone(), inbound.clone());
        TestWire { outbound, inbound, limits: Arc::new(limits) }
    }

    pub(crate) fn set_piece(&self, bytes: usize) {
        self.limits.piece.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_room(&self, bytes: usize) {
        self.limits.room.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn room(&self) -> usize {
        self.limits.room.load(Ordering::Relaxed)
    }

    /// Bytes taken so far.
    pub(crate) fn written(&self) -> usize {
        self.limits.written.load(Ordering::Relaxed)
    }

    pub(crate) fn most_offered(&self) -> usize {
        self.limits.offered.load(Ordering::Relaxed)
    }
}

impl Wire for TestWire {
    fn write_some(&self, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome> {
        let offered = buffers.iter().map(|buffer| buffer.len()).sum();
        self.limits.offered.fetch_max(offered, Ordering::Relaxed);
        let room = self.limits.room.load(Ordering::Relaxed);
        let mut left = room.min(self.limits.piece.load(Ordering::Relaxed));
        if left == 0 {
            return Ok(WriteOutcome::WouldBlock);
        }
        let mut count = 0;
        for buffer in buffers {
            let piece = &buffer[..buffer.len().min(left)];
            self.outbound.lock().extend(piece);
            count += piece.len();
            left -= piece.len();
        }
        self.limits.written.fetch_add(count, Ordering::Relaxed);
        if room != usize::MAX {
            self.limits.room.store(room - count, Ordering::Relaxed);
        }
        Ok(WriteOutcome::Wrote(count))
    }

    fn read_some(&self, buffer: &mut [u8]) -> Result<ReadOutcome> {
        let mut inbound = self.inbound.lock();
        let count = inbound.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(inbound.drain(..count)) {
            *place = byte;
        }
        Ok(if count == 0 { ReadOutcome::WouldBlock } else { ReadOutcome::Read(count) })
    }
}

/// Two connected streams, and the wire of the first.
pub(crate) fn streams() -> (Stream, TestWire, Stream) {
    let (there, back) = (Bytes::default(), Bytes::default());
    let (near, far) = (TestWire::new(&there, &back), TestWire::new(&back, &there));
    let (a, b) = UnixStream::pair().unwrap();
    let stream = |socket: UnixStream, wire| Stream::new(socket.into(), Kind::Ipc).over(wire);
    (stream(a, near.clone()), near, stream(b, far))
}
