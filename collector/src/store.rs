//! The store: one `SQLite` database with every host's log and the facts that they fold into.
//! The only door to `SQLite`: its types never leave here, but as the cause of an error.

mod backup;
mod changes;
mod connection;
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
mod markers;
mod moments;
mod names;
mod reader;
mod restore;
mod runs;
mod search;
mod sessions;
mod snapshots;
mod tidy;
mod view_tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use change::Timestamp;
use change::wire::Batch;
use rusqlite::Connection;

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
pub use self::markers::Markers;
use self::names::Names;
pub use self::reader::Reader;
pub use self::restore::{Draft, Restored, take as take_backup};
pub use self::snapshots::Snapshots;
pub use self::tidy::{IsEnded, Tidied, Tidy};
pub use self::view_tokens::{Scope, ViewToken, ViewTokenReader, ViewTokens};
use crate::fleet::HostId;

/// The store's file within the state directory.
const FILE: &str = "collector.db";

/// Where the store's database is within a state directory.
pub fn database(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// How large the store in a state directory is, with what is not checkpointed yet.
pub fn size_bytes(state_dir: &Path) -> u64 {
    let files = ["", "-wal"].map(|suffix| state_dir.join(format!("{FILE}{suffix}")));
    let sizes = files.iter().filter_map(|file| fs::metadata(file).ok());
    sizes.map(|found| found.len()).sum()
}

/// Says what of a host's log is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// All changes up to this number are durable; the next batch goes on behind it.
    pub durable_seq: u64,
    /// How far the host's clock is ahead, in nanoseconds, with what the batch was under way.
    pub skew_ns: i64,
}

/// Writes what hosts send. One store may be shared by threads, and one file by processes.
pub struct Store {
    writer: Mutex<Writer>,
    path: PathBuf,
}

struct Writer {
    connection: Connection,
    names: Names,
}

impl Store {
    /// Opens the store in a state directory, or begins one.
    pub fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = database(state_dir);
        let writer = Writer {
            connection: connection::open_to_write(&path)?,
            names: Names::default(),
        };
        Ok(Self {
            writer: Mutex::new(writer),
            path,
        })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
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
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer { connection, names } = &mut *writer;
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
