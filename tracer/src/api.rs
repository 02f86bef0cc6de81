//! The HTTP API of one host, on its Unix socket: route table, state, and how it is served.
//!
//! One file a resource; parameters are read in `api/params.rs`, errors are `api/error.rs`.

mod access;
mod blame;
mod changes;
mod content;
mod diff;
mod enrolled;
mod error;
mod facts;
mod filter;
mod forget;
mod gaps;
mod listen;
mod params;
mod runs;
mod seats;
mod sessions;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod verify;
mod who;

use std::sync::Arc;
use std::time::Duration;

pub use access::group_id;
use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use change::wire::StatusBody;
use change::{Change, Subject, Text};
pub use error::Error;
pub use listen::{BindError, bind};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, watch};

use self::seats::Seats;
use crate::answers::Answers;
use crate::store::{self, Purge};

/// The header of an answer that may lack what happened last: the daemon had more in hand than it
/// could write before it answered.
pub(crate) const BEHIND: &str = "tracer-behind";

/// How long requests may take to end once the daemon stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// What the handlers answer from.
#[derive(Clone)]
pub struct ApiState {
    /// Answers from the store.
    pub answers: Answers,
    /// Every change, once it is in the store.
    pub changes: broadcast::Sender<Arc<Change>>,
    /// How the daemon is.
    pub status: Arc<dyn Fn() -> StatusBody + Send + Sync>,
    /// Numeric id of the group that may use the API beside root.
    pub group: Option<u32>,
    /// Sees to it that what happened until now is in the store, and tells whether it could; blocks
    /// while it does. Told what file is asked about, if one is.
    pub settle: Arc<dyn Fn(Option<Text>) -> bool + Send + Sync>,
    /// Purges contents of a file, for the process that asked; blocks while it does.
    pub forget: Arc<Forget>,
    /// Notes that this host was enrolled with a collector.
    pub enrolled: Arc<dyn Fn() + Send + Sync>,
}

/// Purges contents and gives the number of the change that records it, or says why not.
pub type Forget = dyn Fn(Forgetting) -> Result<u64, String> + Send + Sync;

/// Says what to purge and who wants it.
#[derive(Clone, Debug)]
pub struct Forgetting {
    /// The file.
    pub subject: Subject,
    /// Its contents.
    pub purge: Purge,
    /// The process that asked.
    pub pid: u32,
}

/// The state, and the word that the daemon stops, for answers that would never end.
#[derive(Clone)]
struct Shared {
    state: ApiState,
    stopping: watch::Receiver<bool>,
}

impl FromRef<Shared> for ApiState {
    fn from_ref(shared: &Shared) -> Self {
        shared.state.clone()
    }
}

impl FromRef<Shared> for watch::Receiver<bool> {
    fn from_ref(shared: &Shared) -> Self {
        shared.stopping.clone()
    }
}

/// Answers requests until `shutdown` completes and the requests under way have ended.
pub async fn serve(
    listener: UnixListener,
    state: ApiState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, stopping) = watch::channel(false);
    let mut stopped = stopping.clone();
    let shutdown = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    let make_service =
        router(Shared { state, stopping }).into_make_service_with_connect_info::<access::Peer>();
    let served = axum::serve(Seats::new(listener), make_service).with_graceful_shutdown(shutdown);
    // A reader that does not read on must not hold up the daemon's end.
    let out_of_time = async move {
        if stopped.wait_for(|stop| *stop).await.is_ok() {
            tokio::time::sleep(LAST_REQUESTS).await;
        }
    };
    tokio::select! {
        ended = served.into_future() => if let Err(error) = ended {
            tracing::error!(%error, "serve API");
        },
        () = out_of_time => tracing::warn!("API requests were cut off"),
    }
}

fn router(shared: Shared) -> Router {
    let check = middleware::from_fn_with_state(shared.state.clone(), access::check);
    let settle = middleware::from_fn_with_state(shared.state.clone(), settle);
    Router::new()
        .route("/v1/changes", get(changes::list))
        .route("/v1/changes/{seq}", get(changes::show))
        .route("/v1/who", get(who::show))
        .route("/v1/diff", get(diff::show))
        .route("/v1/blame", get(blame::show))
        .route("/v1/content/{hash}", get(content::by_hash))
        .route("/v1/content-at", get(content::at))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::recap))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{id}", get(runs::show))
        .route("/v1/facts", get(facts::list))
        .route("/v1/gaps", get(gaps::list))
        .route("/v1/status", get(status::show))
        .route("/v1/verify", get(verify::show))
        .route("/v1/forget", post(forget::forget))
        .route("/v1/enrolled", post(enrolled::note))
        .route("/v1/stream", get(stream::follow))
        .route("/healthz", get(status::healthy))
        .route("/readyz", get(status::ready))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(settle)
        .layer(check)
        .with_state(shared)
}

/// Lets the daemon write what is in hand before a question is answered, so that whoever asks right
/// after a change is told of it. Where that takes too long the answer says that it is behind.
async fn settle(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    // A panic in there is the pipeline's, which ends the daemon.
    let about = params::about(request.uri().query().unwrap_or_default());
    let settled = tokio::task::spawn_blocking(move || (state.settle)(about)).await;
    let mut response = next.run(request).await;
    if !settled.unwrap_or(false) {
        let headers = response.headers_mut();
        headers.insert(BEHIND, HeaderValue::from_static("true"));
    }
    response
}

/// Asks the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(ask).await??)
}
