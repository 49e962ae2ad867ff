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
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static IN_CHILD: Once<fn()> = Once::new();

/// All that have been locked, and is itself the first that is taken.
static ALL: Global<Vec<&'static dyn Hold>> = Global::with(true, Vec::new());

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
    if let Some(all) = ALL.lock_unless_ours() {
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

/// A [`Global`], whatever it protects.
trait Hold: Sync {
    fn hold(&'static self) -> Option<Box<dyn Any>>;
}

impl<T: Send> Hold for Global<T> {
    fn hold(&'static self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.lock_unless_ours()?))
    }
}

/// A lock of the whole process, which nobody holds in a child when it begins.
pub struct Global<T: 'static> {
    is_listed: AtomicBool,
    /// Its thread, or 0. What a thread reads of itself is true.
    holder: AtomicUsize,
    value: Mutex<T>,
}

impl<T: Send> Global<T> {
    pub const fn new(value: T) -> Global<T> {
        Global::with(false, value)
    }

    const fn with(is_listed: bool, value: T) -> Global<T> {
        Global {
            is_listed: AtomicBool::new(is_listed),
            holder: AtomicUsize::new(0),
            value: Mutex::new(value),
        }
    }

    #[inline]
    pub fn lock(&'static self) -> Guard<T> {
        if !self.is_listed.load(Ordering::Acquire) {
            self.list();
        }
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(this_thread(), Ordering::Relaxed);
        Guard { holder: &self.holder, value }
    }

    /// `None`: a signal handler that forks has interrupted its thread where that held it. The child
    /// has to do without.
    fn lock_unless_ours(&'static self) -> Option<Guard<T>> {
        (self.holder.load(Ordering::Relaxed) != this_thread()).then(|| self.lock())
    }

    #[cold]
    fn list(&'static self) {
        register();
        let mut all = ALL.lock();
        if !self.is_listed.load(Ordering::Relaxed) {
            all.push(self);
            self.is_listed.store(true, Ordering::Release);
        }
    }
}

fn this_thread() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::pthread_self() as usize }
}

/// Access to the value of a [`Global`], until it is dropped.
pub struct Guard<T: 'static> {
    holder: &'static AtomicUsize,
    value: MutexGuard<'static, T>,
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// A value of the whole process that is made when it is first asked for; in a child, it has been
/// made or it has not.
pub struct Once<T>(OnceLock<T>);

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once::new()
    }
}

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
