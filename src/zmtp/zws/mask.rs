// SPDX-License-Identifier: MPL-2.0
//! Masking: what a client sends is combined with a key that differs from frame to frame, so that
//! nobody can make it send chosen bytes past a proxy. RFC 6455, 5.3.

#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Bytes copied before they are masked: few enough to stay in the nearest cache.
const BLOCK: usize = 4096;

/// A key, turned so that its first byte belongs to the next byte of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask([u8; 4]);

impl Mask {
    pub fn new(key: [u8; 4]) -> Mask {
        Mask(key)
    }

    pub fn key(self) -> [u8; 4] {
        self.0
    }

    /// The mask for what comes after `count` more bytes.
    pub fn after(self, count: usize) -> Mask {
        let mut key = self.0;
        key.rotate_left(count % 4);
        Mask(key)
    }

    /// Masks in place, or unmasks.
    pub fn apply(self, bytes: &mut [u8]) {
        let wide = self.wide();
        let (words, rest) = bytes.as_chunks_mut::<16>();
        for word in words {
            *word = (u128::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0.iter().cycle()) {
            *byte ^= key;
        }
    }

    /// Stores a masked copy of `from` in `to`, which is as long.
    pub fn copy(self, from: &[u8], to: &mut [u8]) {
        let wide = self.wide();
        let (from_words, from_rest) = from.as_chunks::<16>();
        let (words, rest) = to.as_chunks_mut::<16>();
        for (word, from) in words.iter_mut().zip(from_words) {
            *word = (u128::from_ne_bytes(*from) ^ wide).to_ne_bytes();
        }
        for ((byte, from), key) in rest.iter_mut().zip(from_rest).zip(self.0.iter().cycle()) {
            *byte = from ^ key;
        }
    }

    /// Appends a masked copy.
    pub fn append(self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len());
        // Blocks are multiples of the key's length, so the key need not be turned.
        for block in bytes.chunks(BLOCK) {
            let begin = out.len();
            out.extend_from_slice(block);
            self.apply(&mut out[begin..]);
        }
    }

    fn wide(self) -> u128 {
        let [a, b, c, d] = self.0;
        u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d])
    }
}

/// The keys of one connection: a keyed hash of their number, so that those seen tell nothing of
/// those to come.
#[derive(Clone, Debug)]
pub struct MaskKeys {
    source: Source,
    count: u64,
    /// A hash is worth two keys.
    spare: Option<Mask>,
}

#[derive(Clone, Debug)]
enum Source {
    Random(RandomState),
    #[cfg(test)]
    Fixed([u8; 4]),
}

impl MaskKeys {
    pub fn random() -> MaskKeys {
        MaskKeys { source: Source::Random(RandomState::new()), count: 0, spare: None }
    }

    #[cfg(test)]
    pub fn fixed(key: [u8; 4]) -> MaskKeys {
        MaskKeys { source: Source::Fixed(key), count: 0, spare: None }
    }

    pub fn next_mask(&mut self) -> Mask {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        match &self.source {
            Source::Random(state) => {
                let [a, b, c, d, e, f, g, h] = state.hash_one(self.count).to_ne_bytes();
                self.count += 1;
                self.spare = Some(Mask([e, f, g, h]));
                Mask([a, b, c, d])
            }
            #[cfg(test)]
            Source::Fixed(key) => Mask(*key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_at_every_length_and_phase() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..3 * BLOCK).map(|i| (i * 7) as u8).collect();
        for length in (0..70).chain([BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]) {
            for phase in 0..4 {
                let expected: Vec<u8> = plain[..length]
                    .iter()
                    .enumerate()
                    .map(|(at, byte)| byte ^ key[(at + phase) % 4])
                    .collect();
                let mask = Mask::new(key).after(phase);
                let mut copy = vec![9];
                mask.append(&plain[..length], &mut copy);
                assert_eq!(copy[0], 9);
                assert_eq!(copy[1..], expected, "{length} {phase}");
                let mut in_place = plain[..length].to_vec();
                mask.apply(&mut in_place);
                assert_eq!(in_place, expected);
                let mut other = vec![1; length];
                mask.copy(&plain[..length], &mut other);
                assert_eq!(other, expected);
            }
        }
    }

    #[test]
    fn keys_differ() {
        let mut keys = MaskKeys::random();
        let mut seen: Vec<[u8; 4]> = (0..1000).map(|_| keys.next_mask().key()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 990);
    }
}
