//! What is old of one host's history.

use std::collections::{BTreeSet, HashSet};

use change::{Run, Timestamp};

use super::super::error::Doing as _;
use super::super::names::read_json;
use super::super::sql::{self, Connection};
use super::{Error, READ, Tidied};

const SELECT_HOSTS: &str = "SELECT id FROM hosts ORDER BY id";
// What facts open on, now and at any moment from the horizon on, and what is told of drift.
const SELECT_OPENINGS: &str = "
    SELECT seq FROM facts WHERE host = ?1 AND seq IS NOT NULL
    UNION SELECT seq FROM past_facts WHERE host = ?1 AND until > ?2 AND seq IS NOT NULL
    UNION SELECT seq FROM drift_events
        WHERE host = ?1 AND (ended IS NULL OR ended >= ?2) AND seq IS NOT NULL
    UNION SELECT end_seq FROM drift_events WHERE host = ?1 AND ended >= ?2 AND end_seq IS NOT NULL
    UNION SELECT undone FROM reversals WHERE host = ?1 AND time >= ?2";
const SELECT_CHANGES: &str = "SELECT seq, time, run FROM changes WHERE host = ?1";
const SELECT_RUNS: &str = "SELECT id, json FROM runs WHERE host = ?1";
// Of a host that is behind, changes may still come that an old run owns.
const IS_BEHIND: &str = "SELECT durable < newest FROM hosts WHERE id = ?1";
const COUNT_PAST: &str = "SELECT count(*) FROM past_facts WHERE host = ?1 AND until <= ?2";
const COUNT_SESSIONS: &str = r#"SELECT count(*) FROM sessions WHERE host = ?1 AND "end" <= ?2"#;
const COUNT_GAPS: &str = "SELECT count(*) FROM gaps WHERE host = ?1 AND to_time <= ?2";
// The newest head before the horizon stays: from there on the chain can be followed.
const COUNT_HEADS: &str = "
    SELECT count(*) FROM heads WHERE host = ?1
        AND seq < (SELECT max(seq) FROM heads WHERE host = ?1 AND since <= ?2)";

const COUNT_DRIFT: &str = "
    SELECT (SELECT count(*) FROM drift_events WHERE host = ?1 AND ended < ?2)
        + (SELECT count(*) FROM reversals WHERE host = ?1 AND time < ?2)
        + (SELECT count(*) FROM human_changes WHERE host = ?1 AND time < ?2)";

const DELETE_CHANGE: &str = "DELETE FROM changes WHERE host = ?1 AND seq = ?2";
const DELETE_RUN: &str = "DELETE FROM runs WHERE host = ?1 AND id = ?2";
const DELETE_PAST: &str = "
    DELETE FROM past_facts WHERE (host, until, subject) IN (
        SELECT host, until, subject FROM past_facts WHERE host = ?1 AND until <= ?2 LIMIT ?3
    )";
const DELETE_SESSIONS: &str = r#"DELETE FROM sessions WHERE host = ?1 AND "end" <= ?2"#;
const DELETE_GAPS: &str = "DELETE FROM gaps WHERE host = ?1 AND to_time <= ?2";
const DELETE_HEADS: &str = "
    DELETE FROM heads WHERE host = ?1
        AND seq < (SELECT max(seq) FROM heads WHERE host = ?1 AND since <= ?2)";

const DELETE_DRIFT: [&str; 3] = [
    "DELETE FROM drift_events WHERE host = ?1 AND ended < ?2",
    "DELETE FROM reversals WHERE host = ?1 AND time < ?2",
    "DELETE FROM human_changes WHERE host = ?1 AND time < ?2",
];

/// So many rows go at a time.
const AT_ONCE: usize = 2_000;

/// All hosts.
pub(super) fn hosts(connection: &Connection) -> Result<Vec<u32>, Error> {
    connection
        .rows(SELECT_HOSTS, (), |row| row.get(0))
        .doing(READ)
}

/// What the changes of a host are to a horizon.
pub(super) struct Changes {
    /// Numbers of those that may go.
    pub(super) old: Vec<i64>,
    /// Runs of those that stay.
    runs: HashSet<i64>,
    /// How many stay that are older than the horizon.
    kept: u64,
}

impl Changes {
    pub(super) fn of(
        connection: &Connection,
        host: u32,
        horizon: Timestamp,
    ) -> Result<Self, Error> {
        let horizon = horizon.as_nanos();
        let openings = connection.rows(SELECT_OPENINGS, (host, horizon), |row| row.get(0));
        let openings: HashSet<i64> = openings.doing(READ)?.into_iter().collect();
        let mut changes = Self {
            old: Vec::new(),
            runs: HashSet::new(),
            kept: 0,
        };
        connection.each((SELECT_CHANGES, [host]), READ, &mut |row| {
            let (seq, time): (i64, i64) = (row.get(0).doing(READ)?, row.get(1).doing(READ)?);
            let is_old = time < horizon;
            if is_old && !openings.contains(&seq) {
                changes.old.push(seq);
                return Ok(true);
            }
            changes.kept += u64::from(is_old);
            let run: Option<i64> = row.get(2).doing(READ)?;
            changes.runs.extend(run);
            Ok(true)
        })?;
        Ok(changes)
    }
}

/// What is old of a host: numbers of changes and runs, and how many other rows there are.
pub(super) struct Old {
    host: u32,
    horizon: Timestamp,
    changes: Vec<i64>,
    kept: u64,
    runs: Vec<i64>,
    past_facts: u64,
    sessions: u64,
    gaps: u64,
    heads: u64,
    drift: u64,
}

impl Old {
    /// Looks for what is old.
    pub(super) fn of(
        connection: &Connection,
        host: u32,
        horizon: Timestamp,
    ) -> Result<Self, Error> {
        let Changes { old, runs, kept } = Changes::of(connection, host, horizon)?;
        let count = |sql: &str| {
            let row = (host, horizon.as_nanos());
            let count = connection.one(sql, row, |row| row.get::<i64>(0));
            count.map(i64::cast_unsigned)
        };
        Ok(Self {
            host,
            horizon,
            changes: old,
            kept,
            runs: old_runs(connection, host, horizon, &runs)?,
            past_facts: count(COUNT_PAST).doing(READ)?,
            sessions: count(COUNT_SESSIONS).doing(READ)?,
            gaps: count(COUNT_GAPS).doing(READ)?,
            heads: count(COUNT_HEADS).doing(READ)?,
            drift: count(COUNT_DRIFT).doing(READ)?,
        })
    }

    /// How many changes before the horizon stay.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn is_empty(&self) -> bool {
        let rows = self.past_facts + self.sessions + self.gaps + self.heads + self.drift;
        self.changes.is_empty() && self.runs.is_empty() && rows == 0
    }

    /// Adds all of it to what goes.
    pub(super) fn count(&self, tidied: &mut Tidied) {
        tidied.changes += self.changes.len() as u64;
        tidied.kept += self.kept;
        tidied.runs += self.runs.len() as u64;
        tidied.past_facts += self.past_facts;
        tidied.sessions += self.sessions;
        tidied.gaps += self.gaps;
        tidied.heads += self.heads;
        tidied.drift += self.drift;
    }

    /// Removes some of it.
    pub(super) fn remove_some(
        &mut self,
        connection: &Connection,
        tidied: &mut Tidied,
    ) -> sql::Result<()> {
        let key = (self.host, self.horizon.as_nanos());
        let delete = |sql: &str| connection.execute(sql, key);
        tidied.sessions += delete(DELETE_SESSIONS)?;
        tidied.gaps += delete(DELETE_GAPS)?;
        tidied.heads += delete(DELETE_HEADS)?;
        for sql in DELETE_DRIFT {
            tidied.drift += delete(sql)?;
        }
        (self.sessions, self.gaps, self.heads, self.drift) = (0, 0, 0, 0);
        tidied.runs += remove(connection, DELETE_RUN, self.host, &mut self.runs)?;
        tidied.changes += remove(connection, DELETE_CHANGE, self.host, &mut self.changes)?;
        let most = AT_ONCE.cast_signed() as i64;
        let gone = connection.execute(DELETE_PAST, (key.0, key.1, most))?;
        tidied.past_facts += gone;
        // Fewer than asked for: there are no more.
        self.past_facts = if gone < most.cast_unsigned() {
            0
        } else {
            self.past_facts
        };
        Ok(())
    }
}

/// Removes some rows by their numbers.
fn remove(
    connection: &Connection,
    sql: &str,
    host: u32,
    numbers: &mut Vec<i64>,
) -> sql::Result<u64> {
    let mut gone = 0;
    for number in numbers.drain(numbers.len().saturating_sub(AT_ONCE)..) {
        gone += connection.execute(sql, (host, number))?;
    }
    Ok(gone)
}

/// Runs that began before the horizon, have ended, own no change that stays and have no run within them that stays.
fn old_runs(
    connection: &Connection,
    host: u32,
    horizon: Timestamp,
    owning: &HashSet<i64>,
) -> Result<Vec<i64>, Error> {
    let is_behind = connection.optional(IS_BEHIND, [host], |row| row.get::<bool>(0));
    if is_behind.doing(READ)? != Some(false) {
        return Ok(Vec::new());
    }
    let (mut old, mut staying) = (BTreeSet::new(), Vec::new());
    let mut parents = std::collections::HashMap::new();
    connection.each((SELECT_RUNS, [host]), READ, &mut |row| {
        let id: i64 = row.get(0).doing(READ)?;
        let run: Run = read_json(&row.get::<String>(1).doing(READ)?, "runs")?;
        parents.extend(run.parent.map(|parent| (id, parent.cast_signed())));
        let is_over =
            run.start < horizon && !run.running && run.end.is_none_or(|end| end < horizon);
        if is_over && !owning.contains(&id) {
            old.insert(id);
        } else {
            staying.push(id);
        }
        Ok(true)
    })?;
    while let Some(id) = staying.pop() {
        let parent = parents.get(&id).filter(|parent| old.remove(*parent));
        staying.extend(parent);
    }
    Ok(old.into_iter().collect())
}
