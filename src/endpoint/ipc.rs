// SPDX-License-Identifier: MPL-2.0
//! Addresses of ipc: a path, or "@name" in the abstract namespace. Man pages: zmq_ipc(7), unix(7).
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::errno::{Error, Result};

/// Room for an address in `sockaddr_un`; a path needs one byte more, for its NUL.
const SUN_PATH_SIZE: usize = 108;

/// The address of a local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpcAddress {
    /// Shorter than the system's limit.
    Path(PathBuf),
    /// The name without the '@', which the system sees as a NUL byte. Not empty.
    Abstract(Vec<u8>),
}

impl IpcAddress {
    /// ENAMETOOLONG for 108 bytes and more, EINVAL for "@" alone.
    pub fn parse(address: &[u8]) -> Result<IpcAddress> {
        if address.len() >= SUN_PATH_SIZE {
            return Err(Error::NAMETOOLONG);
        }
        match address {
            [] | [b'@'] => Err(Error::INVAL),
            [b'@', name @ ..] => Ok(IpcAddress::Abstract(name.to_vec())),
            path => Ok(IpcAddress::Path(PathBuf::from(OsStr::from_bytes(path)))),
        }
    }

    /// The address as written: a path, or "@name".
    pub fn text(&self) -> OsString {
        match self {
            IpcAddress::Path(path) => path.clone().into_os_string(),
            IpcAddress::Abstract(name) => OsString::from_vec([b"@", name.as_slice()].concat()),
        }
    }

    /// The endpoint as `ZMQ_LAST_ENDPOINT` shows it: "ipc://path" or "ipc://@name".
    pub fn endpoint(&self) -> Vec<u8> {
        [b"ipc://", self.text().as_bytes()].concat()
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpcBind {
    At(IpcAddress),
    /// Anything that starts with '*': a new directory with a socket in it, both removed at close.
    Wildcard,
}

impl IpcBind {
    pub(super) fn parse(address: &[u8]) -> Result<IpcBind> {
        if address.starts_with(b"*") {
            return Ok(IpcBind::Wildcard);
        }
        IpcAddress::parse(address).map(IpcBind::At)
    }

    /// The address as written, or `*`.
    pub fn text(&self) -> OsString {
        match self {
            IpcBind::At(address) => address.text(),
            IpcBind::Wildcard => "*".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let path = |text: &str| Ok(IpcAddress::Path(PathBuf::from(text)));
        assert_eq!(IpcAddress::parse(b"/tmp/socket"), path("/tmp/socket"));
        assert_eq!(IpcAddress::parse(b"socket"), path("socket"));
        assert_eq!(IpcAddress::parse(b"*"), path("*"));
        assert_eq!(IpcAddress::parse(b"@name"), Ok(IpcAddress::Abstract(b"name".to_vec())));
        assert_eq!(IpcAddress::parse(b"@@"), Ok(IpcAddress::Abstract(b"@".to_vec())));
        assert_eq!(IpcAddress::parse(b"@"), Err(Error::INVAL));
        for first in [b'a', b'@'] {
            let mut address = vec![first; 107];
            assert!(IpcAddress::parse(&address).is_ok());
            address.push(first);
            assert_eq!(IpcAddress::parse(&address), Err(Error::NAMETOOLONG));
        }
    }

    #[test]
    fn binding() {
        for text in ["*", "*.socket", &"*".repeat(200)] {
            assert_eq!(IpcBind::parse(text.as_bytes()), Ok(IpcBind::Wildcard));
        }
        let at = IpcBind::At(IpcAddress::Path(PathBuf::from("a*")));
        assert_eq!(IpcBind::parse(b"a*"), Ok(at));
        assert_eq!(IpcBind::parse(b"@"), Err(Error::INVAL));
    }

    #[test]
    fn endpoints() {
        for text in ["ipc:///tmp/socket", "ipc://@name", "ipc://tmpL5EMWH/socket"] {
            let address = IpcAddress::parse(&text.as_bytes()["ipc://".len()..]).unwrap();
            assert_eq!(address.endpoint(), text.as_bytes());
        }
    }
}
