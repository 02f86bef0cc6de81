//! Getting a certificate: the first by a token, the next by the one before.

use std::sync::Arc;

use change::wire::{ENROL, EnrolBody, EnrolledBody, RENEW, RenewBody, Token};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use super::connect::Connection;
use super::{Error, Identity};
use crate::random;

/// Names a host that is to be enrolled.
#[derive(Clone, Debug)]
pub(crate) struct Applicant {
    /// The machine id.
    pub(crate) machine: String,
    /// The host's name.
    pub(crate) hostname: String,
}

/// Enrols this host: talks to nobody but the collector that the token names.
pub(crate) async fn enrol(
    url: &str,
    token: &Token,
    applicant: Applicant,
) -> Result<Identity, Error> {
    let (key, request) = request()?;
    let mut connection = Connection::open(url, pinned(token.authority)?).await?;
    let Applicant { machine, hostname } = applicant;
    let body = EnrolBody {
        token: token.to_string(),
        machine,
        hostname,
        request,
    };
    let given: EnrolledBody = connection.tell(ENROL, &body).await?;
    Ok(Identity {
        url: url.to_owned(),
        enrolment: random::name(),
        key,
        given,
    })
}

/// Gets the next certificate, for a key of its own.
pub(super) async fn renew(
    connection: &mut Connection,
    identity: &Identity,
) -> Result<Identity, Error> {
    let (key, request) = request()?;
    let given: EnrolledBody = connection.tell(RENEW, &RenewBody { request }).await?;
    if given.host != identity.given.host || given.authority != identity.given.authority {
        return Err(Error::Answer(
            "it gives a certificate of another host, or of another authority".to_owned(),
        ));
    }
    Ok(Identity {
        key,
        given,
        ..identity.clone()
    })
}

/// A new key and the request for its certificate, PEM. What else is in the certificate the collector decides.
fn request() -> Result<(String, String), Error> {
    let make = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::new(Vec::new())?.serialize_request(&key)?;
        Ok((key.serialize_pem(), request.pem()?))
    };
    make().map_err(|error| Error::Tls(format!("make a key: {error}")))
}

fn pinned(authority: [u8; 32]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinnedAuthority {
        authority,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Takes for the collector whoever has a certificate of the one authority with this fingerprint, which the
/// collector shows beside its own.
#[derive(Debug)]
struct PinnedAuthority {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned =
            |shown: &&CertificateDer<'_>| Sha256::digest(shown).as_slice() == self.authority;
        let Some(authority) = intermediates.iter().find(is_pinned) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
