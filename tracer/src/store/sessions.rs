//! The table of sessions. How many changes a session made is counted when it is asked for.

use change::wire::SessionBody;
use change::{Session, SessionKind, Timestamp, User};
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::Error;
use super::error::Doing as _;

const UPSERT: &str = r#"
    INSERT INTO sessions (id, start, "end", kind, tty, remote, uid, user_name)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (id, start) DO UPDATE SET
        "end" = ?3, kind = ?4, tty = ?5, remote = ?6, uid = ?7, user_name = ?8"#;
const SELECT_NEWEST: &str = r#"
    SELECT id, start, "end", kind, tty, remote, uid, user_name
    FROM sessions ORDER BY start DESC, id DESC LIMIT ?1"#;
const SELECT_BY_ID: &str = r#"
    SELECT id, start, "end", kind, tty, remote, uid, user_name
    FROM sessions WHERE id = ?1 ORDER BY start DESC LIMIT 1"#;
const SELECT_OLDER: &str = "SELECT 1 FROM sessions WHERE id = ?1 AND start < ?2";
const SELECT_NEXT_START: &str = "SELECT min(start) FROM sessions WHERE id = ?1 AND start > ?2";
const COUNT_CHANGES: &str = "
    SELECT count(*) FROM changes
    WHERE actor IN (
        SELECT a.id FROM origins o JOIN actors a ON a.origin = o.id WHERE o.session = ?1
    ) AND (?2 IS NULL OR time >= ?2) AND (?3 IS NULL OR time < ?3)";

const READ: &str = "read sessions";

/// Writes a session, or what is new of it.
pub(super) fn write(connection: &Connection, body: &SessionBody) -> rusqlite::Result<()> {
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
    connection
        .prepare_cached(UPSERT)?
        .execute((
            id,
            start.as_nanos(),
            end.map(Timestamp::as_nanos),
            kind.as_str(),
            tty,
            remote,
            user.as_ref().map(|user| user.uid),
            user.as_ref().and_then(|user| user.name.as_deref()),
        ))
        .map(|_rows| ())
}

/// The newest sessions, newest first.
pub(super) fn newest(connection: &Connection, limit: u32) -> Result<Vec<SessionBody>, Error> {
    select(connection, SELECT_NEWEST, [limit])
}

/// The newest sessions, newest first, without how many changes each made.
pub(super) fn uncounted(connection: &Connection, limit: u32) -> Result<Vec<SessionBody>, Error> {
    let mut select = connection.prepare_cached(SELECT_NEWEST).doing(READ)?;
    let mut rows = select.query([limit]).doing(READ)?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        sessions.push(session_in(row)?);
    }
    Ok(sessions)
}

/// The newest session with that id.
pub(super) fn by_id(connection: &Connection, id: u32) -> Result<Option<SessionBody>, Error> {
    Ok(select(connection, SELECT_BY_ID, [id])?.pop())
}

/// The times between which a session's id means this session and not another one, as after a boot:
/// open where there is no other one on that side.
pub(super) fn bounds(
    connection: &Connection,
    id: u32,
    start: Timestamp,
) -> Result<[Option<Timestamp>; 2], Error> {
    let start_ns = start.as_nanos();
    let older: Option<i64> = connection
        .prepare_cached(SELECT_OLDER)
        .and_then(|mut select| {
            let first = select.query_row((id, start_ns), |row| row.get(0));
            first.optional()
        })
        .doing(READ)?;
    let next: Option<i64> = connection
        .prepare_cached(SELECT_NEXT_START)
        .and_then(|mut select| select.query_row((id, start_ns), |row| row.get(0)))
        .doing(READ)?;
    Ok([older.map(|_| start), next.map(Timestamp::from_nanos)])
}

fn select(
    connection: &Connection,
    query: &str,
    params: impl Params,
) -> Result<Vec<SessionBody>, Error> {
    let mut select = connection.prepare_cached(query).doing(READ)?;
    let mut rows = select.query(params).doing(READ)?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next().doing(READ)? {
        let mut body = session_in(row)?;
        body.changes = count_changes(connection, &body)?;
        sessions.push(body);
    }
    Ok(sessions)
}

fn count_changes(connection: &Connection, body: &SessionBody) -> Result<u64, Error> {
    let id = body.session.id;
    let [from, to] =
        bounds(connection, id, body.start)?.map(|bound| bound.map(Timestamp::as_nanos));
    let count: i64 = connection
        .prepare_cached(COUNT_CHANGES)
        .and_then(|mut count| count.query_row((id, from, to), |row| row.get(0)))
        .doing(READ)?;
    Ok(count.cast_unsigned())
}

fn session_in(row: &Row<'_>) -> Result<SessionBody, Error> {
    let id: u32 = row.get(0).doing(READ)?;
    let end: Option<i64> = row.get(2).doing(READ)?;
    let word: String = row.get(3).doing(READ)?;
    let kind = SessionKind::from_word(&word).ok_or_else(|| Error::Row {
        table: "sessions",
        row: i64::from(id),
        what: format!("`{word}` is no session kind"),
    })?;
    let uid: Option<u32> = row.get(6).doing(READ)?;
    let name = row.get(7).doing(READ)?;
    Ok(SessionBody {
        session: Session {
            id,
            kind,
            tty: row.get(4).doing(READ)?,
            remote: row.get(5).doing(READ)?,
        },
        user: uid.map(|uid| User { uid, name }),
        start: Timestamp::from_nanos(row.get(1).doing(READ)?),
        end: end.map(Timestamp::from_nanos),
        changes: 0,
    })
}

#[cfg(test)]
mod tests {
    use crate::store::Batch;
    use crate::store::example::{Example, alice, edit, session, time};

    #[test]
    fn a_session_is_updated_and_its_changes_are_counted() {
        let mut example = Example::new();
        let mut body = session(41, 1);
        example.commit(Batch {
            sessions: vec![body.clone()],
            changes: vec![
                edit("/etc/a", ["", "1"], 2, Some(alice(41))),
                edit("/etc/a", ["1", "2"], 3, Some(alice(41))),
                edit("/etc/a", ["2", "3"], 4, Some(alice(42))),
            ],
            ..Batch::default()
        });
        body.end = Some(time(9));
        example.commit(Batch {
            sessions: vec![body.clone()],
            ..Batch::default()
        });
        body.changes = 2;
        assert_eq!(example.reader().sessions(10).unwrap(), [body]);
    }

    #[test]
    fn a_session_id_that_came_again_after_a_boot_is_another_session() {
        let mut example = Example::new();
        example.commit(Batch {
            sessions: vec![session(1, 10), session(1, 100)],
            changes: vec![
                edit("/etc/a", ["", "1"], 20, Some(alice(1))),
                edit("/etc/a", ["1", "2"], 120, Some(alice(1))),
                edit("/etc/a", ["2", "3"], 130, Some(alice(1))),
            ],
            ..Batch::default()
        });
        let reader = example.reader();
        let counts: Vec<_> = reader.sessions(10).unwrap().into_iter().collect();
        assert_eq!(
            counts.iter().map(|body| body.changes).collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(reader.sessions(1).unwrap()[0].start, time(100));
        assert_eq!(reader.session(1).unwrap().unwrap().start, time(100));
        assert_eq!(reader.session(2).unwrap(), None);
    }
}
