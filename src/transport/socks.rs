// SPDX-License-Identifier: MPL-2.0
//! The client's half of SOCKS 5 without I/O: what is said to a proxy until it has connected to
//! where the stream is to go (RFC 1928), with a user name and password (RFC 1929) or without.
//!
//! Host names are for the proxy to look up. Behind the proxy's last byte the peer's begin, and may
//! come with it: so never more than [`wanted`](Socks::wanted) bytes are to be read.

#![forbid(unsafe_code)]

use std::fmt;

use crate::endpoint::Host;
use crate::errno::{Error, Result};

const VERSION: u8 = 5;
/// Of the negotiation of RFC 1929.
const BASIC_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const BASIC: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// The greatest reply code there is.
const LAST_REPLY: u8 = 8;

/// A conversation with a proxy.
pub struct Socks {
    step: Step,
    output: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// What came of the message that is due.
    input: Vec<u8>,
    /// The answer to a demand for user name and password.
    credentials: Vec<u8>,
    request: Vec<u8>,
}

/// Which message of the proxy is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Method,
    Credentials,
    Reply,
    Done,
}

impl Socks {
    /// A proxy is to connect to this host. Without a user name it is told that there is none.
    ///
    /// # Errors
    /// INVAL for a port of 0 and for what cannot be a host's name.
    pub fn new(host: &Host, port: u16, username: &[u8], password: &[u8]) -> Result<Socks> {
        let method = if username.is_empty() { NO_AUTHENTICATION } else { BASIC };
        let mut credentials = vec![BASIC_VERSION];
        for text in [username, password] {
            credentials.push(u8::try_from(text.len()).map_err(|_| Error::INVAL)?);
            credentials.extend_from_slice(text);
        }
        Ok(Socks {
            step: Step::Method,
            output: vec![VERSION, 1, method],
            sent: 0,
            input: Vec::new(),
            credentials,
            request: request(host, port)?,
        })
    }

    /// What is to be sent now.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So much of the output was sent.
    pub fn advance_output(&mut self, count: usize) {
        self.sent += count;
    }

    /// How many bytes to read at most; 0 once the proxy has connected.
    pub fn wanted(&self) -> usize {
        let whole = match (self.step, self.input.get(3), self.input.get(4)) {
            (Step::Done, ..) => 0,
            (Step::Method | Step::Credentials, ..) => 2,
            // Up to where the length of the rest is known.
            (Step::Reply, _, None) => 5,
            (Step::Reply, Some(&NAME), Some(length)) => 5 + usize::from(*length) + 2,
            (Step::Reply, Some(&IPV6), _) => 4 + 16 + 2,
            (Step::Reply, ..) => 4 + 4 + 2,
        };
        whole.saturating_sub(self.input.len())
    }

    /// The proxy has connected, and everything that comes now is the peer's.
    pub fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// Takes what was read, at most [`wanted`](Socks::wanted) bytes.
    ///
    /// # Errors
    /// PROTO when the proxy refuses, or speaks something else.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.wanted() {
            return Err(Error::PROTO);
        }
        self.input.extend_from_slice(bytes);
        self.check()?;
        if self.wanted() > 0 {
            return Ok(());
        }
        let answer = self.input.get(1).copied();
        match (self.step, answer) {
            (Step::Method, Some(BASIC)) => {
                let credentials = std::mem::take(&mut self.credentials);
                self.say(credentials, Step::Credentials);
            }
            (Step::Method | Step::Credentials, _) => {
                let request = std::mem::take(&mut self.request);
                self.say(request, Step::Reply);
            }
            (Step::Reply | Step::Done, _) => self.say(Vec::new(), Step::Done),
        }
        Ok(())
    }

    /// Checks every byte as soon as it is there.
    fn check(&self) -> Result<()> {
        let good = |at: usize, good: &dyn Fn(u8) -> bool| match self.input.get(at) {
            Some(byte) => good(*byte),
            None => true,
        };
        let is_good = match self.step {
            Step::Method => {
                good(0, &|byte| byte == VERSION)
                    && good(1, &|byte| matches!(byte, NO_AUTHENTICATION | BASIC))
            }
            Step::Credentials => {
                good(0, &|byte| byte == BASIC_VERSION) && good(1, &|byte| byte == 0)
            }
            Step::Reply => {
                good(0, &|byte| byte == VERSION)
                    && good(1, &|byte| byte <= LAST_REPLY && byte == 0)
                    && good(2, &|byte| byte == 0)
                    && good(3, &|byte| matches!(byte, IPV4 | NAME | IPV6))
            }
            Step::Done => true,
        };
        if is_good { Ok(()) } else { Err(Error::PROTO) }
    }

    fn say(&mut self, output: Vec<u8>, next: Step) {
        self.output = output;
        self.sent = 0;
        self.input.clear();
        self.step = next;
    }
}

/// Without what is secret.
impl fmt::Debug for Socks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socks").field("step", &self.step).finish_non_exhaustive()
    }
}

/// The request to connect.
fn request(host: &Host, port: u16) -> Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host {
        Host::V4(address) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Host::V6 { addr, .. } => {
            request.push(IPV6);
            request.extend_from_slice(&addr.octets());
        }
        Host::Any | Host::Name { .. } => {
            let name = host.to_string();
            let length = u8::try_from(name.len()).map_err(|_| Error::INVAL)?;
            if length == 0 {
                return Err(Error::INVAL);
            }
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(name.as_bytes());
        }
    }
    if port == 0 {
        return Err(Error::INVAL);
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HOST: Host = Host::V4(Ipv4Addr::new(1, 2, 3, 4));

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    /// What the client says to each of the proxy's messages, which come in pieces of `step` bytes.
    fn converse(socks: &mut Socks, messages: &[&[u8]], step: usize) -> Result<Vec<Vec<u8>>> {
        let mut said = Vec::new();
        let mut listen = |socks: &mut Socks| {
            let mut all = Vec::new();
            while !socks.output().is_empty() {
                let count = socks.output().len().min(step);
                all.extend_from_slice(&socks.output()[..count]);
                socks.advance_output(count);
            }
            said.push(all);
        };
        listen(socks);
        for message in messages {
            let mut rest = *message;
            while !rest.is_empty() {
                let count = rest.len().min(step).min(socks.wanted());
                assert!(count > 0, "more than was wanted");
                let (piece, after) = rest.split_at(count);
                socks.handle_input(piece)?;
                rest = after;
            }
            listen(socks);
        }
        Ok(said)
    }

    #[test]
    fn without_a_user() {
        let replies: [&[u8]; 4] = [
            b"\x05\0\0\x01\x7f\0\0\x01\x12\x34",
            b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34",
            b"\x05\0\0\x03\x04name\x12\x34",
            b"\x05\0\0\x03\0\x12\x34",
        ];
        for reply in replies {
            for step in 1..30 {
                let mut socks = Socks::new(&HOST, 0x1234, b"", b"ignored").unwrap();
                let said = converse(&mut socks, &[b"\x05\0", reply], step).unwrap();
                let request = b"\x05\x01\0\x01\x01\x02\x03\x04\x12\x34".to_vec();
                assert_eq!(said, [b"\x05\x01\0".to_vec(), request, Vec::new()]);
                assert!(socks.is_done() && socks.wanted() == 0);
            }
        }
    }

    #[test]
    fn with_user_and_password() {
        for (password, credentials) in
            [(&b"secret"[..], &b"\x01\x04user\x06secret"[..]), (b"", b"\x01\x04user\0")]
        {
            for step in 1..20 {
                let mut socks = Socks::new(&name("host"), 80, b"user", password).unwrap();
                let proxy: [&[u8]; 3] = [b"\x05\x02", b"\x01\0", b"\x05\0\0\x01\0\0\0\0\0\0"];
                let said = converse(&mut socks, &proxy, step).unwrap();
                let request = b"\x05\x01\0\x03\x04host\0\x50".to_vec();
                let expected = [b"\x05\x01\x02".to_vec(), credentials.to_vec(), request, vec![]];
                assert_eq!(said, expected);
                assert!(socks.is_done());
            }
        }
    }

    #[test]
    fn a_proxy_may_do_without_the_password() {
        let mut socks = Socks::new(&HOST, 80, b"user", b"secret").unwrap();
        let said = converse(&mut socks, &[b"\x05\0"], 9).unwrap();
        assert_eq!(said[1][..3], *b"\x05\x01\0");
    }

    #[test]
    fn hosts() {
        let long = "h".repeat(255);
        for (host, expected) in [
            (name("localhost"), Ok(b"\x03\x09localhost".to_vec())),
            (name(&long), Ok([b"\x03\xff".as_slice(), long.as_bytes()].concat())),
            (name(&"h".repeat(256)), Err(Error::INVAL)),
            (name(""), Err(Error::INVAL)),
            (
                Host::V6 { addr: "::1".parse().unwrap(), zone: None },
                Ok(b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec()),
            ),
        ] {
            let request = request(&host, 0x0102);
            let expected =
                expected.map(|middle| [b"\x05\x01\0".as_slice(), &middle, b"\x01\x02"].concat());
            assert_eq!(request, expected);
        }
        assert_eq!(Socks::new(&HOST, 0, b"", b"").unwrap_err(), Error::INVAL);
        assert_eq!(Socks::new(&HOST, 1, &[b'u'; 256], b"").unwrap_err(), Error::INVAL);
    }

    #[test]
    fn refusals_and_nonsense() {
        let conversations: [&[&[u8]]; 12] = [
            &[b"\x04\0"],
            &[b"\x05\xff"],
            &[b"\x05\x01"],
            &[b"HTTP"],
            &[b"\x05\x02", b"\x01\x01"],
            &[b"\x05\x02", b"\x05\0"],
            &[b"\x05\0", b"\x04\0\0\x01"],
            &[b"\x05\0", b"\x05\x05\0\x01"],
            &[b"\x05\0", b"\x05\x01\0\x01"],
            &[b"\x05\0", b"\x05\x09\0\x01"],
            &[b"\x05\0", b"\x05\0\x01\x01"],
            &[b"\x05\0", b"\x05\0\0\x02"],
        ];
        for messages in conversations {
            for step in 1..6 {
                let mut socks = Socks::new(&HOST, 80, b"user", b"secret").unwrap();
                let said = converse(&mut socks, messages, step);
                assert_eq!(said, Err(Error::PROTO), "{messages:?} {step}");
                assert!(!socks.is_done());
            }
        }
        let mut socks = Socks::new(&HOST, 80, b"", b"").unwrap();
        assert_eq!(socks.handle_input(b"\x05\0\x05"), Err(Error::PROTO));
    }

    #[test]
    fn the_password_is_not_shown() {
        let socks = Socks::new(&HOST, 80, b"user", b"secret").unwrap();
        assert!(!format!("{socks:?}").contains("secret"));
    }
}
