//! What goes wrong in a request, and how the host sees it: `application/problem+json`.

use std::error::Error as _;

use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use change::wire::{FrameError, Problem};

use crate::admission::Busy;
use crate::authority;
use crate::store::{self, Refusal};

/// Says why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection was made without a certificate.
    #[error(
        "a host shows the certificate that it got when it was enrolled; see `tracer enrol --help`"
    )]
    NoCertificate,
    /// The certificate does not count here.
    #[error(
        "this certificate does not count here any more: enrol the host again, with a new token"
    )]
    UnknownCertificate,
    /// The host was revoked.
    #[error("this host was revoked: whoever did it can make a new token for it")]
    Revoked,
    /// The host is not enrolled.
    #[error("enrol the host: {0}")]
    Refused(Refusal),
    /// A body is not what it must be.
    #[error("{0}")]
    BadRequest(String),
    /// A body is too long.
    #[error("{0}")]
    TooLarge(String),
    /// A batch is of another host than its connection.
    #[error("the certificate is of the host `{certificate}`, and the batch of `{batch}`")]
    OtherHost {
        /// Whose connection it is.
        certificate: String,
        /// Whom the batch names.
        batch: String,
    },
    /// What was sent does not go on where the log ended.
    #[error("{0}")]
    Conflict(store::Error),
    /// The log is another one than was sent before.
    #[error("{0}")]
    Rewritten(store::Error),
    /// There is no time for it now.
    #[error("{}", about_busy(*.0))]
    Busy(Busy),
    /// A body did not come in time.
    #[error("the batch did not arrive in time")]
    Slow,
    /// There is no such route.
    #[error("there is no `{0}`")]
    UnknownRoute(String),
    /// The route exists and does not take this method.
    #[error("`{1}` does not take {0}")]
    MethodNotAllowed(Method, String),
    /// The store failed.
    #[error("the collector's store failed; its log says how")]
    Store(#[source] store::Error),
    /// The authority failed.
    #[error("the collector's authority failed; its log says how")]
    Authority(#[source] authority::Error),
    /// The work ended early.
    #[error("the answer was cut short; the collector's log says why")]
    Interrupted(#[from] tokio::task::JoinError),
}

fn about_busy(busy: Busy) -> &'static str {
    match busy {
        Busy::Host => "another batch of this host is at work",
        Busy::Collector => "too many hosts send at once",
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Hole { .. } => Self::Conflict(error),
            store::Error::Rewritten { .. } => Self::Rewritten(error),
            store::Error::Invalid { .. } => Self::BadRequest(error.to_string()),
            error => Self::Store(error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(error) => error.into(),
            refusal => Self::Refused(refusal),
        }
    }
}

impl From<authority::Error> for Error {
    fn from(error: authority::Error) -> Self {
        match error {
            authority::Error::Request(_) => Self::BadRequest(error.to_string()),
            error => Self::Authority(error),
        }
    }
}

impl From<JsonRejection> for Error {
    fn from(error: JsonRejection) -> Self {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(error.body_text()),
            _ => Self::BadRequest(error.body_text()),
        }
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge => Self::TooLarge(error.to_string()),
            error => Self::BadRequest(error.to_string()),
        }
    }
}

impl Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoCertificate => (StatusCode::UNAUTHORIZED, "no-certificate"),
            Self::UnknownCertificate => (StatusCode::UNAUTHORIZED, "unknown-certificate"),
            Self::Revoked => (StatusCode::FORBIDDEN, "revoked"),
            Self::Refused(Refusal::Enrolled { .. }) => (StatusCode::CONFLICT, "enrolled"),
            Self::Refused(_) => (StatusCode::FORBIDDEN, "bad-token"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::OtherHost { .. } => (StatusCode::FORBIDDEN, "other-host"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "hole"),
            Self::Rewritten(_) => (StatusCode::CONFLICT, "rewritten"),
            Self::Busy(Busy::Host) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Busy(Busy::Collector) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "slow"),
            Self::UnknownRoute(_) => (StatusCode::NOT_FOUND, "unknown-route"),
            Self::MethodNotAllowed(..) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            // The disk may be full, or the store locked: the host keeps what it has and comes again.
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            Self::Authority(_) | Self::Interrupted(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    /// The word for the sort of problem, as a host is told it.
    pub(super) fn word(&self) -> &'static str {
        let (_status, word) = self.kind();
        word
    }

    /// After how many seconds to come again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy(Busy::Host) => Some(1),
            Self::Busy(Busy::Collector) => Some(5),
            Self::Store(_) => Some(30),
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        if matches!(
            self,
            Self::Store(_) | Self::Authority(_) | Self::Interrupted(_)
        ) {
            let cause = self.source().map(ToString::to_string);
            tracing::error!(error = %self, cause, "answer request");
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
        if let Some(seconds) = self.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
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
