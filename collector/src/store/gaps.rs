//! The table of gaps: intervals for which a host's log is not complete.

use change::{Gap, GapReason, Timestamp};
use rusqlite::{Connection, Row};

use super::Error;
use super::error::Doing as _;
use crate::fleet::HostKey;

const UPSERT: &str = "
    INSERT OR REPLACE INTO gaps (host, id, from_time, to_time, reason, detail)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const SELECT: &str = "
    SELECT host, id, from_time, to_time, reason, detail FROM gaps
    WHERE from_time < ?2 AND (to_time IS NULL OR to_time > ?1) ORDER BY from_time, host, id";

const READ: &str = "read gaps";

/// Writes gaps, or what is new of them.
pub(super) fn write(
    connection: &Connection,
    HostKey(host): HostKey,
    gaps: &[Gap],
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(UPSERT)?;
    for gap in gaps {
        let Gap {
            id,
            from,
            to,
            reason,
            detail,
        } = gap;
        let (from, to) = (from.as_nanos(), to.map(Timestamp::as_nanos));
        upsert.execute((host, id.cast_signed(), from, to, reason.as_str(), detail))?;
    }
    Ok(())
}

/// The gaps that lie in an interval, wholly or in part, in the order in which they began.
pub(super) fn within(
    connection: &Connection,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<(HostKey, Gap)>, Error> {
    let mut select = connection.prepare_cached(SELECT).doing(READ)?;
    let mut rows = select
        .query((since.as_nanos(), until.as_nanos()))
        .doing(READ)?;
    let mut gaps = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        gaps.push((HostKey(row.get(0).doing(READ)?), gap_in(row)?));
    }
    Ok(gaps)
}

fn gap_in(row: &Row<'_>) -> Result<Gap, Error> {
    let word: String = row.get(4).doing(READ)?;
    let reason = GapReason::from_word(&word).ok_or_else(|| Error::Row {
        table: "gaps",
        what: format!("`{word}` is no reason for a gap"),
    })?;
    let to: Option<i64> = row.get(3).doing(READ)?;
    Ok(Gap {
        id: row.get::<_, i64>(1).doing(READ)?.cast_unsigned(),
        from: Timestamp::from_nanos(row.get(2).doing(READ)?),
        to: to.map(Timestamp::from_nanos),
        reason,
        detail: row.get(5).doing(READ)?,
    })
}
