//! The collector's own certificate authority: made when it is first needed, kept in one file that only its
//! owner can read, and trusted by the hosts that it enrolled for nothing but this collector.

mod shown;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use change::Timestamp;
use change::wire::{COLLECTOR_NAME, ChainHead, Countersigned, hex};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SigningKey as _,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub use self::shown::Shown;

/// The file with key and certificate.
const FILE: &str = "authority.pem";

/// So long the authority holds; after that every host is enrolled anew.
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(20 * 365 * 24);
/// So long the collector's own certificate holds, whose key is in memory only and made at each start.
const OWN_LIFETIME: Duration = Duration::from_hours(5 * 365 * 24);
/// Certificates hold since so long before they are made: clocks differ.
const BACKDATED: Duration = Duration::from_hours(24);

/// Says why the authority cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file cannot be read or written.
    #[error("{doing} `{path}`: {source}", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// Its file holds something else.
    #[error(
        "read authority `{path}`: {what}; put it back from a backup, or move it away and enrol every host anew",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What a host sent is no request for a certificate.
    #[error("read request for a certificate: {0}")]
    Request(rcgen::Error),
    /// A certificate cannot be made.
    #[error("make certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificates cannot be used for TLS.
    #[error("set up TLS: {0}")]
    Tls(String),
}

/// A certificate that was made for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// PEM.
    pub pem: String,
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// From when it holds, but for what it is backdated.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

/// Makes certificates, and signs heads of logs.
pub struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Opens the authority in a state directory; makes it where there is none.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, Error> {
        let path = state_dir.join(FILE);
        match read(&path) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let made = make(now)?;
                write_new(&path, &made).map_err(|source| Error::File {
                    doing: "write authority",
                    path: path.clone(),
                    source,
                })?;
                // Another process may have been quicker: its authority holds.
                read(&path)
            }
            read => read,
        }
    }

    /// Opens the authority in a state directory; none where there is none.
    pub fn find(state_dir: &Path) -> Result<Option<Self>, Error> {
        match read(&state_dir.join(FILE)) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Puts an authority into a state directory that has none, from what its file held.
    pub fn restore(state_dir: &Path, text: &str) -> Result<Self, Error> {
        let path = state_dir.join(FILE);
        write_new(&path, text).map_err(|source| Error::File {
            doing: "write authority",
            path: path.clone(),
            source,
        })?;
        read(&path)
    }

    /// SHA-256 of its certificate, by which hosts know it.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Until when it holds.
    pub fn expires(&self) -> Option<Timestamp> {
        Shown::read(&self.certificate).map(|own| own.expires)
    }

    /// The public key by which it countersigns, a point on P-256 in hex digits.
    pub fn countersigns_by(&self) -> String {
        hex(self.issuer.key().public_key_raw())
    }

    /// How the collector speaks TLS with hosts: proves its name by a fresh certificate, and takes certificates of
    /// hosts that this authority made. Who has none may only enrol.
    pub fn server(&self, now: Timestamp) -> Result<ServerConfig, Error> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .map_err(|error| tls(&error))?;
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| tls(&error))?;
        let (chain, key) = self.own_certificate(now)?;
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| tls(&error))
    }

    /// How the collector speaks TLS with viewers: proves its name in the same way, and asks for no certificate.
    pub fn viewers(&self, now: Timestamp) -> Result<ServerConfig, Error> {
        let (chain, key) = self.own_certificate(now)?;
        without_client_certificates(chain, key)
    }

    /// A fresh certificate of the collector's, up to the authority, and its key.
    fn own_certificate(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([COLLECTOR_NAME.to_owned()])?;
        params.distinguished_name = named(COLLECTOR_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        hold(&mut params, now, OWN_LIFETIME);
        let own = params.signed_by(&key, &self.issuer)?;
        let chain = vec![own.der().clone(), self.certificate.clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((chain, key.into()))
    }

    /// Makes a certificate for a host. Of its request only the key counts, which it proves to have.
    pub fn issue(
        &self,
        request: &str,
        host: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let request = CertificateSigningRequestParams::from_pem(request).map_err(Error::Request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        hold(&mut params, now, lifetime);
        let made = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued {
            pem: made.pem(),
            fingerprint: fingerprint(made.der()),
            issued: now,
            expires: now.plus_nanos(nanos(lifetime)),
        })
    }

    /// Signs where a log's hash chain is.
    pub fn countersign(
        &self,
        (host, log): (&str, &str),
        chain: ChainHead,
        time: Timestamp,
    ) -> Result<Countersigned, Error> {
        let mut head = Countersigned {
            host: host.to_owned(),
            log: log.to_owned(),
            chain,
            time,
            signature: String::new(),
        };
        head.signature = hex(&self.issuer.key().sign(&head.message())?);
        Ok(head)
    }
}

/// The file with key and certificate in a state directory.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// How to speak TLS with viewers by a certificate that somebody else made: a file with its chain and its key in PEM.
pub fn viewers_by(file: &Path) -> Result<ServerConfig, Error> {
    let text = fs::read(file).map_err(|source| Error::File {
        doing: "read certificate",
        path: file.to_owned(),
        source,
    })?;
    let in_file = |what: &dyn std::fmt::Display| tls(&format!("`{}`: {what}", file.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| in_file(&error))?;
    if chain.is_empty() {
        return Err(in_file(&"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| in_file(&error))?;
    without_client_certificates(chain, key)
}

fn without_client_certificates(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| tls(&error))
}

fn tls(error: &dyn std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

fn make(now: Timestamp) -> Result<String, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("tracer-collector authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    hold(&mut params, now, AUTHORITY_LIFETIME);
    let certificate = params.self_signed(&key)?;
    Ok(key.serialize_pem() + &certificate.pem())
}

fn read(path: &Path) -> Result<Authority, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::File {
        doing: "read authority",
        path: path.to_owned(),
        source,
    })?;
    let damaged = |error: &dyn std::fmt::Display| Error::Damaged {
        path: path.to_owned(),
        what: error.to_string(),
    };
    let key = KeyPair::from_pem(&text).map_err(|error| damaged(&error))?;
    let certificate =
        CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| damaged(&error))?;
    if shown::public_key(&certificate).as_deref() != Some(key.public_key_raw()) {
        return Err(damaged(&"its key is not that of its certificate"));
    }
    let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| damaged(&error))?;
    let begin = text.find("-----BEGIN CERTIFICATE-----");
    let pem = begin
        .and_then(|begin| text.get(begin..))
        .unwrap_or_default();
    Ok(Authority {
        pem: pem.to_owned(),
        certificate,
        issuer,
    })
}

/// Writes a file as a whole, for its owner's eyes, unless there is one.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&draft, path));
    drop(fs::remove_file(&draft));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => written?,
    }
    File::open(folder)?.sync_all()
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn hold(params: &mut CertificateParams, from: Timestamp, lifetime: Duration) {
    params.not_before = date(from.plus_nanos(-nanos(BACKDATED)));
    params.not_after = date(from.plus_nanos(nanos(lifetime)));
}

fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_nanos() / 1_000_000_000)
        .expect("the time of a clock in nanoseconds since 1970 ends in 2262")
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
