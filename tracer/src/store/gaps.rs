//! The table of gaps.

use change::{Gap, GapReason, Timestamp};
use rusqlite::{Connection, Params, Row};

use super::Error;
use super::error::Doing as _;

const INSERT: &str = "
    INSERT INTO gaps (from_time, to_time, reason, detail) VALUES (?1, ?2, ?3, ?4)";
const UPSERT: &str = "
    INSERT INTO gaps (id, from_time, to_time, reason, detail) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO UPDATE SET from_time = ?2, to_time = ?3, reason = ?4, detail = ?5";
const SELECT_NEWEST: &str = "
    SELECT id, from_time, to_time, reason, detail FROM gaps ORDER BY id DESC LIMIT ?1";
const SELECT_OPEN: &str = "
    SELECT id, from_time, to_time, reason, detail FROM gaps
    WHERE to_time IS NULL AND reason = ?1 ORDER BY id DESC LIMIT 1";
const SELECT_SINCE: &str = "
    SELECT id, from_time, to_time, reason, detail FROM gaps
    WHERE to_time IS NULL OR to_time > ?1 ORDER BY id DESC";

const READ: &str = "read gaps";

/// Writes a gap: a new one where its id is 0.
pub(super) fn write(connection: &Connection, gap: &Gap) -> rusqlite::Result<()> {
    let Gap {
        id,
        from,
        to,
        reason,
        detail,
    } = gap;
    let (from, to) = (from.as_nanos(), to.map(Timestamp::as_nanos));
    let reason = reason.as_str();
    let rows = if *id == 0 {
        let mut insert = connection.prepare_cached(INSERT)?;
        insert.execute((from, to, reason, detail))
    } else {
        let mut upsert = connection.prepare_cached(UPSERT)?;
        upsert.execute((id.cast_signed(), from, to, reason, detail))
    };
    rows.map(|_rows| ())
}

/// The newest gaps, newest first.
pub(super) fn newest(connection: &Connection, limit: u32) -> Result<Vec<Gap>, Error> {
    select(connection, SELECT_NEWEST, [limit])
}

/// The gap of that reason that is still open.
pub(super) fn open(connection: &Connection, reason: GapReason) -> Result<Option<Gap>, Error> {
    let mut open = select(connection, SELECT_OPEN, [reason.as_str()])?;
    Ok(open.pop())
}

/// The gaps that reach beyond a moment, newest first.
pub(super) fn since(connection: &Connection, time: Timestamp) -> Result<Vec<Gap>, Error> {
    select(connection, SELECT_SINCE, [time.as_nanos()])
}

fn select(connection: &Connection, query: &str, params: impl Params) -> Result<Vec<Gap>, Error> {
    let mut select = connection.prepare_cached(query).doing(READ)?;
    let mut rows = select.query(params).doing(READ)?;
    let mut gaps = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        gaps.push(gap_in(row)?);
    }
    Ok(gaps)
}

fn gap_in(row: &Row<'_>) -> Result<Gap, Error> {
    let id: i64 = row.get(0).doing(READ)?;
    let to: Option<i64> = row.get(2).doing(READ)?;
    let word: String = row.get(3).doing(READ)?;
    let reason = GapReason::from_word(&word).ok_or_else(|| Error::Row {
        table: "gaps",
        row: id,
        what: format!("`{word}` is no reason of a gap"),
    })?;
    Ok(Gap {
        id: id.cast_unsigned(),
        from: Timestamp::from_nanos(row.get(1).doing(READ)?),
        to: to.map(Timestamp::from_nanos),
        reason,
        detail: row.get(4).doing(READ)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Batch;
    use crate::store::example::{Example, gap, time};

    #[test]
    fn an_open_gap_is_found_and_closed() {
        let mut example = Example::new();
        let lost = gap(GapReason::Lost, 10, None);
        let unseen = gap(GapReason::Unseen, 1, None);
        example.commit(Batch {
            gaps: vec![unseen, lost],
            ..Batch::default()
        });
        let reader = example.reader();
        assert_eq!(reader.open_gap(GapReason::Stopped).unwrap(), None);
        let mut open = reader.open_gap(GapReason::Lost).unwrap().unwrap();
        assert_eq!((open.id, open.from), (2, time(10)));
        open.to = Some(time(20));
        example.commit(Batch {
            gaps: vec![open.clone()],
            ..Batch::default()
        });
        assert_eq!(reader.open_gap(GapReason::Lost).unwrap(), None);
        let newest = reader.gaps(10).unwrap();
        assert_eq!(newest.len(), 2);
        assert_eq!(newest[0], open);
        assert_eq!(reader.gaps(1).unwrap().len(), 1);
        assert_eq!(reader.gaps_since(time(19)).unwrap().len(), 2);
        assert_eq!(reader.gaps_since(time(20)).unwrap().len(), 1);
    }
}
