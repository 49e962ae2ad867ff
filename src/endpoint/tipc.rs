// SPDX-License-Identifier: MPL-2.0
//! Addresses of tipc. Man page: zmq_tipc(7).
//!
//! | form | stands for |
//! |---|---|
//! | `{type,lower,upper}` | a range of service instances |
//! | `{type,instance}`, `{type,instance}@z.c.n` | one instance, looked for in a domain |
//! | `<z.c.n:ref>` | one socket |
//! | `<*>` | a socket of the system's choice; only to bind to |
//!
//! White space may precede every number, so the endpoints formatted here parse again.
#![forbid(unsafe_code)]

use crate::errno::{Error, Result};

/// Types below this one belong to TIPC itself.
const RESERVED_TYPES: u32 = 64;
/// The domain of an instance without one: the own zone.
const OWN_ZONE: u32 = node(1, 0, 0);

/// An address to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TipcAddress {
    /// `lower` is not above `upper`.
    Range { kind: u32, lower: u32, upper: u32 },
    /// `domain` as TIPC writes it, like `node`.
    Instance { kind: u32, instance: u32, domain: u32 },
    /// `node` is zone (8 bits), cluster (12 bits) and node (12 bits) in one.
    Port { node: u32, reference: u32 },
}

impl TipcAddress {
    /// EINVAL for whatever is none of the forms.
    pub(super) fn parse(address: &[u8]) -> Result<TipcAddress> {
        TipcAddress::read(address).ok_or(Error::INVAL)
    }

    fn read(address: &[u8]) -> Option<TipcAddress> {
        let mut reader = Reader(address);
        if reader.skip(b'<') {
            let node = reader.node()?;
            reader.expect(b':')?;
            let reference = reader.number()?;
            reader.expect(b'>')?;
            reader.end()?;
            return Some(TipcAddress::Port { node, reference });
        }
        reader.expect(b'{')?;
        let kind = reader.number()?;
        reader.expect(b',')?;
        let lower = reader.number()?;
        let upper = if reader.skip(b',') { Some(reader.number()?) } else { None };
        reader.expect(b'}')?;
        let domain = if reader.skip(b'@') { reader.node()? } else { OWN_ZONE };
        reader.end()?;
        match upper {
            Some(upper) if kind >= RESERVED_TYPES && lower <= upper => {
                Some(TipcAddress::Range { kind, lower, upper })
            }
            None if kind > RESERVED_TYPES => {
                Some(TipcAddress::Instance { kind, instance: lower, domain })
            }
            _ => None,
        }
    }

    /// The endpoint as `ZMQ_LAST_ENDPOINT` shows it, a lone instance without its domain.
    pub fn endpoint(&self) -> String {
        match self {
            TipcAddress::Range { kind, lower, upper } => {
                format!("tipc://{{{kind}, {lower}, {upper}}}")
            }
            TipcAddress::Instance { kind, instance, .. } => {
                format!("tipc://{{{kind}, {instance}}}")
            }
            TipcAddress::Port { node, reference } => {
                let (zone, cluster, node) = (node >> 24, node >> 12 & 0xfff, node & 0xfff);
                format!("tipc://<{zone}.{cluster}.{node}:{reference}>")
            }
        }
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TipcBind {
    /// A range or an instance, never a port.
    Service(TipcAddress),
    /// `<*>`.
    Random,
}

impl TipcBind {
    /// EINVAL also for a port, which cannot be chosen.
    pub(super) fn parse(address: &[u8]) -> Result<TipcBind> {
        if address == b"<*>" {
            return Ok(TipcBind::Random);
        }
        match TipcAddress::parse(address)? {
            TipcAddress::Port { .. } => Err(Error::INVAL),
            service => Ok(TipcBind::Service(service)),
        }
    }
}

const fn node(zone: u32, cluster: u32, node: u32) -> u32 {
    zone << 24 | cluster << 12 | node
}

/// What is left of an address.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn number(&mut self) -> Option<u32> {
        self.0 = self.0.trim_ascii_start();
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// "z.c.n".
    fn node(&mut self) -> Option<u32> {
        let zone = self.number()?;
        self.expect(b'.')?;
        let cluster = self.number()?;
        self.expect(b'.')?;
        let number = self.number()?;
        (zone <= 0xff && cluster <= 0xfff && number <= 0xfff).then(|| node(zone, cluster, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, address) in [
            ("{5560,0,0}", TipcAddress::Range { kind: 5560, lower: 0, upper: 0 }),
            ("{ 5560, 1, 9}", TipcAddress::Range { kind: 5560, lower: 1, upper: 9 }),
            ("{64,1,1}", TipcAddress::Range { kind: 64, lower: 1, upper: 1 }),
            ("{5560,7}", TipcAddress::Instance { kind: 5560, instance: 7, domain: 0x0100_0000 }),
            (
                "{5560,7}@1.2.3",
                TipcAddress::Instance { kind: 5560, instance: 7, domain: 0x0100_2003 },
            ),
            ("<1.2.3:4>", TipcAddress::Port { node: 0x0100_2003, reference: 4 }),
        ] {
            assert_eq!(TipcAddress::parse(text.as_bytes()), Ok(address), "{text}");
        }
    }

    #[test]
    fn malformed_addresses() {
        for text in [
            "",
            "x",
            "{",
            "{}",
            "{5560}",
            "{5560,}",
            "{5560,1",
            "{5560,1,2",
            "{5560,2,1}",
            "{63,0,0}",
            "{64,0}",
            "{5560,-1}",
            "{4294967296,0}",
            "{5560,0}@",
            "{5560,0}@1.2",
            "{5560,0}@256.0.0",
            "{5560,0}x",
            "<1.2.3>",
            "<1.2.3:4",
            "<1.4096.3:4>",
            "<*>",
        ] {
            assert_eq!(TipcAddress::parse(text.as_bytes()), Err(Error::INVAL), "{text}");
        }
    }

    #[test]
    fn binding() {
        assert_eq!(TipcBind::parse(b"<*>"), Ok(TipcBind::Random));
        assert_eq!(TipcBind::parse(b"<1.2.3:4>"), Err(Error::INVAL));
        let service = TipcAddress::Range { kind: 5560, lower: 0, upper: 0 };
        assert_eq!(TipcBind::parse(b"{5560,0,0}"), Ok(TipcBind::Service(service)));
    }

    #[test]
    fn endpoints_parse_again() {
        for text in ["tipc://{5560, 0, 9}", "tipc://{5560, 7}", "tipc://<1.2.3:4>"] {
            let address = TipcAddress::parse(&text.as_bytes()["tipc://".len()..]).unwrap();
            assert_eq!(address.endpoint(), text);
        }
    }
}
