//! How the logs of hosts are gone through for drift: from a cursor on, so that it costs what has changed.

use change::{Author, Timestamp};

use super::Reader;
use crate::fleet::{HostKey, SubjectKey, ValueKey};
use crate::store::Error;
use crate::store::error::Doing as _;
use crate::store::sql::{Params, Result as SqlResult, Row, Value};

const SELECT_UNSEEN: &str = "
    SELECT h.id, coalesce(c.seq, 0), h.durable, coalesce(f.count, 0), coalesce(c.facts, 0)
    FROM hosts h LEFT JOIN drift_cursors c ON c.host = h.id LEFT JOIN fact_batches f ON f.host = h.id
    WHERE c.host IS NULL OR h.durable > c.seq OR coalesce(f.count, 0) > c.facts";
const SELECT_LOGGED: &str = "
    SELECT c.host, c.seq, c.time, c.subject, c.before, c.after, a.author, c.op = 'rename'
    FROM changes c LEFT JOIN actors a ON a.id = c.actor WHERE c.host = ?1 AND c.seq > ?2 ORDER BY c.seq LIMIT ?3";
// The interval that ended with a change tells which change began it, and so on.
const SELECT_STEPS: &str = "
    WITH RECURSIVE steps (seq, time, number) AS (
        SELECT c.seq, c.time, 1 FROM past_facts p JOIN changes c ON c.host = p.host AND c.seq = p.seq
        WHERE p.host = ?1 AND p.until = ?2 AND p.subject = ?3 AND c.time >= ?4
        UNION ALL
        SELECT c.seq, c.time, s.number + 1 FROM steps s
        JOIN past_facts p ON p.host = ?1 AND p.until = s.time AND p.subject = ?3
        JOIN changes c ON c.host = p.host AND c.seq = p.seq
        WHERE c.time >= ?4 AND s.number < ?5
    )
    SELECT c.host, c.seq, c.time, c.subject, c.before, c.after, a.author, c.op = 'rename'
    FROM steps s JOIN changes c ON c.host = ?1 AND c.seq = s.seq AND c.time = s.time
    LEFT JOIN actors a ON a.id = c.actor ORDER BY s.number";
const SELECT_STEP: &str = "
    SELECT c.host, c.seq, c.time, c.subject, c.before, c.after, a.author, c.op = 'rename'
    FROM past_facts p JOIN changes c ON c.host = p.host AND c.seq = p.seq
    LEFT JOIN actors a ON a.id = c.actor WHERE p.host = ?1 AND p.until = ?2 AND p.subject = ?3";
const HAS_ENDED: &str = "SELECT 1 FROM past_facts WHERE host = ?1 AND until = ?2 AND subject = ?3";
const SELECT_EARLIER: &str = "
    SELECT c.host, c.seq, c.time, c.subject, c.before, c.after, a.author, c.op = 'rename'
    FROM changes c LEFT JOIN actors a ON a.id = c.actor
    WHERE c.subject = ?2 AND c.time >= ?4 AND +c.host = ?1 AND +c.seq < ?3
    ORDER BY c.seq DESC LIMIT ?5";
const SELECT_HUMAN: &str = "SELECT DISTINCT subject FROM human_changes WHERE host = ?1";

const READ: &str = "go through what hosts have logged";

/// Says how far a host was gone through, and how far there is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Which host.
    pub host: HostKey,
    /// Up to this change it was.
    pub seq: u64,
    /// Up to this one its log is here.
    pub durable: u64,
    /// So many of its batches brought facts without a change.
    pub facts: u64,
    /// So many of them were looked at.
    pub seen_facts: u64,
}

/// Holds what drift goes by of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// On which host.
    pub host: HostKey,
    /// Its number there.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What changed.
    pub subject: SubjectKey,
    /// The value before.
    pub before: Option<ValueKey>,
    /// The value after.
    pub after: Option<ValueKey>,
    /// Which sort of author made it, where anybody saw.
    pub author: Option<Author>,
    /// Whether another name ended with it.
    pub is_rename: bool,
}

impl Reader {
    /// The hosts that have told of something since they were gone through.
    pub fn unseen(&self) -> Result<Vec<Unseen>, Error> {
        let unseen = self.connection.rows(SELECT_UNSEEN, (), |row| {
            let number = |column| -> SqlResult<u64> { Ok(row.get::<i64>(column)?.cast_unsigned()) };
            Ok(Unseen {
                host: HostKey(row.get(0)?),
                seq: number(1)?,
                durable: number(2)?,
                facts: number(3)?,
                seen_facts: number(4)?,
            })
        });
        unseen.doing(READ)
    }

    /// The next changes of a host's log.
    pub fn logged(&self, host: HostKey, after: u64, most: usize) -> Result<Vec<Logged>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.changes(SELECT_LOGGED, (host.0, after.cast_signed(), most))
    }

    /// What happened to the same subjects before changes and after moments, newest first.
    ///
    /// Which change began the interval that ended with it is known, and so on: the log of a subject is not searched but
    /// where no interval ended, as where a file comes back.
    pub fn earlier(
        &self,
        changes: &[(&Logged, Timestamp)],
        most: usize,
    ) -> Result<Vec<Vec<Logged>>, Error> {
        let mut found = self.steps(changes, most)?;
        let empty = found
            .iter()
            .enumerate()
            .filter(|(_, steps)| steps.is_empty());
        let empty: Vec<_> = empty.map(|(place, _)| place).collect();
        let ended = empty.iter().map(|place| {
            let (change, _) = changes[*place];
            [
                integer(change.host.0.into()),
                integer(change.time.as_nanos()),
                integer(change.subject.0),
            ]
        });
        let has_ended = self
            .connection
            .rows_each(HAS_ENDED, &ended.collect::<Vec<_>>(), |_row| Ok(()));
        let left = empty.into_iter().zip(has_ended.doing(READ)?);
        let left: Vec<_> = left
            .filter(|(_, has_ended)| has_ended.is_empty())
            .map(|(place, _)| place)
            .collect();
        let searched = left.iter().map(|place| {
            let (change, since) = changes[*place];
            [
                integer(change.host.0.into()),
                integer(change.subject.0),
                integer(change.seq.cast_signed()),
                integer(since.as_nanos()),
                integer(at_most(most)),
            ]
        });
        let searched =
            self.connection
                .rows_each(SELECT_EARLIER, &searched.collect::<Vec<_>>(), logged);
        for (place, steps) in left.into_iter().zip(searched.doing(READ)?) {
            found[place] = steps;
        }
        Ok(found)
    }

    /// A server is asked for all steps of all changes at once; from a file they are read quicker one by one.
    fn steps(
        &self,
        changes: &[(&Logged, Timestamp)],
        most: usize,
    ) -> Result<Vec<Vec<Logged>>, Error> {
        if self.connection.server().is_none() {
            let steps = |(change, since): &(&Logged, Timestamp)| {
                self.steps_one_by_one(change, *since, most)
            };
            return changes.iter().map(steps).collect();
        }
        let rows = changes.iter().map(|(change, since)| {
            [
                integer(change.host.0.into()),
                integer(change.time.as_nanos()),
                integer(change.subject.0),
                integer(since.as_nanos()),
                integer(at_most(most)),
            ]
        });
        let found = self
            .connection
            .rows_each(SELECT_STEPS, &rows.collect::<Vec<_>>(), logged);
        found.doing(READ)
    }

    fn steps_one_by_one(
        &self,
        change: &Logged,
        since: Timestamp,
        most: usize,
    ) -> Result<Vec<Logged>, Error> {
        let (host, subject) = (change.host.0, change.subject.0);
        let mut until = change.time;
        let mut found: Vec<Logged> = Vec::new();
        while found.len() < most {
            let before = self.changes(SELECT_STEP, (host, until.as_nanos(), subject))?;
            let Some(before) = before.into_iter().find(|before| before.time >= since) else {
                break;
            };
            until = before.time;
            found.push(before);
        }
        Ok(found)
    }

    /// What people have changed lately on a host.
    pub fn changed_by_people(&self, host: HostKey) -> Result<Vec<SubjectKey>, Error> {
        let subject = |row: &Row<'_>| Ok(SubjectKey(row.get(0)?));
        let subjects = self.connection.rows(SELECT_HUMAN, [host.0], subject);
        subjects.doing(READ)
    }

    fn changes(&self, sql: &str, params: impl Params) -> Result<Vec<Logged>, Error> {
        self.connection.rows(sql, params, logged).doing(READ)
    }
}

fn integer<'v>(value: i64) -> Value<'v> {
    Value::Integer(Some(value))
}

fn at_most(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn logged(row: &Row<'_>) -> SqlResult<Logged> {
    let author: Option<String> = row.get(6)?;
    Ok(Logged {
        host: HostKey(row.get(0)?),
        seq: row.get::<i64>(1)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(2)?),
        subject: SubjectKey(row.get(3)?),
        before: row.get::<Option<i64>>(4)?.map(ValueKey),
        after: row.get::<Option<i64>>(5)?.map(ValueKey),
        author: author.as_deref().and_then(Author::from_word),
        is_rename: row.get(7)?,
    })
}
