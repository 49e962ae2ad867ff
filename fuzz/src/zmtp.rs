// SPDX-License-Identifier: MPL-2.0
//! Frames of ZMTP: a stream of them made of the fuzzer's bytes, and a second decoder for them,
//! which has all bytes at once.

#![forbid(unsafe_code)]

use crate::connection::Frame;
use crate::input::Input;
use zmq::engine::RxRules;

/// More than a large body, and not more than a socket's buffer takes.
pub const LONGEST: usize = 96 * 1024;

const COMMANDS: [&[u8]; 8] = [
    b"\x04PING",
    b"\x04PONG",
    b"\x09SUBSCRIBE",
    b"\x06CANCEL",
    b"\x04JOIN",
    b"\x05LEAVE",
    b"\x05ERROR",
    b"\x07MESSAGE",
];

/// One step of the fuzzer's.
pub enum Step {
    /// As they are.
    Bytes(Vec<u8>),
    Frame {
        flags: u8,
        long: bool,
        body: Vec<u8>,
        claimed: u64,
    },
}

impl Step {
    pub fn read(input: &mut Input) -> Step {
        let kind = input.u8();
        match kind >> 5 {
            0 | 1 => Step::Bytes(input.bytes(usize::from(kind & 0x3f) + 1).to_vec()),
            2 => Step::Bytes(vec![input.u8(); usize::from(kind & 0x1f) << 8]),
            // A claim alone.
            3 => Step::Frame {
                flags: kind & 7,
                long: kind & 8 != 0,
                body: input.chunk().to_vec(),
                claimed: input.u64() >> (kind & 0x10),
            },
            4 => {
                let mut body = COMMANDS[usize::from(kind & 7)].to_vec();
                body.extend_from_slice(input.chunk());
                Step::whole(4 | kind >> 4 & 1, kind & 8 != 0, body)
            }
            5 => Step::whole(kind & 7, kind & 8 != 0, input.chunk().to_vec()),
            6 => Step::whole(kind & 7, kind & 8 != 0, body(input.u16(), input.u8())),
            _ => {
                let start = if kind & 8 != 0 { b"\x09SUBSCRIBE".as_slice() } else { b"" };
                let body = [start, &body(input.u16() | 0x2000, input.u8())].concat();
                Step::whole(kind & 7, true, body)
            }
        }
    }

    fn whole(flags: u8, long: bool, body: Vec<u8>) -> Step {
        Step::Frame { flags, long, claimed: body.len() as u64, body }
    }

    /// All there are in the input, as long as they are not too much together.
    pub fn read_all(input: &mut Input) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut total = 0;
        while !input.is_empty() && total < LONGEST {
            let step = Step::read(input);
            total += match &step {
                Step::Bytes(bytes) => bytes.len(),
                Step::Frame { body, .. } => body.len(),
            };
            steps.push(step);
        }
        steps
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Step::Bytes(bytes) => out.extend_from_slice(bytes),
            Step::Frame { flags, long, body, claimed } => {
                put_header(*flags, *long, *claimed, out);
                out.extend_from_slice(body);
            }
        }
    }

    /// As ZMTP 1.0 has it.
    pub fn put_legacy(&self, out: &mut Vec<u8>) {
        match self {
            Step::Bytes(bytes) => out.extend_from_slice(bytes),
            Step::Frame { flags, long, body, claimed } => {
                let length = claimed.wrapping_add(1);
                match u8::try_from(length) {
                    Ok(length) if length < 0xff && !long => out.push(length),
                    _ => {
                        out.push(0xff);
                        out.extend_from_slice(&length.to_be_bytes());
                    }
                }
                out.push(*flags);
                out.extend_from_slice(body);
            }
        }
    }
}

fn body(length: u16, seed: u8) -> Vec<u8> {
    let length = usize::from(length) % 0x6000;
    (0..length).map(|index| seed.wrapping_add((index / 7) as u8)).collect()
}

pub fn put_header(flags: u8, long: bool, length: u64, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(length) if !long => out.extend_from_slice(&[flags & !2, length]),
        _ => {
            out.push(flags | 2);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

/// What is to come of a stream.
#[derive(Debug, Default)]
pub struct Expected {
    /// All frames up to the end of the last message.
    pub frames: Vec<Frame>,
    /// Frames of a message whose end has not come.
    pub begun: Vec<Frame>,
    /// Answers to the peer, commands of ZMTP 3.1.
    pub answers: Vec<Vec<u8>>,
    pub failed: bool,
    /// Frames with the flag of a command are dropped (ZMTP 2.0).
    without_commands: bool,
    /// What a REQ socket waits for.
    reply: Reply,
    /// A DISH socket has a group and waits for the body.
    grouped: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Reply {
    #[default]
    Begin,
    AfterId,
    Body,
}

impl Expected {
    /// Frames of ZMTP 3.0 and later.
    pub fn of(bytes: &[u8], rules: &RxRules) -> Expected {
        Expected::default().and(bytes, rules)
    }

    /// Frames of ZMTP 2.0.
    pub fn without_commands(bytes: &[u8], rules: &RxRules) -> Expected {
        Expected { without_commands: true, ..Expected::default() }.and(bytes, rules)
    }

    fn and(self, mut bytes: &[u8], rules: &RxRules) -> Expected {
        let mut expected = self;
        while let [flags, rest @ ..] = bytes {
            let (length, rest) = if flags & 2 != 0 {
                let Some((length, rest)) = rest.split_first_chunk() else { break };
                (u64::from_be_bytes(*length), rest)
            } else {
                let Some((length, rest)) = rest.split_first() else { break };
                (u64::from(*length), rest)
            };
            if !fits(length, rules) {
                expected.failed = true;
                break;
            }
            let Some((body, rest)) = rest.split_at_checked(length as usize) else { break };
            bytes = rest;
            if !expected.frame(*flags, body, rules) {
                break;
            }
        }
        expected
    }

    /// Frames of ZMTP 1.0.
    pub fn of_legacy(mut bytes: &[u8], rules: &RxRules) -> Expected {
        let mut expected = Expected::default();
        while let [first, rest @ ..] = bytes {
            let (length, rest) = if *first == 0xff {
                let Some((length, rest)) = rest.split_first_chunk() else { break };
                (u64::from_be_bytes(*length), rest)
            } else {
                (u64::from(*first), rest)
            };
            if length == 0 {
                expected.failed = true;
                break;
            }
            let [flags, rest @ ..] = rest else { break };
            if !fits(length - 1, rules) {
                expected.failed = true;
                break;
            }
            let Some((body, rest)) = rest.split_at_checked(length as usize - 1) else { break };
            bytes = rest;
            if !expected.frame(flags & 1, body, rules) {
                break;
            }
        }
        expected
    }

    /// The next frame. False: the connection ends here.
    pub fn frame(&mut self, flags: u8, body: &[u8], rules: &RxRules) -> bool {
        if flags & 4 != 0 {
            if self.without_commands {
                return true;
            }
            self.command(body, rules);
            return !self.failed;
        }
        let more = flags & 1 != 0;
        self.failed = rules.replies_only && !self.replies(more, body.len())
            || rules.grouped_only && !self.groups(more, body.len());
        if !self.failed {
            self.push(Frame::new(flags & 1, body));
        }
        !self.failed
    }

    fn command(&mut self, body: &[u8], rules: &RxRules) {
        if let Some(group) =
            body.strip_prefix(b"\x04JOIN").or_else(|| body.strip_prefix(b"\x05LEAVE"))
            && rules.groups
        {
            if group.len() > 255 {
                self.failed = true;
            } else {
                self.push(Frame::new(4, body));
            }
        }
        if body.starts_with(b"\x09SUBSCRIBE") || body.starts_with(b"\x06CANCEL") {
            if rules.subscriptions {
                self.push(Frame::new(4, body));
            }
        } else if let Some([_, _, context @ ..]) = body.strip_prefix(b"\x04PING") {
            self.answers.push([b"\x04PONG", &context[..context.len().min(16)]].concat());
        }
    }

    fn push(&mut self, frame: Frame) {
        let more = frame.more;
        self.begun.push(frame);
        if !more {
            self.frames.append(&mut self.begun);
        }
    }

    /// `[request id MORE]? empty MORE, body…`.
    fn replies(&mut self, more: bool, length: usize) -> bool {
        self.reply = match (&self.reply, more, length) {
            (Reply::Begin, true, 4) => Reply::AfterId,
            (Reply::Begin | Reply::AfterId, true, 0) | (Reply::Body, true, _) => Reply::Body,
            (Reply::Body, false, _) => Reply::Begin,
            _ => return false,
        };
        true
    }

    /// A group, then a body.
    fn groups(&mut self, more: bool, length: usize) -> bool {
        let good = more != self.grouped && (self.grouped || length <= 255);
        self.grouped = more;
        good
    }

    /// The answers as frames of ZMTP.
    pub fn output(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for answer in &self.answers {
            put_header(4, false, answer.len() as u64, &mut out);
            out.extend_from_slice(answer);
        }
        out
    }
}

/// No memory could hold a longer message: an object has isize::MAX bytes at most, and 32 of them are
/// not the body.
const LONGEST_BODY: u64 = isize::MAX as u64 - 32;

fn fits(length: u64, rules: &RxRules) -> bool {
    length <= LONGEST_BODY && (rules.max_msg_size < 0 || length <= rules.max_msg_size as u64)
}

pub fn rules(input: &mut Input) -> RxRules {
    let choice = input.u8();
    RxRules {
        limit: [u64::MAX, 1, 2, 100][usize::from(choice & 3)],
        max_msg_size: [-1, 0, 20_000, i64::MAX][usize::from(choice >> 2 & 3)],
        subscriptions: choice & 0x10 != 0,
        replies_only: choice & 0x60 == 0x20,
        groups: choice & 0x40 != 0,
        grouped_only: choice & 0x80 != 0,
        ..RxRules::default()
    }
}
