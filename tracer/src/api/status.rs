//! `/v1/status`, and what a supervisor asks: `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use change::wire::StatusBody;

use super::params::Params;
use super::{ApiState, Error, blocking};

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<StatusBody>, Error> {
    params.read(|_| Ok(()))?;
    blocking(move || Ok((state.status)())).await.map(Json)
}

/// The daemon answers.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// The store answers too.
pub(super) async fn ready(State(state): State<ApiState>) -> Result<&'static str, Error> {
    match blocking(move || state.answers.last_seq()).await {
        Ok(_) => Ok("ready\n"),
        Err(error) => Err(Error::NotReady(error.to_string())),
    }
}
