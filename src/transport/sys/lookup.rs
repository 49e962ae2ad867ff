// SPDX-License-Identifier: MPL-2.0
//! Lookups of the C library: host names, network interfaces, users and groups.

use std::ffi::{CStr, CString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use crate::errno::{Error, Result};

/// The longest buffer tried for a passwd or group entry.
const MAX_ENTRY: usize = 1 << 20;

/// The addresses of a host, port 0, in the C library's order: IPv4 ones only, or with `ipv6` IPv6
/// ones and, if there are none, IPv4 ones mapped into IPv6. May block for long.
///
/// # Errors
/// NOMEM; NOENT for all that getaddrinfo(3) reports otherwise.
pub fn lookup(host: &str, ipv6: bool) -> Result<Vec<SocketAddr>> {
    let host = CString::new(host).map_err(|_| Error::NOENT)?;
    // SAFETY: an addrinfo of zeros is a valid one that asks for nothing.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    // One result an address rather than one for each socket type.
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_family = libc::AF_INET;
    if ipv6 {
        hints.ai_family = libc::AF_INET6;
        hints.ai_flags |= libc::AI_V4MAPPED;
    }

    let mut list = ptr::null_mut();
    // SAFETY: a string that ends in NUL, valid hints, a place for the result.
    let result = unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &hints, &mut list) };
    match result {
        0 => (),
        libc::EAI_MEMORY => return Err(Error::NOMEM),
        _ => return Err(Error::NOENT),
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: an entry of the list that getaddrinfo made, its address null or valid.
        unsafe {
            addresses.extend(socket_address((*entry).ai_addr));
            entry = (*entry).ai_next;
        }
    }
    // SAFETY: made by getaddrinfo, and not used any more.
    unsafe { libc::freeaddrinfo(list) };
    if addresses.is_empty() { Err(Error::NOENT) } else { Ok(addresses) }
}

/// The first address, port 0, of a network interface in the wanted family.
///
/// # Errors
/// Those of getifaddrs(3); NODEV where interfaces cannot be listed at all.
pub fn interface_address(name: &str, ipv6: bool) -> Result<Option<SocketAddr>> {
    let mut list = ptr::null_mut();
    // SAFETY: a place for the result.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Err(match Error::last_os_error() {
            Error::INVAL | Error::NOTSUP => Error::NODEV,
            error => error,
        });
    }
    let mut found = None;
    let mut entry = list;
    while !entry.is_null() && found.is_none() {
        // SAFETY: an entry of the list that getifaddrs made: its name is a string, its address
        // null or valid.
        unsafe {
            if CStr::from_ptr((*entry).ifa_name).to_bytes() == name.as_bytes() {
                found = socket_address((*entry).ifa_addr).filter(|addr| addr.is_ipv6() == ipv6);
            }
            entry = (*entry).ifa_next;
        }
    }
    // SAFETY: made by getifaddrs, and not used any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// The index of a network interface; `None` if there is none of that name.
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a string that ends in NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// The name of a network interface; `None` if there is none of that index.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size the function asks for; it is a string if the result is not
    // null.
    unsafe {
        if libc::if_indextoname(index, name.as_mut_ptr()).is_null() {
            return None;
        }
        Some(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

/// A user's name.
pub fn user_name(uid: libc::uid_t) -> Option<CString> {
    let mut buffer = vec![0 as libc::c_char; 1024];
    loop {
        // SAFETY: a passwd of zeros is valid; all pointers and the buffer's length are right; the
        // name points into the buffer, which still lives when it is copied.
        unsafe {
            let mut entry: libc::passwd = std::mem::zeroed();
            let mut result = ptr::null_mut();
            let error =
                libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut result);
            if error != libc::ERANGE || buffer.len() >= MAX_ENTRY {
                return (!result.is_null()).then(|| CStr::from_ptr(entry.pw_name).to_owned());
            }
        }
        buffer.resize(buffer.len() * 4, 0);
    }
}

/// Whether the group's entry lists the user.
pub fn group_has_member(gid: libc::gid_t, user: &CStr) -> bool {
    let mut buffer = vec![0 as libc::c_char; 4096];
    loop {
        // SAFETY: a group of zeros is valid; all pointers and the buffer's length are right; the
        // members are a null-terminated array of strings in the buffer, which still lives.
        unsafe {
            let mut entry: libc::group = std::mem::zeroed();
            let mut result = ptr::null_mut();
            let error =
                libc::getgrgid_r(gid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut result);
            if error != libc::ERANGE || buffer.len() >= MAX_ENTRY {
                if result.is_null() {
                    return false;
                }
                let mut member = entry.gr_mem;
                while !(*member).is_null() {
                    if CStr::from_ptr(*member) == user {
                        return true;
                    }
                    member = member.add(1);
                }
                return false;
            }
        }
        buffer.resize(buffer.len() * 4, 0);
    }
}

/// # Safety
/// `address` is null or points to a socket address as long as its family says.
unsafe fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: by the contract; the family is read first and decides on the length.
    unsafe {
        match libc::c_int::from((*address).sa_family) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let addresses = |host, ipv6| {
            lookup(host, ipv6)
                .map(|list| list.iter().map(|addr| addr.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(addresses("127.0.0.1", false), Ok(vec!["127.0.0.1".into()]));
        assert_eq!(addresses("127.1", false), Ok(vec!["127.0.0.1".into()]));
        assert_eq!(addresses("127.0.0.1", true), Ok(vec!["::ffff:127.0.0.1".into()]));
        assert_eq!(addresses("::1", true), Ok(vec!["::1".into()]));
        assert_eq!(addresses("::1", false), Err(Error::NOENT));
        assert_eq!(addresses("localhost", false), Ok(vec!["127.0.0.1".into()]));
        assert_eq!(addresses("no name", false), Err(Error::NOENT));
        assert_eq!(addresses("", false), Err(Error::NOENT));
        assert_eq!(addresses("1\0", false), Err(Error::NOENT));
    }

    #[test]
    fn interfaces() {
        let loopback = interface_address("lo", false).unwrap().unwrap();
        assert_eq!(loopback.ip().to_string(), "127.0.0.1");
        assert_eq!(interface_address("nosuch0", false), Ok(None));
        let index = interface_index("lo").unwrap();
        assert_eq!(interface_name(index).as_deref(), Some("lo"));
        assert_eq!(interface_index("nosuch0"), None);
        assert_eq!(interface_name(0), None);
    }

    #[test]
    fn users_and_groups() {
        assert_eq!(user_name(0).as_deref(), Some(c"root"));
        assert_eq!(user_name(4_000_000_000), None);
        assert!(!group_has_member(4_000_000_000, c"root"));
        assert!(!group_has_member(0, c"nobody of that name"));
        // Whoever this system lists as a member of a group is one, and nobody else.
        for line in std::fs::read_to_string("/etc/group").unwrap_or_default().lines() {
            let mut fields = line.split(':').skip(2);
            let (Some(gid), Some(members)) = (fields.next(), fields.next()) else { continue };
            let Ok(gid) = gid.parse() else { continue };
            for member in members.split(',').filter(|member| !member.is_empty()) {
                let member = std::ffi::CString::new(member).unwrap();
                assert!(group_has_member(gid, &member), "{line}");
            }
            assert!(!group_has_member(gid, c"nobody of that name"), "{line}");
        }
    }
}
