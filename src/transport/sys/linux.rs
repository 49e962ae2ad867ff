// SPDX-License-Identifier: MPL-2.0
//! What is Linux's own: eventfd(2), accept4(2), ppoll(2), and the socket options and peer
//! credentials of socket(7), tcp(7) and unix(7).

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage, SockRef};

use super::{check, owned, set_option};
use crate::endpoint::TipcAddress;
use crate::errno::{Error, Result};
use crate::transport::ipc::Credentials;

/// A write to a connection that is gone is an error here, not a signal.
pub const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;

/// Whether ipc names may live outside the file system (`@name`).
pub const ABSTRACT_NAMES: bool = true;

/// A wake-up that can be waited for with poll(2): readable from a signal until it is drained.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// # Errors
    /// MFILE, NFILE, NOMEM.
    pub fn new() -> Result<EventFd> {
        // SAFETY: takes two integers.
        let result = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(EventFd(File::from(owned(result)?)))
    }

    /// Makes the descriptor readable. Signals that nobody drained become one.
    pub fn signal(&self) -> Result<()> {
        match (&self.0).write_all(&1u64.to_ne_bytes()).map_err(Error::from) {
            // The counter is full, so the descriptor is as readable as can be.
            Err(Error::AGAIN) => Ok(()),
            result => result,
        }
    }

    /// Makes the descriptor unreadable again; whether there had been a signal.
    pub fn drain(&self) -> Result<bool> {
        match (&self.0).read_exact(&mut [0; size_of::<u64>()]).map_err(Error::from) {
            Ok(()) => Ok(true),
            Err(Error::AGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The descriptor's number, as `ZMQ_FD` tells it.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `fds` is ready or the time is over; `None` waits for ever. How many are
/// ready.
///
/// # Errors
/// INTR when a signal handler ran, which the callers pass on to the application.
pub fn poll_fds(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<usize> {
    poll_fds_masked(fds, timeout, None)
}

/// As [`poll_fds`], with another signal mask for the time of the wait, if there is one.
pub fn poll_fds_masked(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    mask: Option<&libc::sigset_t>,
) -> Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array and its length belong together; the time and the mask are null or live
    // through the call.
    let result = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, mask) };
    usize::try_from(result).map_err(|_| Error::last_os_error())
}

/// Accepts one connection as a non-blocking, close-on-exec descriptor; the peer's address if it
/// has one of IP.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let mut storage = SockAddrStorage::zeroed();
    let mut length = storage.size_of();
    // SAFETY: the storage is a sockaddr_storage, and the length is its own.
    let result = unsafe {
        let address: *mut libc::sockaddr = (&raw mut storage).cast();
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        libc::accept4(listener.as_raw_fd(), address, &mut length, flags)
    };
    let descriptor = owned(result)?;
    // SAFETY: the kernel filled in the storage and its length.
    let address = unsafe { socket2::SockAddr::new(storage, length) };
    Ok((descriptor, address.as_socket()))
}

/// Who is at the other end of an ipc connection, as of its connect or listen.
pub fn peer_credentials(socket: BorrowedFd<'_>) -> Result<Credentials> {
    let mut credentials = MaybeUninit::<libc::ucred>::uninit();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the buffer is a ucred, and the length is its own.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            credentials.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    if (length as usize) < size_of::<libc::ucred>() {
        return Err(Error::INVAL);
    }
    // SAFETY: the kernel said it wrote all of it.
    let libc::ucred { pid, uid, gid } = unsafe { credentials.assume_init() };
    Ok(Credentials { uid, gid, pid })
}

/// `SO_PRIORITY`. More than 6 takes CAP_NET_ADMIN.
pub fn set_priority(socket: BorrowedFd<'_>, priority: libc::c_int) -> Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_PRIORITY, priority)
}

/// `SO_BUSY_POLL`, in microseconds. To raise it takes CAP_NET_ADMIN.
pub fn set_busy_poll(socket: BorrowedFd<'_>, microseconds: libc::c_int) -> Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, microseconds)
}

/// `TCP_USER_TIMEOUT`, in milliseconds.
pub fn set_user_timeout(socket: BorrowedFd<'_>, milliseconds: libc::c_int) -> Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, milliseconds)
}

/// `SO_BINDTODEVICE`.
///
/// # Errors
/// NODEV for a name there is none of, PERM without CAP_NET_RAW.
pub fn bind_to_device(socket: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    Ok(SockRef::from(&socket).bind_device(Some(name))?)
}

/// The sockaddr_tipc of linux/tipc.h.
#[repr(C)]
struct TipcSocketAddress {
    family: libc::sa_family_t,
    address_type: u8,
    scope: i8,
    /// A range: type, lower, upper. A name: type, instance, domain. An identity: reference, node.
    address: [u32; 3],
}

const TIPC_RANGE: u8 = 1;
const TIPC_NAME: u8 = 2;
const TIPC_IDENTITY: u8 = 3;
const TIPC_ZONE_SCOPE: i8 = 1;

/// The socket address of an address of tipc.
pub fn tipc_address(address: &TipcAddress) -> SockAddr {
    let (address_type, scope, address) = match *address {
        TipcAddress::Range { kind, lower, upper } => {
            (TIPC_RANGE, TIPC_ZONE_SCOPE, [kind, lower, upper])
        }
        TipcAddress::Instance { kind, instance, domain } => {
            (TIPC_NAME, 0, [kind, instance, domain])
        }
        TipcAddress::Port { node, reference } => (TIPC_IDENTITY, 0, [reference, node, 0]),
    };
    let family = libc::AF_TIPC as libc::sa_family_t;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: plain integers, fewer bytes than a sockaddr_storage has and no stricter aligned; the
    // length is that of what was written.
    unsafe {
        let place = storage.view_as::<TipcSocketAddress>();
        *place = TipcSocketAddress { family, address_type, scope, address };
        SockAddr::new(storage, size_of::<TipcSocketAddress>() as libc::socklen_t)
    }
}

/// Node and reference of a socket address of tipc, if it is an identity.
pub fn tipc_identity(address: &SockAddr) -> Option<(u32, u32)> {
    if i32::from(address.family()) != libc::AF_TIPC
        || (address.len() as usize) < size_of::<TipcSocketAddress>()
    {
        return None;
    }
    // SAFETY: the memory behind a SockAddr is a sockaddr_storage, at least as long and as strictly
    // aligned, and of this family; any bytes are integers.
    let address = unsafe { &*address.as_ptr().cast::<TipcSocketAddress>() };
    let [reference, node, _] = address.address;
    (address.address_type == TIPC_IDENTITY).then_some((node, reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn readable(event: &EventFd, timeout: Option<Duration>) -> Result<usize> {
        let mut fds = [libc::pollfd { fd: event.fd(), events: libc::POLLIN, revents: 0 }];
        let count = poll_fds(&mut fds, timeout)?;
        assert_eq!(count == 1, fds[0].revents == libc::POLLIN);
        Ok(count)
    }

    #[test]
    fn an_event_is_readable_until_drained() {
        let event = EventFd::new().unwrap();
        assert_eq!(readable(&event, Some(Duration::ZERO)), Ok(0));
        assert_eq!(event.drain(), Ok(false));
        event.signal().unwrap();
        event.signal().unwrap();
        assert_eq!(readable(&event, None), Ok(1));
        assert_eq!(event.drain(), Ok(true));
        assert_eq!(event.drain(), Ok(false));
        assert_eq!(readable(&event, Some(Duration::ZERO)), Ok(0));
    }

    #[test]
    fn a_full_counter_is_still_a_signal() {
        let event = EventFd::new().unwrap();
        assert_eq!((&event.0).write(&(u64::MAX - 1).to_ne_bytes()).unwrap(), 8);
        event.signal().unwrap();
        assert_eq!(event.drain(), Ok(true));
    }

    #[test]
    fn poll_waits_in_fractions_of_a_millisecond() {
        let event = EventFd::new().unwrap();
        let start = Instant::now();
        assert_eq!(readable(&event, Some(Duration::from_micros(300))), Ok(0));
        assert!(start.elapsed() >= Duration::from_micros(300));
        event.signal().unwrap();
        assert_eq!(readable(&event, Some(Duration::MAX)), Ok(1));
    }

    /// A handler that only makes waits return.
    extern "C" fn interrupt(_signal: libc::c_int) {}

    #[test]
    fn a_signal_handler_interrupts_poll() {
        // SAFETY: zeroed is a valid sigaction; the handler does nothing; the old one is restored
        // by nobody, as no other test uses SIGUSR2.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = interrupt as *const () as libc::sighandler_t;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
        }
        // SAFETY: no arguments.
        let waiting = unsafe { libc::pthread_self() };
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    // SAFETY: the thread lives as long as this scope.
                    unsafe { libc::pthread_kill(waiting, libc::SIGUSR2) };
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            assert_eq!(poll_fds(&mut [], Some(Duration::from_secs(30))), Err(Error::INTR));
            done.store(true, std::sync::atomic::Ordering::Release);
        });
    }
}
