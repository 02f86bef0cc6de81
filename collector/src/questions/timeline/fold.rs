//! Folds changes into runs, and the same on many hosts into one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use change::{Author, Op, Run, RunKind, Timestamp};

use super::super::Error;
use super::super::runs::Counts;
use super::NAMED;
use crate::fleet::{Fleet, HostKey, HostSet, LogQuery, Logged, SubjectKey, ValueKey};

/// From so many changes on a run stands for them, as in the log of a host.
const MANY: u64 = 5;

/// The same thing on some hosts.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The first of it: the host, and the number there.
    pub(super) first: (HostKey, u64),
    pub(super) time: Timestamp,
    pub(super) until: Timestamp,
    pub(super) times: u64,
    pub(super) hosts: HostSet,
    /// The first hosts, each with its first number.
    pub(super) named: Vec<(HostKey, u64)>,
}

/// Groups things that are passed in their order.
pub(super) struct Groups<K> {
    within_ns: i64,
    found: Vec<Group>,
    /// The newest group of each sort of thing.
    newest: HashMap<K, usize>,
}

impl<K: Hash + Eq> Groups<K> {
    pub(super) fn new(within_ns: i64) -> Self {
        Self {
            within_ns,
            found: Vec::new(),
            newest: HashMap::new(),
        }
    }

    /// Adds a thing, and says which group it belongs to: the newest of its sort where that is not long ago.
    pub(super) fn add(&mut self, key: K, (host, number): (HostKey, u64), time: Timestamp) -> usize {
        let last = self.found.len();
        let place = *self.newest.get(&key).unwrap_or(&last);
        let is_near = |group: &Group| time <= group.until.plus_nanos(self.within_ns);
        if let Some(group) = self.found.get_mut(place).filter(|group| is_near(group)) {
            if !group.hosts.contains(host) && group.named.len() < NAMED {
                group.named.push((host, number));
            }
            group.hosts.insert(host);
            group.until = group.until.max(time);
            group.times += 1;
            return place;
        }
        self.found.push(Group {
            first: (host, number),
            time,
            until: time,
            times: 1,
            hosts: [host].into_iter().collect(),
            named: vec![(host, number)],
        });
        self.newest.insert(key, last);
        last
    }

    /// Notes until when the newest thing of a group lasted.
    pub(super) fn reaches(&mut self, place: usize, until: Option<Timestamp>) {
        if let (Some(group), Some(until)) = (self.found.get_mut(place), until) {
            group.until = group.until.max(until);
        }
    }

    pub(super) fn into_groups(self) -> Vec<Group> {
        self.found
    }
}

/// What makes changes the same: on another host, or again.
#[derive(PartialEq, Eq, Hash)]
struct SameChange {
    subject: SubjectKey,
    op: Op,
    after: Option<ValueKey>,
    person: Option<String>,
    author: Option<Author>,
}

/// Groups changes, which are passed oldest first.
pub(super) fn changes(changes: Vec<Logged>, within_ns: i64) -> Vec<Group> {
    let mut groups = Groups::new(within_ns);
    for Logged {
        host,
        seq,
        time,
        subject,
        kind: _,
        op,
        after,
        run: _,
        person,
        author,
    } in changes
    {
        let key = SameChange {
            subject,
            op,
            after,
            person,
            author,
        };
        groups.add(key, (host, seq), time);
    }
    groups.into_groups()
}

/// A run by its host and its number there.
type RunKey = (HostKey, u64);

/// What runs changed, while the log is read.
#[derive(Default)]
pub(super) struct Runs(BTreeMap<RunKey, Owned>);

/// What a run owns. So long as that is little it is kept as it is.
#[derive(Default)]
struct Owned {
    counts: Counts,
    changes: Vec<Logged>,
}

/// A run that stands for its changes.
pub(super) struct Folded {
    host: HostKey,
    run: Run,
    counts: Counts,
}

impl Runs {
    pub(super) fn add(&mut self, key: RunKey, logged: Logged) {
        let owned = self.0.entry(key).or_default();
        owned.counts.add(logged.kind, logged.op);
        if owned.counts.total() < MANY {
            owned.changes.push(logged);
        } else {
            owned.changes.clear();
        }
    }

    /// The runs that stand for what they and those within them changed. What a run with few changes made is added to
    /// the others.
    pub(super) fn fold(
        self,
        fleet: &dyn Fleet,
        log: &LogQuery,
        others: &mut Vec<Logged>,
    ) -> Result<Vec<Folded>, Error> {
        let mut known = HashMap::new();
        let mut outer: BTreeMap<RunKey, Owned> = BTreeMap::new();
        for (key, mut owned) in self.0 {
            let key = outermost(fleet, &mut known, key)?;
            let all = outer.entry(key).or_default();
            all.counts.add_all(&owned.counts);
            all.changes.append(&mut owned.changes);
        }
        let mut folded = Vec::new();
        for (key, owned) in outer {
            let Owned {
                counts,
                mut changes,
            } = owned;
            let run = known.remove(&key).flatten();
            match run {
                Some(run) if counts.total() >= MANY => {
                    folded.push(Folded {
                        host: key.0,
                        run,
                        counts,
                    });
                }
                None if counts.total() >= MANY => again(fleet, log, key, others)?,
                Some(_) | None => others.append(&mut changes),
            }
        }
        Ok(folded)
    }
}

/// Reads the changes of a run once more that its host has not told of yet.
fn again(
    fleet: &dyn Fleet,
    log: &LogQuery,
    (host, id): RunKey,
    others: &mut Vec<Logged>,
) -> Result<(), Error> {
    let query = LogQuery {
        run: Some((host, id)),
        ..log.clone()
    };
    fleet.each_logged(&query, &mut |logged| {
        if logged.run == Some(id) {
            others.push(logged);
        }
        true
    })?;
    Ok(())
}

/// The package manager or configuration management around a run, the outermost one, or else the run itself. A shell
/// in which somebody typed many commands stands for none of them.
fn outermost(
    fleet: &dyn Fleet,
    known: &mut HashMap<RunKey, Option<Run>>,
    key: RunKey,
) -> Result<RunKey, Error> {
    let (host, mut id) = key;
    let mut found = key;
    loop {
        let run = match known.entry((host, id)) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(new) => new.insert(fleet.run(host, id)?),
        };
        let Some(run) = run else {
            return Ok(found);
        };
        if run.kind != RunKind::Command {
            found = (host, id);
        }
        // A run is within one of a lower number: so this comes to an end whatever a host says.
        match run.parent.filter(|parent| *parent < id) {
            Some(parent) => id = parent,
            None => return Ok(found),
        }
    }
}

/// The same run on some hosts.
pub(super) struct RunGroup {
    pub(super) group: Group,
    /// The first of them.
    pub(super) run: Run,
    pub(super) counts: Counts,
}

/// Groups runs of the same command by the same person.
pub(super) fn runs(mut runs: Vec<Folded>, within_ns: i64) -> Vec<RunGroup> {
    runs.sort_by_key(|folded| (folded.run.start, folded.host, folded.run.id));
    let mut groups = Groups::new(within_ns);
    let mut told: Vec<(Run, Counts)> = Vec::new();
    for Folded { host, run, counts } in runs {
        let person = run.actor.person();
        let key = (
            run.actor.process.argv.clone(),
            person.name.clone(),
            person.uid,
        );
        let place = groups.add(key, (host, run.id), run.start);
        match told.get_mut(place) {
            Some((_, all)) => all.add_all(&counts),
            None => told.push((run, counts)),
        }
    }
    let groups = groups.into_groups().into_iter().zip(told);
    groups
        .map(|(group, (run, counts))| RunGroup { group, run, counts })
        .collect()
}
