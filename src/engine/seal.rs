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
