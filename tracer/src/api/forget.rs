//! `/v1/forget`: purges old contents of a file; the only request that changes something.

use axum::Json;
use axum::extract::{ConnectInfo, State};
use change::wire::ForgetBody;

use super::access::Peer;
use super::params::Params;
use super::{ApiState, Error, Forgetting, blocking};

pub(super) async fn forget(
    State(state): State<ApiState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    params: Params,
) -> Result<Json<ForgetBody>, Error> {
    let pid = peer.root_pid()?;
    let (subject, with_shared) = params.read(|params| Ok((params.file()?, params.shared()?)))?;
    let asked = subject.clone();
    let answers = state.answers.clone();
    let purge = blocking(move || answers.purge(&asked, with_shared)).await?;
    let mut body = ForgetBody {
        subject: subject.clone(),
        seq: None,
        forgotten: purge.count() as u64,
        bytes: purge.bytes,
        shared_with: purge.shared_with.clone(),
        is_current: purge.is_current,
    };
    if purge.count() > 0 {
        let forgetting = Forgetting {
            subject,
            purge,
            pid,
        };
        let done = blocking(move || Ok((state.forget)(forgetting))).await?;
        body.seq = Some(done.map_err(Error::NotDone)?);
    }
    Ok(Json(body))
}
