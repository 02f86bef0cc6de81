//! The tables of snapshots: names for the state of some hosts at a moment.

use change::Timestamp;

use super::error::Doing as _;
use super::sql::{Connection, Turn};
use super::{Error, Location};
use crate::fleet::{HostKey, HostSet, Snapshot};

const INSERT: &str = "INSERT INTO snapshots (name, at, made, note) VALUES (?1, ?2, ?3, ?4)";
const INSERT_HOST: &str = "INSERT INTO snapshot_hosts (snapshot, host) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM snapshots WHERE name = ?1";
const DELETE_HOSTS: &str = "DELETE FROM snapshot_hosts WHERE snapshot = ?1";

const EXISTS: &str = "SELECT 1 FROM snapshots WHERE name = ?1";
const SELECT: &str = "SELECT name, at, made, note FROM snapshots ORDER BY name";
const SELECT_HOSTS: &str = "SELECT host FROM snapshot_hosts WHERE snapshot = ?1";

const WRITE: &str = "write a snapshot";
const READ: &str = "read the snapshots";

/// Writes snapshots.
pub struct Snapshots {
    connection: Connection,
}

impl Snapshots {
    /// Opens a store.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        Ok(Self { connection })
    }

    /// Makes a snapshot; not where there is one of that name.
    pub fn make(&mut self, snapshot: &Snapshot) -> Result<bool, Error> {
        let Snapshot {
            name,
            at,
            made,
            note,
            hosts,
        } = snapshot;
        let transaction = self.connection.begin(Turn::Decide).doing(WRITE)?;
        if transaction.exists(EXISTS, [name]).doing(WRITE)? {
            return Ok(false);
        }
        let row = (name, at.as_nanos(), made.as_nanos(), note);
        transaction.execute(INSERT, row).doing(WRITE)?;
        for HostKey(host) in hosts.iter() {
            transaction
                .execute(INSERT_HOST, (name, host))
                .doing(WRITE)?;
        }
        transaction.commit().doing(WRITE)?;
        Ok(true)
    }

    /// Removes a snapshot, where there is one of that name.
    pub fn remove(&mut self, name: &str) -> Result<bool, Error> {
        let transaction = self.connection.begin(Turn::Decide).doing(WRITE)?;
        transaction.execute(DELETE_HOSTS, [name]).doing(WRITE)?;
        let removed = transaction.execute(DELETE, [name]).doing(WRITE)?;
        transaction.commit().doing(WRITE)?;
        Ok(removed > 0)
    }
}

/// All snapshots, in the order of their names.
pub(super) fn all(connection: &Connection) -> Result<Vec<Snapshot>, Error> {
    let snapshots = connection.rows(SELECT, (), |row| {
        Ok(Snapshot {
            name: row.get(0)?,
            at: Timestamp::from_nanos(row.get(1)?),
            made: Timestamp::from_nanos(row.get(2)?),
            note: row.get(3)?,
            hosts: HostSet::default(),
        })
    });
    let mut snapshots: Vec<Snapshot> = snapshots.doing(READ)?;
    for snapshot in &mut snapshots {
        let name = [&snapshot.name];
        let hosts = connection.rows(SELECT_HOSTS, name, |row| Ok(HostKey(row.get(0)?)));
        snapshot.hosts.extend(&hosts.doing(READ)?);
    }
    Ok(snapshots)
}
