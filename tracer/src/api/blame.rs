//! `/v1/blame`: for each line of a file the change that brought it.

use axum::Json;
use axum::extract::State;
use change::wire::BlameBody;

use super::params::Params;
use super::{ApiState, Error, blocking};

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<BlameBody>, Error> {
    let subject = params.read(Params::file)?;
    let asked = subject.clone();
    let found = blocking(move || state.answers.blame(&asked)).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("no content of `{subject}` is kept")))
}
