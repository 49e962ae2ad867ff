// SPDX-License-Identifier: MPL-2.0
//! The system calls that std and socket2 do not offer, each wrapped so that its caller is safe
//! code.
//!
//! What a platform has to give, beside what POSIX has, is the list of names taken from `linux`
//! below: another system is another file with the same names.

mod linux;
mod lookup;
mod scatter;
mod threads;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

pub use linux::{
    ABSTRACT_NAMES, EventFd, SEND_FLAGS, accept, bind_to_device, peer_credentials, poll_fds,
    poll_fds_masked, set_busy_poll, set_priority, set_user_timeout, tipc_address, tipc_identity,
};
pub use lookup::{
    group_has_member, interface_address, interface_index, interface_name, lookup, user_name,
};
pub use scatter::read_message;
pub use threads::{Thread, sched_yield, set_timer_slack};

use crate::errno::{Error, Result};

/// setsockopt(2) for an option that is an int.
pub fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an int that lives through the call, and the length is an int's.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length)
    })
}

/// Whether the system has IPv6 sockets. Asked once; only a clear no is one.
pub fn ipv6_supported() -> bool {
    static SUPPORTED: AtomicBool = AtomicBool::new(false);
    if SUPPORTED.load(Ordering::Relaxed) {
        return true;
    }
    match Socket::new(Domain::IPV6, Type::STREAM, None) {
        Ok(_) => {
            SUPPORTED.store(true, Ordering::Relaxed);
            true
        }
        Err(error) => error.raw_os_error() != Some(libc::EAFNOSUPPORT),
    }
}

/// Takes over a listening socket that the application made, and makes it non-blocking. After an
/// error it is still the application's.
///
/// # Errors
/// BADF or NOTSOCK when it is no socket, INVAL when it does not listen or is of another family.
pub fn adopt_listener(descriptor: RawFd, families: &[Domain]) -> Result<Socket> {
    if descriptor < 0 {
        return Err(Error::BADF);
    }
    // SAFETY: not -1. That the number is a descriptor is for the system calls below to find out;
    // the borrow ends with them.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let socket = SockRef::from(&borrowed);
    let family = socket.domain()?;
    if !families.contains(&family) || !socket.is_listener()? {
        return Err(Error::INVAL);
    }
    socket.set_nonblocking(true)?;
    // SAFETY: just found to be an open descriptor. ZMQ_USE_FD hands it over, so that nobody else
    // closes it.
    Ok(Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// recvfrom(2) into memory that is initialised already.
pub fn receive_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    // SAFETY: the same bytes, which are only written to, and only with bytes that are initialised.
    let buffer = unsafe {
        std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<MaybeUninit<u8>>(), buffer.len())
    };
    SockRef::from(&socket).recv_from(buffer)
}

/// Makes a new directory from `template`, a path that ends in `XXXXXX`, for this user alone.
pub fn make_unique_directory(template: PathBuf) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut template = template.into_os_string().into_vec();
    template.push(0);
    // SAFETY: a string that ends in NUL, which mkdtemp changes in place and does not lengthen.
    if unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) }.is_null() {
        return Err(Error::last_os_error());
    }
    template.pop();
    Ok(PathBuf::from(std::ffi::OsString::from_vec(template)))
}

/// Whether exec(2) closes the descriptor.
#[cfg(test)]
pub fn is_close_on_exec(descriptor: BorrowedFd<'_>) -> bool {
    // SAFETY: takes and gives integers.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC != 0
}

fn check(result: libc::c_int) -> Result<()> {
    if result == -1 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// The descriptor a system call returned, or the error it left in errno.
fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the callers pass on what a successful system call just created.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::{AsFd, IntoRawFd};

    #[test]
    fn adopting_checks_first() {
        let families = [Domain::IPV4];
        assert_eq!(adopt_listener(-1, &families).unwrap_err(), Error::BADF);
        assert_eq!(adopt_listener(1_000_000, &families).unwrap_err(), Error::BADF);

        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(adopt_listener(file.as_raw_fd(), &families).unwrap_err(), Error::NOTSOCK);

        let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert_eq!(adopt_listener(idle.as_raw_fd(), &families).unwrap_err(), Error::INVAL);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.as_raw_fd();
        assert_eq!(adopt_listener(number, &[Domain::UNIX]).unwrap_err(), Error::INVAL);
        let socket = adopt_listener(listener.into_raw_fd(), &families).unwrap();
        assert_eq!(socket.as_raw_fd(), number);
        assert!(socket.nonblocking().unwrap());
        assert_eq!(accept(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn unique_directories() {
        let template = std::env::temp_dir().join("ferrozmq-XXXXXX");
        let first = make_unique_directory(template.clone()).unwrap();
        let second = make_unique_directory(template).unwrap();
        assert_ne!(first, second);
        assert!(first.is_dir() && second.is_dir());
        std::fs::remove_dir(first).unwrap();
        std::fs::remove_dir(second).unwrap();
        assert_eq!(
            make_unique_directory(PathBuf::from("/nonexistent/XXXXXX")).unwrap_err(),
            Error::NOENT
        );
    }
}
