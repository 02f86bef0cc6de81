//! Facts of an inventory: what differs from what was believed is a change for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use change::{Actor, Certainty, Change, FactValue, Subject, Text, Timestamp};

use super::Conclude;
use super::ledger::Draft;
use crate::inventory::{Facts, Source};
use crate::store::{self, Fact};

/// How many facts are asked for at once.
pub(super) const PAGE: usize = 512;

/// Says what made somebody look at a source.
pub enum Cause {
    /// Its database was written just now.
    Written {
        /// When.
        time: Timestamp,
        /// By whom, if that is known.
        actor: Option<Arc<Actor>>,
        /// What it was about, where that is known: other differences are of other causes.
        only: Option<Text>,
    },
    /// It is compared with the store.
    Compared {
        /// When.
        now: Timestamp,
        /// Until when the record was complete; none at the very first start.
        complete_until: Option<Timestamp>,
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
    /// Takes in what a source says now; tells how many facts have changed.
    pub fn inventory(
        &mut self,
        source: Source,
        mut found: Facts,
        cause: &Cause,
    ) -> Result<usize, store::Error> {
        let read_before = self.believed.remove(&source);
        let was_read = read_before.is_some();
        let believed = match read_before {
            Some(believed) => believed,
            None => self.ledger.stored_of(source.kind(), PAGE)?,
        };
        // A store that knows not one of them is taken for one from before they were read.
        let is_first = !was_read && believed.is_empty();
        if let Cause::Written {
            only: Some(key), ..
        } = cause
        {
            let now = found.remove(key);
            found.clone_from(&believed);
            found.remove(key);
            found.extend(now.map(|now| (key.clone(), now)));
        }
        let changed = differences(&believed, &found);
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
            let draft = Draft::of_value(cause.time(), key.clone(), op, cause.actor());
            let change = Change {
                subject,
                before: before.clone(),
                after: after.clone(),
                ..self.ledger.change(draft)
            };
            self.ledger.tell_value(cause.certainly(change));
        }
        self.believed.insert(source, found);
        Ok(changed.len())
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
    pub fn differing(&mut self, source: Source, found: &Facts) -> Result<Facts, store::Error> {
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
        Ok(is_known || !self.ledger.stored_of(source.kind(), 1)?.is_empty())
    }
}

impl Cause {
    fn actor(&self) -> Option<Arc<Actor>> {
        match self {
            Self::Written { actor, .. } => actor.clone(),
            Self::Compared { .. } => None,
        }
    }

    /// The change as certain as its cause makes it.
    fn certainly(&self, change: Change) -> Change {
        match self {
            Self::Written { .. } => change,
            Self::Compared {
                now,
                complete_until,
            } => Change {
                certainty: Certainty::Late,
                between: Some([complete_until.unwrap_or(*now), *now]),
                ..change
            },
        }
    }
}

/// The keys whose values differ, with the value before and the one now.
fn differences(before: &Facts, now: &Facts) -> Vec<(Text, Option<FactValue>, Option<FactValue>)> {
    let mut keys: BTreeMap<&Text, (Option<&FactValue>, Option<&FactValue>)> = BTreeMap::new();
    for (key, value) in before {
        keys.entry(key).or_default().0 = Some(value);
    }
    for (key, value) in now {
        keys.entry(key).or_default().1 = Some(value);
    }
    keys.into_iter()
        .filter(|(_, (before, now))| before != now)
        .map(|(key, (before, now))| (key.clone(), before.cloned(), now.cloned()))
        .collect()
}
