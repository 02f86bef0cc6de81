//! The table of runs, as hosts tell of them.

use change::{Run, RunQuery, Timestamp};

use super::Error;
use super::error::Doing as _;
use super::names::read_json;
use super::sql::{self, Connection, ToValue as _, Value};
use crate::fleet::{HostKey, HostSet};

const UPSERT: &str = "
    INSERT INTO runs (host, id, json, start, parent) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (host, id) DO UPDATE SET json = ?3, start = ?4, parent = ?5";
const SELECT: &str = "SELECT json FROM runs WHERE host = ?1 AND id = ?2";
const SELECT_WITHIN: &str = "SELECT id FROM runs WHERE host = ?1 AND parent = ?2 ORDER BY id";
// A run is within one of a lower number.
const SELECT_ALL_WITHIN: &str = "
    WITH RECURSIVE within (id) AS (
        SELECT ?2
        UNION
        SELECT r.id FROM within w JOIN runs r
            ON r.host = ?1 AND r.id > w.id AND r.parent = w.id
    ) SELECT id FROM within";

const READ: &str = "read runs";

/// Writes runs, or what is new of them.
pub(super) fn write<'b>(
    connection: &Connection,
    told: impl Iterator<Item = (HostKey, &'b [Run])>,
) -> sql::Result<()> {
    let runs = told.flat_map(|(host, runs)| runs.iter().map(move |run| (host, run)));
    let with_json = runs.map(|(host, run)| {
        let json = serde_json::to_string(run).expect("a run has a JSON form");
        (host, run, json)
    });
    let with_json: Vec<_> = with_json.collect();
    let rows = with_json.iter().map(|(host, run, json)| {
        [
            host.0.to_value(),
            Value::Integer(Some(run.id.cast_signed())),
            json.to_value(),
            Value::Integer(Some(run.start.as_nanos())),
            Value::Integer(run.parent.map(u64::cast_signed)),
        ]
    });
    connection.execute_each(UPSERT, &rows.collect::<Vec<_>>())
}

/// A run by its number on its host.
pub(super) fn read(
    connection: &Connection,
    HostKey(host): HostKey,
    id: u64,
) -> Result<Option<Run>, Error> {
    let row = (host, id.cast_signed());
    let json = connection.optional(SELECT, row, |row| row.get::<String>(0));
    json.doing(READ)?
        .map(|json| read_json(&json, "runs"))
        .transpose()
}

/// The runs that began right within a run, oldest first.
pub(super) fn within(connection: &Connection, host: HostKey, id: u64) -> Result<Vec<u64>, Error> {
    numbers(connection, SELECT_WITHIN, (host, id))
}

/// A run and all that began within it, and within those.
pub(super) fn with_all_within(
    connection: &Connection,
    host: HostKey,
    id: u64,
) -> Result<Vec<u64>, Error> {
    numbers(connection, SELECT_ALL_WITHIN, (host, id))
}

fn numbers(
    connection: &Connection,
    select: &str,
    (HostKey(host), id): (HostKey, u64),
) -> Result<Vec<u64>, Error> {
    let row = (host, id.cast_signed());
    let ids = connection.rows(select, row, |row| Ok(row.get::<i64>(0)?.cast_unsigned()));
    ids.doing(READ)
}

/// The runs that a query asks for, newest first.
pub(super) fn find(
    connection: &Connection,
    hosts: Option<&HostSet>,
    query: &RunQuery,
) -> Result<Vec<(HostKey, Run)>, Error> {
    let RunQuery {
        since,
        until,
        before,
        limit,
        ..
    } = query;
    let mut condition = vec!["TRUE"];
    let mut params: Vec<Value<'_>> = Vec::new();
    let mut and = |text, value: Option<i64>| {
        if value.is_some() {
            condition.push(text);
            params.push(Value::Integer(value));
        }
    };
    and("start >= ?", since.map(Timestamp::as_nanos));
    and("start < ?", until.map(Timestamp::as_nanos));
    and("id < ?", before.map(u64::cast_signed));
    let one = hosts
        .filter(|hosts| hosts.len() == 1)
        .and_then(|hosts| hosts.iter().next());
    and("host = ?", one.map(|HostKey(host)| i64::from(host)));
    // Of one host all are few: no other index than by its number.
    let order = if one.is_some() { "+start" } else { "start" };
    let condition = condition.join(" AND ");
    let sql = format!(
        "SELECT host, json FROM runs WHERE {condition} ORDER BY {order} DESC, host, id DESC"
    );
    let most = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut found = Vec::new();
    if most == 0 {
        return Ok(found);
    }
    connection.each((&sql, params.as_slice()), READ, &mut |row| {
        let host = HostKey(row.get(0).doing(READ)?);
        if hosts.is_some_and(|hosts| !hosts.contains(host)) {
            return Ok(true);
        }
        let run: Run = read_json(&row.get::<String>(1).doing(READ)?, "runs")?;
        if is_asked_for(&run, query) {
            found.push((host, run));
        }
        Ok(found.len() < most)
    })?;
    Ok(found)
}

fn is_asked_for(run: &Run, query: &RunQuery) -> bool {
    let RunQuery {
        kind,
        session,
        user,
        changed,
        ..
    } = query;
    let person = run.actor.person();
    let is_user =
        |user: &String| person.name.as_ref() == Some(user) || user.parse() == Ok(person.uid);
    let own_session = run.actor.session.as_ref().map(|session| session.id);
    kind.is_none_or(|kind| kind == run.kind)
        && session.is_none_or(|session| own_session == Some(session))
        && user.as_ref().is_none_or(is_user)
        && (!changed || run.changes > 0)
}
