// SPDX-License-Identifier: MPL-2.0
//! The error type of every layer: a C errno value.
//!
//! libzmq's interface reports errors as errno values, some of them its own (above
//! [`HAUSNUMERO`]). Errors from the operating system keep their number, so nothing is lost on the
//! way up; the C entries store it with [`set_errno`] as their last act.

use std::fmt;

/// Base of the error numbers that ZeroMQ defines itself (`ZMQ_HAUSNUMERO`).
pub const HAUSNUMERO: i32 = 156_384_712;

/// An error, by its errno value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error(i32);

/// The result type used throughout the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One row an error: the name of the constant, its number and its text where libzmq has its own.
macro_rules! errors {
    ($($name:ident = $value:expr $(, $text:literal)?;)*) => {
        impl Error {
            $(pub const $name: Error = Error($value);)*
        }

        const OWN_TEXTS: &[(i32, &std::ffi::CStr)] = &[$($(($value, $text),)?)*];

        const NAMES: &[(i32, &str)] = &[$(($value, concat!("E", stringify!($name))),)*];
    };
}

errors! {
    PERM = libc::EPERM;
    NOENT = libc::ENOENT;
    INTR = libc::EINTR;
    BADF = libc::EBADF;
    AGAIN = libc::EAGAIN;
    NOMEM = libc::ENOMEM;
    ACCES = libc::EACCES;
    FAULT = libc::EFAULT;
    NODEV = libc::ENODEV;
    INVAL = libc::EINVAL;
    NFILE = libc::ENFILE;
    MFILE = libc::EMFILE;
    PIPE = libc::EPIPE;
    NAMETOOLONG = libc::ENAMETOOLONG;
    PROTO = libc::EPROTO;
    NOTSUP = libc::ENOTSUP;
    PROTONOSUPPORT = libc::EPROTONOSUPPORT;
    NOTSOCK = libc::ENOTSOCK;
    MSGSIZE = libc::EMSGSIZE;
    AFNOSUPPORT = libc::EAFNOSUPPORT;
    ADDRINUSE = libc::EADDRINUSE;
    ADDRNOTAVAIL = libc::EADDRNOTAVAIL;
    NOBUFS = libc::ENOBUFS;
    CONNREFUSED = libc::ECONNREFUSED;
    CONNABORTED = libc::ECONNABORTED;
    CONNRESET = libc::ECONNRESET;
    NOTCONN = libc::ENOTCONN;
    TIMEDOUT = libc::ETIMEDOUT;
    INPROGRESS = libc::EINPROGRESS;
    HOSTUNREACH = libc::EHOSTUNREACH, c"Host unreachable";
    FSM = HAUSNUMERO + 51, c"Operation cannot be accomplished in current state";
    NOCOMPATPROTO = HAUSNUMERO + 52, c"The protocol is not compatible with the socket type";
    TERM = HAUSNUMERO + 53, c"Context was terminated";
    MTHREAD = HAUSNUMERO + 54, c"No thread available";
}

impl Error {
    /// The error with this errno value.
    pub const fn from_raw(errno: i32) -> Error {
        Error(errno)
    }

    /// What the last failed call into libc left in errno.
    pub fn last_os_error() -> Error {
        std::io::Error::last_os_error().into()
    }

    /// The errno value.
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// libzmq's own text for this error; `None` where the C library's `strerror` applies.
    pub fn own_text(self) -> Option<&'static std::ffi::CStr> {
        OWN_TEXTS.iter().find(|(value, _)| *value == self.0).map(|(_, text)| *text)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        use std::io::ErrorKind;
        match (error.raw_os_error(), error.kind()) {
            (Some(errno), _) => Error(errno),
            (None, ErrorKind::WouldBlock) => Error::AGAIN,
            (None, ErrorKind::Interrupted) => Error::INTR,
            (None, ErrorKind::OutOfMemory) => Error::NOMEM,
            (None, ErrorKind::UnexpectedEof) => Error::PIPE,
            (None, _) => Error::INVAL,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(value, _)| *value == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own_text() {
            Some(text) => f.write_str(&text.to_string_lossy()),
            None => std::io::Error::from_raw_os_error(self.0).fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Stores `error` as the calling thread's errno.
pub fn set_errno(error: Error) {
    // SAFETY: __errno_location returns a valid pointer to the calling thread's errno.
    unsafe { *libc::__errno_location() = error.raw() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_numbers_are_those_of_the_header() {
        assert_eq!(Error::FSM.raw(), 156_384_763);
        assert_eq!(Error::NOCOMPATPROTO.raw(), 156_384_764);
        assert_eq!(Error::TERM.raw(), 156_384_765);
        assert_eq!(Error::MTHREAD.raw(), 156_384_766);
    }

    #[test]
    fn texts() {
        assert_eq!(Error::TERM.own_text(), Some(c"Context was terminated"));
        assert_eq!(Error::INVAL.own_text(), None);
        assert_eq!(format!("{:?}", Error::AGAIN), "EAGAIN");
    }

    #[test]
    fn os_errors_keep_their_number() {
        assert_eq!(Error::from(std::io::Error::from_raw_os_error(111)), Error::CONNREFUSED);
    }
}
