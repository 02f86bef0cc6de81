//! Reversals: automation that takes back what a person did, and a person who takes back what automation did.

use change::{Author, FactValue, Timestamp};

use super::Error;
use crate::fleet::{Fleet as _, Reversal, ValueKey, Way};
use crate::store::{Logged, Reader};

/// What was done in more steps is told by the last of so many.
const MOST_STEPS: usize = 16;

/// The change that another one takes back, if it does: within a time, and without anybody else in between.
///
/// What automation puts in the place of a person's work is told in any case; a person who works on what automation
/// has written only where all is as before, as people have that right.
pub(super) fn reversal(
    reader: &Reader,
    change: &Logged,
    since: Timestamp,
) -> Result<Option<Reversal>, Error> {
    let Some(other) = opposite(change.author) else {
        return Ok(None);
    };
    if change.is_rename || change.before == change.after {
        return Ok(None);
    }
    let earlier = reader.earlier(change, since, MOST_STEPS)?;
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
