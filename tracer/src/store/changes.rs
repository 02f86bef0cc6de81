//! The table of changes: its row, and reading it back with all that it refers to.

use std::collections::HashMap;
use std::sync::Arc;

use change::{Actor, Certainty, Change, Note, Op, RenamedFrom, Text, Timestamp};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params_from_iter};

use super::error::Doing as _;
use super::{Error, actors, states, subjects};

const INSERT: &str = "
    INSERT INTO changes (seq, time, lag, host, subject, op, from_subject, before, after, late,
        between_from, between_to, run, operations, notes, actor, chain, package)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
const SELECT: &str = "
    SELECT c.seq, c.time, c.op, c.before, c.after, c.late, c.between_from, c.between_to, c.run,
        c.operations, c.notes, c.actor, c.chain, h.machine, h.name, s.kind, s.key, f.key,
        c.package
    FROM changes c
    JOIN hosts h ON h.id = c.host
    JOIN subjects s ON s.id = c.subject
    LEFT JOIN subjects f ON f.id = c.from_subject
    WHERE ";
const SELECT_LAST: &str = "SELECT seq, time + lag, chain FROM changes ORDER BY seq DESC LIMIT 1";
const SELECT_REACHED: &str = "
    SELECT time + lag FROM changes WHERE seq >= ?1 ORDER BY seq LIMIT 1";

const SELECT_CHAIN: &str = "SELECT chain FROM changes WHERE seq = ?1";

const READ: &str = "read changes";

/// How many actors are remembered while changes are read.
const ACTORS: usize = 1024;

/// What a change's row has that is not in the change: ids of what it refers to, and the chain.
pub(super) struct ChangeRow {
    pub(super) lag: i64,
    pub(super) host: i64,
    pub(super) subject: i64,
    pub(super) from_subject: Option<i64>,
    pub(super) before: Option<i64>,
    pub(super) after: Option<i64>,
    pub(super) actor: Option<i64>,
    pub(super) chain: [u8; 32],
}

/// The statement that writes changes.
pub(super) struct ChangeWriter<'c>(CachedStatement<'c>);

impl<'c> ChangeWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached(INSERT).map(Self)
    }

    /// Writes a change under its number.
    pub(super) fn write(&mut self, change: &Change, row: &ChangeRow) -> rusqlite::Result<()> {
        let ChangeRow {
            lag,
            host,
            subject,
            from_subject,
            before,
            after,
            actor,
            chain,
        } = row;
        let between = change.between.map(|times| times.map(Timestamp::as_nanos));
        let insert = &mut self.0;
        insert.raw_bind_parameter(1, change.seq.cast_signed())?;
        insert.raw_bind_parameter(2, change.time.as_nanos())?;
        insert.raw_bind_parameter(3, lag)?;
        insert.raw_bind_parameter(4, host)?;
        insert.raw_bind_parameter(5, subject)?;
        insert.raw_bind_parameter(6, change.op.as_str())?;
        insert.raw_bind_parameter(7, from_subject)?;
        insert.raw_bind_parameter(8, before)?;
        insert.raw_bind_parameter(9, after)?;
        insert.raw_bind_parameter(10, change.certainty == Certainty::Late)?;
        insert.raw_bind_parameter(11, between.map(|[from, _]| from))?;
        insert.raw_bind_parameter(12, between.map(|[_, to]| to))?;
        insert.raw_bind_parameter(13, change.run.map(u64::cast_signed))?;
        insert.raw_bind_parameter(14, change.operations.cast_signed())?;
        insert.raw_bind_parameter(15, notes_text(&change.notes))?;
        insert.raw_bind_parameter(16, actor)?;
        insert.raw_bind_parameter(17, chain.as_slice())?;
        insert.raw_bind_parameter(18, change.package.as_deref())?;
        insert.raw_execute().map(|_rows| ())
    }
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the newest change; 0 where there is none.
    pub(super) seq: u64,
    /// The newest time of any change.
    pub(super) newest: i64,
    /// The chain's value there.
    pub(super) chain: [u8; 32],
}

/// Reads where the log ends.
pub(super) fn last(connection: &Connection) -> Result<Option<Head>, Error> {
    let mut select = connection.prepare_cached(SELECT_LAST).doing(READ)?;
    let head = select.query_row([], |row| {
        Ok(Head {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            newest: row.get(1)?,
            chain: row.get(2)?,
        })
    });
    head.optional().doing(READ)
}

/// The value of the chain after a change.
pub(super) fn chain_at(connection: &Connection, seq: u64) -> Result<Option<[u8; 32]>, Error> {
    let mut select = connection.prepare_cached(SELECT_CHAIN).doing(READ)?;
    let chain = select.query_row([seq.cast_signed()], |row| row.get(0));
    chain.optional().doing(READ)
}

/// The number of the first change at which the log has reached a time: every one before it is older.
pub(super) fn first_reaching(connection: &Connection, time: Timestamp) -> Result<u64, Error> {
    let mut select = connection.prepare_cached(SELECT_REACHED).doing(READ)?;
    let (mut low, mut high) = (1, last(connection)?.map_or(1, |head| head.seq + 1));
    while low < high {
        let middle = low + (high - low) / 2;
        let reached = select
            .query_row([middle.cast_signed()], |row| row.get::<_, i64>(0))
            .optional()
            .doing(READ)?;
        if reached.is_none_or(|reached| reached >= time.as_nanos()) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// A condition on changes with its values; what is selected are `c` (the change), `s` (its subject)
/// and `f` (the subject it was renamed from).
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    sql: String,
    values: Vec<Value>,
}

impl Condition {
    /// Demands one thing more. Each `?` of the SQL stands for one value.
    pub(super) fn and<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
    }
}

/// Says whether to go on reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    More,
    Enough,
}

/// In which order to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Looks at the names of a change before the rest of it is read: its path, and the one before a
/// rename.
pub(super) type NameFilter<'f> = dyn Fn(&[u8], Option<&[u8]>) -> bool + 'f;

/// Passes on the changes that meet a condition, with their values of the chain.
pub(super) fn each(
    connection: &Connection,
    (condition, order): (&Condition, Order),
    is_wanted: &NameFilter<'_>,
    pass_on: &mut dyn FnMut(Change, [u8; 32]) -> Next,
) -> Result<(), Error> {
    let order = match order {
        Order::NewestFirst => " ORDER BY c.seq DESC",
        Order::OldestFirst => " ORDER BY c.seq",
    };
    let condition_sql = if condition.sql.is_empty() {
        "TRUE"
    } else {
        &condition.sql
    };
    let sql = [SELECT, condition_sql, order].concat();
    let mut select = connection.prepare_cached(&sql).doing(READ)?;
    let mut rows = select
        .query(params_from_iter(&condition.values))
        .doing(READ)?;
    let mut actors = HashMap::new();
    while let Some(row) = rows.next().doing(READ)? {
        if !names_wanted(row, is_wanted).doing(READ)? {
            continue;
        }
        let (change, chain) = change_in(connection, row, &mut actors)?;
        if pass_on(change, chain) == Next::Enough {
            break;
        }
    }
    Ok(())
}

fn names_wanted(row: &Row<'_>, is_wanted: &NameFilter<'_>) -> rusqlite::Result<bool> {
    let key = row.get_ref(16)?.as_blob()?;
    let from = row.get_ref(17)?.as_blob_or_null()?;
    Ok(is_wanted(key, from))
}

fn change_in(
    connection: &Connection,
    row: &Row<'_>,
    actors: &mut HashMap<i64, Arc<Actor>>,
) -> Result<(Change, [u8; 32]), Error> {
    let seq: i64 = row.get(0).doing(READ)?;
    let wrong = |what| Error::Row {
        table: "changes",
        row: seq,
        what,
    };
    let column = |error: rusqlite::Error| wrong(error.to_string());
    let op: String = row.get(2).map_err(column)?;
    let kind: String = row.get(15).map_err(column)?;
    let late: bool = row.get(5).map_err(column)?;
    let notes: Option<String> = row.get(10).map_err(column)?;
    let from: Option<Vec<u8>> = row.get(17).map_err(column)?;
    let between: (Option<i64>, Option<i64>) =
        (row.get(6).map_err(column)?, row.get(7).map_err(column)?);
    let state = |index| -> Result<_, Error> {
        let id: Option<i64> = row.get(index).map_err(column)?;
        id.map(|id| states::read(connection, id)).transpose()
    };
    let actor_id: Option<i64> = row.get(11).map_err(column)?;
    let actor = actor_id
        .map(|id| remembered_actor(connection, actors, id))
        .transpose()?;
    let change = Change {
        host: row.get(13).map_err(column)?,
        hostname: row.get(14).map_err(column)?,
        seq: seq.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(1).map_err(column)?),
        subject: subjects::from_columns(&kind, row.get(16).map_err(column)?).map_err(wrong)?,
        op: Op::from_word(&op).ok_or_else(|| wrong(format!("`{op}` is no op")))?,
        from: from.map(|key| RenamedFrom(Text::from(key))),
        before: state(3)?,
        after: state(4)?,
        certainty: if late {
            Certainty::Late
        } else {
            Certainty::Exact
        },
        between: match between {
            (Some(from), Some(to)) => Some([from, to].map(Timestamp::from_nanos)),
            _ => None,
        },
        run: row
            .get::<_, Option<i64>>(8)
            .map_err(column)?
            .map(i64::cast_unsigned),
        operations: row.get::<_, i64>(9).map_err(column)?.cast_unsigned(),
        notes: parse_notes(notes.as_deref()).map_err(wrong)?,
        package: row.get(18).map_err(column)?,
        actor,
    };
    Ok((change, row.get(12).map_err(column)?))
}

fn remembered_actor(
    connection: &Connection,
    actors: &mut HashMap<i64, Arc<Actor>>,
    id: i64,
) -> Result<Arc<Actor>, Error> {
    if let Some(actor) = actors.get(&id) {
        return Ok(Arc::clone(actor));
    }
    let actor = Arc::new(actors::read(connection, id)?);
    if actors.len() >= ACTORS {
        actors.clear();
    }
    actors.insert(id, Arc::clone(&actor));
    Ok(actor)
}

fn notes_text(notes: &[Note]) -> Option<String> {
    let words = notes.iter().map(|note| note.as_str());
    (!notes.is_empty()).then(|| words.collect::<Vec<_>>().join(" "))
}

pub(super) fn parse_notes(words: Option<&str>) -> Result<Vec<Note>, String> {
    let words = words.unwrap_or_default().split_ascii_whitespace();
    words
        .map(|word| Note::from_word(word).ok_or_else(|| format!("`{word}` is no note")))
        .collect()
}

#[cfg(test)]
mod tests {
    use change::{Certainty, ChangeQuery, Container, Note, Text};

    use crate::store::Batch;
    use crate::store::example::{Example, alice, create, edit, rename, service};

    #[test]
    fn a_change_reads_back_as_it_was_committed() {
        let mut example = Example::new();
        let mut in_container = service("worker");
        in_container.container = Some(Container {
            id: "f00".to_owned(),
            runtime: "docker".to_owned(),
        });
        in_container.process.argv_truncated = true;
        let mut odd = edit("/etc/x", ["a", "b"], 2, Some(in_container));
        odd.subject.key = Text::from(b"/etc/\xff\n".as_slice());
        odd.run = Some(u64::MAX);
        odd.operations = 500;
        odd.package = Some("libc6:i386".to_owned());
        odd.notes = Note::ALL.map(|(note, _)| note).to_vec();
        let mut changes = vec![edit("/etc/a", ["a", "b"], 1, Some(alice(41))), odd];
        changes.push(edit("/etc/a", ["b", "c"], 3, None));
        changes.push(rename(["/etc/a", "/etc/z"], "c", 4));
        let stored = example.commit(Batch {
            changes: changes.clone(),
            ..Batch::default()
        });
        for (seq, change) in (1..).zip(&mut changes) {
            change.seq = seq;
        }
        assert_eq!(stored, changes);
        assert_eq!(stored[2].certainty, Certainty::Late);
        let mut read = Vec::new();
        let reader = example.reader();
        reader
            .changes_after(0, &mut |change| {
                read.push(change);
                true
            })
            .unwrap();
        assert_eq!(read, changes);
        assert_eq!(reader.change(2).unwrap().as_ref(), Some(&changes[1]));
        assert_eq!(reader.last_seq().unwrap(), 4);
    }

    #[test]
    fn a_change_of_a_kind_that_only_a_newer_tracer_knows_is_shown() {
        let mut example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        let newer = "UPDATE subjects SET kind = 'soul'";
        example.connection().execute_batch(newer).unwrap();
        let changes = example.reader().changes(&ChangeQuery::default()).unwrap();
        assert_eq!(changes[0].subject.to_string(), "soul:/etc/a");
    }

    #[test]
    fn a_word_of_no_version_is_an_error_that_names_the_change() {
        let mut example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        for (tampering, row) in [
            ("UPDATE changes SET op = 'teleport'", "row 1 of `changes`"),
            ("UPDATE subjects SET kind = 'a soul'", "row 1 of `changes`"),
            ("UPDATE actors SET argv = '{'", "row 1 of `actors`"),
        ] {
            let connection = example.connection();
            connection
                .execute_batch(&format!("SAVEPOINT before; {tampering}"))
                .unwrap();
            connection.execute_batch("RELEASE before").unwrap();
            let said = example
                .reader()
                .changes(&ChangeQuery::default())
                .unwrap_err();
            assert!(said.to_string().contains(row), "{said}");
            example = Example::new();
            example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        }
    }
}
