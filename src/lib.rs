// SPDX-License-Identifier: MPL-2.0
//! ferrozmq: libzmq's C ABI over a Rust engine.
//!
//! The layers, lowest first; a layer may import those above it in this list, never those below:
//!
//! | module | holds |
//! |---|---|
//! | [`abi`] | constants in `zmq.h` order, C types with size and alignment asserts |
//! | [`errno`] | the error type, its texts, the calling thread's errno |
//! | [`fork`] | forks counted; locks of the whole process, which none tears apart |
//! | [`thread_words`] | words of each thread's own, for the hot path |
//! | [`msg`] | the message: 64 bytes, inline, shared, zero-copy or constant; metadata |
//! | [`options`] | socket options and their defaults, one table row an option |
//! | [`endpoint`] | endpoint strings parsed once into types |
//! | [`zmtp`] | the wire protocol without I/O, clock or lock |
//! | [`mechanism`] | security mechanisms, likewise without I/O |
//! | [`pipe`] | the message queue between a socket and its peer, with credit |
//! | [`pattern`] | one file a socket type: routing only |
//! | [`transport`] | bytes in and out of the kernel, name resolution, kernel socket options |
//! | [`engine`] | a connection: transport, protocol and pipe; who may write, who may read |
//! | [`io`] | I/O threads, timers, sessions, listeners, connecters |
//! | [`ctx`], [`socket`] | contexts, the inproc registry; sockets and their monitors |
//! | [`tools`] | poll, proxy, timers, Z85, counters, stopwatch, threads |
//! | [`ffi`] | the exported `zmq_*` functions |

pub mod abi;
pub mod ctx;
pub mod endpoint;
pub mod engine;
pub mod errno;
// The models of the hand-overs (the feature `loom`) need no C interface.
#[cfg(not(feature = "loom"))]
pub mod ffi;
pub mod fork;
pub mod io;
pub mod mechanism;
pub mod msg;
pub mod options;
pub mod pattern;
pub mod pipe;
pub mod socket;
pub mod thread_words;
pub mod tools;
pub mod transport;
pub mod zmtp;
