//! `/v1/content`: a file's bytes, by their hash or as they were at a moment.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use change::ContentState;

use super::params::{Params, Segment};
use super::{ApiState, Error, blocking};
use crate::answers::ContentAt;
use crate::store::Kept;

pub(super) async fn by_hash(
    State(state): State<ApiState>,
    hash: Segment,
    params: Params,
) -> Result<Response, Error> {
    params.read(|_| Ok(()))?;
    let name = hash.text().to_owned();
    if name.starts_with("k3:") {
        return Err(Error::NotKept(format!(
            "`{name}` is of a secret, whose content is not kept"
        )));
    }
    let digits = name.strip_prefix("b3:").unwrap_or_default();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(hash.refused("hash", "it must be `b3:` and 64 hex digits"));
    }
    let asked = name.clone();
    let found = blocking(move || state.answers.content(&asked)).await?;
    match found {
        Kept::Bytes(bytes) => Ok(octets(bytes)),
        Kept::Forgotten => Err(Error::NotKept(format!("`{name}` was forgotten"))),
        Kept::Nothing => Err(Error::NotFound(format!("no content `{name}` is kept"))),
    }
}

pub(super) async fn at(State(state): State<ApiState>, params: Params) -> Result<Response, Error> {
    let (subject, at) = params.read(|params| Ok((params.file()?, params.required_time("at")?)))?;
    let asked = subject.clone();
    match blocking(move || state.answers.content_at(&asked, at)).await? {
        ContentAt::Bytes(bytes) => Ok(octets(bytes)),
        ContentAt::Absent => Err(Error::NotFound(format!("there was no `{subject}` at {at}"))),
        ContentAt::Unknown => Err(Error::NotKept(format!(
            "what `{subject}` held at {at} is not known"
        ))),
        ContentAt::NotKept(why) => Err(Error::NotKept(format!(
            "what `{subject}` held at {at} is not kept: {}",
            reason(why)
        ))),
    }
}

pub(super) fn reason(state: ContentState) -> &'static str {
    match state {
        ContentState::Secret => "it is a secret",
        ContentState::TooLarge => "it is larger than `content.keep_bytes`",
        ContentState::MovedOn => "the file moved on before it could be read",
        ContentState::Shed => "so much happened at once that it was not read",
        ContentState::Forgotten => "it was forgotten: `tracer forget` has purged it",
        ContentState::Kept | ContentState::None => "it is no regular file, or could not be read",
    }
}

fn octets(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}
