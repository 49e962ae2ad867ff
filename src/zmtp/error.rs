// SPDX-License-Identifier: MPL-2.0
//! How a handshake fails: what becomes of the connection, and what the socket monitor is told.
//!
//! Man page: zmq_socket_monitor(3).

#![forbid(unsafe_code)]

use std::fmt;

use crate::errno::Error;

/// One row a code: its name without `ZMQ_PROTOCOL_ERROR_`, its number, its text.
macro_rules! protocol_errors {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// The value of a `ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL` event.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct ProtocolError(u32);

        impl ProtocolError {
            $(pub const $name: ProtocolError = ProtocolError($code);)*

            /// Every code with its name and text.
            pub const ALL: &[(ProtocolError, &str, &str)] =
                &[$((ProtocolError::$name, stringify!($name), $text),)*];
        }
    };
}

protocol_errors! {
    ZMTP_UNSPECIFIED = 0x1000_0000, "ZMTP violation";
    ZMTP_UNEXPECTED_COMMAND = 0x1000_0001, "command not expected in this state";
    ZMTP_INVALID_SEQUENCE = 0x1000_0002, "message replayed or out of order";
    ZMTP_KEY_EXCHANGE = 0x1000_0003, "key exchange failed";
    ZMTP_MALFORMED_COMMAND_UNSPECIFIED = 0x1000_0011, "malformed command";
    ZMTP_MALFORMED_COMMAND_MESSAGE = 0x1000_0012, "malformed MESSAGE";
    ZMTP_MALFORMED_COMMAND_HELLO = 0x1000_0013, "malformed HELLO";
    ZMTP_MALFORMED_COMMAND_INITIATE = 0x1000_0014, "malformed INITIATE";
    ZMTP_MALFORMED_COMMAND_ERROR = 0x1000_0015, "malformed ERROR";
    ZMTP_MALFORMED_COMMAND_READY = 0x1000_0016, "malformed READY";
    ZMTP_MALFORMED_COMMAND_WELCOME = 0x1000_0017, "malformed WELCOME";
    ZMTP_INVALID_METADATA = 0x1000_0018, "invalid metadata";
    ZMTP_CRYPTOGRAPHIC = 0x1100_0001, "cryptographic verification failed";
    ZMTP_MECHANISM_MISMATCH = 0x1100_0002, "peer uses another security mechanism";
    ZAP_UNSPECIFIED = 0x2000_0000, "ZAP violation";
    ZAP_MALFORMED_REPLY = 0x2000_0001, "ZAP reply has the wrong number of frames";
    ZAP_BAD_REQUEST_ID = 0x2000_0002, "ZAP reply to another request";
    ZAP_BAD_VERSION = 0x2000_0003, "ZAP reply of another version";
    ZAP_INVALID_STATUS_CODE = 0x2000_0004, "ZAP reply with an invalid status code";
    ZAP_INVALID_METADATA = 0x2000_0005, "ZAP reply with invalid metadata";
    WS_UNSPECIFIED = 0x3000_0000, "WebSocket violation";
}

impl ProtocolError {
    /// The number, as the monitor event carries it.
    pub const fn code(self) -> u32 {
        self.0
    }

    pub fn text(self) -> &'static str {
        ProtocolError::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
}

impl fmt::Debug for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ProtocolError::ALL.iter().find(|row| row.0 == *self) {
            Some((_, name, _)) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// What the loss of a connection means for the side that connected. The side that accepted ends
/// its session in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// End of stream, reset, refused: connect again.
    Connection,
    /// The handshake or a heartbeat took too long: connect again.
    Timeout,
    /// The peer will not do better next time: never connect again.
    Protocol,
}

/// The handshake event that a failure owes the socket monitor, ahead of its `DISCONNECTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeEvent {
    None,
    /// `ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL` with this errno.
    NoDetail(Error),
    /// `ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL` with this code.
    Protocol(ProtocolError),
    /// `ZMQ_EVENT_HANDSHAKE_FAILED_AUTH` with this ZAP status: 300, 400 or 500.
    Auth(u16),
}

/// Why a handshake failed. `event` is all the monitor is owed for it: the `NO_DETAIL` that other
/// losses of a connection bring is not to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    pub class: FailureClass,
    pub errno: Error,
    pub event: HandshakeEvent,
}

impl HandshakeError {
    /// A violation with a code for the monitor.
    pub const fn protocol(code: ProtocolError) -> HandshakeError {
        HandshakeError::with_event(HandshakeEvent::Protocol(code))
    }

    /// A violation of which the monitor sees nothing but the disconnection.
    pub const fn silent(errno: Error) -> HandshakeError {
        HandshakeError { class: FailureClass::Protocol, errno, event: HandshakeEvent::None }
    }

    /// The peer has closed the connection by a message of its own.
    pub const fn closed() -> HandshakeError {
        HandshakeError::lost(Error::PIPE)
    }

    /// Nothing that the peer has done wrong: to be tried again.
    pub const fn lost(errno: Error) -> HandshakeError {
        let event = HandshakeEvent::NoDetail(errno);
        HandshakeError { class: FailureClass::Connection, errno, event }
    }

    /// The peer's ZAP handler refused with this status.
    pub const fn auth(status: u16) -> HandshakeError {
        HandshakeError::with_event(HandshakeEvent::Auth(status))
    }

    /// The ZAP handler of this side refused with this status. 300 is for now only.
    pub const fn refused(status: u16) -> HandshakeError {
        let class = match status {
            300 => FailureClass::Connection,
            _ => FailureClass::Protocol,
        };
        HandshakeError { class, ..HandshakeError::auth(status) }
    }

    /// A ZAP handler is required and there is none.
    pub const fn no_zap_handler() -> HandshakeError {
        HandshakeError {
            class: FailureClass::Protocol,
            errno: Error::FAULT,
            event: HandshakeEvent::NoDetail(Error::FAULT),
        }
    }

    const fn with_event(event: HandshakeEvent) -> HandshakeError {
        HandshakeError { class: FailureClass::Protocol, errno: Error::PROTO, event }
    }
}

impl From<ProtocolError> for HandshakeError {
    fn from(code: ProtocolError) -> HandshakeError {
        HandshakeError::protocol(code)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            HandshakeEvent::None => self.errno.fmt(f),
            HandshakeEvent::NoDetail(errno) => errno.fmt(f),
            HandshakeEvent::Protocol(code) => f.write_str(code.text()),
            HandshakeEvent::Auth(status) => write!(f, "not authenticated: status {status}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_have_texts() {
        assert_eq!(ProtocolError::ALL.len(), 21);
        for (index, (code, name, text)) in ProtocolError::ALL.iter().enumerate() {
            assert!(!text.is_empty());
            assert_eq!(code.text(), *text);
            assert_eq!(format!("{code:?}"), *name);
            assert!(ProtocolError::ALL[..index].iter().all(|other| other.0.code() < code.code()));
        }
        assert_eq!(ProtocolError::ZMTP_MECHANISM_MISMATCH.code(), 0x1100_0002);
    }

    #[test]
    fn texts() {
        let error = HandshakeError::protocol(ProtocolError::ZMTP_UNEXPECTED_COMMAND);
        assert_eq!(error.to_string(), "command not expected in this state");
        assert_eq!(HandshakeError::auth(400).to_string(), "not authenticated: status 400");
    }
}
