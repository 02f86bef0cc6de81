//! The table of hosts: machine ids with the names they had.

use rusqlite::{Connection, OptionalExtension as _};

const INSERT: &str = "INSERT INTO hosts (machine, name) VALUES (?1, ?2)";
const SELECT_ID: &str = "SELECT id FROM hosts WHERE machine = ?1 AND name = ?2";

/// The id of a host with that name, which is written where it is new.
pub(super) fn intern(connection: &Connection, machine: &str, name: &str) -> rusqlite::Result<i64> {
    let known = connection
        .prepare_cached(SELECT_ID)?
        .query_row([machine, name], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    connection
        .prepare_cached(INSERT)?
        .execute([machine, name])?;
    Ok(connection.last_insert_rowid())
}
