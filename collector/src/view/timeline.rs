//! `/v1/timeline` and `/v1/markers`: what happened on all hosts.

use change::Timestamp;

use super::Error;
use super::log::filtered;
use super::params::{
    BY, EACH, GROUP, HOST, KIND, OP, PACKAGE, PATH, SINCE, STALE_BEFORE, TWO_HUNDRED, UNTIL, USER,
};
use super::question::{Asked, Question, json};
use super::scope::whole;
use crate::clock::now;
use crate::fleet::Fleet as _;
use crate::questions::{TimelineQuery, timeline};

/// The same on another host within five minutes belongs to it, as the command has it unless it is told otherwise.
const WITHIN_NS: i64 = 5 * 60 * 1_000_000_000;

pub(super) const TIMELINE: Question = Question {
    name: "timeline",
    summary: "What happened on all hosts, oldest first, with markers and gaps",
    about: "The same change by the same person on many hosts is one item. A run that changed five things or more is \
            one item in their place, and so is the same run on many hosts. Without `since` it tells of the day up to \
            `until`, or up to now. Of more than `n` items it tells the newest.",
    params: &[
        &SINCE,
        &UNTIL,
        &HOST,
        &GROUP,
        &KIND,
        &OP,
        &USER,
        &BY,
        &PATH,
        &PACKAGE,
        &EACH,
        &TWO_HUNDRED,
        &STALE_BEFORE,
    ],
    schema: "Timeline",
    ask: ask_timeline,
};

pub(super) const MARKERS: Question = Question {
    name: "markers",
    summary: "Moments with names: deploys, alerts, incidents; oldest first",
    about: "",
    params: &[&SINCE, &UNTIL, &STALE_BEFORE],
    schema: "MarkerPage",
    ask: ask_markers,
};

fn ask_timeline(asked: &Asked) -> Result<Vec<u8>, Error> {
    let mut query = TimelineQuery {
        log: filtered(asked)?,
        within_ns: WITHIN_NS,
        folds_runs: !asked.params.flag(&EACH)?,
        most: asked.params.number(&TWO_HUNDRED)?,
    };
    query.begin(now());
    json(&timeline(&asked.fleet, &asked.roster, &query)?)
}

fn ask_markers(asked: &Asked) -> Result<Vec<u8>, Error> {
    let [since, until] = asked.times()?;
    let since = since.unwrap_or(Timestamp::from_nanos(i64::MIN));
    let interval = [since, until.unwrap_or(Timestamp::MAX)];
    whole(asked.fleet.markers(interval)?)
}
