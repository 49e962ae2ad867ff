// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! PUB: an XPUB that receives nothing (RFC 29).

use super::Pattern;
use super::xpub::XPub;
use crate::errno::Result;
use crate::pipe::{Body, PipeId, Pipes};

pub struct Publisher(XPub);

impl Default for Publisher {
    fn default() -> Publisher {
        Publisher(XPub::without_receiver())
    }
}

impl Pattern for Publisher {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, subscribe_to_all: bool) {
        self.0.attach(pipes, id, subscribe_to_all);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.0.detach(pipes, id);
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.0.read_activated(pipes, id);
    }

    fn write_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.0.write_activated(pipes, id);
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        self.0.send(pipes, body, more)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.0.can_send(pipes)
    }

    fn set_option(&mut self, pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        self.0.set_option(pipes, option, value)
    }

    fn option(&mut self, pipes: &mut Pipes, option: i32) -> Result<i32> {
        self.0.option(pipes, option)
    }
}
