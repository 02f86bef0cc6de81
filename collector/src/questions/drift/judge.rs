//! Judging: holds the facts of hosts against rules. For `drift` all of them at once; for events only those of a
//! subject that something has happened to, which costs as many values as it has and not as many hosts.

use change::{FactValue, Kind, Subject, Timestamp};

use super::against::{Against, Deviating, LEAST_HOSTS, Usual, against, deviating, first_of, usual};
use super::found::Found;
use super::members::{Members, members};
use crate::fleet::{Fact, Fleet, HostKey, HostSet, SubjectKey, ValueKey};
use crate::questions::noise::Own;
use crate::questions::{Error, Noise, Roster, Standing};
use crate::rules::{Baseline, Demand, Expectation, Rule, Rules, Verdict};

/// One rule, with what it takes to judge by it.
struct Part<'a> {
    rule: &'a Rule,
    members: Members,
    /// The subgroups once more, as sets.
    groups: Vec<HostSet>,
    against: Against<'a>,
    noise: Noise,
}

/// Judges by rules.
pub(crate) struct Judge<'a> {
    fleet: &'a dyn Fleet,
    roster: &'a Roster,
    parts: Vec<Part<'a>>,
}

/// A subject with the hosts that have each of its values.
type Holdings<'h> = (SubjectKey, &'h [(ValueKey, HostSet)]);

impl<'a> Judge<'a> {
    pub(crate) fn new(
        (fleet, roster): (&'a dyn Fleet, &'a Roster),
        rules: &'a Rules,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let parts = rules.rules.iter().map(|rule| {
            let given: &[String] = match &rule.demand {
                Demand::Like(baseline) => &baseline.noise,
                Demand::Expect(_) => &[],
            };
            let members = members(roster, rule);
            let groups = members.current.iter();
            Ok(Part {
                rule,
                groups: groups
                    .map(|group| group.iter().copied().collect())
                    .collect(),
                members,
                against: against((fleet, roster), rule, now)?,
                noise: Noise::new(given)?,
            })
        });
        Ok(Self {
            fleet,
            roster,
            parts: parts.collect::<Result<_, Error>>()?,
        })
    }

    /// The hosts of a rule.
    pub(crate) fn members(&self, rule: usize) -> &Members {
        &self.parts[rule].members
    }

    /// The rule, by its place.
    pub(crate) fn rule(&self, rule: usize) -> &'a Rule {
        self.parts[rule].rule
    }

    /// Whether what happens on one host changes what others are held against.
    pub(crate) fn is_shared(&self, rule: usize) -> bool {
        matches!(
            self.parts[rule].against,
            Against::Majority(_) | Against::Host(..)
        )
    }

    /// The host that others are held against, where it is one.
    pub(crate) fn reference(&self, rule: usize) -> Option<HostKey> {
        match self.parts[rule].against {
            Against::Host(_, reference) => Some(reference),
            _ => None,
        }
    }

    /// Judges all facts of all hosts by a rule.
    pub(crate) fn all(&self, rule: usize) -> Result<Found, Error> {
        let part = &self.parts[rule];
        let mut found = Found::default();
        match &part.against {
            Against::Nothing(_) => {}
            Against::Expectation(expectation) => self.expectation(part, expectation, &mut found)?,
            Against::Majority(_) | Against::Host(..) => self.scan(part, &mut found)?,
            Against::Moment(baseline, at, hosts) => {
                for host in part.members.current.iter().flatten() {
                    let since = self.fleet.changed_since(*host, *at)?;
                    let known = (*at, hosts.as_ref());
                    self.moment((part, baseline), known, (*host, &since), &mut found)?;
                }
            }
        }
        Self::unknown(part, &mut found);
        Ok(found)
    }

    /// Judges one subject by a rule: on all of its hosts where others count, else on those hosts only.
    pub(crate) fn subject(
        &self,
        rule: usize,
        subject: SubjectKey,
        hosts: &[HostKey],
    ) -> Result<Found, Error> {
        let part = &self.parts[rule];
        let mut found = Found::default();
        match &part.against {
            Against::Nothing(_) => {}
            Against::Expectation(expectation) => self.expectation(part, expectation, &mut found)?,
            Against::Majority(_) | Against::Host(..) => {
                let holdings = self.fleet.holdings(subject, usize::MAX)?;
                self.holdings(part, (subject, &holdings), &mut found)?;
            }
            Against::Moment(baseline, at, known) => {
                let members = part.members.current.iter().flatten();
                for host in members.filter(|host| hosts.contains(host)) {
                    let known = (*at, known.as_ref());
                    self.moment((part, baseline), known, (*host, &[subject]), &mut found)?;
                }
            }
        }
        Self::unknown(part, &mut found);
        Ok(found)
    }

    /// Notes the hosts of which nothing can be said.
    fn unknown(part: &Part<'_>, found: &mut Found) {
        let Members {
            current,
            aside,
            without_label,
        } = &part.members;
        for (host, standing) in aside {
            let why = match standing {
                Standing::Cloned => "another machine reports under the same machine id",
                _ => "it has stopped reporting",
            };
            found.silent(why, *host);
        }
        let each = part.rule.each.as_deref().unwrap_or_default();
        for host in without_label {
            found.silent(&format!("it has no label `{each}`"), *host);
        }
        let reason = match &part.against {
            Against::Nothing(why) => Some((why.as_str(), 0)),
            Against::Majority(_) => Some(("a majority needs three hosts that report", LEAST_HOSTS)),
            _ => None,
        };
        let Some((why, least)) = reason else {
            return;
        };
        let is_few = |hosts: &&Vec<HostKey>| least == 0 || hosts.len() < least as usize;
        for host in current.iter().filter(is_few).flatten() {
            found.silent(why, *host);
        }
    }

    fn expectation(
        &self,
        part: &Part<'_>,
        expectation: &Expectation,
        found: &mut Found,
    ) -> Result<(), Error> {
        let key = self.fleet.key_of(&expectation.subject)?;
        let holdings = key.map(|key| self.fleet.holdings(key, usize::MAX));
        let holdings = holdings.transpose()?.unwrap_or_default();
        let hosts: HostSet = part.members.current.iter().flatten().copied().collect();
        let mut holding = HostSet::default();
        for (value, holders) in &holdings {
            let held: Vec<HostKey> = holders.both(&hosts).iter().collect();
            if held.is_empty() {
                continue;
            }
            holding.extend(&held);
            match expectation.judge(Some(&self.fleet.value(*value)?)) {
                Verdict::Holds => {}
                Verdict::Deviates => found.add((key, Some(*value), None), &held),
                Verdict::Unknown(why) => {
                    found.untold(&why, key, &held);
                }
            }
        }
        let missing = hosts.iter().filter(|host| !holding.contains(*host));
        for host in missing {
            if !self.fleet.tells_of(host, &expectation.subject)? {
                let why = not_told(&expectation.subject);
                found.untold(&why, key, &[host]);
            } else if expectation.judge(None) == Verdict::Deviates {
                found.add((key, None, None), &[host]);
            }
        }
        Ok(())
    }

    /// Goes through what all hosts have, subject by subject.
    fn scan(&self, part: &Part<'_>, found: &mut Found) -> Result<(), Error> {
        let mut open: Option<SubjectKey> = None;
        let mut holdings: Vec<(ValueKey, HostSet)> = Vec::new();
        let mut outcome = Ok(());
        self.fleet.each_holding(&mut |subject, value, hosts| {
            if let Some(done) = open.replace(subject).filter(|done| *done != subject) {
                let so_far = std::mem::replace(&mut outcome, Ok(()));
                outcome = so_far.and_then(|()| self.holdings(part, (done, &holdings), found));
                holdings.clear();
            }
            holdings.push((value, hosts.clone()));
        })?;
        outcome?;
        match open {
            Some(last) => self.holdings(part, (last, &holdings), found),
            None => Ok(()),
        }
    }

    fn holdings(
        &self,
        part: &Part<'_>,
        (subject, holdings): Holdings<'_>,
        found: &mut Found,
    ) -> Result<(), Error> {
        let (baseline, reference) = match &part.against {
            Against::Majority(baseline) => (*baseline, None),
            Against::Host(baseline, reference) => (*baseline, Some(*reference)),
            _ => return Ok(()),
        };
        for group in &part.groups {
            let expected = match reference {
                Some(reference) => holdings
                    .iter()
                    .find(|(_, holders)| holders.contains(reference))
                    .map(|(value, _)| *value),
                None => match usual(holdings, group) {
                    Some(Usual(usual)) => usual,
                    None => continue,
                },
            };
            let mut deviating = deviating(holdings, group, expected);
            if deviating.is_empty() {
                continue;
            }
            let named = self.fleet.subject(subject)?;
            if baseline.covers(&written(&named)) {
                let like = reference.or_else(|| first_of(holdings, expected, group));
                let named = (subject, &named, like);
                found.noise += self.noise(part, named, expected, &mut deviating)?;
                self.note((subject, named.1), expected, deviating, found)?;
            }
        }
        Ok(())
    }

    /// Takes out what is noise, held against the host that is as it should be: on how many hosts.
    fn noise(
        &self,
        part: &Part<'_>,
        (subject, named, like): (SubjectKey, &Subject, Option<HostKey>),
        expected: Option<ValueKey>,
        deviating: &mut Vec<Deviating>,
    ) -> Result<usize, Error> {
        let mut noise = 0;
        for (value, hosts) in std::mem::take(deviating) {
            let sides = (hosts[0], like.unwrap_or(hosts[0]));
            if self.is_noise(part, (subject, named), sides, [value, expected])? {
                noise += hosts.len();
            } else {
                deviating.push((value, hosts));
            }
        }
        Ok(noise)
    }

    /// Notes what deviates of one subject.
    fn note(
        &self,
        (subject, named): (SubjectKey, &Subject),
        expected: Option<ValueKey>,
        deviating: Vec<Deviating>,
        found: &mut Found,
    ) -> Result<(), Error> {
        for (value, hosts) in deviating {
            if value.is_some() {
                found.add((Some(subject), value, expected), &hosts);
            } else {
                self.missing((subject, named), expected, hosts, found)?;
            }
        }
        Ok(())
    }

    /// What is missing deviates where its host would tell of it.
    fn missing(
        &self,
        (subject, named): (SubjectKey, &Subject),
        expected: Option<ValueKey>,
        hosts: Vec<HostKey>,
        found: &mut Found,
    ) -> Result<(), Error> {
        for host in hosts {
            if self.fleet.tells_of(host, named)? {
                found.add((Some(subject), None, expected), &[host]);
            } else {
                found.untold(&not_told(named), Some(subject), &[host]);
            }
        }
        Ok(())
    }

    /// Holds a host against itself at a moment.
    fn moment(
        &self,
        (part, baseline): (&Part<'_>, &Baseline),
        (at, hosts): (Timestamp, Option<&HostSet>),
        (key, subjects): (HostKey, &[SubjectKey]),
        found: &mut Found,
    ) -> Result<(), Error> {
        let Some(host) = self.roster.host(key) else {
            return Ok(());
        };
        if hosts.is_some_and(|hosts| !hosts.contains(key)) {
            found.silent("it is not in the snapshot", key);
            return Ok(());
        }
        if at < host.begins {
            found.silent("its state at that moment is not known", key);
            return Ok(());
        }
        for subject in subjects {
            let value = |fact: Option<Fact>| fact.map(|fact| fact.value);
            let now = value(self.fleet.fact(key, *subject)?);
            let then = value(self.fleet.fact_at(key, *subject, at)?);
            if now == then {
                continue;
            }
            let named = self.fleet.subject(*subject)?;
            if !baseline.covers(&written(&named)) {
                continue;
            }
            if self.is_noise(part, (*subject, &named), (key, key), [now, then])? {
                found.noise += 1;
            } else {
                found.add((Some(*subject), now, then), &[key]);
            }
        }
        Ok(())
    }

    fn is_noise(
        &self,
        part: &Part<'_>,
        subject: (SubjectKey, &Subject),
        (one, other): (HostKey, HostKey),
        values: [Option<ValueKey>; 2],
    ) -> Result<bool, Error> {
        let (Some(one), Some(other)) = (self.roster.host(one), self.roster.host(other)) else {
            return Ok(false);
        };
        let value = |key: Option<ValueKey>| key.map(|key| self.fleet.value(key)).transpose();
        let values: [Option<FactValue>; 2] = [value(values[0])?, value(values[1])?];
        let values = values.each_ref().map(Option::as_ref);
        let own = [Own::of(self.fleet, one)?, Own::of(self.fleet, other)?];
        let why = part.noise.why(self.fleet, subject, &own, values)?;
        Ok(why.is_some())
    }
}

fn not_told(subject: &Subject) -> String {
    let kind = subject.kind;
    match kind {
        Kind::File => "nothing is known of files in that folder".to_owned(),
        _ => format!("nothing is known of subjects of the kind `{kind}`"),
    }
}

/// A subject as globs are matched with it.
pub(crate) fn written(subject: &Subject) -> String {
    format!("{}:{}", subject.kind, subject.key.to_lossy())
}
