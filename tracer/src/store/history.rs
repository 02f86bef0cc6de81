//! The history of one subject: its changes under its name, and under older names before renames.

use std::collections::{BinaryHeap, HashSet};

use change::{Change, Note, Subject, Text, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::changes::{Condition, Next, Order};
use super::error::Doing as _;
use super::{Error, changes, subjects};

const SELECT_RENAMES: &str = "
    SELECT from_subject, max(seq) FROM changes
    WHERE subject = ?1 AND from_subject IS NOT NULL AND seq < ?2 GROUP BY from_subject";
const SELECT_NEWEST_RENAME: &str = "
    SELECT from_subject, seq FROM changes
    WHERE subject = ?1 AND from_subject IS NOT NULL AND seq < ?2 ORDER BY seq DESC LIMIT 1";

const SELECT_DIRECTORY_MOVES: &str = "
    SELECT c.seq, c.time, f.key, s.key, instr(coalesce(c.notes, ''), 'exchanged') > 0 FROM changes c
    JOIN subjects s ON s.id = c.subject
    JOIN subjects f ON f.id = c.from_subject
    LEFT JOIN states a ON a.id = c.after
    LEFT JOIN states b ON b.id = c.before
    WHERE c.from_subject IS NOT NULL AND c.op = 'rename'
        AND coalesce(a.type, b.type) = 'directory'
    ORDER BY c.seq";

const READ: &str = "read the names of a subject";

/// How many older names are followed: more have only log rotation and programs that rename without
/// end, and of these the newest are of interest.
const NAMES: usize = 1000;

/// A name of a subject: its changes below the number belong to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) before_seq: u64,
    pub(super) subject: i64,
}

/// A directory that got another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryMove {
    /// The number of the change.
    pub(crate) seq: u64,
    /// When it happened.
    pub(crate) time: Timestamp,
    /// Its path before.
    pub(crate) from: Text,
    /// Its path after.
    pub(crate) to: Text,
    /// Whether the path before is another directory's from then on.
    pub(crate) exchanged: bool,
}

/// All directories that got another name, oldest first.
pub(super) fn directory_moves(connection: &Connection) -> Result<Vec<DirectoryMove>, Error> {
    let doing = "read where directories went";
    let mut select = connection
        .prepare_cached(SELECT_DIRECTORY_MOVES)
        .doing(doing)?;
    let rows = select.query_map([], |row| {
        Ok(DirectoryMove {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            time: Timestamp::from_nanos(row.get(1)?),
            from: Text::from(row.get::<_, Vec<u8>>(2)?),
            to: Text::from(row.get::<_, Vec<u8>>(3)?),
            exchanged: row.get(4)?,
        })
    });
    rows.doing(doing)?.collect::<Result<_, _>>().doing(doing)
}

/// All names of a subject: its own, and those that something was renamed from to become it. Each
/// stands once, with the newest change that may belong to it.
pub(super) fn names(connection: &Connection, subject: &Subject) -> Result<Vec<Name>, Error> {
    let mut select = connection.prepare_cached(SELECT_RENAMES).doing(READ)?;
    let mut waiting = BinaryHeap::new();
    waiting.extend(own_name(connection, subject)?);
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    // The newest first: a rename is older than the name it led to, so that the first visit of a
    // name is the one that reaches furthest.
    while let Some(name) = waiting.pop() {
        if names.len() == NAMES || !seen.insert(name.subject) {
            continue;
        }
        names.push(name);
        let before = i64::try_from(name.before_seq).unwrap_or(i64::MAX);
        let mut rows = select.query((name.subject, before)).doing(READ)?;
        while let Some(row) = rows.next().doing(READ)? {
            waiting.push(Name {
                subject: row.get(0).doing(READ)?,
                before_seq: row.get::<_, i64>(1).doing(READ)?.cast_unsigned(),
            });
        }
    }
    Ok(names)
}

/// The names that the file now under this name has had, newest first, each with the change that
/// ended it: other than in [`names`] without what earlier had the same name. A name can come again.
pub(super) fn lineage(connection: &Connection, subject: &Subject) -> Result<Vec<Name>, Error> {
    let mut select = connection
        .prepare_cached(SELECT_NEWEST_RENAME)
        .doing(READ)?;
    let mut next = own_name(connection, subject)?;
    let mut lineage = Vec::new();
    while let Some(name) = next.filter(|_| lineage.len() < NAMES) {
        lineage.push(name);
        let before = i64::try_from(name.before_seq).unwrap_or(i64::MAX);
        next = select
            .query_row((name.subject, before), |row| {
                Ok(Name {
                    subject: row.get(0)?,
                    before_seq: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })
            .optional()
            .doing(READ)?;
    }
    Ok(lineage)
}

fn own_name(connection: &Connection, subject: &Subject) -> Result<Option<Name>, Error> {
    let id = subjects::id_of(connection, subject)?;
    Ok(id.map(|subject| Name {
        before_seq: u64::MAX,
        subject,
    }))
}

/// Passes on the changes of the file now under this name, newest first; see [`lineage`].
pub(super) fn each_of_lineage(
    connection: &Connection,
    subject: &Subject,
    pass_on: &mut dyn FnMut(Change) -> Next,
) -> Result<(), Error> {
    let lineage = lineage(connection, subject)?;
    for (index, name) in lineage.iter().enumerate() {
        let mut condition = Condition::default();
        let before = i64::try_from(name.before_seq).unwrap_or(i64::MAX);
        condition.and("c.subject = ?", [name.subject.into()]);
        condition.and("c.seq < ?", [before.into()]);
        if let Some(older) = lineage.get(index + 1) {
            condition.and("c.seq >= ?", [older.before_seq.cast_signed().into()]);
        }
        let mut state = Next::More;
        let order = (&condition, Order::NewestFirst);
        changes::each(connection, order, &|_, _| true, &mut |change, _| {
            state = pass_on(change);
            state
        })?;
        if state == Next::Enough {
            break;
        }
    }
    Ok(())
}

/// The newest change up to a moment that made this very name what it was then.
pub(super) fn newest_until(
    connection: &Connection,
    subject: &Subject,
    time: Timestamp,
) -> Result<Option<Change>, Error> {
    let limit = ("c.time <= ?", time.as_nanos());
    first_of_name(connection, subject, limit, Order::NewestFirst)
}

/// The oldest change after a moment that touched this very name.
pub(super) fn oldest_after(
    connection: &Connection,
    subject: &Subject,
    time: Timestamp,
) -> Result<Option<Change>, Error> {
    let limit = ("c.time > ?", time.as_nanos());
    first_of_name(connection, subject, limit, Order::OldestFirst)
}

fn first_of_name(
    connection: &Connection,
    subject: &Subject,
    (limit, nanos): (&str, i64),
    order: Order,
) -> Result<Option<Change>, Error> {
    let Some(id) = subjects::id_of(connection, subject)? else {
        return Ok(None);
    };
    let mut found: Option<Change> = None;
    for name in ["c.subject = ?", "c.from_subject = ?"] {
        let mut condition = Condition::default();
        condition.and(name, [id.into()]);
        condition.and(limit, [nanos.into()]);
        let order_of = (&condition, order);
        changes::each(connection, order_of, &|_, _| true, &mut |change, _| {
            if change.subject != *subject && change.notes.contains(&Note::Exchanged) {
                // Another file has its name, which is a change of its own.
                return Next::More;
            }
            let is_better = found.as_ref().is_none_or(|found| match order {
                Order::NewestFirst => change.seq > found.seq,
                Order::OldestFirst => change.seq < found.seq,
            });
            if is_better {
                found = Some(change);
            }
            Next::Enough
        })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use change::ChangeQuery;

    use crate::store::example::{Example, alice, create, delete, edit, file, rename};

    fn found(example: &Example, query: &ChangeQuery) -> Vec<u64> {
        let changes = example.reader().changes(query).unwrap();
        changes.iter().map(|change| change.seq).collect()
    }

    fn history(example: &Example, path: &str) -> Vec<u64> {
        found(
            example,
            &ChangeQuery {
                subject: Some(file(path)),
                ..ChangeQuery::default()
            },
        )
    }

    #[test]
    fn a_history_continues_under_the_older_name() {
        let mut example = Example::new();
        example.log(vec![
            create("/etc/a", "1", 1, Some(alice(41))),
            create("/etc/b", "x", 2, Some(alice(41))),
            edit("/etc/a", ["1", "2"], 3, Some(alice(41))),
            delete("/etc/b", "x", 4, Some(alice(41))),
            rename(["/etc/a", "/etc/b"], "2", 5),
            edit("/etc/b", ["2", "3"], 6, Some(alice(41))),
            create("/etc/a", "new", 7, Some(alice(41))),
            rename(["/etc/b", "/etc/c"], "3", 8),
        ]);
        assert_eq!(history(&example, "/etc/c"), [8, 6, 5, 4, 3, 2, 1]);
        assert_eq!(history(&example, "/etc/b"), [8, 6, 5, 4, 3, 2, 1]);
        assert_eq!(history(&example, "/etc/a"), [7, 5, 3, 1]);
        let page = ChangeQuery {
            subject: Some(file("/etc/c")),
            before_seq: Some(6),
            limit: Some(2),
            ..ChangeQuery::default()
        };
        assert_eq!(found(&example, &page), [5, 4]);
    }

    #[test]
    fn names_that_are_swapped_back_and_forth_end() {
        let mut example = Example::new();
        let swap = |i: i64| {
            let names = ["/etc/a", "/etc/b"];
            let [from, to] = if i % 2 == 0 {
                names
            } else {
                [names[1], names[0]]
            };
            rename([from, to], "x", i)
        };
        example.log((0..100).map(swap).collect());
        assert_eq!(history(&example, "/etc/a").len(), 100);
        assert!(
            example
                .reader()
                .lineage(&file("/etc/a"), &mut |_| true)
                .is_ok()
        );
    }

    #[test]
    fn a_file_that_came_again_has_one_history() {
        let mut example = Example::new();
        example.log(vec![
            create("/etc/a", "1", 1, Some(alice(41))),
            delete("/etc/a", "1", 2, Some(alice(41))),
            create("/etc/a", "2", 3, Some(alice(41))),
        ]);
        assert_eq!(history(&example, "/etc/a"), [3, 2, 1]);
    }
}
