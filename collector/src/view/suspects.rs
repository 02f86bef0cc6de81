//! `/v1/suspects`: which changes before a moment are worth a look.

use change::wire::Page;

use super::Error;
use super::params::{BROKE, GROUP, HOST, STALE_BEFORE, TEN, WINDOW};
use super::question::{Asked, Question, json};
use crate::questions::{SuspectQuery, suspects};

pub(super) const SUSPECTS: Question = Question {
    name: "suspects",
    summary: "Changes before a moment, by how close they were, how rare and how many hosts they reached",
    about: "",
    params: &[&BROKE, &HOST, &GROUP, &WINDOW, &TEN, &STALE_BEFORE],
    schema: "SuspectPage",
    ask,
};

fn ask(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        ..
    } = asked;
    let scope = match (params.text(&HOST)?, params.text(&GROUP)?) {
        (Some(_), Some(_)) => {
            return Err(Error::Contradiction("give `host` or `group`, and not both"));
        }
        (Some(host), None) => vec![roster.find(host)?],
        (None, group) => roster.group(group.unwrap_or("all"))?,
    };
    let query = SuspectQuery {
        at: params.time(&BROKE)?.unwrap_or_default(),
        window_ns: params.hours(&WINDOW)?,
        most: params.number(&TEN)?,
    };
    let items = suspects(fleet, roster, &scope, &query)?;
    json(&Page { items, next: None })
}
