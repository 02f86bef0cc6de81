//! Sorting: puts deviations into lines, hosts that deviate in the same way together, and the lines into an order in
//! which the first screen matters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use change::{Subject, Timestamp};

use super::found::Deviation;
use super::judge::written;
use super::{DriftQuery, Status};
use crate::fleet::{Cause, DriftEvent, Fleet, HostKey, SubjectKey, ValueKey};
use crate::questions::{Error, Roster, rank};
use crate::rules::{Demand, Exception};

/// What the hosts of one line have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) status: Status,
    pub(super) rule: usize,
    pub(super) subject: Option<SubjectKey>,
    pub(super) value: Option<ValueKey>,
    pub(super) expected: Option<ValueKey>,
    /// Place of the exception among those that were met.
    pub(super) exception: Option<usize>,
}

/// A line with its hosts, and the others that are told with it.
pub(super) struct Folded {
    pub(super) line: Line,
    pub(super) hosts: Vec<HostKey>,
    pub(super) subject: Subject,
    /// When the first of them began to drift, where that was recorded.
    pub(super) began: Option<Timestamp>,
    /// That, or else since when it has the value: what is newer comes first.
    since: Option<Timestamp>,
    pub(super) also: Vec<Subject>,
}

/// Puts deviations into lines.
pub(super) struct Sorting<'a> {
    fleet: &'a dyn Fleet,
    roster: &'a Roster,
    query: &'a DriftQuery<'a>,
    lines: BTreeMap<Line, Vec<HostKey>>,
    counts: BTreeMap<Status, usize>,
    exceptions: Vec<&'a Exception>,
    subjects: HashMap<SubjectKey, Subject>,
    /// When each drift began and by what, by rule, host and subject.
    open: HashMap<(String, HostKey, SubjectKey), (Timestamp, Cause)>,
}

impl<'a> Sorting<'a> {
    pub(super) fn new(
        fleet: &'a dyn Fleet,
        roster: &'a Roster,
        query: &'a DriftQuery<'a>,
    ) -> Result<Self, Error> {
        let began = |event: DriftEvent| {
            let what = (event.rule, event.host, event.subject);
            (what, (event.began, event.cause))
        };
        Ok(Self {
            fleet,
            roster,
            query,
            lines: BTreeMap::new(),
            counts: BTreeMap::new(),
            exceptions: Vec::new(),
            subjects: HashMap::new(),
            open: fleet.open_drift()?.into_iter().map(began).collect(),
        })
    }

    pub(super) fn add(&mut self, index: usize, deviation: Deviation) -> Result<(), Error> {
        let Deviation {
            host,
            subject,
            value,
            expected,
        } = deviation;
        let is_asked = self
            .query
            .hosts
            .as_ref()
            .is_none_or(|hosts| hosts.contains(host));
        let Some(known) = self.roster.host(host).filter(|_| is_asked) else {
            return Ok(());
        };
        let rule = &self.query.rules.rules[index];
        let exception = if self.query.rules.exceptions.is_empty() {
            None
        } else {
            let named = written(&self.subject(index, subject)?);
            self.query.rules.exception(&rule.name, known, &named)
        };
        let status = if exception.is_some_and(|one| one.until > self.query.now) {
            Status::Excepted
        } else if rule.lasting_ns > 0
            && self
                .since(&rule.name, (host, subject))?
                .is_some_and(|began| !rule.is_lasting(began, self.query.now))
        {
            Status::Pending
        } else {
            Status::Drifting
        };
        *self.counts.entry(status).or_default() += 1;
        if status != Status::Drifting && !self.query.all {
            return Ok(());
        }
        let exception = exception.map(|exception| self.met(exception));
        let line = Line {
            status,
            rule: index,
            subject,
            value,
            expected,
            exception,
        };
        self.lines.entry(line).or_default().push(host);
        Ok(())
    }

    /// How many facts of how many hosts count so.
    pub(super) fn count(&self, status: Status) -> usize {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    /// The exceptions that were met.
    pub(super) fn exceptions(&self) -> &[&'a Exception] {
        &self.exceptions
    }

    /// The place of an exception among those that were met.
    fn met(&mut self, exception: &'a Exception) -> usize {
        let known = self
            .exceptions
            .iter()
            .position(|known| std::ptr::eq(*known, exception));
        known.unwrap_or_else(|| {
            self.exceptions.push(exception);
            self.exceptions.len() - 1
        })
    }

    fn subject(&mut self, rule: usize, key: Option<SubjectKey>) -> Result<Subject, Error> {
        if let Some(known) = key.and_then(|key| self.subjects.get(&key)) {
            return Ok(known.clone());
        }
        if let Demand::Expect(expectation) = &self.query.rules.rules[rule].demand {
            return Ok(expectation.subject.clone());
        }
        let subject = self.fleet.subject(key.unwrap_or(SubjectKey(0)))?;
        if let Some(key) = key {
            self.subjects.insert(key, subject.clone());
        }
        Ok(subject)
    }

    /// Since when it drifts, where that was recorded: what was found by looking through all had begun before.
    fn began(
        &self,
        rule: &str,
        (host, subject): (HostKey, Option<SubjectKey>),
    ) -> Option<Timestamp> {
        let known = self.open.get(&(rule.to_owned(), host, subject?))?;
        (known.1 != Cause::Look).then_some(known.0)
    }

    /// Since when it drifts, or else since when the host has the value.
    fn since(
        &self,
        rule: &str,
        fact: (HostKey, Option<SubjectKey>),
    ) -> Result<Option<Timestamp>, Error> {
        let began = self.began(rule, fact);
        let (host, Some(subject)) = fact else {
            return Ok(began);
        };
        if began.is_some() {
            return Ok(began);
        }
        match self.fleet.fact(host, subject)? {
            Some(fact) => Ok(fact.since),
            None => Ok(self
                .fleet
                .newest_change(host, subject)?
                .map(|gone| gone.time)),
        }
    }

    /// The lines in the order in which they are told. What deviates from one baseline on exactly the same hosts is
    /// one line, so that a host that was set up differently is not three hundred.
    pub(super) fn folded(&mut self) -> Result<Vec<Folded>, Error> {
        let mut lines = Vec::new();
        for (line, hosts) in std::mem::take(&mut self.lines) {
            let subject = self.subject(line.rule, line.subject)?;
            lines.push((line, hosts, subject));
        }
        lines.sort_by(|(a, _, one), (b, _, other)| {
            let order = |line: &Line, subject: &Subject| (line.rule, rank(subject.kind));
            order(a, one)
                .cmp(&order(b, other))
                .then_with(|| one.cmp(other))
        });
        let mut first: HashMap<(Status, usize, Option<usize>, Vec<HostKey>), usize> =
            HashMap::new();
        let mut folded: Vec<Folded> = Vec::new();
        for (line, hosts, subject) in lines {
            let key = (line.status, line.rule, line.exception, hosts);
            if let Some(first) = first.get(&key) {
                folded[*first].also.push(subject);
                continue;
            }
            let (rule, fact) = (&self.query.rules.rules[line.rule], (key.3[0], line.subject));
            folded.push(Folded {
                hosts: key.3.clone(),
                began: self.began(&rule.name, fact),
                since: self.since(&rule.name, fact)?,
                line,
                subject,
                also: Vec::new(),
            });
            first.insert(key, folded.len() - 1);
        }
        folded.sort_by_key(|Folded { line, since, .. }| {
            let demand = &self.query.rules.rules[line.rule].demand;
            let is_baseline = matches!(demand, Demand::Like(_));
            (line.status, is_baseline, Reverse(*since))
        });
        Ok(folded)
    }
}
