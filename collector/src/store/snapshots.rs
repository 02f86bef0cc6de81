//! The tables of snapshots: names for the state of some hosts at a moment.

use std::path::Path;

use change::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::error::Doing as _;
use super::{Error, connection};
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
    /// Opens the store in a file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_write(path)?;
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
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(WRITE)?;
        let mut exists = transaction.prepare_cached(EXISTS).doing(WRITE)?;
        if exists.exists([name]).doing(WRITE)? {
            return Ok(false);
        }
        drop(exists);
        let row = (name, at.as_nanos(), made.as_nanos(), note);
        transaction.execute(INSERT, row).doing(WRITE)?;
        for HostKey(host) in hosts.iter() {
            let mut insert = transaction.prepare_cached(INSERT_HOST).doing(WRITE)?;
            insert.execute((name, host)).doing(WRITE)?;
        }
        transaction.commit().doing(WRITE)?;
        Ok(true)
    }

    /// Removes a snapshot, where there is one of that name.
    pub fn remove(&mut self, name: &str) -> Result<bool, Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(WRITE)?;
        transaction.execute(DELETE_HOSTS, [name]).doing(WRITE)?;
        let removed = transaction.execute(DELETE, [name]).doing(WRITE)?;
        transaction.commit().doing(WRITE)?;
        Ok(removed > 0)
    }
}

/// All snapshots, in the order of their names.
pub(super) fn all(connection: &Connection) -> Result<Vec<Snapshot>, Error> {
    let mut select = connection.prepare_cached(SELECT).doing(READ)?;
    let rows = select.query_map([], |row| {
        Ok(Snapshot {
            name: row.get(0)?,
            at: Timestamp::from_nanos(row.get(1)?),
            made: Timestamp::from_nanos(row.get(2)?),
            note: row.get(3)?,
            hosts: HostSet::default(),
        })
    });
    let mut snapshots: Vec<Snapshot> = rows.doing(READ)?.collect::<Result<_, _>>().doing(READ)?;
    for snapshot in &mut snapshots {
        let mut select = connection.prepare_cached(SELECT_HOSTS).doing(READ)?;
        let hosts = select.query_map([&snapshot.name], |row| Ok(HostKey(row.get(0)?)));
        for host in hosts.doing(READ)? {
            snapshot.hosts.insert(host.doing(READ)?);
        }
    }
    Ok(snapshots)
}
