//! `/v1/runs`: executions of commands that own changes, newest first, and one by its number.

use axum::Json;
use axum::extract::State;
use change::wire::{Page, RunBody};
use change::{Run, RunQuery};

use super::params::{Params, Segment};
use super::{ApiState, Error, blocking};

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<Page<Run>>, Error> {
    let query = params.read(|params| {
        Ok(RunQuery {
            limit: Some(params.limit(DEFAULT_LIMIT)?),
            before: params.cursor()?,
            ..params.run_filters()?
        })
    })?;
    blocking(move || state.answers.runs(&query)).await.map(Json)
}

pub(super) async fn show(
    State(state): State<ApiState>,
    id: Segment,
    params: Params,
) -> Result<Json<RunBody>, Error> {
    let id = id.number("id")?;
    params.read(|_| Ok(()))?;
    let found = blocking(move || state.answers.run(id)).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("there is no run {id}")))
}
