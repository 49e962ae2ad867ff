// SPDX-License-Identifier: MPL-2.0
//! Host names resolved without holding up whoever asks.
//!
//! Addresses in digits are answered at once. Names go to threads that are started when needed,
//! a few at most so that one name whose servers do not answer does not keep the others waiting,
//! and that end after a while without work. Their signals are blocked, as on all threads of the
//! library.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{host, sys};
use crate::endpoint::Host;
use crate::errno::{Error, Result};

/// The most lookups at a time.
const MAX_THREADS: usize = 4;

/// How long a thread waits for more work before it ends.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// Called with a lookup's answer: the addresses, best first, never empty.
pub type Callback = Box<dyn FnOnce(Result<Vec<SocketAddr>>) + Send>;

/// What became of a question.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Resolved {
    /// The answer, and the callback will not be called. INVAL when the host is no address and
    /// cannot be a name; AGAIN and the like when no thread could be started.
    Now(Result<SocketAddr>),
    /// The callback will be called from another thread.
    Later,
}

/// Resolves host names. Dropping it forgets the questions not answered yet, and their callbacks;
/// only one that is being called at that moment may still run on.
#[derive(Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
    idle_time: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled for a new question and for the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Question>,
    threads: usize,
    /// Those of the threads that wait for a question.
    idle: usize,
    closed: bool,
}

struct Question {
    host: Host,
    port: u16,
    ipv6: bool,
    callback: Callback,
}

impl Resolver {
    pub fn new() -> Resolver {
        Resolver { shared: Arc::default(), idle_time: IDLE_TIME }
    }

    /// Looks up `host` to connect to; `ipv6` is `ZMQ_IPV6`. Never blocks.
    ///
    /// The callback gets INVAL for a name that cannot be resolved, or NOMEM. It must not block
    /// for long.
    pub fn resolve(&self, host: &Host, port: u16, ipv6: bool, callback: Callback) -> Resolved {
        if let Some(answer) = host::resolve_literal(host, port, ipv6) {
            return Resolved::Now(answer);
        }
        let mut state = self.shared.state.lock();
        state.questions.push_back(Question { host: host.clone(), port, ipv6, callback });
        if state.questions.len() > state.idle && state.threads < MAX_THREADS {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.questions.pop_back();
                    return Resolved::Now(Err(error));
                }
                // The threads there are will come to it.
                Err(_) => (),
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Resolved::Later
    }

    fn start_thread(&self) -> Result<()> {
        let shared = self.shared.clone();
        let idle_time = self.idle_time;
        let _signals = sys::block_all_signals();
        thread::Builder::new()
            .name("ZMQbg/Resolver".into())
            .spawn(move || shared.work(idle_time))
            .map(|_| ())
            .map_err(Error::from)
    }
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::new()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let forgotten = std::mem::take(&mut state.questions);
        drop(state);
        self.shared.changed.notify_all();
        // Outside the lock: what a callback holds may do anything as it goes.
        drop(forgotten);
    }
}

impl Shared {
    /// A thread's life: answers questions until there are none for a while.
    fn work(&self, idle_time: Duration) {
        while let Some(Question { host, port, ipv6, callback }) = self.next_question(idle_time) {
            let answer = host::resolve_remote(&host, port, ipv6);
            if self.state.lock().closed {
                continue;
            }
            // A callback that panics has been reported by the panic hook; the thread has others
            // to serve.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(answer)));
        }
    }

    /// The next question; `None` when this thread is to end, which is then counted out already.
    fn next_question(&self, idle_time: Duration) -> Option<Question> {
        let mut state = self.state.lock();
        loop {
            if let Some(question) = state.questions.pop_front() {
                return Some(question);
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.changed.wait_for(&mut state, idle_time).timed_out();
            state.idle -= 1;
            if timed_out && state.questions.is_empty() {
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
            .field("questions", &self.questions.len())
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

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    #[test]
    fn digits_are_answered_at_once() {
        let resolver = Resolver::new();
        for (host, ipv6, expected) in [
            (Host::V4([127, 0, 0, 1].into()), false, Ok("127.0.0.1:9".parse().unwrap())),
            (Host::V6 { addr: 1.into(), zone: None }, true, Ok("[::1]:9".parse().unwrap())),
            (Host::Any, false, Err(Error::INVAL)),
        ] {
            if ipv6 && !sys::ipv6_supported() {
                continue;
            }
            let callback = Box::new(|_| panic!("answered already"));
            assert_eq!(resolver.resolve(&host, 9, ipv6, callback), Resolved::Now(expected));
        }
        assert_eq!(resolver.shared.state.lock().threads, 0);
    }

    #[test]
    fn names_are_answered_on_another_thread() {
        let resolver = Resolver::new();
        let (sender, receiver) = mpsc::channel();
        for host in ["localhost", "no name"] {
            let sender = sender.clone();
            let callback = Box::new(move |answer: Result<Vec<SocketAddr>>| {
                let name = thread::current().name().map(str::to_owned);
                sender.send((host, answer, name)).unwrap();
            });
            assert_eq!(resolver.resolve(&name(host), 9, false, callback), Resolved::Later);
        }
        let mut answers = [receiver.recv_timeout(TIMEOUT), receiver.recv_timeout(TIMEOUT)]
            .map(|answer| answer.unwrap());
        answers.sort_by_key(|(host, ..)| *host);
        let [(_, localhost, thread), (_, failure, _)] = answers;
        assert_eq!(localhost.unwrap()[0], "127.0.0.1:9".parse().unwrap());
        assert_eq!(thread.as_deref(), Some("ZMQbg/Resolver"));
        assert_eq!(failure, Err(Error::INVAL));
    }

    #[test]
    fn threads_are_few_survive_panics_and_end_when_idle() {
        let resolver = Resolver { shared: Arc::default(), idle_time: Duration::from_millis(20) };
        let (sender, receiver) = mpsc::channel();
        for i in 0..20 {
            let sender = sender.clone();
            let callback = Box::new(move |_| {
                sender.send(i).unwrap();
                if i == 3 {
                    std::panic::resume_unwind(Box::new("a callback that fails"));
                }
            });
            assert_eq!(resolver.resolve(&name("localhost"), 9, false, callback), Resolved::Later);
            assert!(resolver.shared.state.lock().threads <= MAX_THREADS);
        }
        for _ in 0..20 {
            receiver.recv_timeout(TIMEOUT).unwrap();
        }
        while resolver.shared.state.lock().threads > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        let callback = Box::new(move |_| sender.send(99).unwrap());
        assert_eq!(resolver.resolve(&name("localhost"), 9, false, callback), Resolved::Later);
        assert_eq!(receiver.recv_timeout(TIMEOUT), Ok(99));
    }

    #[test]
    fn a_dropped_resolver_ends_its_threads() {
        let resolver = Resolver::new();
        let (sender, receiver) = mpsc::channel();
        let callback = Box::new(move |_| sender.send(()).unwrap());
        assert_eq!(resolver.resolve(&name("localhost"), 9, false, callback), Resolved::Later);
        receiver.recv_timeout(TIMEOUT).unwrap();
        let shared = resolver.shared.clone();
        drop(resolver);
        while shared.state.lock().threads > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
