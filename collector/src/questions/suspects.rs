//! Suspects: which changes before a moment are worth a look, when something broke then.

use std::collections::HashMap;

use change::{Change, Run, Subject, Timestamp};
use serde::Serialize;

use super::{Error, HostBody, Opening, Roster, rank, refuse_removed};
use crate::fleet::{Fleet, Glimpse, Host, HostSet, SubjectKey, ValueKey};

/// So many are looked at closely.
const CANDIDATES: usize = 200;
/// A suspect tells of so many hosts by name.
const NAMED: usize = 10;

/// Asks for suspects.
#[derive(Clone, Copy, Debug)]
pub struct SuspectQuery {
    /// When it broke.
    pub at: Timestamp,
    /// How far back to look, in nanoseconds.
    pub window_ns: i64,
    /// At most this many.
    pub most: usize,
}

/// Tells of one thing that was done, on one host or on many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// What changed.
    pub subject: Subject,
    /// How suspicious it is, from 0 to 1.
    pub score: f64,
    /// How close before the moment, from 0 to 1: halved with each eighth of the window.
    pub closeness: f64,
    /// How rare its outcome is in the fleet, from 0 to 1.
    pub rarity: f64,
    /// Which part of the hosts that were asked for it reached, from 0 to 1.
    pub blast: f64,
    /// How many hosts it reached.
    pub count: u32,
    /// The first of them.
    pub hosts: Vec<HostBody>,
    /// The newest of the changes.
    pub change: Change,
    /// The run that owns it.
    pub run: Option<Run>,
}

/// The same change on some hosts.
struct Candidate {
    newest: Glimpse,
    hosts: HostSet,
}

/// Ranks the changes on some hosts before a moment.
pub fn suspects(
    fleet: &dyn Fleet,
    roster: &Roster,
    scope: &[&Host],
    query: &SuspectQuery,
) -> Result<Vec<Suspect>, Error> {
    refuse_removed(fleet, query.at)?;
    let hosts: HostSet = scope.iter().map(|host| host.key).collect();
    let since = query.at.plus_nanos(-query.window_ns);
    // The moment itself belongs to it.
    let interval = [since, query.at.plus_nanos(1)];
    let mut found: HashMap<(SubjectKey, Option<ValueKey>), Candidate> = HashMap::new();
    fleet.each_between(interval, &mut |glimpse| {
        if !hosts.contains(glimpse.host) {
            return;
        }
        let candidate = found.entry((glimpse.subject, glimpse.after));
        let candidate = candidate.or_insert_with(|| Candidate {
            newest: glimpse,
            hosts: HostSet::default(),
        });
        candidate.hosts.insert(glimpse.host);
        if glimpse.time > candidate.newest.time {
            candidate.newest = glimpse;
        }
    })?;
    let reach = |candidate: &Candidate| {
        let closeness = closeness(candidate.newest.time, query);
        (closeness, share(candidate.hosts.len(), hosts.len()))
    };
    let mut candidates: Vec<_> = found.into_values().collect();
    // Without the rarity, which has to be read, as if nobody else had it.
    candidates.sort_by(|a, b| score(reach(b), 1.0).total_cmp(&score(reach(a), 1.0)));
    candidates.truncate(CANDIDATES.max(query.most));
    let mut suspects = Vec::new();
    for candidate in candidates {
        let reach = reach(&candidate);
        suspects.extend(closely(fleet, roster, candidate, reach)?);
    }
    suspects.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| rank(a.subject.kind).cmp(&rank(b.subject.kind)))
    });
    suspects.truncate(query.most);
    Ok(suspects)
}

fn closely(
    fleet: &dyn Fleet,
    roster: &Roster,
    candidate: Candidate,
    reach: (f64, f64),
) -> Result<Option<Suspect>, Error> {
    let Candidate { newest, hosts } = candidate;
    let Some(change) = fleet.change(newest.host, newest.seq)? else {
        return Ok(None);
    };
    let holdings = fleet.holdings(newest.subject, usize::MAX)?;
    let (all, like_it) = holdings
        .iter()
        .fold((0, 0), |(all, like_it), (value, hosts)| {
            let count = hosts.len();
            let same = if Some(*value) == newest.after {
                count
            } else {
                0
            };
            (all + count, like_it + same)
        });
    let rarity = match newest.after {
        Some(_) => 1.0 - share(like_it, all),
        // Rarer the more hosts still have it.
        None => share(all, u32::try_from(roster.all().len()).unwrap_or(u32::MAX)),
    };
    let named = hosts.iter().take(NAMED);
    let opening = Opening::with(fleet, newest.host, Some(newest.time), Some(change.clone()))?;
    Ok(Some(Suspect {
        subject: change.subject.clone(),
        score: score(reach, rarity),
        closeness: reach.0,
        rarity,
        blast: reach.1,
        count: hosts.len(),
        hosts: named.filter_map(|host| roster.named(host)).collect(),
        change,
        run: opening.run,
    }))
}

/// Closeness counts for itself; a change that is rare in the fleet or reached many of the hosts counts up to three
/// times as much as one that is neither.
fn score((closeness, blast): (f64, f64), rarity: f64) -> f64 {
    closeness * (1.0 + rarity + blast) / 3.0
}

fn closeness(time: Timestamp, query: &SuspectQuery) -> f64 {
    let before_ns = query.at.as_nanos().saturating_sub(time.as_nanos());
    (-seconds(before_ns) * 8.0 / seconds(query.window_ns).max(1.0)).exp2()
}

fn seconds(nanos: i64) -> f64 {
    std::time::Duration::from_nanos(nanos.max(0).unsigned_abs()).as_secs_f64()
}

fn share(part: u32, all: u32) -> f64 {
    f64::from(part) / f64::from(all.max(1))
}
