//! Explaining: which facts split bad hosts from good ones, since when and because of whom.
//!
//! A fact is scored by its symmetrical uncertainty with being bad (Press et al., *Numerical Recipes*, 14.4): what
//! knowing it tells of the side, against what there is to know of both. Information gain alone would put first
//! what is unique to each host, as a serial number tells everything of each host and nothing of the cause; the
//! entropy of the fact itself in the denominator is the penalty for that.

use change::{FactValue, Subject, Timestamp};
use serde::Serialize;

use super::tally::{self, Tally};
use super::{Chosen, Error, HostBody, Opening, Roster, rank};
use crate::fleet::{Fleet, Glimpse, HostKey, HostSet, SubjectKey, ValueKey};

/// So many facts are looked at closely.
const CANDIDATES: usize = 300;
/// Of each side so many values are told.
const VALUES: usize = 3;
/// What scores less tells nothing.
const LEAST: f64 = 0.05;

/// Tells which facts split two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The bad hosts.
    pub bad: Vec<HostBody>,
    /// The good hosts.
    pub good: Vec<HostBody>,
    /// Hosts of a label that are on no side, as their facts are not those of now.
    pub set_aside: Vec<HostBody>,
    /// The facts, the one that splits best first.
    pub splits: Vec<Split>,
}

/// Tells how a fact splits two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// What it is.
    pub subject: Subject,
    /// How well it splits, from 0 to 1.
    pub score: f64,
    /// What the bad hosts have, the most frequent first.
    pub bad: Vec<Held>,
    /// What the good hosts have.
    pub good: Vec<Held>,
    /// When the sides parted, by the change that made them; none where it was so before anybody watched.
    pub parted: Option<Timestamp>,
    /// The host on which that change was.
    pub on: Option<HostBody>,
    /// That change, and its run.
    pub opening: Option<Opening>,
    /// Files of this package that split the sides the same way.
    pub files: Vec<Subject>,
}

/// Tells how many hosts of a side have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The value; none where it is missing.
    pub value: Option<FactValue>,
    /// How many hosts have it.
    pub count: u32,
}

struct Candidate {
    subject: SubjectKey,
    score: f64,
    tallies: Vec<Tally<2>>,
}

/// Finds what splits bad hosts from good ones; at most so many facts.
pub fn explain(
    fleet: &dyn Fleet,
    roster: &Roster,
    chosen: [&Chosen<'_>; 2],
    most: usize,
) -> Result<Explanation, Error> {
    let sides = chosen.map(|chosen| chosen.hosts.as_slice());
    let [bad, good] = sides;
    for (side, what) in sides.into_iter().zip(["the bad side", "the good side"]) {
        if side.is_empty() {
            return Err(Error::TooFew {
                what,
                least: 1,
                count: 0,
            });
        }
    }
    if let Some(both) = bad
        .iter()
        .find(|host| good.iter().any(|other| other.key == host.key))
    {
        return Err(Error::BothSides(both.hostname.clone()));
    }
    let sets = sides.map(|side| side.iter().map(|host| host.key).collect::<HostSet>());
    let totals = sets.each_ref().map(HostSet::len);
    let mut candidates = Vec::new();
    tally::each(fleet, sets.each_ref(), &mut |subject, tallies| {
        let score = score(tallies, totals);
        if score >= LEAST {
            let tallies = tallies.to_vec();
            candidates.push(Candidate {
                subject,
                score,
                tallies,
            });
        }
    })?;
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(CANDIDATES.max(most));
    let mut splits = Vec::new();
    for candidate in candidates {
        splits.push(closely(fleet, roster, &sets, candidate)?);
    }
    let mut splits = fold(splits);
    splits.truncate(most);
    let aside = chosen.into_iter().flat_map(|chosen| &chosen.set_aside);
    Ok(Explanation {
        bad: bad.iter().map(|host| roster.body(host)).collect(),
        good: good.iter().map(|host| roster.body(host)).collect(),
        set_aside: aside.map(|host| roster.body(host)).collect(),
        splits,
    })
}

/// The symmetrical uncertainty of a fact and the side: 1 where each tells the other, 0 where neither does.
fn score(tallies: &[Tally<2>], totals: [u32; 2]) -> f64 {
    let all = f64::from(totals[0] + totals[1]);
    let side = entropy(totals, all);
    let fact = tallies.iter().map(|tally| {
        let share = f64::from(tally.counts[0] + tally.counts[1]) / all;
        (share, tally)
    });
    let (mut of_fact, mut left) = (0.0, 0.0);
    for (share, tally) in fact {
        of_fact -= share * share.log2();
        left += share * entropy(tally.counts, share * all);
    }
    2.0 * (side - left) / (side + of_fact)
}

fn entropy(counts: [u32; 2], all: f64) -> f64 {
    let part = |count: u32| {
        let share = f64::from(count) / all;
        if count == 0 {
            0.0
        } else {
            -share * share.log2()
        }
    };
    counts.map(part).iter().sum()
}

fn closely(
    fleet: &dyn Fleet,
    roster: &Roster,
    sets: &[HostSet; 2],
    candidate: Candidate,
) -> Result<Split, Error> {
    let Candidate {
        subject,
        score,
        tallies,
    } = candidate;
    let parting = parting(fleet, sets, subject, &tallies)?;
    let (on, opening) = parting.map_or((None, None), |(on, opening)| (Some(on), Some(opening)));
    Ok(Split {
        subject: fleet.subject(subject)?,
        score,
        bad: held(fleet, &tallies, 0)?,
        good: held(fleet, &tallies, 1)?,
        parted: opening.as_ref().and_then(|opening| opening.since),
        on: on.and_then(|on| roster.named(on)),
        opening,
        files: Vec::new(),
    })
}

/// What a side has, the most frequent first.
fn held(fleet: &dyn Fleet, tallies: &[Tally<2>], side: usize) -> Result<Vec<Held>, Error> {
    let mut on_side: Vec<_> = tallies
        .iter()
        .filter(|tally| tally.counts[side] > 0)
        .collect();
    on_side.sort_by_key(|tally| std::cmp::Reverse(tally.counts[side]));
    let told = on_side.iter().take(VALUES).map(|tally| {
        let value = tally.value.map(|value| fleet.value(value)).transpose()?;
        let count = tally.counts[side];
        Ok(Held { value, count })
    });
    told.collect()
}

/// The change that parted the sides: on each side the first one that brought what most there have, and of both
/// the later one, as until then they were not as they are now.
fn parting(
    fleet: &dyn Fleet,
    sets: &[HostSet; 2],
    subject: SubjectKey,
    tallies: &[Tally<2>],
) -> Result<Option<(HostKey, Opening)>, Error> {
    let mut parting: Option<(HostKey, Opening)> = None;
    for (side, set) in sets.iter().enumerate() {
        let most = tallies.iter().max_by_key(|tally| tally.counts[side]);
        let Some(first) = first_to_have(fleet, set, subject, most.and_then(|tally| tally.value))?
        else {
            continue;
        };
        if parting
            .as_ref()
            .is_none_or(|(_, known)| known.since < first.1.since)
        {
            parting = Some(first);
        }
    }
    Ok(parting)
}

/// The host of a set that was the first to be brought to a value, which it still has, by a change.
fn first_to_have(
    fleet: &dyn Fleet,
    set: &HostSet,
    subject: SubjectKey,
    value: Option<ValueKey>,
) -> Result<Option<(HostKey, Opening)>, Error> {
    for glimpse in fleet.history(subject)? {
        let Glimpse { host, seq, .. } = glimpse;
        if glimpse.after != value || !set.contains(host) {
            continue;
        }
        let brought = match fleet.fact(host, subject)? {
            Some(fact) => fact.seq == Some(seq),
            None => value.is_none(),
        };
        if brought {
            let change = fleet.change(host, seq)?;
            let opening = Opening::with(fleet, host, Some(glimpse.time), change)?;
            return Ok(Some((host, opening)));
        }
    }
    Ok(None)
}

/// Puts the best first, of equals what explains more and then what parted first; and files under the package that
/// brought them.
fn fold(mut splits: Vec<Split>) -> Vec<Split> {
    splits.sort_by(|a, b| {
        let after = |split: &Split| {
            let parted = split.parted.unwrap_or(Timestamp::MAX);
            (rank(split.subject.kind), parted, split.subject.clone())
        };
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| after(a).cmp(&after(b)))
    });
    let mut folded: Vec<Split> = Vec::new();
    for split in splits {
        let package = split.opening.as_ref().and_then(|opening| {
            let change = opening.change.as_ref()?;
            change.package.as_deref()
        });
        let owner = package.and_then(|package| {
            folded.iter_mut().find(|known| {
                known.subject.kind == change::Kind::Package
                    && known.subject.key.as_bytes() == package.as_bytes()
                    && known.score >= split.score
            })
        });
        match owner {
            Some(owner) => owner.files.push(split.subject),
            None => folded.push(split),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(counts: &[[u32; 2]]) -> f64 {
        let tally = |(value, counts): (i64, &[u32; 2])| Tally {
            value: Some(ValueKey(value)),
            counts: *counts,
        };
        let tallies: Vec<_> = (0..).zip(counts).map(tally).collect();
        let totals = [0, 1].map(|side| counts.iter().map(|counts| counts[side]).sum());
        score(&tallies, totals)
    }

    #[test]
    fn what_splits_both_sides_cleanly_scores_one_and_what_does_not_zero() {
        assert!((scored(&[[4, 0], [0, 5]]) - 1.0).abs() < 1e-9);
        assert!(scored(&[[2, 2], [2, 2]]).abs() < 1e-9);
    }

    #[test]
    fn what_is_unique_to_each_host_scores_below_what_nearly_splits() {
        let unique = scored(&[
            [1, 0],
            [1, 0],
            [1, 0],
            [1, 0],
            [0, 1],
            [0, 1],
            [0, 1],
            [0, 1],
            [0, 1],
        ]);
        let nearly = scored(&[[3, 0], [1, 5]]);
        let two_versions = scored(&[[2, 0], [2, 0], [0, 5]]);
        assert!(
            unique < nearly && nearly < two_versions,
            "{unique} {nearly} {two_versions}"
        );
        let one_in_many = scored(&[[1, 0], [99, 9_900]]);
        assert!(one_in_many < nearly, "{one_in_many}");
    }
}
