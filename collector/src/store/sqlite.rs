//! Opens a database that is a file: its mode, its pragmas and the migrations. What is in it lives elsewhere.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Error;
use super::error::Doing as _;

/// The schema's steps.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/sqlite/0001_fleet.sql"),
    include_str!("migrations/sqlite/0002_enrolment.sql"),
    include_str!("migrations/sqlite/0003_questions.sql"),
    include_str!("migrations/sqlite/0004_retention.sql"),
    include_str!("migrations/sqlite/0005_operation.sql"),
    include_str!("migrations/sqlite/0006_drift.sql"),
    include_str!("migrations/sqlite/0007_columns.sql"),
];

/// Marks a database as a collector's store: `trcc`.
const APPLICATION_ID: i64 = 0x7472_6363;

/// Private to its owner: a store tells what is in files of hosts that others may not read.
pub(super) const MODE: u32 = 0o600;

// Each commit is on the disk when it returns: it is what is acknowledged to the host. That free pages can be given
// back is decided when the file is begun, before anything else.
const WRITER_PRAGMAS: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = OFF;
    PRAGMA journal_size_limit = 268435456;
    PRAGMA trusted_schema = OFF;
    PRAGMA cache_size = -131072;
    PRAGMA temp_store = MEMORY;
";
// What is mapped counts as the process's memory, and mapping more makes no answer quicker.
const READER_PRAGMAS: &str = "
    PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cache_size = -65536;
    PRAGMA mmap_size = 268435456;
";
const SELECT_TABLE_COUNT: &str = "SELECT count(*) FROM sqlite_schema";

/// How long to wait for a lock of another collector on the same store.
const BUSY: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 64;
/// So many steps of `SQLite`'s machine are made between two looks at the time: well under a millisecond.
const STEPS: i32 = 1_000;

/// Opens the database to write, and brings it to the newest schema.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, Error> {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(path)
        .map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
    // SQLite's locks belong to the process and would go with this descriptor.
    drop(file);
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(&connection, path)?;
    connection
        .execute_batch(WRITER_PRAGMAS)
        .doing("set the store up")?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the database to read. From a deadline on all that is asked fails.
pub(super) fn open_to_read(path: &Path, deadline: Option<Instant>) -> Result<Connection, Error> {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (found, known) = (check(&connection, path)?, known_schema());
    if found < known {
        let store = path.display().to_string();
        return Err(Error::Older {
            store,
            found,
            known,
        });
    }
    connection
        .execute_batch(READER_PRAGMAS)
        .doing("set a reader of the store up")?;
    if let Some(deadline) = deadline {
        let is_over = move || Instant::now() >= deadline;
        connection
            .progress_handler(STEPS, Some(is_over))
            .doing("set a reader of the store up")?;
    }
    Ok(connection)
}

/// Opens the database to copy it or to look at it as a whole: nothing is written but a copy.
pub(super) fn open_to_copy(path: &Path) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&connection, path)?;
    Ok(connection)
}

/// What one of the pragmas that check a database finds, in its words; nothing where all is well.
pub(super) fn damage(connection: &Connection, check: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let looked = connection.pragma_query(None, check, |row| {
        found.push(row.get::<_, String>(0)?);
        Ok(())
    });
    found.retain(|what| what != "ok");
    match looked {
        // So much that the check itself cannot go on.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            found.push(error.to_string());
        }
        looked => looked.doing("look for damage in the store")?,
    }
    Ok(found)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    let doing = "open the store";
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|cause| match fs::File::open(path) {
            Err(source) => Error::Open {
                path: path.to_owned(),
                source,
            },
            Ok(_) => Error::Database {
                doing,
                cause: cause.into(),
            },
        })?;
    connection.busy_timeout(BUSY).doing(doing)?;
    // A query is planned once, not anew for the values it is asked with.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .doing(doing)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Refuses what is not a collector's store or is newer than this program, and says which schema it has.
fn check(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let foreign = || Error::Foreign {
        store: path.display().to_string(),
        what: "it is no collector's store; choose another state directory".to_owned(),
    };
    let found = pragma(connection, "user_version").map_err(|_error| foreign())?;
    let application = pragma(connection, "application_id").map_err(|_error| foreign())?;
    let tables: i64 = connection
        .query_row(SELECT_TABLE_COUNT, [], |row| row.get(0))
        .map_err(|_error| foreign())?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(foreign());
    }
    let known = known_schema();
    if found > known {
        return Err(Error::Newer {
            store: path.display().to_string(),
            found,
            known,
        });
    }
    Ok(found)
}

pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

pub(super) fn known_schema() -> i64 {
    MIGRATIONS.len().cast_signed() as i64
}

/// Another collector may migrate at the same time: the schema is read again under the lock.
fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let doing = "bring the store to the newest schema";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(doing)?;
    let found = pragma(&transaction, "user_version").doing(doing)?;
    let done = usize::try_from(found).unwrap_or_default();
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step).doing(doing)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .doing(doing)?;
    transaction
        .pragma_update(None, "user_version", known_schema())
        .doing(doing)?;
    transaction.commit().doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_private_and_opens_again() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collector.db");
        drop(open_to_write(&path).unwrap());
        drop(open_to_write(&path).unwrap());
        drop(open_to_read(&path, None).unwrap());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_store_of_the_first_schemas_is_brought_up_to_date_with_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collector.db");
        let old = Connection::open(&path).unwrap();
        MIGRATIONS[..2]
            .iter()
            .for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
        old.execute_batch(
            r#"PRAGMA foreign_keys = OFF;
            INSERT INTO runs VALUES (1, 7, '{"start":"2026-11-21T02:13:00.000000009Z"}');
            INSERT INTO actors VALUES (1, x'00', 'alice', 'human', '{"session":{"id":41}}');
            INSERT INTO actors VALUES (2, x'01', 'root', 'automation', '{"session":null}');"#,
        )
        .unwrap();
        drop(old);
        let new = open_to_write(&path).unwrap();
        let one = |sql| {
            new.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
                .unwrap()
        };
        let start: change::Timestamp = "2026-11-21T02:13:00.000000009Z".parse().unwrap();
        assert_eq!(one("SELECT start FROM runs"), Some(start.as_nanos()));
        assert_eq!(one("SELECT session FROM actors WHERE id = 1"), Some(41));
        assert_eq!(one("SELECT session FROM actors WHERE id = 2"), None);
        assert_eq!(one("SELECT horizon FROM retention"), None);
    }

    #[test]
    fn a_newer_database_and_one_of_another_program_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collector.db");
        let connection = open_to_write(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let said = open_to_read(&path, None).unwrap_err().to_string();
        assert!(said.contains("schema 99"), "{said}");
        connection.pragma_update(None, "user_version", 1).unwrap();
        let said = open_to_read(&path, None).unwrap_err().to_string();
        assert!(said.contains("schema 1 and"), "{said}");
        let other = dir.path().join("songs.db");
        let songs = Connection::open(&other).unwrap();
        songs.execute_batch("CREATE TABLE songs (name)").unwrap();
        let said = open_to_write(&other).unwrap_err().to_string();
        assert!(said.contains("no collector's store"), "{said}");
        let letter = dir.path().join("letter");
        fs::write(&letter, b"this is a letter, not a database\n".repeat(99)).unwrap();
        assert!(matches!(open_to_write(&letter), Err(Error::Foreign { .. })));
        assert!(matches!(
            open_to_read(&dir.path().join("none.db"), None),
            Err(Error::Open { .. })
        ));
    }
}
