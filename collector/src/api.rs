//! The HTTP API for hosts: route table and state. One file a resource; errors are `api/error.rs`.

mod batches;
mod enrol;
mod error;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use change::wire::{ACKNOWLEDGED, BATCHES, ENROL, MISSING, MOST_FRAME_BYTES, RENEW};
pub use error::Error;

use crate::admission::Admission;
use crate::authority::{Authority, Shown};
use crate::clock::now;
use crate::metrics::Metrics;
use crate::store::{self, Certificate, Credential, Enrolment, KnownReader, Member, Store};

/// A request that is no batch is no longer than this.
const MOST_BODY_BYTES: usize = 128 << 10;

/// What the handlers work with.
#[derive(Clone)]
pub struct ApiState {
    /// Makes certificates, and countersigns.
    pub authority: Arc<Authority>,
    /// Takes batches.
    pub store: Arc<Store>,
    /// Who may send.
    pub enrolment: Arc<Mutex<Enrolment>>,
    /// What is here.
    pub known: Arc<Mutex<KnownReader>>,
    /// Whose batch is worked on next.
    pub admission: Admission,
    /// How long certificates of hosts hold.
    pub certificate_lifetime: Duration,
    /// Counts what is taken and refused.
    pub metrics: Arc<Metrics>,
}

/// The certificate with which a connection was made, if it was with one.
#[derive(Clone, Debug)]
pub struct Peer(pub Option<Arc<Shown>>);

/// All routes.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route(ENROL, post(enrol::enrol))
        .route(RENEW, post(enrol::renew))
        .route(MISSING, post(batches::missing))
        .route(ACKNOWLEDGED, get(batches::acknowledged))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .merge(
            Router::new()
                .route(BATCHES, post(batches::take))
                .layer(DefaultBodyLimit::max(MOST_FRAME_BYTES)),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state)
}

impl ApiState {
    /// The host that a connection is of. Asked at each request, as a host may be revoked meanwhile.
    async fn member(&self, Peer(shown): Peer) -> Result<Member, Error> {
        let shown = shown.ok_or(Error::NoCertificate)?;
        let credential = self.enrolment(move |enrolment| credential(enrolment, &shown));
        match credential.await? {
            Credential::Good(member) => Ok(member),
            Credential::Revoked => Err(Error::Revoked),
            Credential::Unknown => Err(Error::UnknownCertificate),
        }
    }

    /// Asks or tells the store who is enrolled, on a thread that may block.
    async fn enrolment<T, E>(
        &self,
        ask: impl FnOnce(&mut Enrolment) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Send + 'static,
        Error: From<E>,
    {
        let enrolment = Arc::clone(&self.enrolment);
        Ok(blocking(move || {
            let mut enrolment = enrolment.lock().unwrap_or_else(PoisonError::into_inner);
            ask(&mut enrolment)
        })
        .await??)
    }

    /// Asks the store what is here, likewise.
    async fn known<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&KnownReader) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let known = Arc::clone(&self.known);
        Ok(blocking(move || {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            ask(&known)
        })
        .await??)
    }
}

/// What a certificate is worth. One that is not known may have been made after the copy was taken from which the store
/// was put back.
fn credential(enrolment: &mut Enrolment, shown: &Shown) -> Result<Credential, store::Error> {
    let Shown {
        fingerprint,
        name,
        issued,
        expires,
    } = shown;
    let known = enrolment.credential(fingerprint, now())?;
    if known != Credential::Unknown {
        return Ok(known);
    }
    let certificate = Certificate {
        fingerprint: *fingerprint,
        issued: *issued,
        expires: *expires,
    };
    if !enrolment.adopt(name, certificate)? {
        return Ok(Credential::Unknown);
    }
    tracing::info!(host = %name, "took in a certificate that was made before the store was put back");
    enrolment.credential(fingerprint, now())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
