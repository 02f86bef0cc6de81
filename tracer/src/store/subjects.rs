//! The table of subjects: their names, each once.

use change::{Kind, Subject, Text, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};

use super::Error;
use super::error::Doing as _;

const INSERT: &str = "INSERT INTO subjects (kind, key, since) VALUES (?1, ?2, ?3)";
const SELECT_ID: &str = "SELECT id FROM subjects WHERE kind = ?1 AND key = ?2";
const SELECT_SINCE: &str = "SELECT since FROM subjects WHERE kind = ?1 AND key = ?2";
const SELECT_AFTER: &str = "
    SELECT kind, key, since FROM subjects
    WHERE (kind, key) > (?1, ?2) AND (?3 IS NULL OR kind = ?3)
    ORDER BY kind, key LIMIT ?4";
const SELECT_SINCE_BELOW: &str = "
    SELECT min(since) FROM subjects WHERE kind = 'file' AND key >= ?1 AND key < ?2";

/// Which subjects are asked for at once.
#[derive(Clone, Debug)]
pub struct SubjectPage {
    /// Of this kind, or of all.
    pub kind: Option<Kind>,
    /// Behind this one.
    pub after: Option<Subject>,
    /// So many at most.
    pub limit: u32,
}

impl SubjectPage {
    /// The kind's word and the key to go on behind.
    pub(super) fn after(&self) -> (&'static str, &[u8]) {
        let of_kind = || (self.kind.map_or("", Kind::as_str), &[][..]);
        let after = self.after.as_ref();
        after.map_or_else(of_kind, |after| (after.kind.as_str(), after.key.as_bytes()))
    }

    pub(super) fn limit(&self) -> i64 {
        i64::from(self.limit)
    }
}

/// The statements that write subjects.
pub(super) struct SubjectWriter<'c> {
    pub(super) connection: &'c Connection,
    select: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl<'c> SubjectWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            select: connection.prepare_cached(SELECT_ID)?,
            insert: connection.prepare_cached(INSERT)?,
        })
    }

    /// The subject's id, where it is known.
    pub(super) fn find(&mut self, subject: &Subject) -> rusqlite::Result<Option<i64>> {
        let Subject { kind, key } = subject;
        self.select
            .query_row((kind.as_str(), key.as_bytes()), |row| row.get(0))
            .optional()
    }

    /// Writes a new subject and gives its id.
    pub(super) fn write(&mut self, subject: &Subject, since: Timestamp) -> rusqlite::Result<i64> {
        let Subject { kind, key } = subject;
        self.insert
            .execute((kind.as_str(), key.as_bytes(), since.as_nanos()))?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// The id of a subject, where it is known.
pub(super) fn id_of(connection: &Connection, subject: &Subject) -> Result<Option<i64>, Error> {
    let doing = "read a subject";
    let mut select = connection.prepare_cached(SELECT_ID).doing(doing)?;
    select
        .query_row((subject.kind.as_str(), subject.key.as_bytes()), |row| {
            row.get(0)
        })
        .optional()
        .doing(doing)
}

/// When the subject was first heard of.
pub(super) fn since(
    connection: &Connection,
    subject: &Subject,
) -> Result<Option<Timestamp>, Error> {
    let doing = "read a subject";
    let mut select = connection.prepare_cached(SELECT_SINCE).doing(doing)?;
    let since = select
        .query_row((subject.kind.as_str(), subject.key.as_bytes()), |row| {
            row.get(0)
        })
        .optional()
        .doing(doing)?;
    Ok(since.map(Timestamp::from_nanos))
}

/// The next subjects of a kind, or of all, behind one, in the order of the kinds' words and the keys' bytes;
/// each with when it was first heard of.
pub(super) fn after(
    connection: &Connection,
    page: &SubjectPage,
) -> Result<Vec<(Subject, Timestamp)>, Error> {
    let doing = "read the subjects";
    let mut select = connection.prepare_cached(SELECT_AFTER).doing(doing)?;
    let SubjectPage { kind, .. } = page;
    let (after_kind, after_key) = page.after();
    let kind = kind.map(Kind::as_str);
    let mut rows = select
        .query((after_kind, after_key, kind, page.limit()))
        .doing(doing)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let since = row.get(2).doing(doing)?;
        found.push((named_in(row)?, Timestamp::from_nanos(since)));
    }
    Ok(found)
}

/// The subject whose kind and key a row begins with.
pub(super) fn named_in(row: &Row<'_>) -> Result<Subject, Error> {
    let doing = "read the name of a subject";
    let kind: String = row.get(0).doing(doing)?;
    from_columns(&kind, row.get(1).doing(doing)?).map_err(|what| Error::Row {
        table: "subjects",
        row: 0,
        what,
    })
}

/// When the first of a folder's files, at any depth, was first heard of.
pub(super) fn since_below(
    connection: &Connection,
    folder: &[u8],
) -> Result<Option<Timestamp>, Error> {
    let doing = "read the subjects of a folder";
    let mut select = connection.prepare_cached(SELECT_SINCE_BELOW).doing(doing)?;
    let [from, to] = range_below(folder);
    let since: Option<i64> = select
        .query_row((from, to), |row| row.get(0))
        .doing(doing)?;
    Ok(since.map(Timestamp::from_nanos))
}

/// The keys below a folder: from the first of these up to the second, which is not one of them.
pub(super) fn range_below(folder: &[u8]) -> [Vec<u8>; 2] {
    let folder = trim_slashes(folder);
    let with = |last: u8| [folder, &[last]].concat();
    [with(b'/'), with(b'/' + 1)]
}

/// The keys that begin with a prefix that is not empty: from the first of these up to the second, which
/// is not one of them.
pub(super) fn range_from(prefix: &[u8]) -> [Vec<u8>; 2] {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    [prefix.to_vec(), end]
}

/// A path without the slashes at its end; nothing for the root.
pub(super) fn trim_slashes(mut path: &[u8]) -> &[u8] {
    while let [above @ .., b'/'] = path {
        path = above;
    }
    path
}

/// A subject from its columns, or what is wrong with them.
pub(super) fn from_columns(kind: &str, key: Vec<u8>) -> Result<Subject, String> {
    let kind = Kind::read(kind).map_err(|error| format!("{error}"))?;
    Ok(Subject {
        kind,
        key: Text::from(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_a_kind_that_only_a_newer_tracer_knows_is_read() {
        let subject = from_columns("cpu-quota", b"a".to_vec()).unwrap();
        assert_eq!(subject.to_string(), "cpu-quota:a");
        assert!(from_columns("damaged\0", b"a".to_vec()).is_err());
    }
}
