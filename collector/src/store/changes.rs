//! The table of changes: every host's log.

use std::sync::Arc;

use change::{Certainty, Change, Note, Op, RenamedFrom, Text, Timestamp};
use rusqlite::{Connection, Params, Row};
use serde::{Deserialize, Serialize};

use super::Error;
use super::error::Doing as _;
use super::facts::Referred;
use super::names::{self, read_json};
use crate::fleet::{Glimpse, HostKey, SubjectKey, ValueKey};

const SELECT: &str = "
    SELECT c.host, h.machine, c.hostname, c.seq, c.time, s.kind, s.key, c.op, b.json, f.json, c.run, a.json, c.rest
    FROM changes c
    JOIN hosts h ON h.id = c.host
    JOIN subjects s ON s.id = c.subject
    LEFT JOIN fact_values b ON b.id = c.before
    LEFT JOIN fact_values f ON f.id = c.after
    LEFT JOIN actors a ON a.id = c.actor";
const SELECT_BETWEEN: &str =
    "SELECT host, seq, time, subject, after FROM changes WHERE time >= ?1 AND time < ?2";

const INSERT: &str = "
    INSERT INTO changes (host, seq, time, subject, op, before, after, run, actor, hostname, rest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const SELECT_HISTORY: &str =
    "SELECT host, seq, time, subject, after FROM changes WHERE subject = ?1 ORDER BY time";

const READ: &str = "read changes";

/// What few changes have, as the column `rest` holds it.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Rest {
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    from: Option<RenamedFrom>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    between: Option<[Timestamp; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operations: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
}

/// Names a place in the fleet's log, as it is read newest first: where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// When the change there happened.
    pub time: Timestamp,
    /// On which host.
    pub host: HostKey,
    /// Its number there.
    pub seq: u64,
}

/// What a change refers to besides its facts.
pub(super) struct Whose {
    pub(super) host: HostKey,
    pub(super) actor: Option<i64>,
}

/// Writes a change.
pub(super) fn write(
    connection: &Connection,
    change: &Change,
    whose: &Whose,
    referred: &Referred,
) -> rusqlite::Result<()> {
    let Change {
        host: _,
        hostname,
        seq,
        time,
        subject: _,
        op,
        from,
        before: _,
        after: _,
        certainty,
        between,
        run,
        operations,
        notes,
        package,
        actor: _,
    } = change;
    let rest = Rest {
        from: from.clone(),
        late: *certainty == Certainty::Late,
        between: *between,
        operations: Some(*operations).filter(|count| *count != 1),
        notes: notes.clone(),
        package: package.clone(),
    };
    let rest = (rest != Rest::default())
        .then(|| serde_json::to_string(&rest).expect("the rest of a change has a JSON form"));
    let mut insert = connection.prepare_cached(INSERT)?;
    let row = (
        whose.host.0,
        seq.cast_signed(),
        time.as_nanos(),
        referred.subject.0,
        op.as_str(),
        referred.before.map(|value| value.0),
        referred.after.map(|value| value.0),
        run.map(u64::cast_signed),
        whose.actor,
        hostname,
        rest,
    );
    insert.execute(row).map(|_rows| ())
}

/// A change by its number on its host.
pub(super) fn read(
    connection: &Connection,
    HostKey(host): HostKey,
    seq: u64,
) -> Result<Option<Change>, Error> {
    let condition = "c.host = ?1 AND c.seq = ?2";
    one(connection, condition, (host, seq.cast_signed()))
}

/// The newest change of a subject on a host.
pub(super) fn newest(
    connection: &Connection,
    HostKey(host): HostKey,
    SubjectKey(subject): SubjectKey,
) -> Result<Option<Change>, Error> {
    let condition = "c.host = ?1 AND c.subject = ?2 ORDER BY c.time DESC LIMIT 1";
    one(connection, condition, (host, subject))
}

fn one(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Change>, Error> {
    let mut found = None;
    let mut take = |_, change| {
        found = Some(change);
        false
    };
    each(connection, condition, params, &mut take)?;
    Ok(found)
}

/// All changes of a subject, oldest first.
pub(super) fn history(
    connection: &Connection,
    SubjectKey(subject): SubjectKey,
) -> Result<Vec<Glimpse>, Error> {
    let mut select = connection.prepare_cached(SELECT_HISTORY).doing(READ)?;
    let rows = select.query_map([subject], glimpse).doing(READ)?;
    rows.collect::<Result<_, _>>().doing(READ)
}

/// What a rename took its name from, by the column `rest`.
pub(super) fn renamed_from_in(rest: &str) -> Result<Option<Text>, Error> {
    if !rest.contains("\"from\"") {
        return Ok(None);
    }
    let Rest { from, .. } = read_json(rest, "changes")?;
    Ok(from.map(|from| from.0))
}

/// The package that a file belonged to, by the column `rest`.
pub(super) fn package_in(rest: &str) -> Result<Option<String>, Error> {
    if !rest.contains("\"package\"") {
        return Ok(None);
    }
    let Rest { package, .. } = read_json(rest, "changes")?;
    Ok(package)
}

/// Passes on all changes from the one moment up to the other, which does not count.
pub(super) fn each_between(
    connection: &Connection,
    [since, until]: [Timestamp; 2],
    pass_on: &mut dyn FnMut(Glimpse),
) -> Result<(), Error> {
    let mut select = connection.prepare_cached(SELECT_BETWEEN).doing(READ)?;
    let interval = (since.as_nanos(), until.as_nanos());
    let mut rows = select.query(interval).doing(READ)?;
    while let Some(row) = rows.next().doing(READ)? {
        pass_on(glimpse(row).doing(READ)?);
    }
    Ok(())
}

fn glimpse(row: &Row<'_>) -> rusqlite::Result<Glimpse> {
    Ok(Glimpse {
        host: HostKey(row.get(0)?),
        seq: row.get::<_, i64>(1)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(2)?),
        subject: SubjectKey(row.get(3)?),
        after: row.get::<_, Option<i64>>(4)?.map(ValueKey),
    })
}

/// Passes on changes until it is told that it is enough.
fn each(
    connection: &Connection,
    condition: &str,
    params: impl Params,
    pass_on: &mut dyn FnMut(HostKey, Change) -> bool,
) -> Result<(), Error> {
    let sql = format!("{SELECT} WHERE {condition}");
    let mut select = connection.prepare_cached(&sql).doing(READ)?;
    let mut rows = select.query(params).doing(READ)?;
    while let Some(row) = rows.next().doing(READ)? {
        let read = ChangeRow::read(row).doing(READ)?;
        if !pass_on(read.host, read.into_change()?) {
            break;
        }
    }
    Ok(())
}

/// A row of [`SELECT`].
struct ChangeRow {
    host: HostKey,
    machine: String,
    hostname: String,
    seq: i64,
    time: i64,
    kind: String,
    key: Vec<u8>,
    op: String,
    before: Option<String>,
    after: Option<String>,
    run: Option<i64>,
    actor: Option<String>,
    rest: Option<String>,
}

impl ChangeRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            host: HostKey(row.get(0)?),
            machine: row.get(1)?,
            hostname: row.get(2)?,
            seq: row.get(3)?,
            time: row.get(4)?,
            kind: row.get(5)?,
            key: row.get(6)?,
            op: row.get(7)?,
            before: row.get(8)?,
            after: row.get(9)?,
            run: row.get(10)?,
            actor: row.get(11)?,
            rest: row.get(12)?,
        })
    }

    fn into_change(self) -> Result<Change, Error> {
        let Self {
            host: _,
            machine,
            hostname,
            seq,
            time,
            kind,
            key,
            op,
            before,
            after,
            run,
            actor,
            rest,
        } = self;
        let value = |json: Option<String>| json.map(|json| read_json(&json, "fact_values"));
        let rest = rest.map(|json| read_json(&json, "changes"));
        let Rest {
            from,
            late,
            between,
            operations,
            notes,
            package,
        } = rest.transpose()?.unwrap_or_default();
        let no_op = || Error::Row {
            table: "changes",
            what: format!("`{op}` is no op"),
        };
        let actor = actor.map(|json| read_json(&json, "actors")).transpose()?;
        Ok(Change {
            host: machine,
            hostname,
            seq: seq.cast_unsigned(),
            time: Timestamp::from_nanos(time),
            subject: names::subject(&kind, key)?,
            op: Op::from_word(&op).ok_or_else(no_op)?,
            from,
            before: value(before).transpose()?,
            after: value(after).transpose()?,
            certainty: if late {
                Certainty::Late
            } else {
                Certainty::Exact
            },
            between,
            run: run.map(i64::cast_unsigned),
            operations: operations.unwrap_or(1),
            notes,
            package,
            actor: actor.map(Arc::new),
        })
    }
}
