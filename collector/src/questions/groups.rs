//! Comparing groups: what most hosts of the one have otherwise than most hosts of the other.

use std::collections::BTreeMap;

use change::{Subject, Timestamp};
use serde::Serialize;

use super::tally::{self, Tally};
use super::{Error, Held, HostBody, Noise, Opening, Roster, rank, refuse_removed};
use crate::fleet::{Fact, Fleet, Host, HostKey, HostSet, SubjectKey, ValueKey};
use crate::selector::Selector;

/// What holds for a smaller part of a group is not how the group is; the same as for outliers.
const MAJORITY: f64 = 2.0 / 3.0;
/// Of each side so many values are told.
const VALUES: usize = 3;

/// One side of a comparison: the hosts that a name stands for, now or at a moment.
pub struct GroupSide<'a> {
    name: String,
    hosts: Vec<&'a Host>,
    set_aside: Vec<&'a Host>,
    at: Option<Timestamp>,
}

impl<'a> GroupSide<'a> {
    /// The hosts that are to be compared: of a group those whose facts are those of now, or were known at the moment.
    /// A host that is named is there however it stands.
    pub fn new(
        fleet: &dyn Fleet,
        roster: &'a Roster,
        (name, at): (&str, Option<Timestamp>),
    ) -> Result<Self, Error> {
        if let Some(at) = at {
            refuse_removed(fleet, at)?;
        }
        let is_group = Selector::is_one(name);
        let hosts = if is_group {
            roster.group(name)?
        } else {
            vec![roster.find(name)?]
        };
        let is_known = |host: &&Host| match at {
            Some(at) => host.begins <= at,
            None => !is_group || roster.is_current(host),
        };
        let (hosts, set_aside): (Vec<_>, Vec<_>) = hosts.into_iter().partition(is_known);
        if hosts.is_empty() {
            return Err(Error::TooFew {
                what: "comparing a group",
                least: 1,
                count: 0,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            hosts,
            set_aside,
            at,
        })
    }

    /// This group without the host that it is compared with, where that is one.
    #[must_use]
    pub fn beside(mut self, other: &Self) -> Self {
        if let [host] = other.hosts.as_slice()
            && self.hosts.len() > 1
        {
            self.hosts.retain(|own| own.key != host.key);
        }
        self
    }

    fn keys(&self) -> HostSet {
        self.hosts.iter().map(|host| host.key).collect()
    }

    fn body(&self, roster: &Roster) -> SideBody {
        SideBody {
            name: self.name.clone(),
            hosts: self.hosts.len(),
            set_aside: self
                .set_aside
                .iter()
                .map(|host| roster.body(host))
                .collect(),
            at: self.at,
        }
    }
}

/// Tells who is on a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideBody {
    /// What was asked for.
    pub name: String,
    /// How many hosts are compared.
    pub hosts: usize,
    /// Hosts that are not, as their facts are not those of now or were not known yet.
    pub set_aside: Vec<HostBody>,
    /// The moment; none is now.
    pub at: Option<Timestamp>,
}

/// Tells what is different between two groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupComparison {
    /// Both sides.
    pub sides: [SideBody; 2],
    /// How many hosts are on both.
    pub shared: u32,
    /// In how many facts most hosts of both sides agree.
    pub same: usize,
    /// In how many facts a side does not agree with itself.
    pub mixed: usize,
    /// What most of the one have otherwise than most of the other, with what explains most first, and noise last.
    pub differences: Vec<GroupDifference>,
}

/// Tells of a subject of which both sides have another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupDifference {
    /// What it is.
    pub subject: Subject,
    /// What the hosts of each side have, the most frequent first.
    pub values: [Vec<Held>; 2],
    /// How the first host of each side came to what most there have; none where it was always missing, or is missing
    /// at a past moment.
    pub openings: [Option<Opening>; 2],
    /// Why it says nothing, where it does not.
    pub noise: Option<String>,
}

/// The values of a subject and how many hosts of each side have them.
struct Tallied {
    subject: SubjectKey,
    tallies: Vec<Tally<2>>,
    usual: [Option<ValueKey>; 2],
}

/// What the two sides have, counted.
#[derive(Default)]
struct Counted {
    same: usize,
    mixed: usize,
    differing: Vec<Tallied>,
}

impl Counted {
    fn add(&mut self, subject: SubjectKey, tallies: &[Tally<2>], totals: [u32; 2]) {
        let usual = [0, 1].map(|side| {
            let most = tallies.iter().max_by_key(|tally| tally.counts[side])?;
            let is_usual = f64::from(most.counts[side]) >= f64::from(totals[side]) * MAJORITY;
            is_usual.then_some(most.value)
        });
        match usual {
            [Some(one), Some(other)] if one == other => self.same += 1,
            [Some(one), Some(other)] => self.differing.push(Tallied {
                subject,
                tallies: tallies.to_vec(),
                usual: [one, other],
            }),
            _ => self.mixed += 1,
        }
    }
}

/// Compares two groups, a host with a group, or a group with what it was.
pub fn compare_groups(
    fleet: &dyn Fleet,
    roster: &Roster,
    sides: &[GroupSide<'_>; 2],
    noise: &Noise,
) -> Result<GroupComparison, Error> {
    let sets = sides.each_ref().map(GroupSide::keys);
    let totals = sets.each_ref().map(HostSet::len);
    let mut counted = Counted::default();
    let mut then = None;
    if sides.iter().all(|side| side.at.is_none()) {
        tally::all(fleet, sets.each_ref(), &mut |subject, tallies| {
            counted.add(subject, tallies, totals);
        })?;
    } else {
        let read = Then::read(fleet, sides)?;
        read.each(totals, &mut |subject, tallies| {
            counted.add(subject, tallies, totals);
        });
        then = Some(read);
    }
    let mut differences = Vec::new();
    for tallied in &counted.differing {
        let openings = [0, 1].map(|side| match &then {
            Some(then) => then.opening(fleet, tallied, side),
            None => opening_now(fleet, tallied, (&sets[side], side)),
        });
        let [one, other] = openings;
        differences.push(closely(fleet, tallied, [one?, other?], noise)?);
    }
    differences.sort_by_cached_key(|difference| {
        let GroupDifference { subject, noise, .. } = difference;
        (noise.is_some(), rank(subject.kind), subject.clone())
    });
    Ok(GroupComparison {
        sides: sides.each_ref().map(|side| side.body(roster)),
        shared: sets[0].shared(&sets[1]),
        same: counted.same,
        mixed: counted.mixed,
        differences,
    })
}

fn closely(
    fleet: &dyn Fleet,
    tallied: &Tallied,
    openings: [Option<Opening>; 2],
    noise: &Noise,
) -> Result<GroupDifference, Error> {
    let held = |side: usize| {
        let all = tallied.tallies.iter();
        let mut on_side: Vec<_> = all.filter(|tally| tally.counts[side] > 0).collect();
        on_side.sort_by_key(|tally| std::cmp::Reverse(tally.counts[side]));
        let told = on_side.iter().take(VALUES).map(|tally| {
            let value = tally.value.map(|value| fleet.value(value)).transpose()?;
            Ok(Held {
                value,
                count: tally.counts[side],
            })
        });
        told.collect::<Result<Vec<_>, Error>>()
    };
    let subject = fleet.subject(tallied.subject)?;
    Ok(GroupDifference {
        values: [held(0)?, held(1)?],
        openings,
        noise: noise.by_rule(&subject),
        subject,
    })
}

/// How the first host of a side that has what most have came to it.
fn opening_now(
    fleet: &dyn Fleet,
    tallied: &Tallied,
    (hosts, side): (&HostSet, usize),
) -> Result<Option<Opening>, Error> {
    let mut having = HostSet::default();
    let mut first = None;
    for (value, holders) in fleet.holdings(tallied.subject, usize::MAX)? {
        let own: Vec<_> = holders.both(hosts).iter().collect();
        having.extend(&own);
        if Some(value) == tallied.usual[side] {
            first = own.first().copied();
        }
    }
    if tallied.usual[side].is_none() {
        first = hosts.iter().find(|host| !having.contains(*host));
    }
    let opening = first.map(|host| Opening::of_now(fleet, host, tallied.subject));
    Ok(opening.transpose()?.flatten())
}

/// How many hosts of a side have a value, and the first of them with its fact.
type Having = (u32, Option<(HostKey, Fact)>);

/// What hosts had at past moments, on both sides.
#[derive(Default)]
struct Then(BTreeMap<(SubjectKey, ValueKey), [Having; 2]>);

impl Then {
    fn read(fleet: &dyn Fleet, sides: &[GroupSide<'_>; 2]) -> Result<Self, Error> {
        let mut then = Self::default();
        for (place, side) in sides.iter().enumerate() {
            for host in &side.hosts {
                let facts = fleet.facts(host.key, side.at)?.into_iter();
                facts.for_each(|fact| then.add(place, (host.key, fact)));
            }
        }
        Ok(then)
    }

    fn add(&mut self, side: usize, (host, fact): (HostKey, Fact)) {
        let of_both = self.0.entry((fact.subject, fact.value)).or_default();
        let (count, first) = &mut of_both[side];
        *count += 1;
        first.get_or_insert((host, fact));
    }

    fn each(&self, totals: [u32; 2], pass_on: &mut dyn FnMut(SubjectKey, &[Tally<2>])) {
        let mut left = self.0.iter().peekable();
        while let Some(((subject, _), _)) = left.peek().copied() {
            let mut missing = totals;
            let mut tallies = Vec::new();
            while let Some(((_, value), of_both)) = left.next_if(|((next, _), _)| next == subject) {
                let counts = of_both.each_ref().map(|(count, _)| *count);
                missing = [0, 1].map(|side| missing[side] - counts[side]);
                tallies.push(Tally {
                    value: Some(*value),
                    counts,
                });
            }
            if missing != [0, 0] {
                tallies.push(Tally {
                    value: None,
                    counts: missing,
                });
            }
            pass_on(*subject, &tallies);
        }
    }

    fn opening(
        &self,
        fleet: &dyn Fleet,
        tallied: &Tallied,
        side: usize,
    ) -> Result<Option<Opening>, Error> {
        let key = tallied.usual[side].map(|value| (tallied.subject, value));
        let of_both = key.and_then(|key| self.0.get(&key));
        let first = of_both.and_then(|of_both| of_both[side].1);
        first
            .map(|(host, fact)| Opening::of(fleet, host, &fact))
            .transpose()
    }
}
