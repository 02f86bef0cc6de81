//! `/v1/facts`: what there is on this host, now or at a moment.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Zoned;

use super::params::Params;
use super::{ApiState, Error, blocking};
use crate::persisted::Persisted;

pub(super) async fn list(State(state): State<ApiState>, params: Params) -> Result<Response, Error> {
    let (page, at, is_volatile) = params.read(|params| {
        let page = params.subject_page()?;
        Ok((page, params.past_time("at")?, params.flag("volatile")?))
    })?;
    let answers = state.answers;
    if is_volatile {
        let Ok(boot) = when::parse("boot", &Zoned::now()) else {
            return Err(Error::NotFound(
                "the time of the boot is not known: `/proc/stat` does not tell it".to_owned(),
            ));
        };
        let page = blocking(move || answers.volatile(&Persisted::read(Path::new("/")), boot)).await;
        return Ok(Json(page?).into_response());
    }
    let facts = blocking(move || match at {
        Some(at) => answers.state(&page, at),
        None => answers.facts(page.kind, page.after.as_ref(), page.limit),
    });
    Ok(Json(facts.await?).into_response())
}
