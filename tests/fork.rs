// SPDX-License-Identifier: MPL-2.0
//! Forks, and what they may not tear apart. In a process of its own: a forked child holds, until it
//! exits, copies of whatever descriptors the tests beside it have just closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use zmq::fork::{Global, Once, generation};

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
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let other = thread::spawn(|| {
        MADE.get_or_init(|| {
            BEGUN.store(true, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
            7
        })
    });
    while !BEGUN.load(Ordering::Relaxed) {
        thread::yield_now();
    }
    assert!(child_can(|| *MADE.get_or_init(|| 8) == 7));
    assert_eq!(*other.join().unwrap(), 7);
}
