//! `/v1/changes`: the log of changes, newest first, and one change by its number.

use axum::Json;
use axum::extract::State;
use change::wire::{ChangeWithDiff, Page};
use change::{Change, ChangeQuery};

use super::params::{Params, Segment};
use super::{ApiState, Error, blocking};

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<Page<Change>>, Error> {
    let query = params.read(|params| {
        Ok(ChangeQuery {
            limit: Some(params.limit(DEFAULT_LIMIT)?),
            before_seq: params.cursor()?,
            run: params.run()?,
            ..params.filters()?
        })
    })?;
    blocking(move || state.answers.changes(&query))
        .await
        .map(Json)
}

pub(super) async fn show(
    State(state): State<ApiState>,
    seq: Segment,
    params: Params,
) -> Result<Json<ChangeWithDiff>, Error> {
    let seq = seq.number("seq")?;
    params.read(|_| Ok(()))?;
    let found = blocking(move || state.answers.change(seq)).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("there is no change {seq}")))
}
