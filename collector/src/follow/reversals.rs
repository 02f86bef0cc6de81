//! Reversals: automation that takes back what a person did, and a person who takes back what automation did.

use std::collections::{BTreeSet, HashMap};

use change::{Author, FactValue, Timestamp};

use super::Error;
use crate::fleet::{Fleet as _, HostKey, Reversal, SubjectKey, ValueKey, Way};
use crate::store::{Logged, Reader};

/// What was done in more steps is told by the last of so many.
const MOST_STEPS: usize = 16;

/// What happened to the subjects of those changes that may take something back before each of them, by host and number.
/// The `people` have changed something there before all of the changes.
pub(super) fn earlier(
    reader: &Reader,
    (changes, people): (&[Logged], &BTreeSet<(HostKey, SubjectKey)>),
    since: impl Fn(&Logged) -> Timestamp,
) -> Result<HashMap<(HostKey, u64), Vec<Logged>>, Error> {
    let place = |change: &Logged| (change.host, change.subject);
    let by_people = changes
        .iter()
        .filter(|change| change.author == Some(Author::Human));
    let by_people: BTreeSet<_> = by_people.map(place).collect();
    let may_reverse = changes.iter().filter(|change| {
        let place = place(change);
        let is_peoples = by_people.contains(&place) || people.contains(&place);
        is_peoples && would_reverse(change).is_some()
    });
    let asked: Vec<_> = may_reverse.map(|change| (change, since(change))).collect();
    let found = reader.earlier(&asked, MOST_STEPS)?;
    let keys = asked.iter().map(|(change, _)| (change.host, change.seq));
    Ok(keys.zip(found).collect())
}

/// Whose work a change would take back, if it takes back any.
fn would_reverse(change: &Logged) -> Option<Author> {
    let is_other = !change.is_rename && change.before != change.after;
    opposite(change.author).filter(|_| is_other)
}

/// The change that another one takes back, if it does: within a time, and without anybody else in between. What was
/// [`earlier`] is given.
///
/// What automation puts in the place of a person's work is told in any case; a person who works on what automation
/// has written only where all is as before, as people have that right.
pub(super) fn reversal(
    reader: &Reader,
    change: &Logged,
    earlier: &[Logged],
) -> Result<Option<Reversal>, Error> {
    let Some(other) = would_reverse(change) else {
        return Ok(None);
    };
    let steps = earlier
        .iter()
        .take_while(|step| step.author == Some(other) && !step.is_rename);
    let steps: Vec<&Logged> = steps.collect();
    let mut found = None;
    for step in &steps {
        if is_same(reader, step.before, change.after)? {
            found = Some((step.seq, Way::Undone));
        }
    }
    let overwritten = steps.first().filter(|_| other == Author::Human);
    let overwritten = overwritten.map(|step| (step.seq, Way::Overwritten));
    Ok(found.or(overwritten).map(|(undone, way)| Reversal {
        host: change.host,
        seq: change.seq,
        undone,
        time: change.time,
        way,
    }))
}

/// Package managers do what either of them asks for, and are neither.
fn opposite(author: Option<Author>) -> Option<Author> {
    match author? {
        Author::Human => Some(Author::Automation),
        Author::Automation => Some(Author::Human),
        Author::PackageManager => None,
    }
}

/// Whether two values are the same: of files it is their contents that count.
fn is_same(reader: &Reader, one: Option<ValueKey>, other: Option<ValueKey>) -> Result<bool, Error> {
    if one == other {
        return Ok(true);
    }
    let (Some(one), Some(other)) = (one, other) else {
        return Ok(false);
    };
    Ok(match (reader.value(one)?, reader.value(other)?) {
        (FactValue::File(one), FactValue::File(other)) => {
            one.hash.is_some() && one.hash == other.hash
        }
        _ => false,
    })
}
