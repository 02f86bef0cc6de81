//! The changes of the files that a pattern names, found by the files where these are few: scanning the
//! log for what is rare would read all of it.

use std::collections::BTreeSet;

use globset::GlobMatcher;
use rusqlite::Connection;

use super::error::Doing as _;
use super::search::is_match;
use super::{Error, subjects};

const SELECT_KEYS: &str = "
    SELECT id, key FROM subjects WHERE kind = 'file' AND key >= ?1 AND key < ?2";
const SELECT_NUMBERS: &str = "
    SELECT seq FROM changes WHERE subject = ?1
    UNION SELECT seq FROM changes WHERE from_subject = ?1";

const READ: &str = "read the changes of a pattern";

/// With so many files or changes the log is read instead: what is asked for is in its newest part.
const FEW: usize = 50_000;

/// The numbers of the changes that touched a file whose name matches, newest first; none where they
/// are too many.
pub(super) fn numbers(
    connection: &Connection,
    pattern: &str,
    glob: &GlobMatcher,
) -> Result<Option<Vec<i64>>, Error> {
    let Some(files) = matching(connection, pattern, glob)? else {
        return Ok(None);
    };
    let mut select = connection.prepare_cached(SELECT_NUMBERS).doing(READ)?;
    let mut numbers = BTreeSet::new();
    for file in files {
        let mut rows = select.query([file]).doing(READ)?;
        while let Some(row) = rows.next().doing(READ)? {
            numbers.insert(row.get(0).doing(READ)?);
            if numbers.len() > FEW {
                return Ok(None);
            }
        }
    }
    Ok(Some(numbers.into_iter().rev().collect()))
}

fn matching(
    connection: &Connection,
    pattern: &str,
    glob: &GlobMatcher,
) -> Result<Option<Vec<i64>>, Error> {
    let prefix = literal_prefix(pattern);
    if prefix.is_empty() {
        return Ok(None);
    }
    let [from, to] = subjects::range_from(prefix.as_bytes());
    let mut select = connection.prepare_cached(SELECT_KEYS).doing(READ)?;
    let mut rows = select.query((from, to)).doing(READ)?;
    let mut found = Vec::new();
    let mut looked_at = 0;
    while let Some(row) = rows.next().doing(READ)? {
        looked_at += 1;
        if looked_at > FEW {
            return Ok(None);
        }
        let key = row.get_ref(1).doing(READ)?;
        if key.as_blob().is_ok_and(|key| is_match(glob, key)) {
            found.push(row.get(0).doing(READ)?);
        }
    }
    Ok(Some(found))
}

/// What every name that matches begins with.
fn literal_prefix(pattern: &str) -> &str {
    let special = pattern.find(['*', '?', '[', '{', '\\']);
    &pattern[..special.unwrap_or(pattern.len())]
}
