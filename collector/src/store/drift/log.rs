//! How the logs of hosts are gone through for drift: from a cursor on, so that it costs what has changed.

use change::{Author, Timestamp};

use super::Reader;
use crate::fleet::{HostKey, SubjectKey, ValueKey};
use crate::store::Error;
use crate::store::error::Doing as _;
use crate::store::sql::{Params, Result as SqlResult, Row};

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

    /// What happened to the same subject before a change and after a moment, newest first.
    ///
    /// Which change began the interval that ended with it is known, and so on: the log of a subject is not searched but
    /// where no interval ended, as where a file comes back.
    pub fn earlier(
        &self,
        change: &Logged,
        since: Timestamp,
        most: usize,
    ) -> Result<Vec<Logged>, Error> {
        let Logged {
            host,
            time,
            subject,
            ..
        } = *change;
        let found = self.steps(change, since, most)?;
        let key = (host.0, time.as_nanos(), subject.0);
        if found.is_empty() && !self.connection.exists(HAS_ENDED, key).doing(READ)? {
            return self.search(change, since, most);
        }
        Ok(found)
    }

    /// A server is asked for all steps at once; from a file they are read quicker one by one.
    fn steps(&self, change: &Logged, since: Timestamp, most: usize) -> Result<Vec<Logged>, Error> {
        let (host, subject) = (change.host.0, change.subject.0);
        let mut until = change.time;
        if self.connection.server().is_some() {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let row = (host, until.as_nanos(), subject, since.as_nanos(), most);
            return self.changes(SELECT_STEPS, row);
        }
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

    fn search(&self, change: &Logged, since: Timestamp, most: usize) -> Result<Vec<Logged>, Error> {
        let Logged {
            host, seq, subject, ..
        } = *change;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let row = (host.0, subject.0, seq.cast_signed(), since.as_nanos(), most);
        self.changes(SELECT_EARLIER, row)
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
