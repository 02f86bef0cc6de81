//! The command line's way to the daemon: HTTP over the Unix socket, one request a connection.
//! Calls block; a runtime for one thread is inside.

mod events;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use change::Subject;
use change::wire::Problem;
pub use events::Event;
pub(crate) use events::Events;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::{self, Runtime};

use crate::api::BEHIND;

/// How long the daemon may think before it is given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may think where it has to look at everything.
const LONG_PATIENCE: Duration = Duration::from_hours(1);

/// What may stand in a query as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_')
    .remove(b'~');

/// Says why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can be asked.
    #[error("connect to `{}`: {}", socket.display(), advice(source))]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("ask the daemon: {}", .0.detail)]
    Refused(Problem),
    /// The connection broke, or the daemon talks another language.
    #[error(
        "read the daemon's answer: {0}; is it of the same version? see `tracer --version` and `tracer status`"
    )]
    Broken(String),
    /// The daemon did not answer in time.
    #[error("ask the daemon: no answer in {} seconds; see its log", .0.as_secs())]
    Silent(Duration),
    /// This process cannot wait for anything.
    #[error("start the client: {0}")]
    Start(io::Error),
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no such file; is the daemon running? start it with `sudo tracer run`".to_owned()
        }
        io::ErrorKind::ConnectionRefused => {
            "nobody answers; the daemon has stopped, start it with `sudo tracer run`".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as root or join group `tracer`".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A request in the making: a route and its parameters.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    target: String,
    after: Option<u64>,
    patience: Duration,
}

impl Request {
    /// Asks for a route.
    pub fn new(route: &str) -> Self {
        Self {
            method: Method::GET,
            target: route.to_owned(),
            after: None,
            patience: PATIENCE,
        }
    }

    /// Asks for something to be done.
    pub fn post(route: &str) -> Self {
        Self {
            method: Method::POST,
            ..Self::new(route)
        }
    }

    /// Waits for an answer that takes as long as there is much to look at.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patience = LONG_PATIENCE;
        self
    }

    /// Adds a parameter of any bytes.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.target
            .push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.extend(percent_encode(value, QUERY));
        self
    }

    /// Adds a parameter where there is a value for it.
    #[must_use]
    pub fn text(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.bytes(name, value.to_string().as_bytes()),
            None => self,
        }
    }

    /// Adds the subject asked for.
    #[must_use]
    pub fn subject(self, subject: &Subject) -> Self {
        let Subject { kind, key } = subject;
        self.bytes(
            "subject",
            &[kind.as_str().as_bytes(), b":", key.as_bytes()].concat(),
        )
    }

    /// Resumes a stream behind this change.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = Some(seq);
        self
    }
}

/// Asks the daemon behind one socket.
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// Makes a client; nobody is asked yet.
    pub fn new(socket: &Path) -> Result<Self, Error> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        Ok(Self {
            socket: socket.to_owned(),
            runtime,
        })
    }

    /// Reads a JSON answer.
    pub fn get<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        decoded(&self.content(request)?)
    }

    /// Reads a JSON answer; none where the daemon found nothing.
    pub fn find<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<T>, Error> {
        match self.content(request) {
            Ok(body) => decoded(&body).map(Some),
            Err(Error::Refused(problem)) if problem.kind == "not-found" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads an answer as it is.
    pub fn content(&self, request: &Request) -> Result<Bytes, Error> {
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(request.patience, async {
                let response = send(&self.socket, request).await?;
                collected(response).await
            });
            answer
                .await
                .map_err(|_elapsed| Error::Silent(request.patience))?
        })
    }

    /// Reads a stream of events until it ends or `each` fails.
    pub fn follow<E: From<Error>>(
        &self,
        request: &Request,
        mut each: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        self.runtime.block_on(async {
            let mut events = Events::new(send(&self.socket, request).await?.into_body());
            while let Some(event) = events.next().await? {
                each(event)?;
            }
            Ok(())
        })
    }
}

/// Sends a request and waits for the head of a good answer.
pub(crate) async fn send(socket: &Path, request: &Request) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|source| Error::Unreachable {
        socket: socket.to_owned(),
        source,
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the daemon");
        }
    });
    let mut asked = hyper::Request::builder()
        .method(&request.method)
        .uri(&request.target)
        .header(HOST, "tracer")
        .header(ACCEPT, "*/*");
    if let Some(seq) = request.after {
        asked = asked.header("last-event-id", seq);
    }
    let asked = asked
        .body(Empty::<Bytes>::new())
        .map_err(|error| Error::Broken(error.to_string()))?;
    let response = sender.send_request(asked).await.map_err(broken)?;
    if response.headers().contains_key(BEHIND) {
        tracing::warn!(
            "the daemon has more in hand than it could write: what happened last may be missing; ask \
             again, and see `tracer status`"
        );
    }
    if response.status() == StatusCode::OK {
        Ok(response)
    } else {
        Err(refused(response).await)
    }
}

async fn refused(response: Response<Incoming>) -> Error {
    let status = response.status();
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
    let body = match collected(response).await {
        Ok(body) if is_problem => body,
        Ok(_) => return Error::Broken(format!("status {status}")),
        Err(error) => return error,
    };
    decoded(&body).map_or_else(|error| error, Error::Refused)
}

pub(crate) async fn collected(response: Response<Incoming>) -> Result<Bytes, Error> {
    Ok(response
        .into_body()
        .collect()
        .await
        .map_err(broken)?
        .to_bytes())
}

fn decoded<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Broken(error.to_string()))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` takes"
)]
fn broken(error: hyper::Error) -> Error {
    Error::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_byte_by_byte() {
        let request = Request::new("/v1/who")
            .bytes("subject", b"/etc/\xff a+&")
            .text("n", Some(3))
            .text("since", None::<u32>);
        assert_eq!(request.target, "/v1/who?subject=/etc/%FF%20a%2B%26&n=3");
    }

    #[test]
    fn nobody_there_is_told_apart_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("none.sock");
        let error = |socket: &Path| {
            let client = Client::new(socket).unwrap();
            let error = client.content(&Request::new("/healthz")).unwrap_err();
            error
                .to_string()
                .replace(&folder.path().display().to_string(), "")
        };
        insta::assert_snapshot!(error(&socket), @"connect to `/none.sock`: no such file; is the daemon running? start it with `sudo tracer run`");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        insta::assert_snapshot!(error(&socket), @"connect to `/none.sock`: nobody answers; the daemon has stopped, start it with `sudo tracer run`");
    }
}
