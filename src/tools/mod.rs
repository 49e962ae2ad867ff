// SPDX-License-Identifier: MPL-2.0
//! What `zmq.h` offers beside sockets and messages.

#![forbid(unsafe_code)]

pub mod atomic_counter;
pub mod curve_keys;
pub mod poll;
pub mod poller;
pub mod proxy;
pub mod stopwatch;
pub mod timers;
pub mod z85;
