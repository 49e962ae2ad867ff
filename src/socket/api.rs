// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The functions behind the socket entries of the C interface.

use super::mailbox::Port;
use super::monitor;
use super::wait::{Interest, Waiting};
use super::{Guard, Open, RUNNING, Socket, TERMINATED, opened, pool};
use crate::abi::*;
use crate::ctx::handles::{self, Kind};
use crate::ctx::{self, Context};
use crate::errno::{Error, Result};
use crate::msg::Msg;
use crate::pattern;
use crate::pipe::{Body, LOCAL_REFERENCE_THRESHOLD, Sink};
use std::ffi::{CStr, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

type Handle = *mut c_void;

/// zmq_socket(3)
pub fn open(context: Handle, socket_type: i32) -> Result<Handle> {
    open_in(&ctx::lookup(context)?, socket_type)
}

/// Opens a socket of a context that is at hand.
pub fn open_in(context: &Arc<Context>, socket_type: i32) -> Result<Handle> {
    if context.is_terminating() {
        return Err(Error::TERM);
    }
    // Its I/O threads are the parent's.
    if context.is_forked() {
        return Err(Error::INTR);
    }
    // The first socket starts the I/O threads, with the context's options as they are then.
    context.io_handles()?;
    // libzmq looks for a place first and at the type then.
    context.check_room()?;
    let pattern = pattern::new(socket_type).ok_or(Error::INVAL)?;
    let options = context.options().socket_options(socket_type);
    let (number, socket) = pool::take().ok_or(Error::MFILE)?;
    let id = crate::io::next_id();
    let generation = socket.begin_generation();
    let port = Arc::new(Port {
        socket,
        generation,
        id,
        context: Arc::downgrade(context),
        monitor: Arc::default(),
        sends_for: OnceLock::new(),
    });
    socket.state.store(RUNNING, Ordering::Release);
    let handle = context
        .join(id, port.clone())
        .and_then(|()| handles::open(Kind::Socket, number).inspect_err(|_| context.leave(id)));
    match handle {
        Ok(handle) => {
            let open = Open::new(socket, context.clone(), port, options, pattern, number, handle);
            *socket.lock()? = Some(open);
            if context.is_terminating() {
                socket.state.store(TERMINATED, Ordering::Release);
            }
            Ok(handle)
        }
        Err(error) => {
            socket.end_generation();
            pool::give_back(number);
            Err(error)
        }
    }
}

/// zmq_close(3)
pub fn close(handle: Handle) -> Result<()> {
    let socket = Socket::lookup(handle)?;
    if socket.is_inherited() {
        // What is behind it is the parent's, and locks may be held by threads that are not here.
        return if handles::end(Kind::Socket, handle) { Ok(()) } else { Err(Error::NOTSOCK) };
    }
    if !handles::close(Kind::Socket, handle) {
        return Err(Error::NOTSOCK);
    }
    let open = socket.lock()?.take().ok_or(Error::NOTSOCK)?;
    let number = open.number;
    open.close();
    socket.has_signal.store(false, Ordering::Release);
    *socket.signal.lock() = None;
    // Threads that wait on the socket find it closed.
    socket.notify();
    pool::give_back(number);
    Ok(())
}

/// Runs `call` on the open socket, after looking at mail and termination.
fn with<T>(handle: Handle, call: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
    let socket = Socket::lookup(handle)?;
    let mut core = socket.lock()?;
    let open = opened(&mut core, handle)?;
    socket.check()?;
    open.process_mail();
    call(open)
}

/// As [`with`], also where the socket's state is this error.
fn with_despite<T>(
    state: Error,
    handle: Handle,
    call: impl FnOnce(&mut Open) -> Result<T>,
) -> Result<T> {
    let socket = Socket::lookup(handle)?;
    let mut core = socket.lock_inherited()?;
    let open = opened(&mut core, handle)?;
    match socket.check() {
        Ok(()) => open.process_mail(),
        Err(error) if error == state => {}
        Err(error) => return Err(error),
    }
    call(open)
}

/// zmq_setsockopt(3). `value` is `None` for a NULL pointer.
pub fn set_option(handle: Handle, option: i32, value: Option<&[u8]>) -> Result<()> {
    with_despite(Error::INTR, handle, |open| open.set_option(option, value))
}

/// zmq_getsockopt(3): stores the value in `out`, returns its length.
pub fn option(handle: Handle, option: i32, out: &mut [u8]) -> Result<usize> {
    with_despite(Error::INTR, handle, |open| open.option(option, out))
}

/// zmq_bind(3)
pub fn bind(handle: Handle, endpoint: &CStr) -> Result<()> {
    bind_bytes(handle, endpoint.to_bytes())
}

pub(super) fn bind_bytes(handle: Handle, endpoint: &[u8]) -> Result<()> {
    with(handle, |open| open.bind(endpoint))
}

/// zmq_connect(3)
pub fn connect(handle: Handle, endpoint: &CStr) -> Result<()> {
    with(handle, |open| open.connect(endpoint.to_bytes()))
}

/// zmq_unbind(3)
pub fn unbind(handle: Handle, endpoint: &CStr) -> Result<()> {
    with(handle, |open| open.take_back(endpoint.to_bytes()))
}

/// zmq_disconnect(3)
pub fn disconnect(handle: Handle, endpoint: &CStr) -> Result<()> {
    with(handle, |open| open.take_back(endpoint.to_bytes()))
}

/// zmq_send(3): the bytes are copied. Returns their number.
#[inline(always)]
pub fn send_bytes(handle: Handle, bytes: &[u8], flags: i32) -> Result<usize> {
    send(handle, &mut Body::Bytes(bytes), flags)?;
    Ok(bytes.len())
}

/// zmq_msg_send(3): on success the message is empty. Returns the number of its bytes.
#[inline(always)]
pub fn send_msg(handle: Handle, message: &mut Msg, flags: i32) -> Result<usize> {
    let length = match message.plain() {
        // Copied anyway, and simpler on its way.
        Some(bytes) if bytes.len() < LOCAL_REFERENCE_THRESHOLD => send_bytes(handle, bytes, flags)?,
        _ => send_whole(handle, message, flags)?,
    };
    message.reset();
    Ok(length)
}

#[inline(never)]
fn send_whole(handle: Handle, message: &mut Msg, flags: i32) -> Result<usize> {
    let length = message.len();
    send(handle, &mut Body::Message(message), flags)?;
    Ok(length)
}

#[inline(always)]
fn send(handle: Handle, body: &mut Body<'_>, flags: i32) -> Result<()> {
    let socket = Socket::lookup(handle)?;
    let mut core = socket.lock()?;
    let open = opened(&mut core, handle)?;
    socket.check()?;
    open.process_mail();
    let more = flags & ZMQ_SNDMORE != 0;
    let mut result = open.send(body, more);
    if result.is_ok() {
        return Ok(());
    }
    let timeout = if flags & ZMQ_DONTWAIT != 0 { 0 } else { open.options.sndtimeo };
    if result == Err(Error::AGAIN) && timeout != 0 {
        result =
            wait(socket, &mut core, timeout, Interest::Output, |open| open.try_send(body, more));
    }
    match result {
        // The peer went in the middle of the message: what is left of it goes nowhere, which
        // only a caller that does not wait is told.
        Err(pattern::DROPPED) if timeout == 0 => Err(Error::AGAIN),
        Err(pattern::DROPPED) => Ok(()),
        result => result,
    }
}

/// zmq_recv(3): fills `buffer` as far as it goes, returns the part's full length.
#[inline]
pub fn recv_bytes(handle: Handle, buffer: &mut [u8], flags: i32) -> Result<usize> {
    let mut sink = Sink::Buffer { buffer, length: 0, more: false };
    receive(handle, &mut sink, flags)?;
    Ok(sink.len())
}

/// zmq_msg_recv(3): the message's former content is dropped, even if there is nothing to receive;
/// it stays when the call is refused (EFSM, ENOTSUP, ETERM). Returns the part's length.
#[inline]
pub fn recv_msg(handle: Handle, message: &mut Msg, flags: i32) -> Result<usize> {
    let mut sink = Sink::Message(message);
    receive(handle, &mut sink, flags)?;
    Ok(sink.len())
}

#[inline]
fn receive(handle: Handle, sink: &mut Sink<'_>, flags: i32) -> Result<()> {
    let socket = Socket::lookup(handle)?;
    let mut core = socket.lock()?;
    let open = opened(&mut core, handle)?;
    socket.check()?;
    open.process_mail();
    match open.try_receive(sink) {
        Ok(()) => {
            open.found_something();
            return Ok(());
        }
        Err(Error::AGAIN) => {}
        Err(error) => return Err(error),
    }
    let timeout = if flags & ZMQ_DONTWAIT != 0 { 0 } else { open.options.rcvtimeo };
    if timeout == 0 {
        if open.read_claimed() && open.try_receive(sink).is_ok() {
            open.found_something();
            return Ok(());
        }
        open.found_nothing();
        sink.clear();
        return Err(Error::AGAIN);
    }
    open.found_something();
    sink.clear();
    wait(socket, &mut core, timeout, Interest::Input, |open| open.try_receive(sink))
}

#[cold]
#[inline(never)]
fn wait(
    socket: &'static Socket,
    core: &mut Guard,
    timeout: i32,
    interest: Interest,
    attempt: impl FnMut(&mut Open) -> Result<()>,
) -> Result<()> {
    let id = core.as_ref().ok_or(Error::NOTSOCK)?.id();
    Waiting::new(socket, id, timeout).run(core, interest, attempt)
}

/// zmq_socket_monitor(3) and zmq_socket_monitor_versioned(3)
pub fn monitor(
    handle: Handle,
    endpoint: Option<&CStr>,
    events: u64,
    version: i32,
    socket_type: i32,
) -> Result<()> {
    monitor::monitor(handle, endpoint.map(CStr::to_bytes), events, version, socket_type)
}

/// zmq_socket_monitor_pipes_stats: EINVAL when that event is not monitored, EAGAIN without pipes.
pub fn monitor_pipes_stats(handle: Handle) -> Result<()> {
    with(handle, |open| open.report_pipes())
}

/// zmq_socket_get_peer_state(3)
pub fn peer_state(handle: Handle, routing_id: &[u8]) -> Result<i32> {
    with(handle, |open| open.pattern.peer_state(&mut open.pipes, routing_id))
}

/// zmq_join(3)
pub fn join(handle: Handle, group: &CStr) -> Result<()> {
    with_despite(Error::TERM, handle, |open| open.pattern.join(&mut open.pipes, group.to_bytes()))
}

/// zmq_leave(3)
pub fn leave(handle: Handle, group: &CStr) -> Result<()> {
    with_despite(Error::TERM, handle, |open| open.pattern.leave(&mut open.pipes, group.to_bytes()))
}

/// zmq_connect_peer(3): the routing id of the new peer. ENOTSUP: not a PEER. EFAULT: with
/// ZMQ_IMMEDIATE there is no peer until it has answered. Otherwise as zmq_connect(3).
pub fn connect_peer(handle: Handle, endpoint: &CStr) -> Result<u32> {
    with(handle, |open| {
        if open.options.socket_type != ZMQ_PEER {
            return Err(Error::NOTSUP);
        }
        if open.options.immediate {
            return Err(Error::FAULT);
        }
        open.connect(endpoint.to_bytes())?;
        Ok(open.pattern.last_peer())
    })
}

/// zmq_disconnect_peer(3): what was sent to the peer still goes out. EHOSTUNREACH: there is no such
/// peer. ENOTSUP: neither SERVER nor PEER.
pub fn disconnect_peer(handle: Handle, routing_id: u32) -> Result<()> {
    with(handle, |open| {
        let pipe = open.pattern.pipe_of(routing_id)?;
        open.detach(pipe);
        Ok(())
    })
}
