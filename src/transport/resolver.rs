// SPDX-License-Identifier: MPL-2.0
//! Host names resolved without holding up whoever asks.
//!
//! Addresses in digits are answered at once. Names go to [`Workers`], so that one name whose
//! servers do not answer does not keep the others waiting.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::host;
use super::workers::{Answer, Workers};
use crate::endpoint::Host;
use crate::errno::Result;

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
    workers: Workers,
}

impl Resolver {
    pub fn new() -> Resolver {
        Resolver { workers: Workers::new("ZMQbg/Resolver") }
    }

    /// Looks up `host` to connect to; `ipv6` is `ZMQ_IPV6`. Never blocks.
    ///
    /// The callback gets INVAL for a name that cannot be resolved, or NOMEM. It must not block
    /// for long.
    pub fn resolve(&self, host: &Host, port: u16, ipv6: bool, callback: Callback) -> Resolved {
        if let Some(answer) = host::resolve_literal(host, port, ipv6) {
            return Resolved::Now(answer);
        }
        let host = host.clone();
        let lookup = move || -> Answer {
            let answer = host::resolve_remote(&host, port, ipv6);
            Box::new(move || callback(answer))
        };
        match self.workers.run(Box::new(lookup)) {
            Ok(()) => Resolved::Later,
            Err(error) => Resolved::Now(Err(error)),
        }
    }
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys;
    use super::*;
    use crate::errno::Error;
    use std::sync::mpsc;
    use std::time::Duration;

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
        assert_eq!(resolver.workers.threads(), 0);
    }

    #[test]
    fn names_are_answered_on_another_thread() {
        let resolver = Resolver::new();
        let (sender, receiver) = mpsc::channel();
        for host in ["localhost", "no name"] {
            let sender = sender.clone();
            let callback = Box::new(move |answer: Result<Vec<SocketAddr>>| {
                let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
                sender.send((host, answer, name)).unwrap();
            });
            assert_eq!(resolver.resolve(&name(host), 9, false, callback), Resolved::Later);
        }
        let mut answers = [receiver.recv_timeout(TIMEOUT), receiver.recv_timeout(TIMEOUT)]
            .map(|answer| answer.unwrap());
        answers.sort_by_key(|(host, ..)| *host);
        let [(_, localhost, thread), (_, failure, _)] = answers;
        assert_eq!(localhost.unwrap()[0], "127.0.0.1:9".parse().unwrap());
        assert_eq!(thread, "ZMQbg/Resolver\n");
        assert_eq!(failure, Err(Error::INVAL));
    }
}
