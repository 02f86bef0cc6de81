//! Which hosts a rule is for, and in which subgroups.

use std::collections::BTreeMap;

use crate::fleet::HostKey;
use crate::questions::{Roster, Standing};
use crate::rules::Rule;

/// Which hosts a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// Those whose facts are those of now, by subgroup.
    pub(crate) current: Vec<Vec<HostKey>>,
    /// The others, with how they stand.
    pub(crate) aside: Vec<(HostKey, Standing)>,
    /// Those that are in no subgroup.
    pub(crate) without_label: Vec<HostKey>,
}

impl Members {
    /// All of them, however they stand.
    pub(crate) fn all(&self) -> impl Iterator<Item = HostKey> {
        let Self {
            current,
            aside,
            without_label,
        } = self;
        let aside = aside.iter().map(|(host, _)| *host);
        let others = aside.chain(without_label.iter().copied());
        current.iter().flatten().copied().chain(others)
    }
}

/// The hosts of a rule.
pub(super) fn members(roster: &Roster, rule: &Rule) -> Members {
    let mut members = Members::default();
    let mut subgroups = BTreeMap::<&str, Vec<HostKey>>::new();
    let hosts = roster.all().iter();
    let hosts = hosts.filter(|host| host.replaced_by.is_none() && rule.on.selects(&host.labels));
    for host in hosts {
        let subgroup = match &rule.each {
            Some(each) => host.labels.get(each).map(String::as_str),
            None => Some(""),
        };
        match subgroup {
            _ if !roster.is_current(host) => {
                members.aside.push((host.key, roster.standing(host)));
            }
            Some(value) => subgroups.entry(value).or_default().push(host.key),
            None => members.without_label.push(host.key),
        }
    }
    members.current = subgroups.into_values().collect();
    members
}
