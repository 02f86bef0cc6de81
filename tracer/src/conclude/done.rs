//! What was done to a subject of an inventory, as it was seen to be done: a change also where the value is what it was.

use change::{Change, FactValue, Note, Op, Subject, Text, Timestamp};

use super::Conclude;
use super::ledger::Draft;
use crate::enrich::By;
use crate::inventory::Source;
use crate::store::{self, Fact};

/// Says what was done to which subject.
pub struct Done {
    /// Where its fact has its truth.
    pub source: Source,
    /// Which one it is.
    pub key: Text,
    /// What was done.
    pub op: Op,
    /// What that left; none where the subject is gone.
    pub after: Option<FactValue>,
    /// When.
    pub time: Timestamp,
    /// By whom, if that is known.
    pub by: Option<By>,
    /// What a reader should know besides.
    pub notes: Vec<Note>,
}

impl Conclude {
    /// Takes in what was done, and the value that it left.
    pub fn done(&mut self, done: Done) -> Result<(), store::Error> {
        let Done {
            source,
            key,
            op,
            after,
            time,
            by,
            notes,
        } = done;
        let before = self.believe(source)?.get(&key).cloned();
        let subject = Subject {
            kind: source.kind(),
            key: key.clone(),
        };
        if before != after {
            self.ledger.set_value(Fact {
                subject: subject.clone(),
                value: after.clone(),
                identity: None,
                time,
            });
        }
        let change = Change {
            subject,
            before,
            after: after.clone(),
            notes,
            ..self
                .ledger
                .change(Draft::of_value(time, key.clone(), op, by))
        };
        self.ledger.tell_value(change);
        let believed = self.believed.entry(source).or_default();
        match after {
            Some(after) => believed.insert(key, after),
            None => believed.remove(&key),
        };
        Ok(())
    }
}
