// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Sockets that are kept hold of between calls: by a poll, a poller, a proxy.

use super::{Guard, Open, Parker, Socket};
use crate::errno::{Error, Result};
use std::ffi::c_void;
use std::sync::Arc;

/// A socket together with the handle it was found by. The memory of a closed socket may belong to
/// another one later; its handle tells.
#[derive(Clone, Copy)]
pub struct NamedSocket {
    /// The address that the handle is, as a number: nothing is read through it here.
    handle: usize,
    socket: &'static Socket,
}

impl NamedSocket {
    /// ENOTSOCK: the handle is none of a socket.
    #[inline]
    pub fn new(handle: *mut c_void) -> Result<NamedSocket> {
        Ok(NamedSocket { handle: handle as usize, socket: Socket::lookup(handle)? })
    }

    pub fn handle(self) -> *mut c_void {
        self.handle as *mut c_void
    }

    /// Locks the open socket. ENOTSOCK: it was closed. ETERM, EINTR: see [`Socket::check`].
    #[inline]
    pub fn lock(self) -> Result<Guard> {
        let core = self.socket.lock()?;
        // Whoever closes a socket ends its handle first and then waits for the lock.
        if core.is_none() || Socket::lookup(self.handle()).is_err() {
            return Err(Error::NOTSOCK);
        }
        self.socket.check()?;
        Ok(core)
    }

    /// See [`Socket::is_resting`]; a closed socket is not.
    #[inline]
    pub fn is_resting(self) -> bool {
        self.socket.is_resting() && Socket::lookup(self.handle()).is_ok()
    }

    /// Whether it is of a type that libzmq lets several threads use. ENOTSOCK.
    pub fn is_thread_safe(self) -> Result<bool> {
        self.open(|open| open.is_thread_safe_type())
    }

    /// `ZMQ_PAIR` and so on. ENOTSOCK.
    pub fn socket_type(self) -> Result<i32> {
        self.open(|open| open.options.socket_type)
    }

    /// Leaves reading to the I/O threads for good, because the application waits for the socket
    /// by other means than its calls. ENOTSOCK.
    pub fn read_in_background(self) -> Result<()> {
        self.open(|open| {
            open.background = true;
            open.release();
        })
    }

    /// Runs `call` on the open socket, whether its context is terminating or not.
    fn open<T>(self, call: impl FnOnce(&mut Open) -> T) -> Result<T> {
        let mut core = self.socket.lock()?;
        match core.as_mut() {
            Some(open) if Socket::lookup(self.handle()).is_ok() => Ok(call(open)),
            _ => Err(Error::NOTSOCK),
        }
    }

    /// See [`Socket::add_waiter`].
    pub fn add_waiter(self, parker: &Arc<Parker>) {
        self.socket.add_waiter(parker);
    }

    pub fn remove_waiter(self, parker: &Arc<Parker>) {
        self.socket.remove_waiter(parker);
    }
}

impl PartialEq for NamedSocket {
    fn eq(&self, other: &NamedSocket) -> bool {
        self.handle == other.handle
    }
}
