//! What the hosts of a rule are held against, and who is not like it.

use change::Timestamp;

use crate::fleet::{Fleet, HostKey, HostSet, ValueKey};
use crate::questions::{Error, Roster};
use crate::rules::{Baseline, Demand, Expectation, Like, Rule};

/// What fewer hosts have in common is no majority.
pub(super) const LEAST_HOSTS: u32 = 3;
const DAY_NS: i64 = 86_400_000_000_000;

/// What the hosts of a rule are held against.
pub(super) enum Against<'a> {
    Expectation(&'a Expectation),
    Majority(&'a Baseline),
    Host(&'a Baseline, HostKey),
    Moment(&'a Baseline, Timestamp, Option<HostSet>),
    Nothing(String),
}

/// What a rule holds its hosts against.
pub(super) fn against<'a>(
    (fleet, roster): (&dyn Fleet, &Roster),
    rule: &'a Rule,
    now: Timestamp,
) -> Result<Against<'a>, Error> {
    let baseline = match &rule.demand {
        Demand::Expect(expectation) => return Ok(Against::Expectation(expectation)),
        Demand::Like(baseline) => baseline,
    };
    Ok(match &baseline.like {
        Like::Majority => Against::Majority(baseline),
        Like::Yesterday => Against::Moment(baseline, now.plus_nanos(-DAY_NS), None),
        Like::Moment(at) => Against::Moment(baseline, *at, None),
        Like::Host(name) => match roster.find(name) {
            Ok(host) if roster.is_current(host) => Against::Host(baseline, host.key),
            Ok(_) => Against::Nothing(format!("the facts of `{name}` are not those of now")),
            Err(error) => Against::Nothing(error.to_string()),
        },
        Like::Snapshot(name) => {
            let found = fleet.snapshots()?.into_iter().find(|one| one.name == *name);
            match found {
                Some(snapshot) => Against::Moment(baseline, snapshot.at, Some(snapshot.hosts)),
                None => Against::Nothing(format!("there is no snapshot `{name}`")),
            }
        }
    })
}

/// What a majority has; none where the fact is missing there.
pub(super) struct Usual(pub(super) Option<ValueKey>);

/// What two thirds of the hosts have, where they agree.
pub(super) fn usual(holdings: &[(ValueKey, HostSet)], hosts: &HostSet) -> Option<Usual> {
    let all = hosts.len();
    let counts = holdings
        .iter()
        .map(|(value, holders)| (Some(*value), holders.shared(hosts)));
    let counts: Vec<_> = counts.collect();
    let missing = all - counts.iter().map(|(_, count)| count).sum::<u32>().min(all);
    let most = counts
        .into_iter()
        .chain([(None, missing)])
        .max_by_key(|(_, count)| *count);
    let (value, count) = most?;
    (all >= LEAST_HOSTS && count * 3 >= all * 2).then_some(Usual(value))
}

/// A value, or none at all, and the hosts that have it. There is at least one.
pub(super) type Deviating = (Option<ValueKey>, Vec<HostKey>);

/// The hosts that do not have what is expected, by what they have.
pub(super) fn deviating(
    holdings: &[(ValueKey, HostSet)],
    hosts: &HostSet,
    expected: Option<ValueKey>,
) -> Vec<Deviating> {
    let mut found = Vec::new();
    let mut holding = 0;
    for (value, holders) in holdings {
        let count = holders.shared(hosts);
        holding += count;
        if Some(*value) != expected && count > 0 {
            found.push((Some(*value), holders.both(hosts).iter().collect()));
        }
    }
    if expected.is_some() && holding < hosts.len() {
        let has_any = |host: &HostKey| holdings.iter().any(|(_, holders)| holders.contains(*host));
        let missing: Vec<HostKey> = hosts.iter().filter(|host| !has_any(host)).collect();
        found.push((None, missing));
    }
    found
}

/// The first host of a group that has a value.
pub(super) fn first_of(
    holdings: &[(ValueKey, HostSet)],
    value: Option<ValueKey>,
    group: &HostSet,
) -> Option<HostKey> {
    let (_, holders) = holdings.iter().find(|(held, _)| Some(*held) == value)?;
    holders.both(group).iter().next()
}
