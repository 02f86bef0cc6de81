//! `/v1/who`: the newest changes of one subject, each with its diff.

use axum::Json;
use axum::extract::State;
use change::wire::WhoBody;

use super::params::Params;
use super::{ApiState, Error, blocking};

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<WhoBody>, Error> {
    let (subject, limit) = params.read(|params| Ok((params.subject()?, params.limit(1)?)))?;
    blocking(move || state.answers.who(&subject, limit))
        .await
        .map(Json)
}
