// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The poller object, zmq_poller(3): sockets and descriptors registered once, waited for often.
//!
//! A wait works on a copy of what is registered, so that another thread may change the poller
//! meanwhile; the next wait goes by that.

use super::poll::{self, Item, What};
use crate::abi::*;
use crate::ctx::handles::{self, Kind};
use crate::errno::{Error, Result};
use crate::fork::Global;
use crate::socket::{NamedSocket, Parker};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ffi::{c_long, c_void};
use std::os::fd::RawFd;
use std::sync::Arc;

const EVENTS: i32 = ZMQ_POLLIN | ZMQ_POLLOUT | ZMQ_POLLERR | ZMQ_POLLPRI;

/// What is registered with a poller.
#[derive(Default)]
struct Poller {
    entries: Vec<Entry>,
    /// A socket that several threads may use was added once.
    thread_safe_seen: bool,
    /// What zmq_poller_fd(3) has given away: woken by those sockets.
    signal: Option<Arc<Parker>>,
    /// Memory for the next wait.
    memory: Snapshot,
}

struct Entry {
    what: What,
    /// The application's pointer, as a number.
    user_data: usize,
    events: i16,
}

/// What a wait is for, in the order of registration.
#[derive(Default)]
struct Snapshot {
    items: Vec<Item>,
    user_data: Vec<usize>,
}

/// What a call names an entry by.
#[derive(Clone, Copy)]
pub enum Key {
    Socket(*mut c_void),
    Descriptor(RawFd),
}

impl Key {
    /// ENOTSOCK, EBADF.
    fn check(self) -> Result<What> {
        match self {
            Key::Socket(handle) => Ok(What::Socket(NamedSocket::new(handle)?)),
            Key::Descriptor(-1) => Err(Error::BADF),
            Key::Descriptor(fd) => Ok(What::Descriptor(fd)),
        }
    }

    fn names(self, what: What) -> bool {
        match (self, what) {
            (Key::Socket(handle), What::Socket(socket)) => socket.handle() == handle,
            (Key::Descriptor(fd), What::Descriptor(registered)) => fd == registered,
            _ => false,
        }
    }
}

/// zmq_poller_new: EMFILE, ENOMEM.
pub fn new() -> Result<*mut c_void> {
    let number = crate::io::next_id() as usize;
    POLLERS.lock().insert(number, Arc::default());
    handles::open(Kind::Poller, number).inspect_err(|_| {
        POLLERS.lock().remove(&number);
    })
}

/// zmq_poller_destroy: EFAULT. A wait in another thread goes on to its end.
pub fn destroy(handle: *mut c_void) -> Result<()> {
    let number = handles::value(Kind::Poller, handle).ok_or(Error::FAULT)?;
    if !handles::close(Kind::Poller, handle) {
        return Err(Error::FAULT);
    }
    let poller = POLLERS.lock().remove(&number);
    drop(poller);
    Ok(())
}

/// zmq_poller_size: EFAULT.
pub fn size(handle: *mut c_void) -> Result<usize> {
    with(handle, |poller| Ok(poller.entries.len()))
}

/// zmq_poller_add and zmq_poller_add_fd: EFAULT for the poller, ENOTSOCK or EBADF, EINVAL for
/// unknown events and what is registered already.
pub fn add(handle: *mut c_void, key: Key, user_data: *mut c_void, events: i16) -> Result<()> {
    with(handle, |poller| poller.add(key, user_data as usize, events))
}

/// zmq_poller_modify and zmq_poller_modify_fd: as [`add`], EINVAL for what is not registered.
pub fn modify(handle: *mut c_void, key: Key, events: i16) -> Result<()> {
    with(handle, |poller| {
        key.check()?;
        check_events(events)?;
        poller.entry(key)?.events = events;
        Ok(())
    })
}

/// zmq_poller_remove and zmq_poller_remove_fd: as [`modify`]. For a socket that was closed this is
/// ENOTSOCK, too, yet the poller forgets it.
pub fn remove(handle: *mut c_void, key: Key) -> Result<()> {
    with(handle, |poller| {
        let removed = poller.remove(key);
        key.check()?;
        removed
    })
}

/// zmq_poller_wait_all: fills `events` from the front and returns how many there are.
///
/// EAGAIN when the time is over, EFAULT when nothing could ever happen and there is no timeout,
/// EINTR, ETERM, ENOTSOCK for a socket that was closed.
pub fn wait(
    handle: *mut c_void,
    events: &mut [zmq_poller_event_t],
    timeout: c_long,
) -> Result<usize> {
    let poller = lookup(handle)?;
    let mut snapshot = poller.lock().snapshot();
    let mut waited = snapshot.wait(!events.is_empty(), timeout);
    if let Ok(count) = &mut waited
        && *count > 0
    {
        *count = snapshot.report(events);
    }
    poller.lock().memory = snapshot;
    match waited {
        Ok(0) => Err(Error::AGAIN),
        result => result,
    }
}

/// zmq_poller_fd: a descriptor that is readable when something may have happened to one of the
/// sockets that several threads may use. EINVAL when none was ever added, EFAULT, EMFILE.
pub fn fd(handle: *mut c_void) -> Result<RawFd> {
    with(handle, Poller::fd)
}

fn check_events(events: i16) -> Result<()> {
    if i32::from(events) & !EVENTS == 0 { Ok(()) } else { Err(Error::INVAL) }
}

type Shared = Arc<Mutex<Poller>>;

static POLLERS: Global<BTreeMap<usize, Shared>> = Global::new(BTreeMap::new());

fn lookup(handle: *mut c_void) -> Result<Shared> {
    let number = handles::value(Kind::Poller, handle).ok_or(Error::FAULT)?;
    POLLERS.lock().get(&number).cloned().ok_or(Error::FAULT)
}

fn with<T>(handle: *mut c_void, call: impl FnOnce(&mut Poller) -> Result<T>) -> Result<T> {
    call(&mut lookup(handle)?.lock())
}

impl Poller {
    fn position(&self, key: Key) -> Option<usize> {
        self.entries.iter().position(|entry| key.names(entry.what))
    }

    fn entry(&mut self, key: Key) -> Result<&mut Entry> {
        let position = self.position(key).ok_or(Error::INVAL)?;
        self.entries.get_mut(position).ok_or(Error::INVAL)
    }

    fn add(&mut self, key: Key, user_data: usize, events: i16) -> Result<()> {
        let what = key.check()?;
        check_events(events)?;
        if self.position(key).is_some() {
            return Err(Error::INVAL);
        }
        if let What::Socket(socket) = what
            && socket.is_thread_safe()?
        {
            self.thread_safe_seen = true;
            if let Some(signal) = &self.signal {
                attach(socket, signal)?;
            }
        }
        self.entries.push(Entry { what, user_data, events });
        Ok(())
    }

    fn remove(&mut self, key: Key) -> Result<()> {
        let position = self.position(key).ok_or(Error::INVAL)?;
        let entry = self.entries.remove(position);
        if let (What::Socket(socket), Some(signal)) = (entry.what, &self.signal) {
            socket.remove_waiter(signal);
        }
        Ok(())
    }

    fn fd(&mut self) -> Result<RawFd> {
        if !self.thread_safe_seen {
            return Err(Error::INVAL);
        }
        if let Some(signal) = &self.signal {
            return Ok(signal.fd());
        }
        let signal = self.signal.insert(Arc::new(Parker::new()?));
        for entry in &self.entries {
            if let What::Socket(socket) = entry.what
                && let Ok(true) = socket.is_thread_safe()
            {
                attach(socket, signal)?;
            }
        }
        Ok(signal.fd())
    }

    fn snapshot(&mut self) -> Snapshot {
        if let Some(signal) = &self.signal {
            signal.clear();
        }
        let mut snapshot = std::mem::take(&mut self.memory);
        snapshot.items.clear();
        snapshot.user_data.clear();
        for entry in &self.entries {
            // A socket of which nothing is wanted is still looked at, for ETERM.
            if entry.events != 0 || matches!(entry.what, What::Socket(_)) {
                snapshot.items.push(Item::new(entry.what, entry.events));
                snapshot.user_data.push(entry.user_data);
            }
        }
        snapshot
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let Some(signal) = &self.signal else { return };
        for entry in &self.entries {
            if let What::Socket(socket) = entry.what {
                socket.remove_waiter(signal);
            }
        }
    }
}

/// Has `signal` woken by the socket. There may be something to see already.
fn attach(socket: NamedSocket, signal: &Arc<Parker>) -> Result<()> {
    socket.read_in_background()?;
    socket.add_waiter(signal);
    signal.unpark();
    Ok(())
}

impl Snapshot {
    fn wait(&mut self, has_room: bool, timeout: c_long) -> Result<usize> {
        if has_room && self.items.iter().any(|item| item.events != 0) {
            return poll::wait(&mut self.items, timeout, None);
        }
        if timeout < 0 {
            return Err(Error::FAULT);
        }
        poll::wait(&mut [], timeout, None)
    }

    fn report(&self, events: &mut [zmq_poller_event_t]) -> usize {
        let happened =
            self.items.iter().zip(&self.user_data).filter(|(item, _)| item.happened != 0);
        let mut count = 0;
        for (event, (item, user_data)) in events.iter_mut().zip(happened) {
            let (socket, fd) = match item.what {
                What::Socket(socket) => (socket.handle(), -1),
                What::Descriptor(fd) => (std::ptr::null_mut(), fd),
            };
            let user_data = *user_data as *mut c_void;
            *event = zmq_poller_event_t { socket, fd, user_data, events: item.happened };
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctx;
    use crate::socket::api;
    use std::time::{Duration, Instant};

    const IN: i16 = ZMQ_POLLIN as i16;
    const OUT: i16 = ZMQ_POLLOUT as i16;
    const NO_EVENT: zmq_poller_event_t = zmq_poller_event_t {
        socket: std::ptr::null_mut(),
        fd: -1,
        user_data: std::ptr::null_mut(),
        events: 0,
    };

    /// A context with two PAIR sockets joined to each other.
    struct Bench {
        context: *mut c_void,
        sockets: [*mut c_void; 2],
    }

    impl Bench {
        fn new() -> Bench {
            let context = ctx::api::new().unwrap();
            let sockets = [0, 1].map(|_| api::open(context, ZMQ_PAIR).unwrap());
            api::bind(sockets[0], c"inproc://bench").unwrap();
            api::connect(sockets[1], c"inproc://bench").unwrap();
            Bench { context, sockets }
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            for socket in self.sockets {
                let _ = api::close(socket);
            }
            ctx::api::term(self.context).unwrap();
        }
    }

    fn wait_one(poller: *mut c_void, timeout: c_long) -> Result<zmq_poller_event_t> {
        let mut events = [NO_EVENT];
        wait(poller, &mut events, timeout).map(|count| {
            assert_eq!(count, 1);
            events[0]
        })
    }

    #[test]
    fn registration() {
        let bench = Bench::new();
        let (poller, null) = (new().unwrap(), std::ptr::null_mut());
        let (socket, closed) = (Key::Socket(bench.sockets[0]), Key::Socket(bench.sockets[1]));
        let (none, unknown) = (Key::Descriptor(-1), Key::Descriptor(7));
        for (result, expected) in [
            (add(bench.sockets[0], socket, null, IN), Err(Error::FAULT)),
            (add(poller, Key::Socket(null), null, IN), Err(Error::NOTSOCK)),
            (add(poller, Key::Socket(poller), null, IN), Err(Error::NOTSOCK)),
            (add(poller, none, null, IN), Err(Error::BADF)),
            (add(poller, socket, null, i16::MAX), Err(Error::INVAL)),
            (add(poller, socket, null, 0), Ok(())),
            (add(poller, socket, null, IN), Err(Error::INVAL)),
            (add(poller, closed, null, IN), Ok(())),
            (modify(poller, socket, 16), Err(Error::INVAL)),
            (modify(poller, socket, OUT), Ok(())),
            (modify(poller, unknown, IN), Err(Error::INVAL)),
            (modify(poller, none, IN), Err(Error::BADF)),
            (remove(poller, unknown), Err(Error::INVAL)),
            (remove(poller, none), Err(Error::BADF)),
            (size(poller).map(|size| assert_eq!(size, 2)), Ok(())),
            (fd(poller).map(drop), Err(Error::INVAL)),
            (remove(poller, socket), Ok(())),
            (remove(poller, socket), Err(Error::INVAL)),
            (api::close(bench.sockets[1]), Ok(())),
            (wait_one(poller, 0).map(drop), Err(Error::NOTSOCK)),
            (remove(poller, closed), Err(Error::NOTSOCK)),
            (size(poller).map(|size| assert_eq!(size, 0)), Ok(())),
            (destroy(poller), Ok(())),
            (destroy(poller), Err(Error::FAULT)),
            (size(poller).map(drop), Err(Error::FAULT)),
        ] {
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn events_come_in_the_order_of_registration() {
        let bench = Bench::new();
        let poller = new().unwrap();
        let [first, second] = bench.sockets;
        add(poller, Key::Socket(second), first, IN | OUT).unwrap();
        add(poller, Key::Socket(first), second, IN | OUT).unwrap();
        api::send_bytes(first, b"x", 0).unwrap();
        let mut events = [NO_EVENT; 3];
        assert_eq!(wait(poller, &mut events, -1), Ok(2));
        let seen = events.map(|event| (event.socket, event.user_data, event.events));
        let null = std::ptr::null_mut();
        assert_eq!(seen, [(second, first, IN | OUT), (first, second, OUT), (null, null, 0)]);
        // One event at a time is the first; an item without events never fires.
        assert_eq!(wait_one(poller, -1).unwrap().socket, second);
        modify(poller, Key::Socket(second), 0).unwrap();
        assert_eq!(wait_one(poller, -1).unwrap().socket, first);
        destroy(poller).unwrap();
    }

    #[test]
    fn descriptors() {
        use std::os::fd::AsRawFd;
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (poller, key) = (new().unwrap(), Key::Descriptor(near.as_raw_fd()));
        add(poller, key, poller, IN).unwrap();
        assert_eq!(wait_one(poller, 0).map(drop), Err(Error::AGAIN));
        drop(far);
        let event = wait_one(poller, -1).unwrap();
        assert_eq!((event.fd, event.user_data), (near.as_raw_fd(), poller));
        assert!(event.socket.is_null() && event.events & IN != 0);
        modify(poller, key, 0).unwrap();
        assert_eq!(wait_one(poller, 0).map(drop), Err(Error::AGAIN));
        destroy(poller).unwrap();
    }

    #[test]
    fn waits_without_hope() {
        let bench = Bench::new();
        let poller = new().unwrap();
        for registered in [false, true] {
            if registered {
                let socket = Key::Socket(bench.sockets[0]);
                add(poller, socket, std::ptr::null_mut(), 0).unwrap();
            }
            assert_eq!(wait_one(poller, -1).map(drop), Err(Error::FAULT));
            assert_eq!(wait(poller, &mut [], -1), Err(Error::FAULT));
            let start = Instant::now();
            assert_eq!(wait_one(poller, 30).map(drop), Err(Error::AGAIN));
            assert!(start.elapsed() >= Duration::from_millis(30));
        }
        destroy(poller).unwrap();
    }

    #[test]
    fn the_end_of_the_context_is_told() {
        let bench = Bench::new();
        let poller = new().unwrap();
        let socket = Key::Socket(bench.sockets[0]);
        add(poller, socket, std::ptr::null_mut(), IN).unwrap();
        let handle = poller as usize;
        let waiting = std::thread::spawn(move || wait_one(handle as *mut c_void, -1).map(drop));
        std::thread::sleep(Duration::from_millis(20));
        ctx::api::shutdown(bench.context).unwrap();
        assert_eq!(waiting.join().unwrap(), Err(Error::TERM));
        destroy(poller).unwrap();
    }

    /// What zmq_poller_fd gives away, tried with sockets of another type.
    #[test]
    fn the_descriptor_tells_of_news() {
        let bench = Bench::new();
        let poller = new().unwrap();
        let [first, second] = bench.sockets;
        add(poller, Key::Socket(first), std::ptr::null_mut(), IN).unwrap();
        let fd = with(poller, |poller| {
            poller.thread_safe_seen = true;
            let fd = poller.fd()?;
            let signal = poller.signal.clone().ok_or(Error::INVAL)?;
            attach(NamedSocket::new(first)?, &signal)?;
            Ok(fd)
        })
        .unwrap();
        let readable = |timeout| {
            let mut fds = [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }];
            crate::transport::poll_fds(&mut fds, Some(Duration::from_millis(timeout))) == Ok(1)
        };
        assert!(readable(0), "there may be something to see");
        assert_eq!(wait_one(poller, 0).map(drop), Err(Error::AGAIN));
        assert!(!readable(0));
        api::send_bytes(second, b"x", 0).unwrap();
        assert!(readable(5000));
        assert_eq!(wait_one(poller, 0).unwrap().socket, first);
        remove(poller, Key::Socket(first)).unwrap();
        destroy(poller).unwrap();
    }
}
