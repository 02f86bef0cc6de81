//! `/v1/sessions`: who was logged in, and what one session changed.

use axum::Json;
use axum::extract::State;
use change::wire::{Page, RecapBody, SessionBody};

use super::params::{Params, Segment};
use super::{ApiState, Error, blocking};

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<Page<SessionBody>>, Error> {
    let limit = params.read(|params| params.limit(DEFAULT_LIMIT))?;
    blocking(move || state.answers.sessions(limit))
        .await
        .map(Json)
}

pub(super) async fn recap(
    State(state): State<ApiState>,
    id: Segment,
    params: Params,
) -> Result<Json<RecapBody>, Error> {
    let id = id.number("id")?;
    params.read(|_| Ok(()))?;
    let found = blocking(move || state.answers.recap(id)).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("session {id} made no change that is known")))
}
