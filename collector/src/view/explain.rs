//! `/v1/explain`: what splits bad hosts from good ones.

use super::Error;
use super::params::{BAD, GOOD, STALE_BEFORE, TEN};
use super::question::{Asked, Question, json};
use crate::questions::explain;
use crate::selector::Selector;

pub(super) const EXPLAIN: Question = Question {
    name: "explain",
    summary: "Facts that split bad hosts from good ones, with when they parted and who did it",
    about: "",
    params: &[&BAD, &GOOD, &TEN, &STALE_BEFORE],
    schema: "Explanation",
    ask,
};

fn ask(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        ..
    } = asked;
    let bad = roster.choose(&params.names(&BAD)?)?;
    let names = params.names(&GOOD)?;
    let mut good = roster.choose(&names)?;
    if names.iter().any(|name| Selector::is_one(name)) {
        good = good.without(&bad);
    }
    let found = explain(fleet, roster, [&bad, &good], params.number(&TEN)?)?;
    json(&found)
}
