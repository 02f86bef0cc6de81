//! The timeline: what happened on all hosts, oldest first. The same change on many hosts is one line, and so are a run
//! in the place of what it changed, and the same run on many hosts.

mod fold;

use change::wire::Count;
use change::{Change, Gap, Run, Timestamp};
use serde::Serialize;

use self::fold::{Group, Groups, RunGroup};
use super::{Error, OnHost, Roster};
use crate::fleet::{Fleet, Host, HostSet, LogQuery, Logged, Marker};

/// A line tells of so many hosts by name.
const NAMED: usize = 10;

/// Without a beginning it tells of so many nanoseconds up to its end: a day.
const USUAL_NS: i64 = 24 * 3_600_000_000_000;

/// Asks for a timeline.
#[derive(Clone, Debug)]
pub struct TimelineQuery {
    /// Which changes; as many as there are in the time.
    pub log: LogQuery,
    /// The same on another host within so many nanoseconds belongs to it.
    pub within_ns: i64,
    /// Whether runs stand for their changes.
    pub folds_runs: bool,
    /// At most so many items, the newest.
    pub most: usize,
}

impl TimelineQuery {
    /// Begins a day before the end, or before now, unless a beginning, a run or a session is asked for.
    pub fn begin(&mut self, now: Timestamp) {
        let Self { log, .. } = self;
        if log.since.is_none() && log.run.is_none() && log.session.is_none() {
            log.since = Some(log.until.unwrap_or(now).plus_nanos(-USUAL_NS));
        }
    }
}

/// What happened, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The newest items, oldest first.
    pub items: Vec<Item>,
    /// How many older ones there are.
    pub left_out: usize,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Item {
    /// A change, on one host or on many.
    Change {
        /// When and where.
        #[serde(flatten)]
        spread: Spread,
        /// The first of the changes.
        change: Box<Change>,
    },
    /// A run in the place of its changes, on one host or on many.
    Run {
        /// When and where.
        #[serde(flatten)]
        spread: Spread,
        /// The first of the runs.
        run: Box<Run>,
        /// What all of them changed.
        summary: Vec<Count>,
    },
    /// A named moment.
    Marker(Marker),
    /// For what a log is not complete, on one host or on many.
    Gap {
        /// When and where.
        #[serde(flatten)]
        spread: Spread,
        /// The first of the gaps.
        gap: Gap,
    },
}

impl Item {
    /// When it happened, or first happened.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Change { spread, .. } | Self::Run { spread, .. } | Self::Gap { spread, .. } => {
                spread.time
            }
            Self::Marker(marker) => marker.time,
        }
    }
}

/// Tells when and where something happened, which may be often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// When first.
    pub time: Timestamp,
    /// When last.
    pub until: Timestamp,
    /// How often.
    pub times: u64,
    /// On how many hosts.
    pub count: u32,
    /// The first of them, each with the number of the change, of the run or of the gap there.
    pub hosts: Vec<OnHost<Number>>,
}

/// The number by which a host knows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Number {
    /// The number.
    pub number: u64,
}

/// Puts together what happened.
pub fn timeline(
    fleet: &dyn Fleet,
    roster: &Roster,
    query: &TimelineQuery,
) -> Result<Timeline, Error> {
    let log = LogQuery {
        limit: usize::MAX,
        ..query.log.clone()
    };
    let mut changes: Vec<Logged> = Vec::new();
    let mut runs = fold::Runs::default();
    fleet.each_logged(&log, &mut |logged| {
        match logged.run.filter(|_| query.folds_runs) {
            Some(run) => runs.add((logged.host, run), logged),
            None => changes.push(logged),
        }
        true
    })?;
    let runs = runs.fold(fleet, &log, &mut changes)?;
    changes.sort_by_key(|logged| (logged.time, logged.host, logged.seq));
    // Of one moment its name is told first.
    let markers = markers(fleet, roster, &query.log)?.into_iter();
    let mut found: Vec<_> = markers.map(Found::Marker).collect();
    let changes = fold::changes(changes, query.within_ns).into_iter();
    found.extend(changes.map(Found::Change));
    let runs = fold::runs(runs, query.within_ns).into_iter();
    found.extend(runs.map(Found::Run));
    found.extend(gaps(fleet, query)?.into_iter().map(Found::Gap));
    found.sort_by_key(Found::time);
    let left_out = found.len().saturating_sub(query.most);
    let kept = found.drain(left_out..);
    let mut items = Vec::new();
    for found in kept {
        items.extend(found.read(fleet, roster)?);
    }
    Ok(Timeline { items, left_out })
}

/// What was found, before it is read in full.
enum Found {
    Change(Group),
    Run(RunGroup),
    Marker(Marker),
    Gap((Group, Gap)),
}

impl Found {
    fn time(&self) -> Timestamp {
        match self {
            Self::Change(group) | Self::Run(RunGroup { group, .. }) | Self::Gap((group, _)) => {
                group.time
            }
            Self::Marker(marker) => marker.time,
        }
    }

    fn read(self, fleet: &dyn Fleet, roster: &Roster) -> Result<Option<Item>, Error> {
        Ok(match self {
            Self::Change(group) => {
                let (host, seq) = group.first;
                let change = fleet.change(host, seq)?;
                let spread = spread(group, roster);
                change.map(|change| Item::Change {
                    spread,
                    change: Box::new(change),
                })
            }
            Self::Run(RunGroup { group, run, counts }) => Some(Item::Run {
                spread: spread(group, roster),
                run: Box::new(run),
                summary: counts.into_list(),
            }),
            Self::Marker(marker) => Some(Item::Marker(marker)),
            Self::Gap((group, gap)) => Some(Item::Gap {
                spread: spread(group, roster),
                gap,
            }),
        })
    }
}

fn spread(group: Group, roster: &Roster) -> Spread {
    let Group {
        first: _,
        time,
        until,
        times,
        hosts,
        named,
    } = group;
    let named = named
        .into_iter()
        .filter_map(|(host, number)| Some(OnHost::new(roster.host(host)?, Number { number })));
    Spread {
        time,
        until,
        times,
        count: hosts.len(),
        hosts: named.collect(),
    }
}

/// The gaps of the hosts in the time, those with one reason next to each other as one.
fn gaps(fleet: &dyn Fleet, query: &TimelineQuery) -> Result<Vec<(Group, Gap)>, Error> {
    let hosts = query.log.hosts.as_ref();
    let mut groups = Groups::new(query.within_ns);
    let mut first: Vec<Gap> = Vec::new();
    for (host, gap) in fleet.gaps(interval(&query.log))? {
        if hosts.is_some_and(|hosts| !hosts.contains(host)) {
            continue;
        }
        let place = groups.add(gap.reason.as_str(), (host, gap.id), gap.from);
        groups.reaches(place, gap.to);
        if place == first.len() {
            first.push(gap);
        }
    }
    Ok(groups.into_groups().into_iter().zip(first).collect())
}

/// The markers in the time that are about the hosts asked for.
fn markers(fleet: &dyn Fleet, roster: &Roster, log: &LogQuery) -> Result<Vec<Marker>, Error> {
    let mut markers = fleet.markers(interval(log))?;
    if let Some(hosts) = &log.hosts {
        markers.retain(|marker| is_about(marker, roster, hosts));
    }
    Ok(markers)
}

fn is_about(marker: &Marker, roster: &Roster, hosts: &HostSet) -> bool {
    let about: Vec<&Host> = match (&marker.host, &marker.group) {
        (Some(machine), _) => {
            let all = roster.all().iter();
            all.filter(|host| host.machine == *machine).collect()
        }
        // A group that has no hosts any more is about none.
        (None, Some(group)) => roster.group(group).unwrap_or_default(),
        (None, None) => return true,
    };
    about.iter().any(|host| hosts.contains(host.key))
}

fn interval(log: &LogQuery) -> [Timestamp; 2] {
    let since = log.since.unwrap_or(Timestamp::from_nanos(i64::MIN));
    [since, log.until.unwrap_or(Timestamp::MAX)]
}
