// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Datagrams (zmq_udp(7)): a message of two parts is one datagram, both ways. Nothing is ever
//! written in part, and what the network or the other side makes of a datagram is not our concern.

use super::rx::Rx;
use super::tx::{Progress, Tx};
use super::{Side, counters};
use crate::endpoint::{peer_address, peer_address_text};
use crate::errno::Result;
use crate::msg::Msg;
use crate::pipe::REFERENCE_THRESHOLD;
use crate::pipe::rope::{COMMAND, MORE};
use crate::transport::{ReadOutcome, Stream, WriteOutcome};
use crate::zmtp::datagram::{self, MAX_DATAGRAM};
use crate::zmtp::frame;
use std::net::SocketAddr;

/// What becomes of a socket's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outbound {
    /// Group and body go there (RADIO).
    To(SocketAddr),
    /// The first part says where the second goes (DGRAM); through an IPv6 socket or an IPv4 one.
    Addressed { ipv6: bool },
    /// Groups that were joined and left are nobody's business (DISH).
    Nowhere,
}

/// What a socket makes of the datagrams that arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inbound {
    /// Group and body (DISH).
    Grouped,
    /// The sender's address and the datagram (DGRAM).
    Addressed,
}

/// More than any datagram has.
const BUFFER: usize = 64 * 1024;
/// What a datagram counts for at least, so that empty ones use up a share, too.
const SMALLEST_SHARE: usize = 64;

/// The datagram that is to be sent next.
#[derive(Default)]
pub(super) struct Pending {
    datagram: Vec<u8>,
    /// `None`: there is none.
    to: Option<SocketAddr>,
}

impl Tx {
    /// [`speculative_write`](Tx::speculative_write), where each write is a datagram.
    pub(super) fn send_datagrams(
        &mut self,
        stream: &Stream,
        outbound: Outbound,
        writes: usize,
        side: Side,
    ) -> Progress {
        for turn in 1..=writes {
            self.written.of(side).loop_iterations += 1;
            if !self.prepare_datagram(outbound) {
                return Progress::Drained;
            }
            let Some(to) = self.pending.to else { return Progress::Drained };
            let length = self.pending.datagram.len();
            let sent = stream.send_datagram(&self.pending.datagram, to);
            let counters = self.written.of(side);
            counters.total_attempts += 1;
            if !sent {
                counters.would_block += 1;
                counters::log(side, turn, length, &WriteOutcome::WouldBlock);
                return Progress::Blocked;
            }
            counters.sync_success += 1;
            counters.copied_bytes += length as u64;
            counters.total_bytes_sync += length as u64;
            counters::log(side, turn, length, &WriteOutcome::Wrote(length));
            self.pending.to = None;
            self.encoded = 0;
        }
        if self.pending.to.is_none() && self.sender().drained() {
            Progress::Drained
        } else {
            Progress::More
        }
    }

    /// Makes a datagram of the next message that can be one; others are dropped. False: there is
    /// no message.
    fn prepare_datagram(&mut self, outbound: Outbound) -> bool {
        if self.pending.to.is_some() {
            return true;
        }
        let before = self.sender().volume();
        let Tx { sender, pending, .. } = self;
        // Of the first part.
        let mut head = Vec::new();
        while pending.to.is_none()
            && let Some(frame) = sender.frame()
        {
            let last = frame.flags & MORE == 0;
            if frame.flags & COMMAND != 0 || outbound == Outbound::Nowhere {
                head.clear();
            } else if !last {
                head.clear();
                if frame.body.len() <= MAX_DATAGRAM {
                    head.extend_from_slice(frame.body);
                }
            } else {
                pending.to = match outbound {
                    Outbound::To(to) => {
                        datagram::encode(&head, frame.body, &mut pending.datagram).then_some(to)
                    }
                    Outbound::Addressed { ipv6 } if frame.body.len() <= MAX_DATAGRAM => {
                        pending.datagram.clear();
                        pending.datagram.extend_from_slice(frame.body);
                        peer_address(&head, ipv6)
                    }
                    _ => None,
                };
            }
            sender.skip();
        }
        self.encoded = if pending.to.is_some() { sender.volume() - before } else { 0 };
        self.pending.to.is_some()
    }
}

impl Rx {
    /// Receives one datagram and hands it on. Until nothing is left, there may be more.
    pub(super) fn receive_datagram(
        &mut self,
        stream: &Stream,
        inbound: Inbound,
    ) -> Result<(ReadOutcome, bool)> {
        self.scratch.resize(BUFFER, 0);
        let Some((length, from)) = stream.receive_datagram(&mut self.scratch)? else {
            return Ok((ReadOutcome::WouldBlock, false));
        };
        let datagram = self.scratch.get(..length).unwrap_or_default();
        let address;
        let parts = match inbound {
            Inbound::Grouped => datagram::parse(datagram),
            Inbound::Addressed => {
                address = peer_address_text(&from);
                Some((address.as_slice(), datagram))
            }
        };
        if let Some((head, body)) = parts
            && frame::check_size(body.len() as u64, self.rules.max_msg_size).is_ok()
        {
            let appended = self.writer.append(MORE, head).and_then(|()| {
                if body.len() < REFERENCE_THRESHOLD {
                    self.writer.append(0, body)
                } else {
                    self.writer.append_external(0, Msg::from_slice(body)?)
                }
            });
            if appended.is_err() {
                // Without memory it is lost, as any datagram can be.
                self.writer.rollback();
            }
        }
        Ok((ReadOutcome::Read(length.max(SMALLEST_SHARE)), true))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoder, RxRules};
    use super::*;
    use crate::endpoint::{BindEndpoint, parse_bind};
    use crate::pipe::UNLIMITED;
    use crate::pipe::rope::{Reader, Sender, Writer, rope};
    use crate::transport::{SocketSettings, poll_fds, udp};
    use std::sync::Arc;
    use std::time::Duration;

    fn bound() -> (Stream, SocketAddr) {
        let Ok(BindEndpoint::Udp(address)) = parse_bind(b"udp://127.0.0.1:*") else { panic!() };
        let (stream, _) = udp::bind(&address, &SocketSettings::default()).unwrap();
        let address = stream.local_addr().unwrap();
        (stream, address)
    }

    fn arrived(stream: &Stream) -> Vec<u8> {
        let mut fds = [libc::pollfd { fd: stream.fd(), events: libc::POLLIN, revents: 0 }];
        assert_eq!(poll_fds(&mut fds, Some(Duration::from_secs(10))), Ok(1));
        let mut buffer = [0; 10_000];
        let (length, _) = stream.receive_datagram(&mut buffer).unwrap().unwrap();
        buffer[..length].to_vec()
    }

    fn sender(outbound: Outbound) -> (Writer, Tx) {
        let (writer, reader) = rope().unwrap();
        let mut tx = Tx::new(Sender::new(reader), None);
        let (stream, _) = bound();
        tx.attach(Arc::new(stream), Encoder::datagrams(outbound), Vec::new());
        (writer, tx)
    }

    fn write(writer: &mut Writer, head: &[u8], body: &[u8]) {
        writer.append(MORE, head).unwrap();
        if body.len() < REFERENCE_THRESHOLD {
            writer.append(0, body).unwrap();
        } else {
            writer.append_external(0, Msg::from_slice(body).unwrap()).unwrap();
        }
        writer.publish();
    }

    #[test]
    fn groups_go_ahead_of_bodies() {
        let (peer, to) = bound();
        let (mut writer, mut tx) = sender(Outbound::To(to));
        writer.append(COMMAND, b"\x04PONG").unwrap();
        write(&mut writer, b"TV", b"Friends");
        write(&mut writer, b"TV", &[b'x'; MAX_DATAGRAM]);
        write(&mut writer, b"", b"next");
        assert_eq!(tx.speculative_write(1, Side::Caller), Progress::More);
        assert_eq!(tx.speculative_write(2, Side::Caller), Progress::Drained);
        assert_eq!(tx.volume(), writer.volume());
        assert_eq!(arrived(&peer), b"\x02TVFriends");
        assert_eq!(arrived(&peer), b"\x00next");
        let counters = tx.written.caller;
        assert_eq!((counters.total_attempts, counters.sync_success), (2, 2));
    }

    #[test]
    fn addresses_say_where_to() {
        let (peer, to) = bound();
        let (mut writer, mut tx) = sender(Outbound::Addressed { ipv6: false });
        write(&mut writer, b"nobody", b"lost");
        write(&mut writer, to.to_string().as_bytes(), &[b'x'; MAX_DATAGRAM + 1]);
        write(&mut writer, to.to_string().as_bytes(), b"one");
        write(&mut writer, format!("{to}\0").as_bytes(), &[b'x'; MAX_DATAGRAM]);
        assert_eq!(tx.speculative_write(10, Side::Caller), Progress::Drained);
        assert_eq!(arrived(&peer), b"one");
        assert_eq!(arrived(&peer), [b'x'; MAX_DATAGRAM]);
    }

    #[test]
    fn what_a_dish_has_to_say_goes_nowhere() {
        let (mut writer, mut tx) = sender(Outbound::Nowhere);
        writer.append(COMMAND, b"\x04JOINTV").unwrap();
        writer.publish();
        assert_eq!(tx.speculative_write(1, Side::Caller), Progress::Drained);
        assert_eq!(tx.volume(), writer.volume());
        assert_eq!(tx.written.caller.total_attempts, 0);
    }

    fn receive(inbound: Inbound, datagrams: &[&[u8]]) -> (Reader, SocketAddr) {
        let (writer, reader) = rope().unwrap();
        let rules = RxRules {
            limit: UNLIMITED,
            max_msg_size: 9000,
            subscriptions: false,
            replies_only: false,
            groups: false,
            grouped_only: true,
            batch: None,
        };
        let mut rx = Rx::new(writer, rules);
        let ((from, address), (stream, to)) = (bound(), bound());
        for datagram in datagrams {
            assert!(from.send_datagram(datagram, to));
        }
        // Over the loopback interface they are there at once.
        for _ in datagrams {
            let (outcome, more) = rx.receive_datagram(&stream, inbound).unwrap();
            assert!(matches!(outcome, ReadOutcome::Read(SMALLEST_SHARE..)) && more);
        }
        let (outcome, more) = rx.receive_datagram(&stream, inbound).unwrap();
        assert!(outcome == ReadOutcome::WouldBlock && !more);
        let _ = rx.commit();
        (reader, address)
    }

    fn parts(mut reader: Reader) -> Vec<(u8, Vec<u8>)> {
        let mut parts = Vec::new();
        while let Some(frame) = reader.frame() {
            parts.push((frame.flags & MORE, frame.body.to_vec()));
            reader.skip();
        }
        parts
    }

    #[test]
    fn malformed_datagrams_are_dropped() {
        let large = [&b"\x02TV"[..], &[b'x'; 8500]].concat();
        let too_large = [&b"\x02TV"[..], &[b'x'; 9001]].concat();
        let datagrams =
            [&b""[..], b"\x02TVFriends", b"\x03TV", &too_large, b"\x00", &large, b"\xffx"];
        let (reader, _) = receive(Inbound::Grouped, &datagrams);
        let expected = [
            (MORE, b"TV".to_vec()),
            (0, b"Friends".to_vec()),
            (MORE, Vec::new()),
            (0, Vec::new()),
            (MORE, b"TV".to_vec()),
            (0, vec![b'x'; 8500]),
        ];
        assert_eq!(parts(reader), expected);
    }

    #[test]
    fn the_sender_goes_ahead() {
        let (reader, from) = receive(Inbound::Addressed, &[b"", b"anything"]);
        let from = format!("{from}\0").into_bytes();
        let expected =
            [(MORE, from.clone()), (0, Vec::new()), (MORE, from), (0, b"anything".to_vec())];
        assert_eq!(parts(reader), expected);
    }
}
