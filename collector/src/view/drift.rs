//! `/v1/drift`, `/v1/drift-events` and `/v1/snapshots`: what is not as the rules want it, and what the fleet was.

use super::Error;
use super::params::{EXCEPTED, GROUP, HOST, HUNDRED, SINCE, STALE_BEFORE};
use super::question::{Asked, Question, json};
use super::scope::whole;
use crate::clock::now;
use crate::fleet::Fleet as _;
use crate::questions::{
    self, DriftQuery, HappenedQuery, SnapshotBody, drift, happened, rules_in_force,
};
use crate::rules::Rules;

/// Without `since` events are those of a week.
const USUAL_NS: i64 = 7 * 24 * 3_600_000_000_000;

pub(super) const DRIFT: Question = Question {
    name: "drift",
    summary: "What is not as the rules in force want it, since when and because of whom",
    about: "Hosts that have stopped reporting and facts that nobody tells of are `unknown`, never taken for fine.",
    params: &[&HOST, &GROUP, &EXCEPTED, &HUNDRED, &STALE_BEFORE],
    schema: "Drift",
    ask: ask_drift,
};

pub(super) const EVENTS: Question = Question {
    name: "drift-events",
    summary: "When drift began and ended, and what undid what, newest first",
    about: "Without `since` it tells of the last seven days; what goes on is always told.",
    params: &[&SINCE, &HOST, &GROUP, &EXCEPTED, &HUNDRED, &STALE_BEFORE],
    schema: "HappenedPage",
    ask: ask_events,
};

pub(super) const SNAPSHOTS: Question = Question {
    name: "snapshots",
    summary: "Names for the state of hosts at a moment",
    about: "`incomplete` are the hosts that have not told of all until that moment yet.",
    params: &[&STALE_BEFORE],
    schema: "SnapshotPage",
    ask: ask_snapshots,
};

fn rules(asked: &Asked) -> Result<Rules, Error> {
    Ok(rules_in_force(&asked.fleet.rules_in_force()?.text)?)
}

fn ask_drift(asked: &Asked) -> Result<Vec<u8>, Error> {
    let rules = rules(asked)?;
    if rules.rules.is_empty() {
        return Err(questions::Error::NoRules.into());
    }
    let query = DriftQuery {
        rules: &rules,
        hosts: asked.hosts()?,
        now: now(),
        all: asked.params.flag(&EXCEPTED)?,
        most: asked.params.number(&HUNDRED)?,
    };
    json(&drift(&asked.fleet, &asked.roster, &query)?)
}

fn ask_events(asked: &Asked) -> Result<Vec<u8>, Error> {
    let now = now();
    let since = asked.params.time(&SINCE)?;
    let query = HappenedQuery {
        since: since.unwrap_or_else(|| now.plus_nanos(-USUAL_NS)),
        hosts: asked.hosts()?,
        rules: &rules(asked)?,
        now,
        all: asked.params.flag(&EXCEPTED)?,
        most: asked.params.number(&HUNDRED)?,
    };
    whole(happened(&asked.fleet, &asked.roster, &query)?)
}

fn ask_snapshots(asked: &Asked) -> Result<Vec<u8>, Error> {
    let snapshots = asked.fleet.snapshots()?.into_iter();
    whole(
        snapshots
            .map(|snapshot| SnapshotBody::new(&asked.roster, snapshot))
            .collect(),
    )
}
