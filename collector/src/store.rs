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
mod together;
mod view_tokens;

use std::sync::Arc;

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
pub use self::together::Arrival;
use self::together::Together;
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
    together: Together<Writer>,
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
            Ok(Writer {
                connection: location.open_to_fold()?,
                names: Names::default(),
                partitioned: Timestamp::from_nanos(i64::MIN),
            })
        };
        let writers: Result<Vec<_>, Error> = (0..writers).map(|_| writer()).collect();
        Ok(Self {
            together: Together::new(writers?),
            location: location.clone(),
        })
    }

    /// Where the store is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Takes a batch, and returns once it is durable: in one go to the disk with those that came meanwhile.
    ///
    /// Each change is taken once: a batch may come again, or overlap with what is known. One that leaves a
    /// hole is refused with the number that is expected, and of a batch that is refused nothing is kept. Who
    /// the sender is, its certificate says and not the batch. Blocks for as long as the disk takes.
    pub fn ingest(
        &self,
        sender: &HostId,
        batch: impl Into<Arc<Batch>>,
        received: Timestamp,
    ) -> Result<Acknowledged, Error> {
        self.together.take(sender.clone(), batch.into(), received)
    }

    /// Takes batches of several hosts in one go to the disk: all of them, or where one is refused none.
    pub fn ingest_all(&self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error> {
        self.together.take_all(arrivals)
    }
}

impl together::Writer for Writer {
    /// Where others were in the way it is done again.
    fn write(&mut self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let taken = self.take(arrivals);
            if attempts == 0 || !taken.as_ref().is_err_and(Error::is_a_clash) {
                return taken;
            }
        }
    }

    fn recover(&mut self) {
        self.names = Names::default();
    }
}

impl Writer {
    fn take(&mut self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error> {
        let Self {
            connection,
            names,
            partitioned,
        } = self;
        let newest = arrivals.iter().map(|arrival| arrival.received).max();
        if let Some(newest) = newest.filter(|newest| *partitioned <= *newest)
            && connection.server().is_some()
        {
            postgres::make_partitions(connection, newest)?;
            *partitioned = newest.plus_nanos(DAY_NS);
        }
        let taken = ingest::take(connection, names, arrivals);
        if taken.is_err() {
            // What was noted of rows that are not there after all.
            *names = Names::default();
        }
        taken
    }
}

#[cfg(test)]
mod tests;
