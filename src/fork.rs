// SPDX-License-Identifier: MPL-2.0
//! fork(2): a count of the forks behind this process, and what a fork may not tear apart.
//!
//! A child has the thread that forked and none of the others. A lock that one of those held would
//! stay locked in the child for ever, and what one was setting up would stay half done. So the thread
//! that forks first takes every lock of the whole process, and both processes then release them, as
//! the C library does with those of its allocator.
//!
//! Invariants:
//! - Whoever holds a [`Global`] takes no other, uses no [`Once`], and waits for nobody.
//! - A `Global` is in the list before it is locked for the first time.
//! - The value of a [`Once`] is made under the lock of a `Global`.
//! - The handlers of a fork allocate nothing: the allocator's own may have run before them, or a
//!   signal handler that forks may have interrupted it.
//!
//! Two forks are less protected. A signal handler's, when it interrupted its thread where that held a
//! `Global`: in the child that one stays held. And one for which the application has a handler that
//! waits for another of its threads, when that one wants a `Global`: such a handler must not.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

static GENERATION: AtomicU32 = AtomicU32::new(0);
static IN_CHILD: Once<fn()> = Once::new();
/// The process that forked last, or was the child.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The locks that there are, the newest first, and the lock of this list, the first that is taken.
static FIRST: AtomicPtr<Lock> = AtomicPtr::new(ptr::null_mut());
static LIST: Lock = Lock::new();

/// Forks by signal handlers in the middle of the fork that holds everything.
static NESTED: AtomicUsize = AtomicUsize::new(0);

/// A number that differs between a process and the children it forked since the library was loaded.
/// Whoever remembers it can tell whether its threads still exist, without a getpid(2) each time.
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
    if LIST.is_ours() {
        // A signal handler's, in the middle of a fork, or of adding to the list.
        if LIST.is_of_fork() {
            NESTED.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    LIST.acquire_for_fork();
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    for lock in locks() {
        if !lock.is_ours() {
            lock.acquire_for_fork();
        }
    }
}

unsafe extern "C" fn after() {
    if !LIST.is_of_fork() {
        return;
    }
    if NESTED.load(Ordering::Relaxed) > 0 {
        NESTED.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    for lock in locks() {
        if lock.is_of_fork() {
            lock.release_after_fork();
        }
    }
    LIST.release_after_fork();
}

unsafe extern "C" fn after_in_child() {
    notice_child();
    // SAFETY: no preconditions.
    unsafe { after() };
}

/// Counts the fork, once in each child. A handler of the application may come before ours.
fn notice_child() {
    let process = std::process::id();
    if PROCESS.swap(process, Ordering::Relaxed) != process {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = IN_CHILD.get() {
            hook();
        }
    }
}

/// All in the list, for whoever holds its lock.
fn locks() -> impl Iterator<Item = &'static Lock> {
    // SAFETY: NULL or a part of a static, as it was put there by `Lock::list`.
    let at = |pointer: &AtomicPtr<Lock>| unsafe { pointer.load(Ordering::Relaxed).as_ref() };
    std::iter::successors(at(&FIRST), move |lock| at(&lock.next))
}

/// What a [`Global`] has beside its value.
struct Lock {
    /// The thread that holds it, or 0. What a thread reads of itself is true.
    holder: AtomicUsize,
    /// It holds it because it forks.
    by_fork: AtomicBool,
    is_listed: AtomicBool,
    next: AtomicPtr<Lock>,
}

impl Lock {
    const fn new() -> Lock {
        Lock {
            holder: AtomicUsize::new(0),
            by_fork: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline]
    fn acquire(&self) {
        let mut rounds = 0;
        while self
            .holder
            .compare_exchange_weak(0, this_thread(), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            wait_a_moment(&mut rounds);
        }
    }

    #[inline]
    fn release(&self) {
        self.holder.store(0, Ordering::Release);
    }

    fn acquire_for_fork(&self) {
        self.acquire();
        self.by_fork.store(true, Ordering::Relaxed);
    }

    fn release_after_fork(&self) {
        self.by_fork.store(false, Ordering::Relaxed);
        self.release();
    }

    fn is_ours(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == this_thread()
    }

    fn is_of_fork(&self) -> bool {
        self.is_ours() && self.by_fork.load(Ordering::Relaxed)
    }

    #[cold]
    fn list(&'static self) {
        register();
        let of_fork = LIST.is_of_fork();
        if !of_fork {
            LIST.acquire();
        }
        if !self.is_listed.load(Ordering::Relaxed) {
            self.next.store(FIRST.load(Ordering::Relaxed), Ordering::Relaxed);
            FIRST.store(ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
            self.is_listed.store(true, Ordering::Release);
        }
        if !of_fork {
            LIST.release();
        }
    }
}

/// Waits for a thread that is in a lock, which is for microseconds unless it is kept from running.
#[cold]
pub fn wait_a_moment(rounds: &mut u32) {
    *rounds += 1;
    if *rounds < 100 {
        std::thread::yield_now();
    } else {
        // A thread of a lower priority, on this processor, would not run otherwise.
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Never 0, and in a child what it was.
fn this_thread() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::pthread_self() as usize }
}

/// A lock of the whole process, which no thread that is missing in a child holds there.
pub struct Global<T: 'static> {
    lock: Lock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, the holder of the lock.
unsafe impl<T: Send> Sync for Global<T> {}

impl<T: Send> Global<T> {
    pub const fn new(value: T) -> Global<T> {
        Global { lock: Lock::new(), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub fn lock(&'static self) -> Guard<T> {
        if !self.lock.is_listed.load(Ordering::Acquire) {
            self.lock.list();
        }
        // In a handler that the application has for forks, between ours.
        let releases = !self.lock.is_of_fork();
        if releases {
            self.lock.acquire();
        } else {
            notice_child();
        }
        Guard { global: self, releases, not_send: PhantomData }
    }
}

/// Access to the value of a [`Global`], until it is dropped.
pub struct Guard<T: 'static> {
    global: &'static Global<T>,
    releases: bool,
    /// The holder is a thread.
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, and by the first invariant it has one guard.
        unsafe { &*self.global.value.get() }
    }
}

impl<T> DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.global.value.get() }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        if self.releases {
            self.global.lock.release();
        }
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
