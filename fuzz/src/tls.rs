// SPDX-License-Identifier: MPL-2.0
//! A TLS peer of the library's: rustls makes its handshake, and then its keys seal whatever records
//! it is told to, also such as no TLS library sends.

#![forbid(unsafe_code)]

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::crypto::ring::{self, cipher_suite};
use rustls::kernel::KernelConnection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, UnbufferedConnectionCommon, UnbufferedStatus};
use rustls::{
    CommonState, ConnectionTrafficSecrets, ContentType, DigitallySignedStruct, ExtractedSecrets,
    ProtocolVersion, SignatureScheme, SupportedCipherSuite,
};
use std::sync::Arc;

/// A key and its certificate, issued by itself for localhost, until 2120. Nobody else trusts it.
pub const IDENTITY: &[u8] = include_bytes!("localhost.pem");

pub const HEADER: usize = 5;
/// The most data in a record.
pub const RECORD: usize = 16 * 1024;

const DATA: u8 = 23;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;

const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// A handshake under way.
pub enum Negotiation {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

impl Negotiation {
    /// A peer with the one suite of this number.
    pub fn new(server: bool, suite: usize) -> Negotiation {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![SUITES[suite % SUITES.len()]],
            ..ring::default_provider()
        });
        let versions = rustls::ALL_VERSIONS;
        if server {
            let chain = vec![CertificateDer::from_pem_slice(IDENTITY).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(IDENTITY).expect("a key");
            let mut config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .expect("a version")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("a certificate");
            config.enable_secret_extraction = true;
            let connection = UnbufferedServerConnection::new(Arc::new(config));
            Negotiation::Server(connection.expect("a connection"))
        } else {
            let mut config = rustls::ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .expect("a version")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Trusting))
                .with_no_client_auth();
            config.enable_secret_extraction = true;
            let name = ServerName::try_from("localhost").expect("a name");
            let connection = UnbufferedClientConnection::new(Arc::new(config), name);
            Negotiation::Client(connection.expect("a connection"))
        }
    }

    /// Takes what has come and says what is next; true when the handshake is complete. A server
    /// takes and sends `early` ahead of the client's last message, if it may.
    pub fn step(
        &mut self,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
        early: &mut &[u8],
    ) -> Result<bool, rustls::Error> {
        match self {
            Negotiation::Client(connection) => step(&mut **connection, input, output, early),
            Negotiation::Server(connection) => step(&mut **connection, input, output, early),
        }
    }

    pub fn finish(self, input: Vec<u8>) -> Peer {
        let (secrets, keys) = match self {
            Negotiation::Client(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection().expect("keys");
                (secrets, Keys::Client(keys))
            }
            Negotiation::Server(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection().expect("keys");
                (secrets, Keys::Server(keys))
            }
        };
        Peer::new(secrets, keys, input)
    }
}

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

fn step<C: Records>(
    connection: &mut C,
    input: &mut Vec<u8>,
    output: &mut Vec<u8>,
    early: &mut &[u8],
) -> Result<bool, rustls::Error> {
    loop {
        let handshaking = connection.state().is_handshaking();
        let UnbufferedStatus { discard, state } = connection.process(input);
        let more = match state? {
            ConnectionState::EncodeTlsData(mut data) => {
                let mut record = vec![0; 20_000];
                let length = data.encode(&mut record).expect("room");
                output.extend_from_slice(&record[..length]);
                true
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                true
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                if handshaking && !early.is_empty() {
                    let early = std::mem::take(early);
                    let mut record = vec![0; early.len() + 100];
                    let length = traffic.encrypt(early, &mut record).expect("room");
                    output.extend_from_slice(&record[..length]);
                }
                false
            }
            _ => false,
        };
        input.drain(..discard);
        if !more {
            return Ok(!connection.state().is_handshaking());
        }
    }
}

enum Keys {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// The peer once the handshake is complete.
pub struct Peer {
    keys: Keys,
    suite: SupportedCipherSuite,
    encrypter: Box<dyn MessageEncrypter>,
    sealed: u64,
    decrypter: Box<dyn MessageDecrypter>,
    opened: u64,
    inbound: Vec<u8>,
    /// What the library has sent: data, new keys, alerts.
    pub data: Vec<u8>,
    pub key_updates: usize,
    pub alerts: Vec<[u8; 2]>,
}

impl Peer {
    fn new(secrets: ExtractedSecrets, keys: Keys, inbound: Vec<u8>) -> Peer {
        let suite = match &keys {
            Keys::Client(keys) => keys.negotiated_cipher_suite(),
            Keys::Server(keys) => keys.negotiated_cipher_suite(),
        };
        Peer {
            keys,
            suite,
            encrypter: encrypter(suite, secrets.tx.1),
            sealed: secrets.tx.0,
            decrypter: decrypter(suite, secrets.rx.1),
            opened: secrets.rx.0,
            inbound,
            data: Vec::new(),
            key_updates: 0,
            alerts: Vec::new(),
        }
    }

    pub fn is_tls13(&self) -> bool {
        matches!(self.suite, SupportedCipherSuite::Tls13(_))
    }

    pub fn is_server(&self) -> bool {
        matches!(self.keys, Keys::Server(_))
    }

    /// A record. With TLS 1.3 `padding` zeros are behind its content.
    pub fn seal(&mut self, typ: u8, version: u16, content: &[u8], padding: usize) -> Vec<u8> {
        let zeros = vec![0; padding];
        let behind = [typ];
        let (typ, chunks): (u8, &[&[u8]]) = match self.is_tls13() && padding > 0 {
            // The cipher puts the last of them there.
            true => (0, &[content, &behind, &zeros[1..]]),
            false => (typ, &[content]),
        };
        let plain = OutboundPlainMessage {
            typ: ContentType::from(typ),
            version: ProtocolVersion::from(version),
            payload: OutboundChunks::new(chunks),
        };
        let record = self.encrypter.encrypt(plain, self.sealed).expect("a record");
        self.sealed += 1;
        record.encode()
    }

    /// Takes a new key for what is sent; TLS 1.3.
    pub fn take_key(&mut self) {
        let (sealed, secrets) = match &mut self.keys {
            Keys::Client(keys) => keys.update_tx_secret(),
            Keys::Server(keys) => keys.update_tx_secret(),
        }
        .expect("a key");
        (self.sealed, self.encrypter) = (sealed, encrypter(self.suite, secrets));
    }

    /// Whether the library has said its last word.
    pub fn is_told(&self) -> bool {
        self.alerts.iter().any(|[level, description]| *level == 2 || *description == 0)
    }

    /// Opens what the library has sent, which has to be in order.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.inbound.extend_from_slice(bytes);
        let mut inbound = std::mem::take(&mut self.inbound);
        let mut rest = &mut inbound[..];
        while let Some(&[typ, major, minor, a, b]) = rest.first_chunk::<HEADER>() {
            let length = HEADER + usize::from(u16::from_be_bytes([a, b]));
            if rest.len() < length {
                break;
            }
            assert!(!self.is_told(), "a record behind the last");
            let (record, later) = std::mem::take(&mut rest).split_at_mut(length);
            rest = later;
            let message = InboundOpaqueMessage::new(
                ContentType::from(typ),
                ProtocolVersion::from(u16::from_be_bytes([major, minor])),
                &mut record[HEADER..],
            );
            let plain = self.decrypter.decrypt(message, self.opened).expect("a good record");
            self.opened += 1;
            let (typ, content) = (u8::from(plain.typ), plain.payload.to_vec());
            self.take(typ, &content);
        }
        self.inbound = rest.to_vec();
    }

    fn take(&mut self, typ: u8, content: &[u8]) {
        match (typ, content) {
            (DATA, data) => self.data.extend_from_slice(data),
            (ALERT, &[level, description]) => self.alerts.push([level, description]),
            (HANDSHAKE, [24, 0, 0, 1, 0]) => {
                self.key_updates += 1;
                let (opened, secrets) = match &mut self.keys {
                    Keys::Client(keys) => keys.update_rx_secret(),
                    Keys::Server(keys) => keys.update_rx_secret(),
                }
                .expect("a key");
                (self.opened, self.decrypter) = (opened, decrypter(self.suite, secrets));
            }
            // Session tickets.
            (HANDSHAKE, [4, ..]) if !self.is_server() => {}
            _ => panic!("type {typ}: {content:?}"),
        }
    }
}

fn encrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Box<dyn MessageEncrypter> {
    let (key, iv) = key_and_iv(secrets);
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let fixed = suite.aead_alg.key_block_shape().fixed_iv_len;
            let (fixed, explicit) = iv.as_ref().split_at(fixed);
            suite.aead_alg.encrypter(key, fixed, explicit)
        }
    }
}

fn decrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Box<dyn MessageDecrypter> {
    let (key, iv) = key_and_iv(secrets);
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let fixed = suite.aead_alg.key_block_shape().fixed_iv_len;
            suite.aead_alg.decrypter(key, &iv.as_ref()[..fixed])
        }
    }
}

fn key_and_iv(
    secrets: ConnectionTrafficSecrets,
) -> (rustls::crypto::cipher::AeadKey, rustls::crypto::cipher::Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("another cipher"),
    }
}

/// Takes anybody for the server: whom the library trusts is none of this peer's business.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
