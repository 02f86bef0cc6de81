//! The table of gaps: intervals for which a host's log is not complete.

use change::{Gap, GapReason, Timestamp};

use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, Row, ToValue as _, Value};
use crate::fleet::HostKey;

const UPSERT: &str = "
    INSERT INTO gaps (host, id, from_time, to_time, reason, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (host, id) DO UPDATE SET from_time = ?3, to_time = ?4, reason = ?5, detail = ?6";
const SELECT: &str = "
    SELECT host, id, from_time, to_time, reason, detail FROM gaps
    WHERE from_time < ?2 AND (to_time IS NULL OR to_time > ?1) ORDER BY from_time, host, id";

const READ: &str = "read gaps";

/// Writes gaps, or what is new of them.
pub(super) fn write<'b>(
    connection: &Connection,
    told: impl Iterator<Item = (HostKey, &'b [Gap])>,
) -> sql::Result<()> {
    let gaps = told.flat_map(|(host, gaps)| gaps.iter().map(move |gap| (host, gap)));
    let rows = gaps.map(|(host, gap)| {
        let Gap {
            id,
            from,
            to,
            reason,
            detail,
        } = gap;
        [
            Value::Integer(Some(host.0.into())),
            Value::Integer(Some(id.cast_signed())),
            Value::Integer(Some(from.as_nanos())),
            Value::Integer(to.map(Timestamp::as_nanos)),
            Value::Text(Some(reason.as_str())),
            detail.to_value(),
        ]
    });
    connection.execute_each(UPSERT, &rows.collect::<Vec<_>>())
}

/// The gaps that lie in an interval, wholly or in part, in the order in which they began.
pub(super) fn within(
    connection: &Connection,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<(HostKey, Gap)>, Error> {
    let mut gaps = Vec::new();
    let interval = (since.as_nanos(), until.as_nanos());
    connection.each((SELECT, interval), READ, &mut |row| {
        gaps.push((HostKey(row.get(0).doing(READ)?), gap_in(row)?));
        Ok(true)
    })?;
    Ok(gaps)
}

fn gap_in(row: &Row<'_>) -> Result<Gap, Error> {
    let word: String = row.get(4).doing(READ)?;
    let reason = GapReason::from_word(&word).ok_or_else(|| Error::Row {
        table: "gaps",
        what: format!("`{word}` is no reason for a gap"),
    })?;
    let to: Option<i64> = row.get(3).doing(READ)?;
    let id: i64 = row.get(1).doing(READ)?;
    Ok(Gap {
        id: id.cast_unsigned(),
        from: Timestamp::from_nanos(row.get(2).doing(READ)?),
        to: to.map(Timestamp::from_nanos),
        reason,
        detail: row.get(5).doing(READ)?,
    })
}
