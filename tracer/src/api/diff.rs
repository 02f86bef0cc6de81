//! `/v1/diff`: the difference of one subject between two moments.

use axum::Json;
use axum::extract::State;
use change::wire::DiffBody;

use super::params::Params;
use super::{ApiState, Error, blocking};

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<DiffBody>, Error> {
    let (subject, since, until) = params.read(|params| {
        Ok((
            params.subject()?,
            params.required_time("since")?,
            params.required_time("until")?,
        ))
    })?;
    blocking(move || state.answers.diff(&subject, since, until))
        .await
        .map(Json)
}
