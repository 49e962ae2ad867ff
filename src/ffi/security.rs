// SPDX-License-Identifier: MPL-2.0
//! Z85 text (RFC 32) and CURVE keys: `zmq_z85_encode`(3), `zmq_curve_keypair`(3).

use std::ffi::{c_char, c_int};
use std::ptr;

use super::{bytes, bytes_mut, entry, status, string};
use crate::errno::Result;
use crate::tools::curve_keys::{self, KeyText, Keypair, TEXT_LEN};
use crate::tools::z85;

/// Encodes `len` bytes, a multiple of 4, as Z85 text; `dest` has room for `len` / 4 * 5 + 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_z85_encode(
    dest: *mut c_char,
    data: *const u8,
    len: usize,
) -> *mut c_char {
    entry(ptr::null_mut(), || {
        // A wrong length is EINVAL whatever the pointers are.
        let text_len = z85::encoded_len(len)?;
        // SAFETY: the module's contract on buffers.
        let data = unsafe { bytes(data.cast(), len) }?;
        // SAFETY: as above, of the size that the caller must provide.
        let text = unsafe { bytes_mut(dest.cast(), text_len + 1) }?;
        z85::encode(data, &mut text[..text_len])?;
        text[text_len] = 0;
        Ok(dest)
    })
}

/// Decodes Z85 text; `dest` has room for 4 bytes for every 5 characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_z85_decode(dest: *mut u8, string: *const c_char) -> *mut u8 {
    entry(ptr::null_mut(), || {
        // SAFETY: the module's contract on strings.
        let text = unsafe { super::string(string) }?.to_bytes();
        let len = z85::decoded_len(text.len())?;
        // SAFETY: the module's contract on buffers, of the size that the caller must provide.
        let data = unsafe { bytes_mut(dest.cast(), len) }?;
        z85::decode(text, data)?;
        Ok(dest)
    })
}

/// Makes a CURVE key pair, as Z85 text of 40 characters and a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_curve_keypair(
    z85_public_key: *mut c_char,
    z85_secret_key: *mut c_char,
) -> c_int {
    status(|| {
        let keys = Keypair::generate()?;
        // SAFETY: the module's contract on buffers: 41 bytes each.
        unsafe {
            store_key(&keys.public, z85_public_key)?;
            store_key(&keys.secret, z85_secret_key)
        }
    })
}

/// Computes the public key that belongs to a secret key, both as Z85 text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_curve_public(
    z85_public_key: *mut c_char,
    z85_secret_key: *const c_char,
) -> c_int {
    status(|| {
        // SAFETY: the module's contract on strings.
        let secret_key = unsafe { string(z85_secret_key) }?.to_bytes();
        let public_key = curve_keys::public_key(secret_key)?;
        // SAFETY: the module's contract on buffers: 41 bytes.
        unsafe { store_key(&public_key, z85_public_key) }
    })
}

/// Writes a key and a NUL.
///
/// # Safety
/// `dest` is NULL or has room for 41 bytes.
unsafe fn store_key(key: &KeyText, dest: *mut c_char) -> Result<()> {
    // SAFETY: the caller's contract.
    let dest = unsafe { bytes_mut(dest.cast(), TEXT_LEN + 1) }?;
    dest[..TEXT_LEN].copy_from_slice(key);
    dest[TEXT_LEN] = 0;
    Ok(())
}
