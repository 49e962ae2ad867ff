// SPDX-License-Identifier: MPL-2.0
//! Words that every thread has of its own, NULL at first, found in a few instructions.
//!
//! A shared library finds its thread-local variables by a call of `__tls_get_addr`, which was a
//! fourteenth of what sending a small message costs. The x86-64 ABI has a cheaper way, TLS
//! descriptors, for which the compiler has no stable switch; it is written out here. Unlike the
//! initial-exec model it asks nothing of the thread's static memory, so the library can still be
//! loaded at any time. Elsewhere, `thread_local!` does the same.

/// Which of a thread's words.
#[derive(Clone, Copy)]
pub enum Word {
    /// Of `msg::storage::pool`.
    Magazines = 0,
    /// Of `socket::lock`.
    Record = 1,
}

#[inline(always)]
pub fn get(word: Word) -> *mut () {
    // SAFETY: this thread's own words, and nobody has a reference to them.
    unsafe { (*words())[word as usize] }
}

#[inline(always)]
pub fn set(word: Word, value: *mut ()) {
    // SAFETY: as above.
    unsafe { (*words())[word as usize] = value }
}

type Words = [*mut (); 2];

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64"))]
std::arch::global_asm!(
    ".pushsection .tbss.ferrozmq_thread_words, \"awT\", @nobits",
    ".globl ferrozmq_thread_words",
    ".hidden ferrozmq_thread_words",
    ".type ferrozmq_thread_words, @object",
    ".size ferrozmq_thread_words, 16",
    ".p2align 3",
    "ferrozmq_thread_words:",
    ".zero 16",
    ".popsection",
);

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64"))]
#[inline(always)]
fn words() -> *mut Words {
    let words;
    // SAFETY: the sequence of the ABI for the address of a thread-local variable. It preserves all
    // registers but rax; old C libraries forget the vector registers the first time. It calls, so
    // the stack is not said to be left alone.
    unsafe {
        std::arch::asm!(
            "lea rax, [rip + ferrozmq_thread_words@tlsdesc]",
            "call [rax + ferrozmq_thread_words@tlscall]",
            "add rax, qword ptr fs:[0]",
            out("rax") words,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("xmm16") _, out("xmm17") _, out("xmm18") _, out("xmm19") _,
            out("xmm20") _, out("xmm21") _, out("xmm22") _, out("xmm23") _,
            out("xmm24") _, out("xmm25") _, out("xmm26") _, out("xmm27") _,
            out("xmm28") _, out("xmm29") _, out("xmm30") _, out("xmm31") _,
            out("k1") _, out("k2") _, out("k3") _, out("k4") _,
            out("k5") _, out("k6") _, out("k7") _,
            options(pure, readonly),
        );
    }
    words
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
#[inline(always)]
fn words() -> *mut Words {
    use std::cell::UnsafeCell;
    thread_local! {
        static WORDS: UnsafeCell<Words> = const { UnsafeCell::new([std::ptr::null_mut(); 2]) };
    }
    WORDS.with(UnsafeCell::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn each_thread_has_its_own() {
        let mark = ptr::dangling_mut::<()>();
        let before = get(Word::Record);
        set(Word::Record, mark);
        std::thread::spawn(|| {
            assert_eq!([get(Word::Magazines), get(Word::Record)], [ptr::null_mut(); 2]);
            set(Word::Record, ptr::null_mut());
        })
        .join()
        .unwrap();
        assert_eq!(get(Word::Record), mark);
        set(Word::Record, before);
    }
}
