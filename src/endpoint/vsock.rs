// SPDX-License-Identifier: MPL-2.0
//! Addresses of vsock: "cid:port". Man page: vsock(7).
#![forbid(unsafe_code)]

use std::fmt;

use crate::errno::{Error, Result};
use crate::options::text::leading_int;

/// A context id and a port, either of which may be [`VsockAddress::ANY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VsockAddress {
    pub cid: u32,
    pub port: u32,
}

impl VsockAddress {
    /// `*`, the system's own number for it (`VMADDR_CID_ANY`, `VMADDR_PORT_ANY`).
    pub const ANY: u32 = u32::MAX;
    /// `@`, the host (`VMADDR_CID_HOST`).
    pub const HOST: u32 = 2;

    /// EINVAL for a malformed address.
    pub(super) fn parse(address: &[u8]) -> Result<VsockAddress> {
        let colon = address.iter().rposition(|byte| *byte == b':').ok_or(Error::INVAL)?;
        let cid = match &address[..colon] {
            b"@" => VsockAddress::HOST,
            cid => parse_number(cid)?,
        };
        Ok(VsockAddress { cid, port: parse_number(&address[colon + 1..])? })
    }

    /// The endpoint as `ZMQ_LAST_ENDPOINT` shows it.
    pub fn endpoint(&self) -> String {
        format!("vsock://{}:{}", NumberOrAny(self.cid), NumberOrAny(self.port))
    }
}

/// A number, whatever follows its digits, or `*` or "-1" for any.
fn parse_number(text: &[u8]) -> Result<u32> {
    match text {
        b"*" | b"-1" => Ok(VsockAddress::ANY),
        [b'0'..=b'9', ..] => u32::try_from(leading_int(text)).map_err(|_| Error::INVAL),
        _ => Err(Error::INVAL),
    }
}

struct NumberOrAny(u32);

impl fmt::Display for NumberOrAny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            VsockAddress::ANY => f.write_str("*"),
            number => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        const ANY: u32 = VsockAddress::ANY;
        for (text, cid, port, endpoint) in [
            ("3:5555", 3, 5555, "vsock://3:5555"),
            ("@:5555", 2, 5555, "vsock://2:5555"),
            ("*:*", ANY, ANY, "vsock://*:*"),
            ("-1:-1", ANY, ANY, "vsock://*:*"),
            ("0:0", 0, 0, "vsock://0:0"),
            ("3x:5555y", 3, 5555, "vsock://3:5555"),
            ("4294967295:100000", ANY, 100_000, "vsock://*:100000"),
        ] {
            let address = VsockAddress::parse(text.as_bytes());
            assert_eq!(address, Ok(VsockAddress { cid, port }), "{text}");
            assert_eq!(address.unwrap().endpoint(), endpoint);
        }
        for text in ["", "3", "3:", ":5555", "x:5555", "3:x", "-2:1", "4294967296:1", "3:@"] {
            assert_eq!(VsockAddress::parse(text.as_bytes()), Err(Error::INVAL), "{text}");
        }
    }
}
