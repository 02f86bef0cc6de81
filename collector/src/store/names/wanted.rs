//! Finds what stands once in the store, and writes what is new: row by row, or many at once where a server answers.

use super::super::sql::{Connection, Error, Insert, Result, Server, Value};

/// Says where one sort of things stands.
pub(super) struct Sort<const N: usize> {
    word: &'static str,
    /// The first columns are the key.
    keys: usize,
    select: &'static str,
    /// The same for lists of keys, with the place in the lists.
    select_all: &'static str,
    insert: Insert<N>,
}

pub(super) const SELECT_SUBJECT: &str = "SELECT id FROM subjects WHERE kind = ?1 AND key = ?2";

pub(super) const SUBJECTS: Sort<2> = Sort {
    word: "subject",
    keys: 2,
    select: SELECT_SUBJECT,
    select_all: "
        SELECT w.place, s.id FROM unnest(?1, ?2) WITH ORDINALITY AS w (kind, key, place)
        JOIN subjects s ON s.kind = w.kind AND s.key = w.key",
    insert: Insert {
        table: "subjects",
        columns: ["kind", "key"],
        on_conflict: "ON CONFLICT DO NOTHING",
    },
};
pub(super) const VALUES: Sort<2> = Sort {
    word: "value",
    keys: 1,
    select: "SELECT id FROM fact_values WHERE hash = ?1",
    select_all: "
        SELECT w.place, v.id FROM unnest(?1) WITH ORDINALITY AS w (hash, place)
        JOIN fact_values v ON v.hash = w.hash",
    insert: Insert {
        table: "fact_values",
        columns: ["hash", "json"],
        on_conflict: "ON CONFLICT DO NOTHING",
    },
};
pub(super) const ACTORS: Sort<6> = Sort {
    word: "actor",
    keys: 1,
    select: "SELECT id FROM actors WHERE hash = ?1",
    select_all: "
        SELECT w.place, a.id FROM unnest(?1) WITH ORDINALITY AS w (hash, place)
        JOIN actors a ON a.hash = w.hash",
    insert: Insert {
        table: "actors",
        columns: ["hash", "person", "author", "session", "uid", "json"],
        on_conflict: "ON CONFLICT DO NOTHING",
    },
};

const SPARE: Insert<2> = Insert {
    table: "spared",
    columns: ["sort", "id"],
    on_conflict: "ON CONFLICT DO NOTHING",
};

impl<const N: usize> Sort<N> {
    /// The ids of rows, in their order. Each of them stands there once.
    pub(super) fn find_or_insert(
        &self,
        connection: &Connection,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<i64>> {
        if let Some(server) = connection.server() {
            return self.all(connection, server, rows);
        }
        rows.iter().map(|row| self.one(connection, row)).collect()
    }

    fn one(&self, connection: &Connection, row: &[Value<'_>; N]) -> Result<i64> {
        let select = || connection.optional(self.select, &row[..self.keys], |row| row.get(0));
        if let Some(id) = select()? {
            return Ok(id);
        }
        connection.insert_all(&self.insert, [*row])?;
        select()?.ok_or(Error::NoRow)
    }

    /// What another collector writes at the same time is waited for, and found the second time.
    fn all(
        &self,
        connection: &Connection,
        server: &Server,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<i64>> {
        let mut ids = vec![None; rows.len()];
        let mut left: Vec<usize> = (0..rows.len()).collect();
        for is_written in [false, true] {
            if is_written {
                connection.insert_all(&self.insert, left.iter().map(|place| rows[*place]))?;
            }
            let keys = 0..self.keys;
            let keys = keys.map(|key| left.iter().map(|place| rows[*place][key]).collect());
            let found =
                server.rows_of_lists(self.select_all, &keys.collect::<Vec<_>>(), |row| {
                    Ok((row.get::<u32>(0)?, row.get::<i64>(1)?))
                })?;
            for (place, id) in found {
                ids[left[place as usize - 1]] = Some(id);
            }
            left.retain(|place| ids[*place].is_none());
            if left.is_empty() {
                break;
            }
        }
        ids.into_iter().map(|id| id.ok_or(Error::NoRow)).collect()
    }

    /// Notes that something is used, while what is not is being removed.
    pub(super) fn spare(&self, connection: &Connection, ids: &[i64]) -> Result<()> {
        let row = |id: &i64| [Value::Text(Some(self.word)), Value::Integer(Some(*id))];
        connection.insert_all(&SPARE, ids.iter().map(row))
    }
}
