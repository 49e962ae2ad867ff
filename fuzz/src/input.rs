// SPDX-License-Identifier: MPL-2.0
//! The fuzzer's bytes, taken one field after the other. What is missing is zeros or nothing, so
//! that every input means something.

#![forbid(unsafe_code)]

#[derive(Clone)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// One of these.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.u8()) % from.len()]
    }

    /// Up to so many bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes with their length ahead of them, in one byte.
    pub fn chunk(&mut self) -> &'a [u8] {
        let count = usize::from(self.u8());
        self.bytes(count)
    }

    /// Bytes with their length ahead of them, in two bytes.
    pub fn long_chunk(&mut self) -> &'a [u8] {
        let count = usize::from(self.u16());
        self.bytes(count)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }
}

/// How a stream of bytes comes in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    Whole,
    Bytes,
    /// Of lengths that follow from this number.
    Random(u16),
}

impl Pieces {
    pub fn split(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = bytes;
        let mut state = match self {
            Pieces::Random(seed) => u32::from(seed) | 0x1_0000,
            _ => 0,
        };
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = match self {
                Pieces::Whole => rest.len(),
                Pieces::Bytes => 1,
                Pieces::Random(_) => {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    // Short ones, long ones, and all orders between them.
                    1 + (state >> 8) as usize % (1 << (state % 14))
                }
            };
            let (piece, more) = rest.split_at(length.min(rest.len()));
            rest = more;
            Some(piece)
        })
    }
}
