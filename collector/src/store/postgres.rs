//! Opens a database on a PostgreSQL server: the session's settings, the schema, and the partitions. What is in it lives
//! elsewhere.

mod partitions;
mod server_url;

use std::sync::Arc;
use std::time::Instant;

pub(super) use self::partitions::{drop_empty as drop_empty_partitions, make as make_partitions};
pub use self::server_url::ServerUrl;
use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, Server, ServerSession, Turn};

/// The schema's steps.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/postgres/0001_fleet.sql")];

// Not by `to_regclass`: a session remembers that there was none, also while it waits for who makes one.
const HAS_SCHEMA: &str = "
    WITH own AS (
        SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema()
    ) SELECT EXISTS (SELECT 1 FROM own WHERE relname = 'collector_schema'),
        EXISTS (SELECT 1 FROM own WHERE relname = 'hosts'), current_schema() IS NOT NULL";
const CREATE_SCHEMA: &str = "CREATE TABLE collector_schema (version BIGINT NOT NULL)";
const SELECT_SCHEMA: &str = "SELECT version FROM collector_schema";
const DELETE_SCHEMA: &str = "DELETE FROM collector_schema";
const INSERT_SCHEMA: &str = "INSERT INTO collector_schema (version) VALUES (?1)";

// The server's own word on what it does when it says that something is on the disk.
const SELECT_DURABILITY: &str = "
    SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'";
const SELECT_BYTES: &str = "SELECT pg_database_size(current_database())";

// A statement is planned once, not anew for the values it is asked with: with partitions that takes longer than to
// execute it, and so does compiling it.
const SETTINGS: &str = "
    SET application_name = 'tracer-collector';
    SET client_min_messages = 'warning';
    SET standard_conforming_strings = on;
    SET idle_in_transaction_session_timeout = '2min';
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;";
// What is written looks up single rows, also before the server knows how large its tables have become.
const FOLD_SETTINGS: &str = "
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;";
// Whatever the server or the user has by default. What is stronger stays.
const DURABLE_SETTINGS: &str = "
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local');";
// Whoever reads for long holds no lock that another one waits for.
const READ_SETTINGS: &str = "
    SET default_transaction_read_only = on;
    SET idle_in_transaction_session_timeout = 0;";

const READ: &str = "open the store";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// To fold in what hosts send.
    Fold,
    /// To write anything else.
    Write,
    /// To read.
    Read,
}

/// Opens the database to write, and brings it to the newest schema.
pub(super) fn open_to_write(url: &Arc<ServerUrl>, session: Session) -> Result<Connection, Error> {
    let connection = connect(url, session, None)?;
    refuse_what_is_not_durable(&connection)?;
    if check(&connection, url)? != Some(known_schema()) {
        migrate(&connection, url)?;
    }
    Ok(connection)
}

/// Opens the database to read.
pub(super) fn open_to_read(
    url: &Arc<ServerUrl>,
    deadline: Option<Instant>,
) -> Result<Connection, Error> {
    let connection = connect(url, Session::Read, deadline)?;
    let known = known_schema();
    match check(&connection, url)? {
        Some(found) if found < known => Err(Error::Older {
            store: url.to_string(),
            found,
            known,
        }),
        Some(_) => Ok(connection),
        None => Err(foreign(
            url,
            "it has no store yet; `tracer-collector serve` begins one",
        )),
    }
}

/// Opens the database to look at it, also where it is of an older schema.
pub(super) fn open_to_examine(url: &Arc<ServerUrl>) -> Result<Connection, Error> {
    let connection = connect(url, Session::Read, None)?;
    match check(&connection, url)? {
        Some(_) => Ok(connection),
        None => Err(foreign(
            url,
            "it has no store yet; `tracer-collector serve` begins one",
        )),
    }
}

/// The newest schema that this program knows.
pub(super) fn known_schema() -> i64 {
    MIGRATIONS.len().cast_signed() as i64
}

/// The schema that the database has.
pub(super) fn schema(connection: &Connection) -> sql::Result<i64> {
    connection.one(SELECT_SCHEMA, (), |row| row.get(0))
}

/// How large the database is.
pub(super) fn bytes(connection: &Connection) -> sql::Result<i64> {
    connection.one(SELECT_BYTES, (), |row| row.get(0))
}

/// The settings with which the server may lose what it said was on the disk.
pub(super) fn what_is_not_durable(connection: &Connection) -> sql::Result<Vec<String>> {
    let weak = connection.rows(SELECT_DURABILITY, (), |row| row.get::<String>(0))?;
    Ok(weak.iter().map(|name| format!("{name} = off")).collect())
}

fn connect(
    url: &Arc<ServerUrl>,
    session: Session,
    deadline: Option<Instant>,
) -> Result<Connection, Error> {
    let own = Arc::clone(url);
    let connect = Box::new(move || set_up(own.connect()?, session, deadline));
    let server = Server::open(connect, deadline).map_err(|cause| Error::Connect {
        store: url.to_string(),
        cause,
    })?;
    Ok(Connection::Postgres(Box::new(server)))
}

fn set_up(
    mut server: ServerSession,
    session: Session,
    deadline: Option<Instant>,
) -> sql::Result<ServerSession> {
    let mut settings = SETTINGS.to_owned();
    settings.extend(match session {
        Session::Fold => [DURABLE_SETTINGS, FOLD_SETTINGS],
        Session::Write => [DURABLE_SETTINGS, ""],
        Session::Read => [READ_SETTINGS, ""],
    });
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = left.as_millis().max(1).to_string();
        settings.extend(["SET statement_timeout = ", &millis]);
    }
    server.script(&settings)?;
    Ok(server)
}

/// What hosts are told is on the disk must be.
fn refuse_what_is_not_durable(connection: &Connection) -> Result<(), Error> {
    let weak = what_is_not_durable(connection).doing(READ)?;
    if weak.is_empty() {
        return Ok(());
    }
    Err(Error::NotDurable(weak.join(", ")))
}

/// Refuses what is newer than this program, or no collector's store; the schema, where there is one.
fn check(connection: &Connection, url: &ServerUrl) -> Result<Option<i64>, Error> {
    let found = connection.one(HAS_SCHEMA, (), |row| {
        Ok([row.get::<bool>(0)?, row.get(1)?, row.get(2)?])
    });
    let [is_store, has_hosts, has_place] = found.doing(READ)?;
    if !has_place {
        return Err(foreign(
            url,
            "there is no schema that its `search_path` leads to",
        ));
    }
    if !is_store {
        let other =
            "it has tables of another program; choose another database, or a schema of its own";
        return if has_hosts {
            Err(foreign(url, other))
        } else {
            Ok(None)
        };
    }
    let (found, known) = (schema(connection).doing(READ)?, known_schema());
    if found > known {
        return Err(Error::Newer {
            store: url.to_string(),
            found,
            known,
        });
    }
    Ok(Some(found))
}

fn foreign(url: &ServerUrl, what: &str) -> Error {
    Error::Foreign {
        store: url.to_string(),
        what: what.to_owned(),
    }
}

/// Another collector may migrate at the same time: the schema is read again in turn.
fn migrate(connection: &Connection, url: &ServerUrl) -> Result<(), Error> {
    let doing = "bring the store to the newest schema";
    let transaction = connection.begin(Turn::Decide).doing(doing)?;
    let found = check(&transaction, url)?;
    if found.is_none() {
        transaction.script(CREATE_SCHEMA).doing(doing)?;
    }
    let done = usize::try_from(found.unwrap_or_default()).unwrap_or_default();
    for step in MIGRATIONS.iter().skip(done) {
        transaction.script(step).doing(doing)?;
    }
    transaction.execute(DELETE_SCHEMA, ()).doing(doing)?;
    let inserted = transaction.execute(INSERT_SCHEMA, [known_schema()]);
    inserted.doing(doing)?;
    transaction.commit().doing(doing)
}
