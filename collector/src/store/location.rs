//! Where a store is: in a state directory, or on a PostgreSQL server.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use super::postgres::{ServerUrl, Session};
use super::sql::{Connection, File};
use super::{Error, postgres, sqlite};

/// The store's file within the state directory.
const FILE: &str = "collector.db";

/// Says where a store is.
#[derive(Clone, Debug)]
pub enum Location {
    /// In this file of this host alone.
    File(PathBuf),
    /// In a database on a server, which collectors share.
    Server(Arc<ServerUrl>),
}

impl Location {
    /// The file within a state directory.
    pub fn within(state_dir: &Path) -> Self {
        Self::File(state_dir.join(FILE))
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// How large the file is, with what is not checkpointed yet. A server knows better than one of those that use it.
    pub fn file_bytes(&self) -> Option<u64> {
        let path = self.file()?;
        let beside = path.with_extension("db-wal");
        let sizes = [path, &beside]
            .into_iter()
            .filter_map(|file| fs::metadata(file).ok());
        Some(sizes.map(|found| found.len()).sum())
    }

    /// Opens the store to fold in what hosts send; makes it where there is none.
    pub(super) fn open_to_fold(&self) -> Result<Connection, Error> {
        match self {
            Self::File(path) => open_file(sqlite::open_to_write(path)),
            Self::Server(url) => postgres::open_to_write(url, Session::Fold),
        }
    }

    /// Opens the store to write what people decide; makes it where there is none.
    pub(super) fn open_to_write(&self) -> Result<Connection, Error> {
        match self {
            Self::File(path) => open_file(sqlite::open_to_write(path)),
            Self::Server(url) => postgres::open_to_write(url, Session::Write),
        }
    }

    /// Opens the store to read. From a deadline on all that is asked fails.
    pub(super) fn open_to_read(&self, deadline: Option<Instant>) -> Result<Connection, Error> {
        match self {
            Self::File(path) => open_file(sqlite::open_to_read(path, deadline)),
            Self::Server(url) => postgres::open_to_read(url, deadline),
        }
    }

    /// Opens the store to look at it as a whole, also where it is of an older schema.
    pub(super) fn open_to_examine(&self) -> Result<Connection, Error> {
        match self {
            Self::File(path) => open_file(sqlite::open_to_copy(path)),
            Self::Server(url) => postgres::open_to_examine(url),
        }
    }
}

fn open_file(opened: Result<rusqlite::Connection, Error>) -> Result<Connection, Error> {
    Ok(Connection::Sqlite(File(opened?)))
}

/// As `--store` has it.
impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self::Server(Arc::new(text.parse()?)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => url.fmt(f),
        }
    }
}
