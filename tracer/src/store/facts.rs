//! The table of facts: the state of the host now.

use change::{Kind, Subject, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};

use super::error::Doing as _;
use super::memory::KnownState;
use super::{Error, Fact, FileIdentity, states, subjects};

const UPSERT: &str = "
    INSERT INTO facts (subject, state, time, dev, inode, ctime_ns, mtime_ns)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (subject) DO UPDATE SET
        state = ?2, time = CASE state WHEN ?2 THEN time ELSE ?3 END, dev = ?4, inode = ?5, ctime_ns = ?6, mtime_ns = ?7";
const DELETE: &str = "DELETE FROM facts WHERE subject = ?1";
const SELECT_STATE: &str = "SELECT state FROM facts WHERE subject = ?1";
const SELECT: &str = "
    SELECT s.id, s.kind, s.key, f.state, f.time, f.dev, f.inode, f.ctime_ns, f.mtime_ns
    FROM subjects s JOIN facts f ON f.subject = s.id
    WHERE s.kind = ?1 AND s.key = ?2";
const SELECT_BELOW: &str = "
    SELECT s.id, s.kind, s.key, f.state, f.time, f.dev, f.inode, f.ctime_ns, f.mtime_ns
    FROM subjects s JOIN facts f ON f.subject = s.id
    WHERE s.kind = 'file' AND s.key >= ?1 AND s.key < ?2
    ORDER BY s.key";
const SELECT_OF_KIND: &str = "
    SELECT s.id, s.kind, s.key, f.state, f.time, f.dev, f.inode, f.ctime_ns, f.mtime_ns
    FROM subjects s JOIN facts f ON f.subject = s.id
    WHERE s.kind = ?1 AND s.key > ?2
    ORDER BY s.key LIMIT ?3";
const SELECT_ALL: &str = "
    SELECT s.id, s.kind, s.key, f.state, f.time, f.dev, f.inode, f.ctime_ns, f.mtime_ns
    FROM subjects s JOIN facts f ON f.subject = s.id
    WHERE (s.kind, s.key) > (?1, ?2)
    ORDER BY s.kind, s.key LIMIT ?3";

const READ: &str = "read facts";

/// One row of the table `facts`, to write; without a state it is one to delete.
pub(super) struct FactRow {
    pub(super) state: Option<i64>,
    /// Since when it has that state; kept where it has it already.
    pub(super) time: Timestamp,
    pub(super) identity: Option<FileIdentity>,
}

/// The statements that write facts.
pub(super) struct FactWriter<'c> {
    upsert: CachedStatement<'c>,
    delete: CachedStatement<'c>,
}

impl<'c> FactWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            upsert: connection.prepare_cached(UPSERT)?,
            delete: connection.prepare_cached(DELETE)?,
        })
    }

    /// Writes the fact of a subject, or deletes it.
    pub(super) fn write(&mut self, subject: i64, row: &FactRow) -> rusqlite::Result<()> {
        let FactRow {
            state,
            time,
            identity,
        } = row;
        let Some(state) = state else {
            return self.delete.execute([subject]).map(|_rows| ());
        };
        let parts = identity.map(|identity| {
            let FileIdentity {
                dev,
                inode,
                ctime_ns,
                mtime_ns,
            } = identity;
            (dev.cast_signed(), inode.cast_signed(), ctime_ns, mtime_ns)
        });
        self.upsert
            .execute((
                subject,
                state,
                time.as_nanos(),
                parts.map(|(dev, ..)| dev),
                parts.map(|(_, inode, ..)| inode),
                parts.map(|(.., ctime, _)| ctime),
                parts.map(|(.., mtime)| mtime),
            ))
            .map(|_rows| ())
    }
}

/// The state that a subject has now.
pub(super) fn state_of(connection: &Connection, subject: i64) -> Result<Option<KnownState>, Error> {
    let mut select = connection.prepare_cached(SELECT_STATE).doing(READ)?;
    let id = select
        .query_row([subject], |row| row.get(0))
        .optional()
        .doing(READ)?;
    id.map(|id| {
        let value = states::read(connection, id)?;
        Ok(KnownState { id, value })
    })
    .transpose()
}

/// The fact of a subject.
pub(super) fn read(connection: &Connection, subject: &Subject) -> Result<Option<Fact>, Error> {
    let mut found = None;
    let named = (subject.kind.as_str(), subject.key.as_bytes());
    each(connection, SELECT, named, &mut |fact| found = Some(fact))?;
    Ok(found)
}

/// Passes on the facts of a path and of all below it, in the order of their paths' bytes.
pub(super) fn read_under(
    connection: &Connection,
    prefix: &[u8],
    pass_on: &mut dyn FnMut(Fact),
) -> Result<(), Error> {
    let itself = Subject::file(subjects::trim_slashes(prefix));
    if let Some(fact) = read(connection, &itself)? {
        pass_on(fact);
    }
    let [from, to] = subjects::range_below(prefix);
    each(connection, SELECT_BELOW, (from, to), pass_on)
}

/// The next facts of a kind behind a key, in the order of the keys' bytes.
pub(super) fn read_of_kind(
    connection: &Connection,
    kind: Kind,
    after: &[u8],
    limit: usize,
) -> Result<Vec<Fact>, Error> {
    let mut found = Vec::new();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params = (kind.as_str(), after, limit);
    each(connection, SELECT_OF_KIND, params, &mut |fact| {
        found.push(fact);
    })?;
    Ok(found)
}

/// The next facts of any kind behind a subject, in the order of the kinds' words and the keys' bytes.
pub(super) fn read_all(
    connection: &Connection,
    after: Option<&Subject>,
    limit: usize,
) -> Result<Vec<Fact>, Error> {
    let mut found = Vec::new();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let kind = after.map_or("", |after| after.kind.as_str());
    let key = after.map_or(&[][..], |after| after.key.as_bytes());
    each(connection, SELECT_ALL, (kind, key, limit), &mut |fact| {
        found.push(fact);
    })?;
    Ok(found)
}

fn each(
    connection: &Connection,
    query: &str,
    params: impl Params,
    pass_on: &mut dyn FnMut(Fact),
) -> Result<(), Error> {
    let mut select = connection.prepare_cached(query).doing(READ)?;
    let mut rows = select.query(params).doing(READ)?;
    while let Some(row) = rows.next().doing(READ)? {
        pass_on(fact_in(connection, row)?);
    }
    Ok(())
}

fn fact_in(connection: &Connection, row: &Row<'_>) -> Result<Fact, Error> {
    let id: i64 = row.get(0).doing(READ)?;
    let kind: String = row.get(1).doing(READ)?;
    let subject = subjects::from_columns(&kind, row.get(2).doing(READ)?).map_err(|what| {
        let table = "subjects";
        Error::Row {
            table,
            row: id,
            what,
        }
    })?;
    let dev: Option<i64> = row.get(5).doing(READ)?;
    let identity = dev
        .map(|dev| {
            Ok(FileIdentity {
                dev: dev.cast_unsigned(),
                inode: row.get::<_, i64>(6)?.cast_unsigned(),
                ctime_ns: row.get(7)?,
                mtime_ns: row.get(8)?,
            })
        })
        .transpose()
        .doing(READ)?;
    Ok(Fact {
        subject,
        value: Some(states::read(connection, row.get(3).doing(READ)?)?),
        identity,
        time: Timestamp::from_nanos(row.get(4).doing(READ)?),
    })
}

#[cfg(test)]
mod tests {
    use change::FactValue;

    use crate::store::example::{Example, file, text_fact, time};
    use crate::store::{Batch, Fact, FileIdentity};

    fn paths_under(example: &Example, prefix: &str) -> Vec<String> {
        let mut paths = Vec::new();
        let mut note = |fact: Fact| paths.push(fact.subject.to_string());
        let reader = example.reader();
        reader.facts_under(prefix.as_bytes(), &mut note).unwrap();
        paths
    }

    #[test]
    fn facts_are_folded_and_deleted() {
        let mut example = Example::new();
        let mut fact = text_fact("/etc/hosts", "one", 1);
        fact.identity = Some(FileIdentity {
            dev: u64::MAX,
            inode: 4,
            ctime_ns: -1,
            mtime_ns: 2,
        });
        example.commit(Batch {
            facts: vec![fact.clone(), text_fact("/etc/motd", "x", 1)],
            ..Batch::default()
        });
        let reader = example.reader();
        assert_eq!(reader.fact(&file("/etc/hosts")).unwrap(), Some(fact));
        let newer = text_fact("/etc/hosts", "two", 2);
        let gone = Fact {
            value: None,
            ..text_fact("/etc/motd", "", 3)
        };
        let unknown = Fact {
            value: None,
            ..text_fact("/etc/never", "", 3)
        };
        example.commit(Batch {
            facts: vec![
                text_fact("/etc/hosts", "lost", 2),
                newer.clone(),
                gone,
                unknown,
            ],
            ..Batch::default()
        });
        assert_eq!(reader.fact(&file("/etc/hosts")).unwrap(), Some(newer));
        assert_eq!(reader.fact(&file("/etc/motd")).unwrap(), None);
        assert_eq!(reader.fact(&file("/etc/never")).unwrap(), None);
    }

    #[test]
    fn facts_under_a_folder_come_in_byte_order_and_without_its_neighbours() {
        let mut example = Example::new();
        let paths = [
            "/etc/a/x",
            "/etc/a-b",
            "/etc/a",
            "/etc/a/",
            "/etc/a/b/c",
            "/etc0",
            "/etc/b",
        ];
        let facts = paths.map(|path| text_fact(path, "x", 1)).to_vec();
        example.commit(Batch {
            facts,
            ..Batch::default()
        });
        let below = ["/etc/a", "/etc/a/", "/etc/a/b/c", "/etc/a/x"];
        assert_eq!(paths_under(&example, "/etc/a"), below);
        assert_eq!(paths_under(&example, "/etc/a/"), below);
        assert_eq!(paths_under(&example, "/").len(), 7);
        assert!(paths_under(&example, "/et").is_empty());
    }

    #[test]
    fn the_value_of_a_setting_is_a_fact_too() {
        let mut example = Example::new();
        let fact = Fact {
            subject: change::Subject::parse(b"sysctl:vm.swappiness").unwrap(),
            value: Some(FactValue::Setting {
                value: "60".to_owned(),
            }),
            identity: None,
            time: time(5),
        };
        example.commit(Batch {
            facts: vec![fact.clone()],
            ..Batch::default()
        });
        let read = example.reader().fact(&fact.subject).unwrap();
        assert_eq!(read, Some(fact));
    }
}
