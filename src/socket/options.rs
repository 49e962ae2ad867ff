// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! zmq_setsockopt(3) and zmq_getsockopt(3): the socket type's options first, then the general ones.

use super::open::Open;
use crate::abi::*;
use crate::errno::{Error, Result};
use crate::options::value::{
    answer_bytes, answer_int, answer_string, parse_flag_relaxed, parse_int,
};
use crate::transport::EventFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Open {
    /// `value` is `None` for a NULL pointer.
    pub(super) fn set_option(&mut self, option: i32, value: Option<&[u8]>) -> Result<()> {
        let bytes = value.unwrap_or_default();
        // Of an inherited socket nobody can be told.
        let inherited = self.socket.is_inherited();
        if inherited
            && self.options.socket_type == ZMQ_SUB
            && matches!(option, ZMQ_SUBSCRIBE | ZMQ_UNSUBSCRIBE)
        {
            return Ok(());
        }
        if option == ZMQ_CONNECT_ROUTING_ID && self.takes_connect_routing_id() {
            if bytes.is_empty() {
                return Err(Error::INVAL);
            }
            self.connect_routing_id = Some(bytes.to_vec());
            return Ok(());
        }
        let by_pattern = self.pattern.set_option(&mut self.pipes, option, bytes);
        self.sweep();
        match by_pattern {
            Ok(()) => {
                self.follow_pattern_option(option, bytes);
                return Ok(());
            }
            Err(Error::INVAL) => {}
            Err(error) => return Err(error),
        }
        self.options.set(option, bytes, value.is_none())?;
        if matches!(option, ZMQ_SNDHWM | ZMQ_RCVHWM) && !inherited {
            self.limits_changed();
        }
        Ok(())
    }

    /// What a session has to know of an option that the socket type has taken.
    fn follow_pattern_option(&mut self, option: i32, value: &[u8]) {
        let on = parse_flag_relaxed(value);
        match (option, on) {
            (ZMQ_ROUTER_RAW, Ok(true)) => {
                self.options.raw_socket = true;
                self.options.recv_routing_id = false;
            }
            (ZMQ_STREAM_NOTIFY, Ok(on)) => self.options.raw_notify = on,
            (ZMQ_ROUTER_NOTIFY, _) => {
                self.options.router_notify = parse_int(value).unwrap_or(0);
            }
            (ZMQ_INVERT_MATCHING, _) => {
                let _ = self.options.set(option, value, false);
            }
            _ => {}
        }
    }

    fn takes_connect_routing_id(&self) -> bool {
        matches!(self.options.socket_type, ZMQ_ROUTER | ZMQ_REP | ZMQ_STREAM)
    }

    /// Stores the value in `out` and returns its length.
    pub(super) fn option(&mut self, option: i32, out: &mut [u8]) -> Result<usize> {
        match option {
            ZMQ_RCVMORE => answer_int(out, i32::from(self.receive_more)),
            ZMQ_EVENTS => {
                if out.len() < size_of::<i32>() {
                    return Err(Error::INVAL);
                }
                self.socket.check()?;
                let events = self.events();
                answer_int(out, events)
            }
            ZMQ_FD => {
                if out.len() < size_of::<i32>() {
                    return Err(Error::INVAL);
                }
                let fd = self.descriptor()?;
                answer_int(out, fd)
            }
            ZMQ_LAST_ENDPOINT => answer_string(out, &self.last_endpoint),
            ZMQ_THREAD_SAFE => answer_int(out, i32::from(self.is_thread_safe_type())),
            ZMQ_ROUTING_ID if self.options.socket_type == ZMQ_STREAM => {
                let id = self.pattern.last_routing_id();
                answer_bytes(out, if id.is_empty() { &self.options.routing_id } else { id })
            }
            _ => match self.pattern.option(&mut self.pipes, option) {
                Ok(value) => answer_int(out, value),
                Err(Error::INVAL) => self.options.get(option, out),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn is_thread_safe_type(&self) -> bool {
        matches!(
            self.options.socket_type,
            ZMQ_SERVER
                | ZMQ_CLIENT
                | ZMQ_RADIO
                | ZMQ_DISH
                | ZMQ_GATHER
                | ZMQ_SCATTER
                | ZMQ_PEER
                | ZMQ_CHANNEL
        )
    }

    /// ZMQ_EVENTS; the descriptor of ZMQ_FD is quiet from here on until something happens.
    fn events(&mut self) -> i32 {
        if self.background
            && let Some(signal) = &*self.socket.signal.lock()
        {
            let _ = signal.drain();
        }
        let (input, output) = self.readiness();
        (i32::from(input) * ZMQ_POLLIN) | (i32::from(output) * ZMQ_POLLOUT)
    }

    /// ZMQ_FD: made when it is asked for, and readable then, since there may be something to see.
    fn descriptor(&mut self) -> Result<i32> {
        if self.is_thread_safe_type() {
            return Err(Error::INVAL);
        }
        let mut signal = self.socket.signal.lock();
        let fd = match &*signal {
            Some(signal) => signal.fd(),
            None => {
                let event = Arc::new(EventFd::new()?);
                event.signal()?;
                signal.insert(event).fd()
            }
        };
        drop(signal);
        self.socket.has_signal.store(true, Ordering::SeqCst);
        if !self.socket.is_inherited() {
            self.background = true;
            self.release();
        }
        Ok(fd)
    }
}
