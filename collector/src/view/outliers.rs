//! `/v1/outliers`: what few hosts of a group have otherwise than the rest.

use super::Error;
use super::params::{OF_GROUP, STALE_BEFORE, TEN};
use super::question::{Asked, Question, json};
use crate::questions::outliers;

pub(super) const OUTLIERS: Question = Question {
    name: "outliers",
    summary: "Facts in which few hosts of a group deviate from the rest, most telling first",
    about: "",
    params: &[&OF_GROUP, &TEN, &STALE_BEFORE],
    schema: "Outliers",
    ask,
};

fn ask(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        ..
    } = asked;
    let group = roster.group(params.required_text(&OF_GROUP)?)?;
    let found = outliers(fleet, roster, &group, params.number(&TEN)?)?;
    json(&found)
}
