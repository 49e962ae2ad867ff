// SPDX-License-Identifier: MPL-2.0
//! Z85, both ways, and through the C functions.
#![no_main]

use ferrozmq_fuzz::memory;
use libfuzzer_sys::fuzz_target;
use std::ffi::CString;
use zmq::ffi::security::{zmq_z85_decode, zmq_z85_encode};
use zmq::tools::z85::{decode, decoded_len, encode, encoded_len};

fuzz_target!(|data: &[u8]| memory::bounded(data.len(), || run(data)));

fn run(data: &[u8]) {
    // Data to text and back.
    let mut text = vec![0; data.len() * 2];
    let result = encode(data, &mut text);
    assert_eq!(result.is_ok(), data.len().is_multiple_of(4));
    if let (Ok(()), Ok(length)) = (result, encoded_len(data.len())) {
        let text = &text[..length];
        let mut back = vec![0; data.len()];
        assert_eq!(decode(text, &mut back).is_ok(), !data.is_empty());
        assert_eq!(back, data);
        let mut theirs = vec![0xee_u8; length + 2];
        // SAFETY: room for the text and its NUL.
        let answer =
            unsafe { zmq_z85_encode(theirs.as_mut_ptr().cast(), data.as_ptr(), data.len()) };
        assert!(!answer.is_null());
        assert_eq!(theirs[..length], *text);
        assert_eq!(theirs[length..], [0, 0xee]);
        assert!(length == 0 || encode(data, &mut theirs[..length - 1]).is_err());
    }

    // Text to data and back.
    let mut out = vec![0; data.len()];
    let result = decode(data, &mut out);
    let Ok(length) = decoded_len(data.len()) else {
        assert!(result.is_err());
        return;
    };
    if result.is_ok() {
        let mut back = vec![0; data.len()];
        encode(&out[..length], &mut back).expect("what was decoded");
        assert_eq!(back, data);
    }
    let Ok(string) = CString::new(data) else { return };
    let mut theirs = vec![0xee_u8; length + 1];
    // SAFETY: room for the data.
    let answer = unsafe { zmq_z85_decode(theirs.as_mut_ptr(), string.as_ptr()) };
    assert_eq!(answer.is_null(), result.is_err());
    assert_eq!(theirs[length], 0xee);
    if result.is_ok() {
        assert_eq!(theirs[..length], out[..length]);
    }
}
