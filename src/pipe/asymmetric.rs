// SPDX-License-Identifier: MPL-2.0
//! A memory fence of which one side costs nothing.
//!
//! In a hand-over both sides store first and look second, with a sequentially consistent fence in
//! between, so that one of them sees the other. Where one side comes by with every message and the
//! other one seldom, the frequent side's [`light_fence`] is none for the processor: the rare side's
//! [`heavy_fence`] makes every thread of the process pass a barrier (membarrier(2)).
//!
//! A light fence pairs with heavy ones only, never with another light one or with a plain fence.

#[cfg(not(feature = "loom"))]
pub use here::{can_be_light, heavy_fence, light_fence};
#[cfg(feature = "loom")]
pub use stand_in::{can_be_light, heavy_fence, light_fence};

#[cfg(not(feature = "loom"))]
mod here {
    use crate::fork::Once;
    use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
    use std::time::{Duration, Instant};

    /// Heavy fences are known to work. Whoever makes one does so whether this is set or not.
    static LIGHT: AtomicBool = AtomicBool::new(false);

    /// The side that comes by often.
    #[inline(always)]
    pub fn light_fence() {
        if LIGHT.load(Ordering::Relaxed) {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// The side that comes by seldom. Takes microseconds.
    #[cold]
    pub fn heavy_fence() {
        fence(Ordering::SeqCst);
        if !fence_all_threads() && can_be_light() {
            forbidden();
        }
    }

    /// It worked once, so it was forbidden since: light fences are full ones from now on. For a
    /// while there may be some that were not; a processor does not hold back a store for nearly as
    /// long as this waits.
    fn forbidden() {
        static SINCE: Once<Instant> = Once::new();
        let since = SINCE.get_or_init(Instant::now);
        LIGHT.store(false, Ordering::Relaxed);
        if since.elapsed() < Duration::from_millis(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether light fences cost nothing, which they may from the first call on.
    pub fn can_be_light() -> bool {
        static WORKS: Once<bool> = Once::new();
        *WORKS.get_or_init(|| {
            let works = fence_all_threads();
            LIGHT.store(works, Ordering::Relaxed);
            works
        })
    }

    #[cfg(target_os = "linux")]
    fn fence_all_threads() -> bool {
        // Of linux/membarrier.h.
        const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
        const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
        // A child of a fork may have to register for itself.
        membarrier(PRIVATE_EXPEDITED)
            || membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    #[cfg(target_os = "linux")]
    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: takes integers.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn fence_all_threads() -> bool {
        false
    }
}

/// In the models: a fence on either side is what membarrier(2) amounts to.
#[cfg(feature = "loom")]
#[allow(dead_code)]
mod stand_in {
    use crate::pipe::sync::{Ordering, fence};

    pub fn light_fence() {
        fence(Ordering::SeqCst);
    }

    pub fn heavy_fence() {
        fence(Ordering::SeqCst);
    }

    pub fn can_be_light() -> bool {
        true
    }
}
