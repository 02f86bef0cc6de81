//! What goes wrong with a viewer's request, and how the viewer sees it: `application/problem+json`.

use std::error::Error as _;

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use change::wire::Problem;

use crate::questions;
use crate::store::{self, Scope};

/// Says why a viewer gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token was shown.
    #[error("show a token, as `Authorization: Bearer …`; `tracer-collector token make` makes one")]
    NoToken,
    /// The token is not good.
    #[error("this token is not known here, or its time is over; see `tracer-collector token list`")]
    BadToken,
    /// The token is good for something else.
    #[error("this token has not the scope `{}`; make one that has it", .0.as_str())]
    NoScope(Scope),
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
    #[error("parameter `{name}` is missing: {about}")]
    MissingParameter {
        /// Its name.
        name: &'static str,
        /// What it is for.
        about: &'static str,
    },
    /// Parameters were given that do not exist here.
    #[error("there is no parameter {given} here; there are: {known}")]
    UnknownParameter {
        /// Their names.
        given: String,
        /// The names that exist.
        known: String,
    },
    /// Parameters contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The question has no answer.
    #[error("{0}")]
    Question(questions::Error),
    /// Nothing has that number.
    #[error("the host has no {0} of that number, or it was removed")]
    Nothing(&'static str),
    /// The viewer asks too much at once.
    #[error("{0} questions with this token are under way; wait for their answers")]
    ViewerBusy(usize),
    /// There is no turn for it.
    #[error("too much is asked at once; come again")]
    Busy,
    /// The answer would have taken too long.
    #[error("there was no answer within {0} seconds; ask for less, as by `since` and `until`")]
    OutOfTime(u64),
    /// The answer would have been too long.
    #[error("the answer has more than {0} MiB; ask for less")]
    TooLong(usize),
    /// There is no such route.
    #[error("there is no `{0}`; `/v1/openapi.json` says what there is")]
    UnknownRoute(String),
    /// The route exists and does not take this method.
    #[error("`{1}` does not take {0}; the header `Allow` says what it takes")]
    MethodNotAllowed(Method, String),
    /// The store failed.
    #[error("the collector's store failed; its log says how")]
    Store(#[source] store::Error),
    /// The metrics have no text.
    #[error("the metrics cannot be written")]
    Metrics(#[from] std::fmt::Error),
    /// The work ended early.
    #[error("the answer was cut short; the collector's log says why")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl From<questions::Error> for Error {
    fn from(error: questions::Error) -> Self {
        match error {
            questions::Error::Store(error) => error.into(),
            error => Self::Question(error),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Glob(what) => Self::BadParameter {
                name: "path",
                value: "a glob".to_owned(),
                allowed: what,
            },
            error if error.is_out_of_time() => Self::OutOfTime(super::PATIENCE.as_secs()),
            error => Self::Store(error),
        }
    }
}

impl Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no-token"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, "bad-token"),
            Self::NoScope(_) => (StatusCode::FORBIDDEN, "no-scope"),
            Self::BadParameter { .. } => (StatusCode::BAD_REQUEST, "bad-parameter"),
            Self::MissingParameter { .. } => (StatusCode::BAD_REQUEST, "missing-parameter"),
            Self::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown-parameter"),
            Self::Contradiction(_) => (StatusCode::BAD_REQUEST, "contradiction"),
            Self::Question(error) => about_question(error),
            Self::Nothing(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::ViewerBusy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::OutOfTime(_) => (StatusCode::SERVICE_UNAVAILABLE, "out-of-time"),
            Self::TooLong(_) => (StatusCode::UNPROCESSABLE_ENTITY, "too-long"),
            Self::UnknownRoute(_) => (StatusCode::NOT_FOUND, "unknown-route"),
            Self::MethodNotAllowed(..) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Store(_) | Self::Metrics(_) | Self::Interrupted(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    /// The word for the sort of problem.
    pub(super) fn word(&self) -> &'static str {
        let (_status, word) = self.kind();
        word
    }

    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Self::NoToken | Self::BadToken => {
                let scheme = HeaderValue::from_static("Bearer realm=\"tracer-collector\"");
                Some((header::WWW_AUTHENTICATE, scheme))
            }
            Self::ViewerBusy(_) => Some((header::RETRY_AFTER, HeaderValue::from(1))),
            Self::Busy => Some((header::RETRY_AFTER, HeaderValue::from(5))),
            _ => None,
        }
    }
}

/// What is not there, and what is not enough to answer from.
fn about_question(error: &questions::Error) -> (StatusCode, &'static str) {
    match error {
        questions::Error::UnknownHost(_) => (StatusCode::NOT_FOUND, "unknown-host"),
        questions::Error::EmptyGroup(_) => (StatusCode::NOT_FOUND, "empty-group"),
        questions::Error::UnknownSnapshot(_) => (StatusCode::NOT_FOUND, "unknown-snapshot"),
        questions::Error::NotInSnapshot { .. } => (StatusCode::NOT_FOUND, "not-in-snapshot"),
        questions::Error::TooEarly { .. } => (StatusCode::NOT_FOUND, "too-early"),
        questions::Error::Removed { .. } => (StatusCode::NOT_FOUND, "removed"),
        questions::Error::NoRules => (StatusCode::NOT_FOUND, "no-rules"),
        questions::Error::Ambiguous { .. } => (StatusCode::CONFLICT, "ambiguous"),
        questions::Error::TooFew { .. } => (StatusCode::CONFLICT, "too-few"),
        questions::Error::BothSides(_) => (StatusCode::BAD_REQUEST, "both-sides"),
        questions::Error::NoGroup(_) => (StatusCode::BAD_REQUEST, "no-group"),
        questions::Error::Glob { .. } => (StatusCode::BAD_REQUEST, "bad-parameter"),
        questions::Error::RulesInForce(_) | questions::Error::Store(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            let cause = self.source().map(ToString::to_string);
            tracing::error!(error = %self, cause, "answer a viewer");
        }
        let problem = Problem {
            kind: kind.to_owned(),
            status: status.as_u16(),
            title: kind.replace('-', " "),
            detail: self.to_string(),
        };
        let body = serde_json::to_vec(&problem).expect("a problem is plain text and a number");
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, body).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub(super) async fn unknown_route(uri: Uri) -> Error {
    Error::UnknownRoute(uri.path().to_owned())
}

/// The router adds the header `Allow` by itself.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Error {
    Error::MethodNotAllowed(method, uri.path().to_owned())
}
