// SPDX-License-Identifier: MPL-2.0
//! Messages of RADIO and DISH as datagrams: a byte with the group's length, the group, the body.
//! There is no handshake, no version and no security. Man page: zmq_udp(7), RFC 48.

#![forbid(unsafe_code)]

/// The longest datagram libzmq sends or can receive whole, in bytes.
pub const MAX_DATAGRAM: usize = 8192;

/// Replaces `out` by the datagram of a message. False: it would be too long, or the group is.
pub fn encode(group: &[u8], body: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Ok(length) = u8::try_from(group.len()) else { return false };
    if 1 + group.len() + body.len() > MAX_DATAGRAM {
        return false;
    }
    out.push(length);
    out.extend_from_slice(group);
    out.extend_from_slice(body);
    true
}

/// The group and the body of a datagram; `None` for one that is shorter than it says.
pub fn parse(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = datagram.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (group, body, wire) in [
            (&b"TV"[..], &b"Friends"[..], &b"\x02TVFriends"[..]),
            (b"", b"x", b"\x00x"),
            (b"TV", b"", b"\x02TV"),
            (b"", b"", b"\x00"),
        ] {
            let mut datagram = b"former".to_vec();
            assert!(encode(group, body, &mut datagram));
            assert_eq!(datagram, wire);
            assert_eq!(parse(&datagram), Some((group, body)));
        }
        let mut datagram = Vec::new();
        let group = [b'g'; 255];
        assert!(encode(&group, b"x", &mut datagram));
        assert_eq!(parse(&datagram), Some((&group[..], &b"x"[..])));
    }

    #[test]
    fn malformed() {
        for datagram in [&b""[..], b"\x01", b"\x03TV", b"\xff"] {
            assert_eq!(parse(datagram), None, "{datagram:?}");
        }
        // At every length that is less than the group's.
        let mut datagram = Vec::new();
        assert!(encode(&[b'g'; 200], b"body", &mut datagram));
        for length in 0..=datagram.len() {
            assert_eq!(parse(&datagram[..length]).is_some(), length > 200);
        }
    }

    #[test]
    fn too_long() {
        let mut datagram = Vec::new();
        assert!(!encode(&[0; 256], b"", &mut datagram));
        for (body, fits) in [(MAX_DATAGRAM - 3, true), (MAX_DATAGRAM - 2, false)] {
            assert_eq!(encode(b"TV", &vec![0; body], &mut datagram), fits);
        }
    }
}
