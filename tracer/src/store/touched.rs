//! Which subjects changed in an interval.

use change::{Kind, Subject, Timestamp};
use rusqlite::Connection;

use super::error::Doing as _;
use super::subjects::{SubjectPage, named_in};
use super::{Error, history, search, subjects};

const SELECT: &str = "
    SELECT kind, key, own + gone + along FROM (
        SELECT s.kind, s.key,
            (SELECT count(*) FROM changes c WHERE c.subject = s.id
                AND c.seq BETWEEN ?4 AND ?5 AND c.time >= ?6 AND c.time < ?7) AS own,
            (SELECT count(*) FROM changes c WHERE c.from_subject = s.id
                AND c.seq BETWEEN ?4 AND ?5 AND c.time >= ?6 AND c.time < ?7) AS gone,
            (SELECT count(*) FROM json_each(?9) AS moved WHERE s.kind = 'file'
                AND s.key >= unhex(moved.value ->> 0) AND s.key < unhex(moved.value ->> 1)) AS along
        FROM subjects s
        WHERE (s.kind, s.key) > (?1, ?2) AND (?3 IS NULL OR s.kind = ?3)
        ORDER BY s.kind, s.key)
    WHERE own + gone + along > 0 LIMIT ?8";

/// The next subjects that have changes from the one moment up to the other, which does not count; each with
/// how many. One that was renamed has changed under both names, and so has all that lies in a directory that
/// was.
pub(super) fn between(
    connection: &Connection,
    page: &SubjectPage,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<(Subject, u64)>, Error> {
    let doing = "read what has changed";
    let mut select = connection.prepare_cached(SELECT).doing(doing)?;
    let [first, last] = [
        search::first_since(connection, since)?,
        search::last_until(connection, until)?,
    ];
    let (after_kind, after_key) = page.after();
    let mut rows = select
        .query((
            after_kind,
            after_key,
            page.kind.map(Kind::as_str),
            first,
            last,
            since.as_nanos(),
            until.as_nanos(),
            page.limit(),
            along(connection, [since, until])?,
        ))
        .doing(doing)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let count: i64 = row.get(2).doing(doing)?;
        found.push((named_in(row)?, count.cast_unsigned()));
    }
    Ok(found)
}

/// The keys below the directories that were renamed in an interval, as JSON has them: from the one up to the
/// other, both in hexadecimal.
fn along(connection: &Connection, [since, until]: [Timestamp; 2]) -> Result<String, Error> {
    let moves = history::directory_moves(connection)?.into_iter();
    let moves = moves.filter(|one| (since..until).contains(&one.time));
    let hex = |bytes: Vec<u8>| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    let ranges = moves.flat_map(|one| [one.from, one.to]).map(|directory| {
        let [from, to] = subjects::range_below(directory.as_bytes()).map(hex);
        format!(r#"["{from}","{to}"]"#)
    });
    Ok(format!("[{}]", ranges.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::example::{Example, alice, create, delete, edit, rename, time};

    #[test]
    fn each_subject_that_changed_in_the_interval_is_there_once() {
        let mut example = Example::new();
        let by = || Some(alice(41));
        example.log(vec![
            create("/etc/early", "x", 9, by()),
            create("/etc/a", "x", 10, by()),
            edit("/etc/a", ["x", "y"], 11, by()),
            create("/etc/old", "x", 12, by()),
            rename(["/etc/old", "/etc/new"], "x", 13),
            delete("/etc/early", "x", 20, by()),
        ]);
        let connection = example.connection();
        let found = |after: Option<Subject>, limit| {
            let kind = Some(Kind::File);
            let page = SubjectPage { kind, after, limit };
            let touched = between(&connection, &page, [time(10), time(20)]).unwrap();
            let texts = touched
                .iter()
                .map(|(subject, count)| format!("{} {count}", subject.key));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(found(None, 9), ["/etc/a 2", "/etc/new 1", "/etc/old 2"]);
        assert_eq!(found(None, 1), ["/etc/a 2"]);
        assert_eq!(found(Some(Subject::file("/etc/a")), 1), ["/etc/new 1"]);
        let other = SubjectPage {
            kind: Some(Kind::Package),
            after: None,
            limit: 9,
        };
        let none = between(&connection, &other, [time(0), time(99)]);
        assert_eq!(none.unwrap(), []);
    }
}
