// SPDX-License-Identifier: MPL-2.0
//! Tests of the message. They look at it from outside, as C code does.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::errno::{Error, Result};

/// Lengths around every boundary: inline, heap, a builder's first memory.
const LENGTHS: &[usize] = &[0, 1, 32, 33, 34, 64, 255, 65_535, 65_536, 65_537, 200_000];

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// A buffer of an application and a count of how often it was given back.
struct Buffer {
    bytes: Vec<u8>,
    freed: AtomicUsize,
}

impl Buffer {
    fn new(len: usize) -> Box<Buffer> {
        Box::new(Buffer { bytes: pattern(len), freed: AtomicUsize::new(0) })
    }

    fn msg(&self) -> Msg {
        unsafe extern "C" fn free(data: *mut c_void, hint: *mut c_void) {
            // SAFETY: the hint is the buffer, which outlives its messages in these tests.
            let buffer = unsafe { &*hint.cast::<Buffer>() };
            assert_eq!(data.cast_const(), buffer.bytes.as_ptr().cast());
            buffer.freed.fetch_add(1, Ordering::Relaxed);
        }
        let hint = ptr::from_ref(self).cast_mut().cast();
        let data = self.bytes.as_ptr().cast_mut();
        // SAFETY: the tests write to no external message and keep the buffer.
        unsafe { Msg::external(data, self.bytes.len(), free, hint) }.unwrap()
    }

    fn freed(&self) -> usize {
        self.freed.load(Ordering::Relaxed)
    }
}

fn zeros() -> Msg {
    // SAFETY: a Msg may have any bit pattern.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn write(msg: &mut Msg, bytes: &[u8]) {
    assert_eq!(msg.len(), bytes.len());
    // SAFETY: the message has this length.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), msg.as_mut_ptr(), bytes.len()) }
}

#[test]
fn content_of_every_length() {
    for &len in LENGTHS {
        let bytes = pattern(len);
        let msg = Msg::from_slice(&bytes).unwrap();
        assert_eq!((msg.len(), msg.is_empty(), msg.data()), (len, len == 0, &bytes[..]));

        let mut msg = Msg::with_size(len).unwrap();
        assert_eq!(msg.data().len(), len);
        write(&mut msg, &bytes);
        assert_eq!(msg.data(), bytes);
        assert!(!msg.is_shared() && !msg.by_reference() && !msg.more() && !msg.command());
    }
}

#[test]
fn content_of_up_to_33_bytes_is_in_the_message() {
    for (len, inside) in [(1, true), (33, true), (34, false)] {
        let mut msg = Msg::from_slice(&pattern(len)).unwrap();
        let start = ptr::from_ref(&msg).addr();
        assert_eq!((start..start + 64).contains(&msg.as_mut_ptr().addr()), inside, "{len}");
        if inside {
            assert_eq!(msg.as_mut_ptr().addr(), start + 8);
        }
    }
}

#[test]
fn impossible_sizes_are_enomem() {
    for size in [usize::MAX, usize::MAX - 16, isize::MAX as usize + 1, MAX_SIZE + 1] {
        assert_eq!(Msg::with_size(size).err(), Some(Error::NOMEM));
        assert_eq!(MsgBuilder::new(size).err(), Some(Error::NOMEM));
    }
}

#[test]
fn zeros_are_not_a_message() {
    let mut msg = zeros();
    assert!(!msg.is_valid());
    assert_eq!(msg.close(), Err(Error::FAULT));
    assert_eq!((msg.data(), msg.len(), msg.group()), (&[][..], 0, &[][..]));
    assert!(msg.as_mut_ptr().is_null() && msg.metadata().is_none());
    assert_eq!(msg.set_group(b"group"), Err(Error::FAULT));
    msg.set_metadata(Some(Arc::new(Metadata::new())));
    assert!(msg.share().is_valid());
    assert_eq!(format!("{msg:?}"), "Msg(closed)");
}

#[test]
fn closing_twice_is_efault() {
    for len in [0, 33, 34] {
        let mut msg = Msg::from_slice(&pattern(len)).unwrap();
        msg.set_more(true);
        assert_eq!(msg.close(), Ok(()));
        assert_eq!(msg.close(), Err(Error::FAULT));
        assert!(!msg.is_valid() && msg.is_empty() && msg.more());
    }
}

#[test]
fn c_memory() {
    let mut memory = MaybeUninit::<Msg>::uninit();
    // SAFETY: 64 bytes of any value; init_at does not look at them.
    unsafe {
        memory.as_mut_ptr().write_bytes(0x66, 1);
        Msg::init_at(&mut memory, Msg::from_slice(b"hello").unwrap());
        let msg = Msg::from_mut_ptr(memory.as_mut_ptr()).unwrap();
        assert_eq!(msg.data(), b"hello");
        *msg = Msg::from_slice(&pattern(100)).unwrap();
        assert_eq!(Msg::from_ptr(memory.as_ptr()).unwrap().len(), 100);
        Msg::from_mut_ptr(memory.as_mut_ptr()).unwrap().close().unwrap();

        assert!(Msg::from_ptr(ptr::null()).is_none());
        assert!(Msg::from_mut_ptr(ptr::null_mut()).is_none());
        assert!(Msg::from_ptr(memory.as_ptr().wrapping_byte_add(1)).is_none());
    }
}

#[test]
fn external_buffers_are_given_back_once() {
    type Act = fn(Msg);
    let acts: &[(&str, Act)] = &[
        ("drop", drop),
        ("close", |mut msg| msg.close().unwrap()),
        ("overwrite", |mut msg| msg.clone_from_slice(b"other")),
        ("take", |mut msg| drop(msg.take())),
        ("share, original first", |mut msg| {
            let other = msg.share();
            drop(msg);
            assert!(other.is_shared());
        }),
        ("share, copy first", |mut msg| {
            drop(msg.share());
            assert!(msg.is_shared());
        }),
        ("share of a share", |mut msg| {
            let mut second = msg.share();
            let third = second.share();
            drop(second);
            msg.close().unwrap();
            assert!(!third.data().is_empty());
        }),
    ];
    for len in [1, 33, 34, 1000] {
        for (name, act) in acts {
            let buffer = Buffer::new(len);
            let mut msg = buffer.msg();
            assert_eq!(msg.as_mut_ptr().cast_const(), buffer.bytes.as_ptr());
            assert_eq!(msg.data(), buffer.bytes);
            assert!(msg.by_reference() && !msg.is_shared());
            assert_eq!(buffer.freed(), 0);
            act(msg);
            assert_eq!(buffer.freed(), 1, "{name}, {len} bytes");
        }
    }
}

impl Msg {
    /// What an application does that initialises a message again through zmq_msg_move.
    fn clone_from_slice(&mut self, bytes: &[u8]) {
        *self = Msg::from_slice(bytes).unwrap();
    }
}

#[test]
fn external_null_buffers() {
    unsafe extern "C" fn free(_: *mut c_void, hint: *mut c_void) {
        // SAFETY: the hint is a counter that outlives the messages.
        unsafe { &*hint.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }
    let freed = AtomicUsize::new(0);
    let external = |len| -> Result<Msg> {
        let hint = (&raw const freed).cast_mut().cast();
        // SAFETY: null goes with no length, or is refused.
        unsafe { Msg::external(ptr::null_mut(), len, free, hint) }
    };
    assert_eq!(external(1).err(), Some(Error::FAULT));
    assert_eq!(freed.load(Ordering::Relaxed), 0);
    let mut msg = external(0).unwrap();
    assert!(msg.as_mut_ptr().is_null() && msg.data().is_empty());
    drop(msg);
    assert_eq!(freed.load(Ordering::Relaxed), 1);
}

#[test]
fn constants() {
    static BYTES: [u8; 100] = [7; 100];
    for len in [0, 1, 33, 34, 100] {
        // SAFETY: the buffer is static.
        let mut msg = unsafe { Msg::constant(BYTES.as_ptr(), len) };
        let mut other = msg.share();
        for msg in [&mut msg, &mut other] {
            assert_eq!(msg.as_mut_ptr().cast_const(), BYTES.as_ptr());
            assert_eq!(msg.data(), &BYTES[..len]);
            assert!(msg.is_shared() && msg.by_reference());
        }
    }
    // SAFETY: no bytes.
    let msg = unsafe { Msg::constant(ptr::null(), 0) };
    assert_eq!(msg.data(), b"");
}

#[test]
fn shares() {
    for &len in LENGTHS {
        let bytes = pattern(len);
        let mut msg = Msg::from_slice(&bytes).unwrap();
        let mut other = msg.share();
        let on_the_heap = len > INLINE_CAPACITY;
        assert_eq!(msg.as_mut_ptr() == other.as_mut_ptr(), on_the_heap);
        assert_eq!((msg.is_shared(), other.is_shared()), (on_the_heap, on_the_heap));
        drop(msg);
        // The property stays when one message is left.
        assert_eq!((other.data(), other.is_shared()), (&bytes[..], on_the_heap));
        let third = other.share();
        drop(other);
        assert_eq!(third.data(), bytes);
    }
}

#[test]
fn shares_carry_everything() {
    let metadata = Arc::new(Metadata::new());
    for group in [&b"short"[..], &[b'g'; 200]] {
        let mut msg = Msg::from_slice(b"body").unwrap();
        msg.set_more(true);
        msg.set_command(true);
        msg.set_routing_id(0xdead_beef);
        msg.set_group(group).unwrap();
        msg.set_metadata(Some(Arc::clone(&metadata)));

        let other = msg.share();
        assert_eq!(Arc::strong_count(&metadata), 3);
        msg.set_group(b"changed").unwrap();
        let moved = msg.take();
        assert_eq!(moved.group(), b"changed");
        assert!(!msg.more() && !msg.command() && msg.metadata().is_none());
        assert_eq!((msg.routing_id(), msg.group()), (0, &b""[..]));

        assert!(other.more() && other.command());
        assert_eq!((other.routing_id(), other.group()), (0xdead_beef, group));
        assert!(other.metadata().is_some_and(|found| Arc::ptr_eq(found, &metadata)));
        drop((moved, other));
        assert_eq!(Arc::strong_count(&metadata), 1);
    }
}

#[test]
fn metadata_goes_with_the_message() {
    let metadata = Arc::new(Metadata::new());
    let mut msg = Msg::new();
    msg.set_metadata(Some(Arc::clone(&metadata)));
    msg.set_metadata(Some(Arc::clone(&metadata)));
    assert_eq!(Arc::strong_count(&metadata), 2);
    msg.set_metadata(None);
    assert_eq!(Arc::strong_count(&metadata), 1);
    msg.set_metadata(Some(Arc::clone(&metadata)));
    msg.close().unwrap();
    assert!(msg.metadata().is_none());
    assert_eq!(Arc::strong_count(&metadata), 1);
}

#[test]
fn flags() {
    let mut msg = Msg::from_slice(&pattern(50)).unwrap();
    let shared = msg.share();
    msg.set_more(true);
    msg.set_command(true);
    msg.set_more(false);
    assert_eq!((msg.more(), msg.command(), msg.is_shared()), (false, true, true));
    assert!(!shared.command());
}

#[test]
fn groups() {
    fn text(msg: &Msg) -> &[u8] {
        // SAFETY: group_ptr is followed by a NUL.
        unsafe { CStr::from_ptr(msg.group_ptr()) }.to_bytes()
    }
    let long = [b'x'; 300];
    let mut msg = Msg::new();
    assert_eq!((msg.group(), text(&msg)), (&b""[..], &b""[..]));
    // Each overwrites the one before: short after long, long after long.
    let cases: &[(&[u8], &[u8])] = &[
        (b"a", b"a"),
        (&long[..14], &long[..14]),
        (&long[..15], &long[..15]),
        (b"b", b"b"),
        (&long[..255], &long[..255]),
        (&long[..256], &long[..255]),
        (&long, &long[..255]),
        (b"", b""),
        (b"cut\0here", b"cut"),
        (b"\0", b""),
    ];
    for (group, expected) in cases {
        msg.set_group(group).unwrap();
        assert_eq!((msg.group(), text(&msg)), (*expected, *expected));
    }
    msg.set_group(&long).unwrap();
    msg.close().unwrap();
    assert_eq!((msg.group(), text(&msg)), (&b""[..], &b""[..]));
}

#[test]
fn shared_content_crosses_threads() {
    let buffer = Buffer::new(5000);
    let mut msg = buffer.msg();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut shared = msg.share();
            let bytes = &buffer.bytes;
            scope.spawn(move || {
                for _ in 0..20 {
                    let again = shared.share();
                    assert_eq!(again.data(), bytes);
                }
            });
        }
        drop(msg);
    });
    assert_eq!(buffer.freed(), 1);
}

#[test]
fn builder_by_push() {
    for &len in LENGTHS {
        for piece in [1000, 65_536, usize::MAX] {
            let bytes = pattern(len);
            let mut builder = MsgBuilder::new(len).unwrap();
            for chunk in bytes.chunks(piece) {
                builder.push(chunk).unwrap();
            }
            assert!(builder.is_full());
            assert_eq!(builder.push(b"x"), Err(Error::MSGSIZE));
            assert_eq!(builder.spare(usize::MAX).unwrap().len(), 0);
            let msg = builder.finish();
            assert_eq!(msg.data(), bytes);
            assert!(!msg.is_shared());
        }
    }
}

#[test]
fn builder_by_spare() {
    for &len in LENGTHS {
        let bytes = pattern(len);
        let mut builder = MsgBuilder::new(len).unwrap();
        while !builder.is_full() {
            let start = len - builder.remaining();
            let spare = builder.spare(40_000).unwrap();
            assert!((1..=40_000.min(len - start)).contains(&spare.len()));
            let n = spare.len();
            spare.write_copy_of_slice(&bytes[start..start + n]);
            // SAFETY: n bytes have just been written.
            unsafe { builder.advance(n) };
        }
        assert_eq!(builder.finish().data(), bytes);
    }
}

/// What is received in the builder's first memory is what is handed out.
#[test]
fn a_received_message_stays_where_it_was_received() {
    for len in [34, 8192, 65_536] {
        let mut builder = MsgBuilder::new(len).unwrap();
        let received_at: *const u8 = builder.spare(usize::MAX).unwrap().as_ptr().cast();
        builder.push(&pattern(len / 2)).unwrap();
        builder.push(&pattern(len - len / 2)).unwrap();
        assert_eq!(builder.finish().data().as_ptr(), received_at, "length {len}");
    }
}

#[test]
fn builder_without_its_front() {
    for &len in LENGTHS {
        for count in [1, 33, len] {
            let mut bytes = pattern(len);
            let mut builder = MsgBuilder::new(len).unwrap();
            builder.push(&bytes).unwrap();
            builder.filled_mut().reverse();
            bytes.reverse();
            builder.trim_front(count);
            assert!(builder.is_full());
            let mut msg = builder.finish();
            assert_eq!(msg.data(), bytes.get(count..).unwrap_or_default());
            // The memory can be used again, all of it.
            msg.assign(&bytes, false, None).unwrap();
            assert_eq!(msg.data(), bytes);
        }
    }
}

#[test]
fn a_claimed_length_costs_nothing() {
    let mut builder = MsgBuilder::new(1 << 40).unwrap();
    assert_eq!(builder.spare(usize::MAX).unwrap().len(), 65_536);
    builder.push(&pattern(65_536)).unwrap();
    assert_eq!(builder.spare(usize::MAX).unwrap().len(), 65_536);
    assert_eq!(builder.spare(10).unwrap().len(), 10);
    assert_eq!(builder.remaining(), (1 << 40) - 65_536);
    assert_eq!(builder.finish().data(), pattern(65_536));
}

#[test]
fn debug_shows_what_is_set() {
    let mut msg = Msg::from_slice(b"hello\n").unwrap();
    assert_eq!(format!("{msg:?}"), r"Msg { len: 6, data: hello\n, .. }");
    msg.set_more(true);
    msg.set_routing_id(3);
    msg.set_group(b"news").unwrap();
    assert_eq!(
        format!("{msg:?}"),
        r"Msg { len: 6, data: hello\n, more: true, routing_id: 3, group: news, .. }"
    );
}
