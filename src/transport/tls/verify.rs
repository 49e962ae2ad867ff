// SPDX-License-Identifier: MPL-2.0
//! Whom to trust: chains that lead to a trust anchor, and the anchors themselves.
//!
//! webpki takes an anchor for an issuer only. Users of `ZMQ_WSS_TRUST_PEM` also give the peer's own
//! certificate, as `openssl req -x509` makes it: marked as an issuer's and issued by itself, often
//! with no name but the common name. So a certificate that is byte by byte one of the anchors is
//! trusted, too. Its dates are looked at all the same, and so is its name, where the common name
//! counts if there is no other; with chains it never does (RFC 6125, 6.4.4).

#![forbid(unsafe_code)]

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
};

use super::config::certificates;
use crate::errno::{Error, Result};
use crate::options::Options;

/// The trust anchors.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    /// Those of `ZMQ_WSS_TRUST_PEM`.
    given: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The anchors that the options name; `None` if they name none.
    ///
    /// # Errors
    /// INVAL for PEM that holds no certificate or anything that is none, and for a system without
    /// trust anchors.
    pub(super) fn new(options: &Options) -> Result<Option<Trust>> {
        let mut roots = RootCertStore::empty();
        let mut given = Vec::new();
        if !options.wss_trust_pem.is_empty() {
            given = certificates(&options.wss_trust_pem)?;
            for certificate in &given {
                roots.add(certificate.clone()).map_err(|_| Error::INVAL)?;
            }
        }
        if options.wss_trust_system {
            // One that cannot be read does not spoil the others.
            let system = rustls_native_certs::load_native_certs().certs;
            roots.add_parsable_certificates(system);
            if roots.is_empty() {
                return Err(Error::INVAL);
            }
        }
        Ok((!roots.is_empty()).then(|| Trust { roots: Arc::new(roots), given }))
    }

    /// Whether webpki's refusal is only about this certificate not being one that an anchor issued.
    /// Its dates have been checked before that.
    fn is_anchor(&self, certificate: &CertificateDer<'_>, refusal: &rustls::Error) -> bool {
        let rustls::Error::InvalidCertificate(refusal) = refusal else { return false };
        let about_issuer = match refusal {
            CertificateError::UnknownIssuer => true,
            CertificateError::Other(OtherError(error)) => {
                matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
            }
            _ => false,
        };
        about_issuer && self.given.iter().any(|anchor| anchor == certificate)
    }
}

/// Verifies servers.
#[derive(Debug)]
pub(super) struct Servers {
    trust: Trust,
    chains: Arc<WebPkiServerVerifier>,
}

impl Servers {
    pub(super) fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Servers> {
        let chains =
            WebPkiServerVerifier::builder_with_provider(trust.roots.clone(), provider).build();
        Ok(Servers { trust, chains: chains.map_err(|_| Error::INVAL)? })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.chains.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(refusal) if self.trust.is_anchor(certificate, &refusal) => {
                verify_name(certificate, name).map(|()| ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Verifies clients.
#[derive(Debug)]
pub(super) struct Clients {
    trust: Trust,
    chains: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    pub(super) fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Clients> {
        let chains =
            WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), provider).build();
        Ok(Clients { trust, chains: chains.map_err(|_| Error::INVAL)? })
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        match self.chains.verify_client_cert(certificate, intermediates, now) {
            Err(refusal) if self.trust.is_anchor(certificate, &refusal) => {
                Ok(ClientCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Whether an anchor bears this name.
fn verify_name(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> std::result::Result<(), rustls::Error> {
    let refusal = match verify_server_name(&ParsedCertificate::try_from(certificate)?, name) {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    let nameless = match &refusal {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName) => false,
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        }) => presented.is_empty(),
        _ => false,
    };
    let wanted = name.to_str();
    let common = || {
        let anchor = webpki::anchor_from_trusted_cert(certificate).ok()?;
        common_name(&anchor.subject).map(<[u8]>::to_vec)
    };
    if nameless && common().is_some_and(|common| common.eq_ignore_ascii_case(wanted.as_bytes())) {
        return Ok(());
    }
    Err(refusal)
}

/// The common name in the contents of an X.501 Name: sets of sequences of type and value.
fn common_name(mut subject: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    while !subject.is_empty() {
        let (SET, mut set, rest) = der_element(subject)? else { return None };
        while !set.is_empty() {
            let (SEQUENCE, attribute, others) = der_element(set)? else { return None };
            let (OBJECT_IDENTIFIER, attribute_type, value) = der_element(attribute)? else {
                return None;
            };
            if attribute_type == COMMON_NAME {
                return der_element(value).map(|(_, value, _)| value);
            }
            set = others;
        }
        subject = rest;
    }
    None
}

/// The tag and the contents of the first element, and what follows it.
fn der_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).map(|(contents, rest)| (tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names() {
        let country = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02XX";
        let name = b"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03a.b";
        assert_eq!(common_name(&[&country[..], name].concat()), Some(&b"a.b"[..]));
        assert_eq!(common_name(country), None);
        assert_eq!(common_name(b""), None);
        for length in 0..name.len() {
            assert_eq!(common_name(&name[..length]), None, "{length}");
        }
        assert_eq!(der_element(b"\x04\x81\x01ab"), Some((4, &b"a"[..], &b"b"[..])));
        assert_eq!(der_element(b"\x04\x82\x00\x01ab"), Some((4, &b"a"[..], &b"b"[..])));
        assert_eq!(der_element(b"\x04\x83\x00\x00\x01ab"), None);
    }
}
