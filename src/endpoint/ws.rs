// SPDX-License-Identifier: MPL-2.0
//! Addresses of ws and wss: "host:port\[/path\]". RFC 45 (ZWS 2.0).
//!
//! The path starts at the first '/', so it may hold colons and further slashes, which libzmq
//! stumbles over. Control characters are EINVAL: they would break out of the request line.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::Transport;
use super::host::{Host, Wildcards, parse_host_port};
use super::tcp::{numeric_host, parse_bindable};
use crate::errno::{Error, Result};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsBind {
    /// A name is that of an interface, never for DNS; ENODEV if there is none.
    pub host: Host,
    /// 0: the system chooses.
    pub port: u16,
    /// Starts with '/'.
    pub path: String,
}

impl WsBind {
    /// EINVAL for a malformed address, ENODEV for an empty host.
    pub(super) fn parse(address: &[u8]) -> Result<WsBind> {
        let (authority, path) = split_path(address)?;
        let (host, port) = parse_bindable(authority.as_bytes())?;
        Ok(WsBind { host, port, path })
    }
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsConnect {
    /// A name is for DNS, inside `zmq_connect`; EINVAL if it does not resolve.
    pub host: Host,
    pub port: u16,
    /// Starts with '/'.
    pub path: String,
    /// The host as written, brackets included: the Host header, to which libzmq adds no port.
    pub host_text: String,
}

impl WsConnect {
    /// EINVAL for a malformed address, a wildcard or an empty host.
    pub(super) fn parse(address: &[u8]) -> Result<WsConnect> {
        let (authority, path) = split_path(address)?;
        let (host, port) = parse_host_port(authority.as_bytes(), Wildcards::Refused)?;
        match &host {
            Host::Name { name, .. } if name.is_empty() || name == "*" => return Err(Error::INVAL),
            _ => {}
        }
        let host_text = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
        Ok(WsConnect { host, port, path, host_text })
    }

    /// The endpoint as `ZMQ_LAST_ENDPOINT` and monitor events show it.
    pub fn endpoint(&self, transport: Transport) -> String {
        format!("{}://{}:{}{}", transport.scheme(), self.host_text, self.port, self.path)
    }
}

/// Splits "host:port" from the path, which is "/" if there is none.
fn split_path(address: &[u8]) -> Result<(&str, String)> {
    let address = std::str::from_utf8(address).map_err(|_| Error::INVAL)?;
    if address.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::INVAL);
    }
    let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    Ok((authority, if path.is_empty() { "/" } else { path }.to_owned()))
}

/// The endpoint of a resolved address: "ws://a.b.c.d:port/path"; `zone` as for `tcp_endpoint`.
pub fn ws_endpoint(
    transport: Transport,
    address: &SocketAddr,
    zone: Option<&str>,
    path: &str,
) -> String {
    let host = numeric_host(address, zone);
    format!("{}://{host}:{}{path}", transport.scheme(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    #[test]
    fn binding() {
        for (text, host, port, path) in [
            ("127.0.0.1:80", Host::V4(Ipv4Addr::LOCALHOST), 80, "/"),
            ("*:*", Host::Any, 0, "/"),
            ("*:*/", Host::Any, 0, "/"),
            ("*:*/a", Host::Any, 0, "/a"),
            ("*:*/a/b", Host::Any, 0, "/a/b"),
            ("*:80/a:b", Host::Any, 80, "/a:b"),
            ("[::1]:80/a", Host::V6 { addr: Ipv6Addr::LOCALHOST, zone: None }, 80, "/a"),
            ("lo:80", name("lo"), 80, "/"),
        ] {
            let path = path.to_owned();
            assert_eq!(WsBind::parse(text.as_bytes()), Ok(WsBind { host, port, path }), "{text}");
        }
        for (text, error) in [
            ("*", Error::INVAL),
            ("*/a:80", Error::INVAL),
            ("*:", Error::INVAL),
            ("*:/a", Error::INVAL),
            ("*:99999", Error::INVAL),
            ("*:80/a\r\nb", Error::INVAL),
            (":80", Error::NODEV),
        ] {
            assert_eq!(WsBind::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn connecting() {
        for (text, host, endpoint) in [
            ("localhost:80", name("localhost"), "ws://localhost:80/"),
            ("127.0.0.1:80/a/b", Host::V4(Ipv4Addr::LOCALHOST), "ws://127.0.0.1:80/a/b"),
            ("[::1]:080", Host::V6 { addr: Ipv6Addr::LOCALHOST, zone: None }, "ws://[::1]:80/"),
        ] {
            let parsed = WsConnect::parse(text.as_bytes()).unwrap();
            assert_eq!((&parsed.host, parsed.port), (&host, 80), "{text}");
            assert_eq!(parsed.endpoint(Transport::Ws), endpoint);
        }
        for text in ["*:80", "a:*", "a", "a:", ":80", "a:65536", "\u{1}:80", "a/b:80"] {
            assert_eq!(WsConnect::parse(text.as_bytes()), Err(Error::INVAL), "{text}");
        }
        assert_eq!(WsConnect::parse(b"\xff:80"), Err(Error::INVAL));
    }

    #[test]
    fn endpoints_keep_their_scheme_and_path() {
        let address = "0.0.0.0:34673".parse().unwrap();
        assert_eq!(ws_endpoint(Transport::Ws, &address, None, "/"), "ws://0.0.0.0:34673/");
        assert_eq!(ws_endpoint(Transport::Wss, &address, None, "/a"), "wss://0.0.0.0:34673/a");
    }
}
