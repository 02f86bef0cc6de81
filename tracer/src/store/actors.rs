//! The tables of actors, of the processes above them, and of where they come from.
//! Most changes of a command share one actor, and all commands of a login one origin.

use change::{Actor, Ancestor, Author, Container, Process, Session, SessionKind, Timestamp, User};
use rusqlite::{CachedStatement, Connection, Row};

use super::Error;
use super::error::Doing as _;

const INSERT_ACTOR: &str = "
    INSERT INTO actors (pid, start, exe, argv, argv_truncated, cwd, parent, origin, author)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_ANCESTOR: &str = "
    INSERT INTO ancestors (pid, exe, argv, parent) VALUES (?1, ?2, ?3, ?4)";
const INSERT_ORIGIN: &str = "
    INSERT INTO origins (uid, user_name, login_uid, login_name, session, session_kind, tty, remote,
        unit, container, container_runtime)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const SELECT_ACTOR: &str = "
    SELECT a.pid, a.start, a.exe, a.argv, a.argv_truncated, a.cwd, a.parent,
        o.uid, o.user_name, o.login_uid, o.login_name, o.session, o.session_kind, o.tty, o.remote,
        o.unit, o.container, o.container_runtime, a.author
    FROM actors a JOIN origins o ON o.id = a.origin WHERE a.id = ?1";
const SELECT_ANCESTORS: &str = "
    WITH RECURSIVE chain (depth, pid, exe, argv, parent) AS (
        SELECT 0, pid, exe, argv, parent FROM ancestors WHERE id = ?1
        UNION ALL
        SELECT chain.depth + 1, p.pid, p.exe, p.argv, p.parent
        FROM chain JOIN ancestors p ON p.id = chain.parent
        WHERE chain.depth < 4096
    )
    SELECT pid, exe, argv FROM chain ORDER BY depth";

/// Where an actor comes from: what all processes of a login share.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    user: User,
    login_user: Option<User>,
    session: Option<Session>,
    unit: Option<String>,
    container: Option<Container>,
}

impl From<&Actor> for Origin {
    fn from(actor: &Actor) -> Self {
        Self {
            user: actor.user.clone(),
            login_user: actor.login_user.clone(),
            session: actor.session.clone(),
            unit: actor.unit.clone(),
            container: actor.container.clone(),
        }
    }
}

/// The statements that write actors.
pub(super) struct ActorWriter<'c> {
    connection: &'c Connection,
    actor: CachedStatement<'c>,
    ancestor: CachedStatement<'c>,
    origin: CachedStatement<'c>,
}

impl<'c> ActorWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            actor: connection.prepare_cached(INSERT_ACTOR)?,
            ancestor: connection.prepare_cached(INSERT_ANCESTOR)?,
            origin: connection.prepare_cached(INSERT_ORIGIN)?,
        })
    }

    /// Writes an actor below an ancestor and gives its id.
    pub(super) fn write(
        &mut self,
        actor: &Actor,
        parent: Option<i64>,
        origin: i64,
    ) -> rusqlite::Result<i64> {
        let Process {
            pid,
            start,
            exe,
            argv,
            argv_truncated,
            cwd,
        } = &actor.process;
        self.actor.execute((
            pid,
            start.as_nanos(),
            exe,
            argv_json(argv),
            argv_truncated,
            cwd,
            parent,
            origin,
            actor.author().as_str(),
        ))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Writes an ancestor below its own parent and gives its id.
    pub(super) fn write_ancestor(
        &mut self,
        ancestor: &Ancestor,
        parent: Option<i64>,
    ) -> rusqlite::Result<i64> {
        let Ancestor { pid, exe, argv } = ancestor;
        self.ancestor.execute((pid, exe, argv_json(argv), parent))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Writes an origin and gives its id.
    pub(super) fn write_origin(&mut self, origin: &Origin) -> rusqlite::Result<i64> {
        let Origin {
            user,
            login_user,
            session,
            unit,
            container,
        } = origin;
        self.origin.execute((
            user.uid,
            &user.name,
            login_user.as_ref().map(|user| user.uid),
            login_user.as_ref().and_then(|user| user.name.as_deref()),
            session.as_ref().map(|session| session.id),
            session.as_ref().map(|session| session.kind.as_str()),
            session.as_ref().and_then(|session| session.tty.as_deref()),
            session
                .as_ref()
                .and_then(|session| session.remote.as_deref()),
            unit,
            container.as_ref().map(|container| &container.id),
            container.as_ref().map(|container| &container.runtime),
        ))?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// Reads the actor with that id.
pub(super) fn read(connection: &Connection, id: i64) -> Result<Actor, Error> {
    let doing = "read an actor";
    let wrong = |what: String| Error::Row {
        table: "actors",
        row: id,
        what,
    };
    let mut select = connection.prepare_cached(SELECT_ACTOR).doing(doing)?;
    let (parent, mut actor) = select
        .query_row([id], |row| Ok(actor_in(row)?.map_err(wrong)))
        .map_err(|error| wrong(error.to_string()))??;
    if let Some(parent) = parent {
        let mut select = connection.prepare_cached(SELECT_ANCESTORS).doing(doing)?;
        let mut rows = select.query([parent]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let ancestor = ancestor_in(row).doing(doing)?.map_err(wrong)?;
            actor.ancestry.push(ancestor);
        }
    }
    Ok(actor)
}

/// The id of the ancestor above, and the actor still without ancestry; or what is wrong.
fn actor_in(row: &Row<'_>) -> rusqlite::Result<Result<(Option<i64>, Actor), String>> {
    let argv: String = row.get(3)?;
    let session_kind: Option<String> = row.get(12)?;
    let author: String = row.get(18)?;
    let login_uid: Option<u32> = row.get(9)?;
    let login_name = row.get(10)?;
    let kind = session_kind
        .map(|word| {
            SessionKind::from_word(&word).ok_or_else(|| format!("`{word}` is no session kind"))
        })
        .transpose();
    let (argv, kind) = match (parse_argv(&argv), kind) {
        (Ok(argv), Ok(kind)) => (argv, kind),
        (Err(what), _) | (_, Err(what)) => return Ok(Err(what)),
    };
    let session = match (row.get(11)?, kind) {
        (Some(id), Some(kind)) => Some(Session {
            id,
            kind,
            tty: row.get(13)?,
            remote: row.get(14)?,
        }),
        _ => None,
    };
    let container = match (row.get(16)?, row.get(17)?) {
        (Some(id), Some(runtime)) => Some(Container { id, runtime }),
        _ => None,
    };
    let actor = Actor {
        user: User {
            uid: row.get(7)?,
            name: row.get(8)?,
        },
        login_user: login_uid.map(|uid| User {
            uid,
            name: login_name,
        }),
        process: Process {
            pid: row.get(0)?,
            start: Timestamp::from_nanos(row.get(1)?),
            exe: row.get(2)?,
            argv,
            argv_truncated: row.get(4)?,
            cwd: row.get(5)?,
        },
        ancestry: Vec::new(),
        session,
        unit: row.get(15)?,
        container,
        by: Author::from_word(&author),
    };
    Ok(Ok((row.get(6)?, actor)))
}

fn ancestor_in(row: &Row<'_>) -> rusqlite::Result<Result<Ancestor, String>> {
    let pid = row.get(0)?;
    let exe = row.get(1)?;
    let argv = parse_argv(&row.get::<_, String>(2)?);
    Ok(argv.map(|argv| Ancestor { pid, exe, argv }))
}

fn argv_json(argv: &[String]) -> String {
    serde_json::to_string(argv).unwrap_or_default()
}

pub(super) fn parse_argv(json: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(json).map_err(|error| format!("`argv` is not as written: {error}"))
}
