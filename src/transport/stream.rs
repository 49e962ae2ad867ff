// SPDX-License-Identifier: MPL-2.0
//! A connected stream socket, tcp or ipc, with a TLS layer or without; or a datagram socket, which
//! has calls of its own.
//!
//! Every read and write is one attempt that never waits. "Would block" is an outcome of its own,
//! so it can be taken neither for an error nor for zero bytes; a signal in the middle of an
//! attempt repeats it. The calls are direct, so the hot path is one system call and one match.

#![forbid(unsafe_code)]

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{SockAddr, Socket};

use super::ipc::{self, Credentials};
use super::tls::{Tls, Wire};
use super::{host, plain, sys, udp};
use crate::endpoint::Transport;
use crate::errno::{Error, Result};
use crate::msg::MsgBuilder;

/// As many buffers as one gather write takes (`IOV_MAX`); those beyond wait for the next attempt.
const MAX_BUFFERS: usize = 1024;

/// Bytes thrown away by one read, and reads before others get their turn: more than a kernel keeps,
/// so that a call which ends with the last of them has seen bytes come in.
const DISCARD_READ: usize = 16 * 1024;
const DISCARD_READS: usize = 1024;

/// What a stream runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    /// TLS over tcp.
    Tls,
    Ipc,
    /// Datagrams, see [`Stream::send_datagram`].
    Udp,
    Vsock,
    Tipc,
}

/// What came of one attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum WriteOutcome {
    /// So many bytes are the kernel's now, counted from the start; perhaps not all. With TLS some
    /// of them may still be the stream's, see [`Stream::has_unsent`].
    Wrote(usize),
    /// The kernel takes nothing at the moment: wait for writability.
    WouldBlock,
}

/// What came of one attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ReadOutcome {
    /// So many bytes were read; they fill the buffer from its start.
    Read(usize),
    /// Nothing is there at the moment: wait for readability.
    WouldBlock,
    /// The peer has finished sending.
    Closed,
}

/// A connected stream socket.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    kind: Kind,
    tls: Option<Box<Tls>>,
    /// In the place of the socket.
    #[cfg(test)]
    wire: Option<super::test_wire::TestWire>,
}

impl Stream {
    /// Takes over `descriptor`, which has to be a non-blocking stream socket.
    pub fn new(descriptor: OwnedFd, kind: Kind) -> Stream {
        Stream::from_socket(Socket::from(descriptor), kind)
    }

    pub(super) fn from_socket(socket: Socket, kind: Kind) -> Stream {
        Stream {
            socket,
            kind,
            tls: None,
            #[cfg(test)]
            wire: None,
        }
    }

    /// Has this wire take and give the bytes in place of the socket.
    #[cfg(test)]
    pub(super) fn over(mut self, wire: super::test_wire::TestWire) -> Stream {
        self.wire = Some(wire);
        self
    }

    /// What is beneath a TLS layer.
    #[inline]
    fn wire(&self) -> &dyn Wire {
        #[cfg(test)]
        if let Some(wire) = &self.wire {
            return wire;
        }
        &self.socket
    }

    /// Puts TLS on a tcp stream; [`negotiate`](Stream::negotiate) is next.
    pub fn with_tls(mut self, tls: Tls) -> Stream {
        self.kind = Kind::Tls;
        self.tls = Some(Box::new(tls));
        self
    }

    /// One step of what the stream needs before its first byte: the TLS handshake. False: wait for
    /// the socket to become readable, or writable, and call again.
    ///
    /// # Errors
    /// ACCES when one side does not take the other for whom it should be, PROTO for what is not TLS
    /// or finds no common ground, PIPE when the peer closes, and whatever else ends a connection.
    pub fn negotiate(&self) -> Result<bool> {
        match &self.tls {
            None => Ok(true),
            Some(tls) => tls.negotiate(self.wire()),
        }
    }

    /// Whether there is something to negotiate at all.
    pub fn negotiates(&self) -> bool {
        self.tls.is_some()
    }

    /// True while the stream itself holds bytes it has accepted: a write is in flight. They go with
    /// [`flush`](Stream::flush) or the next write.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// One attempt to send what the stream holds; false when the kernel does not take it all.
    ///
    /// # Errors
    /// As for [`write_some`](Stream::write_some).
    pub fn flush(&self) -> Result<bool> {
        match &self.tls {
            None => Ok(true),
            Some(tls) => tls.flush(self.wire()),
        }
    }

    /// True when a read would bring something, or the end, of which the kernel tells nothing.
    #[inline]
    pub fn holds_input(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.holds_input())
    }

    /// True when the last read had more work than bytes to show for it and there is more: let others
    /// have their turn before the next.
    #[inline]
    pub fn gave_way(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.gave_way())
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Writes as much of `buffers`, taken as one sequence, as the kernel takes now.
    ///
    /// # Errors
    /// PIPE, CONNRESET and whatever else ends a connection; never AGAIN or INTR.
    #[inline]
    pub fn write_some(&self, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome> {
        match &self.tls {
            #[cfg(test)]
            None if self.wire.is_some() => self.wire().write_some(buffers),
            None => self.socket.write_some(buffers),
            Some(tls) => tls.write(self.wire(), buffers),
        }
    }

    /// [`write_some`](Stream::write_some) for one buffer.
    #[inline]
    pub fn write_one(&self, bytes: &[u8]) -> Result<WriteOutcome> {
        match &self.tls {
            #[cfg(test)]
            None if self.wire.is_some() => self.wire().write_some(&[IoSlice::new(bytes)]),
            None => attempt_write(|| self.socket.send_with_flags(bytes, sys::SEND_FLAGS)),
            Some(tls) => tls.write(self.wire(), &[IoSlice::new(bytes)]),
        }
    }

    /// Reads the rest of a large body into its own memory, and what follows it into `rest`.
    /// Returns beside the outcome how many of the bytes lie in `rest`.
    pub fn read_message(
        &self,
        body: &mut MsgBuilder,
        rest: &mut [u8],
    ) -> Result<(ReadOutcome, usize)> {
        let mut surplus = 0;
        if let Some(tls) = &self.tls {
            let room = body.remaining() + rest.len();
            let outcome = tls.read(self.wire(), room, &mut |bytes| {
                let (first, more) = bytes.split_at(bytes.len().min(body.remaining()));
                body.push(first)?;
                if let Some(place) = rest.get_mut(surplus..surplus + more.len()) {
                    place.copy_from_slice(more);
                }
                surplus += more.len();
                Ok(())
            })?;
            return Ok((outcome, surplus));
        }
        let outcome = attempt_read(|| {
            let (read, more) = sys::read_message(self.as_fd(), body, rest)
                .map_err(|error| io::Error::from_raw_os_error(error.raw()))??;
            surplus = more;
            Ok(read)
        })?;
        Ok((outcome, surplus))
    }

    /// Reads what is there, up to the length of `buffer`. An empty buffer reads nothing and says so.
    /// Behind what was read it may have changed, too.
    ///
    /// # Errors
    /// CONNRESET, TIMEDOUT and whatever else ends a connection; never AGAIN or INTR.
    #[inline]
    pub fn read_into(&self, buffer: &mut [u8]) -> Result<ReadOutcome> {
        if buffer.is_empty() {
            return Ok(ReadOutcome::Read(0));
        }
        match &self.tls {
            #[cfg(test)]
            None if self.wire.is_some() => self.wire().read_some(buffer),
            None => Wire::read_some(&self.socket, buffer),
            Some(tls) => tls.read_into(self.wire(), buffer),
        }
    }

    /// One attempt to send a datagram; false when the kernel has no room for it. One that the
    /// network refuses is lost.
    pub fn send_datagram(&self, datagram: &[u8], to: SocketAddr) -> bool {
        udp::send(&self.socket, datagram, to)
    }

    /// One attempt to receive a datagram: its length, and who sent it. What does not fit into
    /// `buffer` is cut off. `None`: nothing is there.
    ///
    /// # Errors
    /// Those of a socket that is of no use.
    pub fn receive_datagram(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>> {
        udp::receive(&self.socket, buffer)
    }

    /// Ends what is sent to the peer, behind everything written. False: the peer has ended, too, or
    /// the connection is gone.
    pub fn finish(&self) -> bool {
        if let Some(tls) = &self.tls {
            tls.close(&self.socket);
        }
        self.socket.shutdown(Shutdown::Write).is_ok() && self.discard()
    }

    /// Throws away what has come, below TLS, until the next edge. False: nothing more will come.
    pub fn discard(&self) -> bool {
        let mut buffer = [0; DISCARD_READ];
        for _ in 0..DISCARD_READS {
            match Wire::read_some(&self.socket, &mut buffer) {
                Ok(ReadOutcome::Read(_)) => {}
                Ok(ReadOutcome::WouldBlock) => return true,
                Ok(ReadOutcome::Closed) | Err(_) => return false,
            }
        }
        true
    }

    /// Ends one direction of the connection or both.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        Ok(self.socket.shutdown(how)?)
    }

    /// The descriptor's number, for monitor events and `ZMQ_SRCFD`.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The local address of a tcp stream.
    ///
    /// # Errors
    /// AFNOSUPPORT for ipc.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or(Error::AFNOSUPPORT)
    }

    /// The peer's address of a tcp stream.
    ///
    /// # Errors
    /// AFNOSUPPORT for ipc, NOTCONN when the connection is gone.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.socket.peer_addr()?.as_socket().ok_or(Error::AFNOSUPPORT)
    }

    /// The local end as endpoint text, tcp's or ipc's; empty when the kernel does not tell.
    pub fn local_endpoint(&self) -> Vec<u8> {
        self.socket.local_addr().map_or_else(|_| Vec::new(), |addr| self.endpoint_text(&addr))
    }

    /// The peer's end as endpoint text, tcp's or ipc's; empty when the kernel does not tell.
    pub fn remote_endpoint(&self) -> Vec<u8> {
        self.socket.peer_addr().map_or_else(|_| Vec::new(), |addr| self.endpoint_text(&addr))
    }

    /// The text of the message property "Peer-Address": the address without port for tcp,
    /// `localhost:uid:gid:pid` for ipc. `None` when the kernel does not tell.
    pub fn peer_address(&self) -> Option<String> {
        match self.kind {
            Kind::Tcp | Kind::Tls => self.peer_addr().ok().map(|addr| host::address_text(&addr)),
            Kind::Ipc => {
                let Credentials { uid, gid, pid } = self.credentials().ok()?;
                Some(format!("localhost:{uid}:{gid}:{pid}"))
            }
            Kind::Udp | Kind::Vsock | Kind::Tipc => None,
        }
    }

    /// Who the peer was when it connected or listened; ipc only.
    pub fn credentials(&self) -> Result<Credentials> {
        match self.kind {
            Kind::Ipc => sys::peer_credentials(self.socket.as_fd()),
            _ => Err(Error::AFNOSUPPORT),
        }
    }

    /// Whether a tcp stream is connected to itself, which happens to a client whose ephemeral
    /// port is the one it connects to.
    pub fn is_connected_to_itself(&self) -> bool {
        matches!((self.local_addr(), self.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
    }

    fn endpoint_text(&self, addr: &SockAddr) -> Vec<u8> {
        let transport = match self.kind {
            Kind::Tcp => Transport::Tcp,
            Kind::Tls => Transport::Tls,
            Kind::Ipc => return ipc::endpoint_text(addr),
            Kind::Udp => Transport::Udp,
            Kind::Vsock | Kind::Tipc => return plain::endpoint_text(self.kind, addr),
        };
        let text = addr.as_socket().map(|addr| host::endpoint_text(transport, &addr));
        text.unwrap_or_default().into_bytes()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            tls.close(self.wire());
        }
    }
}

/// The socket as the layer above it sees it.
impl Wire for Socket {
    #[inline]
    fn write_some(&self, buffers: &[IoSlice<'_>]) -> Result<WriteOutcome> {
        match buffers {
            [single] => attempt_write(|| self.send_with_flags(single, sys::SEND_FLAGS)),
            _ => {
                let buffers = &buffers[..buffers.len().min(MAX_BUFFERS)];
                attempt_write(|| self.send_vectored_with_flags(buffers, sys::SEND_FLAGS))
            }
        }
    }

    #[inline]
    fn read_some(&self, buffer: &mut [u8]) -> Result<ReadOutcome> {
        let mut socket = self;
        attempt_read(|| socket.read(buffer))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.fd()
    }
}

#[inline]
fn attempt_write(mut call: impl FnMut() -> io::Result<usize>) -> Result<WriteOutcome> {
    loop {
        match call() {
            Ok(count) => return Ok(WriteOutcome::Wrote(count)),
            Err(error) => match error.into() {
                Error::AGAIN => return Ok(WriteOutcome::WouldBlock),
                Error::INTR => (),
                error => return Err(error),
            },
        }
    }
}

#[inline]
fn attempt_read(mut call: impl FnMut() -> io::Result<usize>) -> Result<ReadOutcome> {
    loop {
        match call() {
            Ok(0) => return Ok(ReadOutcome::Closed),
            Ok(count) => return Ok(ReadOutcome::Read(count)),
            Err(error) => match error.into() {
                Error::AGAIN => return Ok(ReadOutcome::WouldBlock),
                Error::INTR => (),
                error => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};

    /// Two connected ipc streams.
    fn pair() -> (Stream, Stream) {
        let (a, b) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        (Stream::from_socket(a, Kind::Ipc), Stream::from_socket(b, Kind::Ipc))
    }

    /// Reads until nothing is there.
    fn drain(stream: &Stream) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let ReadOutcome::Read(count) = stream.read_into(&mut buffer).unwrap() {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }

    #[test]
    fn writes_gather() {
        let (a, b) = pair();
        let buffers = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(a.write_some(&buffers), Ok(WriteOutcome::Wrote(6)));

        let mut buffer = [0; 4];
        assert_eq!(b.read_into(&mut buffer), Ok(ReadOutcome::Read(4)));
        assert_eq!(&buffer, b"onet");
        assert_eq!(drain(&b), b"wo");
    }

    #[test]
    fn nothing_to_read_is_would_block() {
        let (a, _b) = pair();
        assert_eq!(a.read_into(&mut [0; 8]), Ok(ReadOutcome::WouldBlock));
        assert_eq!(a.read_into(&mut []), Ok(ReadOutcome::Read(0)));
    }

    #[test]
    fn more_buffers_than_the_kernel_takes() {
        let (a, b) = pair();
        let buffers = vec![IoSlice::new(b"x"); MAX_BUFFERS + 500];
        assert_eq!(a.write_some(&buffers), Ok(WriteOutcome::Wrote(MAX_BUFFERS)));
        assert_eq!(drain(&b).len(), MAX_BUFFERS);
    }

    #[test]
    fn a_full_kernel_buffer_is_would_block_and_loses_nothing() {
        let (a, b) = pair();
        a.socket.set_send_buffer_size(4096).unwrap();
        let data: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let (mut sent, mut received, mut blocked) = (0, Vec::new(), 0);
        while sent < data.len() {
            match a.write_one(&data[sent..]).unwrap() {
                WriteOutcome::Wrote(count) => {
                    assert!(count > 0);
                    sent += count;
                }
                WriteOutcome::WouldBlock => {
                    blocked += 1;
                    received.extend(drain(&b));
                }
            }
        }
        received.extend(drain(&b));
        assert!(blocked > 1);
        assert!(received == data);
    }

    #[test]
    fn a_closed_peer() {
        let (a, b) = pair();
        assert_eq!(b.write_one(b"last"), Ok(WriteOutcome::Wrote(4)));
        drop(b);
        assert_eq!(a.read_into(&mut [0; 8]), Ok(ReadOutcome::Read(4)));
        assert_eq!(a.read_into(&mut [0; 8]), Ok(ReadOutcome::Closed));
        // An error, and no SIGPIPE, which would end this process.
        assert_eq!(a.write_one(b"x"), Err(Error::PIPE));
        assert_eq!(a.write_some(&[IoSlice::new(b"x"), IoSlice::new(b"y")]), Err(Error::PIPE));
    }

    #[test]
    fn shutdown_ends_one_direction() {
        let (a, b) = pair();
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!(b.read_into(&mut [0; 8]), Ok(ReadOutcome::Closed));
        assert_eq!(b.write_one(b"still"), Ok(WriteOutcome::Wrote(5)));
        assert_eq!(a.read_into(&mut [0; 8]), Ok(ReadOutcome::Read(5)));
    }

    #[test]
    fn ipc_has_credentials_and_no_ip_address() {
        let (a, _b) = pair();
        let credentials = a.credentials().unwrap();
        assert_eq!(credentials.pid, std::process::id().cast_signed());
        let Credentials { uid, gid, pid } = credentials;
        assert_eq!(a.peer_address(), Some(format!("localhost:{uid}:{gid}:{pid}")));
        assert_eq!(a.peer_addr(), Err(Error::AFNOSUPPORT));
        assert_eq!(a.local_endpoint(), b"ipc://");
        assert!(!a.is_connected_to_itself());
    }
}
