//! What can go wrong with the store, and why a batch is refused.

use std::io;
use std::path::PathBuf;

use super::sql;

/// Says why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or its folder cannot be opened.
    #[error("open store `{path}`: {source}{hint}", path = path.display(), hint = hint(source))]
    Open {
        /// The store's file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server is not reached, or refuses.
    #[error("open store `{store}`: {cause}")]
    Connect {
        /// The store, without a password.
        store: String,
        /// Why not.
        cause: sql::Error,
    },
    /// What was given as a store is none.
    #[error("read `--store`: {0}")]
    Url(String),
    /// The server may lose what it said was on the disk.
    #[error(
        "open store: the server has {0}, so that it may lose what hosts were told is kept; set it to `on`, or choose \
         another server"
    )]
    NotDurable(String),
    /// The collectors of a store have not the same authority.
    #[error(
        "open store `{store}`: its hosts trust another authority than the one in the state directory; put \
         `authority.pem` of the collector that began the store there"
    )]
    OtherAuthority {
        /// The store.
        store: String,
    },
    /// A newer collector has written the database.
    #[error(
        "open store `{store}`: it has schema {found} and this collector knows schemas up to {known}; install the \
         newer collector again, or begin a new store elsewhere"
    )]
    Newer {
        /// The store.
        store: String,
        /// The schema that it has.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// An older collector has written the database, and who only reads it cannot bring it up to date.
    #[error(
        "open store `{store}`: it has schema {found} and this collector reads schema {known}; `tracer-collector \
         serve` brings it up to date when it starts"
    )]
    Older {
        /// The store.
        store: String,
        /// The schema that it has.
        found: i64,
        /// The schema that this program reads.
        known: i64,
    },
    /// The database is of another program, or none.
    #[error("open store `{store}`: {what}")]
    Foreign {
        /// The store.
        store: String,
        /// What it is, and what to do.
        what: String,
    },
    /// A file cannot be written.
    #[error("write `{path}`: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no copy that a store can be put back from.
    #[error("restore `{path}`: {what}", path = path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A batch was to be written with others, and whoever wrote them came to no end.
    #[error(
        "write what a host has sent: it was not brought to an end; the collector's log says why"
    )]
    Unfinished,
    /// There are changes between what is here and what was sent.
    #[error(
        "take batch of `{host}`: change {expected} is expected and {found} was sent; send what is between"
    )]
    Hole {
        /// Who sent it.
        host: String,
        /// The number to go on with.
        expected: u64,
        /// The number that the batch begins with.
        found: u64,
    },
    /// The host's hash chain does not lead through where it was.
    #[error(
        "take batch of `{host}`: the log up to change {seq} is another one than was sent before; somebody has \
         rewritten it on the host, or put an older copy in its place"
    )]
    Rewritten {
        /// Who sent it.
        host: String,
        /// Where the chain was known.
        seq: u64,
    },
    /// The batch contradicts itself or is beyond a limit.
    #[error("take batch of `{host}`: {what}")]
    Invalid {
        /// Who sent it.
        host: String,
        /// What is wrong with it.
        what: String,
    },
    /// A filter is no glob.
    #[error("read filter: {0}")]
    Glob(String),
    /// One tidies at a time.
    #[error("tidy the store: it is being tidied already; try again later")]
    Tidying,
    /// The database refused an operation.
    #[error("{doing}: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why it did not work.
        cause: sql::Error,
    },
    /// A row holds something that no version of this program can have written.
    #[error("read table `{table}`: {what}; the store was altered or is damaged")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// Whether the time that was set for it was over.
    pub fn is_out_of_time(&self) -> bool {
        self.cause().is_some_and(sql::Error::is_out_of_time)
    }

    /// Whether it may go well when it is done again: two have waited for each other.
    pub(super) fn is_a_clash(&self) -> bool {
        self.cause().is_some_and(sql::Error::is_a_clash)
    }

    fn cause(&self) -> Option<&sql::Error> {
        match self {
            Self::Database { cause, .. } | Self::Connect { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Adds to an error of the database what was being done.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<sql::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|cause| Error::Database {
            doing,
            cause: cause.into(),
        })
    }
}

/// What to do about a file that cannot be opened.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "; `tracer-collector serve` makes a store there, and `--state-dir` or `--store` names another one"
        }
        io::ErrorKind::PermissionDenied => "; run it as the user whom the collector runs as",
        _ => "",
    }
}
