// SPDX-License-Identifier: MPL-2.0
//! Numbers and IP addresses in text, read the way the C library reads them.
//!
//! libzmq leaves these to `atoi`, `strtol` and a numeric-only `getaddrinfo`; what they accept has
//! become part of its interface. Nothing here asks a name service.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The integer at the start of `text`, as `strtol` in base 10 reads it: leading white space and
/// one sign are allowed, what follows the digits is ignored, no digits make 0, and values out of
/// range are clamped.
pub fn leading_int(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0i64, |value, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if negative { -magnitude } else { magnitude }
}

/// An IP address in numbers. IPv4 also comes in the short, octal and hexadecimal forms of
/// `inet_aton` ("127.1", "0x7f000001"); IPv6 without brackets and zone.
pub fn ip_literal(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = ipv4_literal(text) {
        return Some(IpAddr::V4(address));
    }
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(IpAddr::V6(address))
}

fn ipv4_literal(text: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = [0u32; 4];
    let mut count = 0;
    for part in text.split(|byte| *byte == b'.') {
        *parts.get_mut(count)? = ipv4_part(part)?;
        count += 1;
    }
    // Every part but the last is one byte; the last fills the bytes that are left.
    let (last, leading) = parts.get(..count)?.split_last()?;
    let mut address = 0u32;
    for (index, part) in leading.iter().enumerate() {
        address |= u32::from(u8::try_from(*part).ok()?) << (24 - 8 * index);
    }
    if u64::from(*last) >= 1u64 << (32 - 8 * leading.len()) {
        return None;
    }
    Some(Ipv4Addr::from(address | last))
}

fn ipv4_part(text: &[u8]) -> Option<u32> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    // A sign is no digit to inet_aton, but it is to from_str_radix.
    if !digits.first()?.is_ascii_hexdigit() {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("5555", 5555),
            ("567bad", 567),
            ("bad", 0),
            ("", 0),
            (" \t+7", 7),
            ("-1", -1),
            ("- 1", 0),
            ("99999999999999999999", i64::MAX),
        ] {
            assert_eq!(leading_int(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn ip_literals() {
        for (text, address) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("255.255.255.255", Some("255.255.255.255")),
            ("127.1", Some("127.0.0.1")),
            ("1.2.772", Some("1.2.3.4")),
            ("0x7f.0.0.0x1", Some("127.0.0.1")),
            ("2130706433", Some("127.0.0.1")),
            ("010.0.0.1", Some("8.0.0.1")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("::1", Some("::1")),
            ("abcd:1234::1:0:234", Some("abcd:1234::1:0:234")),
            ("::ffff:11.22.33.44", Some("::ffff:11.22.33.44")),
            ("", None),
            ("*", None),
            ("256.0.0.1", None),
            ("1.2.3.256", None),
            ("1.2.65536", None),
            ("4294967296", None),
            ("1.2.3.4.5", None),
            ("1..2", None),
            ("1.2.3.", None),
            ("+1.2.3.4", None),
            ("08.0.0.1", None),
            ("0x.0.0.1", None),
            ("0.0.0.0foo", None),
            ("[::1]", None),
            ("fe80::1%eth0", None),
            ("localhost", None),
        ] {
            let expected = address.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(ip_literal(text.as_bytes()), expected, "{text:?}");
        }
    }
}
