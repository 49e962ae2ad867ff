// SPDX-License-Identifier: MPL-2.0
//! Threads of an application (`zmq_threadstart`): named "ZMQapp", with all signals blocked, so that
//! handlers run on the application's other threads.

use std::thread::{self, JoinHandle};

use crate::errno::{Error, Result};

const NAME: &str = "ZMQapp";

/// What a C thread gets by default on Linux; the standard library's default is smaller.
const STACK_SIZE: usize = 8 * 1024 * 1024;

/// A running thread. Dropping it leaves the thread running.
#[derive(Debug)]
pub struct Thread(JoinHandle<()>);

impl Thread {
    /// Starts a thread that runs `body`. Fails with what the system says, EAGAIN mostly.
    pub fn start(body: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let builder = thread::Builder::new().name(NAME.into()).stack_size(STACK_SIZE);
        let handle = builder.spawn(|| {
            block_signals();
            body();
        })?;
        Ok(Thread(handle))
    }

    /// Waits until the thread has ended. Fails with EDEADLK, at once, when it is the calling one.
    pub fn join(self) -> Result<()> {
        if self.0.thread().id() == thread::current().id() {
            return Err(Error::from_raw(libc::EDEADLK));
        }
        // A panic has been reported when it happened.
        let _ = self.0.join();
        Ok(())
    }
}

/// Blocks all signals on the calling thread.
#[allow(unsafe_code)]
fn block_signals() {
    // SAFETY: sigfillset initialises the set that pthread_sigmask reads. Neither can fail with
    // these arguments.
    unsafe {
        let mut all = std::mem::MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn runs_until_joined() {
        let (sender, receiver) = mpsc::channel();
        let thread = Thread::start(move || sender.send(thread::current().id()).unwrap()).unwrap();
        thread.join().unwrap();
        assert_ne!(receiver.recv().unwrap(), thread::current().id());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn has_its_name_and_no_signals() {
        let (sender, receiver) = mpsc::channel();
        let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        Thread::start(move || sender.send(status()).unwrap()).unwrap().join().unwrap();
        let status = receiver.recv().unwrap();
        let field =
            |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap();
        assert_eq!(field("Name:"), NAME);
        let blocked = u64::from_str_radix(field("SigBlk:"), 16).unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD] {
            assert_ne!(blocked & 1 << (signal - 1), 0, "signal {signal}");
        }
    }

    #[test]
    fn a_thread_cannot_wait_for_itself() {
        let (to_thread, handle) = mpsc::channel::<Thread>();
        let (sender, receiver) = mpsc::channel();
        let thread = Thread::start(move || {
            let _ = sender.send(handle.recv().unwrap().join());
        });
        to_thread.send(thread.unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), Err(Error::from_raw(libc::EDEADLK)));
    }
}
