// SPDX-License-Identifier: MPL-2.0
//! The handshake of one connection, which is all rustls'. What comes after it is traffic.

#![forbid(unsafe_code)]

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus,
};
use rustls::{CommonState, Error, HandshakeKind};

use super::traffic::{Peer, Traffic, whole_record};

/// Bytes of a handshake message that is not whole yet, with its records' headers.
const MAX_INPUT: usize = 64 * 1024;

pub(super) enum Negotiation {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What a connection has received during its handshake and what it has to send.
#[derive(Default)]
pub(super) struct Exchange {
    /// Records received; those that are understood go.
    pub(super) input: Vec<u8>,
    /// How far rustls has seen them: the records of a message that is not whole yet.
    seen: usize,
    /// Records to send.
    pub(super) output: Vec<Vec<u8>>,
}

impl Negotiation {
    /// Acts on what has been received; true when the handshake is complete. What follows it then
    /// is all there is in the input. An error of rustls' leaves an alert for the peer in the output.
    pub(super) fn step(&mut self, exchange: &mut Exchange) -> Result<bool, Error> {
        match self {
            Negotiation::Client(connection) => advance(&mut **connection, exchange),
            Negotiation::Server(connection) => advance(&mut **connection, exchange),
        }
    }

    /// Whether the handshake continues a session of an earlier connection.
    pub(super) fn is_resumed(&self) -> bool {
        let kind = match self {
            Negotiation::Client(connection) => connection.handshake_kind(),
            Negotiation::Server(connection) => connection.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }

    /// The keys of a completed handshake.
    pub(super) fn finish(self) -> Result<Traffic, Error> {
        match self {
            Negotiation::Client(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection()?;
                Traffic::new(secrets, Peer::Server(keys))
            }
            Negotiation::Server(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection()?;
                Traffic::new(secrets, Peer::Client(keys))
            }
        }
    }
}

/// What the two sides have in common.
trait Records {
    type Data;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn state(&self) -> &CommonState;
}

impl Records for UnbufferedConnectionCommon<ClientConnectionData> {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
    fn state(&self) -> &CommonState {
        self
    }
}

impl Records for UnbufferedConnectionCommon<ServerConnectionData> {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
    fn state(&self) -> &CommonState {
        self
    }
}

/// Shows rustls one record after the other, so that it sees none of those behind the handshake.
fn advance<C: Records>(connection: &mut C, exchange: &mut Exchange) -> Result<bool, Error> {
    loop {
        let unseen = exchange.input.get(exchange.seen..).unwrap_or_default();
        let record = whole_record(unseen);
        // Of a record that is not whole rustls judges how it begins.
        let shown = record.unwrap_or(unseen.len());
        exchange.seen += shown;
        process(connection, exchange)?;
        if !connection.state().is_handshaking() {
            return match exchange.seen {
                0 => Ok(true),
                _ => Err(Error::General("a message that begins with the last record".into())),
            };
        }
        if record.is_none() {
            exchange.seen -= shown;
            let length = exchange.input.len();
            return if length <= MAX_INPUT { Ok(false) } else { Err(too_long()) };
        }
    }
}

fn process<C: Records>(connection: &mut C, exchange: &mut Exchange) -> Result<(), Error> {
    let mut failure = None;
    loop {
        let shown = exchange.input.get_mut(..exchange.seen).unwrap_or_default();
        let UnbufferedStatus { discard, state } = connection.process(shown);
        let more = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                exchange.output.push(encode(&mut data)?);
                true
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                true
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => false,
            Ok(_) => return Err(Error::HandshakeNotComplete),
            Err(error) => {
                failure = Some(error);
                false
            }
        };
        let discard = discard.min(exchange.seen);
        exchange.input.drain(..discard);
        exchange.seen -= discard;
        match failure {
            None if more => {}
            None => return Ok(()),
            // There is only the alert left that tells the peer why.
            Some(_) if connection.state().wants_write() => {}
            Some(error) => return Err(error),
        }
    }
}

fn too_long() -> Error {
    Error::General("a message too long for a handshake".into())
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>) -> Result<Vec<u8>, Error> {
    let mut record = Vec::new();
    loop {
        match data.encode(&mut record) {
            Ok(length) => {
                record.truncate(length);
                return Ok(record);
            }
            Err(EncodeError::InsufficientSize(size)) if size.required_size > record.len() => {
                record.resize(size.required_size, 0);
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}
