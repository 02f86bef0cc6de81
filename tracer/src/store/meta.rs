//! The table of single values: what the store knows once.

use change::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::Error;
use super::error::Doing as _;

const SELECT: &str = "SELECT value FROM meta WHERE key = ?1";
const UPSERT: &str = "
    INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
const INSERT_IF_NONE: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

const HEARTBEAT: &str = "heartbeat";
const FIRST_HEARTBEAT: &str = "first-heartbeat";

/// Reads the value of a key.
pub(super) fn read(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let doing = "read a value of the store";
    let mut select = connection.prepare_cached(SELECT).doing(doing)?;
    select
        .query_row([key], |row| row.get(0))
        .optional()
        .doing(doing)
}

/// Writes the value of a key.
pub(super) fn write(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(UPSERT)?;
    upsert.execute((key, value)).map(|_rows| ())
}

/// Writes until when the daemon was alive, and since when, where this is the first time.
pub(super) fn write_heartbeat(connection: &Connection, time: Timestamp) -> rusqlite::Result<()> {
    let bytes = time.as_nanos().to_le_bytes();
    write(connection, HEARTBEAT, &bytes)?;
    let mut insert = connection.prepare_cached(INSERT_IF_NONE)?;
    insert
        .execute((FIRST_HEARTBEAT, bytes.as_slice()))
        .map(|_rows| ())
}

/// The newest heartbeat.
pub(super) fn heartbeat(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    read_time(connection, HEARTBEAT)
}

/// The first heartbeat.
pub(super) fn first_heartbeat(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    read_time(connection, FIRST_HEARTBEAT)
}

fn read_time(connection: &Connection, key: &str) -> Result<Option<Timestamp>, Error> {
    let bytes = read(connection, key)?;
    let nanos = bytes.and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
    Ok(nanos.map(Timestamp::from_nanos))
}
