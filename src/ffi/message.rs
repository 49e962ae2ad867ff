// SPDX-License-Identifier: MPL-2.0
//! Messages: `zmq_msg_init`(3) and its siblings.
//!
//! libzmq aborts when it is given a message that is closed or was never initialised; here that is
//! EFAULT, a NULL pointer or a size of 0.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::{bytes, entry, size, socket, status, string};
use crate::abi::{ZMQ_MORE, ZMQ_SHARED, ZMQ_SRCFD, zmq_free_fn, zmq_msg_t};
use crate::errno::{Error, Result};
use crate::msg::Msg;
use crate::socket::api;

pub mod draft;

const _: () = {
    assert!(size_of::<Msg>() == size_of::<zmq_msg_t>());
    assert!(align_of::<Msg>() == align_of::<zmq_msg_t>());
};

/// Makes an empty message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init(msg: *mut zmq_msg_t) -> c_int {
    // SAFETY: the module's contract on messages.
    status(|| unsafe { init(msg, || Ok(Msg::new())) })
}

/// Makes a message of a size; the content is to be written by the caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_size(msg: *mut zmq_msg_t, len: usize) -> c_int {
    // SAFETY: the module's contract on messages.
    status(|| unsafe { init(msg, || Msg::with_size(len)) })
}

/// Makes a message of the caller's buffer. `ffn` frees it when the library is done with it; with
/// NULL it is never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_data(
    msg: *mut zmq_msg_t,
    data: *mut c_void,
    len: usize,
    ffn: Option<zmq_free_fn>,
    hint: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: the module's contract on buffers and messages. The buffer belongs to the message
        // until `ffn` is called, or for ever.
        unsafe {
            bytes(data, len)?;
            init(msg, || match ffn {
                Some(ffn) => Msg::external(data.cast(), len, ffn, hint),
                None => Ok(Msg::constant(data.cast(), len)),
            })
        }
    })
}

/// Sends a message part. On success it becomes empty; on failure it stays as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_send(msg: *mut zmq_msg_t, s: *mut c_void, flags: c_int) -> c_int {
    // SAFETY: the module's contract on messages.
    size(|| api::send_msg(socket(s)?, unsafe { valid(msg) }?, flags))
}

/// Receives a message part in place of what the message held. Returns its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_recv(msg: *mut zmq_msg_t, s: *mut c_void, flags: c_int) -> c_int {
    // SAFETY: the module's contract on messages.
    size(|| api::recv_msg(socket(s)?, unsafe { valid(msg) }?, flags))
}

/// Releases a message's content.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_close(msg: *mut zmq_msg_t) -> c_int {
    // SAFETY: the module's contract on messages.
    status(|| unsafe { message(msg) }?.close())
}

/// Moves the content of `src` to `dest`; `src` becomes empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_move(dest: *mut zmq_msg_t, src: *mut zmq_msg_t) -> c_int {
    // SAFETY: the module's contract on messages.
    status(|| unsafe { replace(dest, src, Msg::take) })
}

/// Makes `dest` share the content of `src`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_copy(dest: *mut zmq_msg_t, src: *mut zmq_msg_t) -> c_int {
    // SAFETY: the module's contract on messages.
    status(|| unsafe { replace(dest, src, Msg::share) })
}

/// Gives a pointer to a message's content.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_data(msg: *mut zmq_msg_t) -> *mut c_void {
    // SAFETY: the module's contract on messages.
    unsafe { Msg::from_mut_ptr(msg.cast()) }.map_or(ptr::null_mut(), |msg| msg.as_mut_ptr().cast())
}

/// Gives the size of a message's content.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_size(msg: *const zmq_msg_t) -> usize {
    // SAFETY: the module's contract on messages.
    unsafe { Msg::from_ptr(msg.cast()) }.map_or(0, Msg::len)
}

/// Tells whether more parts follow: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_more(msg: *const zmq_msg_t) -> c_int {
    // SAFETY: the same contract.
    unsafe { zmq_msg_get(msg, ZMQ_MORE) }
}

/// Reads a message property.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_get(msg: *const zmq_msg_t, property: c_int) -> c_int {
    entry(-1, || {
        // SAFETY: the module's contract on messages.
        let msg = unsafe { Msg::from_ptr(msg.cast()) }.ok_or(Error::FAULT)?;
        match property {
            ZMQ_MORE => Ok(msg.more().into()),
            ZMQ_SHARED => Ok(msg.is_shared().into()),
            ZMQ_SRCFD => msg.metadata().and_then(|metadata| metadata.fd()).ok_or(Error::INVAL),
            _ => Err(Error::INVAL),
        }
    })
}

/// Sets a message property. There is none that can be set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set(msg: *mut zmq_msg_t, property: c_int, value: c_int) -> c_int {
    let _ = (msg, property, value);
    status(|| Err(Error::INVAL))
}

/// Looks up a property of the connection that a message came from, such as "Peer-Address".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_gets(
    msg: *const zmq_msg_t,
    property: *const c_char,
) -> *const c_char {
    entry(ptr::null(), || {
        // SAFETY: the module's contract on messages and strings.
        let (msg, property) = unsafe {
            let msg = Msg::from_ptr(msg.cast()).ok_or(Error::FAULT)?;
            (msg, string(property)?)
        };
        let property = property.to_str().map_err(|_| Error::INVAL)?;
        let value = msg.metadata().and_then(|metadata| metadata.get(property));
        value.map(CStr::as_ptr).ok_or(Error::INVAL)
    })
}

/// Puts a new message where there may be anything.
///
/// # Safety
/// `place` is NULL or has room for a message.
#[inline(always)]
unsafe fn init(place: *mut zmq_msg_t, msg: impl FnOnce() -> Result<Msg>) -> Result<()> {
    let place: *mut MaybeUninit<Msg> = place.cast();
    if place.is_null() || !place.is_aligned() {
        return Err(Error::FAULT);
    }
    // SAFETY: aligned, and the caller's contract.
    unsafe { Msg::init_at(place, msg()?) };
    Ok(())
}

/// Drops what `dest` holds and puts in what `new` makes of `src`; nothing if they are the same.
///
/// # Safety
/// The module's contract on messages.
unsafe fn replace(
    dest: *mut zmq_msg_t,
    src: *mut zmq_msg_t,
    new: impl FnOnce(&mut Msg) -> Msg,
) -> Result<()> {
    // SAFETY: the caller's contract; the first reference has ended before the second begins.
    let new = unsafe {
        valid(dest)?;
        let src_msg = valid(src)?;
        if dest == src {
            return Ok(());
        }
        new(src_msg)
    };
    // SAFETY: as above, and `dest` is not `src`.
    unsafe { *valid(dest)? = new };
    Ok(())
}

/// The message behind a pointer, if it is initialised and not closed.
///
/// # Safety
/// The module's contract on messages.
#[inline(always)]
unsafe fn valid<'a>(msg: *mut zmq_msg_t) -> Result<&'a mut Msg> {
    // SAFETY: the caller's contract.
    let msg = unsafe { message(msg) }?;
    if msg.is_valid() { Ok(msg) } else { Err(Error::FAULT) }
}

/// The message behind a pointer, in whatever state.
///
/// # Safety
/// The module's contract on messages.
#[inline(always)]
unsafe fn message<'a>(msg: *mut zmq_msg_t) -> Result<&'a mut Msg> {
    // SAFETY: the caller's contract.
    unsafe { Msg::from_mut_ptr(msg.cast()) }.ok_or(Error::FAULT)
}

#[cfg(test)]
mod tests {
    use super::draft::*;
    use super::*;

    fn memory() -> zmq_msg_t {
        zmq_msg_t { _opaque: [0; 64] }
    }

    #[test]
    fn what_is_no_message_is_efault_and_never_a_crash() {
        let mut closed = memory();
        let mut good = memory();
        // SAFETY: NULL, zeros, and messages.
        unsafe {
            assert_eq!(zmq_msg_init(&mut closed), 0);
            assert_eq!(zmq_msg_close(&mut closed), 0);
            assert_eq!(zmq_msg_init(&mut good), 0);
            let socket = ptr::dangling_mut::<c_void>();
            for msg in [ptr::null_mut(), &mut memory(), &mut closed] {
                let results = [
                    zmq_msg_close(msg),
                    zmq_msg_move(&mut good, msg),
                    zmq_msg_copy(msg, &mut good),
                    zmq_msg_send(msg, socket, 0),
                    zmq_msg_recv(msg, socket, 0),
                    zmq_msg_set_group(msg, c"group".as_ptr()),
                ];
                assert_eq!((results, Error::last_os_error()), ([-1; 6], Error::FAULT));
                assert_eq!(zmq_msg_size(msg), 0);
                assert!(zmq_msg_data(msg).is_null());
                assert_eq!(zmq_msg_routing_id(msg), 0);
                assert_eq!(CStr::from_ptr(zmq_msg_group(msg)), c"");
            }
            assert_eq!(zmq_msg_send(&mut good, ptr::null_mut(), 0), -1);
            assert_eq!(Error::last_os_error(), Error::NOTSOCK);
        }
    }

    #[test]
    fn buffers() {
        unsafe extern "C" fn count(_: *mut c_void, hint: *mut c_void) {
            // SAFETY: the hint is a counter of the test.
            unsafe { *hint.cast::<i32>() += 1 }
        }
        let mut freed = 0;
        let hint = ptr::from_mut(&mut freed).cast();
        let mut buffer = *b"some bytes";
        let data = buffer.as_mut_ptr().cast();
        let (mut msg, mut copy) = (memory(), memory());
        // SAFETY: messages in good order, and a buffer that outlives them.
        unsafe {
            assert_eq!(zmq_msg_init_data(&mut msg, ptr::null_mut(), 1, Some(count), hint), -1);
            assert_eq!(Error::last_os_error(), Error::FAULT);
            assert_eq!(zmq_msg_init_size(&mut msg, usize::MAX), -1);
            assert_eq!(Error::last_os_error(), Error::NOMEM);

            assert_eq!(zmq_msg_init_data(&mut msg, data, 10, Some(count), hint), 0);
            assert_eq!(zmq_msg_init(&mut copy), 0);
            assert_eq!(zmq_msg_copy(&mut copy, &mut msg), 0);
            assert_eq!(zmq_msg_copy(&mut copy, &raw mut copy), 0);
            assert_eq!(zmq_msg_get(&copy, ZMQ_SHARED), 1);
            assert_eq!((zmq_msg_data(&mut copy), zmq_msg_size(&copy)), (data, 10));
            assert_eq!(zmq_msg_close(&mut msg), 0);
            assert_eq!(hint.cast::<i32>().read(), 0);
            assert_eq!(zmq_msg_init_buffer(&mut msg, data, 4), 0);
            assert_eq!(zmq_msg_move(&mut copy, &mut msg), 0);
            assert_eq!(hint.cast::<i32>().read(), 1);
            assert_eq!((zmq_msg_size(&copy), zmq_msg_size(&msg)), (4, 0));
            assert_eq!(zmq_msg_close(&mut copy), 0);
            assert_eq!(zmq_msg_close(&mut msg), 0);
        }
    }
}
