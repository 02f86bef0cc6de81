//! What drifts while a pass is planned: with what the pass has begun, and without what it has ended.

use std::collections::{BTreeSet, HashMap};

use change::Timestamp;

use crate::fleet::{Cause, DriftEvent, Ending, HostKey, SubjectKey};
use crate::rules::Rules;
use crate::store::Act;

/// So much drift goes on at a time; more is not written until some has ended.
const MOST: usize = 100_000;

/// So much of one host, which so cannot keep others' drift from being written.
const MOST_OF_HOST: usize = 5_000;

/// A rule by its place, a subject and a host.
pub(super) type Key = (usize, SubjectKey, HostKey);

/// What drifts, and what of that a pass writes.
pub(super) struct Open<'a> {
    rules: &'a Rules,
    drifting: BTreeSet<Key>,
    counts: HashMap<HostKey, usize>,
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
        let mut counts: HashMap<HostKey, usize> = HashMap::new();
        for event in events {
            let DriftEvent {
                rule,
                host,
                subject,
                ..
            } = event;
            if let Some(place) = rules.rules.iter().position(|one| one.name == rule) {
                drifting.insert((place, subject, host));
                *counts.entry(host).or_default() += 1;
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
        Self {
            rules,
            drifting,
            counts,
        }
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
        let of_host = self.counts.entry(key.2).or_default();
        let is_full = self.drifting.len() >= MOST || *of_host >= MOST_OF_HOST;
        if is_full || !self.drifting.insert(key) {
            return;
        }
        *of_host += 1;
        if self.drifting.len() == MOST || *of_host == MOST_OF_HOST {
            let all = self.drifting.len();
            let host = key.2.0;
            tracing::warn!(
                host,
                "{all} facts drift: of more it is not recorded when they begin"
            );
        }
        event.rule.clone_from(&self.rules.rules[key.0].name);
        acts.push(Act::Begin(event));
    }

    /// A fact drifts no more, if it did.
    pub(super) fn end(&mut self, key: Key, ending: Ending, acts: &mut Vec<Act>) {
        if self.drifting.remove(&key) {
            if let Some(count) = self.counts.get_mut(&key.2) {
                *count = count.saturating_sub(1);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Like;
    use crate::selector::Selector;

    fn event(host: u32, rule: &str) -> DriftEvent {
        DriftEvent {
            rule: rule.to_owned(),
            host: HostKey(host),
            subject: SubjectKey(1),
            expected: None,
            value: None,
            cause: Cause::Look,
            began: Timestamp::from_nanos(0),
            since: None,
            seq: None,
            ending: None,
        }
    }

    #[test]
    fn one_host_that_drifts_without_end_leaves_room_for_others() {
        let rules = Rules::of_baseline(Selector::default(), Like::Majority);
        let mut acts = Vec::new();
        let mut open = Open::new(&rules, Vec::new(), &mut acts, Timestamp::from_nanos(0));
        let mut begin = |subject, host| {
            open.begin(
                (0, SubjectKey(subject), HostKey(host)),
                event(host, ""),
                &mut acts,
            );
            acts.len()
        };
        for subject in 0..6_000 {
            begin(subject, 1);
        }
        assert_eq!((begin(0, 1), begin(0, 2)), (5_000, 5_001));
        let ending = Ending {
            at: Timestamp::from_nanos(1),
            seq: None,
            by: Cause::Look,
        };
        open.end((0, SubjectKey(7), HostKey(1)), ending, &mut acts);
        open.begin((0, SubjectKey(5_500), HostKey(1)), event(1, ""), &mut acts);
        assert_eq!(acts.len(), 5_003);
        assert_eq!(
            (
                open.of_rule(0).len(),
                open.of_subject(0, SubjectKey(0)).len()
            ),
            (5_001, 2)
        );
    }

    #[test]
    fn what_drifted_from_a_rule_that_is_no_more_has_ended() {
        let rules = Rules::of_baseline(Selector::default(), Like::Majority);
        let name = rules.rules[0].name.clone();
        let mut acts = Vec::new();
        let known = vec![event(1, &name), event(2, "gone")];
        let open = Open::new(&rules, known, &mut acts, Timestamp::from_nanos(9));
        assert!(open.contains((0, SubjectKey(1), HostKey(1))));
        let [Act::End { rule, ending, .. }] = acts.as_slice() else {
            panic!("{acts:?}");
        };
        assert_eq!((rule.as_str(), ending.by), ("gone", Cause::Rules));
    }
}
