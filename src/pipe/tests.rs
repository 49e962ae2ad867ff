// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Ropes: order, commit, rollback, growth, externals, partial sends; stress and model-checked
//! hand-overs in modules of their own.

#[cfg(feature = "loom")]
mod model;
#[cfg(not(feature = "loom"))]
mod stress;

#[cfg(not(feature = "loom"))]
mod plain {
    use crate::msg::{Metadata, Msg};
    use crate::pipe::rope::{self, COMMAND, HEADER_MAX, LONG, MORE, SKIP, Sender, rope};
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
    fn a_body_gets_its_header_where_it_lies() {
        // Around the lengths at which the header becomes longer; two parts a message.
        let lengths = [0, 1, 200, 254, 255, 256, 257, 700, 3000, 0];
        for offset in [11, 33, 42, 259] {
            let (mut writer, mut reader) = rope().unwrap();
            for (number, length) in lengths.into_iter().enumerate() {
                let body = vec![number as u8; length];
                let room = writer.receive_buffer(offset + length + 1).unwrap();
                room[..offset].fill(0xff);
                room[offset..offset + length].copy_from_slice(&body);
                // The beginning of the next frame.
                room[offset + length] = 0xee;
                writer.received(offset + length + 1);
                assert_eq!(writer.unparsed_mut().len(), offset + length + 1);
                writer.accept_body(offset, length, if number % 2 == 0 { MORE } else { 0 });
                assert_eq!(writer.unparsed(), [0xee]);
                writer.truncate_unparsed(0);
                let _ = writer.commit();
                assert_eq!(writer.messages(), (number as u64).div_ceil(2));
                assert_eq!(reader.backlog(), writer.messages());
            }
            for (number, length) in lengths.into_iter().enumerate() {
                let frame = reader.frame().unwrap();
                assert_eq!(frame.body, vec![number as u8; length]);
                assert_eq!(frame.more(), number % 2 == 0);
                reader.skip();
            }
            assert!(reader.sleep());
        }
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
    fn passed_over_frames_neither_show_nor_wake_for_good() {
        let (mut writer, mut reader) = rope().unwrap();
        let receive = |writer: &mut rope::Writer, bytes: &[u8]| {
            writer.receive_buffer(bytes.len()).unwrap()[..bytes.len()].copy_from_slice(bytes);
            writer.received(bytes.len());
        };
        assert!(reader.sleep());
        receive(&mut writer, &[4, 1, b'P']);
        writer.accept_frame(3, COMMAND | SKIP);
        receive(&mut writer, &[6, 0, 0, 0, 0, 0, 0, 3, 0]);
        let body = Msg::from_slice(&[b'P'; 768]).unwrap();
        writer.accept_external(HEADER_MAX, COMMAND | LONG | SKIP, body);
        assert!(writer.commit());
        assert!(reader.frame().is_none());
        assert!(reader.sleep(), "there is nothing to read");
        receive(&mut writer, &[0, 1, b'x']);
        writer.accept_frame(3, 0);
        assert!(writer.commit());
        assert_eq!(reader.frame().unwrap().body, b"x");
        reader.skip();
        assert_eq!(reader.messages(), 1);
        receive(&mut writer, &[4, 0]);
        writer.accept_frame(2, COMMAND | SKIP);
        assert!(!writer.close());
        assert!(!reader.sleep() && reader.frame().is_none());
        assert!(reader.ended());
    }

    #[test]
    fn a_frame_may_be_looked_at_before_gathering() {
        let (mut writer, reader) = rope().unwrap();
        let mut sender = Sender::new(reader);
        let mut expected = Vec::new();
        for round in 0..200u8 {
            writer.append(0, &[round; 200]).unwrap();
            writer.publish();
            expected.extend_from_slice(&[0, 200]);
            expected.extend_from_slice(&[round; 200]);
        }
        let mut bytes = Vec::new();
        while sender.frame().is_some() {
            let mut slices = [IoSlice::new(&[]); 1];
            let (_, total) = sender.gather(&mut slices, 1);
            bytes.extend_from_slice(&slices[0]);
            sender.advance(total);
        }
        assert!(bytes == expected);
    }

    #[test]
    fn a_body_received_on_its_own_goes_through_unmoved() {
        let (mut writer, mut reader) = rope().unwrap();
        let body = Msg::from_slice(&[5; 9000]).unwrap();
        let at = body.data().as_ptr();
        let header = [LONG, 0, 0, 0, 0, 0, 0, 0x23, 0x28];
        writer.receive_buffer(HEADER_MAX).unwrap()[..HEADER_MAX].copy_from_slice(&header);
        writer.received(HEADER_MAX);
        writer.accept_external(HEADER_MAX, LONG, body);
        let _ = writer.commit();
        assert_eq!(reader.frame().unwrap().body.as_ptr(), at);
        assert_eq!(reader.take_external().unwrap().data().as_ptr(), at);
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
    fn credit_comes_when_half_was_taken() {
        let (mut writer, mut reader) = rope().unwrap();
        let take = |reader: &mut rope::Reader| {
            assert!(reader.frame().is_some());
            reader.skip();
        };
        for _ in 0..3 {
            assert!(writer.has_room(3));
            writer.append(0, b"m").unwrap();
        }
        let _ = writer.commit();
        assert!(!writer.has_room(3));
        assert!(writer.wait_for_credit(3));
        take(&mut reader);
        assert!(!writer.has_room(3), "half of 3 is 2");
        assert_eq!((writer.uncredited(3), writer.backlog()), (3, 2));
        take(&mut reader);
        assert!(reader.grant_credit());
        assert!(!reader.grant_credit());
        assert!(writer.has_room(3));
        assert_eq!(writer.uncredited(3), 1);
    }

    #[test]
    fn a_rope_that_was_emptied_has_room_whatever_the_limit() {
        for limit in 1..20 {
            let (mut writer, mut reader) = rope().unwrap();
            for _ in 0..50 {
                while writer.has_room(limit) {
                    writer.append(0, b"m").unwrap();
                }
                let _ = writer.commit();
                while reader.frame().is_some() {
                    reader.skip();
                }
                assert!(writer.has_room(limit));
            }
        }
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

    /// A message whose end can be seen by the count of its metadata.
    fn traced(trace: &std::sync::Arc<Metadata>) -> Msg {
        let mut message = Msg::from_slice(&[7; 300]).unwrap();
        message.set_metadata(Some(trace.clone()));
        message
    }

    #[test]
    fn owned_messages_come_out_as_they_went_in() {
        let (mut writer, mut reader) = rope().unwrap();
        for round in 0..100u8 {
            writer.append(MORE, &[round]).unwrap();
            let body = Msg::from_slice(&[round; 600]).unwrap();
            let place = body.data().as_ptr();
            writer.append_owned(0, body).unwrap();
            let _ = writer.commit();
            assert_eq!(reader.frame().unwrap().body, [round]);
            reader.skip();
            let frame = reader.frame().unwrap();
            assert!(frame.external && !frame.more() && frame.body == [round; 600]);
            assert_eq!(reader.take_external().unwrap().data().as_ptr(), place);
            assert!(reader.frame().is_none());
        }
        assert_eq!((reader.messages(), writer.messages()), (100, 100));
    }

    #[test]
    fn owned_messages_end_with_whatever_ends_them() {
        let trace = std::sync::Arc::new(Metadata::default());
        let held = || std::sync::Arc::strong_count(&trace) - 1;

        // Passed over by the reader, taken back by the writer.
        let (mut writer, mut reader) = rope().unwrap();
        writer.append_owned(0, traced(&trace)).unwrap();
        let _ = writer.commit();
        for _ in 0..50 {
            writer.append_owned(MORE, traced(&trace)).unwrap();
        }
        assert_eq!(held(), 51);
        writer.rollback();
        assert_eq!(held(), 1);
        assert!(reader.frame().is_some());
        reader.skip();
        assert_eq!(held(), 0);

        // Left behind by either end, committed before or after the reader left, or not at all.
        for reader_first in [true, false] {
            let (mut writer, mut reader) = rope().unwrap();
            for _ in 0..50 {
                writer.append_owned(0, traced(&trace)).unwrap();
            }
            let _ = writer.commit();
            assert!(reader.frame().is_some());
            reader.skip();
            assert_eq!(held(), 49);
            if reader_first {
                drop(reader);
                assert_eq!(held(), 0);
                for _ in 0..50 {
                    writer.append_owned(0, traced(&trace)).unwrap();
                }
                let _ = writer.commit();
                writer.append_owned(MORE, traced(&trace)).unwrap();
                drop(writer);
            } else {
                writer.append_owned(MORE, traced(&trace)).unwrap();
                drop(writer);
                assert_eq!(held(), 49);
                drop(reader);
            }
            assert_eq!(held(), 0);
        }
    }
}
