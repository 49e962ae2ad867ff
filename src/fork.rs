// SPDX-License-Identifier: MPL-2.0
//! fork(2): a count of the forks behind this process, and what a fork may not tear apart.
//!
//! A child has the thread that forked and none of the others. A lock that one of those held would
//! stay locked in the child for ever, and what one was setting up would stay half done. So the thread
//! that forks first takes every lock of the whole process, and both processes then release them, as
//! the C library does with those of its allocator.
//!
//! Invariants:
//! - Whoever holds a [`Global`] takes no other, and uses no [`Once`].
//! - A `Global` is in [`ALL`] before it is locked for the first time.
//! - The value of a [`Once`] is made under the lock of a `Global`.

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static IN_CHILD: Once<fn()> = Once::new();

/// All that have been locked.
static ALL: Mutex<Vec<&'static dyn Hold>> = Mutex::new(Vec::new());

/// Locks are held for less than a millisecond, unless a thread forks from a signal handler that
/// interrupted it where it held one: its child has to do without that one.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    /// What this thread holds while it forks.
    static HELD: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// A number that differs between a process and the children it forked since this function was
/// first called. Whoever remembers it can tell whether its threads still exist, without a
/// getpid(2) each time.
pub fn generation() -> u32 {
    register();
    GENERATION.load(Ordering::Relaxed)
}

/// Has `hook` run in every child forked from now on, before anything else runs there. It may touch
/// nothing but atomics. There is one hook, the first.
pub fn in_child(hook: fn()) {
    IN_CHILD.get_or_init(|| hook);
}

/// Run when the library is loaded: later, one thread could fork while another is about to register.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        register();
    }
    at_load
};

/// Once is enough; again where nothing is run at load.
#[inline]
fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.load(Ordering::Relaxed) && !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handlers are functions of this library, and the C library forgets them should
        // it be unloaded. It fails only for lack of memory; a fork is then not noticed.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
    }
}

unsafe extern "C" fn before() {
    let mut held: Vec<Box<dyn Any>> = Vec::new();
    if let Some(all) = try_for_long(&ALL) {
        held.extend(all.iter().filter_map(|global| global.hold()));
        held.push(Box::new(all));
    }
    // Of a thread that is about to end they are released at once.
    let _ = HELD.try_with(|place| place.replace(held));
}

unsafe extern "C" fn after() {
    let _ = HELD.try_with(RefCell::take);
}

unsafe extern "C" fn after_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if let Some(hook) = IN_CHILD.get() {
        hook();
    }
    let _ = HELD.try_with(RefCell::take);
}

fn try_for_long<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let start = Instant::now();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

/// A [`Global`], whatever it protects.
trait Hold: Sync {
    fn hold(&'static self) -> Option<Box<dyn Any>>;
}

/// A lock of the whole process, which nobody holds in a child when it begins.
pub struct Global<T: 'static> {
    is_listed: AtomicBool,
    value: Mutex<T>,
}

impl<T: Send> Global<T> {
    pub const fn new(value: T) -> Global<T> {
        Global { is_listed: AtomicBool::new(false), value: Mutex::new(value) }
    }

    #[inline]
    pub fn lock(&'static self) -> MutexGuard<'static, T> {
        if !self.is_listed.load(Ordering::Acquire) {
            self.list();
        }
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn list(&'static self) {
        register();
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_listed.load(Ordering::Relaxed) {
            all.push(self);
            self.is_listed.store(true, Ordering::Release);
        }
    }
}

impl<T: Send> Hold for Global<T> {
    fn hold(&'static self) -> Option<Box<dyn Any>> {
        Some(Box::new(try_for_long(&self.value)?))
    }
}

/// A value of the whole process that is made when it is first asked for; in a child, it has been
/// made or it has not.
pub struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub const fn new() -> Once<T> {
        Once(OnceLock::new())
    }

    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    #[inline]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.get().unwrap_or_else(|| self.init(make))
    }

    #[cold]
    fn init(&self, make: impl FnOnce() -> T) -> &T {
        static MAKING: Global<()> = Global::new(());
        let _turn = MAKING.lock();
        self.0.get_or_init(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    /// Whether a child in which `body` runs ends well.
    fn child_can(body: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child does what is asked of it and ends, at the latest by its alarm.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(30);
                libc::_exit(i32::from(!body()));
            }
            let mut status = 0;
            child > 0 && libc::waitpid(child, &mut status, 0) == child && status == 0
        }
    }

    #[test]
    fn a_child_is_of_another_generation() {
        let own = generation();
        assert!(child_can(|| generation() == own + 1));
        assert_eq!(generation(), own);
    }

    #[test]
    fn no_lock_is_held_in_a_child() {
        static NUMBERS: Global<(usize, usize)> = Global::new((0, 0));
        static ENOUGH: AtomicBool = AtomicBool::new(false);
        let other = thread::spawn(|| {
            while !ENOUGH.load(Ordering::Relaxed) {
                let mut numbers = NUMBERS.lock();
                numbers.0 += 1;
                thread::yield_now();
                numbers.1 += 1;
            }
        });
        while NUMBERS.lock().0 == 0 {
            thread::yield_now();
        }
        for _ in 0..50 {
            assert!(child_can(|| {
                let numbers = NUMBERS.lock();
                numbers.0 == numbers.1
            }));
        }
        ENOUGH.store(true, Ordering::Relaxed);
        other.join().unwrap();
    }

    #[test]
    fn what_another_thread_is_setting_up_is_complete_in_a_child() {
        static MADE: Once<usize> = Once::new();
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let other = thread::spawn(|| {
            MADE.get_or_init(|| {
                BEGUN.store(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
                7
            })
        });
        while BEGUN.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        assert!(child_can(|| *MADE.get_or_init(|| 8) == 7));
        assert_eq!(*other.join().unwrap(), 7);
    }
}
