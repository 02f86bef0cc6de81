//! Tallies: how many hosts of each of some sets have each value of a subject, and nothing of what no host has.

use super::Error;
use crate::fleet::{Fleet, HostSet, SubjectKey, ValueKey};

/// Counts the hosts of each set that have a value; none stands for having no value at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally<const SETS: usize> {
    pub(super) value: Option<ValueKey>,
    pub(super) counts: [u32; SETS],
}

/// Passes on the tallies of each subject of which not all hosts of the sets have the same value.
pub(super) fn each<const SETS: usize>(
    fleet: &dyn Fleet,
    sets: [&HostSet; SETS],
    pass_on: &mut dyn FnMut(SubjectKey, &[Tally<SETS>]),
) -> Result<(), Error> {
    all(fleet, sets, &mut |subject, tallies| {
        if tallies.len() > 1 {
            pass_on(subject, tallies);
        }
    })
}

/// Passes on the tallies of each subject of which any host of the sets has a value.
pub(super) fn all<const SETS: usize>(
    fleet: &dyn Fleet,
    sets: [&HostSet; SETS],
    pass_on: &mut dyn FnMut(SubjectKey, &[Tally<SETS>]),
) -> Result<(), Error> {
    let totals = sets.map(HostSet::len);
    let mut open = None;
    let mut tallies = Vec::new();
    fleet.each_holding(&mut |subject, value, hosts| {
        if let Some(done) = open.replace(subject).filter(|done| *done != subject) {
            finish(done, &mut tallies, totals, pass_on);
        }
        let counts = sets.map(|set| set.shared(hosts));
        if counts.iter().any(|count| *count > 0) {
            let value = Some(value);
            tallies.push(Tally { value, counts });
        }
    })?;
    if let Some(done) = open {
        finish(done, &mut tallies, totals, pass_on);
    }
    Ok(())
}

fn finish<const SETS: usize>(
    subject: SubjectKey,
    tallies: &mut Vec<Tally<SETS>>,
    totals: [u32; SETS],
    pass_on: &mut dyn FnMut(SubjectKey, &[Tally<SETS>]),
) {
    let mut missing = totals;
    for tally in tallies.iter() {
        for (left, count) in missing.iter_mut().zip(tally.counts) {
            *left -= count;
        }
    }
    if !tallies.is_empty() && missing.iter().any(|count| *count > 0) {
        let (value, counts) = (None, missing);
        tallies.push(Tally { value, counts });
    }
    if !tallies.is_empty() {
        pass_on(subject, tallies);
    }
    tallies.clear();
}
