//! The tables of facts: the state of each host now, and the intervals that its facts have been before.

use change::wire::FactNow;
use change::{Change, FactValue, FileType, Kind, Note, Subject, Text, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::holders::Holders;
use super::names::Names;
use crate::fleet::{Fact, HostKey, SubjectKey, ValueKey};

const SELECT: &str = "SELECT value, since, seq FROM facts WHERE host = ?1 AND subject = ?2";
const UPSERT: &str = "
    INSERT INTO facts (host, subject, value, since, seq) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (host, subject) DO UPDATE SET value = ?3, since = ?4, seq = ?5";
const DELETE: &str = "DELETE FROM facts WHERE host = ?1 AND subject = ?2";
const INSERT_PAST: &str = "
    INSERT OR IGNORE INTO past_facts (host, until, subject, value, since, seq)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const HAS_PAST: &str = "
    SELECT 1 FROM changes WHERE host = ?1 AND subject = ?2 AND seq < ?3 LIMIT 1";
const SELECT_BELOW: &str = "
    SELECT s.key, f.value FROM subjects s JOIN facts f ON f.host = ?1 AND f.subject = s.id
    WHERE s.kind = 'file' AND s.key >= ?2 AND s.key < ?3";

const SELECT_NOW: &str =
    "SELECT subject, value, since, seq FROM facts WHERE host = ?1 ORDER BY subject";
const SELECT_AT: &str = "
    SELECT subject, value, since, seq FROM facts
    WHERE host = ?1 AND (since IS NULL OR since <= ?2)
    UNION ALL
    SELECT subject, value, since, seq FROM past_facts
    WHERE host = ?1 AND until > ?2 AND (since IS NULL OR since <= ?2)
    ORDER BY subject";

/// Since when a fact holds, and which change brought it.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub(super) since: Timestamp,
    pub(super) seq: Option<u64>,
}

/// Folds what one host sends into its state.
pub(super) struct Fold<'t> {
    pub(super) connection: &'t Connection,
    pub(super) names: &'t mut Names,
    pub(super) holders: &'t mut Holders,
    pub(super) host: HostKey,
}

/// The subject and the values of a change, by their names in the store.
pub(super) struct Referred {
    pub(super) subject: SubjectKey,
    pub(super) before: Option<ValueKey>,
    pub(super) after: Option<ValueKey>,
}

/// A file that goes along with its directory.
struct Moved {
    from: Vec<u8>,
    to: Vec<u8>,
    value: ValueKey,
}

impl Fold<'_> {
    /// Folds a change in, and names what it refers to.
    pub(super) fn change(
        &mut self,
        change: &Change,
        opening: Opening,
    ) -> rusqlite::Result<Referred> {
        let subject = self.names.subject(self.connection, &change.subject)?;
        let before = self.value(change.before.as_ref())?;
        let after = self.value(change.after.as_ref())?;
        let own_before = before.filter(|_| change.from.is_none());
        let known = self.known_before(subject, own_before, change.seq)?;
        if change.from.is_some() {
            self.rename(change, before, opening)?;
        }
        self.replace(subject, known, (after, opening))?;
        Ok(Referred {
            subject,
            before,
            after,
        })
    }

    /// Folds in what a subject is, without a change that made it so. Whether that is news.
    pub(super) fn fact_now(&mut self, fact: &FactNow, opening: Opening) -> rusqlite::Result<bool> {
        let subject = self.names.subject(self.connection, &fact.subject)?;
        let value = self.value(fact.value.as_ref())?;
        let known = self.fact(subject)?;
        let is_news = known.map(|known| known.value) != value;
        self.replace(subject, known, (value, opening))?;
        Ok(is_news)
    }

    /// Gives a subject a value, or none, from a moment on. One that it has already goes on.
    fn set(
        &mut self,
        subject: SubjectKey,
        value: Option<ValueKey>,
        opening: Opening,
    ) -> rusqlite::Result<()> {
        let known = self.fact(subject)?;
        self.replace(subject, known, (value, opening))
    }

    fn replace(
        &mut self,
        subject: SubjectKey,
        known: Option<Fact>,
        (value, opening): (Option<ValueKey>, Opening),
    ) -> rusqlite::Result<()> {
        let mut since = opening.since;
        if let Some(known) = known {
            if value == Some(known.value) {
                return Ok(());
            }
            since = since.max(known.since.unwrap_or(since));
            self.end(known, since)?;
        }
        let Some(value) = value else {
            if known.is_none() {
                return Ok(());
            }
            let mut delete = self.connection.prepare_cached(DELETE)?;
            return delete.execute((self.host.0, subject.0)).map(|_rows| ());
        };
        let seq = opening.seq;
        self.open(Fact {
            subject,
            value,
            since: Some(since),
            seq,
        })
    }

    /// The fact of a subject before a change of it. Of one not heard of before, the value that its first change
    /// tells of was there all along.
    fn known_before(
        &mut self,
        subject: SubjectKey,
        before: Option<ValueKey>,
        seq: u64,
    ) -> rusqlite::Result<Option<Fact>> {
        let known = self.fact(subject)?;
        let Some(value) = before.filter(|_| known.is_none()) else {
            return Ok(known);
        };
        let mut has_past = self.connection.prepare_cached(HAS_PAST)?;
        if has_past.exists((self.host.0, subject.0, seq.cast_signed()))? {
            return Ok(None);
        }
        let fact = Fact {
            subject,
            value,
            since: None,
            seq: None,
        };
        self.open(fact)?;
        Ok(Some(fact))
    }

    fn open(&mut self, fact: Fact) -> rusqlite::Result<()> {
        let Fact {
            subject,
            value,
            since,
            seq,
        } = fact;
        let since = since.map(Timestamp::as_nanos);
        let seq = seq.map(u64::cast_signed);
        let row = (self.host.0, subject.0, value.0, since, seq);
        self.connection.prepare_cached(UPSERT)?.execute(row)?;
        let held = (self.host, subject, value);
        self.holders.set(self.connection, held, true)
    }

    /// Takes the old name away, and what lies below a directory along to the new one. Of two names that were
    /// exchanged each has a change of its own: the old name is the other one's, and what lies below both is
    /// exchanged once.
    fn rename(
        &mut self,
        change: &Change,
        before: Option<ValueKey>,
        opening: Opening,
    ) -> rusqlite::Result<()> {
        let Some(from) = &change.from else {
            return Ok(());
        };
        let old = Subject {
            kind: change.subject.kind,
            key: from.0.clone(),
        };
        let exchanged = change.notes.contains(&Note::Exchanged);
        if !exchanged {
            let subject = self.names.subject(self.connection, &old)?;
            let known = self.known_before(subject, before, change.seq)?;
            self.replace(subject, known, (None, opening))?;
        }
        let state = change.after.as_ref().or(change.before.as_ref());
        let state = state.and_then(FactValue::as_file);
        let is_directory = state.is_some_and(|state| state.file_type == FileType::Directory);
        let to = &change.subject.key;
        if !is_directory || (exchanged && old.key > *to) {
            return Ok(());
        }
        let mut moved = self.below(&old.key, to)?;
        if exchanged {
            moved.extend(self.below(to, &old.key)?);
        }
        for Moved { from, .. } in &moved {
            let subject = self.names.subject(self.connection, &file(from))?;
            self.set(subject, None, opening)?;
        }
        for Moved { to, value, .. } in &moved {
            let subject = self.names.subject(self.connection, &file(to))?;
            self.set(subject, Some(*value), opening)?;
        }
        Ok(())
    }

    /// What lies below a directory, and goes to another one.
    fn below(&self, from: &Text, to: &Text) -> rusqlite::Result<Vec<Moved>> {
        let [from, to] = [from.as_bytes(), to.as_bytes()];
        let mut select = self.connection.prepare_cached(SELECT_BELOW)?;
        let range = (self.host.0, [from, b"/"].concat(), [from, b"0"].concat());
        let rows = select.query_map(range, |row| {
            let path: Vec<u8> = row.get(0)?;
            Ok(Moved {
                to: [to, &path[from.len()..]].concat(),
                from: path,
                value: ValueKey(row.get(1)?),
            })
        })?;
        rows.collect()
    }

    fn end(&mut self, fact: Fact, until: Timestamp) -> rusqlite::Result<()> {
        let Fact {
            subject,
            value,
            since,
            seq,
        } = fact;
        // What lasted no time was no state; the log has it.
        if since.is_none_or(|since| since < until) {
            let since = since.map(Timestamp::as_nanos);
            let seq = seq.map(u64::cast_signed);
            let row = (
                self.host.0,
                until.as_nanos(),
                subject.0,
                value.0,
                since,
                seq,
            );
            self.connection.prepare_cached(INSERT_PAST)?.execute(row)?;
        }
        let held = (self.host, subject, value);
        self.holders.set(self.connection, held, false)
    }

    fn fact(&self, subject: SubjectKey) -> rusqlite::Result<Option<Fact>> {
        read(self.connection, self.host, subject)
    }

    fn value(&mut self, value: Option<&FactValue>) -> rusqlite::Result<Option<ValueKey>> {
        value
            .map(|value| self.names.value(self.connection, value))
            .transpose()
    }
}

/// The facts of a host now or at a moment, in the order of their subjects.
pub(super) fn all(
    connection: &Connection,
    HostKey(host): HostKey,
    at: Option<Timestamp>,
) -> rusqlite::Result<Vec<Fact>> {
    let fact = |row: &Row<'_>| fact_in(row, SubjectKey(row.get(0)?), 1);
    let Some(at) = at else {
        let mut select = connection.prepare_cached(SELECT_NOW)?;
        return select.query_map([host], fact)?.collect();
    };
    let mut select = connection.prepare_cached(SELECT_AT)?;
    select.query_map((host, at.as_nanos()), fact)?.collect()
}

/// The fact of a subject on a host now.
pub(super) fn read(
    connection: &Connection,
    host: HostKey,
    subject: SubjectKey,
) -> rusqlite::Result<Option<Fact>> {
    let mut select = connection.prepare_cached(SELECT)?;
    select
        .query_row((host.0, subject.0), |row| fact_in(row, subject, 0))
        .optional()
}

fn fact_in(row: &Row<'_>, subject: SubjectKey, first: usize) -> rusqlite::Result<Fact> {
    let since: Option<i64> = row.get(first + 1)?;
    let seq: Option<i64> = row.get(first + 2)?;
    Ok(Fact {
        subject,
        value: ValueKey(row.get(first)?),
        since: since.map(Timestamp::from_nanos),
        seq: seq.map(i64::cast_unsigned),
    })
}

fn file(path: &[u8]) -> Subject {
    Subject {
        kind: Kind::File,
        key: path.into(),
    }
}
