//! The room that a store takes, and that one tidies it at a time.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use change::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::super::error::Doing as _;
use super::super::postgres;
use super::super::sql::{self, Connection, Server};
use super::{Error, IsEnded, Location, READ, pause};

const PRAGMAS: &str = "PRAGMA synchronous = NORMAL;";
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(1000)";
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";
// It is held by the session until the connection ends.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(hashtext(current_schema()), 4)";

/// Makes commits quick: what is removed twice after a power cut is as gone as what was removed once.
pub(super) fn hurry(connection: &Connection) -> sql::Result<()> {
    match connection {
        Connection::Sqlite(_) => connection.script(PRAGMAS),
        Connection::Postgres(_) => connection.script("SET synchronous_commit = off"),
    }
}

/// Sees to it that nobody else tidies the store: until what is returned is dropped, or on a server until the connection
/// ends.
pub(super) fn lock(connection: &Connection, location: &Location) -> Result<Option<File>, Error> {
    if let Some(path) = location.file() {
        return lock_file(&path.with_extension("tidy")).map(Some);
    }
    connection.server().into_iter().for_each(Server::pin);
    let is_taken: bool = connection.one(TRY_LOCK, (), |row| row.get(0)).doing(READ)?;
    if is_taken {
        Ok(None)
    } else {
        Err(Error::Tidying)
    }
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    let opened = options.create(true).truncate(false).write(true).mode(0o600);
    let file = opened.open(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_held) => Err(Error::Tidying),
    }
}

/// How much room a store takes, and how much of it is free. Of a server that is not known: others work there, too.
pub(super) struct Space {
    pub(super) bytes: u64,
    pub(super) free_bytes: u64,
}

impl Space {
    pub(super) fn of(connection: &Connection) -> Result<Self, Error> {
        let file = match connection {
            Connection::Sqlite(file) => file,
            Connection::Postgres(_) => {
                return Ok(Self {
                    bytes: 0,
                    free_bytes: 0,
                });
            }
        };
        let read = |name| {
            file.0
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        let size = read("page_size").doing(READ)?.cast_unsigned();
        let bytes = |count: i64| count.cast_unsigned().saturating_mul(size);
        Ok(Self {
            bytes: bytes(read("page_count").doing(READ)?),
            free_bytes: bytes(read("freelist_count").doing(READ)?),
        })
    }
}

/// Gives free room back to the file system, as far as the store can. A server gives back the tables of whole months.
pub(super) fn give_back(
    connection: &Connection,
    horizon: Timestamp,
    is_ended: IsEnded<'_>,
) -> Result<(), Error> {
    let doing = "give free space back";
    if connection.server().is_some() {
        return postgres::drop_empty_partitions(connection, horizon);
    }
    let mut free = Space::of(connection)?.free_bytes;
    while free > 0 && !is_ended() {
        let begun = Instant::now();
        connection.rows(GIVE_BACK, (), |_row| Ok(())).doing(doing)?;
        let left = Space::of(connection)?.free_bytes;
        if left >= free {
            break;
        }
        free = left;
        pause(begun);
    }
    // Where readers are at work it is done later, by whoever writes next.
    connection.one(CHECKPOINT, (), |_row| Ok(())).doing(doing)
}
