// SPDX-License-Identifier: MPL-2.0
//! Threads and forks: signal masks, yielding, and a count of the forks behind this process.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static IN_CHILD: OnceLock<fn()> = OnceLock::new();

/// A number that differs between a process and the children it forked since this function was
/// first called. Whoever remembers it can tell whether its threads still exist, without a
/// getpid(2) each time.
pub fn fork_generation() -> u32 {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the handler only touches atomics, which is allowed after a fork. It fails
        // only for lack of memory; the number then stays as it is. The C library forgets the
        // handler should this library be unloaded.
        unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

/// Has `hook` run in every child forked from now on, before anything else runs there. It may touch
/// nothing but atomics. There is one hook, the first.
pub fn on_fork(hook: fn()) {
    if IN_CHILD.set(hook).is_ok() {
        fork_generation();
    }
}

/// Runs in the child of a fork.
unsafe extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if let Some(hook) = IN_CHILD.get() {
        hook();
    }
}

/// Gives the rest of the time slice to whoever else wants this processor.
#[inline]
pub fn sched_yield() {
    std::thread::yield_now();
}

/// Signals that report a fault of the very thread they hit: blocked, they would end the process
/// past the application's crash handler.
const FAULTS: &[libc::c_int] = &[
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
];

/// Restores the signal mask the calling thread had before [`block_all_signals`].
#[derive(Debug)]
#[must_use]
pub struct SignalGuard {
    previous: libc::sigset_t,
    /// A mask belongs to a thread, so the guard may not leave it.
    not_send: PhantomData<*const ()>,
}

/// Blocks signals in the calling thread until the guard is dropped. Threads started meanwhile
/// inherit the mask and keep it, so the application's handlers never run on the library's
/// threads. Those that report a fault of the thread itself stay open.
pub fn block_all_signals() -> SignalGuard {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    let mut previous = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set that the others use, and cannot fail;
    // pthread_sigmask fails only for an operation it does not know, so it initialises `previous`.
    let previous = unsafe {
        libc::sigfillset(mask.as_mut_ptr());
        for &signal in FAULTS {
            libc::sigdelset(mask.as_mut_ptr(), signal);
        }
        libc::sigemptyset(previous.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, mask.as_ptr(), previous.as_mut_ptr());
        previous.assume_init()
    };
    SignalGuard { previous, not_send: PhantomData }
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        // SAFETY: a mask that pthread_sigmask gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.previous, std::ptr::null_mut()) };
    }
}

/// Has the calling thread's short rests end when they should, instead of up to 50 µs later.
pub fn set_timer_slack(nanoseconds: u64) {
    // SAFETY: changes a number of the calling thread only; a system that does not know it says so.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds as libc::c_ulong);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nanoseconds;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: with no new set, the present one is written.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn threads_inherit_the_blocked_signals() {
        assert!(!is_blocked(libc::SIGUSR1));
        let guard = block_all_signals();
        assert!(is_blocked(libc::SIGUSR1) && is_blocked(libc::SIGINT));
        assert!(!is_blocked(libc::SIGSEGV));
        let thread = std::thread::spawn(|| is_blocked(libc::SIGUSR1));
        drop(guard);
        assert!(!is_blocked(libc::SIGUSR1));
        assert!(thread.join().unwrap());
    }
}
