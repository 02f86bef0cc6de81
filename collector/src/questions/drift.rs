//! Drift: what is not as the rules want it now, ranked so that the first screen matters. How facts are judged is in
//! `drift/judge.rs`, and what happened before in `drift/happened.rs`.

mod against;
mod found;
mod happened;
mod judge;
mod members;
mod sorting;

use change::{FactValue, Subject, Timestamp};
use serde::Serialize;

pub(crate) use self::found::Found;
pub use self::happened::{DriftBody, Happened, HappenedQuery, ReversalBody, happened};
pub(crate) use self::judge::Judge;
use self::judge::written;
pub(crate) use self::members::Members;
use self::sorting::{Folded, Sorting};
use super::{Error, HostBody, Opening, Roster};
use crate::fleet::{Fleet, HostSet, ValueKey};
use crate::rules::{Demand, Exception, Rules};

/// A line tells of so many hosts by name.
const NAMED: usize = 10;

/// Asks what is not as it should be.
pub struct DriftQuery<'a> {
    /// By which rules.
    pub rules: &'a Rules,
    /// On which hosts; none is all.
    pub hosts: Option<HostSet>,
    /// The present moment.
    pub now: Timestamp,
    /// Whether what is excepted, or has not lasted yet, is told as well.
    pub all: bool,
    /// At most so many lines.
    pub most: usize,
}

/// Tells what is not as the rules want it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// How many rules there are.
    pub rules: usize,
    /// How many hosts whose facts are those of now they are for.
    pub hosts: u32,
    /// How many facts of how many hosts drift.
    pub drifting: usize,
    /// How many more are excepted.
    pub excepted: usize,
    /// How many more have not lasted as long as their rule says.
    pub pending: usize,
    /// How many more differ as those of any two hosts do.
    pub noise: usize,
    /// What drifts: first what matters most.
    pub drifts: Vec<Drifted>,
    /// How many lines were left out.
    pub left_out: usize,
    /// Rules that are for no host.
    pub idle: Vec<String>,
    /// What is not known: these hosts are not told to be as they should.
    pub unknown: Vec<UnknownBody>,
}

/// Says how a deviation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It drifts.
    Drifting,
    /// It has not lasted as long as its rule says.
    Pending,
    /// Somebody has a reason for it.
    Excepted,
}

/// Tells of hosts that deviate from a rule in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drifted {
    /// The rule's name.
    pub rule: String,
    /// Whom to ask about the rule.
    pub owner: Option<String>,
    /// What the rule is for.
    pub why: Option<String>,
    /// How it counts.
    pub status: Status,
    /// What deviates.
    pub subject: Subject,
    /// The test that it does not pass, where the rule is an expectation.
    pub wanted: Option<String>,
    /// The value that it is held against, where the rule is a baseline; none where it is missing there.
    pub expected: Option<FactValue>,
    /// The value; none where it is missing.
    pub value: Option<FactValue>,
    /// On how many hosts.
    pub count: usize,
    /// The first of them.
    pub hosts: Vec<HostBody>,
    /// When the first of them began to drift, where that was recorded: not what was found by looking through all.
    pub began: Option<Timestamp>,
    /// How the first of them came to it.
    pub opening: Option<Opening>,
    /// The exception for it. One that has ended excepts nothing any more.
    pub exception: Option<ExceptionBody>,
    /// Other facts that deviate on exactly the same hosts, from the same baseline.
    pub also: Vec<Subject>,
}

/// Tells why something may deviate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionBody {
    /// Why.
    pub reason: String,
    /// Whom to ask.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
    /// Whether that is over.
    pub expired: bool,
}

/// Tells of hosts of which it is not known whether they are as a rule wants them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownBody {
    /// The rule's name.
    pub rule: String,
    /// Why not.
    pub reason: String,
    /// How many they are.
    pub count: u32,
    /// The first of them.
    pub hosts: Vec<HostBody>,
}

impl ExceptionBody {
    pub(super) fn new(exception: &Exception, now: Timestamp) -> Self {
        let Exception {
            reason,
            owner,
            until,
            ..
        } = exception;
        Self {
            reason: reason.clone(),
            owner: owner.clone(),
            until: *until,
            expired: *until <= now,
        }
    }
}

/// The rules that are in force, from their text, which may have none.
pub fn rules_in_force(text: &str) -> Result<Rules, Error> {
    Rules::read(text)
        .map_err(|faults| Error::RulesInForce(faults.into_iter().next().unwrap_or_default()))
}

/// Finds what is not as the rules want it.
pub fn drift(fleet: &dyn Fleet, roster: &Roster, query: &DriftQuery<'_>) -> Result<Drift, Error> {
    let judge = Judge::new((fleet, roster), query.rules, query.now)?;
    let mut sorting = Sorting::new(fleet, roster, query)?;
    let (mut unknown, mut noise, mut hosts) = (Vec::new(), 0, HostSet::default());
    let mut idle = Vec::new();
    for (index, rule) in query.rules.rules.iter().enumerate() {
        let found = judge.all(index)?;
        noise += found.noise;
        for deviation in found.deviations {
            sorting.add(index, deviation)?;
        }
        for (reason, set) in found.unknown {
            let set = query
                .hosts
                .as_ref()
                .map_or_else(|| set.clone(), |only| set.both(only));
            unknown.extend(unknown_body(roster, &rule.name, reason, &set));
        }
        if judge.members(index).all().next().is_none() {
            idle.push(rule.name.clone());
        }
        let members = judge.members(index).current.iter().flatten();
        hosts.extend(&members.copied().collect::<Vec<_>>());
    }
    if let Some(only) = &query.hosts {
        hosts = hosts.both(only);
    }
    let count = |status| sorting.count(status);
    let counts = [Status::Drifting, Status::Pending, Status::Excepted].map(count);
    let mut lines = sorting.folded()?;
    let left_out = lines.len().saturating_sub(query.most);
    lines.truncate(query.most);
    let met = sorting.exceptions();
    let drifts = lines.into_iter();
    let drifts = drifts.map(|folded| drifted((fleet, roster), query, met, folded));
    Ok(Drift {
        rules: query.rules.rules.len(),
        hosts: hosts.len(),
        drifting: counts[0],
        pending: counts[1],
        excepted: counts[2],
        noise,
        drifts: drifts.collect::<Result<_, _>>()?,
        left_out,
        idle,
        unknown,
    })
}

fn unknown_body(
    roster: &Roster,
    rule: &str,
    reason: String,
    hosts: &HostSet,
) -> Option<UnknownBody> {
    let named = hosts
        .iter()
        .take(NAMED)
        .filter_map(|host| roster.named(host));
    (!hosts.is_empty()).then(|| UnknownBody {
        rule: rule.to_owned(),
        reason,
        count: hosts.len(),
        hosts: named.collect(),
    })
}

fn drifted(
    (fleet, roster): (&dyn Fleet, &Roster),
    query: &DriftQuery<'_>,
    exceptions: &[&Exception],
    folded: Folded,
) -> Result<Drifted, Error> {
    let Folded {
        line,
        hosts,
        subject,
        began,
        also,
        ..
    } = folded;
    let rule = &query.rules.rules[line.rule];
    let value = |key: Option<ValueKey>| key.map(|key| fleet.value(key)).transpose();
    let opening = match (hosts.first(), line.subject) {
        (Some(first), Some(subject)) => Opening::of_now(fleet, *first, subject)?,
        _ => None,
    };
    let exception = line.exception.and_then(|place| exceptions.get(place));
    Ok(Drifted {
        rule: rule.name.clone(),
        owner: rule.owner.clone(),
        why: rule.why.clone(),
        status: line.status,
        subject,
        wanted: match &rule.demand {
            Demand::Expect(expectation) => Some(expectation.to_string()),
            Demand::Like(_) => None,
        },
        expected: value(line.expected)?,
        value: value(line.value)?,
        count: hosts.len(),
        hosts: hosts
            .iter()
            .take(NAMED)
            .filter_map(|host| roster.named(*host))
            .collect(),
        began,
        opening,
        exception: exception.map(|exception| ExceptionBody::new(exception, query.now)),
        also,
    })
}
