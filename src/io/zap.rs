// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A handshake's question to the ZAP handler, on its way there and back (RFC 27).

use super::{IoHandle, SocketPort};
use crate::errno::Result;
use crate::msg::Msg;
use crate::pipe::{Body, Pipe, Readiness, Sink};
use std::sync::Arc;

/// Frames kept of a reply: one more than a well-formed one has.
const MAX_FRAMES: usize = 8;

/// A question that was put. Dropping it lets go of the handler.
pub(super) struct Question(Pipe);

/// What has become of a question.
pub(super) enum Answer {
    /// Nothing yet; the reactor gets [`Command::Zap`](super::Command::Zap) when that changes.
    None,
    /// The frames of the reply.
    Reply(Vec<Msg>),
    /// The handler has gone without a reply.
    Gone,
}

impl Question {
    /// Puts the question; `None`: there is no handler.
    pub(super) fn put(
        request: &[Vec<u8>],
        port: &dyn SocketPort,
        session: u64,
        home: &Arc<IoHandle>,
    ) -> Result<Option<Question>> {
        let Some(pipe) = port.zap_connect(session, home)? else { return Ok(None) };
        let mut question = Question(pipe);
        let pipe = &mut question.0;
        if pipe.check_write() {
            for (number, frame) in request.iter().enumerate() {
                pipe.write(&mut Body::Bytes(frame), number + 1 != request.len())?;
            }
            pipe.flush();
        }
        Ok(Some(question))
    }

    pub(super) fn answer(&mut self) -> Result<Answer> {
        match self.0.check_read() {
            Readiness::Empty => return Ok(Answer::None),
            Readiness::Ended => return Ok(Answer::Gone),
            Readiness::Ready => {}
        }
        let mut frames = Vec::new();
        loop {
            let mut frame = Msg::default();
            let taken = self.0.read(&mut Sink::Message(&mut frame))?;
            let more = frame.more();
            frames.push(frame);
            if !taken || !more || frames.len() == MAX_FRAMES {
                return Ok(Answer::Reply(frames));
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.0.close();
    }
}
