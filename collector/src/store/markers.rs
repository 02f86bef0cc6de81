//! The table of markers: named moments, which people or their tools put there.

use change::Timestamp;

use super::error::Doing as _;
use super::sql::{self, Connection, Row};
use super::{Error, Location};
use crate::fleet::Marker;

const INSERT: &str = "
    INSERT INTO markers (time, name, host, hosts, made) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id";
const DELETE: &str = "DELETE FROM markers WHERE id = ?1";
const SELECT: &str = "
    SELECT id, time, name, host, hosts, made FROM markers WHERE time >= ?1 AND time < ?2
    ORDER BY time, id";

const WRITE: &str = "write a marker";
const READ: &str = "read markers";

/// Writes markers. Several may work on one store.
pub struct Markers {
    connection: Connection,
}

impl Markers {
    /// Opens a store; makes it where there is none.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        Ok(Self { connection })
    }

    /// Puts a marker there; its number is given, whatever it has.
    pub fn put(&self, marker: &Marker) -> Result<Marker, Error> {
        let Marker {
            id: _,
            time,
            name,
            host,
            group,
            made,
        } = marker;
        let row = (time.as_nanos(), name, host, group, made.as_nanos());
        let id = self.connection.one(INSERT, row, |row| row.get::<i64>(0));
        Ok(Marker {
            id: id.doing(WRITE)?.cast_unsigned(),
            ..marker.clone()
        })
    }

    /// Takes a marker away; whether it was there.
    pub fn remove(&self, id: u64) -> Result<bool, Error> {
        let deleted = self.connection.execute(DELETE, [id.cast_signed()]);
        Ok(deleted.doing(WRITE)? > 0)
    }
}

/// The markers from the one moment up to the other, which does not count; oldest first.
pub(super) fn between(
    connection: &Connection,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<Marker>, Error> {
    let interval = (since.as_nanos(), until.as_nanos());
    connection.rows(SELECT, interval, marker_in).doing(READ)
}

fn marker_in(row: &Row<'_>) -> sql::Result<Marker> {
    Ok(Marker {
        id: row.get::<i64>(0)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(1)?),
        name: row.get(2)?,
        host: row.get(3)?,
        group: row.get(4)?,
        made: Timestamp::from_nanos(row.get(5)?),
    })
}
