// SPDX-License-Identifier: MPL-2.0
//! The queue of a pipe against the simplest queue there is.
#![no_main]

use ferrozmq_fuzz::connection::Frame;
use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;
use std::io::IoSlice;
use zmq::msg::Msg;
use zmq::pipe::rope::{COMMAND, MORE, Reader, Sender, Writer, rewind, rope};

fuzz_target!(|data: &[u8]| memory::bounded(data.len() * 64, || run(data)));

/// What is appended, in order.
#[derive(Default)]
struct Model {
    committed: VecDeque<Frame>,
    /// Whole messages, not committed.
    whole: Vec<Frame>,
    /// The message that is begun.
    begun: Vec<Frame>,
}

impl Model {
    fn append(&mut self, flags: u8, body: &[u8]) {
        self.begun.push(Frame::new(flags, body));
        if flags & MORE == 0 {
            self.whole.append(&mut self.begun);
        }
    }

    fn commit(&mut self) {
        self.committed.extend(self.whole.drain(..));
    }
}

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut writer, reader) = rope().expect("memory");
    let mut model = Model::default();
    let choice = input.u8();
    if choice & 1 == 0 {
        // Messages lie in a rope in one of two ways, never both.
        frames(&mut input, &mut writer, reader, &mut model, choice & 2 != 0);
    } else {
        bytes(&mut input, &mut writer, Sender::new(reader), &mut model);
    }
}

fn append(input: &mut Input, writer: &mut Writer, model: &mut Model, owned: bool) {
    let kind = input.u8();
    let flags = [0, MORE, COMMAND, 0][usize::from(kind & 3)];
    let length = match kind >> 2 & 3 {
        0 => usize::from(input.u8() & 15),
        1 => usize::from(input.u8()),
        2 => usize::from(input.u16() & 0x3fff),
        _ => [0, 255, 256, 1015, 1022, 1023, 65527, 65536][usize::from(kind >> 5)],
    };
    let body: Vec<u8> = (0..length).map(|index| (index ^ usize::from(kind)) as u8).collect();
    match kind >> 4 & 1 {
        0 => writer.append(flags, &body).expect("memory"),
        _ if owned => {
            writer.append_owned(flags, Msg::from_slice(&body).expect("memory")).expect("memory");
        }
        _ => {
            writer.append_external(flags, Msg::from_slice(&body).expect("memory")).expect("memory")
        }
    }
    model.append(flags, &body);
}

/// The reader takes frames.
fn frames(input: &mut Input, writer: &mut Writer, reader: Reader, model: &mut Model, owned: bool) {
    let mut reader = Some(reader);
    let mut limit = 4;
    while !input.is_empty() {
        let step = input.u8();
        match step & 15 {
            0..=4 => append(input, writer, model, owned),
            5 | 6 => {
                let _ = writer.commit();
                model.commit();
            }
            7 => {
                writer.rollback();
                model.begun.clear();
            }
            8..=11 => {
                let Some(reader) = &mut reader else { continue };
                for _ in 0..=step >> 4 {
                    let frame = reader
                        .frame()
                        .map(|frame| (Frame::new(frame.flags, frame.body), frame.external));
                    let expected = model.committed.pop_front();
                    assert_eq!(frame.as_ref().map(|(frame, _)| frame), expected.as_ref());
                    let Some((frame, external)) = frame else { break };
                    if external && step & 1 == 0 {
                        let body = reader.take_external().expect("a message");
                        assert_eq!(body.data(), frame.body);
                    } else {
                        reader.skip();
                    }
                }
            }
            12 => {
                limit = u64::from(step >> 4) + 1;
                if writer.has_room(limit) {
                    assert!(writer.backlog() < limit);
                }
            }
            13 => {
                let Some(reader) = &mut reader else { continue };
                let slept = reader.sleep();
                assert_eq!(slept, model.committed.is_empty());
            }
            14 => {
                let Some(reader) = &mut reader else { continue };
                if model.committed.is_empty() {
                    assert!(reader.frame().is_none());
                    rewind(writer, reader);
                }
            }
            _ if step == 0xff => {
                reader = None;
                assert!(writer.reader_gone());
            }
            _ => {
                if writer.wait_for_credit(limit)
                    && let Some(reader) = &mut reader
                {
                    assert!(reader.grant_credit());
                }
            }
        }
        assert_eq!(writer.inside_message(), !model.begun.is_empty());
        if let Some(reader) = &mut reader {
            let messages = model.committed.iter().filter(|frame| !frame.more).count();
            assert_eq!(reader.backlog(), messages as u64);
        }
    }
    let _ = writer.close();
    model.commit();
    let Some(mut reader) = reader else { return };
    assert!(reader.closed());
    while let Some(frame) = reader.frame() {
        assert_eq!(Some(Frame::new(frame.flags, frame.body)), model.committed.pop_front());
        reader.skip();
    }
    assert!(model.committed.is_empty() && reader.ended());
}

/// The reader gathers bytes, as they go over the wire.
fn bytes(input: &mut Input, writer: &mut Writer, mut sender: Sender, model: &mut Model) {
    let mut due = VecDeque::new();
    while !input.is_empty() {
        let step = input.u8();
        match step & 7 {
            0..=2 => append(input, writer, model, false),
            3 => {
                writer.publish();
                model.commit();
                for frame in model.committed.drain(..) {
                    let flags = u8::from(frame.more) | if frame.command { COMMAND } else { 0 };
                    let mut bytes = Vec::new();
                    let length = frame.body.len() as u64;
                    ferrozmq_fuzz::zmtp::put_header(flags, false, length, &mut bytes);
                    bytes.extend_from_slice(&frame.body);
                    due.extend(bytes);
                }
            }
            4 => {
                writer.rollback();
                model.begun.clear();
            }
            5 if sender.drained() => sender.rewind(writer),
            _ => {
                let mut slices = [IoSlice::new(&[]); 8];
                let cap = 1 + usize::from(input.u16());
                let (count, total) = sender.gather(&mut slices, cap);
                let gathered: Vec<u8> =
                    slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                assert_eq!(gathered.len(), total);
                assert_eq!(total == 0, due.is_empty());
                // Some of it is written.
                let written = total * usize::from(step >> 3) / 31;
                sender.advance(written);
                assert!(due.drain(..written).eq(gathered[..written].iter().copied()));
            }
        }
        assert_eq!(sender.drained(), due.is_empty());
    }
}
