// SPDX-License-Identifier: MPL-2.0
//! Threads: starting them, signal masks, yielding, timers.

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::errno::{Error, Result};

/// A running thread, with all signals blocked but those of [`FAULTS`] and the system's usual stack.
/// Dropping it leaves the thread running.
///
/// Not one of the standard library: its threads take a lock of the whole process as they begin and
/// end, and in the child of a fork that one may be held for ever.
#[derive(Debug)]
pub struct Thread(libc::pthread_t);

// SAFETY: any thread may wait for it or detach it. (On some systems its name is a pointer.)
unsafe impl Send for Thread {}
// SAFETY: nothing can be done with a reference.
unsafe impl Sync for Thread {}

type Body = Box<dyn FnOnce() + Send>;

/// A function of the application, as it is declared and as it is called: it may unwind, which
/// pthread_exit(3) does.
type Declared = unsafe extern "C" fn(*mut c_void);
type ForeignBody = unsafe extern "C-unwind" fn(*mut c_void);

/// What a new thread calls, as it is declared for the system and as it is.
type Routine = extern "C" fn(*mut c_void) -> *mut c_void;
type Run = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

impl Thread {
    /// Starts a thread that runs `body`. Fails with what the system says, EAGAIN mostly.
    pub fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
        extern "C-unwind" fn run(start: *mut c_void) -> *mut c_void {
            // SAFETY: made below, for this thread alone.
            let (name, body) = *unsafe { Box::from_raw(start.cast::<(CString, Body)>()) };
            set_name(&name);
            // A panic has been reported when it happened.
            let _ = catch_unwind(AssertUnwindSafe(body));
            ptr::null_mut()
        }
        let name = CString::new(name).unwrap_or_default();
        let body: Body = Box::new(body);
        // SAFETY: `run` takes what is given here.
        unsafe { Thread::create(run, (name, body)) }
    }

    /// Starts a thread that calls `body` with `argument`. Fails with what the system says, EAGAIN
    /// mostly.
    ///
    /// # Safety
    /// The call must be sound on another thread.
    pub unsafe fn start_foreign(
        name: &'static CStr,
        body: Declared,
        argument: *mut c_void,
    ) -> Result<Thread> {
        extern "C-unwind" fn run(start: *mut c_void) -> *mut c_void {
            // SAFETY: made below, for this thread alone.
            let start = *unsafe { Box::from_raw(start.cast::<Foreign>()) };
            set_name(start.0);
            // SAFETY: as the caller of `start_foreign` promised. Nothing is left here that an
            // unwinding thread had to drop.
            unsafe { start.1(start.2) };
            ptr::null_mut()
        }
        type Foreign = (&'static CStr, ForeignBody, *mut c_void);
        // SAFETY: both are called in the same way.
        let body = unsafe { std::mem::transmute::<Declared, ForeignBody>(body) };
        // SAFETY: `run` takes what is given here.
        unsafe { Thread::create(run, (name, body, argument)) }
    }

    /// # Safety
    /// `run` must be sound on another thread with a `Box` of `start` as a raw pointer.
    unsafe fn create<S>(run: Run, start: S) -> Result<Thread> {
        let start: *mut S = Box::into_raw(Box::new(start));
        let mut thread = MaybeUninit::uninit();
        let _signals = block_all_signals();
        // SAFETY: `run` is called as the system calls what it has the type of, with what it takes.
        let code = unsafe {
            let run = std::mem::transmute::<Run, Routine>(run);
            libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, start.cast())
        };
        if code != 0 {
            // SAFETY: made above, and there is no thread that has it.
            drop(unsafe { Box::from_raw(start) });
            return Err(Error::from_raw(code));
        }
        // SAFETY: written by pthread_create, as it has not failed.
        Ok(Thread(unsafe { thread.assume_init() }))
    }

    /// Waits until the thread has ended. Fails with EDEADLK, at once, when it is the calling one.
    pub fn join(self) -> Result<()> {
        // SAFETY: no preconditions.
        if unsafe { libc::pthread_equal(self.0, libc::pthread_self()) } != 0 {
            return Err(Error::from_raw(libc::EDEADLK));
        }
        let thread = ManuallyDrop::new(self);
        // SAFETY: a thread that was neither waited for nor detached.
        match unsafe { libc::pthread_join(thread.0, ptr::null_mut()) } {
            0 => Ok(()),
            // The other one waits for this one.
            code => {
                drop(ManuallyDrop::into_inner(thread));
                Err(Error::from_raw(code))
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: a thread that was neither waited for nor detached. It fails for no other.
        unsafe { libc::pthread_detach(self.0) };
    }
}

/// Names the calling thread, which keeps the name it has if this one is longer than 15 bytes.
fn set_name(name: &CStr) {
    // SAFETY: a text of C.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
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
struct SignalGuard {
    previous: libc::sigset_t,
    /// A mask belongs to a thread, so the guard may not leave it.
    not_send: PhantomData<*const ()>,
}

/// Blocks signals in the calling thread until the guard is dropped. Threads started meanwhile
/// inherit the mask and keep it, so the application's handlers never run on the library's
/// threads. Those that report a fault of the thread itself stay open.
fn block_all_signals() -> SignalGuard {
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
    use std::sync::mpsc;

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

    #[test]
    fn a_thread_has_its_name_and_no_signals_and_is_waited_for() {
        let (sender, receiver) = mpsc::channel();
        let thread = Thread::start("of a test", move || {
            let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            sender.send((comm, is_blocked(libc::SIGUSR1))).unwrap();
        });
        thread.unwrap().join().unwrap();
        assert_eq!(receiver.try_recv().unwrap(), ("of a test\n".into(), true));
        assert!(!is_blocked(libc::SIGUSR1));
    }

    #[test]
    fn a_panic_ends_the_thread_alone() {
        let (sender, receiver) = mpsc::channel::<()>();
        let thread = Thread::start("panics", move || {
            drop(sender);
            panic!("as it should");
        });
        assert!(receiver.recv().is_err());
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn a_thread_cannot_wait_for_itself() {
        let (to_thread, handle) = mpsc::channel::<Thread>();
        let (sender, receiver) = mpsc::channel();
        let thread = Thread::start("alone", move || {
            let _ = sender.send(handle.recv().unwrap().join());
        });
        to_thread.send(thread.unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), Err(Error::from_raw(libc::EDEADLK)));
    }
}
