//! `/v1/facts`: what there is on this host now.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Zoned;

use super::params::Params;
use super::{ApiState, Error, blocking};
use crate::persisted::Persisted;
use crate::when;

const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn list(State(state): State<ApiState>, params: Params) -> Result<Response, Error> {
    let (kind, after, limit, is_volatile) = params.read(|params| {
        let limit = params.limit(DEFAULT_LIMIT)?;
        let is_volatile = params.flag("volatile")?;
        Ok((params.kind()?, params.subject_cursor()?, limit, is_volatile))
    })?;
    let answers = state.answers;
    if !is_volatile {
        let page = blocking(move || answers.facts(kind, after.as_ref(), limit)).await;
        return Ok(Json(page?).into_response());
    }
    let Ok(boot) = when::parse("boot", &Zoned::now()) else {
        return Err(Error::NotFound(
            "the time of the boot is not known: `/proc/stat` does not tell it".to_owned(),
        ));
    };
    let page = blocking(move || answers.volatile(&Persisted::read(Path::new("/")), boot)).await;
    Ok(Json(page?).into_response())
}
