//! `/v1/gaps`: the intervals for which the record is not complete.

use axum::Json;
use axum::extract::State;
use change::Gap;
use change::wire::Page;

use super::params::Params;
use super::{ApiState, Error, blocking};

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<Page<Gap>>, Error> {
    let limit = params.read(|params| params.limit(DEFAULT_LIMIT))?;
    blocking(move || state.answers.gaps(limit)).await.map(Json)
}
