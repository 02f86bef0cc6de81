//! What nothing refers to: values, actors, subjects and contents, each of which stands once for the whole fleet.

use std::collections::HashSet;

use change::Timestamp;
use serde::Deserialize;

use super::super::error::Doing as _;
use super::super::sql::{self, Connection, Row, ToValue as _, Value};
use super::history::{Changes, hosts};
use super::{Error, READ, Tidied, WRITE};

const ANNOUNCE: &str = "UPDATE retention SET sweeping = 1, generation = generation + 1";
const FORGET_SPARED: &str = "DELETE FROM spared";
const END: &str = "UPDATE retention SET sweeping = 0";

// The values of facts of now, read from where each stands once and not with each host.
const SELECT_HELD: &str = "SELECT subject, value FROM holders";
const SELECT_PAST: &str = "SELECT subject, value FROM past_facts WHERE until > ?1";
const SELECT_DRIFT: &str = "
    SELECT subject, value FROM drift_events
    UNION ALL SELECT subject, expected FROM drift_events
    UNION ALL SELECT subject, NULL FROM human_changes";
const SELECT_CHANGES: &str =
    "SELECT seq, subject, before, after, actor FROM changes WHERE host = ?1";
const SELECT_VALUES: &str = "SELECT id, json FROM fact_values";
const SELECT_LATER_VALUES: &str = "
    SELECT id, json FROM fact_values
    WHERE id > ?1 OR id IN (SELECT id FROM spared WHERE sort = 'value')";
const SELECT_ACTORS: &str = "SELECT id FROM actors";
const SELECT_SUBJECTS: &str = "SELECT id FROM subjects";
// One that came late leads to a change that is still to come.
const SELECT_CONTENTS: &str = "SELECT hash, length(bytes) FROM contents WHERE received < ?1";

const DELETE_VALUE: &str = "
    DELETE FROM fact_values WHERE id = ?1 AND id NOT IN (SELECT id FROM spared WHERE sort = 'value')";
const DELETE_ACTOR: &str = "
    DELETE FROM actors WHERE id = ?1 AND id NOT IN (SELECT id FROM spared WHERE sort = 'actor')";
const DELETE_SUBJECT: &str = "
    DELETE FROM subjects WHERE id = ?1 AND id NOT IN (SELECT id FROM spared WHERE sort = 'subject')";
const DELETE_CONTENT: &str = "DELETE FROM contents WHERE hash = ?1 AND received < ?2";

/// So many rows go at a time.
const AT_ONCE: usize = 2_000;

/// Tells whoever writes that names are being removed.
pub(super) fn announce(connection: &Connection) -> sql::Result<()> {
    connection.execute(FORGET_SPARED, ())?;
    connection.execute(ANNOUNCE, ()).map(drop)
}

/// Tells whoever writes that it is over.
pub(super) fn end(connection: &Connection) -> sql::Result<()> {
    connection.execute(FORGET_SPARED, ())?;
    connection.execute(END, ()).map(drop)
}

/// A set of ids, a bit each: they are given out one after the other.
#[derive(Default)]
struct Ids(Vec<u64>);

impl Ids {
    fn insert(&mut self, id: i64) {
        let Ok(id) = usize::try_from(id) else {
            return;
        };
        if id / 64 >= self.0.len() {
            self.0.resize(id / 64 + 1, 0);
        }
        self.0[id / 64] |= 1 << (id % 64);
    }

    fn contains(&self, id: i64) -> bool {
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        let word = self.0.get(id / 64);
        word.is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}

/// What is referred to.
#[derive(Default)]
struct Used {
    values: Ids,
    actors: Ids,
    subjects: Ids,
}

impl Used {
    /// What facts refer to, and of each host the changes that are not passed as `gone`.
    fn of(
        connection: &Connection,
        past_until: i64,
        gone: &dyn Fn(u32) -> Result<HashSet<i64>, Error>,
    ) -> Result<Self, Error> {
        let mut used = Self::default();
        each(connection, SELECT_HELD, None, &mut |row| used.fact(row))?;
        each(connection, SELECT_PAST, Some(past_until), &mut |row| {
            used.fact(row)
        })?;
        each(connection, SELECT_DRIFT, None, &mut |row| used.fact(row))?;
        for host in hosts(connection)? {
            let gone = gone(host)?;
            each(connection, SELECT_CHANGES, Some(host.into()), &mut |row| {
                used.change(row, &gone)
            })?;
        }
        Ok(used)
    }

    fn change(&mut self, row: &Row<'_>, gone: &HashSet<i64>) -> sql::Result<()> {
        if gone.contains(&row.get(0)?) {
            return Ok(());
        }
        self.subjects.insert(row.get(1)?);
        let values: [Option<i64>; 2] = [row.get(2)?, row.get(3)?];
        let values = values.into_iter().flatten();
        values.for_each(|id| self.values.insert(id));
        if let Some(actor) = row.get(4)? {
            self.actors.insert(actor);
        }
        Ok(())
    }

    fn fact(&mut self, row: &Row<'_>) -> sql::Result<()> {
        self.subjects.insert(row.get(0)?);
        if let Some(value) = row.get(1)? {
            self.values.insert(value);
        }
        Ok(())
    }
}

/// A content's hash.
type Hash = [u8; 32];

/// What is read of a value.
#[derive(Deserialize)]
struct Hashed {
    hash: String,
}

/// What nothing refers to.
pub(super) struct Unused {
    horizon: Timestamp,
    values: Vec<i64>,
    /// The newest value there was.
    last_value: i64,
    actors: Vec<i64>,
    subjects: Vec<i64>,
    contents: Vec<(Hash, u64)>,
}

impl Unused {
    /// What nothing refers to now.
    pub(super) fn now(connection: &Connection, horizon: Timestamp) -> Result<Self, Error> {
        let used = Used::of(connection, i64::MIN, &|_host| Ok(HashSet::new()))?;
        Self::beside(connection, horizon, &used)
    }

    /// What nothing will refer to once the rest is removed.
    pub(super) fn once_removed(connection: &Connection, horizon: Timestamp) -> Result<Self, Error> {
        let used = Used::of(connection, horizon.as_nanos(), &|host| {
            let changes = Changes::of(connection, host, horizon)?;
            Ok(changes.old.into_iter().collect())
        })?;
        Self::beside(connection, horizon, &used)
    }

    fn beside(connection: &Connection, horizon: Timestamp, used: &Used) -> Result<Self, Error> {
        let mut unused = Self {
            horizon,
            values: Vec::new(),
            last_value: 0,
            actors: Vec::new(),
            subjects: Vec::new(),
            contents: Vec::new(),
        };
        let mut leading: HashSet<Hash> = HashSet::new();
        each(connection, SELECT_VALUES, None, &mut |row| {
            let id = row.get(0)?;
            unused.last_value = unused.last_value.max(id);
            if used.values.contains(id) {
                leading.extend(hash_in(row.text(1)?));
            } else {
                unused.values.push(id);
            }
            Ok(())
        })?;
        unused.actors = ids_beside(connection, SELECT_ACTORS, &used.actors)?;
        unused.subjects = ids_beside(connection, SELECT_SUBJECTS, &used.subjects)?;
        each(
            connection,
            SELECT_CONTENTS,
            Some(horizon.as_nanos()),
            &mut |row| {
                let (hash, size) = (row.get(0)?, row.get::<i64>(1)?);
                if !leading.contains(&hash) {
                    unused.contents.push((hash, size.cast_unsigned()));
                }
                Ok(())
            },
        )?;
        Ok(unused)
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self {
            values,
            actors,
            subjects,
            contents,
            ..
        } = self;
        values.is_empty() && actors.is_empty() && subjects.is_empty() && contents.is_empty()
    }

    /// Adds all of it to what goes.
    pub(super) fn count(&self, tidied: &mut Tidied) {
        tidied.values += self.values.len() as u64;
        tidied.actors += self.actors.len() as u64;
        tidied.subjects += self.subjects.len() as u64;
        tidied.contents += self.contents.len() as u64;
        tidied.content_bytes += self.contents.iter().map(|(_, size)| size).sum::<u64>();
    }

    /// Removes some of it, but for what came to be used meanwhile.
    pub(super) fn remove_some(
        &mut self,
        connection: &Connection,
        tidied: &mut Tidied,
    ) -> Result<(), Error> {
        tidied.values += remove(connection, DELETE_VALUE, &mut self.values).doing(WRITE)?;
        tidied.actors += remove(connection, DELETE_ACTOR, &mut self.actors).doing(WRITE)?;
        tidied.subjects += remove(connection, DELETE_SUBJECT, &mut self.subjects).doing(WRITE)?;
        if self.contents.is_empty() {
            return Ok(());
        }
        let mut leading: HashSet<Hash> = HashSet::new();
        each(
            connection,
            SELECT_LATER_VALUES,
            Some(self.last_value),
            &mut |row| {
                leading.extend(hash_in(row.text(1)?));
                Ok(())
            },
        )?;
        let some = self.contents.len().saturating_sub(AT_ONCE);
        for (hash, size) in self.contents.drain(some..) {
            let row = (hash, self.horizon.as_nanos());
            if !leading.contains(&hash) && connection.execute(DELETE_CONTENT, row).doing(WRITE)? > 0
            {
                tidied.contents += 1;
                tidied.content_bytes += size;
            }
        }
        Ok(())
    }
}

fn remove(connection: &Connection, sql: &str, ids: &mut Vec<i64>) -> sql::Result<u64> {
    let mut gone = 0;
    // The newest last, as the id of the very newest may be given to another one afterwards.
    for id in ids.drain(..ids.len().min(AT_ONCE)) {
        gone += connection.execute(sql, [id])?;
    }
    Ok(gone)
}

fn ids_beside(connection: &Connection, sql: &str, used: &Ids) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    each(connection, sql, None, &mut |row| {
        let id = row.get(0)?;
        if !used.contains(id) {
            ids.push(id);
        }
        Ok(())
    })?;
    Ok(ids)
}

fn each(
    connection: &Connection,
    sql: &str,
    param: Option<i64>,
    pass_on: &mut dyn FnMut(&Row<'_>) -> sql::Result<()>,
) -> Result<(), Error> {
    let params: Vec<Value<'_>> = param.iter().map(|param| param.to_value()).collect();
    connection.each((sql, params.as_slice()), READ, &mut |row| {
        pass_on(row).doing(READ)?;
        Ok(true)
    })
}

/// The hash of a content, as values of files have it: `b3:` and hexadecimal digits.
fn hash_in(json: Option<&str>) -> Option<Hash> {
    // Settings and packages need not be read.
    let json = json.filter(|json| json.contains("\"b3:"))?;
    let Hashed { hash } = serde_json::from_str(json).ok()?;
    let hash = blake3::Hash::from_hex(hash.strip_prefix("b3:")?).ok()?;
    Some(*hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_ids_has_what_was_put_in() {
        let mut ids = Ids::default();
        for id in [1, 63, 64, 5_000, -1] {
            ids.insert(id);
        }
        let found: Vec<_> = (-2..6_000).filter(|id| ids.contains(*id)).collect();
        assert_eq!(found, [1, 63, 64, 5_000]);
    }
}
