// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Socket monitors (zmq_socket_monitor(3)).
//!
//! A monitor is a socket of its own, bound to an inproc name, that the library sends events to.
//! Sending never waits, so that a forgotten monitor holds up neither an I/O thread nor a caller:
//! events from before its reader has connected are kept, up to the high-water mark, and so are those
//! that a reader does not read; what is beyond the mark is lost. That is counted, and the value of
//! MONITOR_STOPPED, for which there is always room, tells the reader how many there were. What a PUB
//! socket does not send to a subscriber that stands at its mark it does not know, here as elsewhere.

use super::{Socket, api, opened};
use crate::abi::*;
use crate::endpoint::{self, Transport};
use crate::errno::{Error, Result};
use crate::io::{Event, Lease};
use crate::pipe::Body;
use parking_lot::Mutex;
use std::collections::VecDeque;
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
    /// Events for a reader that has not connected yet.
    kept: VecDeque<Frames>,
    /// Events that there was no room for.
    lost: u64,
}

/// An event as it is sent.
type Frames = Vec<Vec<u8>>;

/// How far a monitor's socket may be filled by an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    UpToMark,
    Always,
}

/// Why an event was not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsent {
    NobodyThere,
    NoRoom,
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
        if !self.wants(event.event) {
            return;
        }
        if let Some(monitor) = &mut *self.monitor.lock() {
            monitor.report(event);
        }
    }

    /// Asks for this event?
    pub fn wants(&self, event: u64) -> bool {
        self.events.load(Ordering::Relaxed) & event != 0
    }

    /// Sends what was kept for the reader.
    pub fn reader_came(&self) {
        if let Some(monitor) = &mut *self.monitor.lock() {
            let _ = monitor.send_kept();
        }
    }

    /// Ends the monitor; its last event is MONITOR_STOPPED.
    pub fn stop(&self) {
        self.replace(None, 0);
    }

    /// A monitor that another thread has started meanwhile gives way, as any earlier one does.
    fn replace(&self, monitor: Option<Monitor>, events: u64) {
        let before = {
            let mut place = self.monitor.lock();
            let wanted = self.events.swap(events, Ordering::Relaxed);
            if let Some(before) = &mut *place
                && wanted & ZMQ_EVENT_MONITOR_STOPPED as u64 != 0
            {
                before.report_end();
            }
            std::mem::replace(&mut *place, monitor)
        };
        if let Some(before) = before {
            let _ = api::close(before.handle.get());
        }
    }

    /// How many events the present monitor has lost.
    fn lost(&self) -> Option<u64> {
        self.monitor.lock().as_ref().map(|monitor| monitor.lost)
    }
}

impl Monitor {
    fn report(&mut self, event: &Event) {
        let frames = self.frames(event);
        match self.send_kept().and_then(|()| self.send(&frames, Room::UpToMark)) {
            Ok(()) => {}
            Err(Unsent::NobodyThere) if self.kept.len() < MONITOR_HWM as usize => {
                self.kept.push_back(frames);
            }
            Err(_) => self.lost += 1,
        }
    }

    fn report_end(&mut self) {
        let stopped = Event {
            event: ZMQ_EVENT_MONITOR_STOPPED as u64,
            values: vec![self.lost],
            local: Vec::new(),
            remote: Vec::new(),
            bound: true,
        };
        let _ = self.send_kept().and_then(|()| self.send(&self.frames(&stopped), Room::Always));
    }

    /// There is room for all of it once there is a reader: its mark is added to the one it was kept by.
    fn send_kept(&mut self) -> std::result::Result<(), Unsent> {
        while let Some(frames) = self.kept.front() {
            self.send(frames, Room::UpToMark)?;
            self.kept.pop_front();
        }
        Ok(())
    }

    fn send(&self, frames: &Frames, room: Room) -> std::result::Result<(), Unsent> {
        let socket = Socket::lookup(self.handle.get()).map_err(|_| Unsent::NobodyThere)?;
        let mut core = socket.lock().map_err(|_| Unsent::NobodyThere)?;
        let open = core.as_mut().ok_or(Unsent::NobodyThere)?;
        open.process_mail();
        if room == Room::Always {
            open.options.sndhwm = 0;
            open.limits_changed();
        }
        let last = frames.len() - 1;
        for (number, frame) in frames.iter().enumerate() {
            if open.try_send(&mut Body::Bytes(frame), number != last).is_err() {
                let nobody = open.pipes.is_empty();
                return Err(if nobody { Unsent::NobodyThere } else { Unsent::NoRoom });
            }
        }
        Ok(())
    }

    fn frames(&self, event: &Event) -> Frames {
        if self.version == ZMQ_CURRENT_EVENT_VERSION {
            let mut head = Vec::with_capacity(6);
            head.extend_from_slice(&(event.event as u16).to_ne_bytes());
            let value = event.values.first().copied().unwrap_or(0);
            head.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_ne_bytes());
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
        let mut core = match socket.lock() {
            // Nobody tells the monitor of an inherited socket anything.
            Err(Error::INTR) if endpoint.is_none() => return Ok(()),
            core => core?,
        };
        let open = opened(&mut core, handle)?;
        socket.check()?;
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
        .and_then(|()| sends_for(own, &slot))
        .and_then(|()| api::set_option(own, ZMQ_SNDHWM, Some(&MONITOR_HWM.to_ne_bytes())))
        .and_then(|()| api::bind_bytes(own, endpoint));
    if let Err(error) = prepared {
        let _ = api::close(own);
        return Err(error);
    }
    let (handle, kept) = (Handle(own as usize), VecDeque::new());
    slot.replace(Some(Monitor { handle, version, kept, lost: 0 }), events);
    Ok(())
}

/// Has the slot hear of whoever connects to its monitor's socket.
fn sends_for(own: *mut c_void, slot: &Arc<MonitorSlot>) -> Result<()> {
    let core = Socket::lookup(own)?.lock()?;
    let open = core.as_ref().ok_or(Error::NOTSOCK)?;
    let _ = open.port.sends_for.set(Arc::downgrade(slot));
    Ok(())
}

/// How many events the socket's monitor has lost so far, for tests; `None` without a monitor. A
/// program learns it from the value of MONITOR_STOPPED.
pub fn lost_events(handle: *mut c_void) -> Result<Option<u64>> {
    let socket = Socket::lookup(handle)?;
    let slot = opened(&mut socket.lock()?, handle)?.port.monitor.clone();
    Ok(slot.lost())
}
