// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! zmq_poll(3): waiting for several sockets and descriptors.
//!
//! As in a blocking receive, the calling thread claims the connections of the sockets it wants
//! input from and reads them itself while it waits, if there are only a few sockets; otherwise the
//! I/O threads read and wake it.

use crate::abi::*;
use crate::errno::{Error, Result};
use crate::socket::{Parker, Socket, SpinGauge};
use crate::transport::poll_fds;
use std::cell::RefCell;
use std::ffi::c_long;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Up to so many sockets a caller reads the connections itself.
const CLAIMED_SOCKETS: usize = 8;
/// How long a caller yields before it sleeps.
const SPIN: Duration = Duration::from_micros(20);

/// What is waited for, and what of it has happened.
#[derive(Clone, Copy)]
pub struct Item {
    pub what: What,
    /// `ZMQ_POLL*` bits.
    pub events: i16,
    pub happened: i16,
}

#[derive(Clone, Copy)]
pub enum What {
    Socket(&'static Socket),
    Descriptor(RawFd),
}

/// zmq_poll(3). `timeout` in milliseconds, -1 for none. Returns how many items have events.
pub fn poll(items: &mut [zmq_pollitem_t], timeout: c_long) -> Result<i32> {
    let mut waited = Vec::with_capacity(items.len());
    for item in items.iter_mut() {
        item.revents = 0;
        let what = if item.socket.is_null() {
            What::Descriptor(item.fd)
        } else {
            What::Socket(Socket::lookup(item.socket)?)
        };
        waited.push(Item { what, events: item.events, happened: 0 });
    }
    let count = wait(&mut waited, timeout)?;
    for (item, waited) in items.iter_mut().zip(&waited) {
        item.revents = waited.happened;
    }
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Waits until at least one item has events or the time is over, and returns how many have.
///
/// EINTR, ETERM, ENOTSOCK for a socket that was closed.
pub fn wait(items: &mut [Item], timeout: c_long) -> Result<usize> {
    let count = look(items)?;
    if count > 0 || timeout == 0 {
        return Ok(count);
    }
    let deadline = u64::try_from(timeout)
        .ok()
        .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
    let mut wait = Wait { sockets: input_sockets(items), deadline, slept: false };
    let result = wait.run(items);
    wait.leave(result.is_ok());
    result
}

fn input_sockets(items: &[Item]) -> Vec<&'static Socket> {
    let sockets: Vec<_> = items
        .iter()
        .filter_map(|item| match item.what {
            What::Socket(socket) if i32::from(item.events) & ZMQ_POLLIN != 0 => Some(socket),
            _ => None,
        })
        .collect();
    if sockets.len() > CLAIMED_SOCKETS { Vec::new() } else { sockets }
}

/// Looks at every item once, without waiting.
fn look(items: &mut [Item]) -> Result<usize> {
    let mut count = 0;
    let mut descriptors = Vec::new();
    for (number, item) in items.iter_mut().enumerate() {
        item.happened = 0;
        match item.what {
            What::Socket(socket) => {
                item.happened = events(socket, item.events)?;
                count += usize::from(item.happened != 0);
            }
            What::Descriptor(fd) => descriptors.push((number, pollfd(fd, item.events))),
        }
    }
    if !descriptors.is_empty() {
        let mut fds: Vec<_> = descriptors.iter().map(|(_, fd)| *fd).collect();
        poll_fds(&mut fds, Some(Duration::ZERO))?;
        for ((number, _), fd) in descriptors.iter().zip(&fds) {
            items[*number].happened = happened(fd.revents);
            count += usize::from(items[*number].happened != 0);
        }
    }
    Ok(count)
}

/// What of `wanted` is there on a socket.
fn events(socket: &'static Socket, wanted: i16) -> Result<i16> {
    let mut core = socket.lock();
    let open = core.as_mut().ok_or(Error::NOTSOCK)?;
    if socket.is_terminated() {
        return Err(Error::TERM);
    }
    let (input, output) = open.readiness();
    let there = i32::from(input) * ZMQ_POLLIN | i32::from(output) * ZMQ_POLLOUT;
    Ok(there as i16 & wanted)
}

fn pollfd(fd: RawFd, events: i16) -> libc::pollfd {
    let events = i32::from(events);
    let mut wanted = 0;
    for (bit, poll) in
        [(ZMQ_POLLIN, libc::POLLIN), (ZMQ_POLLOUT, libc::POLLOUT), (ZMQ_POLLPRI, libc::POLLPRI)]
    {
        if events & bit != 0 {
            wanted |= poll;
        }
    }
    libc::pollfd { fd, events: wanted, revents: 0 }
}

/// Whatever else poll(2) reports counts as an error.
fn happened(revents: i16) -> i16 {
    let mut happened = 0;
    for (poll, bit) in
        [(libc::POLLIN, ZMQ_POLLIN), (libc::POLLOUT, ZMQ_POLLOUT), (libc::POLLPRI, ZMQ_POLLPRI)]
    {
        if revents & poll != 0 {
            happened |= bit;
        }
    }
    if revents & !(libc::POLLIN | libc::POLLOUT | libc::POLLPRI) != 0 {
        happened |= ZMQ_POLLERR;
    }
    happened as i16
}

thread_local! {
    static GAUGE: RefCell<SpinGauge> = RefCell::default();
}

/// The calling thread's experience with spinning.
fn gauge<T: Default>(call: impl FnOnce(&mut SpinGauge) -> T) -> T {
    GAUGE
        .try_with(|gauge| gauge.try_borrow_mut().map(|mut gauge| call(&mut gauge)))
        .ok()
        .and_then(|result| result.ok())
        .unwrap_or_default()
}

struct Wait {
    /// The sockets whose connections this thread reads.
    sockets: Vec<&'static Socket>,
    deadline: Option<Instant>,
    slept: bool,
}

impl Wait {
    fn run(&mut self, items: &mut [Item]) -> Result<usize> {
        loop {
            for socket in &self.sockets {
                if let Some(open) = socket.lock().as_mut() {
                    open.claim();
                }
            }
            let count = look(items)?;
            if count > 0 {
                return Ok(count);
            }
            if !self.slept && gauge(SpinGauge::worth_trying) {
                let mut now = Instant::now();
                let until = now + SPIN;
                let mut alone = true;
                while now < until && alone {
                    alone = gauge(|gauge| gauge.yield_now(&mut now));
                    let count = look(items)?;
                    if count > 0 {
                        gauge(SpinGauge::hit);
                        return Ok(count);
                    }
                }
                gauge(SpinGauge::miss);
            }
            if self.is_over() {
                return Ok(0);
            }
            let count = self.sleep(items)?;
            if count > 0 {
                return Ok(count);
            }
            if self.is_over() {
                return look(items);
            }
        }
    }

    /// Sleeps until something may have happened, unless a last look finds something: another
    /// thread may have dealt with the mail that this one was waiting for.
    fn sleep(&mut self, items: &mut [Item]) -> Result<usize> {
        let parker = Parker::current()?;
        let sockets: Vec<_> = items
            .iter()
            .filter_map(|item| match item.what {
                What::Socket(socket) => Some(socket),
                What::Descriptor(_) => None,
            })
            .collect();
        for socket in &sockets {
            socket.add_waiter(&parker);
        }
        let result = match look(items) {
            Ok(0) => self.sleep_registered(items, &sockets, &parker).map(|()| 0),
            found => found,
        };
        for socket in &sockets {
            socket.remove_waiter(&parker);
        }
        parker.reset();
        self.slept = true;
        result
    }

    fn sleep_registered(
        &self,
        items: &[Item],
        sockets: &[&'static Socket],
        parker: &Arc<Parker>,
    ) -> Result<()> {
        let mut sleepers = Vec::new();
        let mut fds = vec![libc::pollfd { fd: parker.fd(), events: libc::POLLIN, revents: 0 }];
        for socket in sockets {
            if socket.has_mail() || socket.is_terminated() {
                return Ok(());
            }
            let mut core = socket.lock();
            let open = core.as_mut().ok_or(Error::NOTSOCK)?;
            if open.is_claimed()
                && let Some(set) = open.connections()
            {
                if set.has_ready() {
                    return Ok(());
                }
                fds.push(libc::pollfd { fd: set.fd(), events: libc::POLLIN, revents: 0 });
                sleepers.push(set.sleeper());
            }
        }
        for item in items {
            if let What::Descriptor(fd) = item.what {
                fds.push(pollfd(fd, item.events));
            }
        }
        let rest = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        poll_fds(&mut fds, rest)?;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Keeps the claims in lively traffic, gives them back otherwise.
    fn leave(&self, found: bool) {
        for socket in &self.sockets {
            if let Some(open) = socket.lock().as_mut() {
                open.settle_claim(found && !self.slept);
            }
        }
    }
}
