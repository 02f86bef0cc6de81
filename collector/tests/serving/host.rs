//! A host as the collector meets it: what it sends, and how it speaks.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use change::wire::{Batch, COLLECTOR_NAME, ChainHead, EnrolledBody, Sender, hex};
use change::{Certainty, Change, FactValue, Kind, Op, Subject, Text, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) const MACHINE: &str = "5f3c";

/// What a host has after it was enrolled.
pub(crate) struct Host {
    pub(crate) key: String,
    pub(crate) given: EnrolledBody,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_nanos(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap())
}

pub(crate) fn tls(authority: &str, host: Option<&Host>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match host {
        None => builder.with_no_client_auth(),
        Some(Host { key, given }) => {
            let certificate = CertificateDer::from_pem_slice(given.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    }
}

pub(crate) fn request(key: &KeyPair) -> String {
    let params = CertificateParams::new(Vec::new()).unwrap();
    params.serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn change(seq: u64) -> Change {
    Change {
        host: MACHINE.to_owned(),
        hostname: "host".to_owned(),
        seq,
        time: Timestamp::from_nanos(i64::try_from(seq).unwrap()),
        subject: Subject {
            kind: Kind::Sysctl,
            key: Text::from("vm.swappiness"),
        },
        op: Op::Set,
        from: None,
        before: None,
        after: Some(FactValue::Setting {
            value: seq.to_string(),
        }),
        certainty: Certainty::Exact,
        between: None,
        run: None,
        operations: 1,
        notes: Vec::new(),
        package: None,
        actor: None,
    }
}

pub(crate) fn head(seq: u64, branch: &str) -> Option<ChainHead> {
    let hash = hex(&Sha256::digest(format!("{branch}{seq}")));
    (seq > 0).then_some(ChainHead { seq, hash })
}

/// The changes from one number to another, of a log that has only one past.
pub(crate) fn batch(from: u64, to: u64) -> Batch {
    Batch {
        sender: Sender {
            machine: MACHINE.to_owned(),
            hostname: "host".to_owned(),
            tracer: "0".to_owned(),
            log: "log".to_owned(),
            ..Sender::default()
        },
        sent: now(),
        first_seq: from,
        newest_seq: to,
        before: head(from - 1, ""),
        chain: head(to, ""),
        changes: (from..=to).map(change).collect(),
        ..Batch::default()
    }
}

/// Asks a collector, whose authority is given in PEM.
pub(crate) async fn exchange(
    collector: (SocketAddr, &str),
    host: Option<&Host>,
    (method, target): (&str, &str),
    body: &[u8],
) -> Result<(u16, Value), Error> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = send(collector, host, head.as_bytes(), body).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let body = serde_json::from_str(body).unwrap_or(Value::String(body.to_owned()));
    Ok((status.ok_or(ErrorKind::UnexpectedEof)?, body))
}

/// Sends any bytes, and reads what comes until the end.
pub(crate) async fn send(
    (address, authority): (SocketAddr, &str),
    host: Option<&Host>,
    head: &[u8],
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let name = ServerName::try_from(COLLECTOR_NAME).unwrap();
    let connector = TlsConnector::from(Arc::new(tls(authority, host)));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(head).await?;
    // Who is refused at once may find the rest of its body unwanted.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    Ok(answer)
}
