//! Which rows can be the altered ones: those that a change refers to, but for those that a change
//! refers to which does fit. That one's hash covers them.

use std::collections::{HashMap, HashSet};

use change::wire::{Finding, FindingKind};
use rusqlite::{Connection, Row};

use super::VERIFY;
use crate::store::Error;
use crate::store::error::Doing as _;

const SELECT: &str = "
    SELECT seq, host, subject, from_subject, before, after, actor FROM changes
    WHERE seq > 0 AND seq <= ?1";

/// A row that a change refers to.
type Reference = (&'static str, i64);

/// Adds to each finding of an altered change the rows that it can be. `verified` is the last change
/// that was looked at.
pub(super) fn name(
    connection: &Connection,
    altered: &HashSet<u64>,
    verified: u64,
    findings: &mut [Finding],
) -> Result<(), Error> {
    let mut of_altered = HashMap::new();
    let mut proven = HashSet::new();
    let mut select = connection.prepare_cached(SELECT).doing(VERIFY)?;
    let mut rows = select.query([verified.cast_signed()]).doing(VERIFY)?;
    while let Some(row) = rows.next().doing(VERIFY)? {
        let seq: i64 = row.get(0).doing(VERIFY)?;
        let references = references(row);
        if altered.contains(&seq.cast_unsigned()) {
            of_altered.insert(seq.cast_unsigned(), references);
        } else {
            proven.extend(references);
        }
    }
    for finding in findings {
        let (FindingKind::Altered, Some(seq), true) =
            (finding.kind, finding.seq, finding.detail.is_empty())
        else {
            continue;
        };
        let references = of_altered.get(&seq).into_iter().flatten();
        let rows = references
            .filter(|reference| !proven.contains(reference))
            .map(|(table, id)| format!("row {id} of `{table}`"));
        let rows: Vec<String> = [format!("row {seq} of `changes`")]
            .into_iter()
            .chain(rows)
            .collect();
        finding.detail = rows.join(", or ");
    }
    Ok(())
}

/// What the row of a change refers to, as far as it can be read.
fn references(row: &Row<'_>) -> Vec<Reference> {
    let columns = [
        "hosts", "subjects", "subjects", "states", "states", "actors",
    ];
    let mut references: Vec<Reference> = (1..)
        .zip(columns)
        .filter_map(|(column, table)| Some((table, row.get::<_, Option<i64>>(column).ok()??)))
        .collect();
    references.dedup();
    references
}
