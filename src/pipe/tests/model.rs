// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The rope under the model checker. Chunks have eight bytes here, each with a cell that notices
//! unordered accesses; a chunk that is freed too early or never is noticed, too.

use crate::msg::Msg;
use crate::pipe::rope::{COMMAND, MORE, Reader, SKIP, Sender, Writer, rope};
use crate::pipe::sync::{Arc, check};
use loom::sync::Notify;
use loom::thread;
use std::io::IoSlice;

/// A message that fills a chunk.
fn chunkful(number: u8) -> [u8; 6] {
    [number; 6]
}

fn commit(writer: &mut Writer, wake: &Notify) {
    if writer.commit() {
        wake.notify();
    }
}

/// Takes the next message, waiting for it. `None`: the rope has ended.
fn next(reader: &mut Reader, wake: &Notify) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = reader.frame() {
            let body = frame.body.to_vec();
            reader.skip();
            return Some(body);
        }
        if reader.sleep() {
            wake.wait();
        } else if reader.frame().is_none() {
            // This is how a pipe tells that nothing more will come.
            assert!(reader.closed(), "neither asleep, nor a message, nor the end");
            assert!(reader.ended());
            return None;
        }
    }
}

/// What is gathered, and the first `length` bytes of it written.
fn write(sender: &mut Sender, length: usize, wire: &mut Vec<u8>) -> usize {
    let mut slices = [IoSlice::new(&[]); 4];
    let (count, total) = sender.gather(&mut slices, 64);
    let length = length.min(total);
    let gathered: Vec<u8> =
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    assert_eq!(gathered.len(), total);
    wire.extend_from_slice(&gathered[..length]);
    sender.advance(length);
    length
}

/// Every message arrives, in order, and a sleeping reader is woken; two share a chunk.
#[test]
fn messages_cross_and_sleepers_wake() {
    check(3, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            for number in 0..3u8 {
                writer.append(0, &[number, number]).unwrap();
                commit(&mut writer, &waker);
            }
            writer
        });
        for number in 0..3u8 {
            assert_eq!(next(&mut reader, &wake), Some(vec![number, number]));
        }
        assert_eq!(producer.join().unwrap().backlog(), 0);
    });
}

/// Chunks that the reader left are filled again by the writer, to another length than before.
#[test]
fn chunks_are_used_again() {
    check(2, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            for number in 0..4u8 {
                let body = if number == 1 { &chunkful(1)[..] } else { &[number] };
                writer.append(0, body).unwrap();
                if number != 2 {
                    commit(&mut writer, &waker);
                }
            }
        });
        for number in 0..4u8 {
            let body = if number == 1 { chunkful(1).to_vec() } else { vec![number] };
            assert_eq!(next(&mut reader, &wake), Some(body));
        }
        producer.join().unwrap();
        assert!(reader.frame().is_none());
    });
}

/// Parts that spread over chunks are taken back while the reader reads what was committed, and
/// what is written instead arrives.
#[test]
fn rollback_beside_a_reader() {
    check(3, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            writer.append(0, b"a").unwrap();
            commit(&mut writer, &waker);
            writer.append(MORE, b"b").unwrap();
            writer.append(MORE, &chunkful(1)).unwrap();
            commit(&mut writer, &waker);
            writer.rollback();
            writer.append(0, b"d").unwrap();
            writer.append(0, b"").unwrap();
            commit(&mut writer, &waker);
        });
        for body in [&b"a"[..], b"d", b""] {
            assert_eq!(next(&mut reader, &wake).as_deref(), Some(body));
        }
        producer.join().unwrap();
    });
}

/// The same beside a sender, which looks at bytes, not at frames.
#[test]
fn rollback_beside_a_sender() {
    check(3, || {
        let (mut writer, reader) = rope().unwrap();
        let mut sender = Sender::new(reader);
        let producer = thread::spawn(move || {
            writer.append(0, b"a").unwrap();
            writer.publish();
            writer.append(MORE, b"").unwrap();
            writer.append(MORE, &chunkful(1)).unwrap();
            writer.publish();
            writer.rollback();
            writer.append(0, b"d").unwrap();
            writer.append(0, b"").unwrap();
            writer.publish();
            writer
        });
        let mut wire = Vec::new();
        for _ in 0..2 {
            write(&mut sender, 2, &mut wire);
        }
        drop(producer.join().unwrap());
        while write(&mut sender, usize::MAX, &mut wire) > 0 {}
        assert_eq!(wire, [0, 1, b'a', 0, 1, b'd', 0, 0]);
    });
}

/// The end of the rope wakes a sleeper, and comes after every whole message and no other.
#[test]
fn closing_wakes() {
    check(2, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            writer.append(0, b"a").unwrap();
            commit(&mut writer, &waker);
            writer.append(0, b"b").unwrap();
            writer.append(MORE, b"c").unwrap();
            if writer.close() {
                waker.notify();
            }
        });
        assert_eq!(next(&mut reader, &wake), Some(b"a".to_vec()));
        assert_eq!(next(&mut reader, &wake), Some(b"b".to_vec()));
        assert_eq!(next(&mut reader, &wake), None);
        producer.join().unwrap();
    });
}

/// Room for one message: the writer waits for credit, the reader for messages, and both wake.
#[test]
fn credit_is_never_lost() {
    check(3, || {
        let (mut writer, mut reader) = rope().unwrap();
        let (wake, credit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (waker, told) = (wake.clone(), credit.clone());
        let producer = thread::spawn(move || {
            for number in 0..3u8 {
                while !writer.has_room(1) {
                    if writer.wait_for_credit(1) {
                        told.wait();
                    }
                }
                assert!(writer.backlog() == 0);
                writer.append(0, &[number]).unwrap();
                commit(&mut writer, &waker);
            }
        });
        for number in 0..3u8 {
            assert_eq!(next(&mut reader, &wake), Some(vec![number]));
            if reader.grant_credit() {
                credit.notify();
            }
        }
        producer.join().unwrap();
    });
}

/// Bytes are gathered and written in part while the writer goes on; all come out in order, and
/// the messages counted as sent are never more than there were.
#[test]
fn gathering_beside_a_writer() {
    for steps in [[usize::MAX, 4], [3, 2], [5, usize::MAX]] {
        check(3, move || {
            let (mut writer, reader) = rope().unwrap();
            let mut sender = Sender::new(reader);
            let producer = thread::spawn(move || {
                for number in 1..=3u8 {
                    writer.append(0, &[number, number]).unwrap();
                    writer.publish();
                    assert!(writer.backlog() <= u64::from(number));
                }
                writer
            });
            let mut wire = Vec::new();
            for step in steps {
                write(&mut sender, step, &mut wire);
            }
            let writer = producer.join().unwrap();
            assert!(writer.backlog() <= 3, "more was taken than there was");
            while write(&mut sender, 7, &mut wire) > 0 {}
            assert_eq!(wire, [0, 2, 1, 1, 0, 2, 2, 2, 0, 2, 3, 3]);
            assert!(sender.drained() && sender.at_frame_boundary());
            assert_eq!(writer.backlog(), 0);
        });
    }
}

/// Bodies beside the bytes keep their places on the wire, the empty one too.
#[test]
fn gathering_external_bodies() {
    for step in [1, 3, usize::MAX] {
        check(2, move || {
            let (mut writer, reader) = rope().unwrap();
            let mut sender = Sender::new(reader);
            let producer = thread::spawn(move || {
                writer.append_external(MORE, Msg::from_slice(b"xy").unwrap()).unwrap();
                writer.append(0, b"a").unwrap();
                writer.publish();
                writer.append_external(0, Msg::from_slice(b"").unwrap()).unwrap();
                writer.publish();
                writer
            });
            let mut wire = Vec::new();
            write(&mut sender, step, &mut wire);
            write(&mut sender, step, &mut wire);
            let writer = producer.join().unwrap();
            while !sender.drained() {
                write(&mut sender, step, &mut wire);
            }
            assert_eq!(wire, [1, 2, b'x', b'y', 0, 1, b'a', 0, 0]);
            assert!(sender.at_frame_boundary());
            assert_eq!(writer.backlog(), 0);
            assert_eq!(sender.volume(), writer.volume());
        });
    }
}

/// A sender that waits for credit is told although it is bytes, not frames, that are counted off.
#[test]
fn credit_for_gathered_messages() {
    check(3, || {
        let (mut writer, reader) = rope().unwrap();
        let mut sender = Sender::new(reader);
        let credit = Arc::new(Notify::new());
        let told = credit.clone();
        writer.append(0, b"a").unwrap();
        writer.append(0, b"b").unwrap();
        writer.publish();
        let producer = thread::spawn(move || {
            while !writer.has_room(2) {
                if writer.wait_for_credit(2) {
                    told.wait();
                }
            }
            writer
        });
        let mut wire = Vec::new();
        write(&mut sender, 4, &mut wire);
        if sender.grant_credit() {
            credit.notify();
        }
        assert_eq!(producer.join().unwrap().backlog(), 1);
    });
}

/// Messages whose bodies lie beside the bytes are taken as they were given.
#[test]
fn external_bodies_cross() {
    check(2, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            writer.append_metadata(None);
            writer.append_external(0, Msg::from_slice(b"xyz").unwrap()).unwrap();
            commit(&mut writer, &waker);
            writer.append(0, b"a").unwrap();
            writer.append_external(MORE, Msg::from_slice(b"gone").unwrap()).unwrap();
            commit(&mut writer, &waker);
            writer.rollback();
            writer.append_external(0, Msg::from_slice(b"").unwrap()).unwrap();
            commit(&mut writer, &waker);
        });
        for body in [&b"xyz"[..], b"a", b""] {
            assert_eq!(next(&mut reader, &wake).as_deref(), Some(body));
        }
        producer.join().unwrap();
        assert!(reader.frame().is_none());
    });
}

/// Frames arrive in pieces, a command among them, and move to the next chunk unfinished. The
/// command is passed over: it ends neither the rope nor the reader's sleep for good.
#[test]
fn received_frames_cross() {
    check(3, || {
        let (mut writer, mut reader) = rope().unwrap();
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let producer = thread::spawn(move || {
            let pieces: [(&[u8], usize, u8); 3] = [
                (&[0, 1, b'a', COMMAND], 3, 0),
                (&[1, b'P', 0], 3, COMMAND | SKIP),
                (&[2, b'b', b'b'], 4, 0),
            ];
            for (bytes, length, flags) in pieces {
                writer.receive_buffer(bytes.len()).unwrap()[..bytes.len()].copy_from_slice(bytes);
                writer.received(bytes.len());
                writer.accept_frame(length, flags);
                commit(&mut writer, &waker);
            }
        });
        assert_eq!(next(&mut reader, &wake), Some(b"a".to_vec()));
        assert_eq!(next(&mut reader, &wake), Some(b"bb".to_vec()));
        producer.join().unwrap();
        assert!(reader.ended());
    });
}

/// Either end may go at any moment; what was in the rope goes with the last of them.
#[test]
fn ends_are_dropped_side_by_side() {
    check(3, || {
        let (mut writer, mut reader) = rope().unwrap();
        writer.append(0, &chunkful(0)).unwrap();
        writer.publish();
        let producer = thread::spawn(move || {
            writer.append(0, &chunkful(1)).unwrap();
            writer.append(MORE, &chunkful(2)).unwrap();
            writer.publish();
            writer.reader_gone()
        });
        assert_eq!(reader.frame().unwrap().body, chunkful(0));
        reader.skip();
        if reader.frame().is_some() {
            reader.skip();
        }
        drop(reader);
        producer.join().unwrap();
    });
}
