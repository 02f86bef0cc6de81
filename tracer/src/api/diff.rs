//! `/v1/diff`: the difference of one subject, or of all, between two moments.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use change::Subject;

use super::params::Params;
use super::{ApiState, Error, blocking};
use crate::store::SubjectPage;

enum Asked {
    One(Subject),
    All(SubjectPage),
}

pub(super) async fn show(State(state): State<ApiState>, params: Params) -> Result<Response, Error> {
    let (asked, since, until) = params.read(|params| {
        let asked = match params.optional_subject()? {
            Some(subject) => Asked::One(subject),
            None => Asked::All(params.subject_page()?),
        };
        let [since, until] = params.required_between()?;
        Ok((asked, since, until))
    })?;
    let answers = state.answers;
    Ok(match asked {
        Asked::One(subject) => {
            let found = blocking(move || answers.diff(&subject, since, until)).await?;
            Json(found).into_response()
        }
        Asked::All(page) => {
            let found = blocking(move || answers.differences(&page, [since, until])).await?;
            Json(found).into_response()
        }
    })
}
