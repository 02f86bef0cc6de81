//! `/v1/blame`: for each line of a file the change that brought it.

use axum::Json;
use axum::extract::State;
use change::Timestamp;
use change::wire::BlameBody;

use super::params::Params;
use super::{ApiState, Error, blocking, content};
use crate::answers::ContentAt;

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<BlameBody>, Error> {
    let subject = params.read(Params::file)?;
    let asked = subject.clone();
    let (found, now) = blocking(move || {
        let found = state.answers.blame(&asked)?;
        let ever = Timestamp::from_nanos(i64::MAX);
        let now = match found {
            Some(_) => ContentAt::Unknown,
            None => state.answers.content_at(&asked, ever)?,
        };
        Ok((found, now))
    })
    .await?;
    found.map(Json).ok_or_else(|| {
        let why = match now {
            ContentAt::NotKept(why) => format!(": {}", content::reason(why)),
            _ => String::new(),
        };
        Error::NotFound(format!("no content of `{subject}` is kept{why}"))
    })
}
