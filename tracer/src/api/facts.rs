//! `/v1/facts`: what there is on this host now.

use axum::Json;
use axum::extract::State;
use change::wire::{FactBody, Page};

use super::params::Params;
use super::{ApiState, Error, blocking};

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<Page<FactBody>>, Error> {
    let (kind, after, limit) = params.read(|params| {
        let limit = params.limit(DEFAULT_LIMIT)?;
        Ok((params.kind()?, params.subject_cursor()?, limit))
    })?;
    blocking(move || state.answers.facts(kind, after.as_ref(), limit))
        .await
        .map(Json)
}
