//! The table of contents: bytes of files, each once for the whole fleet.

use change::Timestamp;
use change::wire::{Content, MOST_UNPACKED_BYTES};

use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection};

const INSERT: &str = "
    INSERT INTO contents (hash, size, bytes, received) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (hash) DO UPDATE SET received = ?4";
const UPDATE: &str = "UPDATE contents SET received = ?2 WHERE hash = ?1";

const SELECT: &str = "SELECT size, bytes FROM contents WHERE hash = ?1";

/// Fast, and on configuration files nearly as small as the levels above.
const LEVEL: i32 = 1;

/// Whether the bytes are those of the hash.
pub(super) fn is_genuine(content: &Content) -> bool {
    blake3::hash(&content.bytes) == content.hash
}

/// Writes a content where it is new. One that comes again is as good as new.
pub(super) fn write(
    connection: &Connection,
    content: &Content,
    received: Timestamp,
) -> sql::Result<()> {
    let Content { hash, bytes } = content;
    if connection.execute(UPDATE, (hash, received.as_nanos()))? > 0 {
        return Ok(());
    }
    let packed = zstd::bulk::compress(bytes, LEVEL).unwrap_or_default();
    let is_smaller = !packed.is_empty() && packed.len() < bytes.len();
    let kept = if is_smaller { &packed } else { bytes };
    let size = bytes.len().cast_signed() as i64;
    let row = (hash, size, kept, received.as_nanos());
    connection.execute(INSERT, row).map(drop)
}

/// The bytes of a hash, where they are kept.
pub(super) fn read(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Error> {
    let doing = "read a content";
    let found = connection.optional(SELECT, [hash], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((size, bytes)): Option<(i64, Vec<u8>)> = found.doing(doing)? else {
        return Ok(None);
    };
    let size = usize::try_from(size).unwrap_or_default();
    if bytes.len() == size {
        return Ok(Some(bytes));
    }
    let plain = zstd::bulk::decompress(&bytes, size.min(MOST_UNPACKED_BYTES));
    plain.map(Some).map_err(|error| Error::Row {
        table: "contents",
        what: error.to_string(),
    })
}
