//! What can go wrong with the store, and how `SQLite` errors become that.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rusqlite::{ErrorCode, ffi};

/// Says why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("open store `{path}`: {source}", path = path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A newer tracer has written the database.
    #[error(
        "open store `{path}`: it has schema {found} and this tracer knows schemas up to {known}; \
         install the newer tracer again, or move the file away to begin a new store",
        path = path.display()
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// The schema in the file.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The file is something else, or is broken.
    #[error(
        "open store `{path}`: {cause}; the file is left as it is: restore it from a backup, or \
         move it away to begin a new store",
        path = path.display()
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Cause,
    },
    /// The file is a database of another program.
    #[error(
        "open store `{path}`: it is a database of another program; choose another state directory",
        path = path.display()
    )]
    Foreign {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is damaged in a place that was read or written just now.
    #[error(
        "{doing} in `{path}`: {cause}; stop the daemon, move the file and its `-wal` away to keep \
         them, and start on a copy of `tracer backup` or on a new store; `tracer verify FILE` says \
         what can still be read",
        path = path.display()
    )]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What is wrong with it.
        cause: Cause,
    },
    /// What was written may not be on the disk.
    #[error("bring `{path}` to the disk: {source}", path = path.display())]
    Sync {
        /// The store's file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody reads on and on.
    #[error(
        "empty the store's log: somebody has been reading the store for long; the content is \
         forgotten, but its bytes are in the file `tracer.db-wal` until the daemon ends or \
         something is forgotten again"
    )]
    Busy,
    /// A copy cannot be written.
    #[error("write the copy `{path}`: {source}", path = path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database refused an operation.
    #[error("{doing}: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why it did not work.
        cause: Cause,
    },
    /// A row holds something that no version of this program can have written.
    #[error("read row {row} of `{table}`: {what}; the store was altered or is damaged")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's number.
        row: i64,
        /// What is wrong with it.
        what: String,
    },
    /// A path filter is no glob.
    #[error("read path filter: {0}")]
    Glob(String),
    /// A content does not unpack.
    #[error("unpack content `{name}`: {source}")]
    Content {
        /// The content's name.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether the file is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Corrupt { .. } => true,
            Self::Database { cause, .. } => cause.is_damage(),
            _ => false,
        }
    }

    /// Whether nothing can be written at the moment, and may be again: the disk is full, or was
    /// mounted read-only.
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Database { cause, .. } if cause.is_no_room())
    }

    /// The same, naming the file where that is damaged.
    pub(crate) fn in_store(self, path: &Path) -> Self {
        match self {
            Self::Database { doing, cause } if cause.is_damage() => Self::Corrupt {
                path: path.to_owned(),
                doing,
                cause,
            },
            error => error,
        }
    }
}

/// Holds an error of the database without showing whose it is.
#[derive(Debug)]
pub struct Cause(rusqlite::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.0.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => f.write_str("; free some space"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Cause {}

impl From<rusqlite::Error> for Cause {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl Cause {
    fn is_no_room(&self) -> bool {
        // A write that fails in any other way is told like this too: the system's own error is
        // not passed on, and trying again tells whether it lasts.
        let is_write = |code| {
            matches!(
                code,
                ffi::SQLITE_IOERR_WRITE
                    | ffi::SQLITE_IOERR_TRUNCATE
                    | ffi::SQLITE_IOERR_SHMSIZE
                    | ffi::SQLITE_IOERR_SHMOPEN
                    | ffi::SQLITE_IOERR_DELETE
            )
        };
        match self.0.sqlite_error() {
            Some(ffi::Error {
                code: ErrorCode::DiskFull | ErrorCode::ReadOnly,
                ..
            }) => true,
            Some(error) => is_write(error.extended_code),
            None => false,
        }
    }

    /// Whether the file is no database, or a damaged one.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self.0.sqlite_error_code(),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
        )
    }
}

/// Says what was being done when the database refused.
pub(super) trait Doing<T> {
    /// Adds what was being done.
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::Database {
            doing,
            cause: Cause(error),
        })
    }
}
