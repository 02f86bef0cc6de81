//! Judging: holds the facts of hosts against rules. For `drift` all of them at once; for events only those of a
//! subject that something has happened to, which costs as many values as it has and not as many hosts.

use change::{FactValue, Subject, Timestamp};

use crate::fleet::{Fact, Fleet, HostKey, HostSet, SubjectKey, ValueKey};
use crate::questions::{Error, Noise, Roster, Standing};
use crate::rules::{Baseline, Demand, Expectation, Like, Rule, Rules, Verdict};

/// A rule tells of no more deviations.
pub(crate) const MOST_DEVIATIONS: usize = 100_000;
/// What fewer hosts have in common is no majority.
const LEAST_HOSTS: u32 = 3;
const DAY_NS: i64 = 86_400_000_000_000;

/// Tells of a fact that is not as a rule wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation {
    pub(crate) host: HostKey,
    /// None where no host has ever told of it.
    pub(crate) subject: Option<SubjectKey>,
    /// The value; none where it is missing.
    pub(crate) value: Option<ValueKey>,
    /// What it is held against, where that is a value.
    pub(crate) expected: Option<ValueKey>,
}

/// What judging by one rule came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) deviations: Vec<Deviation>,
    /// Hosts of which it is not known, and why.
    pub(crate) unknown: Vec<(String, HostSet)>,
    /// So many facts deviate as those of any two hosts do.
    pub(crate) noise: usize,
}

/// Which hosts a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// Those whose facts are those of now, by subgroup.
    pub(crate) current: Vec<Vec<HostKey>>,
    /// The others, with how they stand.
    pub(crate) aside: Vec<(HostKey, Standing)>,
    /// Those that are in no subgroup.
    pub(crate) without_label: Vec<HostKey>,
}

/// What the hosts of a rule are held against.
enum Against<'a> {
    Expectation(&'a Expectation),
    Majority(&'a Baseline),
    Host(&'a Baseline, HostKey),
    Moment(&'a Baseline, Timestamp, Option<HostSet>),
    Nothing(String),
}

/// One rule, with what it takes to judge by it.
struct Part<'a> {
    rule: &'a Rule,
    members: Members,
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
            Ok(Part {
                rule,
                members: members(roster, rule),
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
        self.unknown(part, &mut found);
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
        self.unknown(part, &mut found);
        Ok(found)
    }

    /// Notes the hosts of which nothing can be said.
    fn unknown(&self, part: &Part<'_>, found: &mut Found) {
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
            note(&mut found.unknown, why, *host);
        }
        let each = part.rule.each.as_deref().unwrap_or_default();
        for host in without_label {
            note(
                &mut found.unknown,
                &format!("it has no label `{each}`"),
                *host,
            );
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
            note(&mut found.unknown, why, *host);
        }
    }

    fn expectation(
        &self,
        part: &Part<'_>,
        expectation: &Expectation,
        found: &mut Found,
    ) -> Result<(), Error> {
        let key = self.fleet.find_subject(&expectation.subject)?;
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
                Verdict::Deviates => found.add((key, Some(*value), None), held),
                Verdict::Unknown(why) => {
                    held.iter()
                        .for_each(|host| note(&mut found.unknown, &why, *host));
                }
            }
        }
        let missing = hosts.iter().filter(|host| !holding.contains(*host));
        for host in missing {
            if !self.fleet.tells_of(host, &expectation.subject)? {
                let why = not_told(&expectation.subject);
                note(&mut found.unknown, &why, host);
            } else if expectation.judge(None) == Verdict::Deviates {
                found.add((key, None, None), vec![host]);
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
                if outcome.is_ok() {
                    outcome = self.holdings(part, (done, &holdings), found);
                }
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
        for group in &part.members.current {
            let hosts: HostSet = group.iter().copied().collect();
            let expected = match reference {
                Some(reference) => holdings
                    .iter()
                    .find(|(_, holders)| holders.contains(reference))
                    .map(|(value, _)| *value),
                None => match usual(holdings, &hosts) {
                    Some(usual) => usual,
                    None => continue,
                },
            };
            let deviating = deviating(holdings, &hosts, expected);
            if deviating.is_empty() {
                continue;
            }
            let named = self.fleet.subject(subject)?;
            if !baseline.covers(&written(&named)) {
                continue;
            }
            for (value, hosts) in deviating {
                let like = reference.or_else(|| first_of(holdings, expected, group));
                let sides = (hosts[0], like.unwrap_or(hosts[0]));
                if self.is_noise(part, (subject, &named), sides, [value, expected])? {
                    found.noise += hosts.len();
                } else if value.is_some() {
                    found.add((Some(subject), value, expected), hosts);
                } else {
                    self.missing((subject, &named), expected, hosts, found)?;
                }
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
                found.add((Some(subject), None, expected), vec![host]);
            } else {
                note(&mut found.unknown, &not_told(named), host);
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
            note(&mut found.unknown, "it is not in the snapshot", key);
            return Ok(());
        }
        if at < host.begins {
            note(
                &mut found.unknown,
                "its state at that moment is not known",
                key,
            );
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
                found.add((Some(*subject), now, then), vec![key]);
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
        Ok(part
            .noise
            .why(self.fleet, subject, [one, other], values)?
            .is_some())
    }
}

impl Found {
    fn add(
        &mut self,
        (subject, value, expected): (Option<SubjectKey>, Option<ValueKey>, Option<ValueKey>),
        hosts: Vec<HostKey>,
    ) {
        let room = MOST_DEVIATIONS.saturating_sub(self.deviations.len());
        let deviation = |host| Deviation {
            host,
            subject,
            value,
            expected,
        };
        let mut hosts = hosts.into_iter();
        self.deviations
            .extend(hosts.by_ref().take(room).map(deviation));
        let why =
            format!("it has more than the {MOST_DEVIATIONS} deviations that are told of a rule");
        hosts.for_each(|host| note(&mut self.unknown, &why, host));
    }
}

fn note(unknown: &mut Vec<(String, HostSet)>, why: &str, host: HostKey) {
    match unknown.iter_mut().find(|(known, _)| known == why) {
        Some((_, hosts)) => hosts.insert(host),
        None => unknown.push((why.to_owned(), [host].into_iter().collect())),
    }
}

fn not_told(subject: &Subject) -> String {
    let kind = subject.kind;
    match kind {
        change::Kind::File => "nothing is known of files in that folder".to_owned(),
        _ => format!("nothing is known of subjects of the kind `{kind}`"),
    }
}

/// A subject as globs are matched with it.
pub(crate) fn written(subject: &Subject) -> String {
    format!("{}:{}", subject.kind, subject.key.to_lossy())
}

fn members(roster: &Roster, rule: &Rule) -> Members {
    let mut members = Members::default();
    let mut subgroups = std::collections::BTreeMap::<&str, Vec<HostKey>>::new();
    let hosts = roster.all().iter();
    let hosts = hosts.filter(|host| host.replaced_by.is_none() && rule.on.matches(host));
    for host in hosts {
        let subgroup = match &rule.each {
            Some(each) => host.labels.get(each).map(String::as_str),
            None => Some(""),
        };
        match subgroup {
            _ if !roster.is_current(host) => {
                members.aside.push((host.key, roster.standing(host)));
            }
            Some(value) => subgroups.entry(value).or_default().push(host.key),
            None => members.without_label.push(host.key),
        }
    }
    members.current = subgroups.into_values().collect();
    members
}

fn against<'a>(
    (fleet, roster): (&dyn Fleet, &Roster),
    rule: &'a Rule,
    now: Timestamp,
) -> Result<Against<'a>, Error> {
    let baseline = match &rule.demand {
        Demand::Expect(expectation) => return Ok(Against::Expectation(expectation)),
        Demand::Like(baseline) => baseline,
    };
    Ok(match &baseline.like {
        Like::Majority => Against::Majority(baseline),
        Like::Yesterday => Against::Moment(baseline, now.plus_nanos(-DAY_NS), None),
        Like::Moment(at) => Against::Moment(baseline, *at, None),
        Like::Host(name) => match roster.find(name) {
            Ok(host) if roster.is_current(host) => Against::Host(baseline, host.key),
            Ok(_) => Against::Nothing(format!("the facts of `{name}` are not those of now")),
            Err(error) => Against::Nothing(error.to_string()),
        },
        Like::Snapshot(name) => {
            let found = fleet.snapshots()?.into_iter().find(|one| one.name == *name);
            match found {
                Some(snapshot) => Against::Moment(baseline, snapshot.at, Some(snapshot.hosts)),
                None => Against::Nothing(format!("there is no snapshot `{name}`")),
            }
        }
    })
}

/// What two thirds of the hosts have: a value, or none at all. None where they agree on nothing.
fn usual(holdings: &[(ValueKey, HostSet)], hosts: &HostSet) -> Option<Option<ValueKey>> {
    let all = hosts.len();
    let counts = holdings
        .iter()
        .map(|(value, holders)| (Some(*value), holders.shared(hosts)));
    let counts: Vec<_> = counts.collect();
    let missing = all - counts.iter().map(|(_, count)| count).sum::<u32>().min(all);
    let most = counts
        .into_iter()
        .chain([(None, missing)])
        .max_by_key(|(_, count)| *count);
    let (value, count) = most?;
    (all >= LEAST_HOSTS && count * 3 >= all * 2).then_some(value)
}

/// The hosts that do not have what is expected, by what they have.
fn deviating(
    holdings: &[(ValueKey, HostSet)],
    hosts: &HostSet,
    expected: Option<ValueKey>,
) -> Vec<(Option<ValueKey>, Vec<HostKey>)> {
    let mut holding = HostSet::default();
    let mut found = Vec::new();
    for (value, holders) in holdings {
        let held = holders.both(hosts);
        let held: Vec<HostKey> = held.iter().collect();
        holding.extend(&held);
        if Some(*value) != expected && !held.is_empty() {
            found.push((Some(*value), held));
        }
    }
    if expected.is_some() {
        let missing = hosts.iter().filter(|host| !holding.contains(*host));
        let missing: Vec<HostKey> = missing.collect();
        if !missing.is_empty() {
            found.push((None, missing));
        }
    }
    found
}

fn first_of(
    holdings: &[(ValueKey, HostSet)],
    value: Option<ValueKey>,
    group: &[HostKey],
) -> Option<HostKey> {
    let (_, holders) = holdings.iter().find(|(held, _)| Some(*held) == value)?;
    group.iter().copied().find(|host| holders.contains(*host))
}
