// SPDX-License-Identifier: MPL-2.0
//! ZMTP inside WebSocket: ZWS 2.0, without I/O.
//!
//! An HTTP upgrade takes the place of the greeting ([`Upgrade`]), and the security mechanism is
//! agreed by its sub-protocol: "ZWS2.0/NULL" and so on, or plain "ZWS2.0" for none. After that
//! every frame of ZMTP is one binary message of WebSocket, whose first byte holds the flags
//! ([`frame`]). WebSocket's own PING and PONG take the place of ZMTP's, and its CLOSE says why a
//! connection ends ([`close`]).
//!
//! Nothing here depends on what carries the bytes: over TLS the same is wss.
//!
//! RFC 45 (ZWS 2.0), RFC 6455 (WebSocket).

#![forbid(unsafe_code)]

pub mod close;
pub mod frame;
mod mask;
mod upgrade;

pub use close::CloseCode;
pub use mask::{Mask, MaskKeys};
#[cfg(test)]
pub use upgrade::sample;
pub use upgrade::{Upgrade, UpgradeConfig};

/// Which end of the connection this side is: the client masks what it sends, the server never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubProtocol {
    /// No mechanism: the first message of each side is its routing id, as in ZMTP 2.0.
    Bare,
    /// The handshake of the security mechanism follows, as in ZMTP 3.1.
    Mechanism,
}

const BARE: &str = "ZWS2.0";

/// The sub-protocols a side can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubProtocols {
    mechanism: &'static str,
    /// Peers need not authenticate.
    bare: bool,
}

impl SubProtocols {
    /// `mechanism` by its name. Where peers must authenticate, only that is left: a peer that
    /// asks for no mechanism at all would go past a ZAP handler.
    pub fn new(mechanism: &'static str, security_required: bool) -> SubProtocols {
        SubProtocols { mechanism, bare: mechanism == "NULL" && !security_required }
    }

    /// The client's offer, as the header says it.
    pub fn offer(&self) -> String {
        let bare = if self.bare { ",ZWS2.0" } else { "" };
        format!("{BARE}/{}{bare}", self.mechanism)
    }

    /// What this name stands for, if it is one of ours.
    pub fn find(&self, name: &str) -> Option<SubProtocol> {
        let rest = name.strip_prefix(BARE)?;
        match rest.strip_prefix('/') {
            Some(mechanism) => (mechanism == self.mechanism).then_some(SubProtocol::Mechanism),
            None => (rest.is_empty() && self.bare).then_some(SubProtocol::Bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_protocols() {
        let null = SubProtocols::new("NULL", false);
        let secured = SubProtocols::new("NULL", true);
        let plain = SubProtocols::new("PLAIN", true);
        assert_eq!(null.offer(), "ZWS2.0/NULL,ZWS2.0");
        assert_eq!(secured.offer(), "ZWS2.0/NULL");
        assert_eq!(plain.offer(), "ZWS2.0/PLAIN");
        for (name, expected) in [
            ("ZWS2.0", [Some(SubProtocol::Bare), None, None]),
            ("ZWS2.0/NULL", [Some(SubProtocol::Mechanism), Some(SubProtocol::Mechanism), None]),
            ("ZWS2.0/PLAIN", [None, None, Some(SubProtocol::Mechanism)]),
            ("ZWS2.0/CURVE", [None; 3]),
            ("ZWS2.0/", [None; 3]),
            ("ZWS2.0/null", [None; 3]),
            ("zws2.0", [None; 3]),
            ("ZWS2.0 ", [None; 3]),
            ("WSNetMQ", [None; 3]),
            ("", [None; 3]),
        ] {
            assert_eq!([null, secured, plain].map(|ours| ours.find(name)), expected, "{name}");
        }
    }
}
