//! The partitions of what grows with time, a month each: made before they are needed, and dropped when they are empty.
//! What belongs to no month of theirs is in the one by default.

use change::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::store::Error;
use crate::store::error::Doing as _;
use crate::store::sql::{self, Connection, Turn};

/// The tables, and by which column of theirs.
const TABLES: [(&str, &str); 2] = [("changes", "time"), ("past_facts", "until")];
/// Months before the one of now, for what hosts send late, and after it.
const BEFORE: i8 = 2;
const AFTER: i8 = 2;

// Not by `to_regclass`: a session remembers that there was none, also while it waits for who makes one.
const EXISTS: &str = "
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = ?1 AND n.nspname = current_schema()";
const SELECT_OLD: &str = "
    SELECT c.relname FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_class p ON p.oid = i.inhparent
    WHERE p.oid = to_regclass(?1) AND c.relname < ?2 COLLATE \"C\" AND c.relname <> ?1 || '_default'
    ORDER BY c.relname";

const MAKE: &str = "make the partitions of coming months";
const DROP: &str = "drop the partitions of months that are gone";

/// Makes the partitions of the months around a moment, where they are missing.
pub(in crate::store) fn make(connection: &Connection, now: Timestamp) -> Result<(), Error> {
    for (table, column) in TABLES {
        for month in -BEFORE..=AFTER {
            let (first, next) = (month_at(now, month), month_at(now, month + 1));
            if connection
                .exists(EXISTS, [name(table, first)])
                .doing(MAKE)?
            {
                continue;
            }
            let transaction = connection.begin(Turn::Tidy).doing(MAKE)?;
            if transaction
                .exists(EXISTS, [name(table, first)])
                .doing(MAKE)?
            {
                continue;
            }
            make_one(&transaction, (table, column), (first, next)).doing(MAKE)?;
            transaction.commit().doing(MAKE)?;
        }
    }
    Ok(())
}

/// What came for the month before there was a partition for it moves there.
fn make_one(
    connection: &Connection,
    (table, column): (&str, &str),
    (first, next): (Date, Date),
) -> sql::Result<()> {
    let partition = name(table, first);
    let (from, to) = (nanos(first), nanos(next));
    connection.script(&format!(
        "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
         WITH moved AS (
             DELETE FROM {table}_default WHERE {column} >= {from} AND {column} < {to} RETURNING *
         ) INSERT INTO {partition} SELECT * FROM moved;
         ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({from}) TO ({to})"
    ))
}

/// Drops partitions of months that ended before a moment and in which nothing is left.
pub(in crate::store) fn drop_empty(
    connection: &Connection,
    before: Timestamp,
) -> Result<(), Error> {
    for (table, _column) in TABLES {
        let bound = name(table, month_at(before, 0));
        let old: Vec<String> = connection
            .rows(SELECT_OLD, (table, bound), |row| row.get(0))
            .doing(DROP)?;
        for partition in old {
            let transaction = connection.begin(Turn::Tidy).doing(DROP)?;
            let is_used = format!("SELECT 1 FROM {partition} LIMIT 1");
            if !transaction.exists(&is_used, ()).doing(DROP)? {
                transaction
                    .script(&format!("DROP TABLE {partition}"))
                    .doing(DROP)?;
                transaction.commit().doing(DROP)?;
            }
        }
    }
    Ok(())
}

/// The first day of a month, so many after the one of a moment.
fn month_at(moment: Timestamp, months: i8) -> Date {
    let time = jiff::Timestamp::from_nanosecond(moment.as_nanos().into());
    let day = time.map_or(Date::ZERO, |time| time.to_zoned(TimeZone::UTC).date());
    let first = day.first_of_month();
    first.saturating_add(jiff::Span::new().months(months))
}

fn name(table: &str, first: Date) -> String {
    format!("{table}_{:04}_{:02}", first.year(), first.month())
}

fn nanos(first: Date) -> i128 {
    let begin = first.to_zoned(TimeZone::UTC);
    begin.map_or(i128::from(i64::MAX), |begin| {
        begin.timestamp().as_nanosecond()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_over_the_year() {
        let at: Timestamp = "2026-11-21T02:13:00.000000000Z".parse().unwrap();
        let names: Vec<_> = (-2..=2)
            .map(|month| name("changes", month_at(at, month)))
            .collect();
        let months = ["2026_09", "2026_10", "2026_11", "2026_12", "2027_01"];
        assert_eq!(names, months.map(|month| format!("changes_{month}")));
        assert_eq!(nanos(month_at(at, 0)), 1_793_491_200_000_000_000);
    }
}
