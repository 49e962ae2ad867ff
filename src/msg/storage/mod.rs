// SPDX-License-Identifier: MPL-2.0
//! The memory of a message. This folder is the one place of `msg` with unsafe code.
//!
//! Layout on 64-bit systems, in bytes:
//!
//! ```text
//!  0  metadata
//!  8  inline: content, 33 bytes      otherwise: pointer to the content, length, block
//! 41  inline: length                    otherwise: class of the block (see pool)
//! 42  kind; 0 when closed
//! 43  flags
//! 44  routing id
//! 48  group: length, then up to 14 bytes and a NUL; or LONG_GROUP, and at 56 a pointer
//! ```
//!
//! Invariants:
//! - Every field may hold any bit pattern (C hands us memory we have not written), and nothing but
//!   `kind` is looked at before `kind` has been found to be one of ours.
//! - In a valid message the fields that belong to its kind are as the constructors wrote them. C
//!   code that changes or duplicates the bytes of a message behind the library's back breaks this;
//!   `zmq_msg_t` is opaque.
//! - A block belongs to one message until [`Msg::share`] sets the flag SHARED on both sides; only
//!   then is it counted. The flag stays set even when one message is left.

mod block;
mod builder;
mod group;
mod pool;

use std::ffi::{c_char, c_void};
use std::mem::{ManuallyDrop, MaybeUninit, size_of};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fmt, slice};

use self::block::{Block, assume_written};
use self::group::Group;
use self::pool::Class;
use super::Metadata;
use crate::errno::{Error, Result};

pub use self::block::MAX_SIZE;
pub use self::builder::MsgBuilder;
pub use self::group::GROUP_MAX;

/// Gives a buffer back to the application (`zmq_free_fn`).
pub type FreeFn = unsafe extern "C" fn(data: *mut c_void, hint: *mut c_void);

/// Content of up to this many bytes is kept in the message itself.
pub const INLINE_CAPACITY: usize = 64 - size_of::<usize>() - 3 - size_of::<u32>() - 16;

/// A message: the memory of `zmq_msg_t`.
#[repr(C, align(8))]
pub struct Msg {
    metadata: MaybeUninit<Option<Arc<Metadata>>>,
    body: Body,
    /// The last byte of inline content.
    inline_tail: MaybeUninit<u8>,
    /// Inline: the length of the content. Heap: the class of the block.
    len_or_class: u8,
    kind: u8,
    flags: u8,
    routing_id: u32,
    group: Group,
}

/// The body ends where the last byte of inline content, at 40, is left over.
const BODY_WORDS: usize = 40 / size_of::<usize>() - 1;

/// Inline content starts here and runs on into `Msg::inline_tail`.
#[repr(C)]
union Body {
    outside: Outside,
    words: [MaybeUninit<usize>; BODY_WORDS],
}

/// Where the content of heap, external and constant messages is.
#[repr(C)]
#[derive(Clone, Copy)]
struct Outside {
    data: *mut u8,
    len: usize,
    /// Dangling in constant messages.
    block: NonNull<Block>,
}

// What `kind` may be. Zero must not be among them.
const INLINE: u8 = 101;
const HEAP: u8 = 102;
const EXTERNAL: u8 = 103;
const CONSTANT: u8 = 104;

// What `flags` consists of.
const MORE: u8 = 1;
const COMMAND: u8 = 2;
const SHARED: u8 = 128;

const _: () = {
    assert!(size_of::<Msg>() == 64 && align_of::<Msg>() == 8);
    assert!(
        std::mem::offset_of!(Msg, len_or_class)
            == std::mem::offset_of!(Msg, body) + INLINE_CAPACITY
    );
    assert!(std::mem::offset_of!(Msg, kind) == 42 && std::mem::offset_of!(Msg, flags) == 43);
    assert!(std::mem::offset_of!(Msg, routing_id) == 44 && std::mem::offset_of!(Msg, group) == 48);
    assert!(size_of::<Outside>() <= size_of::<Body>());
};

// SAFETY: the pointers of a message are owned, or shared by an atomic count; Metadata is Send and
// Sync. Free functions must be callable from any thread (zmq_msg_init_data(3)), constant buffers
// readable from any.
unsafe impl Send for Msg {}
// SAFETY: a shared reference to a message only reads.
unsafe impl Sync for Msg {}

impl Msg {
    /// An empty message.
    #[inline]
    pub const fn new() -> Msg {
        Msg::with_body(INLINE, Body { words: [MaybeUninit::uninit(); BODY_WORDS] })
    }

    /// A message of `size` bytes of unspecified value. Fails with ENOMEM.
    #[inline]
    pub fn with_size(size: usize) -> Result<Msg> {
        if size <= INLINE_CAPACITY {
            let mut msg = Msg::new();
            // SAFETY: the inline content has room for INLINE_CAPACITY bytes.
            unsafe { msg.inline_mut_ptr().write_bytes(0, INLINE_CAPACITY) };
            msg.len_or_class = size as u8;
            return Ok(msg);
        }
        let (block, class) = Block::allocate_kept(size)?;
        let data = Block::content(block);
        // SAFETY: the block has `size` bytes of content.
        unsafe { assume_written(data, size) };
        Ok(Msg::on_heap(data, size, block, class))
    }

    /// A message with a copy of `bytes`. Fails with ENOMEM.
    #[inline]
    pub fn from_slice(bytes: &[u8]) -> Result<Msg> {
        let len = bytes.len();
        if len <= INLINE_CAPACITY {
            let mut msg = Msg::new();
            // SAFETY: `len` bytes fit; a new message does not overlap with what the caller has.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), msg.inline_mut_ptr(), len) };
            msg.len_or_class = len as u8;
            return Ok(msg);
        }
        let (block, class) = Block::allocate_kept(len)?;
        let data = Block::content(block);
        // SAFETY: the new block has `len` bytes of content.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data, len) };
        Ok(Msg::on_heap(data, len, block, class))
    }

    /// Makes this an empty message, whatever it was.
    #[inline(always)]
    pub fn reset(&mut self) {
        if self.is_valid() && self.owns_memory() {
            self.release();
        }
        self.clear_header(0);
        self.len_or_class = 0;
        self.kind = INLINE;
    }

    /// Makes this a message with a copy of `bytes`, in place: what a socket receives mostly goes
    /// into the same message again and again, whose memory then serves again. Fails with ENOMEM,
    /// leaving an empty message.
    #[inline(always)]
    pub fn assign(
        &mut self,
        bytes: &[u8],
        more: bool,
        metadata: Option<&Arc<Metadata>>,
    ) -> Result<()> {
        let len = bytes.len();
        if !self.reuse_for(len, metadata) {
            self.reset();
            if len > INLINE_CAPACITY {
                let (block, class) = Block::allocate_kept(len)?;
                self.len_or_class = class;
                self.body.outside = Outside { data: Block::content(block), len, block };
                self.kind = HEAP;
            }
            self.metadata.write(metadata.cloned());
        }
        self.flags = if more { MORE } else { 0 };
        let to = if len <= INLINE_CAPACITY {
            self.len_or_class = len as u8;
            self.inline_mut_ptr()
        } else {
            // SAFETY: a heap message by now, whose block has room for `len` bytes; its content may
            // have begun further back.
            unsafe {
                self.body.outside.len = len;
                self.body.outside.data = Block::content(self.body.outside.block);
                self.body.outside.data
            }
        };
        // SAFETY: there is room for `len` bytes, which nobody else has a reference to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, len) };
        Ok(())
    }

    /// Whether the memory of this message can take `len` bytes from the same connection without
    /// anything being released or allocated.
    #[inline]
    fn reuse_for(&self, len: usize, metadata: Option<&Arc<Metadata>>) -> bool {
        let same_connection = match (self.metadata(), metadata) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        if !same_connection || self.routing_id != 0 || !self.group.is_empty() {
            return false;
        }
        match self.kind {
            INLINE => len <= INLINE_CAPACITY,
            // SAFETY: a valid heap message has a block, which nobody shares.
            HEAP if self.flags & SHARED == 0 && len > INLINE_CAPACITY => unsafe {
                Block::fits(self.body.outside.block, self.len_or_class, len)
            },
            _ => false,
        }
    }

    /// The fields beside the content of a message that owns nothing.
    #[inline]
    fn clear_header(&mut self, flags: u8) {
        self.metadata.write(None);
        self.flags = flags;
        self.routing_id = 0;
        self.group = Group::EMPTY;
    }

    /// A message whose content is a buffer that is never freed.
    ///
    /// # Safety
    /// `data` is readable for `len` bytes, from any thread, as long as this message or one that
    /// shares its content lives. It may be null if `len` is 0.
    #[inline]
    pub unsafe fn constant(data: *const u8, len: usize) -> Msg {
        debug_assert!(!data.is_null() || len == 0);
        Msg::with_outside(CONSTANT, data.cast_mut(), len, NonNull::dangling())
    }

    /// A message whose content is the caller's buffer, given back by `free(data, hint)` when the
    /// last message that shares it goes. On failure (ENOMEM; EFAULT for a null buffer with a
    /// length) the buffer stays the caller's and `free` is not called.
    ///
    /// # Safety
    /// `data` is readable and writable for `len` bytes, from any thread, until `free` is called; it
    /// may be null if `len` is 0. `free` may be called once, from any thread.
    pub unsafe fn external(
        data: *mut u8,
        len: usize,
        free: FreeFn,
        hint: *mut c_void,
    ) -> Result<Msg> {
        if data.is_null() && len != 0 {
            return Err(Error::FAULT);
        }
        let block = Block::allocate(0)?;
        // SAFETY: the block has just been allocated and is ours.
        unsafe {
            let block = &mut *block.as_ptr();
            block.free = Some(free);
            block.data = data.cast();
            block.hint = hint;
        }
        Ok(Msg::with_outside(EXTERNAL, data, len, block))
    }

    const fn with_body(kind: u8, body: Body) -> Msg {
        Msg {
            metadata: MaybeUninit::new(None),
            body,
            inline_tail: MaybeUninit::uninit(),
            len_or_class: 0,
            kind,
            flags: 0,
            routing_id: 0,
            group: Group::EMPTY,
        }
    }

    const fn on_heap(data: *mut u8, len: usize, block: NonNull<Block>, class: Class) -> Msg {
        let mut msg = Msg::with_outside(HEAP, data, len, block);
        msg.len_or_class = class;
        msg
    }

    const fn with_outside(kind: u8, data: *mut u8, len: usize, block: NonNull<Block>) -> Msg {
        Msg::with_body(kind, Body { outside: Outside { data, len, block } })
    }

    /// The message in C memory; `None` for a pointer that is null or not aligned.
    ///
    /// # Safety
    /// Unless null, `ptr` points to 64 readable bytes that are a message, a closed message or
    /// filled with zeros, which nobody writes to during `'a`.
    #[inline]
    pub unsafe fn from_ptr<'a>(ptr: *const Msg) -> Option<&'a Msg> {
        // SAFETY: by the caller's promise; a Msg may have any bit pattern.
        if ptr.is_aligned() { unsafe { ptr.as_ref() } } else { None }
    }

    /// The message in C memory; `None` for a pointer that is null or not aligned.
    ///
    /// # Safety
    /// As for [`Msg::from_ptr`]; nobody else reads or writes the memory during `'a`.
    #[inline]
    pub unsafe fn from_mut_ptr<'a>(ptr: *mut Msg) -> Option<&'a mut Msg> {
        // SAFETY: by the caller's promise; a Msg may have any bit pattern.
        if ptr.is_aligned() { unsafe { ptr.as_mut() } } else { None }
    }

    /// Puts `msg` into C memory without looking at what was there.
    ///
    /// # Safety
    /// `ptr` is aligned and points to 64 writable bytes.
    #[inline]
    pub unsafe fn init_at(ptr: *mut MaybeUninit<Msg>, msg: Msg) {
        // SAFETY: by the caller's promise.
        unsafe { ptr.write(MaybeUninit::new(msg)) }
    }

    /// Whether this is a message, neither closed nor zeros.
    #[inline]
    pub fn is_valid(&self) -> bool {
        matches!(self.kind, INLINE..=CONSTANT)
    }

    /// Releases content, metadata and group and marks the message closed; its flags stay readable.
    /// Fails with EFAULT when it is not valid.
    #[inline]
    pub fn close(&mut self) -> Result<()> {
        if !self.is_valid() {
            return Err(Error::FAULT);
        }
        if self.owns_memory() {
            self.release();
        }
        self.kind = 0;
        Ok(())
    }

    /// The message, leaving an empty one behind.
    #[inline]
    pub fn take(&mut self) -> Msg {
        std::mem::take(self)
    }

    /// Another message with the same content, flags, metadata, routing id and group
    /// (`zmq_msg_copy`). Allocated and external content is shared and both messages say so; a
    /// constant keeps its buffer, inline content is copied. A message that is not valid gives an
    /// empty one.
    pub fn share(&mut self) -> Msg {
        if !self.is_valid() {
            return Msg::new();
        }
        if let Some(block) = self.block() {
            // SAFETY: a valid message keeps its block alive.
            let references = unsafe { &(*block.as_ptr()).references };
            if self.flags & SHARED != 0 {
                references.fetch_add(1, Ordering::Relaxed);
            } else {
                references.store(2, Ordering::Relaxed);
                self.flags |= SHARED;
            }
        }
        self.group.add_reference();
        if let Some(metadata) = self.metadata() {
            let _ = ManuallyDrop::new(Arc::clone(metadata));
        }
        // SAFETY: everything the copy refers to has been counted for it above; the rest is plain
        // bytes.
        unsafe { ptr::read(self) }
    }

    /// The content.
    #[inline]
    pub fn data(&self) -> &[u8] {
        if self.kind == INLINE {
            // SAFETY: constructors write that many bytes; MsgBuilder counts what is written.
            return unsafe { slice::from_raw_parts(self.inline_ptr(), self.len_or_class.into()) };
        }
        match self.outside() {
            // A null pointer goes with the length 0 only, but is no slice.
            // SAFETY: the block, the caller of `external` or that of `constant` promises `len`
            // readable bytes as long as the message lives.
            Some(outside) if outside.len != 0 => unsafe {
                slice::from_raw_parts(outside.data, outside.len)
            },
            _ => &[],
        }
    }

    /// The content, when it is all there is to send: no buffer of the application, no routing id, no
    /// group.
    #[inline]
    pub fn plain(&self) -> Option<&[u8]> {
        let plain =
            matches!(self.kind, INLINE | HEAP) && self.routing_id == 0 && self.group.is_empty();
        plain.then(|| self.data())
    }

    /// Where the content is, for `zmq_msg_data`; null when the message is not valid. Valid until
    /// the message is changed or moved. Whether it may be written to is for its owners to know:
    /// content may be shared, or constant.
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        if self.kind == INLINE {
            return self.inline_mut_ptr();
        }
        self.outside().map_or(ptr::null_mut(), |outside| outside.data)
    }

    /// The length of the content in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        if self.kind == INLINE {
            return self.len_or_class.into();
        }
        self.outside().map_or(0, |outside| outside.len)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the content may be seen by others (`ZMQ_SHARED`): it is constant, or has been shared
    /// at some time.
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.kind == CONSTANT || self.flags & SHARED != 0
    }

    /// Whether the content is a buffer of the application, external or constant.
    #[inline]
    pub fn by_reference(&self) -> bool {
        matches!(self.kind, EXTERNAL | CONSTANT)
    }

    /// Whether more parts follow.
    #[inline]
    pub fn more(&self) -> bool {
        self.flags & MORE != 0
    }

    #[inline]
    pub fn set_more(&mut self, more: bool) {
        self.set_flag(MORE, more);
    }

    /// Whether this is a ZMTP command, not a part of a message.
    #[inline]
    pub fn command(&self) -> bool {
        self.flags & COMMAND != 0
    }

    #[inline]
    pub fn set_command(&mut self, command: bool) {
        self.set_flag(COMMAND, command);
    }

    #[inline]
    fn set_flag(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// The peer a message came from or goes to, on SERVER and PEER sockets; 0 when none.
    #[inline]
    pub fn routing_id(&self) -> u32 {
        self.routing_id
    }

    #[inline]
    pub fn set_routing_id(&mut self, routing_id: u32) {
        self.routing_id = routing_id;
    }

    /// What is known of the connection the message came from.
    #[inline]
    pub fn metadata(&self) -> Option<&Arc<Metadata>> {
        if !self.is_valid() {
            return None;
        }
        // SAFETY: valid messages have the field initialised.
        unsafe { self.metadata.assume_init_ref() }.as_ref()
    }

    /// Sets the metadata; on a message that is not valid this does nothing.
    #[inline]
    pub fn set_metadata(&mut self, metadata: Option<Arc<Metadata>>) {
        if self.is_valid() {
            // SAFETY: valid messages have the field initialised.
            *unsafe { self.metadata.assume_init_mut() } = metadata;
        }
    }

    /// The group of a RADIO message; empty when none.
    #[inline]
    pub fn group(&self) -> &[u8] {
        if self.is_valid() { self.group.bytes() } else { &[] }
    }

    /// The group with a NUL behind it, valid until the message is changed or moved.
    #[inline]
    pub fn group_ptr(&self) -> *const c_char {
        if self.is_valid() { self.group.as_ptr().cast() } else { c"".as_ptr() }
    }

    /// Sets the group: `group` up to its first NUL or its first [`GROUP_MAX`] bytes. Fails with
    /// ENOMEM, keeping the old group, and with EFAULT when the message is not valid.
    pub fn set_group(&mut self, group: &[u8]) -> Result<()> {
        if !self.is_valid() {
            return Err(Error::FAULT);
        }
        let group = Group::new(group)?;
        self.group.release();
        self.group = group;
        Ok(())
    }

    #[inline]
    fn inline_ptr(&self) -> *const u8 {
        // Derived from the whole message: inline content runs on behind `body`.
        ptr::from_ref(self).cast::<u8>().wrapping_add(std::mem::offset_of!(Msg, body))
    }

    #[inline]
    fn inline_mut_ptr(&mut self) -> *mut u8 {
        ptr::from_mut(self).cast::<u8>().wrapping_add(std::mem::offset_of!(Msg, body))
    }

    #[inline]
    fn outside(&self) -> Option<Outside> {
        // SAFETY: messages of these kinds have this field initialised.
        matches!(self.kind, HEAP | EXTERNAL | CONSTANT).then(|| unsafe { self.body.outside })
    }

    #[inline]
    fn block(&self) -> Option<NonNull<Block>> {
        // SAFETY: messages of these kinds have this field initialised.
        matches!(self.kind, HEAP | EXTERNAL).then(|| unsafe { self.body.outside.block })
    }

    /// Whether anything is to be done when a valid message goes.
    #[inline]
    fn owns_memory(&self) -> bool {
        matches!(self.kind, HEAP | EXTERNAL) || self.metadata().is_some() || self.group.is_long()
    }

    /// Releases what a valid message owns and closes it.
    #[inline(always)]
    fn release(&mut self) {
        if self.kind != HEAP || self.has_extras() {
            return self.release_all();
        }
        self.kind = 0;
        // SAFETY: a heap message's block, whose only reference is given up here.
        unsafe { Block::release(self.body.outside.block, self.len_or_class, false) };
    }

    /// Whether a valid message has more to be released than its block, or shares that.
    #[inline]
    fn has_extras(&self) -> bool {
        self.flags & SHARED != 0 || self.metadata().is_some() || self.group.is_long()
    }

    #[cold]
    fn release_all(&mut self) {
        self.set_metadata(None);
        self.group.release();
        let block = self.block();
        // A free function may look at the message: it is closed by then.
        self.kind = 0;
        if let Some(block) = block {
            // SAFETY: this message's reference is given up here and nowhere else.
            unsafe { Block::release(block, self.len_or_class, self.flags & SHARED != 0) };
        }
    }
}

impl Drop for Msg {
    #[inline]
    fn drop(&mut self) {
        if self.is_valid() && self.owns_memory() {
            self.release();
        }
    }
}

impl Default for Msg {
    #[inline]
    fn default() -> Msg {
        Msg::new()
    }
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_valid() {
            return f.write_str("Msg(closed)");
        }
        let mut fields = f.debug_struct("Msg");
        let data = self.data();
        let shown = &data[..data.len().min(32)];
        fields.field("len", &data.len()).field("data", &format_args!("{}", shown.escape_ascii()));
        for (name, flag) in
            [("more", self.more()), ("command", self.command()), ("shared", self.is_shared())]
        {
            if flag {
                fields.field(name, &true);
            }
        }
        if self.routing_id != 0 {
            fields.field("routing_id", &self.routing_id);
        }
        if !self.group().is_empty() {
            fields.field("group", &format_args!("{}", self.group().escape_ascii()));
        }
        fields.finish_non_exhaustive()
    }
}
