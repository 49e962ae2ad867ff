// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Socket monitors (zmq_socket_monitor(3)).
//!
//! A monitor is a socket of its own, bound to an inproc name, that the library sends events to.
//! Sending never waits: when nobody reads, events beyond the high-water mark are dropped, so that
//! a forgotten monitor holds up neither an I/O thread nor a caller.

use super::{Socket, api};
use crate::abi::*;
use crate::endpoint::{self, Transport};
use crate::errno::{Error, Result};
use crate::io::{Event, Lease};
use crate::pipe::Body;
use parking_lot::Mutex;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events kept for a monitor that does not read.
const MONITOR_HWM: i32 = 10_000;

/// The place of a socket's monitor.
#[derive(Default)]
pub struct MonitorSlot {
    monitor: Mutex<Option<Monitor>>,
    /// The events asked for; 0 without a monitor.
    events: AtomicU64,
}

/// The monitor stops when the last copy of this goes: after the socket, its sessions and its
/// listeners.
pub struct MonitorLease {
    monitor: Arc<MonitorSlot>,
    /// Goes after the monitor's own socket was closed.
    _context: Lease,
}

impl MonitorLease {
    pub fn new(monitor: Arc<MonitorSlot>, context: Lease) -> MonitorLease {
        MonitorLease { monitor, _context: context }
    }
}

impl Drop for MonitorLease {
    fn drop(&mut self) {
        self.monitor.stop();
    }
}

struct Monitor {
    handle: Handle,
    version: i32,
}

/// The handle of the monitor's socket, which only the library uses.
struct Handle(usize);

impl Handle {
    fn get(&self) -> *mut c_void {
        self.0 as *mut c_void
    }
}

impl MonitorSlot {
    /// Reports an event if somebody has asked for it.
    pub fn report(&self, event: &Event) {
        if self.events.load(Ordering::Relaxed) & event.event == 0 {
            return;
        }
        let monitor = self.monitor.lock();
        let Some(monitor) = &*monitor else { return };
        // What there is no room for is dropped.
        let _ = monitor.send(event);
    }

    /// Asks for this event?
    pub fn wants(&self, event: u64) -> bool {
        self.events.load(Ordering::Relaxed) & event != 0
    }

    /// Ends the monitor; its last event is MONITOR_STOPPED.
    pub fn stop(&self) {
        let stopped = ZMQ_EVENT_MONITOR_STOPPED as u64;
        self.report(&Event {
            event: stopped,
            values: vec![0],
            local: Vec::new(),
            remote: Vec::new(),
            bound: true,
        });
        self.replace(None, 0);
    }

    /// A monitor that another thread has started meanwhile gives way, as any earlier one does.
    fn replace(&self, monitor: Option<Monitor>, events: u64) {
        let before = {
            let mut place = self.monitor.lock();
            self.events.store(events, Ordering::Relaxed);
            std::mem::replace(&mut *place, monitor)
        };
        if let Some(before) = before {
            let _ = api::close(before.handle.get());
        }
    }
}

impl Monitor {
    fn send(&self, event: &Event) -> Result<()> {
        let socket = Socket::lookup(self.handle.get())?;
        let mut core = socket.lock();
        let open = core.as_mut().ok_or(Error::NOTSOCK)?;
        open.process_mail();
        let frames = self.frames(event);
        let last = frames.len() - 1;
        for (number, frame) in frames.iter().enumerate() {
            open.try_send(&mut Body::Bytes(frame), number != last)?;
        }
        Ok(())
    }

    fn frames(&self, event: &Event) -> Vec<Vec<u8>> {
        if self.version == ZMQ_CURRENT_EVENT_VERSION {
            let mut head = Vec::with_capacity(6);
            head.extend_from_slice(&(event.event as u16).to_ne_bytes());
            let value = event.values.first().copied().unwrap_or(0);
            head.extend_from_slice(&(value as u32).to_ne_bytes());
            let address = if event.bound { &event.local } else { &event.remote };
            return vec![head, address.clone()];
        }
        let mut frames = vec![
            event.event.to_ne_bytes().to_vec(),
            (event.values.len() as u64).to_ne_bytes().to_vec(),
        ];
        frames.extend(event.values.iter().map(|value| value.to_ne_bytes().to_vec()));
        frames.push(event.local.clone());
        frames.push(event.remote.clone());
        frames
    }
}

/// zmq_socket_monitor_versioned(3). `endpoint` is `None` to stop monitoring.
pub fn monitor(
    handle: *mut c_void,
    endpoint: Option<&[u8]>,
    events: u64,
    version: i32,
    socket_type: i32,
) -> Result<()> {
    let socket = Socket::lookup(handle)?;
    // With the lease a monitor that is started while the socket is being closed stops, too.
    let (context, slot, _lease) = {
        let core = socket.lock();
        let open = core.as_ref().ok_or(Error::NOTSOCK)?;
        open.check_terminated()?;
        (open.context.clone(), open.port.monitor.clone(), open.lease.clone())
    };
    if version == ZMQ_CURRENT_EVENT_VERSION && events >> 16 != 0 {
        return Err(Error::INVAL);
    }
    let Some(endpoint) = endpoint else {
        slot.stop();
        return Ok(());
    };
    let (transport, _) = endpoint::split(endpoint)?;
    if transport != Transport::Inproc {
        return Err(Error::PROTONOSUPPORT);
    }
    if !matches!(version, ZMQ_CURRENT_EVENT_VERSION | ZMQ_CURRENT_EVENT_VERSION_DRAFT) {
        return Err(Error::INVAL);
    }
    slot.stop();
    if !matches!(socket_type, ZMQ_PAIR | ZMQ_PUB | ZMQ_PUSH) {
        return Err(Error::INVAL);
    }
    let own = api::open_in(&Arc::clone(&context), socket_type)?;
    let prepared = api::set_option(own, ZMQ_LINGER, Some(&0i32.to_ne_bytes()))
        .and_then(|()| api::set_option(own, ZMQ_SNDHWM, Some(&MONITOR_HWM.to_ne_bytes())))
        .and_then(|()| api::bind_bytes(own, endpoint));
    if let Err(error) = prepared {
        let _ = api::close(own);
        return Err(error);
    }
    slot.replace(Some(Monitor { handle: Handle(own as usize), version }), events);
    Ok(())
}
