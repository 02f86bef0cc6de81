//! Facts of an inventory: what differs from what was believed is a change for each.

use std::collections::{BTreeMap, BTreeSet};

use change::{Certainty, Change, FactValue, Note, Subject, Text, Timestamp};

use super::Conclude;
use super::ledger::Draft;
use crate::enrich::By;
use crate::inventory::{Facts, Source};
use crate::store::{self, Fact};

/// How many facts are asked for at once.
const PAGE: usize = 512;

/// Says what made somebody look at a source.
pub enum Cause {
    /// Its database was written just now.
    Written {
        /// When.
        time: Timestamp,
        /// By whom, if that is known.
        by: Option<By>,
        /// What a reader should know besides.
        notes: Vec<Note>,
    },
    /// It is compared with the store.
    Compared {
        /// When.
        now: Timestamp,
        /// Until when the record was complete; none at the very first start.
        complete_until: Option<Timestamp>,
        /// When all that differs had happened at the latest.
        at_latest: Timestamp,
    },
}

impl Cause {
    fn time(&self) -> Timestamp {
        match self {
            Self::Written { time, .. } => *time,
            Self::Compared { now, .. } => *now,
        }
    }
}

impl Conclude {
    /// Takes in what a source says now, of all its facts or `only` of some: other differences are of other
    /// causes. Tells how many facts have changed.
    pub fn inventory(
        &mut self,
        source: Source,
        found: Facts,
        only: Option<&BTreeSet<Text>>,
        cause: &Cause,
    ) -> Result<usize, store::Error> {
        let was_read = self.believed.contains_key(&source);
        let believed = match self.believed.remove(&source) {
            Some(believed) => believed,
            None => self.stored(source)?,
        };
        // A store that knows not one of them is taken for one from before they were read.
        let is_first = !was_read && believed.is_empty();
        if is_first && only.is_some() {
            // One of them is not all: the first look at all of them comes.
            return Ok(0);
        }
        let changed = match only {
            Some(keys) => differences_of(keys.iter(), &believed, &found),
            None => differences(&believed, &found),
        };
        for (key, before, after) in &changed {
            let subject = Subject {
                kind: source.kind(),
                key: key.clone(),
            };
            self.ledger.set_value(Fact {
                subject: subject.clone(),
                value: after.clone(),
                identity: None,
                time: cause.time(),
            });
            let op = source.op(before.as_ref(), after.as_ref());
            let Some(op) = op.filter(|_| !is_first) else {
                continue;
            };
            let draft = Draft::of_value(cause.time(), key.clone(), op, cause.by());
            let change = Change {
                subject,
                before: before.clone(),
                after: after.clone(),
                ..self.ledger.change(draft)
            };
            self.ledger.tell_value(cause.certainly(change));
        }
        let count = changed.len();
        let now = match only {
            Some(_) => with_changes(believed, changed),
            None => found,
        };
        self.believed.insert(source, now);
        Ok(count)
    }

    /// The keys of a source's facts that begin with a prefix: of those that are believed, and of those that
    /// were found.
    pub fn keys_from(
        &mut self,
        source: Source,
        prefix: &Text,
        found: &Facts,
    ) -> Result<BTreeSet<Text>, store::Error> {
        let is_of_it = |key: &&Text| key.as_bytes().starts_with(prefix.as_bytes());
        let believed = self.believe(source)?.keys();
        Ok(believed
            .chain(found.keys())
            .filter(is_of_it)
            .cloned()
            .collect())
    }

    /// What of a source differs from what is believed, with the value now.
    pub fn differing(
        &mut self,
        source: Source,
        found: &Facts,
    ) -> Result<BTreeMap<Text, Option<FactValue>>, store::Error> {
        let differing = differences(self.believe(source)?, found).into_iter();
        Ok(differing.map(|(key, _, now)| (key, now)).collect())
    }

    /// A source was read from the one time to the other, and all that differed is told.
    pub fn note_compared(&mut self, source: Source, during: [Timestamp; 2]) {
        self.compared_at.insert(source, during);
    }

    /// From when until when a source was read that was compared with the facts last, since the daemon
    /// started.
    pub fn compared_at(&self, source: Source) -> Option<[Timestamp; 2]> {
        self.compared_at.get(&source).copied()
    }

    /// What of a source has another value than the one that is believed.
    pub fn with_other_value(
        &mut self,
        source: Source,
        found: &Facts,
    ) -> Result<Facts, store::Error> {
        let believed = self.believe(source)?;
        let is_other = |key: &Text, value: &FactValue| {
            believed.get(key).is_some_and(|believed| believed != value)
        };
        let differing = found.iter().filter(|(key, value)| is_other(key, value));
        Ok(differing
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    /// Puts what is believed in the place of what was found.
    pub fn put_back(&self, source: Source, keys: &Facts, found: &mut Facts) {
        let Some(believed) = self.believed.get(&source) else {
            return;
        };
        for key in keys.keys() {
            let value = believed.get(key).cloned();
            found.extend(value.map(|value| (key.clone(), value)));
        }
    }

    /// Whether anything is known of a source.
    pub fn has_read(&self, source: Source) -> Result<bool, store::Error> {
        let is_known = self.believed.contains_key(&source);
        Ok(is_known || !self.stored(source)?.is_empty())
    }

    /// What the store has of a source.
    pub(super) fn stored(&self, source: Source) -> Result<Facts, store::Error> {
        let mut stored = self.ledger.stored_of(source.kind(), PAGE)?;
        stored.retain(|key, _| source.owns(key));
        Ok(stored)
    }
}

impl Cause {
    fn by(&self) -> Option<By> {
        match self {
            Self::Written { by, .. } => by.clone(),
            Self::Compared { .. } => None,
        }
    }

    /// The change as certain as its cause makes it.
    fn certainly(&self, change: Change) -> Change {
        match self {
            Self::Written { notes, .. } => Change {
                notes: notes.clone(),
                ..change
            },
            Self::Compared {
                now: _,
                complete_until,
                at_latest,
            } => Change {
                certainty: Certainty::Late,
                between: Some(interval(*complete_until, *at_latest)),
                ..change
            },
        }
    }
}

/// When something happened, at the earliest and at the latest.
fn interval(complete_until: Option<Timestamp>, at_latest: Timestamp) -> [Timestamp; 2] {
    // The clock may have been wrong until something set it after the boot.
    [
        complete_until.unwrap_or(at_latest).min(at_latest),
        at_latest,
    ]
}

/// What is believed after it has changed.
fn with_changes(
    mut believed: Facts,
    changed: Vec<(Text, Option<FactValue>, Option<FactValue>)>,
) -> Facts {
    for (key, _, after) in changed {
        match after {
            Some(after) => believed.insert(key, after),
            None => believed.remove(&key),
        };
    }
    believed
}

/// The keys whose values differ, with the value before and the one now.
fn differences(before: &Facts, now: &Facts) -> Vec<(Text, Option<FactValue>, Option<FactValue>)> {
    let keys: BTreeSet<&Text> = before.keys().chain(now.keys()).collect();
    differences_of(keys.into_iter(), before, now)
}

/// Of some keys those whose values differ, likewise.
fn differences_of<'k>(
    keys: impl Iterator<Item = &'k Text>,
    before: &Facts,
    now: &Facts,
) -> Vec<(Text, Option<FactValue>, Option<FactValue>)> {
    let values = keys.map(|key| (key, before.get(key), now.get(key)));
    values
        .filter(|(_, before, now)| before != now)
        .map(|(key, before, now)| (key.clone(), before.cloned(), now.cloned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_never_ends_before_it_begins() {
        let [early, late] = [1, 2].map(Timestamp::from_nanos);
        assert_eq!(interval(Some(early), late), [early, late]);
        assert_eq!(interval(Some(late), early), [early, early]);
        assert_eq!(interval(None, late), [late, late]);
    }

    #[test]
    fn with_only_some_keys_the_others_stay_as_they_are_believed() {
        let value = |text: &str| FactValue::Setting {
            value: text.to_owned(),
        };
        let facts = |pairs: &[(&str, &str)]| -> Facts {
            let pairs = pairs.iter();
            pairs
                .map(|(key, text)| ((*key).into(), value(text)))
                .collect()
        };
        let believed = facts(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let found = facts(&[("a", "2"), ("b", "2"), ("d", "2")]);
        let only = ["a", "c"].map(Text::from).into();
        let only: BTreeSet<Text> = only;
        let changed = differences_of(only.iter(), &believed, &found);
        let taken = with_changes(believed, changed);
        assert_eq!(taken, facts(&[("a", "2"), ("b", "1")]));
    }
}
