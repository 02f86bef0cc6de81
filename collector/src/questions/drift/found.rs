//! What judging by a rule came to: what deviates, and what is not known.

use std::collections::BTreeSet;

use crate::fleet::{HostKey, HostSet, SubjectKey, ValueKey};

/// A rule tells of no more deviations.
const MOST: usize = 100_000;

/// Tells of a fact that is not as a rule wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation {
    pub(crate) host: HostKey,
    /// None where no host has ever told of it.
    pub(crate) subject: Option<SubjectKey>,
    /// The value; none where it is missing.
    pub(crate) value: Option<ValueKey>,
    /// What it is held against, where that is a value.
    pub(crate) expected: Option<ValueKey>,
}

/// What judging by one rule came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) deviations: Vec<Deviation>,
    /// Hosts of which it is not known, and why.
    pub(crate) unknown: Vec<(String, HostSet)>,
    /// So many facts deviate as those of any two hosts do.
    pub(crate) noise: usize,
    /// Hosts of which nothing is known.
    silent: HostSet,
    /// What else is not known.
    untold: BTreeSet<(SubjectKey, HostKey)>,
}

impl Found {
    /// Hosts deviate, all in the same way. Those that are too many are not known.
    pub(super) fn add(
        &mut self,
        (subject, value, expected): (Option<SubjectKey>, Option<ValueKey>, Option<ValueKey>),
        hosts: &[HostKey],
    ) {
        let room = MOST.saturating_sub(self.deviations.len()).min(hosts.len());
        let (told, others) = hosts.split_at(room);
        let deviations = told.iter().map(|host| Deviation {
            host: *host,
            subject,
            value,
            expected,
        });
        self.deviations.extend(deviations);
        let why = "a rule tells of no more than 100,000 deviations";
        self.untold(why, subject, others);
    }

    /// Nothing is known of a host.
    pub(super) fn silent(&mut self, why: &str, host: HostKey) {
        self.silent.insert(host);
        self.note(why, host);
    }

    /// Of a subject on some hosts it is not known.
    pub(super) fn untold(&mut self, why: &str, subject: Option<SubjectKey>, hosts: &[HostKey]) {
        for host in hosts {
            self.untold.extend(subject.map(|subject| (subject, *host)));
            self.note(why, *host);
        }
    }

    fn note(&mut self, why: &str, host: HostKey) {
        match self.unknown.iter_mut().find(|(known, _)| known == why) {
            Some((_, hosts)) => hosts.insert(host),
            None => self
                .unknown
                .push((why.to_owned(), [host].into_iter().collect())),
        }
    }

    /// Whether it is not known of a subject on a host.
    pub(crate) fn is_unknown(&self, fact: (SubjectKey, HostKey)) -> bool {
        self.silent.contains(fact.1) || self.untold.contains(&fact)
    }
}
