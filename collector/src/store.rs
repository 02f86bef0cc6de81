//! The store: every host's log and the facts that they fold into, in one `SQLite` file or on a PostgreSQL server.
//! The only door to either: their types never leave here, but as the cause of an error.

mod backup;
mod changes;
mod contents;
mod drift;
mod enrolment;
mod error;
mod facts;
mod gaps;
mod health;
mod holders;
mod hosts;
mod ingest;
mod known;
mod location;
mod markers;
mod moments;
mod names;
mod postgres;
mod reader;
mod restore;
mod runs;
mod search;
mod sessions;
mod shared;
mod snapshots;
mod sql;
mod sqlite;
mod tidy;
mod view_tokens;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use change::Timestamp;
use change::wire::Batch;

pub use self::backup::{Backup, back_up};
pub use self::changes::LogPlace;
pub use self::drift::{Act, DriftStore, InForce, Logged, Passed, Unseen};
pub use self::enrolment::{
    Applicant, Certificate, Credential, EnrolledHost, Enrolment, Finding, Labels, Member, Permit,
    Refusal,
};
pub use self::error::Error;
pub use self::health::{HealthReader, OpenToken};
pub use self::known::KnownReader;
pub use self::location::Location;
pub use self::markers::Markers;
use self::names::Names;
pub use self::postgres::ServerUrl;
pub use self::reader::Reader;
pub use self::restore::{Draft, Restored, take as take_backup};
pub use self::shared::agree_on_authority;
pub use self::snapshots::Snapshots;
use self::sql::Connection;
pub use self::sql::Error as DatabaseError;
pub use self::tidy::{IsEnded, Tidied, Tidy};
pub use self::view_tokens::{Scope, ViewToken, ViewTokenReader, ViewTokens};
use crate::fleet::HostId;

/// So many write to a server at a time: while one waits for it, another one works.
const WRITERS: usize = 4;
/// Transactions that have waited for each other are done again so often.
const ATTEMPTS: usize = 8;
/// After so long it is seen again whether there are partitions for what comes.
const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Says what of a host's log is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// All changes up to this number are durable; the next batch goes on behind it.
    pub durable_seq: u64,
    /// How far the host's clock is ahead, in nanoseconds, with what the batch was under way.
    pub skew_ns: i64,
}

/// Writes what hosts send. One store may be shared by threads, and one file or database by processes.
pub struct Store {
    writers: Vec<Mutex<Writer>>,
    /// Whose turn it is where all are at work.
    next: AtomicUsize,
    location: Location,
}

struct Writer {
    connection: Connection,
    names: Names,
    /// Until when there are partitions for what comes.
    partitioned: Timestamp,
}

impl Store {
    /// Opens a store, or begins one.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let writers = match location {
            Location::File(_) => 1,
            Location::Server(_) => WRITERS,
        };
        let writer = || {
            Ok(Mutex::new(Writer {
                connection: location.open_to_fold()?,
                names: Names::default(),
                partitioned: Timestamp::from_nanos(i64::MIN),
            }))
        };
        Ok(Self {
            writers: (0..writers)
                .map(|_| writer())
                .collect::<Result<_, Error>>()?,
            next: AtomicUsize::new(0),
            location: location.clone(),
        })
    }

    /// Where the store is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Takes a batch, and returns once it is durable.
    ///
    /// Each change is taken once: a batch may come again, or overlap with what is known. One that leaves a
    /// hole is refused with the number that is expected, and of a batch that is refused nothing is kept. Who
    /// the sender is, its certificate says and not the batch. Blocks for as long as the disk takes.
    pub fn ingest(
        &self,
        sender: &HostId,
        batch: &Batch,
        received: Timestamp,
    ) -> Result<Acknowledged, Error> {
        let mut acknowledged = self.ingest_all(&[(sender, batch)], received)?;
        acknowledged.pop().ok_or_else(|| Error::Row {
            table: "hosts",
            what: "a batch was taken and no host has it".to_owned(),
        })
    }

    /// Takes batches of several hosts in one go to the disk: all of them, or where one is refused none.
    pub fn ingest_all(
        &self,
        batches: &[(&HostId, &Batch)],
        received: Timestamp,
    ) -> Result<Vec<Acknowledged>, Error> {
        let mut writer = self.writer();
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let taken = writer.take(batches, received);
            if attempts == 0 || !taken.as_ref().is_err_and(Error::is_a_clash) {
                return taken;
            }
        }
    }

    /// One that is not at work, or the next one that will not be.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        let idle = self
            .writers
            .iter()
            .find_map(|writer| writer.try_lock().ok());
        idle.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.writers.len();
            self.writers[next]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl Writer {
    fn take(
        &mut self,
        batches: &[(&HostId, &Batch)],
        received: Timestamp,
    ) -> Result<Vec<Acknowledged>, Error> {
        let Self {
            connection,
            names,
            partitioned,
        } = self;
        if connection.server().is_some() && *partitioned <= received {
            postgres::make_partitions(connection, received)?;
            *partitioned = received.plus_nanos(DAY_NS);
        }
        let taken = ingest::take(connection, names, batches, received);
        if taken.is_err() {
            // What was noted of rows that are not there after all.
            *names = Names::default();
        }
        taken
    }
}

#[cfg(test)]
mod tests;
