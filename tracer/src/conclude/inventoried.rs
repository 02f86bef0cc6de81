//! Facts of an inventory: what differs from what was believed is a change for each.

use std::collections::BTreeMap;

use change::{Certainty, Change, FactValue, Subject, Text, Timestamp};

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
            let draft = Draft::of_value(cause.time(), key.clone(), op, cause.by());
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

    /// Whether anything is known of a source.
    pub fn has_read(&self, source: Source) -> Result<bool, store::Error> {
        let is_known = self.believed.contains_key(&source);
        Ok(is_known || !self.ledger.stored_of(source.kind(), 1)?.is_empty())
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
