//! What happened: when drift began and ended, and what undid what, each with the changes that did it.

use change::{Change, FactValue, Run, Subject, Timestamp};
use serde::Serialize;

use super::{ExceptionBody, written};
use crate::fleet::{Cause, DriftEvent, Fleet, HostKey, HostSet, Reversal, ValueKey, Way};
use crate::questions::{Error, HostBody, Roster};
use crate::rules::Rules;

/// Asks what happened.
pub struct HappenedQuery<'a> {
    /// After this moment; what began before and went on after it is told, too.
    pub since: Timestamp,
    /// On which hosts; none is all.
    pub hosts: Option<HostSet>,
    /// The rules in force, for their exceptions.
    pub rules: &'a Rules,
    /// The present moment.
    pub now: Timestamp,
    /// Whether what has not lasted, or is excepted, is told as well.
    pub all: bool,
    /// At most so much of each sort.
    pub most: usize,
}

/// Tells one thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Happened {
    /// A fact of a host drifted.
    Drift(Box<DriftBody>),
    /// Somebody took back what another sort of author had done.
    Reversal(Box<ReversalBody>),
}

/// Tells of a drift from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftBody {
    /// From which rule.
    pub rule: String,
    /// On which host.
    pub host: HostBody,
    /// What drifted.
    pub subject: Subject,
    /// What it was held against, where that was a value.
    pub expected: Option<FactValue>,
    /// The value with which it began; none where it was missing.
    pub value: Option<FactValue>,
    /// What began it.
    pub cause: Cause,
    /// When it began, or was found.
    pub began: Timestamp,
    /// Since when the host had the value; none where it was there before anybody watched.
    pub since: Option<Timestamp>,
    /// The change that brought it.
    pub change: Option<Change>,
    /// The run that owns the change.
    pub run: Option<Run>,
    /// When it ended; none while it goes on.
    pub ended: Option<Timestamp>,
    /// What ended it.
    pub ended_by: Option<Cause>,
    /// The change that ended it.
    pub end_change: Option<Change>,
    /// The exception for it.
    pub exception: Option<ExceptionBody>,
}

/// Tells who took back what whom had done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReversalBody {
    /// On which host.
    pub host: HostBody,
    /// Of what.
    pub subject: Subject,
    /// When.
    pub time: Timestamp,
    /// Whether all is as it was before, or another way.
    pub way: Way,
    /// The change that was taken back.
    pub undone: Change,
    /// The change that took it back.
    pub by: Change,
    /// The run that owns it.
    pub run: Option<Run>,
}

impl Happened {
    /// When it happened last.
    fn time(&self) -> Timestamp {
        match self {
            Self::Drift(drift) => drift.ended.unwrap_or(drift.began),
            Self::Reversal(reversal) => reversal.time,
        }
    }
}

/// Finds what happened, newest first.
pub fn happened(
    fleet: &dyn Fleet,
    roster: &Roster,
    query: &HappenedQuery<'_>,
) -> Result<Vec<Happened>, Error> {
    let is_asked = |host| {
        query
            .hosts
            .as_ref()
            .is_none_or(|hosts| hosts.contains(host))
    };
    let mut wanted = |event: &DriftEvent| {
        is_asked(event.host) && (query.all || is_told(fleet, roster, query, event))
    };
    let mut found = Vec::new();
    for event in fleet.drift_events(query.since, query.most, &mut wanted)? {
        let body = drift_body(fleet, roster, query, event)?;
        found.extend(body.map(|body| Happened::Drift(Box::new(body))));
    }
    let mut wanted = |reversal: &Reversal| is_asked(reversal.host);
    for reversal in fleet.reversals(query.since, query.most, &mut wanted)? {
        let body = reversal_body(fleet, roster, reversal)?;
        found.extend(body.map(|body| Happened::Reversal(Box::new(body))));
    }
    found.sort_by_key(|happened| std::cmp::Reverse(happened.time()));
    found.truncate(query.most);
    Ok(found)
}

/// Whether a drift has lasted as long as its rule says, and nobody has a reason for it now.
fn is_told(
    fleet: &dyn Fleet,
    roster: &Roster,
    query: &HappenedQuery<'_>,
    event: &DriftEvent,
) -> bool {
    let end = event.ending.map_or(query.now, |ending| ending.at);
    let mut rules = query.rules.rules.iter();
    let rule = rules.find(|rule| rule.name == event.rule);
    if rule.is_some_and(|rule| !rule.is_lasting(event.began, end)) {
        return false;
    }
    let (Some(host), Ok(subject)) = (roster.host(event.host), fleet.subject(event.subject)) else {
        // What is wrong is told where the event itself is read.
        return true;
    };
    let exception = query.rules.exception(&event.rule, host, &written(&subject));
    exception.is_none_or(|exception| exception.until <= query.now)
}

fn drift_body(
    fleet: &dyn Fleet,
    roster: &Roster,
    query: &HappenedQuery<'_>,
    event: DriftEvent,
) -> Result<Option<DriftBody>, Error> {
    let DriftEvent {
        rule,
        host,
        subject: key,
        expected,
        value,
        cause,
        began,
        since,
        seq,
        ending,
    } = event;
    let Some(known) = roster.host(host) else {
        return Ok(None);
    };
    let value_of = |key: Option<ValueKey>| key.map(|key| fleet.value(key)).transpose();
    let subject = fleet.subject(key)?;
    let change = brought(fleet, host, seq)?;
    let exception = query.rules.exception(&rule, known, &written(&subject));
    Ok(Some(DriftBody {
        host: roster.body(known),
        expected: value_of(expected)?,
        value: value_of(value)?,
        cause,
        began,
        since,
        run: run_of(fleet, host, change.as_ref())?,
        change,
        ended: ending.map(|ending| ending.at),
        ended_by: ending.map(|ending| ending.by),
        end_change: brought(fleet, host, ending.and_then(|ending| ending.seq))?,
        exception: exception.map(|exception| ExceptionBody::new(exception, query.now)),
        rule,
        subject,
    }))
}

fn reversal_body(
    fleet: &dyn Fleet,
    roster: &Roster,
    reversal: Reversal,
) -> Result<Option<ReversalBody>, Error> {
    let Reversal {
        host,
        seq,
        undone,
        time,
        way,
    } = reversal;
    let changes = (fleet.change(host, undone)?, fleet.change(host, seq)?);
    // Either may be older than what is kept.
    let (Some(undone), Some(by), Some(named)) = (changes.0, changes.1, roster.named(host)) else {
        return Ok(None);
    };
    Ok(Some(ReversalBody {
        host: named,
        subject: by.subject.clone(),
        time,
        way,
        run: run_of(fleet, host, Some(&by))?,
        undone,
        by,
    }))
}

fn brought(fleet: &dyn Fleet, host: HostKey, seq: Option<u64>) -> Result<Option<Change>, Error> {
    Ok(seq
        .map(|seq| fleet.change(host, seq))
        .transpose()?
        .flatten())
}

fn run_of(fleet: &dyn Fleet, host: HostKey, change: Option<&Change>) -> Result<Option<Run>, Error> {
    let run = change.and_then(|change| change.run);
    Ok(run.map(|run| fleet.run(host, run)).transpose()?.flatten())
}
