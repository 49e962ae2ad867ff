// SPDX-License-Identifier: MPL-2.0
//! Context options: `zmq_ctx_set`, `zmq_ctx_get` and their draft forms for other types than `int`.
//!
//! Threads and slots are made when the first socket is created; later changes of their options
//! are accepted and change nothing. `ZMQ_IPV6`, `ZMQ_BLOCKY` and `ZMQ_ZERO_COPY_RECV` are copied
//! into each new socket.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::Options;
use super::text::leading_int;
use super::value::{answer_int_exact, parse_int};
use crate::abi::*;
use crate::errno::{Error, Result};

/// What `ZMQ_SOCKET_LIMIT` answers: no limit but the width libzmq reserves for it.
const SOCKET_LIMIT: i32 = 65_535;
/// Size of a message (`zmq_msg_t`).
const MSG_T_SIZE: i32 = 64;
/// Longest string for `ZMQ_THREAD_NAME_PREFIX`.
const THREAD_NAME_PREFIX_MAX: usize = 16;

/// The options of one context.
#[derive(Clone, Debug)]
pub struct ContextOptions {
    pub io_threads: i32,
    pub max_sockets: i32,
    /// Stored, never enforced.
    pub max_msgsz: i32,
    /// -1: leave it to the system.
    pub thread_priority: i32,
    /// -1: leave it to the system.
    pub thread_sched_policy: i32,
    /// CPUs the I/O threads may run on; empty for all.
    pub thread_affinity_cpus: BTreeSet<i32>,
    pub thread_name_prefix: Vec<u8>,
    pub zero_copy_recv: bool,
    pub ipv6: bool,
    pub blocky: bool,
}

impl Default for ContextOptions {
    fn default() -> ContextOptions {
        ContextOptions {
            io_threads: ZMQ_IO_THREADS_DFLT,
            max_sockets: ZMQ_MAX_SOCKETS_DFLT,
            max_msgsz: i32::MAX,
            thread_priority: ZMQ_THREAD_PRIORITY_DFLT,
            thread_sched_policy: ZMQ_THREAD_SCHED_POLICY_DFLT,
            thread_affinity_cpus: BTreeSet::new(),
            thread_name_prefix: Vec::new(),
            zero_copy_recv: true,
            ipv6: false,
            blocky: true,
        }
    }
}

impl ContextOptions {
    /// `zmq_ctx_set`. Number 3 is `ZMQ_THREAD_PRIORITY` here.
    pub fn set(&mut self, number: i32, value: i32) -> Result<()> {
        if number == ZMQ_THREAD_NAME_PREFIX {
            self.thread_name_prefix = value.to_string().into_bytes();
            return Ok(());
        }
        if value < 0 {
            return Err(Error::INVAL);
        }
        match number {
            ZMQ_IO_THREADS => self.io_threads = value,
            ZMQ_MAX_SOCKETS if value >= 1 => self.max_sockets = value,
            ZMQ_THREAD_PRIORITY => self.thread_priority = value,
            ZMQ_THREAD_SCHED_POLICY => self.thread_sched_policy = value,
            ZMQ_MAX_MSGSZ => self.max_msgsz = value,
            ZMQ_THREAD_AFFINITY_CPU_ADD => {
                self.thread_affinity_cpus.insert(value);
            }
            ZMQ_THREAD_AFFINITY_CPU_REMOVE => {
                if !self.thread_affinity_cpus.remove(&value) {
                    return Err(Error::INVAL);
                }
            }
            ZMQ_ZERO_COPY_RECV => self.zero_copy_recv = value != 0,
            ZMQ_IPV6 => self.ipv6 = value != 0,
            ZMQ_BLOCKY => self.blocky = value != 0,
            _ => return Err(Error::INVAL),
        }
        Ok(())
    }

    /// `zmq_ctx_set_ext`: an `int`, or the string of `ZMQ_THREAD_NAME_PREFIX`.
    ///
    /// libzmq takes every prefix of four bytes for an `int`. Here four printable characters are a
    /// prefix; an integer that looks like that is above 500 million.
    pub fn set_ext(&mut self, number: i32, value: &[u8]) -> Result<()> {
        let is_string = value.len() != size_of::<i32>() || value.iter().all(u8::is_ascii_graphic);
        if number == ZMQ_THREAD_NAME_PREFIX && is_string {
            if value.is_empty() || value.len() > THREAD_NAME_PREFIX_MAX {
                return Err(Error::INVAL);
            }
            self.thread_name_prefix = value.to_vec();
            return Ok(());
        }
        self.set(number, parse_int(value)?)
    }

    /// `zmq_ctx_get`. Number 3 is `ZMQ_SOCKET_LIMIT` here.
    pub fn get(&self, number: i32) -> Result<i32> {
        Ok(match number {
            ZMQ_IO_THREADS => self.io_threads,
            ZMQ_MAX_SOCKETS => self.max_sockets,
            ZMQ_SOCKET_LIMIT => SOCKET_LIMIT,
            ZMQ_THREAD_SCHED_POLICY => self.thread_sched_policy,
            ZMQ_MAX_MSGSZ => self.max_msgsz,
            ZMQ_MSG_T_SIZE => MSG_T_SIZE,
            ZMQ_THREAD_NAME_PREFIX => leading_int(&self.thread_name_prefix) as i32,
            ZMQ_ZERO_COPY_RECV => i32::from(self.zero_copy_recv),
            ZMQ_IPV6 => i32::from(self.ipv6),
            ZMQ_BLOCKY => i32::from(self.blocky),
            _ => return Err(Error::INVAL),
        })
    }

    /// `zmq_ctx_get_ext`: an `int` into exactly its size, or the string of
    /// `ZMQ_THREAD_NAME_PREFIX` into that or more, without a NUL and leaving the rest alone.
    ///
    /// Returns the length of the value; libzmq does not tell its caller, so the C entry leaves
    /// `*optvallen_` as it is.
    pub fn get_ext(&self, number: i32, out: &mut [u8]) -> Result<usize> {
        let prefix = self.thread_name_prefix.as_slice();
        let is_string = out.len() != size_of::<i32>()
            || prefix.len() == size_of::<i32>() && leading_int(prefix) == 0;
        if number == ZMQ_THREAD_NAME_PREFIX && is_string {
            out.get_mut(..prefix.len()).ok_or(Error::INVAL)?.copy_from_slice(prefix);
            return Ok(prefix.len());
        }
        answer_int_exact(out, self.get(number)?)
    }

    /// The options a new socket of this context starts with.
    pub fn socket_options(&self, socket_type: i32) -> Options {
        let mut options = Options::new(socket_type, self.ipv6, self.blocky);
        options.zero_copy_recv = self.zero_copy_recv;
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVALID: Result<()> = Err(Error::INVAL);

    #[test]
    fn defaults_and_ranges() {
        // number, default, smallest valid value
        for (number, default, least) in [
            (ZMQ_IO_THREADS, 1, 0),
            (ZMQ_MAX_SOCKETS, 1023, 1),
            (ZMQ_THREAD_SCHED_POLICY, -1, 0),
            (ZMQ_MAX_MSGSZ, i32::MAX, 0),
            (ZMQ_ZERO_COPY_RECV, 1, 0),
            (ZMQ_IPV6, 0, 0),
            (ZMQ_BLOCKY, 1, 0),
        ] {
            let mut options = ContextOptions::default();
            assert_eq!(options.get(number), Ok(default), "{number}");
            assert_eq!(options.set(number, least - 1), INVALID, "{number}");
            assert_eq!(options.get(number), Ok(default), "{number}");
            assert_eq!(options.set(number, least), Ok(()), "{number}");
            assert_eq!(options.get(number), Ok(least), "{number}");
            assert_eq!(options.set(number, i32::MAX), Ok(()), "{number}");
        }
    }

    #[test]
    fn number_three_has_two_meanings() {
        let mut options = ContextOptions::default();
        assert_eq!(options.set(3, 5), Ok(()));
        assert_eq!(options.thread_priority, 5);
        assert_eq!(options.set(3, -1), INVALID);
        assert_eq!(options.get(3), Ok(65535));
    }

    #[test]
    fn one_way_and_unknown_numbers() {
        let mut options = ContextOptions::default();
        assert_eq!(options.get(ZMQ_MSG_T_SIZE), Ok(64));
        assert_eq!(options.set(ZMQ_MSG_T_SIZE, 64), INVALID);
        for number in [ZMQ_THREAD_AFFINITY_CPU_ADD, ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0, 11, -1] {
            assert_eq!(options.get(number), Err(Error::INVAL), "{number}");
        }
        for number in [0, 11, 41, -1, i32::MIN] {
            assert_eq!(options.set(number, 1), INVALID, "{number}");
        }
    }

    #[test]
    fn affinity_is_a_set() {
        let mut options = ContextOptions::default();
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0), INVALID);
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_ADD, 0), Ok(()));
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_ADD, 0), Ok(()));
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_ADD, -1), INVALID);
        assert_eq!(options.thread_affinity_cpus.len(), 1);
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0), Ok(()));
        assert_eq!(options.set(ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0), INVALID);
    }

    #[test]
    fn other_types_than_int() {
        let mut options = ContextOptions::default();
        assert_eq!(options.set_ext(ZMQ_IO_THREADS, &2i32.to_ne_bytes()), Ok(()));
        assert_eq!(options.set_ext(ZMQ_IO_THREADS, &[0; 8]), INVALID);
        let mut out = [0xee; 8];
        assert_eq!(options.get_ext(ZMQ_IO_THREADS, &mut out[..4]), Ok(4));
        assert_eq!(out[..4], 2i32.to_ne_bytes());
        for size in [0, 3, 5, 8] {
            let answer = options.get_ext(ZMQ_IO_THREADS, &mut out[..size]);
            assert_eq!(answer, Err(Error::INVAL), "{size}");
        }
    }

    #[test]
    fn thread_name_prefix() {
        const NUMBER: i32 = ZMQ_THREAD_NAME_PREFIX;
        let mut options = ContextOptions::default();
        assert_eq!(options.get(NUMBER), Ok(0));
        for value in [1234, -5] {
            assert_eq!(options.set(NUMBER, value), Ok(()));
            assert_eq!(options.get(NUMBER), Ok(value));
        }
        assert_eq!(options.thread_name_prefix, b"-5");
        assert_eq!(options.set_ext(NUMBER, &1234i32.to_ne_bytes()), Ok(()));
        assert_eq!(options.get(NUMBER), Ok(1234));

        assert_eq!(options.set_ext(NUMBER, b""), INVALID);
        assert_eq!(options.set_ext(NUMBER, &[b'a'; 17]), INVALID);
        assert_eq!(options.set_ext(NUMBER, b"MyPrefix9012345\0"), Ok(()));
        let mut out = [0xee; 18];
        assert_eq!(options.get_ext(NUMBER, &mut out), Ok(16));
        assert_eq!(&out, b"MyPrefix9012345\0\xee\xee");
        assert_eq!(options.get_ext(NUMBER, &mut out[..15]), Err(Error::INVAL));
    }

    #[test]
    fn a_prefix_of_four_characters_is_no_integer() {
        const NUMBER: i32 = ZMQ_THREAD_NAME_PREFIX;
        let mut options = ContextOptions::default();
        let mut out = [0xee; 4];
        assert_eq!(options.set_ext(NUMBER, b"abcd"), Ok(()));
        assert_eq!(options.get_ext(NUMBER, &mut out), Ok(4));
        assert_eq!(&out, b"abcd");
        assert_eq!(options.set(NUMBER, 1234), Ok(()));
        assert_eq!(options.get_ext(NUMBER, &mut out), Ok(4));
        assert_eq!(out, 1234i32.to_ne_bytes());
    }

    #[test]
    fn sockets_inherit() {
        let mut context = ContextOptions::default();
        let options = context.socket_options(ZMQ_PAIR);
        assert!(!options.ipv6 && options.zero_copy_recv && options.linger == -1);
        for (number, value) in [(ZMQ_IPV6, 7), (ZMQ_BLOCKY, 0), (ZMQ_ZERO_COPY_RECV, 0)] {
            context.set(number, value).unwrap();
        }
        let options = context.socket_options(ZMQ_PAIR);
        assert!(options.ipv6 && !options.zero_copy_recv && options.linger == 0);
    }
}
