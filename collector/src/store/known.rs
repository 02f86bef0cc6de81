//! What is here of a host's log and of contents, for hosts that ask before they send.

use change::wire::ChainHead;

use super::error::Doing as _;
use super::sql::Connection;
use super::{Error, Location};

const SELECT_DURABLE: &str = "SELECT id, durable FROM hosts WHERE name = ?1 AND log = ?2";
const SELECT_HEAD: &str = "SELECT hash FROM heads WHERE host = ?1 AND seq = ?2";
const HAS_CONTENT: &str = "SELECT 1 FROM contents WHERE hash = ?1";

const READ: &str = "read what is known of a host";

/// Reads what hosts ask for.
pub struct KnownReader {
    connection: Connection,
}

impl KnownReader {
    /// Opens a store, which a collector has made.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_read(None)?;
        Ok(Self { connection })
    }

    /// The number of the next change of a host's log, and where its hash chain was at the one before; none
    /// where nothing came yet.
    pub fn log(&self, host: &str, log: &str) -> Result<(u64, Option<ChainHead>), Error> {
        let found = self
            .connection
            .optional(SELECT_DURABLE, [host, log], |row| {
                Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))
            });
        let Some((id, durable)) = found.doing(READ)? else {
            return Ok((1, None));
        };
        let hash = self
            .connection
            .optional(SELECT_HEAD, [id, durable], |row| row.get(0));
        let seq = durable.cast_unsigned();
        let head = hash.doing(READ)?.map(|hash| ChainHead { seq, hash });
        Ok((seq + 1, head))
    }

    /// Whether the content with that hash is here.
    pub fn has_content(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        self.connection.exists(HAS_CONTENT, [hash]).doing(READ)
    }
}
