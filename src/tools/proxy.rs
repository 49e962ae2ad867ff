// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! zmq_proxy(3) and zmq_proxy_steerable(3): what one socket receives the other sends, both ways.
//!
//! A message is taken from one socket only when the other can send one now, and is moved, not
//! copied. While there are messages, both sockets stay locked for up to [`BURST`] of them, so a
//! message costs no more than its receiving and sending. A socket that cannot send after all, as an
//! XPUB that drops nothing, leaves its message in the proxy's hands until it can; the control
//! socket is answered meanwhile.

use super::poll::{Item, What, wait_for};
use crate::abi::*;
use crate::errno::{Error, Result};
use crate::msg::Msg;
use crate::pattern::DROPPED;
use crate::pipe::{Body, Sink};
use crate::socket::{Guard, NamedSocket, Open, api};
use std::ffi::c_void;

type Handle = *mut c_void;

/// So many messages go one way before the proxy looks the other way.
const BURST: usize = 1000;

/// Runs a proxy. `capture` and `control` may be NULL. Returns after TERMINATE; otherwise it ends
/// with an error: ETERM, EINTR, ENOTSOCK, or what sending or receiving a message failed with.
pub fn run(frontend: Handle, backend: Handle, capture: Handle, control: Handle) -> Result<()> {
    let optional = |handle: Handle| match handle.is_null() {
        true => Ok(None),
        false => NamedSocket::new(handle).map(Some),
    };
    let (frontend, backend) = (NamedSocket::new(frontend)?, NamedSocket::new(backend)?);
    let mut proxy = Proxy {
        ends: [frontend, backend],
        capture: optional(capture)?,
        control: optional(control)?,
        state: State::Active,
        lanes: Default::default(),
    };
    let mut items: Vec<_> = [Some(frontend), Some(backend), proxy.control]
        .into_iter()
        .flatten()
        .map(|socket| Item::new(What::Socket(socket), ZMQ_POLLIN as i16))
        .collect();
    while proxy.state != State::Terminated {
        wait_for(&mut items, -1, None, |items| {
            let moved = proxy.turn()?;
            for (item, input) in items.iter_mut().zip(proxy.wants_input()) {
                item.events = if input { ZMQ_POLLIN as i16 } else { 0 };
            }
            Ok(moved.then_some(()))
        })?;
    }
    Ok(())
}

struct Proxy {
    /// Frontend and backend. They may be the same socket.
    ends: [NamedSocket; 2],
    capture: Option<NamedSocket>,
    control: Option<NamedSocket>,
    state: State,
    /// From the frontend, and from the backend.
    lanes: [Lane; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Paused,
    Terminated,
}

/// One direction.
#[derive(Default)]
struct Lane {
    /// The parts of the message on its way; those before `sent` are gone.
    message: Vec<Msg>,
    sent: usize,
    /// The last part of the message is there.
    complete: bool,
    /// Copies for the capture socket.
    captured: Vec<Msg>,
    /// The receiver of these messages has no room for them.
    blocked: bool,
    received: Count,
    forwarded: Count,
}

/// Message parts and their bytes.
#[derive(Clone, Copy, Default)]
struct Count {
    parts: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.parts += 1;
        self.bytes += bytes as u64;
    }
}

impl Proxy {
    /// Does what can be done now. False: nothing.
    fn turn(&mut self) -> Result<bool> {
        let mut moved = self.obey()?;
        if self.state == State::Terminated {
            return Ok(moved);
        }
        moved |= self.forward(0)?;
        if self.ends[0] != self.ends[1] {
            moved |= self.forward(1)?;
        }
        Ok(moved)
    }

    /// Whether the proxy waits for input from the frontend, and from the backend.
    fn wants_input(&self) -> [bool; 2] {
        [0, 1].map(|way| self.state == State::Active && !self.lanes[way].blocked)
    }

    /// Forwards what there is from one end, `way`, to the other. False: nothing.
    fn forward(&mut self, way: usize) -> Result<bool> {
        if self.capture.is_none() {
            return Ok(self.burst(way, BURST)? > 0);
        }
        // The capture socket comes first. It may have to be waited for, which no lock may be held for.
        for count in 0..BURST {
            let taken = self.take(way)?;
            self.capture(way)?;
            if !taken || self.burst(way, 1)? == 0 {
                return Ok(count > 0);
            }
        }
        Ok(true)
    }

    /// Has a message in hand that came from one end. False: there is none, or no room for it.
    fn take(&mut self, way: usize) -> Result<bool> {
        let active = self.state == State::Active;
        let mut pair = Pair::lock(self.ends[way], self.ends[1 - way])?;
        self.lanes[way].take(&mut pair, active, true)
    }

    /// Forwards up to `limit` messages and returns how many it was.
    fn burst(&mut self, way: usize, limit: usize) -> Result<usize> {
        let active = self.state == State::Active;
        let mut pair = Pair::lock(self.ends[way], self.ends[1 - way])?;
        let lane = &mut self.lanes[way];
        for count in 0..limit {
            if !lane.take(&mut pair, active, false)? {
                return Ok(count);
            }
            if !lane.send(pair.target()?)? {
                lane.blocked = true;
                return Ok(count);
            }
        }
        Ok(limit)
    }

    /// Sends the capture socket its copies, waiting for it if it has no room.
    fn capture(&mut self, way: usize) -> Result<()> {
        let Some(capture) = self.capture else { return Ok(()) };
        for mut part in self.lanes[way].captured.drain(..) {
            let flags = if part.more() { ZMQ_SNDMORE } else { 0 };
            api::send_msg(capture.handle(), &mut part, flags)?;
        }
        Ok(())
    }

    /// Does what the control socket says. False: nothing.
    fn obey(&mut self) -> Result<bool> {
        let Some(control) = self.control else { return Ok(false) };
        if !control.lock()?.as_mut().is_some_and(Open::can_receive) {
            return Ok(false);
        }
        let mut statistics = false;
        let mut part = Msg::new();
        loop {
            match api::recv_msg(control.handle(), &mut part, ZMQ_DONTWAIT) {
                Ok(_) => {}
                Err(Error::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
            match part.data() {
                b"PAUSE" => self.state = State::Paused,
                b"RESUME" => self.state = State::Active,
                b"TERMINATE" => self.state = State::Terminated,
                b"STATISTICS" => statistics = true,
                _ => {}
            }
            if !part.more() {
                break;
            }
        }
        if statistics {
            self.report(control)?;
        } else if control.socket_type()? == ZMQ_REP {
            answer(control, &[], 0)?;
        }
        Ok(true)
    }

    /// Answers STATISTICS.
    fn report(&self, control: NamedSocket) -> Result<()> {
        let [front, back] = &self.lanes;
        let counts = [front.received, back.forwarded, back.received, front.forwarded];
        let numbers = counts.map(|count| [count.parts, count.bytes]);
        let numbers = numbers.as_flattened();
        for (place, number) in numbers.iter().enumerate() {
            let flags = if place + 1 < numbers.len() { ZMQ_SNDMORE } else { 0 };
            answer(control, &number.to_ne_bytes(), flags)?;
        }
        Ok(())
    }
}

/// Sends a part of an answer. A control socket that cannot send gets none.
fn answer(control: NamedSocket, bytes: &[u8], flags: i32) -> Result<()> {
    match api::send_bytes(control.handle(), bytes, flags) {
        Ok(_) | Err(Error::NOTSUP) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Lane {
    /// Takes a message if the other end has room for one. False: there is none, or no room.
    #[inline]
    fn take(&mut self, pair: &mut Pair, active: bool, capturing: bool) -> Result<bool> {
        self.blocked = false;
        if self.complete {
            return Ok(true);
        }
        // Of a socket that answers itself nothing is known before it has received.
        if pair.is_two() && self.message.is_empty() && !pair.target()?.can_send() {
            self.blocked = true;
            return Ok(false);
        }
        Ok(active && self.receive(pair.source()?, capturing)?)
    }

    /// Takes a message from `source`. False: there is none.
    #[inline]
    fn receive(&mut self, source: &mut Open, capturing: bool) -> Result<bool> {
        while !self.complete {
            let mut part = Msg::new();
            if !receive_part(source, &mut part)? {
                return Ok(false);
            }
            self.received.add(part.len());
            self.complete = !part.more();
            if capturing {
                self.captured.push(part.share());
            }
            self.message.push(part);
        }
        Ok(true)
    }

    /// Sends the message to `target`. False: there is no room for it, or for the rest of it.
    #[inline]
    fn send(&mut self, target: &mut Open) -> Result<bool> {
        while let Some(part) = self.message.get_mut(self.sent) {
            let (length, more) = (part.len(), part.more());
            match target.try_send(&mut Body::Message(part), more) {
                // A peer that went in the middle of the message misses the rest.
                Ok(()) | Err(DROPPED) => {}
                Err(Error::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
            self.forwarded.add(length);
            self.sent += 1;
        }
        self.message.clear();
        self.sent = 0;
        self.complete = false;
        Ok(true)
    }
}

/// Receives one part without waiting. False: there is none.
#[inline]
fn receive_part(source: &mut Open, part: &mut Msg) -> Result<bool> {
    source.process_mail();
    let mut received = source.try_receive(&mut Sink::Message(part));
    if received == Err(Error::AGAIN) && source.read_claimed() {
        received = source.try_receive(&mut Sink::Message(part));
    }
    match received {
        Ok(()) => Ok(true),
        // Whoever only sends has nothing to take either, though the other side may say it can send.
        Err(Error::AGAIN | Error::NOTSUP) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The locks of the sockets a message goes between.
struct Pair {
    source: Guard,
    /// `None` when they are the same.
    target: Option<Guard>,
}

impl Pair {
    /// The order of locking is the same for every proxy, whichever way it faces.
    fn lock(source: NamedSocket, target: NamedSocket) -> Result<Pair> {
        if source == target {
            return Ok(Pair { source: source.lock()?, target: None });
        }
        if source.handle() < target.handle() {
            let source = source.lock()?;
            return Ok(Pair { source, target: Some(target.lock()?) });
        }
        let target = target.lock()?;
        Ok(Pair { source: source.lock()?, target: Some(target) })
    }

    #[inline]
    fn is_two(&self) -> bool {
        self.target.is_some()
    }

    #[inline]
    fn source(&mut self) -> Result<&mut Open> {
        self.source.as_mut().ok_or(Error::NOTSOCK)
    }

    #[inline]
    fn target(&mut self) -> Result<&mut Open> {
        self.target.as_mut().unwrap_or(&mut self.source).as_mut().ok_or(Error::NOTSOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctx;
    use std::ffi::CStr;

    /// A proxy on a thread of its own, and the sockets at its ends.
    struct Bench {
        context: Handle,
        proxy: Option<std::thread::JoinHandle<Result<()>>>,
        inner: Vec<Handle>,
        outer: Vec<Handle>,
    }

    const NAMES: [&CStr; 4] = [c"inproc://0", c"inproc://1", c"inproc://2", c"inproc://3"];

    impl Bench {
        /// The types of frontend, backend, capture and control, and of their peers; -1 for none.
        fn new(inner: [i32; 4], outer: [i32; 4], prepare: impl Fn(Handle)) -> Bench {
            let context = ctx::api::new().unwrap();
            let open = |socket_type: i32| match socket_type {
                -1 => std::ptr::null_mut(),
                _ => api::open(context, socket_type).unwrap(),
            };
            let (inner, outer) = (inner.map(open), outer.map(open));
            for ((inner, outer), name) in inner.into_iter().zip(outer).zip(NAMES) {
                if !inner.is_null() {
                    prepare(inner);
                    prepare(outer);
                    let patience = 10_000_i32.to_ne_bytes();
                    api::set_option(outer, ZMQ_RCVTIMEO, Some(&patience)).unwrap();
                    api::bind(inner, name).unwrap();
                    api::connect(outer, name).unwrap();
                }
            }
            let handles = inner.map(|handle| handle as usize);
            let proxy = std::thread::spawn(move || {
                let [frontend, backend, capture, control] = handles.map(|handle| handle as Handle);
                run(frontend, backend, capture, control)
            });
            let live = |sockets: [Handle; 4]| sockets.into_iter().filter(|s| !s.is_null());
            Bench {
                context,
                proxy: Some(proxy),
                inner: live(inner).collect(),
                outer: outer.to_vec(),
            }
        }

        fn send(&self, end: usize, parts: &[&str]) {
            for (place, part) in parts.iter().enumerate() {
                let flags = if place + 1 < parts.len() { ZMQ_SNDMORE } else { 0 };
                api::send_bytes(self.outer[end], part.as_bytes(), flags).unwrap();
            }
        }

        fn receive(&self, end: usize) -> Vec<Vec<u8>> {
            let mut parts = Vec::new();
            let mut part = Msg::new();
            loop {
                api::recv_msg(self.outer[end], &mut part, 0).unwrap();
                parts.push(part.data().to_vec());
                if !part.more() {
                    return parts;
                }
            }
        }

        fn statistics(&self) -> Vec<u64> {
            self.send(3, &["STATISTICS"]);
            let number = |part: Vec<u8>| u64::from_ne_bytes(part.try_into().unwrap());
            self.receive(3).into_iter().map(number).collect()
        }

        fn join(&mut self) -> Result<()> {
            self.proxy.take().map_or(Ok(()), |proxy| proxy.join().unwrap())
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            ctx::api::shutdown(self.context).unwrap();
            let _ = self.join();
            for socket in self.inner.iter().chain(&self.outer).filter(|s| !s.is_null()) {
                api::close(*socket).unwrap();
            }
            ctx::api::term(self.context).unwrap();
        }
    }

    #[test]
    fn both_ways_with_copies_and_counts() {
        let inner = [ZMQ_ROUTER, ZMQ_DEALER, ZMQ_PUSH, ZMQ_PAIR];
        let outer = [ZMQ_REQ, ZMQ_REP, ZMQ_PULL, ZMQ_PAIR];
        let name = |socket: Handle| api::set_option(socket, ZMQ_ROUTING_ID, Some(b"me")).unwrap();
        let mut bench = Bench::new(inner, outer, name);
        bench.send(0, &["question", "of two"]);
        assert_eq!(bench.receive(2), [&b"me"[..], b"", b"question", b"of two"]);
        assert_eq!(bench.receive(1), [&b"question"[..], b"of two"]);
        bench.send(1, &["answer"]);
        assert_eq!(bench.receive(2), [&b"me"[..], b"", b"answer"]);
        assert_eq!(bench.receive(0), [b"answer"]);
        assert_eq!(bench.statistics(), [4, 16, 3, 8, 3, 8, 4, 16]);
        bench.send(3, &["TERMINATE"]);
        assert_eq!(bench.join(), Ok(()));
    }

    #[test]
    fn a_rep_socket_in_control_answers_everything() {
        let mut bench = Bench::new(
            [ZMQ_PULL, ZMQ_PUSH, -1, ZMQ_REP],
            [ZMQ_PUSH, ZMQ_PULL, -1, ZMQ_REQ],
            |_| {},
        );
        let steer = |command| {
            bench.send(3, &[command]);
            assert_eq!(bench.receive(3), [b""]);
        };
        bench.send(0, &["a"]);
        assert_eq!(bench.receive(1), [b"a"]);
        steer("PAUSE");
        bench.send(0, &["b"]);
        steer("pause");
        assert_eq!(bench.statistics()[..2], [1, 1]);
        steer("RESUME");
        assert_eq!(bench.receive(1), [b"b"]);
        steer("TERMINATE");
        assert_eq!(bench.join(), Ok(()));
    }

    /// The message the XPUB cannot take stays in the proxy's hands, and the proxy goes on obeying.
    #[test]
    fn a_stuck_message_does_not_stop_control() {
        let limits = |socket: Handle| {
            for option in [ZMQ_SNDHWM, ZMQ_RCVHWM, ZMQ_XPUB_NODROP] {
                let _ = api::set_option(socket, option, Some(&1i32.to_ne_bytes()));
            }
        };
        let inner = [ZMQ_PAIR, ZMQ_XPUB, -1, ZMQ_PAIR];
        let outer = [ZMQ_PAIR, ZMQ_XSUB, -1, ZMQ_PAIR];
        let mut bench = Bench::new(inner, outer, limits);
        api::send_bytes(bench.outer[1], &[1], 0).unwrap();
        assert_eq!(bench.receive(0), [[1]]);
        for number in 0..5 {
            bench.send(0, &[&number.to_string()]);
        }
        while bench.statistics()[0] < 3 {
            std::thread::yield_now();
        }
        assert_eq!(bench.statistics()[6], 2, "what the pipe to the subscriber holds");
        for number in 0..5 {
            assert_eq!(bench.receive(1), [number.to_string().as_bytes()]);
        }
        bench.send(3, &["TERMINATE"]);
        assert_eq!(bench.join(), Ok(()));
    }

    #[test]
    fn errors_end_it() {
        let null = std::ptr::null_mut();
        assert_eq!(run(null, null, null, null), Err(Error::NOTSOCK));
        let none = [-1; 4];
        let [mut inner, mut outer] = [none; 2];
        (inner[0], inner[1]) = (ZMQ_PULL, ZMQ_PUSH);
        (outer[0], outer[1]) = (ZMQ_PUSH, ZMQ_PULL);
        let mut bench = Bench::new(inner, outer, |_| {});
        ctx::api::shutdown(bench.context).unwrap();
        assert_eq!(bench.join(), Err(Error::TERM));
    }
}
