// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Two threads at one rope: messages of random sizes, bodies by copy and by reference, multipart,
//! rolled back; read frame by frame or sent byte by byte.

use crate::msg::Msg;
use crate::pipe::rope::{LONG, MORE, Reader, Sender, Writer, rope};
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const MESSAGES: u64 = 10_000;
const LIMIT: u64 = 100;
/// The longest part, in bytes.
const LONGEST: u64 = 20_000;

/// xorshift: the same numbers on either side of the rope.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Many short parts, few long ones, all lengths up to the longest.
    fn length(&mut self) -> usize {
        let bound = if self.below(4) == 0 { LONGEST + 1 } else { 300 };
        self.below(bound) as usize
    }
}

/// The parts of message `number`: length and first byte.
fn parts(number: u64) -> impl Iterator<Item = (usize, u8, bool)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number + 1));
    random.below(1);
    let count = if random.below(4) == 0 { 1 + random.below(4) } else { 1 };
    (1..=count).map(move |part| (random.length(), number as u8, part < count))
}

fn fill(body: &mut Vec<u8>, length: usize, first: u8) {
    body.clear();
    body.extend((0..length).map(|at| first.wrapping_add((at % 251) as u8)));
}

fn append(writer: &mut Writer, flags: u8, body: &[u8]) {
    if body.len() >= 8192 {
        writer.append_external(flags, Msg::from_slice(body).unwrap()).unwrap();
    } else {
        writer.append(flags, body).unwrap();
    }
}

/// Writes all messages, now and then a part that is taken back first.
fn produce(
    writer: &mut Writer,
    mut room: impl FnMut(&mut Writer),
    mut committed: impl FnMut(&mut Writer),
) {
    let mut random = Random(12345);
    let mut body = Vec::new();
    for number in 0..MESSAGES {
        room(writer);
        if random.below(8) == 0 {
            for _ in 0..random.below(3) {
                fill(&mut body, random.length(), !(number as u8));
                append(writer, MORE, &body);
            }
            writer.rollback();
        }
        for (length, first, more) in parts(number) {
            fill(&mut body, length, first);
            append(writer, if more { MORE } else { 0 }, &body);
        }
        if random.below(3) != 0 {
            committed(writer);
        }
    }
    committed(writer);
}

#[test]
fn every_frame_arrives() {
    let (mut writer, mut reader) = rope().unwrap();
    let consumer = thread::current();
    let producer = thread::spawn(move || {
        let tell = consumer.clone();
        let wake = |writer: &mut Writer| {
            if writer.commit() {
                consumer.unpark();
            }
        };
        produce(
            &mut writer,
            |writer| {
                while !writer.has_room(LIMIT) {
                    wake(writer);
                    if writer.wait_for_credit(LIMIT) {
                        thread::park();
                    }
                }
            },
            wake,
        );
        if writer.close() {
            tell.unpark();
        }
    });
    let mut expected = Vec::new();
    for number in 0..MESSAGES {
        for (length, first, more) in parts(number) {
            wait_for_frame(&mut reader);
            let frame = reader.frame().unwrap();
            fill(&mut expected, length, first);
            assert!(frame.body == expected, "message {number} of {length}");
            assert_eq!(frame.more(), more);
            assert_eq!(frame.external, length >= 8192);
            match reader.take_external() {
                Some(body) => assert!(body.data() == expected),
                None => reader.skip(),
            }
            if reader.messages() % (LIMIT / 2) == 0 && reader.grant_credit() {
                producer.thread().unpark();
            }
        }
    }
    while !reader.ended() {
        if reader.sleep() {
            thread::park();
        }
    }
    producer.join().unwrap();
}

fn wait_for_frame(reader: &mut Reader) {
    while reader.frame().is_none() {
        if reader.sleep() {
            thread::park();
        } else {
            assert!(reader.frame().is_some(), "the rope ended early");
        }
    }
}

#[test]
fn every_byte_is_sent() {
    let (mut writer, reader) = rope().unwrap();
    let mut sender = Sender::new(reader);
    let finished = AtomicBool::new(false);
    let mut wire = Vec::new();
    let mut random = Random(54321);
    thread::scope(|scope| {
        let producer = scope.spawn(|| {
            produce(
                &mut writer,
                |writer| {
                    while !writer.has_room(LIMIT) {
                        writer.publish();
                        if writer.wait_for_credit(LIMIT) {
                            thread::park();
                        }
                    }
                },
                |writer| {
                    writer.publish();
                    assert!(writer.backlog() <= writer.messages());
                },
            );
            finished.store(true, Ordering::Release);
        });
        loop {
            let last = finished.load(Ordering::Acquire);
            let mut slices = [IoSlice::new(&[]); 8];
            let (count, total) = sender.gather(&mut slices, 64 * 1024);
            // What the kernel takes: everything, nothing, or a part.
            let mut left = match random.below(4) {
                0 => random.below(total as u64 + 1) as usize,
                1 => total.min(random.below(20) as usize),
                _ => total,
            };
            let written = left;
            for slice in &slices[..count] {
                let length = slice.len().min(left);
                wire.extend_from_slice(&slice[..length]);
                left -= length;
            }
            sender.advance(written);
            if sender.grant_credit() {
                producer.thread().unpark();
            }
            if total == 0 && sender.drained() {
                if last {
                    break;
                }
                thread::yield_now();
            }
        }
    });
    assert!(sender.at_frame_boundary());
    assert_eq!(writer.backlog(), 0);
    assert_eq!(sender.volume(), writer.volume());
    let mut rest = wire.as_slice();
    let mut expected = Vec::new();
    for number in 0..MESSAGES {
        for (length, first, more) in parts(number) {
            fill(&mut expected, length, first);
            let flags = if more { MORE } else { 0 };
            let header = if length > 255 {
                let mut header = vec![flags | LONG];
                header.extend_from_slice(&(length as u64).to_be_bytes());
                header
            } else {
                vec![flags, length as u8]
            };
            rest = rest.strip_prefix(header.as_slice()).unwrap();
            rest = rest.strip_prefix(expected.as_slice()).unwrap();
        }
    }
    assert!(rest.is_empty());
}
