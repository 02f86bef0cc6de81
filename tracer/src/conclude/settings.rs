//! Sysctls and kernel settings that were written: one change each, and what was not seen before it.

use change::{Certainty, Change, FactValue, Note, Op, Subject, Text, Timestamp};

use super::Conclude;
use super::ledger::Draft;
use crate::enrich::By;
use crate::inventory::{Facts, Source};
use crate::store::{self, Fact};
use crate::written::{Outcome, Trust, Write};

/// Says what is to be told of a write.
pub struct Set {
    /// Where its fact has its truth.
    pub source: Source,
    /// Which one it is.
    pub key: Text,
    /// What the write did.
    pub outcome: Outcome,
    /// Who wrote.
    pub by: Option<By>,
    /// Whether the value is a fact of this host.
    pub is_fact: bool,
    /// Whether it was done for what it does, whatever the value.
    pub is_act: bool,
}

impl Conclude {
    /// Concludes what a write to a setting did. Gives the value that it left, or none, where that is
    /// another fact than before.
    pub fn set(&mut self, set: Set) -> Result<Option<Option<FactValue>>, store::Error> {
        let Set {
            source,
            key,
            outcome,
            by,
            is_fact,
            is_act,
        } = set;
        let Outcome {
            write,
            after,
            trust,
        } = outcome;
        let Write {
            time,
            before: found,
            ..
        } = write;
        let setting = |value: String| FactValue::Setting { value };
        let (found, after) = (found.map(setting), after.map(setting));
        let known = if is_fact {
            self.believe(source)?.get(&key).cloned()
        } else {
            None
        };
        if let (Some(known), Some(found)) = (&known, &found) {
            self.moved_unseen(source, &key, [known, found], time);
        }
        let before = found.or(known);
        if before.is_some() && before == after && !is_act {
            return Ok(None);
        }
        let subject = Subject {
            kind: source.kind(),
            key: key.clone(),
        };
        let draft = Draft {
            notes: note(trust).into_iter().collect(),
            ..Draft::of_value(time, key.clone(), Op::Set, by)
        };
        let change = Change {
            subject: subject.clone(),
            before: before.filter(|_| !is_act),
            after: after.clone(),
            ..self.ledger.change(draft)
        };
        self.ledger.tell_value(change);
        if !is_fact {
            return Ok(None);
        }
        // What nobody could read is no fact any more.
        self.ledger.set_value(Fact {
            subject,
            value: after.clone(),
            identity: None,
            time,
        });
        let believed = self.believed.entry(source).or_default();
        match &after {
            Some(after) => believed.insert(key, after.clone()),
            None => believed.remove(&key),
        };
        Ok(Some(after))
    }

    /// What is believed of a source.
    pub fn believe(&mut self, source: Source) -> Result<&Facts, store::Error> {
        if !self.believed.contains_key(&source) {
            let stored = self.stored(source)?;
            self.believed.insert(source, stored);
        }
        Ok(self.believed.entry(source).or_default())
    }

    /// A write found another value than the one that is believed: what led there nobody saw.
    fn moved_unseen(
        &mut self,
        source: Source,
        key: &Text,
        [known, found]: [&FactValue; 2],
        time: Timestamp,
    ) {
        // What was read after the write says nothing about what was before it.
        let read = self.compared_at(source).filter(|[_, end]| *end < time);
        let Some([since, _]) = read.filter(|_| known != found) else {
            return;
        };
        let change = Change {
            subject: Subject {
                kind: source.kind(),
                key: key.clone(),
            },
            before: Some(known.clone()),
            after: Some(found.clone()),
            certainty: Certainty::Late,
            between: Some([since, time]),
            ..self
                .ledger
                .change(Draft::of_value(time, key.clone(), Op::Set, None))
        };
        self.ledger.tell_value(change);
    }
}

/// What a reader should know before trusting the value.
fn note(trust: Trust) -> Option<Note> {
    match trust {
        Trust::Read | Trust::Taken => None,
        Trust::MovedOn => Some(Note::MovedOn),
        Trust::Unconfirmed => Some(Note::Unconfirmed),
    }
}
