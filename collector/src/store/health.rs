//! What `doctor` asks the store: whether it is whole, and what is open.

use change::Timestamp;

use super::error::Doing as _;
use super::sql::Connection;
use super::{EnrolledHost, Error, Location, ViewToken, enrolment, postgres, sqlite, view_tokens};

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
    /// Opens a store, which a collector has made.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_examine()?;
        Ok(Self { connection })
    }

    /// What is damaged, in the words of `SQLite`; with `indexes` also where an index is not as its table. Reads the
    /// whole store. Of a server it is what it may lose by its settings: the rest its own tools look for.
    pub fn damage(&self, indexes: bool) -> Result<Vec<String>, Error> {
        let file = match &self.connection {
            Connection::Sqlite(file) => file,
            Connection::Postgres(_) => {
                return postgres::what_is_not_durable(&self.connection).doing(READ);
            }
        };
        let check = if indexes {
            "integrity_check"
        } else {
            "quick_check"
        };
        sqlite::damage(&file.0, check)
    }

    /// The schema of the store, and the newest that this program knows.
    pub fn schema(&self) -> Result<(i64, i64), Error> {
        match &self.connection {
            Connection::Sqlite(file) => {
                let found = sqlite::pragma(&file.0, "user_version").doing(READ)?;
                Ok((found, sqlite::known_schema()))
            }
            Connection::Postgres(_) => {
                let found = postgres::schema(&self.connection).doing(READ)?;
                Ok((found, postgres::known_schema()))
            }
        }
    }

    /// How large the database on a server is.
    pub fn server_bytes(&self) -> Result<Option<u64>, Error> {
        let Connection::Postgres(_) = &self.connection else {
            return Ok(None);
        };
        let bytes = postgres::bytes(&self.connection).doing(READ)?;
        Ok(Some(bytes.cast_unsigned()))
    }

    /// All hosts that were ever enrolled.
    pub fn enrolled(&self) -> Result<Vec<EnrolledHost>, Error> {
        enrolment::all(&self.connection)
    }

    /// The tokens with which a host can enrol, the oldest first.
    pub fn open_tokens(&self, now: Timestamp) -> Result<Vec<OpenToken>, Error> {
        let tokens = self.connection.rows(OPEN_TOKENS, [now.as_nanos()], |row| {
            Ok(OpenToken {
                hostname: row.get(0)?,
                made: Timestamp::from_nanos(row.get(1)?),
                expires: Timestamp::from_nanos(row.get(2)?),
            })
        });
        tokens.doing(READ)
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
        let newest = self.connection.one(select, (), |row| row.get(0));
        let newest: Option<i64> = newest.doing(READ)?;
        Ok(newest.map(Timestamp::from_nanos))
    }
}
