// SPDX-License-Identifier: MPL-2.0
//! The HTTP upgrade that opens a connection.
//!
//! Requests and responses are written as libzmq writes them. Of those read only what matters is
//! looked at: method, version, status, the headers of the upgrade and the sub-protocol. The server
//! serves every path and host. RFC 6455, 4; RFC 45.

#![forbid(unsafe_code)]

use tungstenite::handshake::client::Response;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::Request;
use tungstenite::http::{HeaderMap, StatusCode};

use super::{Side, SubProtocol, SubProtocols};
use crate::zmtp::error::{HandshakeError, ProtocolError};

/// The longest request or response that is taken.
pub const MAX_LEN: usize = 16 * 1024;

/// How every request and every response that can be taken begins.
const REQUEST_START: &[u8] = b"GET ";
const RESPONSE_START: &[u8] = b"HTTP/1.1 101";

/// What an upgrade has to know of this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeConfig {
    Client {
        /// The Host header, as the endpoint has it, without the port.
        host: String,
        path: String,
        /// Sec-WebSocket-Key: 16 random bytes in Base64, new for each connection.
        key: String,
    },
    Server,
}

impl UpgradeConfig {
    pub fn side(&self) -> Side {
        match self {
            UpgradeConfig::Client { .. } => Side::Client,
            UpgradeConfig::Server => Side::Server,
        }
    }
}

/// The upgrade of one connection, from this side.
#[derive(Debug)]
pub struct Upgrade {
    /// What the server must prove to have read; `None`: this side is the server.
    expected_accept: Option<String>,
    ours: SubProtocols,
    received: Vec<u8>,
}

impl Upgrade {
    /// Begins; a client's request is appended to `output`.
    pub fn new(config: UpgradeConfig, ours: SubProtocols, output: &mut Vec<u8>) -> Upgrade {
        let expected_accept = match config {
            UpgradeConfig::Server => None,
            UpgradeConfig::Client { host, path, key } => {
                let offer = ours.offer();
                let request = format!(
                    "GET {path} HTTP/1.1\r\n\
                     Host: {host}\r\n\
                     Upgrade: websocket\r\n\
                     Connection: Upgrade\r\n\
                     Sec-WebSocket-Key: {key}\r\n\
                     Sec-WebSocket-Protocol: {offer}\r\n\
                     Sec-WebSocket-Version: 13\r\n\r\n"
                );
                output.extend_from_slice(request.as_bytes());
                Some(derive_accept_key(key.as_bytes()))
            }
        };
        Upgrade { expected_accept, ours, received: Vec::new() }
    }

    pub fn side(&self) -> Side {
        if self.expected_accept.is_some() { Side::Client } else { Side::Server }
    }

    /// Takes what belongs to the upgrade off the front of `input`, and appends a server's response
    /// to `output`. The sub-protocol, once the upgrade is complete.
    ///
    /// # Errors
    /// WS_UNSPECIFIED for whatever is no upgrade this side can agree to. As with libzmq the other
    /// side is told nothing: a client that were told would never try again.
    pub fn handle(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<SubProtocol>, HandshakeError> {
        let before = self.received.len();
        let bytes = *input;
        let taken = bytes.len().min(MAX_LEN - before);
        self.received.extend_from_slice(&bytes[..taken]);
        *input = &bytes[taken..];
        let start = if self.side() == Side::Client { RESPONSE_START } else { REQUEST_START };
        if self.received.iter().zip(start).any(|(byte, expected)| byte != expected) {
            return Err(violation());
        }
        // Nothing becomes complete, or hopeless, but by a line.
        let agreed = if bytes[..taken].contains(&b'\n') { self.parse(output)? } else { None };
        match agreed {
            Some((length, sub_protocol)) => {
                *input = &bytes[length.saturating_sub(before).min(taken)..];
                self.received = Vec::new();
                Ok(Some(sub_protocol))
            }
            None if self.received.len() == MAX_LEN => Err(violation()),
            None => Ok(None),
        }
    }

    fn parse(&self, output: &mut Vec<u8>) -> Result<Option<(usize, SubProtocol)>, HandshakeError> {
        match &self.expected_accept {
            None => {
                let request = Request::try_parse(&self.received).map_err(|_| violation())?;
                let Some((length, request)) = request else { return Ok(None) };
                let agreed = accept(request.headers(), &self.ours);
                let (key, name, sub_protocol) = agreed.ok_or(violation())?;
                let accept = derive_accept_key(key);
                let response = format!(
                    "HTTP/1.1 101 Switching Protocols\r\n\
                     Upgrade: websocket\r\n\
                     Connection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\
                     Sec-WebSocket-Protocol: {name}\r\n\r\n"
                );
                output.extend_from_slice(response.as_bytes());
                Ok(Some((length, sub_protocol)))
            }
            Some(accept) => {
                let response = Response::try_parse(&self.received).map_err(|_| violation())?;
                let Some((length, response)) = response else { return Ok(None) };
                let headers = response.headers();
                let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && is_upgrade(headers)
                    && sole(headers, "Sec-WebSocket-Accept") == Some(accept)
                    // None was offered.
                    && !headers.contains_key("Sec-WebSocket-Extensions");
                let name = sole(headers, "Sec-WebSocket-Protocol").filter(|_| upgraded);
                let sub_protocol = name.and_then(|name| self.ours.find(name));
                Ok(Some((length, sub_protocol.ok_or(violation())?)))
            }
        }
    }
}

const fn violation() -> HandshakeError {
    HandshakeError::protocol(ProtocolError::WS_UNSPECIFIED)
}

/// What the response to a request with these headers has to be made of: the client's key, and the
/// first of the sub-protocols offered that this side speaks. `None`: to be refused.
fn accept<'a>(
    headers: &'a HeaderMap,
    ours: &SubProtocols,
) -> Option<(&'a [u8], &'a str, SubProtocol)> {
    let key = headers.get("Sec-WebSocket-Key")?.as_bytes();
    // libzmq asks for no version, and so do not all clients name one.
    let version = headers.get("Sec-WebSocket-Version").is_none_or(|version| version == "13");
    if !is_upgrade(headers) || !version || key.is_empty() {
        return None;
    }
    list(headers, "Sec-WebSocket-Protocol")
        .find_map(|name| ours.find(name).map(|sub_protocol| (key, name, sub_protocol)))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    list(headers, "Upgrade").any(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
        && list(headers, "Connection").any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// The elements of a header whose value is a list, and that may be given several times.
fn list<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|element| element.trim_matches([' ', '\t']))
}

/// The value of a header that is given once.
fn sole<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// An upgrade as it goes over the wire, for tests here and above.
#[cfg(test)]
pub mod sample {
    use super::UpgradeConfig;

    // The example of RFC 6455, 1.3.
    pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    pub const REQUEST: &str = "GET /zeromq HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: ZWS2.0/NULL,ZWS2.0\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    pub const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: ZWS2.0/NULL\r\n\r\n";

    /// Of the client that sends the request.
    pub fn client() -> UpgradeConfig {
        UpgradeConfig::Client {
            host: "server.example.com".to_owned(),
            path: "/zeromq".to_owned(),
            key: KEY.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{ACCEPT, KEY, REQUEST, RESPONSE};
    use super::*;

    fn null() -> SubProtocols {
        SubProtocols::new("NULL", false)
    }

    fn client() -> (Upgrade, Vec<u8>) {
        let mut output = Vec::new();
        (Upgrade::new(sample::client(), null(), &mut output), output)
    }

    fn server() -> Upgrade {
        Upgrade::new(UpgradeConfig::Server, null(), &mut Vec::new())
    }

    type Outcome = Result<Option<SubProtocol>, HandshakeError>;

    /// What comes of all these bytes at once, what is sent, and how many bytes are not taken.
    fn run(mut upgrade: Upgrade, bytes: &[u8]) -> (Outcome, String, usize) {
        let mut input = bytes;
        let mut output = Vec::new();
        let result = upgrade.handle(&mut input, &mut output);
        (result, String::from_utf8(output).unwrap(), input.len())
    }

    #[test]
    fn byte_by_byte_and_with_traffic_behind() {
        let agreed = Ok(Some(SubProtocol::Mechanism));
        assert_eq!(derive_accept_key(KEY.as_bytes()), ACCEPT);
        assert_eq!(client().1, REQUEST.as_bytes());
        assert_eq!(run(server(), REQUEST.as_bytes()), (agreed, RESPONSE.to_owned(), 0));
        assert_eq!(run(client().0, RESPONSE.as_bytes()), (agreed, String::new(), 0));

        for (text, fresh) in [(REQUEST, server as fn() -> Upgrade), (RESPONSE, || client().0)] {
            let wire = [text.as_bytes(), b"\x82\x01"].concat();
            for split in 0..=wire.len() {
                let mut upgrade = fresh();
                let mut output = Vec::new();
                let mut first = &wire[..split];
                let early = upgrade.handle(&mut first, &mut output);
                if split < text.len() {
                    assert_eq!((early, first), (Ok(None), &b""[..]), "{split}");
                    let mut second = &wire[split..];
                    assert_eq!(upgrade.handle(&mut second, &mut output), agreed);
                    assert_eq!(second, b"\x82\x01");
                } else {
                    assert_eq!((early, first), (agreed, &wire[text.len()..split]));
                }
            }
            let mut upgrade = fresh();
            for (at, byte) in text.bytes().enumerate() {
                let mut input = &[byte][..];
                let result = upgrade.handle(&mut input, &mut Vec::new());
                assert_eq!(result, if at + 1 == text.len() { agreed } else { Ok(None) });
            }
        }
    }

    #[test]
    fn requests_that_are_taken() {
        for (from, to, name) in [
            ("", "", "ZWS2.0/NULL"),
            ("ZWS2.0/NULL,ZWS2.0", "ZWS2.0,ZWS2.0/NULL", "ZWS2.0"),
            ("ZWS2.0/NULL,ZWS2.0", "chat, ZWS2.0/PLAIN , ZWS2.0", "ZWS2.0"),
            (
                "Protocol: ZWS2.0/NULL,ZWS2.0",
                "Protocol: a\r\nsec-websocket-protocol: ZWS2.0",
                "ZWS2.0",
            ),
            ("Connection: Upgrade", "connection: keep-alive, upgrade", "ZWS2.0/NULL"),
            ("Upgrade: websocket", "UPGRADE: WebSocket", "ZWS2.0/NULL"),
            ("Sec-WebSocket-Version: 13\r\n", "", "ZWS2.0/NULL"),
            (
                "Host: server.example.com\r\n",
                "Sec-WebSocket-Extensions: x\r\nOrigin: http://a\r\n",
                "ZWS2.0/NULL",
            ),
            ("/zeromq", "/a/b?c=d&e=%20", "ZWS2.0/NULL"),
            ("/zeromq", "/", "ZWS2.0/NULL"),
        ] {
            let (result, response, _) = run(server(), REQUEST.replacen(from, to, 1).as_bytes());
            assert_eq!(result, Ok(null().find(name)), "{to}");
            assert_eq!(response, RESPONSE.replace("ZWS2.0/NULL", name), "{to}");
        }
    }

    #[test]
    fn requests_that_are_refused() {
        for (from, to) in [
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Connection: Upgrade\r\n", ""),
            ("Connection: Upgrade", "Connection: close"),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            ("dGhlIHNhbXBsZSBub25jZQ==", ""),
            ("Sec-WebSocket-Protocol: ZWS2.0/NULL,ZWS2.0\r\n", ""),
            ("ZWS2.0/NULL,ZWS2.0", "ZWS2.0/PLAIN"),
            ("ZWS2.0/NULL,ZWS2.0", "chat"),
            ("Version: 13", "Version: 8"),
        ] {
            let (result, response, _) = run(server(), REQUEST.replacen(from, to, 1).as_bytes());
            assert_eq!((result, response.as_str()), (Err(violation()), ""), "{from} {to}");
        }
        // Nobody who speaks HTTP/1.1 sent these.
        let start = &REQUEST["GET /zeromq ".len()..];
        for text in [
            "\u{ff}",
            "\0",
            "\r\n",
            "P",
            "GEX",
            "get / HTTP/1.1\r\n",
            &format!("POST /zeromq {start}"),
            &REQUEST.replace("HTTP/1.1", "HTTP/1.0"),
            &REQUEST.replace("HTTP/1.1", "HTTP/2.0"),
            &REQUEST.replace("Host:", "Ho st:"),
            &REQUEST.replace("Host:", "\r:"),
            "GET / HTTP/1.1\r\nHost\r\n",
        ] {
            let (result, response, _) = run(server(), text.as_bytes());
            assert_eq!((result, response.as_str()), (Err(violation()), ""), "{text}");
        }
    }

    #[test]
    fn responses_that_are_refused() {
        for (from, to) in [
            ("101 Switching Protocols", "200 OK"),
            ("101 Switching Protocols", "1010"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Upgrade: websocket\r\n", ""),
            ("Connection: Upgrade\r\n", ""),
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""),
            ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Sec-WebSocket-Protocol: ZWS2.0/NULL\r\n", ""),
            ("ZWS2.0/NULL", "ZWS2.0/PLAIN"),
            ("ZWS2.0/NULL", "ZWS2.0/NULL,ZWS2.0"),
            ("ZWS2.0/NULL", "ZWS2.0/NULL\r\nSec-WebSocket-Protocol: ZWS2.0"),
            ("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Extensions: x"),
        ] {
            let (result, sent, _) = run(client().0, RESPONSE.replacen(from, to, 1).as_bytes());
            assert_eq!((result, sent.as_str()), (Err(violation()), ""), "{from} {to}");
        }
        let bare = RESPONSE.replace("ZWS2.0/NULL", "ZWS2.0");
        assert_eq!(run(client().0, bare.as_bytes()).0, Ok(Some(SubProtocol::Bare)));
        let reason = RESPONSE.replace("Switching Protocols", "Web Socket");
        assert_eq!(run(client().0, reason.as_bytes()).0, Ok(Some(SubProtocol::Mechanism)));
    }

    #[test]
    fn the_length_is_bounded() {
        let endless = [b"GET / HTTP/1.1\r\nCookie: ".as_slice(), &[b'x'; 2 * MAX_LEN]].concat();
        let mut upgrade = server();
        let mut taken = 0;
        let error = endless.chunks(100).find_map(|chunk| {
            taken += chunk.len();
            upgrade.handle(&mut &chunk[..], &mut Vec::new()).err()
        });
        assert_eq!(error, Some(violation()));
        assert!((MAX_LEN..MAX_LEN + 100).contains(&taken));
        assert_eq!(run(server(), &endless).0, Err(violation()));

        let long = "x: y\r\n".repeat(100);
        let request = REQUEST.replacen("\r\n", &format!("\r\n{long}"), 1);
        assert_eq!(run(server(), request.as_bytes()).0, Ok(Some(SubProtocol::Mechanism)));
    }

    #[test]
    fn peers_that_must_authenticate_cannot_go_without_mechanism() {
        let request = REQUEST.replace("ZWS2.0/NULL,ZWS2.0", "ZWS2.0");
        let ours = SubProtocols::new("NULL", true);
        let upgrade = Upgrade::new(UpgradeConfig::Server, ours, &mut Vec::new());
        assert_eq!(run(upgrade, request.as_bytes()).0, Err(violation()));
    }
}
