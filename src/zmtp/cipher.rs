// SPDX-License-Identifier: MPL-2.0
//! What a security mechanism does to every frame once the handshake is complete: what goes out is
//! *sealed*, a frame's flags and body becoming the body of a command of the mechanism, and what
//! comes in is *opened*.
//!
//! Frames must be sealed in the order they go out and opened in the order they came in, each once.
//! A frame that cannot be opened ends the connection.
//!
//! RFC 26 (MESSAGE).

#![forbid(unsafe_code)]

use super::error::ProtocolError;
use super::frame::Flags;

/// The outgoing direction of a connection.
pub trait Seal: Send {
    /// How many bytes the sealed form of a frame has, whose body is `head` and then `body`; it has
    /// to be sealed next. `None`: it cannot be sealed, and the connection must end.
    fn sealed_length(&mut self, flags: Flags, head: &[u8], body: &[u8]) -> Option<usize>;

    /// Appends the sealed form of this frame. Only [`Flags::MORE`] and [`Flags::COMMAND`] travel.
    fn seal(&mut self, flags: Flags, head: &[u8], body: &[u8], out: &mut Vec<u8>);
}

/// The incoming direction of a connection.
pub trait Open: Send {
    /// Opens the body of a frame in place.
    ///
    /// # Errors
    /// It is not what the peer has sent, or not in this place.
    fn open(&mut self, sealed: &mut [u8]) -> Result<Opened, ProtocolError>;
}

/// Where the body of an opened frame lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    pub flags: Flags,
    /// The offset of the body within the sealed bytes; it reaches to their end. At least
    /// [`OPENED_OFFSET`].
    pub offset: usize,
}

/// At least this many bytes come ahead of the body of an opened frame.
pub const OPENED_OFFSET: usize = 16;

/// Both directions of a connection.
pub enum Cipher {
    /// Independent of each other.
    Apart(Halves),
    /// With a state in common: whoever uses both must see to it that they take turns.
    Joint(Box<dyn Joint>),
}

/// Two directions, each of which may be used without a look at the other.
pub struct Halves {
    pub seal: Box<dyn Seal>,
    pub open: Box<dyn Open>,
}

/// Both directions with a state in common.
pub trait Joint: Seal + Open {}

impl<T: Seal + Open> Joint for T {}
