// SPDX-License-Identifier: MPL-2.0
//! The ZeroMQ Message Transport Protocol without I/O: bytes in, bytes out.
//!
//! Nothing here knows a socket, a thread, a lock or a clock; where time matters `now` is a
//! parameter. What comes from the peer is never trusted: no input makes this code panic, and no
//! memory is set aside for a claimed length before the bytes are there.
//!
//! | module | holds |
//! |---|---|
//! | [`frame`] | frame headers of ZMTP 1.0 and of ZMTP 2.0 and later |
//! | [`command`] | commands in traffic; subscriptions for every version of peer |
//! | [`greeting`] | the opening bytes of a connection and what they say of the peer |
//! | [`cipher`] | what a mechanism does to frames in traffic |
//! | [`handshake`] | from the first byte to traffic, with a security mechanism from above |
//! | [`heartbeat`] | when to send PING, when to give up |
//! | [`socket_type`] | names, numbers and legal peers |
//! | [`zws`] | ZMTP inside WebSocket |
//! | [`datagram`] | messages of RADIO and DISH as datagrams, without ZMTP |
//! | [`error`] | how a handshake fails and what the monitor is told |
//!
//! RFC 13 (1.0), 15 (2.0), 23 (3.0), 37 (3.1), 45 (ZWS 2.0).

#![forbid(unsafe_code)]

pub mod cipher;
pub mod command;
pub mod datagram;
pub mod error;
pub mod frame;
pub mod greeting;
pub mod handshake;
pub mod heartbeat;
pub mod socket_type;
pub mod zws;

pub use cipher::{Cipher, Halves, Joint, Open, Opened, Seal};
pub use error::{FailureClass, HandshakeError, HandshakeEvent, ProtocolError};
pub use frame::{Flags, Framing, HeaderParse};
pub use greeting::Version;
pub use handshake::{Established, Handshake, Mechanism, Work};
pub use socket_type::SocketType;
