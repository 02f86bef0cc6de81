//! Comparing: what is different between two hosts, or between two moments of one.

use change::{FactValue, Subject, Timestamp};
use serde::Serialize;
use similar::TextDiff;

use super::noise::{self, Own};
use super::{Error, HostBody, Noise, Opening, Roster, rank, refuse_unknown};
use crate::fleet::{Fact, Fleet, Host, SubjectKey};

/// Larger texts are told to differ and not how: the diff of two that have nothing in common takes long.
const LONGEST_TEXT: usize = 256 << 10;

/// One side of a comparison: a host, now or at a moment.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The host.
    pub host: &'a Host,
    /// The moment; none is now.
    pub at: Option<Timestamp>,
}

/// Tells what is different between two sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The hosts of both sides.
    pub hosts: [HostBody; 2],
    /// The moments of both sides; none is now.
    pub at: [Option<Timestamp>; 2],
    /// How many facts are the same.
    pub same: usize,
    /// What is not, with what explains most first, and noise last.
    pub differences: Vec<Difference>,
}

/// Tells of a subject whose facts are not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub subject: Subject,
    /// The value on each side; none where it is missing.
    pub values: [Option<FactValue>; 2],
    /// How each side came to it; none where it was always missing, or is missing at a past moment.
    pub openings: [Option<Opening>; 2],
    /// Of a file a unified diff, where both contents are here.
    pub diff: Option<String>,
    /// Why it says nothing, where it does not.
    pub noise: Option<String>,
}

/// Compares two hosts, or one host at two moments.
pub fn compare(
    fleet: &dyn Fleet,
    roster: &Roster,
    sides: [Side<'_>; 2],
    noise: &Noise,
) -> Result<Comparison, Error> {
    for Side { host, at } in sides {
        refuse_unknown(fleet, host, at)?;
    }
    let own = [
        Own::of(fleet, sides[0].host)?,
        Own::of(fleet, sides[1].host)?,
    ];
    let [one, other] = sides;
    let facts = [
        fleet.facts(one.host.key, one.at)?,
        fleet.facts(other.host.key, other.at)?,
    ];
    let mut same = 0;
    let mut differences = Vec::new();
    for pair in pairs(&facts) {
        let values = pair.map(|fact| fact.map(|fact| fact.value));
        if values[0] == values[1] {
            same += 1;
        } else {
            differences.push(difference(fleet, (sides, &own), pair, noise)?);
        }
    }
    differences.sort_by_cached_key(|difference| {
        let Difference { subject, noise, .. } = difference;
        (noise.is_some(), rank(subject.kind), subject.clone())
    });
    Ok(Comparison {
        hosts: sides.map(|side| roster.body(side.host)),
        at: sides.map(|side| side.at),
        same,
        differences,
    })
}

/// The facts of both sides by their subjects, in whose order they are.
fn pairs(facts: &[Vec<Fact>; 2]) -> impl Iterator<Item = [Option<&Fact>; 2]> {
    let [mut one, mut other] = facts.each_ref().map(|facts| facts.iter().peekable());
    std::iter::from_fn(move || {
        let subjects = [one.peek(), other.peek()].map(|fact| fact.map(|fact| fact.subject));
        let first = subjects.into_iter().flatten().min()?;
        Some([
            one.next_if(|fact| fact.subject == first),
            other.next_if(|fact| fact.subject == first),
        ])
    })
}

fn difference(
    fleet: &dyn Fleet,
    (sides, own): ([Side<'_>; 2], &[Own<'_>; 2]),
    pair: [Option<&Fact>; 2],
    noise: &Noise,
) -> Result<Difference, Error> {
    let key = pair.into_iter().flatten().map(|fact| fact.subject).next();
    let key = key.unwrap_or(SubjectKey(0));
    let subject = fleet.subject(key)?;
    let value = |fact: Option<&Fact>| fact.map(|fact| fleet.value(fact.value)).transpose();
    let values = [value(pair[0])?, value(pair[1])?];
    let of_both = values.each_ref().map(Option::as_ref);
    let noise = noise.why(fleet, (key, &subject), own, of_both)?;
    let opening = |side: Side<'_>, fact: Option<&Fact>| match fact {
        Some(fact) => Opening::of(fleet, side.host.key, fact).map(Some),
        None if side.at.is_none() => Opening::of_nothing(fleet, side.host.key, key),
        None => Ok(None),
    };
    Ok(Difference {
        openings: [opening(sides[0], pair[0])?, opening(sides[1], pair[1])?],
        diff: diff(fleet, of_both)?,
        subject,
        values,
        noise,
    })
}

/// A unified diff of two files' contents, where both are here.
fn diff(fleet: &dyn Fleet, values: [Option<&FactValue>; 2]) -> Result<Option<String>, Error> {
    let [Some(FactValue::File(one)), Some(FactValue::File(other))] = values else {
        return Ok(None);
    };
    if one.hash == other.hash || one.size.max(other.size) > LONGEST_TEXT as u64 {
        return Ok(None);
    }
    let [Some(one), Some(other)] = [noise::text(fleet, one)?, noise::text(fleet, other)?] else {
        return Ok(None);
    };
    let diff = TextDiff::from_lines(&one, &other);
    Ok(Some(diff.unified_diff().context_radius(3).to_string()))
}
