//! The changes of few subjects, found by the subjects: of files that a pattern names, or of a rare kind.
//! Reading the log for what is rare would read all of it.

use std::collections::BTreeSet;

use change::{ChangeQuery, Kind};
use globset::GlobMatcher;
use rusqlite::Connection;

use super::error::Doing as _;
use super::search::is_match;
use super::{Error, subjects};

const SELECT_KEYS: &str = "
    SELECT id, key FROM subjects WHERE kind = ?1 AND key >= ?2 AND key < ?3";
const SELECT_OF_KIND: &str = "SELECT id FROM subjects WHERE kind = ?1 LIMIT ?2";
const SELECT_NUMBERS: &str = "
    SELECT seq FROM changes WHERE subject = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
const SELECT_NUMBERS_FROM: &str = "
    SELECT seq FROM changes WHERE from_subject = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

const READ: &str = "read the changes of some subjects";

/// With so many subjects or changes the log is read instead: what is asked for is all over it.
const FEW: usize = 50_000;

/// The numbers of the changes among which the answer is, newest first, where its subjects are few; none
/// where they are too many, or any.
pub(super) fn numbers(
    connection: &Connection,
    query: &ChangeQuery,
    glob: Option<&GlobMatcher>,
) -> Result<Option<Vec<i64>>, Error> {
    let subjects = match (&query.path, glob, query.kind) {
        (Some(pattern), Some(glob), _) => matching(connection, pattern, glob)?,
        (_, _, Some(kind)) if kind != Kind::File => of_kind(connection, kind)?,
        _ => None,
    };
    let Some(subjects) = subjects else {
        return Ok(None);
    };
    let before = query
        .before_seq
        .and_then(|before| i64::try_from(before).ok())
        .unwrap_or(i64::MAX);
    let each = most_of_each(query);
    let mut numbers = BTreeSet::new();
    for sql in [SELECT_NUMBERS, SELECT_NUMBERS_FROM] {
        let mut select = connection.prepare_cached(sql).doing(READ)?;
        for subject in &subjects {
            let rows = select
                .query_map((subject, before, each), |row| row.get::<_, i64>(0))
                .doing(READ)?;
            for number in rows.take(FEW + 1) {
                numbers.insert(number.doing(READ)?);
            }
            if numbers.len() > FEW {
                return Ok(None);
            }
        }
    }
    Ok(Some(numbers.into_iter().rev().collect()))
}

/// How many changes of one subject can be in the answer: where nothing else is asked of a change, no
/// more than the whole answer has; -1 for any number.
fn most_of_each(query: &ChangeQuery) -> i64 {
    let ChangeQuery {
        since: None,
        until: None,
        op: None,
        user: None,
        session: None,
        by: None,
        subject: _,
        kind: _,
        path: _,
        before_seq: _,
        run: None,
        limit: Some(limit),
    } = query
    else {
        return -1;
    };
    i64::from(*limit)
}

/// The files that a pattern names.
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
    let mut rows = select.query((Kind::File.as_str(), from, to)).doing(READ)?;
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

fn of_kind(connection: &Connection, kind: Kind) -> Result<Option<Vec<i64>>, Error> {
    let most = i64::try_from(FEW + 1).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(SELECT_OF_KIND).doing(READ)?;
    let rows = select
        .query_map((kind.as_str(), most), |row| row.get(0))
        .doing(READ)?;
    let found: Vec<i64> = rows.collect::<rusqlite::Result<_>>().doing(READ)?;
    Ok(Some(found).filter(|found| found.len() <= FEW))
}

/// What every name that matches begins with.
fn literal_prefix(pattern: &str) -> &str {
    let special = pattern.find(['*', '?', '[', '{', '\\']);
    &pattern[..special.unwrap_or(pattern.len())]
}
