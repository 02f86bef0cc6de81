//! What drifts while a pass is planned: with what the pass has begun, and without what it has ended.

use std::collections::BTreeSet;

use change::Timestamp;

use crate::fleet::{Cause, DriftEvent, Ending, HostKey, SubjectKey};
use crate::rules::Rules;
use crate::store::Act;

/// So much drift goes on at a time; more is not written until some has ended.
const MOST: usize = 100_000;

/// A rule by its place, a subject and a host.
pub(super) type Key = (usize, SubjectKey, HostKey);

/// What drifts, and what of that a pass writes.
pub(super) struct Open<'a> {
    rules: &'a Rules,
    drifting: BTreeSet<Key>,
}

impl<'a> Open<'a> {
    /// What drifts before the pass. What drifted from a rule that is no more has ended.
    pub(super) fn new(
        rules: &'a Rules,
        events: Vec<DriftEvent>,
        acts: &mut Vec<Act>,
        now: Timestamp,
    ) -> Self {
        let mut drifting = BTreeSet::new();
        for event in events {
            let DriftEvent {
                rule,
                host,
                subject,
                ..
            } = event;
            if let Some(place) = rules.rules.iter().position(|one| one.name == rule) {
                drifting.insert((place, subject, host));
                continue;
            }
            let ending = Ending {
                at: now,
                seq: None,
                by: Cause::Rules,
            };
            acts.push(Act::End {
                rule,
                host,
                subject,
                ending,
            });
        }
        Self { rules, drifting }
    }

    /// All that drifts from a rule.
    pub(super) fn of_rule(&self, rule: usize) -> Vec<(SubjectKey, HostKey)> {
        let first = (rule, SubjectKey(i64::MIN), HostKey(0));
        let last = (rule, SubjectKey(i64::MAX), HostKey(u32::MAX));
        self.between(first, last).collect()
    }

    /// The hosts on which a subject drifts from a rule.
    pub(super) fn of_subject(
        &self,
        rule: usize,
        subject: SubjectKey,
    ) -> Vec<(SubjectKey, HostKey)> {
        let ends = [HostKey(0), HostKey(u32::MAX)].map(|host| (rule, subject, host));
        self.between(ends[0], ends[1]).collect()
    }

    fn between(&self, first: Key, last: Key) -> impl Iterator<Item = (SubjectKey, HostKey)> {
        let keys = self.drifting.range(first..=last);
        keys.map(|(_, subject, host)| (*subject, *host))
    }

    /// Whether a fact drifts already.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.drifting.contains(&key)
    }

    /// A fact drifts from now on, unless it does already.
    pub(super) fn begin(&mut self, key: Key, mut event: DriftEvent, acts: &mut Vec<Act>) {
        if self.drifting.len() >= MOST || !self.drifting.insert(key) {
            return;
        }
        event.rule.clone_from(&self.rules.rules[key.0].name);
        acts.push(Act::Begin(event));
        if self.drifting.len() == MOST {
            tracing::warn!("{MOST} facts drift: of more it is not recorded when they begin");
        }
    }

    /// A fact drifts no more, if it did.
    pub(super) fn end(&mut self, key: Key, ending: Ending, acts: &mut Vec<Act>) {
        if self.drifting.remove(&key) {
            let (rule, subject, host) = key;
            let rule = self.rules.rules[rule].name.clone();
            acts.push(Act::End {
                rule,
                host,
                subject,
                ending,
            });
        }
    }
}
