// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Ropes: order, commit, rollback, growth, externals, partial sends; model-checked hand-overs.

use super::rope::rope;

#[cfg(not(loom))]
mod plain {
    use super::*;
    use crate::msg::Msg;
    use crate::pipe::rope::{self, HEADER_MAX, MORE, SKIP, Sender};
    use std::io::IoSlice;

    fn sent_bytes(sender: &mut Sender, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let (count, bytes) = sender.gather(&mut slices, 1 << 20);
            if bytes == 0 {
                return out;
            }
            let mut left = bytes.min(step);
            let taken = left;
            for slice in &slices[..count] {
                let length = slice.len().min(left);
                out.extend_from_slice(&slice[..length]);
                left -= length;
            }
            sender.advance(taken);
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let (mut writer, mut reader) = rope().unwrap();
        for round in 0..3000usize {
            let body = vec![round as u8; round % 700];
            writer.append(if round % 3 == 0 { MORE } else { 0 }, &body).unwrap();
        }
        let _ = writer.commit();
        for round in 0..2999usize {
            let frame = reader.frame().unwrap();
            assert_eq!(frame.body, vec![round as u8; round % 700]);
            assert_eq!(frame.more(), round % 3 == 0);
            reader.skip();
        }
        assert_eq!(reader.messages(), 1999);
    }

    #[test]
    fn a_message_is_visible_only_when_whole() {
        let (mut writer, mut reader) = rope().unwrap();
        writer.append(MORE, b"a").unwrap();
        assert!(!writer.commit());
        assert!(reader.frame().is_none());
        assert!(reader.sleep());
        writer.append(0, b"b").unwrap();
        assert!(writer.commit(), "the sleeper must be woken");
        assert_eq!(reader.frame().unwrap().body, b"a");
        reader.skip();
        assert_eq!(reader.frame().unwrap().body, b"b");
    }

    #[test]
    fn rollback_crosses_chunks() {
        let (mut writer, mut reader) = rope().unwrap();
        writer.append(0, b"first").unwrap();
        let _ = writer.commit();
        for _ in 0..100 {
            writer.append(MORE, &[7; 300]).unwrap();
        }
        writer.append_external(MORE, Msg::from_slice(&[8; 100]).unwrap()).unwrap();
        assert!(writer.inside_message());
        writer.rollback();
        writer.append(0, b"second").unwrap();
        let _ = writer.commit();
        assert_eq!(reader.frame().unwrap().body, b"first");
        reader.skip();
        assert_eq!(reader.frame().unwrap().body, b"second");
        reader.skip();
        assert!(reader.frame().is_none());
    }

    #[test]
    fn bytes_to_send_are_the_same_for_every_partial_write() {
        let mut expected = Vec::new();
        for step in [1, 2, 3, 7, 100, 5000, usize::MAX] {
            let (mut writer, reader) = rope().unwrap();
            let mut sender = Sender::new(reader);
            for round in 0..60usize {
                writer.append(MORE, &vec![round as u8; round * 11]).unwrap();
                let body = Msg::from_slice(&vec![!(round as u8); (round % 4) * 100]).unwrap();
                writer.append_external(0, body).unwrap();
            }
            let _ = writer.commit();
            let bytes = sent_bytes(&mut sender, step);
            if expected.is_empty() {
                expected = bytes.clone();
            }
            assert!(bytes == expected, "step {step}");
            assert!(sender.drained() && sender.at_frame_boundary());
            assert_eq!(writer.backlog(), 0);
        }
    }

    #[test]
    fn what_was_begun_is_dropped_when_the_connection_breaks() {
        for cut in 0..30usize {
            let (mut writer, reader) = rope().unwrap();
            let mut sender = Sender::new(reader);
            writer.append(MORE, b"aaaa").unwrap();
            writer.append_external(0, Msg::from_slice(b"bbbb").unwrap()).unwrap();
            writer.append(0, b"cccc").unwrap();
            let _ = writer.commit();
            let mut slices = [IoSlice::new(&[]); 4];
            let (_, bytes) = sender.gather(&mut slices, 1 << 20);
            assert_eq!(bytes, 18);
            sender.advance(cut.min(bytes));
            sender.forget_partial();
            let next = sender.frame().map(|frame| frame.body.to_vec());
            let expected: Option<&[u8]> = match cut {
                0 => Some(b"aaaa"),
                1..=12 => Some(b"cccc"),
                _ => None,
            };
            assert_eq!(next.as_deref(), expected, "cut {cut}");
        }
    }

    #[test]
    fn received_bytes_become_frames() {
        let (mut writer, mut reader) = rope().unwrap();
        let stream = [0, 1, b'x', 4, 3, 4, b'P', b'G', 1, 1, b'y', 0, 2, b'z', b'z'];
        let mut fed = 0;
        while fed < stream.len() || !writer.unparsed().is_empty() {
            if fed < stream.len() {
                let room = writer.receive_buffer(1).unwrap();
                room[0] = stream[fed];
                fed += 1;
                writer.received(1);
            }
            let unparsed = writer.unparsed();
            if unparsed.len() >= 2 && unparsed.len() >= 2 + unparsed[1] as usize {
                let (flags, length) = (unparsed[0], 2 + unparsed[1] as usize);
                writer.accept_frame(length, if flags & 4 != 0 { flags | SKIP } else { flags });
            }
        }
        let _ = writer.commit();
        let mut bodies = Vec::new();
        while let Some(frame) = reader.frame() {
            bodies.push((frame.body.to_vec(), frame.more()));
            reader.skip();
        }
        let expected = vec![(b"x".to_vec(), false), (b"y".to_vec(), true), (b"zz".to_vec(), false)];
        assert_eq!(bodies, expected);
        assert_eq!(HEADER_MAX, 9);
    }

    #[test]
    fn an_idle_rope_starts_its_chunk_over() {
        let (mut writer, reader) = rope().unwrap();
        let mut sender = Sender::new(reader);
        for _ in 0..10_000 {
            writer.append(0, &[1; 60]).unwrap();
            writer.publish();
            sent_bytes(&mut sender, usize::MAX);
            sender.rewind(&mut writer);
        }
        assert_eq!(writer.chunk_size(), rope::CHUNK_MIN);
    }

    #[test]
    fn credit_is_exact() {
        let (mut writer, mut reader) = rope().unwrap();
        for _ in 0..3 {
            assert!(writer.has_room(3));
            writer.append(0, b"m").unwrap();
        }
        let _ = writer.commit();
        assert!(!writer.has_room(3));
        assert!(writer.wait_for_credit(3));
        assert!(reader.frame().is_some());
        reader.skip();
        assert!(reader.grant_credit());
        assert!(!reader.grant_credit());
        assert!(writer.has_room(3));
    }

    #[test]
    fn dropping_either_end_first_frees_everything() {
        for reader_first in [true, false] {
            let (mut writer, reader) = rope().unwrap();
            for _ in 0..100 {
                writer.append(0, &[1; 500]).unwrap();
                writer.append_external(0, Msg::from_slice(&[2; 500]).unwrap()).unwrap();
            }
            let _ = writer.commit();
            if reader_first {
                drop(reader);
                assert!(writer.reader_gone());
                drop(writer);
            } else {
                drop(writer);
                drop(reader);
            }
        }
    }
}

#[cfg(loom)]
mod model {
    use super::*;
    use crate::pipe::sync::{Arc, AtomicBool, Ordering};

    /// Every message arrives, in order, and a sleeping reader is woken: chunks of eight bytes, so
    /// that each message begins a new one or shares one.
    #[test]
    fn messages_cross_and_sleepers_wake() {
        loom::model(|| {
            let (mut writer, mut reader) = rope().unwrap();
            let woken = Arc::new(AtomicBool::new(false));
            let wake = woken.clone();
            let producer = loom::thread::spawn(move || {
                for number in 0..3u8 {
                    writer.append(0, &[number, number]).unwrap();
                    if writer.commit() {
                        wake.store(true, Ordering::Release);
                    }
                }
                writer
            });
            let mut next = 0;
            while next < 3 {
                if let Some(frame) = reader.frame() {
                    assert_eq!(frame.body, [next, next]);
                    reader.skip();
                    next += 1;
                } else if reader.sleep() {
                    while !woken.swap(false, Ordering::AcqRel) {
                        loom::thread::yield_now();
                    }
                }
            }
            drop(producer.join().unwrap());
        });
    }

    /// A writer that waits for credit is told, or sees the credit itself.
    #[test]
    fn credit_is_never_lost() {
        loom::model(|| {
            let (mut writer, mut reader) = rope().unwrap();
            let told = Arc::new(AtomicBool::new(false));
            let tell = told.clone();
            writer.append(0, b"a").unwrap();
            let _ = writer.commit();
            let consumer = loom::thread::spawn(move || {
                assert!(reader.frame().is_some());
                reader.skip();
                if reader.grant_credit() {
                    tell.store(true, Ordering::Release);
                }
                reader
            });
            if !writer.has_room(1) && writer.wait_for_credit(1) {
                while !told.load(Ordering::Acquire) {
                    loom::thread::yield_now();
                }
                assert!(writer.has_room(1));
            }
            drop(consumer.join().unwrap());
        });
    }

    /// The end of the rope wakes a sleeper too.
    #[test]
    fn closing_wakes() {
        loom::model(|| {
            let (mut writer, mut reader) = rope().unwrap();
            let woken = Arc::new(AtomicBool::new(false));
            let wake = woken.clone();
            let producer = loom::thread::spawn(move || {
                writer.append(0, b"m").unwrap();
                writer.publish();
                if writer.close() {
                    wake.store(true, Ordering::Release);
                }
            });
            let mut taken = 0;
            while !reader.ended() {
                if reader.frame().is_some() {
                    reader.skip();
                    taken += 1;
                } else if reader.sleep() {
                    while !woken.swap(false, Ordering::AcqRel) {
                        loom::thread::yield_now();
                    }
                }
            }
            assert_eq!(taken, 1);
            producer.join().unwrap();
        });
    }
}
