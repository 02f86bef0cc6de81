//! The HTTP API for people and dashboards: the questions of the command line, asked with a token, and `/metrics`.
//!
//! Nothing here can write: the store is opened to read only. Hosts have a listener of their own, `serve.rs`.

mod access;
mod compare;
mod drift;
mod error;
mod explain;
mod hosts;
mod listen;
mod log;
mod openapi;
mod outliers;
mod params;
mod question;
mod runs;
mod scope;
mod secret;
mod suspects;
mod timeline;
mod turns;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use change::Timestamp;

use self::access::Access;
pub use self::error::Error;
pub use self::listen::{Server, Wire};
pub use self::openapi::document;
use self::params::Params;
use self::question::{Asked, QUESTIONS, Question};
pub use self::secret::Secret;
use self::turns::Turns;
use crate::clock::now;
use crate::metrics::{CONTENT_TYPE, FleetNow, Metrics};
use crate::questions::Roster;
use crate::store::{self, EnrolledHost, Location, Reader, Scope, ViewTokenReader};

/// An answer is made within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Hosts that have not reported for so long are stale, unless the viewer says otherwise.
const STALE_NS: i64 = 15 * 60 * 1_000_000_000;

/// What the handlers work with.
#[derive(Clone)]
pub struct ViewState {
    location: Location,
    access: Access,
    turns: Turns,
    metrics: Arc<Metrics>,
}

impl ViewState {
    /// Opens the store to read, which a collector has made.
    pub fn open(location: &Location, metrics: Arc<Metrics>) -> Result<Self, store::Error> {
        let tokens = ViewTokenReader::open(location)?;
        Ok(Self {
            location: location.clone(),
            access: Access::new(Arc::new(Mutex::new(tokens))),
            turns: Turns::default(),
            metrics,
        })
    }
}

/// All routes.
pub fn router(state: ViewState) -> Router {
    let mut router = Router::new();
    for question in &QUESTIONS {
        let answer = async move |state: State<ViewState>, headers: HeaderMap, query: RawQuery| {
            answer(state.0, question, headers, query.0).await
        };
        router = router.route(&question.path(), get(answer));
    }
    router
        .route("/v1/openapi.json", get(description))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(map_response(mark_private))
        .with_state(state)
}

/// What a viewer was told is for nobody else, and is what it says it is.
async fn mark_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

async fn answer(
    state: ViewState,
    question: &'static Question,
    headers: HeaderMap,
    query: Option<String>,
) -> Result<Response, Error> {
    let metrics = Arc::clone(&state.metrics);
    let answered = answer_in_turn(state, question, headers, query.unwrap_or_default()).await;
    answered.inspect_err(|error| metrics.refused_question(error.word()))
}

async fn answer_in_turn(
    state: ViewState,
    question: &'static Question,
    headers: HeaderMap,
    query: String,
) -> Result<Response, Error> {
    let viewer = state.access.check(&headers, Scope::Read).await?;
    let params = Params::read(&query, question.params)?;
    let turn = state.turns.take(&viewer.name).await?;
    let begun = Instant::now();
    // Who goes away leaves the work behind, which keeps its place until its time is over.
    let body = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let asked = Asked::begin(&state.location, params, viewer.scopes, begun + PATIENCE)?;
        let body = (question.ask)(&asked);
        state.metrics.asked(question.name, begun.elapsed());
        body
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, body.await??).into_response())
}

async fn description() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document()).into_response()
}

async fn metrics(State(state): State<ViewState>, headers: HeaderMap) -> Result<Response, Error> {
    state.access.check(&headers, Scope::Metrics).await?;
    let turn = state.turns.take_for_metrics().await?;
    let text = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let fleet = fleet_now(&state.location, now(), Instant::now() + PATIENCE)?;
        Ok::<_, Error>(state.metrics.text(&fleet)?)
    });
    let text = text.await??;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn fleet_now(location: &Location, now: Timestamp, deadline: Instant) -> Result<FleetNow, Error> {
    let fleet = Reader::open_until(location, deadline)?;
    let roster = Roster::read(&fleet, now.plus_nanos(-STALE_NS))?;
    let enrolled = fleet.enrolled()?;
    let hosts = roster.all().iter();
    let may_send = |host: &&EnrolledHost| host.revoked.is_none();
    let is_over = |host: &EnrolledHost| host.expires.is_none_or(|expires| expires <= now);
    let may = enrolled.iter().filter(may_send);
    Ok(FleetNow {
        standings: hosts.map(|host| roster.standing(host)).collect(),
        enrolled: may.clone().count(),
        revoked: enrolled.len() - may.clone().count(),
        rewritten: may.clone().filter(|host| host.rewritten.is_some()).count(),
        expired: may.filter(|host| is_over(host)).count(),
        store_bytes: fleet.bytes(location)?,
    })
}
