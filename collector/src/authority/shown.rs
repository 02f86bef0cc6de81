//! What a certificate says, where somebody shows it.

use change::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{BACKDATED, fingerprint, nanos};

/// A certificate that a host showed. TLS has proved that the authority made it, and that the host has its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// Whose it is.
    pub name: String,
    /// From when it holds, but for what it is backdated; in seconds.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

impl Shown {
    /// Reads a certificate; none where it is not like those that the authority makes.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(certificate).ok()?;
        let name = read.subject().iter_common_name().next()?.as_str().ok()?;
        let validity = read.validity();
        let at = |time: x509_parser::time::ASN1Time| Timestamp::from_parts(time.timestamp(), 0);
        Some(Self {
            fingerprint: fingerprint(certificate),
            name: name.to_owned(),
            issued: at(validity.not_before).plus_nanos(nanos(BACKDATED)),
            expires: at(validity.not_after),
        })
    }
}

/// The public key that a certificate is about.
pub(super) fn public_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.public_key().subject_public_key.data.to_vec())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::pem::PemObject as _;

    use super::super::Authority;
    use super::*;

    #[test]
    fn a_certificate_says_what_the_authority_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_parts(1_795_000_000, 0);
        let authority = Authority::open(dir.path(), now).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let request = params.serialize_request(&key).unwrap().pem().unwrap();
        let issued = authority.issue(&request, "5f3c", Duration::from_hours(1), now);
        let issued = issued.unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let shown = Shown::read(&der).unwrap();
        let expected = Shown {
            fingerprint: issued.fingerprint,
            name: "5f3c".to_owned(),
            issued: now,
            expires: issued.expires,
        };
        assert_eq!(shown, expected);
        assert_eq!(public_key(&der).unwrap(), key.public_key_raw());
        assert_eq!(Shown::read(&CertificateDer::from(vec![0x30, 3, 2])), None);
    }
}
