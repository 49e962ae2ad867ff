// SPDX-License-Identifier: MPL-2.0
//! Threads for what may block, so that an I/O thread need not.
//!
//! They are started when needed, a few at most so that one job that takes long does not keep the
//! others waiting, and end after a while without work. Their signals are blocked, as on all threads
//! of the library.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Thread;
use crate::errno::Result;

/// The most jobs at a time.
pub const MAX_THREADS: usize = 4;

/// How long a thread waits for more work before it ends.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// What may block; how to tell of it comes out of it.
pub type Job = Box<dyn FnOnce() -> Answer + Send>;

/// Tells of a job. Must not block for long.
pub type Answer = Box<dyn FnOnce()>;

/// Runs jobs. Dropping it forgets those not answered yet; only one that is being answered at that
/// moment may still run on.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    name: &'static str,
    idle_time: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    /// Not parking_lot's, nor is `changed`: a thread that waits is known there to the whole process,
    /// and in a forked child, which does not have it, remains so.
    state: Mutex<State>,
    /// Signalled for a new job and for the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Those of the threads that wait for a job.
    idle: usize,
    closed: bool,
}

impl Workers {
    /// `name` is that of the threads.
    pub fn new(name: &'static str) -> Workers {
        Workers::idling(name, IDLE_TIME)
    }

    pub(super) fn idling(name: &'static str, idle_time: Duration) -> Workers {
        Workers { shared: Arc::default(), name, idle_time }
    }

    /// Runs a job on another thread, and then calls its answer there. Never blocks.
    ///
    /// # Errors
    /// AGAIN and the like when no thread could be started.
    pub fn run(&self, job: Job) -> Result<()> {
        let mut state = self.shared.lock();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < MAX_THREADS {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let forgotten = state.jobs.pop_back();
                    drop(state);
                    drop(forgotten);
                    return Err(error);
                }
                // The threads there are will come to it.
                Err(_) => (),
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    fn start_thread(&self) -> Result<()> {
        let shared = self.shared.clone();
        let idle_time = self.idle_time;
        Thread::start(self.name, move || shared.work(idle_time)).map(drop)
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let forgotten = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.changed.notify_all();
        // Outside the lock: what a job holds may do anything as it goes.
        drop(forgotten);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What panics holds no lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: runs jobs until there are none for a while.
    fn work(&self, idle_time: Duration) {
        while let Some(job) = self.next_job(idle_time) {
            // A job that panics has been reported by the panic hook; the thread has others to do.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let answer = job();
                if !self.lock().closed {
                    answer();
                }
            }));
        }
    }

    /// The next job; `None` when this thread is to end, which is then counted out already.
    fn next_job(&self, idle_time: Duration) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, idle_time);
            let (woken, result) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if result.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        None
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs.len())
            .field("threads", &self.threads)
            .field("idle", &self.idle)
            .field("closed", &self.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn threads_are_few_survive_panics_and_end_when_idle() {
        let workers = Workers::idling("ZMQbg/Test", Duration::from_millis(20));
        let (sender, receiver) = mpsc::channel();
        for i in 0..20 {
            let sender = sender.clone();
            let job = Box::new(move || -> Answer {
                if i == 2 {
                    sender.send(i).unwrap();
                    std::panic::resume_unwind(Box::new("a job that fails"));
                }
                Box::new(move || {
                    sender.send(i).unwrap();
                    if i == 3 {
                        std::panic::resume_unwind(Box::new("an answer that fails"));
                    }
                })
            });
            workers.run(job).unwrap();
            assert!(workers.threads() <= MAX_THREADS);
        }
        for _ in 0..20 {
            receiver.recv_timeout(TIMEOUT).unwrap();
        }
        while workers.threads() > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        workers.run(Box::new(move || Box::new(move || sender.send(99).unwrap()))).unwrap();
        assert_eq!(receiver.recv_timeout(TIMEOUT), Ok(99));
    }

    #[test]
    fn the_end_is_not_waited_for_and_nobody_is_told_after_it() {
        let workers = Workers::new("ZMQbg/Test");
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (answered, answers) = mpsc::channel();
        let job = Box::new(move || -> Answer {
            begun.send(std::fs::read_to_string("/proc/thread-self/comm").unwrap()).unwrap();
            may_go_on.recv().unwrap();
            Box::new(move || answered.send(()).unwrap())
        });
        workers.run(job).unwrap();
        let name = has_begun.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(name, "ZMQbg/Test\n");
        let shared = workers.shared.clone();
        drop(workers);
        go_on.send(()).unwrap();
        while shared.lock().threads > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(answers.try_recv().is_err());
    }
}
