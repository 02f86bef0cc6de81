//! Outliers: within a group, facts in which a few hosts deviate from the rest.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use change::{FactValue, Subject};
use serde::Serialize;

use super::tally::{self, Tally};
use super::{Error, HostBody, Opening, Roster, rank};
use crate::fleet::{Fleet, Host, HostKey, HostSet, SubjectKey};

/// What holds for a smaller part of a group is not how the group is.
const MAJORITY: f64 = 2.0 / 3.0;
/// So many facts are looked at closely.
const CANDIDATES: usize = 400;
/// A deviation tells of so many hosts by name.
const NAMED: usize = 10;
/// What only one value brings up (a file that one host has and no other) says less than a value that all others
/// have in common.
const EXTRA: f64 = 0.5;

/// Tells what deviates within a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outliers {
    /// How many hosts were compared.
    pub hosts: usize,
    /// Hosts of the group that were not, as their facts are not those of now.
    pub set_aside: Vec<HostBody>,
    /// What deviates, most telling first.
    pub outliers: Vec<Outlier>,
}

/// Tells of a fact in which few hosts deviate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlier {
    /// What it is.
    pub subject: Subject,
    /// The value that the others have; none where it is missing there.
    pub usual: Option<FactValue>,
    /// How many have it.
    pub usual_hosts: u32,
    /// The other values.
    pub deviations: Vec<Deviation>,
    /// How telling it is: the surprise in bits, less where only one host has a value, and for what is only more
    /// than others have.
    pub score: f64,
    /// Other facts in which exactly the same hosts deviate.
    pub also: Vec<Subject>,
}

/// Tells of a value that few hosts have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// The value; none where it is missing.
    pub value: Option<FactValue>,
    /// How many hosts have it.
    pub count: u32,
    /// The first of them.
    pub hosts: Vec<HostBody>,
    /// How the first of them came to it.
    pub opening: Option<Opening>,
}

/// A fact in which few hosts deviate, before anything is read of it.
struct Candidate {
    subject: SubjectKey,
    usual: Tally<1>,
    score: f64,
}

/// Finds what deviates in a group; at most so many facts.
pub fn outliers(
    fleet: &dyn Fleet,
    roster: &Roster,
    group: &[&Host],
    most: usize,
) -> Result<Outliers, Error> {
    let (current, aside): (Vec<&Host>, Vec<&Host>) =
        group.iter().partition(|host| roster.is_current(host));
    if current.len() < 3 {
        return Err(Error::TooFew {
            what: "finding outliers",
            least: 3,
            count: current.len(),
        });
    }
    let hosts: HostSet = current.iter().map(|host| host.key).collect();
    let mut candidates = Vec::new();
    tally::each(fleet, [&hosts], &mut |subject, tallies| {
        candidates.extend(candidate(subject, tallies, hosts.len()));
    })?;
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(CANDIDATES.max(most));
    let mut found = Vec::new();
    for candidate in candidates {
        found.push(closely(fleet, roster, &hosts, &candidate)?);
    }
    let mut outliers = fold(found);
    outliers.truncate(most);
    Ok(Outliers {
        hosts: current.len(),
        set_aside: aside.iter().map(|host| roster.body(host)).collect(),
        outliers,
    })
}

fn candidate(subject: SubjectKey, tallies: &[Tally<1>], hosts: u32) -> Option<Candidate> {
    let usual = *tallies.iter().max_by_key(|tally| tally.counts[0])?;
    let all = f64::from(hosts);
    let deviating = f64::from(hosts - usual.counts[0]);
    if f64::from(usual.counts[0]) < all * MAJORITY {
        return None;
    }
    let others = tallies.iter().filter(|tally| tally.value != usual.value);
    let agreeing = f64::from(others.map(|tally| tally.counts[0]).max()?);
    // One host can be so by accident, and each host is by some.
    let no_accident = agreeing / (agreeing + 1.0);
    let weight = if usual.value.is_none() { EXTRA } else { 1.0 };
    Some(Candidate {
        subject,
        usual,
        score: -(deviating / all).log2() * no_accident * weight,
    })
}

/// The hosts that deviate, and what is told of them.
type Found = (Vec<HostKey>, Outlier);

fn closely(
    fleet: &dyn Fleet,
    roster: &Roster,
    group: &HostSet,
    candidate: &Candidate,
) -> Result<Found, Error> {
    let Candidate {
        subject,
        usual,
        score,
    } = *candidate;
    let mut holding = HostSet::default();
    let mut values = Vec::new();
    for (value, hosts) in fleet.holdings(subject, usize::MAX)? {
        let hosts: Vec<HostKey> = hosts.both(group).iter().collect();
        holding.extend(&hosts);
        if !hosts.is_empty() && Some(value) != usual.value {
            values.push((Some(value), hosts));
        }
    }
    if usual.value.is_some() {
        let missing = group.iter().filter(|host| !holding.contains(*host));
        let missing: Vec<HostKey> = missing.collect();
        if !missing.is_empty() {
            values.push((None, missing));
        }
    }
    values.sort_by_key(|(_, hosts)| Reverse(hosts.len()));
    let mut deviating = Vec::new();
    let mut deviations = Vec::new();
    for (value, hosts) in values {
        let named = hosts.iter().take(NAMED);
        let opening = match hosts.first() {
            Some(first) => Opening::of_now(fleet, *first, subject)?,
            None => None,
        };
        deviations.push(Deviation {
            value: value.map(|value| fleet.value(value)).transpose()?,
            count: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
            hosts: named.filter_map(|host| roster.named(*host)).collect(),
            opening,
        });
        deviating.extend(hosts);
    }
    deviating.sort();
    let outlier = Outlier {
        subject: fleet.subject(subject)?,
        usual: usual.value.map(|value| fleet.value(value)).transpose()?,
        usual_hosts: usual.counts[0],
        deviations,
        score,
        also: Vec::new(),
    };
    Ok((deviating, outlier))
}

/// Tells facts in which the same hosts deviate by the one that explains most, and most telling first: of those
/// that are as telling as each other the newest.
fn fold(mut found: Vec<Found>) -> Vec<Outlier> {
    found.sort_by(|(_, a), (_, b)| {
        let of_subject = |outlier: &Outlier| (rank(outlier.subject.kind), outlier.subject.clone());
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| of_subject(a).cmp(&of_subject(b)))
    });
    let mut by_hosts: BTreeMap<Vec<HostKey>, usize> = BTreeMap::new();
    let mut outliers: Vec<Outlier> = Vec::new();
    for (hosts, outlier) in found {
        match by_hosts.entry(hosts) {
            Entry::Occupied(first) => outliers[*first.get()].also.push(outlier.subject),
            Entry::Vacant(new) => {
                new.insert(outliers.len());
                outliers.push(outlier);
            }
        }
    }
    let since = |outlier: &Outlier| {
        let openings = outlier
            .deviations
            .iter()
            .filter_map(|one| one.opening.as_ref());
        openings.filter_map(|opening| opening.since).max()
    };
    outliers.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| since(b).cmp(&since(a)))
    });
    outliers
}
