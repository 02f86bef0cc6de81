//! The table of runs, and which changes are theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use change::wire::Count;
use change::{Change, Op, Run, RunKind, RunQuery, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::changes::Condition;
use super::error::Doing as _;
use super::{Error, actors};

const UPSERT: &str = r#"
    INSERT INTO runs (id, kind, tool, actor, start, "end", exit_code, signal, running, parent, more)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (id) DO UPDATE SET
        kind = ?2, tool = ?3, "end" = ?6, exit_code = ?7, signal = ?8, running = ?9, more = ?11"#;
const IS_KNOWN: &str = "SELECT actor FROM runs WHERE id = ?1";
const ADD_CHANGES: &str = "
    UPDATE runs SET changes = changes + ?2, first = coalesce(first, ?3), last = ?4 WHERE id = ?1";
const NEWEST: &str = "SELECT coalesce(max(id), 0) FROM runs";
const SELECT: &str = r#"
    SELECT r.id, r.kind, r.tool, r.actor, r.start, r."end", r.exit_code, r.signal, r.running,
        r.parent, r.more, r.changes
    FROM runs r JOIN actors a ON a.id = r.actor JOIN origins o ON o.id = a.origin"#;
/// A run and those within it.
const WITHIN: &str = "
    WITH RECURSIVE within (id) AS (
        SELECT ?1 UNION SELECT r.id FROM runs r JOIN within w ON r.parent = w.id)
    SELECT r.id, r.first, r.last FROM within w JOIN runs r ON r.id = w.id ORDER BY r.id";
const SUMMARY: &str = "
    SELECT s.kind, c.op, count(*) FROM changes c JOIN subjects s ON s.id = c.subject
    WHERE c.seq BETWEEN ?1 AND ?2 AND c.run IN (SELECT value FROM json_each(?3))
    GROUP BY s.kind, c.op ORDER BY s.kind = 'file', min(c.seq)";

const READ: &str = "read runs";

/// Writes a run, or what is new of it. `actor` gives the id of its actor, where it is new.
pub(super) fn write(
    connection: &Connection,
    run: &Run,
    actor: impl FnOnce() -> rusqlite::Result<i64>,
) -> rusqlite::Result<()> {
    let known: Option<i64> = connection
        .prepare_cached(IS_KNOWN)?
        .query_row([run.id.cast_signed()], |row| row.get(0))
        .optional()?;
    let actor = known.map_or_else(actor, Ok)?;
    let Run {
        id,
        kind,
        tool,
        actor: _,
        start,
        end,
        exit_code,
        signal,
        running,
        parent,
        more,
        changes: _,
    } = run;
    connection
        .prepare_cached(UPSERT)?
        .execute((
            id.cast_signed(),
            kind.as_str(),
            tool,
            actor,
            start.as_nanos(),
            end.map(Timestamp::as_nanos),
            exit_code,
            signal,
            running,
            parent.map(u64::cast_signed),
            more.cast_signed(),
        ))
        .map(|_rows| ())
}

/// Counts changes that were written to the runs that own them.
pub(super) fn count(connection: &Connection, stored: &[Change]) -> rusqlite::Result<()> {
    let mut owned: BTreeMap<u64, (i64, u64, u64)> = BTreeMap::new();
    for change in stored {
        if let Some(run) = change.run {
            let (count, _, last) = owned.entry(run).or_insert((0, change.seq, change.seq));
            *count += 1;
            *last = change.seq;
        }
    }
    let mut add = connection.prepare_cached(ADD_CHANGES)?;
    for (run, (count, first, last)) in owned {
        let (run, first, last) = (run.cast_signed(), first.cast_signed(), last.cast_signed());
        add.execute((run, count, first, last))?;
    }
    Ok(())
}

/// The number of the newest run; 0 for none.
pub(super) fn newest(connection: &Connection) -> Result<u64, Error> {
    let newest: i64 = connection
        .query_row(NEWEST, [], |row| row.get(0))
        .doing(READ)?;
    Ok(newest.cast_unsigned())
}

/// The run with that number.
pub(super) fn by_id(connection: &Connection, id: u64) -> Result<Option<Run>, Error> {
    let Ok(id) = i64::try_from(id) else {
        return Ok(None);
    };
    Ok(select(connection, "r.id = ?", &[id.into()], 1)?.pop())
}

/// The runs that are not known to have ended, oldest first.
pub(super) fn at_work(connection: &Connection) -> Result<Vec<Run>, Error> {
    let mut runs = select(connection, "r.running", &[], i64::MAX)?;
    runs.reverse();
    Ok(runs)
}

/// The runs that a query asks for, newest first.
pub(super) fn find(connection: &Connection, query: &RunQuery) -> Result<Vec<Run>, Error> {
    let RunQuery {
        since,
        until,
        kind,
        session,
        user,
        changed,
        before,
        limit,
    } = query;
    let mut wanted = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &'static str, value: Value| {
        wanted.push(condition);
        values.push(value);
    };
    if let Some(since) = since {
        and("r.start >= ?", since.as_nanos().into());
    }
    if let Some(until) = until {
        and("r.start < ?", until.as_nanos().into());
    }
    if let Some(kind) = kind {
        and("r.kind = ?", kind.as_str().to_owned().into());
    }
    if let Some(session) = session {
        and("o.session = ?", i64::from(*session).into());
    }
    if let Some(before) = before {
        and(
            "r.id < ?",
            i64::try_from(*before).unwrap_or(i64::MAX).into(),
        );
    }
    if let Some(user) = user {
        let uid = user.parse::<u32>().map_or(-1, i64::from);
        and(
            "? IN (coalesce(o.login_name, ''), CASE WHEN o.login_uid IS NULL THEN o.user_name END)
             OR coalesce(o.login_uid, o.uid) = ?",
            user.clone().into(),
        );
        values.push(uid.into());
    }
    if *changed {
        wanted.push("r.changes > 0");
    }
    let wanted: Vec<String> = wanted.iter().map(|part| format!("({part})")).collect();
    let limit = limit.map_or(i64::MAX, i64::from);
    select(connection, &wanted.join(" AND "), &values, limit)
}

/// The changes that a run and those within it own lie between these numbers.
struct Owned {
    runs: Vec<i64>,
    first: i64,
    last: i64,
}

impl Owned {
    fn by(connection: &Connection, run: u64) -> Result<Self, Error> {
        let mut owned = Self {
            runs: Vec::new(),
            first: i64::MAX,
            last: 0,
        };
        let Ok(run) = i64::try_from(run) else {
            return Ok(owned);
        };
        let mut select = connection.prepare_cached(WITHIN).doing(READ)?;
        let mut rows = select.query([run]).doing(READ)?;
        while let Some(row) = rows.next().doing(READ)? {
            let (first, last): (Option<i64>, Option<i64>) =
                (row.get(1).doing(READ)?, row.get(2).doing(READ)?);
            owned.runs.push(row.get(0).doing(READ)?);
            owned.first = owned.first.min(first.unwrap_or(i64::MAX));
            owned.last = owned.last.max(last.unwrap_or(0));
        }
        Ok(owned)
    }

    /// The runs as JSON.
    fn list(&self) -> String {
        let runs: Vec<String> = self.runs.iter().map(i64::to_string).collect();
        format!("[{}]", runs.join(","))
    }
}

/// The numbers of the runs within a run, oldest first.
pub(super) fn within(connection: &Connection, run: u64) -> Result<Vec<u64>, Error> {
    let owned = Owned::by(connection, run)?;
    let numbers = owned.runs.into_iter().map(i64::cast_unsigned);
    Ok(numbers.filter(|number| *number != run).collect())
}

/// The condition that a change is owned by a run, or by one within it.
pub(super) fn owning(connection: &Connection, run: u64) -> Result<Condition, Error> {
    let owned = Owned::by(connection, run)?;
    let mut condition = Condition::default();
    condition.and("c.seq >= ?", [owned.first.into()]);
    condition.and("c.seq <= ?", [owned.last.into()]);
    let runs = owned.list();
    condition.and("c.run IN (SELECT value FROM json_each(?))", [runs.into()]);
    Ok(condition)
}

/// How many changes a run and those within it made, by kind and op, in the order of the first of each;
/// files come last, which say the least: that a package was installed says why they changed.
pub(super) fn summary(connection: &Connection, run: u64) -> Result<Vec<Count>, Error> {
    let owned = Owned::by(connection, run)?;
    let mut select = connection.prepare_cached(SUMMARY).doing(READ)?;
    let mut rows = select
        .query((owned.first, owned.last, owned.list()))
        .doing(READ)?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        let (kind, op): (String, String) = (row.get(0).doing(READ)?, row.get(1).doing(READ)?);
        let count: i64 = row.get(2).doing(READ)?;
        let wrong = |word: &str| Error::Row {
            table: "changes",
            row: owned.first,
            what: format!("`{word}` is no word that is known"),
        };
        counts.push(Count {
            kind: kind.parse().map_err(|_unknown| wrong(&kind))?,
            op: Op::from_word(&op).ok_or_else(|| wrong(&op))?,
            count: count.cast_unsigned(),
        });
    }
    Ok(counts)
}

fn select(
    connection: &Connection,
    wanted: &str,
    values: &[Value],
    limit: i64,
) -> Result<Vec<Run>, Error> {
    let query = format!("{SELECT} WHERE {wanted} ORDER BY r.id DESC LIMIT {limit}");
    let mut select = connection.prepare_cached(&query).doing(READ)?;
    let mut rows = select.query(params_from_iter(values)).doing(READ)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        runs.push(run_in(connection, row)?);
    }
    Ok(runs)
}

fn run_in(connection: &Connection, row: &Row<'_>) -> Result<Run, Error> {
    let id: i64 = row.get(0).doing(READ)?;
    let word: String = row.get(1).doing(READ)?;
    let kind = RunKind::from_word(&word).ok_or_else(|| Error::Row {
        table: "runs",
        row: id,
        what: format!("`{word}` is no kind of run"),
    })?;
    let end: Option<i64> = row.get(5).doing(READ)?;
    let parent: Option<i64> = row.get(9).doing(READ)?;
    let (more, changes): (i64, i64) = (row.get(10).doing(READ)?, row.get(11).doing(READ)?);
    Ok(Run {
        id: id.cast_unsigned(),
        kind,
        tool: row.get(2).doing(READ)?,
        actor: Arc::new(actors::read(connection, row.get(3).doing(READ)?)?),
        start: Timestamp::from_nanos(row.get(4).doing(READ)?),
        end: end.map(Timestamp::from_nanos),
        exit_code: row.get(6).doing(READ)?,
        signal: row.get(7).doing(READ)?,
        running: row.get(8).doing(READ)?,
        parent: parent.map(i64::cast_unsigned),
        more: more.cast_unsigned(),
        changes: changes.cast_unsigned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use change::{Change, ChangeQuery, Run, RunKind, RunQuery};

    use crate::store::Batch;
    use crate::store::example::{Example, create, edit, person, run, time, user};

    fn owned(run: u64, change: Change) -> Change {
        Change {
            run: Some(run),
            ..change
        }
    }

    /// Alice's shell as root, with an apt in it, and a job of Bob's beside it.
    fn example() -> (Example, [Run; 3]) {
        let alice = person(user(1000, "alice"), 41, &["sudo", "-i"]);
        let apt = person(user(1000, "alice"), 41, &["apt", "upgrade"]);
        let bob = person(user(1001, "bob"), 42, &["make", "install"]);
        let shell = run(1, RunKind::Command, &alice, 10, None);
        let upgrade = run(2, RunKind::PackageManager, &apt, 20, Some(1));
        let make = run(3, RunKind::Command, &bob, 30, None);
        let mut example = Example::new();
        example.commit(Batch {
            runs: vec![shell.clone(), upgrade.clone(), make.clone()],
            changes: vec![
                owned(1, create("/etc/a", "1", 11, Some(alice))),
                owned(2, create("/etc/b", "1", 21, Some(apt.clone()))),
                owned(3, create("/opt/c", "1", 31, Some(bob))),
                owned(2, edit("/etc/b", ["1", "2"], 32, Some(apt))),
                edit("/etc/b", ["2", "3"], 33, None),
            ],
            ..Batch::default()
        });
        (example, [shell, upgrade, make])
    }

    #[test]
    fn a_run_owns_what_those_within_it_changed() {
        let (example, _) = example();
        let owned = |run: u64| {
            let query = ChangeQuery {
                run: Some(run),
                ..ChangeQuery::default()
            };
            let found = example.reader().changes(&query).unwrap();
            found.iter().map(|change| change.seq).collect::<Vec<_>>()
        };
        assert_eq!(owned(1), [4, 2, 1]);
        assert_eq!(owned(2), [4, 2]);
        assert_eq!(owned(3), [3]);
        assert_eq!(owned(4), Vec::<u64>::new());
        assert_eq!(owned(u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn runs_are_found_by_what_is_asked() {
        let (example, _) = example();
        let found = |query: RunQuery| {
            let found = example.reader().runs(&query).unwrap();
            found.iter().map(|run| run.id).collect::<Vec<_>>()
        };
        let query = RunQuery::default;
        assert_eq!(found(query()), [3, 2, 1]);
        let [alice, uid, root] = ["alice", "1001", "root"].map(|user| RunQuery {
            user: Some(user.to_owned()),
            ..query()
        });
        assert_eq!(found(alice), [2, 1]);
        assert_eq!(found(uid), [3]);
        assert_eq!(found(root), Vec::<u64>::new());
        assert_eq!(
            found(RunQuery {
                session: Some(41),
                kind: Some(RunKind::PackageManager),
                ..query()
            }),
            [2]
        );
        assert_eq!(
            found(RunQuery {
                since: Some(time(20)),
                until: Some(time(30)),
                ..query()
            }),
            [2]
        );
        assert_eq!(
            found(RunQuery {
                before: Some(3),
                limit: Some(1),
                ..query()
            }),
            [2]
        );
    }

    #[test]
    fn what_is_new_of_a_run_replaces_what_was_and_keeps_the_count() {
        let (mut example, [shell, mut upgrade, make]) = example();
        let at_work: Vec<u64> = (example.reader().runs_at_work().unwrap().iter())
            .map(|run| run.id)
            .collect();
        assert_eq!(at_work, [1, 2, 3]);
        upgrade.end = Some(time(40));
        (upgrade.running, upgrade.exit_code) = (false, Some(100));
        upgrade.kind = RunKind::ConfigManagement;
        example.commit(Batch {
            runs: vec![upgrade.clone()],
            ..Batch::default()
        });
        upgrade.changes = 2;
        assert_eq!(example.reader().run(2).unwrap(), Some(upgrade));
        let at_work = example.reader().runs_at_work().unwrap();
        let ids: Vec<u64> = at_work.iter().map(|run| run.id).collect();
        assert_eq!(ids, [shell.id, make.id]);
        assert_eq!(Arc::clone(&at_work[1].actor), make.actor);
        assert_eq!(example.reader().newest_run().unwrap(), 3);
        assert_eq!(example.reader().run(9).unwrap(), None);
    }

    #[test]
    fn only_runs_that_changed_something_are_told_where_that_is_asked() {
        let (mut example, _) = example();
        let idle = person(user(1000, "alice"), 41, &["ls"]);
        example.commit(Batch {
            runs: vec![run(4, RunKind::Command, &idle, 50, None)],
            ..Batch::default()
        });
        let changed = RunQuery {
            changed: true,
            ..RunQuery::default()
        };
        assert_eq!(example.reader().runs(&changed).unwrap().len(), 3);
    }
}
