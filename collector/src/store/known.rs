//! What is here of a host's log and of contents, for hosts that ask before they send.

use std::path::Path;

use change::wire::ChainHead;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Doing as _;
use super::{Error, connection};

const SELECT_DURABLE: &str = "SELECT id, durable FROM hosts WHERE name = ?1 AND log = ?2";
const SELECT_HEAD: &str = "SELECT hash FROM heads WHERE host = ?1 AND seq = ?2";
const HAS_CONTENT: &str = "SELECT 1 FROM contents WHERE hash = ?1";

const READ: &str = "read what is known of a host";

/// Reads what hosts ask for.
pub struct KnownReader {
    connection: Connection,
}

impl KnownReader {
    /// Opens the store in a file, which a collector has made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_read(path)?;
        Ok(Self { connection })
    }

    /// The number of the next change of a host's log, and where its hash chain was at the one before; none
    /// where nothing came yet.
    pub fn log(&self, host: &str, log: &str) -> Result<(u64, Option<ChainHead>), Error> {
        let mut select = self.connection.prepare_cached(SELECT_DURABLE).doing(READ)?;
        let found = select.query_row([host, log], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        let Some((id, durable)) = found.optional().doing(READ)? else {
            return Ok((1, None));
        };
        let mut select = self.connection.prepare_cached(SELECT_HEAD).doing(READ)?;
        let hash = select.query_row([id, durable], |row| row.get(0)).optional();
        let seq = durable.cast_unsigned();
        let head = hash.doing(READ)?.map(|hash| ChainHead { seq, hash });
        Ok((seq + 1, head))
    }

    /// Whether the content with that hash is here.
    pub fn has_content(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        let mut select = self.connection.prepare_cached(HAS_CONTENT).doing(READ)?;
        select.exists([hash]).doing(READ)
    }
}
