//! The table of sessions, as hosts tell of them. How many changes a session made is counted when it is asked for.

use change::wire::SessionBody;
use change::{Session, SessionKind, Timestamp, User};

use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, Row, ToValue as _, Value};
use crate::fleet::{HostKey, HostSet, SessionQuery};

const UPSERT: &str = r#"
    INSERT INTO sessions (host, id, start, "end", kind, tty, remote, uid, user_name)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (host, id, start) DO UPDATE SET
        "end" = coalesce(?4, sessions."end"), kind = ?5, tty = ?6, remote = ?7, uid = ?8, user_name = ?9"#;
const SELECT: &str =
    r#"SELECT host, id, start, "end", kind, tty, remote, uid, user_name FROM sessions"#;
const HAS_OLDER: &str = "SELECT 1 FROM sessions WHERE host = ?1 AND id = ?2 AND start < ?3";
const SELECT_NEXT: &str =
    "SELECT min(start) FROM sessions WHERE host = ?1 AND id = ?2 AND start > ?3";
const COUNT_CHANGES: &str = "
    SELECT count(*) FROM changes c JOIN actors a ON a.id = c.actor
    WHERE c.host = ?1 AND a.session = ?2 AND (?3 IS NULL OR c.time >= ?3) AND (?4 IS NULL OR c.time < ?4)";

const READ: &str = "read sessions";

/// Writes sessions, or what is new of them. An end that was told stays, also where an older batch comes again.
pub(super) fn write<'b>(
    connection: &Connection,
    told: impl Iterator<Item = (HostKey, &'b [SessionBody])>,
) -> sql::Result<()> {
    let bodies = told.flat_map(|(host, bodies)| bodies.iter().map(move |body| (host, body)));
    let rows = bodies.map(|(host, body)| {
        let SessionBody {
            session:
                Session {
                    id,
                    kind,
                    tty,
                    remote,
                },
            user,
            start,
            end,
            changes: _,
        } = body;
        [
            Value::Integer(Some(host.0.into())),
            id.to_value(),
            Value::Integer(Some(start.as_nanos())),
            Value::Integer(end.map(Timestamp::as_nanos)),
            Value::Text(Some(kind.as_str())),
            tty.to_value(),
            remote.to_value(),
            Value::Integer(user.as_ref().map(|user| user.uid.into())),
            Value::Text(user.as_ref().and_then(|user| user.name.as_deref())),
        ]
    });
    connection.execute_each(UPSERT, &rows.collect::<Vec<_>>())
}

/// The sessions that a query asks for, newest first.
pub(super) fn find(
    connection: &Connection,
    hosts: Option<&HostSet>,
    query: &SessionQuery,
) -> Result<Vec<(HostKey, SessionBody)>, Error> {
    let SessionQuery {
        since,
        until,
        id,
        user,
        limit,
    } = query;
    let mut condition = vec!["TRUE"];
    let mut params: Vec<Value<'_>> = Vec::new();
    let mut and = |text, value: Option<i64>| {
        if value.is_some() {
            condition.push(text);
            params.push(Value::Integer(value));
        }
    };
    let nanos = |time: &Option<Timestamp>| time.map(Timestamp::as_nanos);
    // One that goes on, or whose end nobody saw, may reach into any time after it began.
    and(r#"("end" IS NULL OR "end" >= ?)"#, nanos(since));
    and("start < ?", nanos(until));
    and("id = ?", id.map(i64::from));
    if let Some(user) = user {
        let uid = user.parse::<u32>().map_or(-1, i64::from);
        condition.push("(user_name = ? OR uid = ?)");
        params.extend([user.to_value(), Value::Integer(Some(uid))]);
    }
    let sql = format!(
        "{SELECT} WHERE {} ORDER BY start DESC, host, id DESC",
        condition.join(" AND ")
    );
    let mut found = Vec::new();
    if *limit == 0 {
        return Ok(found);
    }
    connection.each((&sql, params.as_slice()), READ, &mut |row| {
        let host = HostKey(row.get(0).doing(READ)?);
        if hosts.is_none_or(|hosts| hosts.contains(host)) {
            found.push((host, session_in(row)?));
        }
        Ok(found.len() < *limit)
    })?;
    for (host, body) in &mut found {
        body.changes = count_changes(connection, *host, body)?;
    }
    Ok(found)
}

/// The times between which a session's number means this session and not another one, as after a boot: open where
/// there is no other one on that side.
pub(super) fn bounds(
    connection: &Connection,
    HostKey(host): HostKey,
    (id, start): (u32, Timestamp),
) -> Result<[Option<Timestamp>; 2], Error> {
    let key = (host, id, start.as_nanos());
    let is_first = !connection.exists(HAS_OLDER, key).doing(READ)?;
    let next = connection.one(SELECT_NEXT, key, |row| row.get::<Option<i64>>(0));
    let next = next.doing(READ)?;
    Ok([
        (!is_first).then_some(start),
        next.map(Timestamp::from_nanos),
    ])
}

fn count_changes(connection: &Connection, host: HostKey, body: &SessionBody) -> Result<u64, Error> {
    let id = body.session.id;
    let bounds = bounds(connection, host, (id, body.start))?;
    let [from, to] = bounds.map(|bound| bound.map(Timestamp::as_nanos));
    let row = (host.0, id, from, to);
    let count: i64 = connection
        .one(COUNT_CHANGES, row, |row| row.get(0))
        .doing(READ)?;
    Ok(count.cast_unsigned())
}

fn session_in(row: &Row<'_>) -> Result<SessionBody, Error> {
    let word: String = row.get(4).doing(READ)?;
    let kind = SessionKind::from_word(&word).ok_or_else(|| Error::Row {
        table: "sessions",
        what: format!("`{word}` is no session kind"),
    })?;
    let uid: Option<u32> = row.get(7).doing(READ)?;
    let name = row.get(8).doing(READ)?;
    let end: Option<i64> = row.get(3).doing(READ)?;
    Ok(SessionBody {
        session: Session {
            id: row.get(1).doing(READ)?,
            kind,
            tty: row.get(5).doing(READ)?,
            remote: row.get(6).doing(READ)?,
        },
        user: uid.map(|uid| User { uid, name }),
        start: Timestamp::from_nanos(row.get(2).doing(READ)?),
        end: end.map(Timestamp::from_nanos),
        changes: 0,
    })
}
