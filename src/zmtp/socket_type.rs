// SPDX-License-Identifier: MPL-2.0
//! Socket types: their names on the wire, their numbers, and who may talk to whom.
//!
//! RFC 28 to 31, 41, 48, 49, 51, 52.

#![forbid(unsafe_code)]

/// One row a type: its number, its name on the wire, the types it may be connected to.
macro_rules! socket_types {
    ($($variant:ident = $number:literal, $name:literal, [$($peer:ident)*];)*) => {
        /// The type of a socket; the discriminant is its number in `zmq.h`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum SocketType {
            $($variant = $number,)*
        }

        impl SocketType {
            pub const ALL: &[SocketType] = &[$(SocketType::$variant,)*];

            /// The value of the property `Socket-Type`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(SocketType::$variant => $name,)*
                }
            }

            /// The types a peer may have. Checked by the handshake of ZMTP 3.0 and later only.
            pub const fn peers(self) -> &'static [SocketType] {
                match self {
                    $(SocketType::$variant => &[$(SocketType::$peer),*],)*
                }
            }
        }
    };
}

socket_types! {
    Pair = 0, "PAIR", [Pair];
    Pub = 1, "PUB", [Sub Xsub];
    Sub = 2, "SUB", [Pub Xpub];
    Req = 3, "REQ", [Rep Router];
    Rep = 4, "REP", [Req Dealer];
    Dealer = 5, "DEALER", [Rep Dealer Router];
    Router = 6, "ROUTER", [Req Dealer Router];
    Pull = 7, "PULL", [Push];
    Push = 8, "PUSH", [Pull];
    Xpub = 9, "XPUB", [Sub Xsub];
    Xsub = 10, "XSUB", [Pub Xpub];
    Stream = 11, "STREAM", [];
    Server = 12, "SERVER", [Client];
    Client = 13, "CLIENT", [Server];
    Radio = 14, "RADIO", [Dish];
    Dish = 15, "DISH", [Radio];
    Gather = 16, "GATHER", [Scatter];
    Scatter = 17, "SCATTER", [Gather];
    Dgram = 18, "DGRAM", [];
    Peer = 19, "PEER", [Peer];
    Channel = 20, "CHANNEL", [Channel];
}

impl SocketType {
    /// The type with this number in `zmq.h`.
    pub fn from_number(number: i32) -> Option<SocketType> {
        SocketType::ALL.iter().copied().find(|kind| kind.number() == number)
    }

    /// The type with this name; names are compared byte by byte.
    pub fn from_name(name: &[u8]) -> Option<SocketType> {
        SocketType::ALL.iter().copied().find(|kind| kind.name().as_bytes() == name)
    }

    /// The number in `zmq.h`.
    pub const fn number(self) -> i32 {
        self as i32
    }

    pub fn accepts(self, peer: SocketType) -> bool {
        self.peers().contains(&peer)
    }

    /// Whether the handshake tells the peer a routing id, even an empty one.
    pub const fn sends_routing_id(self) -> bool {
        matches!(self, SocketType::Req | SocketType::Dealer | SocketType::Router)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for (number, &kind) in (0..).zip(SocketType::ALL) {
            assert_eq!(kind.number(), number);
            assert_eq!(SocketType::from_number(number), Some(kind));
            assert_eq!(SocketType::from_name(kind.name().as_bytes()), Some(kind));
        }
        for number in [-1, 21, 256, i32::MIN, i32::MAX] {
            assert_eq!(SocketType::from_number(number), None);
        }
        for name in [&b""[..], b"pub", b"PUBS", b"PU", b"PUB\0"] {
            assert_eq!(SocketType::from_name(name), None);
        }
    }

    #[test]
    fn who_accepts_whom_is_mutual() {
        for &one in SocketType::ALL {
            for &other in SocketType::ALL {
                assert_eq!(one.accepts(other), other.accepts(one), "{one:?} {other:?}");
            }
        }
        assert!(SocketType::Dealer.accepts(SocketType::Dealer));
        assert!(!SocketType::Rep.accepts(SocketType::Router));
        assert!(!SocketType::Scatter.accepts(SocketType::Scatter));
    }
}
