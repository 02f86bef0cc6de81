//! `/v1/verify`: whether the store is as it was written.

use axum::Json;
use axum::extract::State;
use change::wire::VerifyBody;

use super::params::Params;
use super::{ApiState, Error, blocking};

pub(super) async fn show(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Json<VerifyBody>, Error> {
    let known = params.read(Params::head)?;
    blocking(move || state.answers.verify(known))
        .await
        .map(Json)
}
