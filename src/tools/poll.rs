// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! zmq_poll(3) and zmq_ppoll(3): waiting for several sockets and descriptors.
//!
//! As in a blocking receive, the calling thread claims the connections of the sockets it wants
//! input from and reads them itself while it waits, if there are only a few sockets; otherwise the
//! I/O threads read and wake it.

use crate::abi::*;
use crate::errno::{Error, Result};
use crate::socket::{NamedSocket, Parker, SpinGauge};
use crate::transport::{poll_fds, poll_fds_masked};
use std::cell::RefCell;
use std::ffi::c_long;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Up to so many sockets a caller reads the connections itself.
const CLAIMED_SOCKETS: usize = 8;
/// So many items need no memory of their own.
const FEW_ITEMS: usize = ZMQ_POLLITEMS_DFLT as usize;

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
    Socket(NamedSocket),
    Descriptor(RawFd),
}

impl Item {
    /// Stands for no item.
    const NONE: Item = Item { what: What::Descriptor(-1), events: 0, happened: 0 };

    pub fn new(what: What, events: i16) -> Item {
        Item { what, events, happened: 0 }
    }

    fn wants_input(&self) -> bool {
        i32::from(self.events) & ZMQ_POLLIN != 0
    }

    fn socket(&self) -> Option<NamedSocket> {
        match self.what {
            What::Socket(socket) => Some(socket),
            What::Descriptor(_) => None,
        }
    }
}

/// zmq_poll(3), and zmq_ppoll(3) with a mask. `timeout` in milliseconds, negative for none. Returns
/// how many items have events.
///
/// Errors as [`wait`]; FAULT: no events of sockets for several threads, and no timeout.
pub fn poll(
    items: &mut [zmq_pollitem_t],
    timeout: c_long,
    mask: Option<&libc::sigset_t>,
) -> Result<i32> {
    let mut few = [Item::NONE; FEW_ITEMS];
    let mut many = Vec::new();
    let waited = match few.get_mut(..items.len()) {
        Some(few) => few,
        None => {
            many.resize(items.len(), Item::NONE);
            &mut many
        }
    };
    for (item, waited) in items.iter().zip(&mut *waited) {
        let what = if item.socket.is_null() {
            What::Descriptor(item.fd)
        } else {
            What::Socket(NamedSocket::new(item.socket)?)
        };
        *waited = Item::new(what, item.events);
    }
    // As libzmq has it for these sockets alone.
    if timeout < 0 && items.iter().all(|item| item.events == 0) {
        for socket in waited.iter().filter_map(Item::socket) {
            if socket.is_thread_safe()? {
                return Err(Error::FAULT);
            }
        }
    }
    for item in items.iter_mut() {
        item.revents = 0;
    }
    let count = wait(waited, timeout, mask)?;
    if mask.is_some() {
        // Signals that only this mask lets through go first, however lively the traffic is.
        poll_fds_masked(&mut [], Some(Duration::ZERO), mask)?;
    }
    for (item, waited) in items.iter_mut().zip(&*waited) {
        item.revents = waited.happened;
    }
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Waits until at least one item has events or the time is over, and returns how many have.
///
/// EINTR, ETERM, ENOTSOCK for a socket that was closed.
pub fn wait(items: &mut [Item], timeout: c_long, mask: Option<&libc::sigset_t>) -> Result<usize> {
    let found = wait_for(items, timeout, mask, |items| {
        let count = look(items)?;
        Ok((count > 0).then_some(count))
    })?;
    Ok(found.unwrap_or(0))
}

/// Calls `attempt` until it finds something or the time is over (`None`), and waits in between for
/// something to happen to the items: to a socket anything, to a descriptor its events. `attempt`
/// may change the events: sockets of which no input is wanted are left to the I/O threads.
///
/// `mask` is the signal mask while the thread sleeps. Errors as [`wait`], and those of `attempt`.
pub fn wait_for<T>(
    items: &mut [Item],
    timeout: c_long,
    mask: Option<&libc::sigset_t>,
    mut attempt: impl FnMut(&mut [Item]) -> Result<Option<T>>,
) -> Result<Option<T>> {
    if let Some(found) = attempt(items)? {
        return Ok(Some(found));
    }
    if timeout == 0 {
        return Ok(None);
    }
    let deadline = u64::try_from(timeout)
        .ok()
        .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
    let sockets = items.iter().filter_map(Item::socket).count();
    let mut wait = Wait { sockets, deadline, mask, slept: false };
    let result = wait.run(items, &mut attempt);
    if wait.slept {
        gauge(|gauge| gauge.ended(Instant::now()));
    }
    wait.leave(items, result.is_ok());
    result
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
#[inline]
fn events(socket: NamedSocket, wanted: i16) -> Result<i16> {
    if i32::from(wanted) == ZMQ_POLLIN && socket.is_resting() {
        return Ok(0);
    }
    let mut core = socket.lock()?;
    let open = core.as_mut().ok_or(Error::NOTSOCK)?;
    let mut there = 0;
    if i32::from(wanted) & ZMQ_POLLIN != 0 && open.can_receive() {
        there |= ZMQ_POLLIN;
    }
    if i32::from(wanted) & ZMQ_POLLOUT != 0 && open.can_send() {
        there |= ZMQ_POLLOUT;
    }
    Ok(there as i16)
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

struct Wait<'a> {
    /// How many sockets there are among the items.
    sockets: usize,
    deadline: Option<Instant>,
    mask: Option<&'a libc::sigset_t>,
    slept: bool,
}

impl Wait<'_> {
    fn run<T>(
        &mut self,
        items: &mut [Item],
        attempt: &mut impl FnMut(&mut [Item]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            self.claim(items)?;
            if let Some(found) = attempt(items)? {
                return Ok(Some(found));
            }
            if self.sockets > 0
                && !self.slept
                && gauge(SpinGauge::worth_trying)
                && let Some(found) = spin(items, attempt)?
            {
                return Ok(Some(found));
            }
            if self.is_over() {
                return Ok(None);
            }
            if let Some(found) = self.sleep(items, attempt)? {
                return Ok(Some(found));
            }
            if self.is_over() {
                return attempt(items);
            }
        }
    }

    fn claim(&self, items: &[Item]) -> Result<()> {
        if self.sockets > CLAIMED_SOCKETS {
            return Ok(());
        }
        for socket in items.iter().filter(|item| item.wants_input()).filter_map(Item::socket) {
            if let Some(open) = socket.lock()?.as_mut() {
                open.claim();
            }
        }
        Ok(())
    }

    fn sleep<T>(
        &mut self,
        items: &mut [Item],
        attempt: &mut impl FnMut(&mut [Item]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let parker = Parker::current()?;
        for socket in items.iter().filter_map(Item::socket) {
            socket.add_waiter(&parker);
        }
        // What came before the parker was there to be woken is found by this attempt.
        let result = match attempt(items) {
            Ok(None) => self.sleep_registered(items, &parker).map(|()| None),
            result => result,
        };
        for socket in items.iter().filter_map(Item::socket) {
            socket.remove_waiter(&parker);
        }
        parker.reset();
        self.slept = true;
        result
    }

    fn sleep_registered(&self, items: &[Item], parker: &Parker) -> Result<()> {
        let mut sleepers = Vec::new();
        let mut fds = Vec::with_capacity(1 + items.len());
        fds.push(libc::pollfd { fd: parker.fd(), events: libc::POLLIN, revents: 0 });
        for item in items {
            let socket = match item.what {
                What::Descriptor(fd) => {
                    fds.push(pollfd(fd, item.events));
                    continue;
                }
                What::Socket(socket) => socket,
            };
            let mut core = socket.lock()?;
            let open = core.as_mut().ok_or(Error::NOTSOCK)?;
            if !open.is_claimed() {
                continue;
            }
            if !item.wants_input() {
                open.release();
            } else if let Some(set) = open.connections() {
                if set.has_ready() {
                    return Ok(());
                }
                fds.push(libc::pollfd { fd: set.fd(), events: libc::POLLIN, revents: 0 });
                sleepers.push(set.sleeper());
            }
        }
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        poll_fds_masked(&mut fds, parker.rest(left), self.mask)?;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Keeps the claims in lively traffic, gives them back otherwise.
    fn leave(&self, items: &[Item], found: bool) {
        for socket in items.iter().filter_map(Item::socket) {
            if let Ok(mut core) = socket.lock()
                && let Some(open) = core.as_mut()
            {
                open.settle_claim(found && !self.slept);
            }
        }
    }
}

/// Attempts again and again for a short while, letting others run in between.
fn spin<T>(
    items: &mut [Item],
    attempt: &mut impl FnMut(&mut [Item]) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut now = Instant::now();
    let until = gauge(|gauge| Some(gauge.until(now))).unwrap_or(now);
    let mut alone = true;
    while now < until && alone {
        alone = gauge(|gauge| gauge.yield_now(&mut now));
        if let Some(found) = attempt(items)? {
            gauge(|gauge| gauge.hit(now));
            return Ok(Some(found));
        }
    }
    gauge(SpinGauge::miss);
    Ok(None)
}
