// SPDX-License-Identifier: MPL-2.0
//! The lock of a socket: nearly free for the thread that mostly uses it.
//!
//! Most sockets are used by one thread for a long time. Such a thread becomes the lock's
//! *favourite*: it takes and releases the lock by plain stores, where a mutex needs two atomic
//! read-modify-write operations, a fifth of what sending a small message within a process costs.
//! Anybody else takes the mutex, and takes the favour away first.
//!
//! Invariants:
//! - Whoever holds the lock holds `mutex`, or is the favourite and has this lock as the one its
//!   [`ThreadRecord`] says it is in. A record is written by its own thread alone.
//! - The favourite writes its record and then looks whether it still is the favourite. Whoever
//!   holds `mutex` takes the favour away and then looks at the record. A barrier on both sides lies
//!   in between, so either the favourite sees that it is none any more, or the other one sees it in
//!   the lock and waits. The favourite's barrier costs nothing: the other side's, membarrier(2),
//!   executes it there (*asymmetric fences*).
//! - The favour is given by a thread to itself while it holds `mutex`, after it took it many times
//!   in a row; more times, the more often favours were taken away.
//! - A former favourite that may still be in the lock is `departing`: nobody gets the lock before
//!   it has left.

use crate::pipe::asymmetric::{can_be_light, heavy_fence, light_fence};
use crate::pipe::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::ptr;

/// So many times in a row a thread has to take the mutex to become the favourite.
const STREAK: u32 = if cfg!(feature = "loom") { 1 } else { 64 };
/// The streak doubles with every favour taken away, so many times.
const DOUBLINGS: u32 = if cfg!(feature = "loom") { 0 } else { 10 };

/// What a thread tells others about itself. Never freed: another thread may look at it any time.
#[derive(Debug)]
pub struct ThreadRecord {
    /// The lock it is in as its favourite, by address; 0 for none.
    lock: AtomicUsize,
}

impl ThreadRecord {
    fn new() -> ThreadRecord {
        ThreadRecord { lock: AtomicUsize::new(0) }
    }
}

/// See the module's description.
pub struct BiasedLock {
    favourite: AtomicPtr<ThreadRecord>,
    /// The favourite, while it holds the lock as such. Of the holder.
    holder: AtomicPtr<ThreadRecord>,
    // What follows belongs to whoever holds the mutex.
    departing: AtomicPtr<ThreadRecord>,
    /// Who held the mutex last, and how often in a row.
    last: AtomicPtr<ThreadRecord>,
    streak: AtomicU32,
    withdrawals: AtomicU32,
    mutex: Mutex,
}

impl BiasedLock {
    #[inline(always)]
    fn lock_as(&self, me: Option<&'static ThreadRecord>) {
        if !self.enter_as_favourite(me) {
            self.lock_by_mutex(me);
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_by_mutex(&self, me: Option<&'static ThreadRecord>) {
        self.mutex.lock();
        self.withdraw_favour(me);
        let mut rounds = 0;
        while self.somebody_departs() {
            wait_a_moment(&mut rounds);
        }
        self.count(me);
    }

    #[inline]
    fn try_lock_as(&self, me: Option<&'static ThreadRecord>) -> bool {
        if self.enter_as_favourite(me) {
            return true;
        }
        if !self.mutex.try_lock() {
            return false;
        }
        self.withdraw_favour(me);
        if self.somebody_departs() {
            self.mutex.unlock();
            return false;
        }
        self.count(me);
        true
    }

    /// Only for whoever holds the lock.
    #[inline]
    fn release(&self) {
        let holder = self.holder.load(Ordering::Relaxed);
        match record(holder) {
            Some(me) => {
                self.holder.store(ptr::null_mut(), Ordering::Relaxed);
                me.lock.store(0, Ordering::Release);
            }
            None => self.mutex.unlock(),
        }
    }

    #[inline(always)]
    fn enter_as_favourite(&self, me: Option<&'static ThreadRecord>) -> bool {
        let Some(me) = me else { return false };
        let address = pointer(me);
        // A thread is in one lock at a time as its favourite; a second one it takes by the mutex.
        if self.favourite.load(Ordering::Relaxed) != address || me.lock.load(Ordering::Relaxed) != 0
        {
            return false;
        }
        me.lock.store(self.address(), Ordering::Relaxed);
        light_fence();
        if self.favourite.load(Ordering::Relaxed) != address {
            me.lock.store(0, Ordering::Release);
            return false;
        }
        self.holder.store(address, Ordering::Relaxed);
        true
    }

    /// Holding the mutex.
    #[inline]
    fn withdraw_favour(&self, me: Option<&'static ThreadRecord>) {
        let favourite = self.favourite.load(Ordering::Relaxed);
        if favourite.is_null() {
            return;
        }
        self.favourite.store(ptr::null_mut(), Ordering::Relaxed);
        if me.map(pointer) != Some(favourite) {
            self.departing.store(favourite, Ordering::Relaxed);
            let withdrawals = self.withdrawals.load(Ordering::Relaxed);
            self.withdrawals.store((withdrawals + 1).min(DOUBLINGS), Ordering::Relaxed);
            heavy_fence();
        }
    }

    /// Holding the mutex: whether a former favourite is still in the lock.
    #[inline]
    fn somebody_departs(&self) -> bool {
        let Some(departing) = record(self.departing.load(Ordering::Relaxed)) else { return false };
        if departing.lock.load(Ordering::Acquire) == self.address() {
            return true;
        }
        self.departing.store(ptr::null_mut(), Ordering::Relaxed);
        false
    }

    /// Holding the lock by the mutex.
    #[inline]
    fn count(&self, me: Option<&'static ThreadRecord>) {
        let me = me.map_or(ptr::null_mut(), pointer);
        if self.last.load(Ordering::Relaxed) != me {
            self.last.store(me, Ordering::Relaxed);
            self.streak.store(0, Ordering::Relaxed);
            return;
        }
        let streak = self.streak.load(Ordering::Relaxed) + 1;
        if streak < STREAK << self.withdrawals.load(Ordering::Relaxed) {
            self.streak.store(streak, Ordering::Relaxed);
            return;
        }
        self.streak.store(0, Ordering::Relaxed);
        if can_be_light() {
            self.favourite.store(me, Ordering::Relaxed);
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

fn pointer(record: &'static ThreadRecord) -> *mut ThreadRecord {
    ptr::from_ref(record).cast_mut()
}

#[inline]
fn record(address: *mut ThreadRecord) -> Option<&'static ThreadRecord> {
    // SAFETY: NULL, or made by `pointer` from a record that lives for ever.
    unsafe { address.as_ref() }
}

#[cfg(not(feature = "loom"))]
pub use here::SocketLock;
#[cfg(not(feature = "loom"))]
use here::{Mutex, wait_a_moment};

/// What the lock stands on in a process.
#[cfg(not(feature = "loom"))]
mod here {
    use super::{BiasedLock, ThreadRecord, record};
    use crate::fork::Global;
    pub use crate::fork::wait_a_moment;
    use crate::pipe::sync::{AtomicPtr, AtomicU32};
    use crate::thread_words::{Word, get, set};
    use parking_lot::lock_api::{GuardNoSend, RawMutex};
    use std::ptr;

    /// [`BiasedLock`] as the raw part of a mutex.
    pub struct SocketLock(BiasedLock);

    // SAFETY: `lock` and a `try_lock` that returns true give the lock to one thread at a time, as
    // the module's invariants say.
    unsafe impl RawMutex for SocketLock {
        #[allow(clippy::declare_interior_mutable_const)]
        const INIT: SocketLock = SocketLock(BiasedLock {
            favourite: AtomicPtr::new(ptr::null_mut()),
            holder: AtomicPtr::new(ptr::null_mut()),
            departing: AtomicPtr::new(ptr::null_mut()),
            last: AtomicPtr::new(ptr::null_mut()),
            streak: AtomicU32::new(0),
            withdrawals: AtomicU32::new(0),
            mutex: Mutex(parking_lot::RawMutex::INIT),
        });
        type GuardMarker = GuardNoSend;

        #[inline(always)]
        fn lock(&self) {
            self.0.lock_as(this_thread());
        }

        #[inline]
        fn try_lock(&self) -> bool {
            self.0.try_lock_as(this_thread())
        }

        #[inline]
        unsafe fn unlock(&self) {
            self.0.release();
        }
    }

    pub struct Mutex(parking_lot::RawMutex);

    impl Mutex {
        pub fn lock(&self) {
            self.0.lock();
        }

        pub fn try_lock(&self) -> bool {
            self.0.try_lock()
        }

        /// Only for whoever holds it.
        pub fn unlock(&self) {
            // SAFETY: the caller holds it.
            unsafe { self.0.unlock() }
        }
    }

    /// Records of threads that have ended, for others to use.
    static FREE: Global<Vec<&'static ThreadRecord>> = Global::new(Vec::new());

    thread_local! {
        static RETURN: ReturnRecord = const { ReturnRecord };
    }

    struct ReturnRecord;

    impl Drop for ReturnRecord {
        fn drop(&mut self) {
            if let Some(record) = record(get(Word::Record).cast()) {
                set(Word::Record, ptr::null_mut());
                FREE.lock().push(record);
            }
        }
    }

    /// `None` for a thread that is about to end.
    #[inline]
    fn this_thread() -> Option<&'static ThreadRecord> {
        record(get(Word::Record).cast()).or_else(new_record)
    }

    #[cold]
    fn new_record() -> Option<&'static ThreadRecord> {
        // Makes sure that it is returned in the end.
        RETURN.try_with(|_| ()).ok()?;
        let free = FREE.lock().pop();
        let record = free.unwrap_or_else(|| Box::leak(Box::new(ThreadRecord::new())));
        set(Word::Record, super::pointer(record).cast());
        Some(record)
    }
}

#[cfg(feature = "loom")]
pub type SocketLock = parking_lot::RawMutex;

#[cfg(feature = "loom")]
use stand_in::{Mutex, wait_a_moment};

/// What the lock stands on in the models: a fence on either side is what membarrier(2) amounts to.
#[cfg(feature = "loom")]
#[allow(dead_code)]
mod stand_in {
    use loom::sync::Condvar;

    /// As [`lock_api::RawMutex`](parking_lot::lock_api::RawMutex), without spinning.
    #[derive(Default)]
    pub struct Mutex {
        taken: loom::sync::Mutex<bool>,
        released: Condvar,
    }

    impl Mutex {
        pub fn lock(&self) {
            let mut taken = self.taken.lock().unwrap();
            while *taken {
                taken = self.released.wait(taken).unwrap();
            }
            *taken = true;
        }

        pub fn try_lock(&self) -> bool {
            !std::mem::replace(&mut *self.taken.lock().unwrap(), true)
        }

        pub fn unlock(&self) {
            *self.taken.lock().unwrap() = false;
            self.released.notify_one();
        }
    }

    pub fn wait_a_moment(_rounds: &mut u32) {
        loom::thread::yield_now();
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;
    use crate::pipe::sync::{Arc, check};
    use loom::cell::UnsafeCell;
    use loom::thread;

    /// What the lock protects: noticed when two threads touch it unordered.
    struct Model {
        lock: BiasedLock,
        count: UnsafeCell<u32>,
    }

    // SAFETY: `count` is touched by whoever holds the lock; the checker notices if that is untrue.
    unsafe impl Sync for Model {}

    impl Model {
        fn new() -> Arc<Model> {
            let nobody = || AtomicPtr::new(ptr::null_mut());
            let lock = BiasedLock {
                favourite: nobody(),
                holder: nobody(),
                departing: nobody(),
                last: nobody(),
                streak: AtomicU32::new(0),
                withdrawals: AtomicU32::new(0),
                mutex: Mutex::default(),
            };
            Arc::new(Model { lock, count: UnsafeCell::new(0) })
        }

        fn add_one(&self) {
            // SAFETY: with the lock.
            self.count.with_mut(|count| unsafe { *count += 1 });
        }

        fn locked(&self, me: &'static ThreadRecord) {
            self.lock.lock_as(Some(me));
            self.add_one();
            self.lock.release();
        }

        fn try_locked(&self, me: &'static ThreadRecord) -> bool {
            let locked = self.lock.try_lock_as(Some(me));
            if locked {
                self.add_one();
                self.lock.release();
            }
            locked
        }

        fn total(&self) -> u32 {
            // SAFETY: the other threads have ended.
            self.count.with(|count| unsafe { *count })
        }
    }

    /// One for each thread of a model. Loom forgets them with the model.
    fn records<const COUNT: usize>() -> [&'static ThreadRecord; COUNT] {
        std::array::from_fn(|_| &*Box::leak(Box::new(ThreadRecord::new())))
    }

    #[test]
    fn a_favourite_and_two_others_exclude_each_other() {
        check(2, || {
            let model = Model::new();
            let [first, second, third] = records();
            // Two times make it the favourite.
            model.locked(first);
            model.locked(first);
            let others = [second, third].map(|me| {
                let model = model.clone();
                thread::spawn(move || model.locked(me))
            });
            model.locked(first);
            model.locked(first);
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(model.total(), 6);
        });
    }

    #[test]
    fn the_favour_changes_hands() {
        check(3, || {
            let model = Model::new();
            let [first, second] = records();
            model.locked(first);
            model.locked(first);
            let other = {
                let model = model.clone();
                thread::spawn(move || {
                    for _ in 0..3 {
                        model.locked(second);
                    }
                })
            };
            for _ in 0..2 {
                model.locked(first);
            }
            other.join().unwrap();
            assert_eq!(model.total(), 7);
        });
    }

    #[test]
    fn an_attempt_leaves_nothing_behind() {
        check(3, || {
            let model = Model::new();
            let [first, second] = records();
            model.locked(first);
            model.locked(first);
            let other = {
                let model = model.clone();
                thread::spawn(move || {
                    let tried = u32::from(model.try_locked(second));
                    model.locked(second);
                    tried
                })
            };
            model.locked(first);
            let tried = other.join().unwrap();
            assert_eq!(model.total(), 4 + tried);
        });
    }
}
