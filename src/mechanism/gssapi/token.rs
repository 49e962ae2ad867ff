// SPDX-License-Identifier: MPL-2.0
//! What Kerberos's token of a message says of itself: whether its text is sealed, or only signed.
//!
//! RFC 38 wants every message confidential, but a peer may sign alone, and `gss_unwrap` takes that as
//! well. It says which of the two it was (`conf_state`), which the crate does not hand on; but it
//! finds it in the token itself, in a place that the signature covers.
//!
//! ```text
//! 05 04  flags (1 acceptor, 2 sealed, 4 subkey)  ff ...               RFC 4121, 4.2.6.2
//! 02 01  algorithm of the signature  that of sealing, ff ff: none     RFC 1964, 1.2.2; RFC 4757
//! ```
//!
//! The older one has a frame around it that names the mechanism (RFC 2743, 3.1). Tokens of other
//! mechanisms say nothing that is known here; they count as not sealed.

#![forbid(unsafe_code)]

const SEALED: u8 = 2;

/// True: nobody but the two sides can read what is in the token, if it is one that the context takes.
pub fn is_sealed(token: &[u8]) -> bool {
    match unframed(token).unwrap_or(token) {
        [5, 4, flags, ..] => flags & SEALED != 0,
        [2, 1, _, _, algorithm @ ..] => {
            algorithm.first_chunk().is_some_and(|algorithm: &[u8; 2]| *algorithm != [0xff, 0xff])
        }
        _ => false,
    }
}

/// What comes after the name of the mechanism. `None`: there is no frame.
fn unframed(token: &[u8]) -> Option<&[u8]> {
    let rest = token.strip_prefix(&[0x60])?;
    let (&length, rest) = rest.split_first()?;
    // Of a long length this says how many bytes it has.
    let more = if length & 0x80 == 0 { 0 } else { length & 0x7f };
    let (&length, rest) = rest.get(usize::from(more)..)?.strip_prefix(&[0x06])?.split_first()?;
    rest.get(usize::from(length)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of Kerberos, 1.2.840.113554.1.2.2, in a frame of this length.
    fn framed(length: &[u8], rest: &[u8]) -> Vec<u8> {
        let oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
        [b"\x60", length, oid, rest].concat()
    }

    #[test]
    fn sealed_or_signed() {
        let token =
            |flags| [b"\x05\x04", &[flags][..], b"\xff\0\x1c\0\0\0\0\0\0\0\0\0\0text"].concat();
        let older = |algorithm: &[u8]| [b"\x02\x01\x11\0", algorithm, b"\xff\xffnumber"].concat();
        let cases: [(Vec<u8>, bool); 20] = [
            (token(2), true),
            (token(3), true),
            (token(7), true),
            (token(0), false),
            (token(1), false),
            (token(5), false),
            (token(0xfd), false),
            (older(b"\x10\0"), true),
            (older(b"\x02\0"), true),
            (older(b"\xff\xff"), false),
            (framed(&[30], &older(b"\x10\0")), true),
            (framed(&[30], &older(b"\xff\xff")), false),
            (framed(&[0x82, 2, 0], &older(b"\x10\0")), true),
            (framed(&[0x82, 2, 0], &older(b"\xff\xff")), false),
            (framed(&[30], &token(2)), true),
            (framed(&[30], &token(1)), false),
            // A signature alone, and none of Kerberos's.
            (b"\x04\x04\x02\xff\xff\xff\xff\xff".to_vec(), false),
            (framed(&[30], b"\x01\x01\0\0\x10\0\xff\xff"), false),
            (b"\x01\0\0\0sealed by others".to_vec(), false),
            (Vec::new(), false),
        ];
        for (token, expected) in cases {
            assert_eq!(is_sealed(&token), expected, "{token:?}");
        }
    }

    #[test]
    fn cut_short() {
        for whole in [
            &b"\x05\x04\x02"[..],
            b"\x02\x01\x11\0\x10\0",
            &framed(&[30], b"\x05\x04\x02"),
            &framed(&[0x82, 2, 0], b"\x02\x01\x11\0\x10\0"),
        ] {
            assert!(is_sealed(whole));
            for length in 0..whole.len() {
                assert!(!is_sealed(&whole[..length]), "{length} of {whole:?}");
            }
        }
        // Lengths that lead nowhere.
        for token in [&b"\x60\xff\x06\x00\x05\x04\x02"[..], b"\x60\x04\x06\xff\x05\x04\x02"] {
            assert!(!is_sealed(token));
        }
    }
}
