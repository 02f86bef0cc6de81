//! The tables of facts: the state of each host now, and the intervals that its facts have been before.

mod sheet;

use change::{Change, FactValue, FileType, Kind, Note, Subject, Text, Timestamp};

pub(super) use self::sheet::Sheet;
use super::names::{Named, Names};
use super::sql::{Connection, Result, Row};
use crate::fleet::{Fact, HostKey, SubjectKey, ValueKey};

const SELECT: &str = "SELECT value, since, seq FROM facts WHERE host = ?1 AND subject = ?2";
const SELECT_BELOW: &str = "
    SELECT s.key, f.subject, f.value FROM subjects s JOIN facts f ON f.host = ?1 AND f.subject = s.id
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
    pub(super) sheet: &'t mut Sheet,
    pub(super) host: HostKey,
}

/// The subject and the values of a change, by their names in the store.
#[derive(Clone, Copy)]
pub(super) struct Referred {
    pub(super) subject: SubjectKey,
    pub(super) before: Option<ValueKey>,
    pub(super) after: Option<ValueKey>,
}

/// A file that goes along with its directory.
struct Moved {
    subject: SubjectKey,
    to: Subject,
    value: ValueKey,
}

impl Fold<'_> {
    /// Folds a change in, and says what it refers to.
    pub(super) fn change(
        &mut self,
        change: &Change,
        named: &Named,
        opening: Opening,
    ) -> Result<Referred> {
        let Named {
            subject,
            from,
            before,
            after,
            actor: _,
        } = *named;
        let own_before = before.filter(|_| change.from.is_none());
        let known = self.known_before(subject, own_before)?;
        if let Some(from) = from {
            self.rename(change, (from, before), opening)?;
        }
        self.replace(subject, known, (after, opening))?;
        self.sheet
            .note_change(self.connection, (self.host, subject))?;
        Ok(Referred {
            subject,
            before,
            after,
        })
    }

    /// Folds in what a subject is, without a change that made it so. Whether that is news.
    pub(super) fn fact_now(&mut self, named: &Named, opening: Opening) -> Result<bool> {
        let Named { subject, after, .. } = *named;
        let known = self.fact(subject)?;
        let is_news = known.map(|known| known.value) != after;
        self.replace(subject, known, (after, opening))?;
        Ok(is_news)
    }

    /// Gives a subject a value, or none, from a moment on. One that it has already goes on.
    fn set(
        &mut self,
        subject: SubjectKey,
        value: Option<ValueKey>,
        opening: Opening,
    ) -> Result<()> {
        let known = self.fact(subject)?;
        self.replace(subject, known, (value, opening))
    }

    fn replace(
        &mut self,
        subject: SubjectKey,
        known: Option<Fact>,
        (value, opening): (Option<ValueKey>, Opening),
    ) -> Result<()> {
        let mut since = opening.since;
        if let Some(known) = known {
            if value == Some(known.value) {
                return Ok(());
            }
            since = since.max(known.since.unwrap_or(since));
            // What lasted no time was no state; the log has it.
            if known.since.is_none_or(|began| began < since) {
                self.sheet.end(self.host, known, since);
            }
        }
        let fact = value.map(|value| Fact {
            subject,
            value,
            since: Some(since),
            seq: opening.seq,
        });
        self.open(subject, fact)
    }

    /// The fact of a subject before a change of it. Of one not heard of before, the value that its first change
    /// tells of was there all along.
    fn known_before(
        &mut self,
        subject: SubjectKey,
        before: Option<ValueKey>,
    ) -> Result<Option<Fact>> {
        let known = self.fact(subject)?;
        let Some(value) = before.filter(|_| known.is_none()) else {
            return Ok(known);
        };
        if self.sheet.has_past(self.connection, (self.host, subject))? {
            return Ok(None);
        }
        let fact = Fact {
            subject,
            value,
            since: None,
            seq: None,
        };
        self.open(subject, Some(fact))?;
        Ok(Some(fact))
    }

    fn open(&mut self, subject: SubjectKey, fact: Option<Fact>) -> Result<()> {
        self.sheet.set(self.connection, (self.host, subject), fact)
    }

    /// Takes the old name away, and what lies below a directory along to the new one. Of two names that were
    /// exchanged each has a change of its own: the old name is the other one's, and what lies below both is
    /// exchanged once.
    fn rename(
        &mut self,
        change: &Change,
        (from, before): (SubjectKey, Option<ValueKey>),
        opening: Opening,
    ) -> Result<()> {
        let Some(old) = &change.from else {
            return Ok(());
        };
        let exchanged = change.notes.contains(&Note::Exchanged);
        if !exchanged {
            let known = self.known_before(from, before)?;
            self.replace(from, known, (None, opening))?;
        }
        let state = change.after.as_ref().or(change.before.as_ref());
        let state = state.and_then(FactValue::as_file);
        let is_directory = state.is_some_and(|state| state.file_type == FileType::Directory);
        let (from, to) = (&old.0, &change.subject.key);
        if !is_directory || (exchanged && from > to) {
            return Ok(());
        }
        let mut moved = self.below(from, to)?;
        if exchanged {
            moved.extend(self.below(to, from)?);
        }
        let new: Vec<_> = moved.iter().map(|moved| &moved.to).collect();
        let new = self.names.subjects(self.connection, &new)?;
        let own = moved
            .iter()
            .map(|moved| moved.subject)
            .chain(new.iter().copied());
        let keys = own.map(|subject| ((self.host, subject), false));
        self.sheet.load(self.connection, keys)?;
        for Moved { subject, .. } in &moved {
            self.set(*subject, None, opening)?;
        }
        for (subject, Moved { value, .. }) in new.into_iter().zip(moved) {
            self.set(subject, Some(value), opening)?;
        }
        Ok(())
    }

    /// What lies below a directory, and goes to another one.
    fn below(&mut self, from: &Text, to: &Text) -> Result<Vec<Moved>> {
        self.sheet.settle(self.connection)?;
        let [from, to] = [from.as_bytes(), to.as_bytes()];
        let range = (self.host.0, [from, b"/"].concat(), [from, b"0"].concat());
        self.connection.rows(SELECT_BELOW, range, |row| {
            let path: Vec<u8> = row.get(0)?;
            Ok(Moved {
                to: file(&[to, &path[from.len()..]].concat()),
                subject: SubjectKey(row.get(1)?),
                value: ValueKey(row.get(2)?),
            })
        })
    }

    fn fact(&mut self, subject: SubjectKey) -> Result<Option<Fact>> {
        self.sheet.fact(self.connection, (self.host, subject))
    }
}

/// The facts of a host now or at a moment, in the order of their subjects.
pub(super) fn all(
    connection: &Connection,
    HostKey(host): HostKey,
    at: Option<Timestamp>,
) -> Result<Vec<Fact>> {
    let fact = |row: &Row<'_>| fact_in(row, SubjectKey(row.get(0)?), 1);
    match at {
        None => connection.rows(SELECT_NOW, [host], fact),
        Some(at) => connection.rows(SELECT_AT, (host, at.as_nanos()), fact),
    }
}

/// The fact of a subject on a host now.
pub(super) fn read(
    connection: &Connection,
    host: HostKey,
    subject: SubjectKey,
) -> Result<Option<Fact>> {
    let row = (host.0, subject.0);
    connection.optional(SELECT, row, |row| fact_in(row, subject, 0))
}

fn fact_in(row: &Row<'_>, subject: SubjectKey, first: usize) -> Result<Fact> {
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
