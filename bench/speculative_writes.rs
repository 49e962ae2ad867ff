// SPDX-License-Identifier: MPL-2.0
//! How often a speculative write succeeds, by the engine's own counters, which no C program sees.
//!
//! Each load runs over tcp between two contexts. Printed for each: the share of all writes that the
//! sending threads made themselves and the kernel took whole; the share of their writes that it
//! refused in whole or in part; what the I/O thread wrote, and how much was copied on the way. Ends
//! with 1 if, with short messages under normal load, fewer than 80 % succeed or 5 % or more would
//! block.

use std::ffi::{CStr, CString, c_void};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use zmq::abi::*;
use zmq::ctx::api as context;
use zmq::engine::counters::{self, Counters, Written};
use zmq::socket::api as socket;

const LASTING: Duration = Duration::from_millis(500);

struct Load {
    name: &'static str,
    size: usize,
    /// The time between two messages; none: as fast as it goes.
    pace: Option<Duration>,
    /// Each message is answered before the next one.
    answered: bool,
    /// The gates hold for it.
    normal: bool,
}

const LOADS: &[Load] = &[
    Load { name: "round trips", size: 64, pace: None, answered: true, normal: true },
    Load { name: "round trips", size: 1000, pace: None, answered: true, normal: true },
    Load { name: "paced, 10 µs", size: 64, pace: micros(10), answered: false, normal: true },
    Load { name: "paced, 100 µs", size: 64, pace: micros(100), answered: false, normal: true },
    Load { name: "paced, 100 µs", size: 1000, pace: micros(100), answered: false, normal: true },
    Load { name: "flood", size: 64, pace: None, answered: false, normal: false },
    Load { name: "flood", size: 1000, pace: None, answered: false, normal: false },
    Load { name: "flood", size: 65536, pace: None, answered: false, normal: false },
];

const fn micros(micros: u64) -> Option<Duration> {
    Some(Duration::from_micros(micros))
}

fn main() -> ExitCode {
    println!(
        "{:14} {:>7} {:>9} {:>9} {:>9} {:>7} {:>12} {:>9} {:>12} {:>8}",
        "load",
        "size",
        "attempts",
        "success",
        "blocked",
        "errors",
        "bytes",
        "loops",
        "I/O thread",
        "copied"
    );
    let mut short = false;
    for load in LOADS {
        let written = run(load);
        let share = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
        let attempts = written.caller.total_attempts;
        let all = attempts + written.io_thread.total_attempts;
        let success = share(written.caller.sync_success, all);
        let blocked = share(written.caller.would_block, attempts);
        let verdict = match load.normal {
            false => "",
            true if success >= 80.0 && blocked < 5.0 => "met",
            true => {
                short = true;
                "SHORT"
            }
        };
        println!(
            "{:14} {:7} {:9} {success:8.2}% {blocked:8.2}% {:7} {:12} {:9} {:12} {:8} {verdict}",
            load.name,
            load.size,
            attempts,
            written.caller.errors,
            written.caller.total_bytes_sync,
            written.caller.loop_iterations,
            written.io_thread.total_attempts,
            written.caller.copied_bytes + written.io_thread.copied_bytes,
        );
    }
    ExitCode::from(u8::from(short))
}

/// What the connections of this load did.
fn run(load: &'static Load) -> Written {
    let before = counters::totals();
    let contexts = [0, 1].map(|_| context::new().expect("a context"));
    let near = open(contexts[0]);
    let far = open(contexts[1]);
    socket::bind(far, c"tcp://127.0.0.1:*").expect("bind");
    let endpoint = last_endpoint(far);
    socket::connect(near, &endpoint).expect("connect");
    let far = far as usize;
    let receiver = thread::spawn(move || receive(far as *mut c_void, load));
    send(near, load);
    receiver.join().expect("the receiver");
    for handle in [near, far as *mut c_void] {
        socket::close(handle).expect("close");
    }
    for handle in contexts {
        context::term(handle).expect("term");
    }
    let after = counters::totals();
    Written {
        caller: difference(&after.caller, &before.caller),
        io_thread: difference(&after.io_thread, &before.io_thread),
    }
}

fn open(context: *mut c_void) -> *mut c_void {
    socket::open(context, ZMQ_PAIR).expect("a socket")
}

fn last_endpoint(handle: *mut c_void) -> CString {
    let mut text = [0; 256];
    socket::option(handle, ZMQ_LAST_ENDPOINT, &mut text).expect("the endpoint");
    CStr::from_bytes_until_nul(&text).expect("a string").to_owned()
}

/// The first byte of a message says whether it is the last one.
fn send(handle: *mut c_void, load: &Load) {
    let mut body = vec![0; load.size];
    let start = Instant::now();
    let mut next = start;
    while body[0] == 0 {
        body[0] = u8::from(start.elapsed() >= LASTING);
        if let Some(pace) = load.pace {
            next += pace;
            while Instant::now() < next {
                thread::yield_now();
            }
        }
        socket::send_bytes(handle, &body, 0).expect("send");
        if load.answered {
            socket::recv_bytes(handle, &mut [0; 8], 0).expect("receive");
        }
    }
}

fn receive(handle: *mut c_void, load: &Load) {
    let mut first = [0; 8];
    while first[0] == 0 {
        socket::recv_bytes(handle, &mut first, 0).expect("receive");
        if load.answered {
            socket::send_bytes(handle, &first, 0).expect("send");
        }
    }
}

fn difference(after: &Counters, before: &Counters) -> Counters {
    Counters {
        total_attempts: after.total_attempts - before.total_attempts,
        sync_success: after.sync_success - before.sync_success,
        would_block: after.would_block - before.would_block,
        errors: after.errors - before.errors,
        total_bytes_sync: after.total_bytes_sync - before.total_bytes_sync,
        loop_iterations: after.loop_iterations - before.loop_iterations,
        copied_bytes: after.copied_bytes - before.copied_bytes,
    }
}
