//! `/v1/enrolled`: this host was enrolled with a collector, so that sending begins at once.

use axum::Json;
use axum::extract::{ConnectInfo, State};

use super::access::Peer;
use super::params::Params;
use super::{ApiState, Error};

pub(super) async fn note(
    State(state): State<ApiState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    params: Params,
) -> Result<Json<()>, Error> {
    peer.root_pid()?;
    params.read(|_| Ok(()))?;
    (state.enrolled)();
    Ok(Json(()))
}
