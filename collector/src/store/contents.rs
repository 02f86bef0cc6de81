//! The table of contents: bytes of files, each once for the whole fleet.

use std::borrow::Cow;

use change::Timestamp;
use change::wire::{Content, MOST_UNPACKED_BYTES};

use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, ToValue as _, Value};

const INSERT: &str = "
    INSERT INTO contents (hash, size, bytes, received) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (hash) DO UPDATE SET received = ?4";
const UPDATE: &str = "UPDATE contents SET received = ?2 WHERE hash = ?1 RETURNING 1";

const SELECT: &str = "SELECT size, bytes FROM contents WHERE hash = ?1";

/// Fast, and on configuration files nearly as small as the levels above.
const LEVEL: i32 = 1;

/// Whether the bytes are those of the hash.
pub(super) fn is_genuine(content: &Content) -> bool {
    blake3::hash(&content.bytes) == content.hash
}

/// Writes contents, with when they came, where they are new. One that comes again is as good as new.
pub(super) fn write<'b>(
    connection: &Connection,
    told: impl Iterator<Item = (&'b Content, Timestamp)>,
) -> sql::Result<()> {
    let mut told: Vec<_> = told.collect();
    // In an order that is the same for all who do so.
    told.sort_unstable_by_key(|(content, _)| content.hash);
    let received = |received: Timestamp| Value::Integer(Some(received.as_nanos()));
    let again = told
        .iter()
        .map(|(content, at)| [content.hash.to_value(), received(*at)]);
    let known = connection.rows_each(UPDATE, &again.collect::<Vec<_>>(), |_row| Ok(()))?;
    let new = told
        .iter()
        .zip(known)
        .filter(|(_, known)| known.is_empty())
        .map(|((content, at), _)| (content, pack(&content.bytes), *at));
    let new: Vec<_> = new.collect();
    let rows = new.iter().map(|(content, packed, at)| {
        [
            content.hash.to_value(),
            Value::Integer(Some(content.bytes.len().cast_signed() as i64)),
            packed.to_value(),
            received(*at),
        ]
    });
    connection.execute_each(INSERT, &rows.collect::<Vec<_>>())
}

/// The bytes as they are kept: smaller, where that is possible.
fn pack(bytes: &[u8]) -> Cow<'_, [u8]> {
    let packed = zstd::bulk::compress(bytes, LEVEL).unwrap_or_default();
    if !packed.is_empty() && packed.len() < bytes.len() {
        packed.into()
    } else {
        bytes.into()
    }
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
