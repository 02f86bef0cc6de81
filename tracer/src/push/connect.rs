//! One connection to a collector: TLS with this host's certificate, and requests one after the other.
//!
//! Who answers is proven by a certificate of the collector's authority for a name that they all have, so it does not matter by
//! which name it was found.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use change::wire::{COLLECTOR_NAME, Problem};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::{Error, Identity};

/// How long connecting to one address may take, with TLS.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWERING: Duration = Duration::from_mins(1);
/// No answer is longer.
const MOST_ANSWER_BYTES: usize = 1 << 20;

/// An open connection.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    host: String,
}

/// How to speak TLS as this host.
pub(super) fn tls(identity: &Identity) -> Result<ClientConfig, Error> {
    let pem = |error: rustls::pki_types::pem::Error| Error::Tls(format!("read identity: {error}"));
    let tls = |error: rustls::Error| Error::Tls(error.to_string());
    let given = &identity.given;
    let certificate = CertificateDer::from_pem_slice(given.certificate.as_bytes()).map_err(pem)?;
    let authority = CertificateDer::from_pem_slice(given.authority.as_bytes()).map_err(pem)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(pem)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(tls)?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(tls)
}

impl Connection {
    /// Connects to the first address that answers.
    pub(super) async fn open(url: &str, tls: ClientConfig) -> Result<Self, Error> {
        let address = Address::parse(url).map_err(Error::Url)?;
        let host = format!("{}:{}", address.host, address.port);
        let found = tokio::task::spawn_blocking(move || address.resolve());
        let found = found.await.map_err(|_panic| Error::Interrupted)??;
        let connector = TlsConnector::from(Arc::new(tls));
        let mut last = None;
        for address in found {
            let opened = tokio::time::timeout(CONNECTING, open(address, &connector));
            match opened.await {
                Ok(Ok(requests)) => return Ok(Self { requests, host }),
                Ok(Err(error)) => last = Some(error),
                Err(_elapsed) => last = Some(Error::Silent(CONNECTING)),
            }
        }
        Err(last.unwrap_or(Error::Silent(CONNECTING)))
    }

    /// Asks, and reads a JSON answer.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, target: &str) -> Result<T, Error> {
        self.send(Method::GET, target, ("", Bytes::new())).await
    }

    /// Sends JSON, and reads a JSON answer.
    pub(super) async fn tell<T: DeserializeOwned>(
        &mut self,
        target: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Answer(error.to_string()))?;
        let body = ("application/json", body.into());
        self.send(Method::POST, target, body).await
    }

    /// Sends a frame, and reads a JSON answer.
    pub(super) async fn push<T: DeserializeOwned>(
        &mut self,
        target: &str,
        frame: Vec<u8>,
    ) -> Result<T, Error> {
        let body = ("application/octet-stream", frame.into());
        self.send(Method::POST, target, body).await
    }

    async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &str,
        (content_type, body): (&str, Bytes),
    ) -> Result<T, Error> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .map_err(|error| Error::Answer(error.to_string()))?;
        let answered = tokio::time::timeout(ANSWERING, async {
            self.requests
                .ready()
                .await
                .map_err(|error| broken(&error))?;
            let response = self.requests.send_request(request).await;
            read(response.map_err(|error| broken(&error))?).await
        });
        answered
            .await
            .map_err(|_elapsed| Error::Silent(ANSWERING))?
    }
}

async fn open(
    address: SocketAddr,
    connector: &TlsConnector,
) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|source| Error::Connect { address, source })?;
    // Small requests wait for their answers.
    drop(stream.set_nodelay(true));
    let name = ServerName::try_from(COLLECTOR_NAME).expect("it is a name as DNS has them");
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| Error::Tls(error.to_string()))?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("the connection to the collector ended: {error}");
        }
    });
    Ok(requests)
}

async fn read<T: DeserializeOwned>(response: Response<hyper::body::Incoming>) -> Result<T, Error> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| Error::Answer(error.to_string()))?;
    let body = body.to_bytes();
    if head.status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Error::Answer(error.to_string()));
    }
    let header = head.headers.get(RETRY_AFTER);
    let seconds = header.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_no_problem| Problem {
        kind: String::new(),
        status: head.status.as_u16(),
        title: head.status.to_string(),
        detail: format!("it answers {}, as no collector does", head.status),
    });
    Err(Error::Refused {
        problem,
        retry_after: seconds.map(Duration::from_secs),
    })
}

/// The whole of what went wrong: the outermost error says only where.
fn broken(error: &hyper::Error) -> Error {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    Error::Broken(words)
}
