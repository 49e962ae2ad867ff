// SPDX-License-Identifier: MPL-2.0
//! The question to a ZAP handler and its reply, as frames. How they travel is the engine's
//! business.
//!
//! RFC 27.

#![forbid(unsafe_code)]

use super::metadata::{Properties, push_property};
use crate::zmtp::{HandshakeError, ProtocolError};

const VERSION: &[u8] = b"1.0";
/// One question a connection: all have the same id.
const REQUEST_ID: &[u8] = b"1";
const USER_ID: &str = "User-Id";

/// What a question to the handler says besides the mechanism and the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZapConfig {
    /// `ZMQ_ZAP_DOMAIN`.
    pub domain: Vec<u8>,
    /// Without a handler the peer is refused (`ZMQ_ZAP_ENFORCE_DOMAIN`; PLAIN, always).
    pub handler_required: bool,
    pub peer_address: String,
}

/// The question of one handshake.
#[derive(Debug)]
pub enum Zap {
    /// To be put.
    Due { request: Vec<Vec<u8>>, handler_required: bool },
    /// Put, not answered.
    Waiting { handler_required: bool },
    /// No question, or answered with 200; the properties the answer brought.
    Settled { properties: Vec<(String, Vec<u8>)> },
    /// Refused.
    Refused,
}

impl Zap {
    /// `routing_id` is that of this side's socket.
    pub fn new(
        config: Option<ZapConfig>,
        mechanism: &str,
        routing_id: &[u8],
        credentials: &[&[u8]],
    ) -> Zap {
        let Some(config) = config else {
            return Zap::Settled { properties: Vec::new() };
        };
        let address = config.peer_address.as_bytes();
        let domain = &config.domain[..];
        let head = [b"", VERSION, REQUEST_ID, domain, address, routing_id, mechanism.as_bytes()];
        let request = head.iter().chain(credentials).map(|frame| frame.to_vec()).collect();
        Zap::Due { request, handler_required: config.handler_required }
    }

    pub fn is_settled(&self) -> bool {
        matches!(self, Zap::Settled { .. })
    }

    /// The frames of the question, once.
    pub fn poll_request(&mut self) -> Option<Vec<Vec<u8>>> {
        match self {
            Zap::Due { request, handler_required } => {
                let request = std::mem::take(request);
                *self = Zap::Waiting { handler_required: *handler_required };
                Some(request)
            }
            _ => None,
        }
    }

    /// The answer. One that nobody waits for is ignored.
    ///
    /// # Errors
    /// The reply is malformed, or its status is not 200.
    pub fn handle_reply(&mut self, frames: &[&[u8]]) -> Result<(), HandshakeError> {
        if !matches!(self, Zap::Waiting { .. }) {
            return Ok(());
        }
        *self = Zap::Refused;
        let reply = ZapReply::parse(frames)?;
        if reply.status != 200 {
            return Err(HandshakeError::refused(reply.status));
        }
        *self = Zap::Settled { properties: reply.properties };
        Ok(())
    }

    /// There is no handler.
    ///
    /// # Errors
    /// One is required.
    pub fn handle_no_handler(&mut self) -> Result<(), HandshakeError> {
        match self {
            Zap::Due { handler_required: true, .. } | Zap::Waiting { handler_required: true } => {
                *self = Zap::Refused;
                Err(HandshakeError::no_zap_handler())
            }
            Zap::Due { .. } | Zap::Waiting { .. } => {
                *self = Zap::Settled { properties: Vec::new() };
                Ok(())
            }
            Zap::Settled { .. } | Zap::Refused => Ok(()),
        }
    }

    /// What the handler has said of the peer: its user id first.
    pub fn into_properties(self) -> Vec<(String, Vec<u8>)> {
        match self {
            Zap::Settled { properties } => properties,
            _ => Vec::new(),
        }
    }
}

/// A well-formed reply.
struct ZapReply {
    status: u16,
    properties: Vec<(String, Vec<u8>)>,
}

impl ZapReply {
    fn parse(frames: &[&[u8]]) -> Result<ZapReply, ProtocolError> {
        let &[delimiter, version, request_id, status, _text, user_id, metadata] = frames else {
            return Err(ProtocolError::ZAP_MALFORMED_REPLY);
        };
        if !delimiter.is_empty() {
            return Err(ProtocolError::ZAP_UNSPECIFIED);
        }
        if version != VERSION {
            return Err(ProtocolError::ZAP_BAD_VERSION);
        }
        if request_id != REQUEST_ID {
            return Err(ProtocolError::ZAP_BAD_REQUEST_ID);
        }
        let status = match status {
            b"200" => 200,
            b"300" => 300,
            b"400" => 400,
            b"500" => 500,
            _ => return Err(ProtocolError::ZAP_INVALID_STATUS_CODE),
        };
        let mut properties = vec![(USER_ID.to_owned(), user_id.to_vec())];
        for property in Properties::new(metadata) {
            let (name, value) = property.map_err(|_| ProtocolError::ZAP_INVALID_METADATA)?;
            push_property(&mut properties, name, value);
        }
        Ok(ZapReply { status, properties })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::HandshakeEvent;

    fn waiting(handler_required: bool) -> Zap {
        let config = ZapConfig {
            domain: b"global".to_vec(),
            handler_required,
            peer_address: "127.0.0.1".to_owned(),
        };
        let mut zap = Zap::new(Some(config), "PLAIN", b"me", &[b"user", b"secret"]);
        assert!(!zap.is_settled());
        let request = zap.poll_request().unwrap();
        let expected: [&[u8]; 9] =
            [b"", b"1.0", b"1", b"global", b"127.0.0.1", b"me", b"PLAIN", b"user", b"secret"];
        assert_eq!(request, expected);
        assert_eq!(zap.poll_request(), None);
        zap
    }

    #[test]
    fn accepted() {
        let mut zap = waiting(true);
        let metadata = b"\x05Hello\0\0\0\x05World";
        let reply: [&[u8]; 7] = [b"", b"1.0", b"1", b"200", b"OK", b"alice", metadata];
        zap.handle_reply(&reply).unwrap();
        assert!(zap.is_settled());
        let properties = zap.into_properties();
        let expected = [("User-Id", b"alice"), ("Hello", b"World")];
        assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_vec())));
    }

    #[test]
    fn refused_or_malformed() {
        use HandshakeEvent::{Auth, Protocol};
        let rows: &[(&[&[u8]], HandshakeEvent)] = &[
            (&[b"", b"1.0", b"1", b"300", b"", b"", b""], Auth(300)),
            (&[b"", b"1.0", b"1", b"400", b"", b"", b""], Auth(400)),
            (&[b"", b"1.0", b"1", b"500", b"", b"", b""], Auth(500)),
            (&[], Protocol(ProtocolError::ZAP_MALFORMED_REPLY)),
            (&[b"", b"1.0", b"1", b"200", b"", b""], Protocol(ProtocolError::ZAP_MALFORMED_REPLY)),
            (&[b"" as &[u8]; 8], Protocol(ProtocolError::ZAP_MALFORMED_REPLY)),
            (
                &[b"x", b"1.0", b"1", b"200", b"", b"", b""],
                Protocol(ProtocolError::ZAP_UNSPECIFIED),
            ),
            (&[b"", b"1.1", b"1", b"200", b"", b"", b""], Protocol(ProtocolError::ZAP_BAD_VERSION)),
            (
                &[b"", b"1.0", b"2", b"200", b"", b"", b""],
                Protocol(ProtocolError::ZAP_BAD_REQUEST_ID),
            ),
            (
                &[b"", b"1.0", b"1", b"201", b"", b"", b""],
                Protocol(ProtocolError::ZAP_INVALID_STATUS_CODE),
            ),
            (
                &[b"", b"1.0", b"1", b"200", b"", b"", b"\0"],
                Protocol(ProtocolError::ZAP_INVALID_METADATA),
            ),
        ];
        for (reply, event) in rows {
            let mut zap = waiting(false);
            assert_eq!(zap.handle_reply(reply).unwrap_err().event, *event, "{reply:?}");
            assert!(!zap.is_settled());
            zap.handle_reply(&[b"", b"1.0", b"1", b"200", b"", b"", b""]).unwrap();
            assert!(!zap.is_settled(), "a refusal is final");
        }
    }

    #[test]
    fn without_a_handler() {
        let mut open = waiting(false);
        assert_eq!(open.handle_no_handler(), Ok(()));
        assert!(open.is_settled());
        let mut strict = waiting(true);
        assert_eq!(strict.handle_no_handler(), Err(HandshakeError::no_zap_handler()));
        assert!(!strict.is_settled());
        assert!(Zap::new(None, "NULL", b"", &[]).is_settled());
    }
}
