// SPDX-License-Identifier: MPL-2.0
//! Why a connection ends, as a CLOSE frame says it.
//!
//! The payload is empty, or a code of two bytes, big-endian, and a reason in UTF-8. RFC 6455, 5.5.1
//! and 7.4.

#![forbid(unsafe_code)]

/// A code of this side's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// All is said.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The peer has broken the protocol.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// A text that is not UTF-8.
    pub const BAD_DATA: CloseCode = CloseCode(1007);
    /// A message longer than this side takes.
    pub const TOO_BIG: CloseCode = CloseCode(1009);

    pub const fn payload(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// The payload that answers a CLOSE with this one: the same, if it may be sent at all.
pub fn answer(payload: &[u8]) -> Vec<u8> {
    let refusal = match payload {
        [] => None,
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => {
                str::from_utf8(reason).is_err().then_some(CloseCode::BAD_DATA)
            }
            _ => Some(CloseCode::PROTOCOL),
        },
        [_] => Some(CloseCode::PROTOCOL),
    };
    refusal.map_or_else(|| payload.to_vec(), |code| code.payload().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(answer(b""), b"");
        assert_eq!(answer(b"\x03\xe8"), b"\x03\xe8");
        assert_eq!(answer(b"\x03\xe9bye"), b"\x03\xe9bye");
        assert_eq!(answer(b"\x03"), b"\x03\xea");
        assert_eq!(answer(b"\x03\xe8\xff"), b"\x03\xef");
        for code in 0..=u16::MAX {
            let payload = code.to_be_bytes();
            // Those that mean something on the wire, and those for everybody's own use.
            let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            let expected = if allowed { payload } else { CloseCode::PROTOCOL.payload() };
            assert_eq!(answer(&payload), expected, "{code}");
        }
    }
}
