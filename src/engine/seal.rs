// SPDX-License-Identifier: MPL-2.0
//! A cipher whose directions have a state in common, used from two sides: they take turns.
//!
//! The lock is the innermost there is, and held for one frame.

#![forbid(unsafe_code)]

use std::sync::Arc;

use parking_lot::Mutex;

use crate::zmtp::{Cipher, Flags, Halves, Joint, Open, Opened, ProtocolError, Seal};

/// The two directions of a cipher, to be used without a look at each other.
pub fn halves(cipher: Cipher) -> Halves {
    match cipher {
        Cipher::Apart(halves) => halves,
        Cipher::Joint(joint) => {
            let joint = Arc::new(Mutex::new(joint));
            Halves { seal: Box::new(Half(joint.clone())), open: Box::new(Half(joint)) }
        }
    }
}

struct Half(Arc<Mutex<Box<dyn Joint>>>);

impl Seal for Half {
    fn sealed_length(&mut self, flags: Flags, head: &[u8], body: &[u8]) -> Option<usize> {
        self.0.lock().sealed_length(flags, head, body)
    }

    fn seal(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        self.0.lock().seal(flags, head, body, out);
    }
}

impl Open for Half {
    fn open(&mut self, sealed: &mut [u8]) -> Result<Opened, ProtocolError> {
        self.0.lock().open(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts frames of both directions.
    struct Count(usize);

    impl Seal for Count {
        fn sealed_length(&mut self, _flags: Flags, _head: &[u8], _body: &[u8]) -> Option<usize> {
            self.0 += 1;
            Some(self.0)
        }

        fn seal(&mut self, _flags: Flags, _head: &[u8], _body: &[u8], out: &mut Vec<u8>) {
            out.resize(out.len() + self.0, b'x');
        }
    }

    impl Open for Count {
        fn open(&mut self, _sealed: &mut [u8]) -> Result<Opened, ProtocolError> {
            self.0 += 1;
            Ok(Opened { flags: Flags::NONE, offset: self.0 })
        }
    }

    #[test]
    fn a_joint_cipher_has_one_state() {
        let Halves { mut seal, mut open } = halves(Cipher::Joint(Box::new(Count(0))));
        assert_eq!(seal.sealed_length(Flags::NONE, b"", b""), Some(1));
        assert_eq!(open.open(&mut []).map(|opened| opened.offset), Ok(2));
        let mut out = Vec::new();
        seal.seal(Flags::NONE, b"", b"", &mut out);
        assert_eq!(out, b"xx");
        let apart = Halves { seal: Box::new(Count(0)), open: Box::new(Count(0)) };
        let Halves { mut seal, mut open } = halves(Cipher::Apart(apart));
        assert_eq!(seal.sealed_length(Flags::NONE, b"", b""), Some(1));
        assert_eq!(open.open(&mut []).map(|opened| opened.offset), Ok(1));
    }
}
