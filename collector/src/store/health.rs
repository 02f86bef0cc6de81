//! What `doctor` asks the store: whether it is whole, and what is open.

use std::path::Path;

use change::Timestamp;
use rusqlite::Connection;

use super::error::Doing as _;
use super::{EnrolledHost, Error, ViewToken, connection, enrolment, view_tokens};

const OPEN_TOKENS: &str =
    "SELECT hostname, made, expires FROM tokens WHERE used IS NULL AND expires > ?1 ORDER BY made";
const NEWEST_RESTORE: &str = "SELECT max(restored) FROM restores";
const NEWEST_REPORT: &str = "SELECT max(reported) FROM hosts";

const READ: &str = "look at the store";

/// A token with which a host can enrol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenToken {
    /// The only host that can; any can where none is named.
    pub hostname: Option<String>,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Looks at a store, and changes nothing.
pub struct HealthReader {
    connection: Connection,
}

impl HealthReader {
    /// Opens the store in a file, which a collector has made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_copy(path)?;
        Ok(Self { connection })
    }

    /// What is damaged, in the words of `SQLite`; with `indexes` also where an index is not as its table. Reads the
    /// whole store.
    pub fn damage(&self, indexes: bool) -> Result<Vec<String>, Error> {
        let check = if indexes {
            "integrity_check"
        } else {
            "quick_check"
        };
        connection::damage(&self.connection, check)
    }

    /// The schema of the store, and the newest that this program knows.
    pub fn schema(&self) -> Result<(i64, i64), Error> {
        let found = connection::pragma(&self.connection, "user_version").doing(READ)?;
        Ok((found, connection::known_schema()))
    }

    /// All hosts that were ever enrolled.
    pub fn enrolled(&self) -> Result<Vec<EnrolledHost>, Error> {
        enrolment::all(&self.connection)
    }

    /// The tokens with which a host can enrol, the oldest first.
    pub fn open_tokens(&self, now: Timestamp) -> Result<Vec<OpenToken>, Error> {
        let mut select = self.connection.prepare(OPEN_TOKENS).doing(READ)?;
        let rows = select.query_map([now.as_nanos()], |row| {
            Ok(OpenToken {
                hostname: row.get(0)?,
                made: Timestamp::from_nanos(row.get(1)?),
                expires: Timestamp::from_nanos(row.get(2)?),
            })
        });
        rows.doing(READ)?.collect::<Result<_, _>>().doing(READ)
    }

    /// The tokens of viewers.
    pub fn view_tokens(&self) -> Result<Vec<ViewToken>, Error> {
        view_tokens::all(&self.connection)
    }

    /// When the store was last put back from a copy.
    pub fn restored(&self) -> Result<Option<Timestamp>, Error> {
        self.newest(NEWEST_RESTORE)
    }

    /// When a host reported last.
    pub fn reported(&self) -> Result<Option<Timestamp>, Error> {
        self.newest(NEWEST_REPORT)
    }

    fn newest(&self, select: &str) -> Result<Option<Timestamp>, Error> {
        let newest = self.connection.query_row(select, [], |row| row.get(0));
        let newest: Option<i64> = newest.doing(READ)?;
        Ok(newest.map(Timestamp::from_nanos))
    }
}
