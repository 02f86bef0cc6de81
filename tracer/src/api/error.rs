//! What goes wrong in a request, and how the client sees it: `application/problem+json`.
//! The client gets a message, the log the whole chain.

use std::error::Error as _;

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use change::wire::Problem;

use crate::store;

/// Says why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter's value cannot be used.
    #[error("parameter `{name}` is `{value}`: {allowed}")]
    BadParameter {
        /// Its name.
        name: &'static str,
        /// What was given, escaped.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A parameter that must be given is not.
    #[error("parameter `{name}` is missing: {allowed}")]
    MissingParameter {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// Parameters were given that do not exist here.
    #[error("there is no parameter {given} here; there are: {known}")]
    UnknownParameter {
        /// Their names.
        given: String,
        /// The names that exist.
        known: String,
    },
    /// There is no such route.
    #[error("there is no `{0}`; the API's routes begin with `/v1/`")]
    UnknownRoute(String),
    /// The route exists and does not take this method.
    #[error("`{1}` does not take {0}; the header `Allow` says what it takes")]
    MethodNotAllowed(Method, String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The content existed and is not kept.
    #[error("{0}")]
    NotKept(String),
    /// The peer may not ask.
    #[error("user {0} may not use this socket; run as root or join group `tracer`")]
    Forbidden(String),
    /// The peer may ask, and not do this.
    #[error("only root may do this; run it with `sudo`")]
    RootOnly,
    /// The daemon cannot answer yet, or not any more.
    #[error("the daemon cannot answer: {0}")]
    NotReady(String),
    /// The store has no answer.
    #[error("{}", about_store(.0))]
    Store(#[from] store::Error),
    /// The daemon could not do what it was asked to.
    #[error("{0}")]
    NotDone(String),
    /// The work on the answer ended early.
    #[error("the answer was cut short; the daemon's log says why")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Damage is told whole, as whoever asks has to do something about it.
fn about_store(error: &store::Error) -> String {
    if error.is_damage() {
        return error.to_string();
    }
    "the store cannot answer; the daemon's log says why".to_owned()
}

impl Error {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadParameter { .. } => {
                (StatusCode::BAD_REQUEST, "bad-parameter", "bad parameter")
            }
            Self::MissingParameter { .. } => (
                StatusCode::BAD_REQUEST,
                "missing-parameter",
                "missing parameter",
            ),
            Self::UnknownParameter { .. } => (
                StatusCode::BAD_REQUEST,
                "unknown-parameter",
                "unknown parameter",
            ),
            Self::UnknownRoute(_) => (StatusCode::NOT_FOUND, "unknown-route", "no such route"),
            Self::MethodNotAllowed(..) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "method not allowed",
            ),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "nothing found"),
            Self::NotKept(_) => (StatusCode::NOT_FOUND, "not-kept", "content not kept"),
            Self::Forbidden(_) | Self::RootOnly => {
                (StatusCode::FORBIDDEN, "forbidden", "not permitted")
            }
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "not ready"),
            Self::Store(_) | Self::NotDone(_) | Self::Interrupted(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "internal error",
            ),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.kind();
        if status.is_server_error() {
            let cause = self.source().map(ToString::to_string);
            tracing::error!(error = %self, cause, "answer request");
        }
        let problem = Problem {
            kind: kind.to_owned(),
            status: status.as_u16(),
            title: title.to_owned(),
            detail: self.to_string(),
        };
        let body = serde_json::to_vec(&problem).expect("a problem is plain text and a number");
        (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response()
    }
}

pub(super) async fn unknown_route(uri: Uri) -> Error {
    Error::UnknownRoute(uri.path().to_owned())
}

/// The router adds the header `Allow` by itself.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Error {
    Error::MethodNotAllowed(method, uri.path().to_owned())
}
