//! The table of changes: every host's log.

use std::sync::Arc;

use change::{Certainty, Change, Note, Op, RenamedFrom, Text, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;
use super::error::Doing as _;
use super::facts::Referred;
use super::names::{self, read_json};
use super::sql::{self, Connection, Insert, Params, Row, ToValue as _, Value};
use crate::fleet::{Glimpse, HostKey, SubjectKey, ValueKey};

const SELECT: &str = "
    SELECT h.machine, c.hostname, c.seq, c.time, s.kind, s.key, c.op, b.json, f.json, c.run, a.json, c.rest
    FROM changes c
    JOIN hosts h ON h.id = c.host
    JOIN subjects s ON s.id = c.subject
    LEFT JOIN fact_values b ON b.id = c.before
    LEFT JOIN fact_values f ON f.id = c.after
    LEFT JOIN actors a ON a.id = c.actor";
const SELECT_BETWEEN: &str =
    "SELECT host, seq, time, subject, after FROM changes WHERE time >= ?1 AND time < ?2";

const INSERT: Insert<11> = Insert {
    table: "changes",
    columns: [
        "host", "seq", "time", "subject", "op", "before", "after", "run", "actor", "hostname",
        "rest",
    ],
    on_conflict: "",
};

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

/// A change of a host that is to be written.
pub(super) struct NewChange<'b> {
    pub(super) host: HostKey,
    pub(super) change: &'b Change,
    pub(super) referred: Referred,
    pub(super) actor: Option<i64>,
    rest: Option<String>,
}

impl<'b> NewChange<'b> {
    /// A change with what it refers to.
    pub(super) fn new(
        host: HostKey,
        change: &'b Change,
        referred: Referred,
        actor: Option<i64>,
    ) -> Self {
        Self {
            host,
            change,
            referred,
            actor,
            rest: rest_of(change),
        }
    }

    fn row(&self) -> [Value<'_>; 11] {
        let Change {
            host: _,
            hostname,
            seq,
            time,
            subject: _,
            op,
            from: _,
            before: _,
            after: _,
            certainty: _,
            between: _,
            run,
            operations: _,
            notes: _,
            package: _,
            actor: _,
        } = self.change;
        let Referred {
            subject,
            before,
            after,
        } = self.referred;
        [
            Value::Integer(Some(self.host.0.into())),
            Value::Integer(Some(seq.cast_signed())),
            Value::Integer(Some(time.as_nanos())),
            Value::Integer(Some(subject.0)),
            Value::Text(Some(op.as_str())),
            Value::Integer(before.map(|value| value.0)),
            Value::Integer(after.map(|value| value.0)),
            Value::Integer(run.map(u64::cast_signed)),
            Value::Integer(self.actor),
            hostname.to_value(),
            Value::Text(self.rest.as_deref()),
        ]
    }
}

fn rest_of(change: &Change) -> Option<String> {
    let Change {
        from,
        certainty,
        between,
        operations,
        notes,
        package,
        ..
    } = change;
    let rest = Rest {
        from: from.clone(),
        late: *certainty == Certainty::Late,
        between: *between,
        operations: Some(*operations).filter(|count| *count != 1),
        notes: notes.clone(),
        package: package.clone(),
    };
    (rest != Rest::default())
        .then(|| serde_json::to_string(&rest).expect("the rest of a change has a JSON form"))
}

/// Writes changes.
pub(super) fn write(connection: &Connection, changes: &[NewChange<'_>]) -> sql::Result<()> {
    connection.insert_all(&INSERT, changes.iter().map(NewChange::row))
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
    let sql = format!("{SELECT} WHERE {condition}");
    let row = connection.optional(&sql, params, ChangeRow::read);
    row.doing(READ)?.map(ChangeRow::into_change).transpose()
}

/// All changes of a subject, oldest first.
pub(super) fn history(
    connection: &Connection,
    SubjectKey(subject): SubjectKey,
) -> Result<Vec<Glimpse>, Error> {
    connection
        .rows(SELECT_HISTORY, [subject], glimpse)
        .doing(READ)
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
    let interval = (since.as_nanos(), until.as_nanos());
    connection.each((SELECT_BETWEEN, interval), READ, &mut |row| {
        pass_on(glimpse(row).doing(READ)?);
        Ok(true)
    })
}

fn glimpse(row: &Row<'_>) -> sql::Result<Glimpse> {
    Ok(Glimpse {
        host: HostKey(row.get(0)?),
        seq: row.get::<i64>(1)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(2)?),
        subject: SubjectKey(row.get(3)?),
        after: row.get::<Option<i64>>(4)?.map(ValueKey),
    })
}

/// A row of [`SELECT`].
struct ChangeRow {
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
    fn read(row: &Row<'_>) -> sql::Result<Self> {
        Ok(Self {
            machine: row.get(0)?,
            hostname: row.get(1)?,
            seq: row.get(2)?,
            time: row.get(3)?,
            kind: row.get(4)?,
            key: row.get(5)?,
            op: row.get(6)?,
            before: row.get(7)?,
            after: row.get(8)?,
            run: row.get(9)?,
            actor: row.get(10)?,
            rest: row.get(11)?,
        })
    }

    fn into_change(self) -> Result<Change, Error> {
        let Self {
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
