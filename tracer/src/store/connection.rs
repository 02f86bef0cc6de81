//! Opens the database file: its mode, its pragmas and the migrations. What is in it lives elsewhere.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Error;
use super::error::{Cause, Doing as _};

/// The schema's steps. A word new to the model (a kind, an op, …) comes with a step too, if only an
/// empty one, so that an older program refuses the database instead of meeting a word it does not
/// know.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_changes.sql"),
    include_str!("migrations/0002_forgotten.sql"),
    include_str!("migrations/0003_attributes.sql"),
    include_str!("migrations/0004_runs.sql"),
    include_str!("migrations/0005_packages.sql"),
];

/// Marks a database as a store: `trcr`.
const APPLICATION_ID: i64 = 0x7472_6372;

/// Private to its owner: a store tells what is in files that others may not read.
pub(super) const MODE: u32 = 0o600;

// References are declared, and the tests check them after each use of a store. Enforcing them at
// run time would cost a sixth of each change, only to find what the one writer wrote just before.
// `FAST` clears what leaves a page that is written anyway: `forget` counts on it that no copy of a
// content lies in a page where it was before its table grew.
const WRITER_PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = OFF;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA trusted_schema = OFF;
    PRAGMA secure_delete = FAST;
";
// Several readers live as long as the daemon; what they read again, the system has in its cache.
const READER_PRAGMAS: &str = "
    PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cache_size = -512;
";
const SELECT_TABLE_COUNT: &str = "SELECT count(*) FROM sqlite_schema";

/// How long to wait for a lock; only another program can hold one.
const BUSY: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 64;

/// Opens the database to write, and brings it to the newest schema.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, Error> {
    let open_error = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(path)
        .map_err(open_error)?;
    let permissions = file.metadata().map_err(open_error)?.permissions();
    if permissions.mode() & 0o777 != MODE {
        file.set_permissions(fs::Permissions::from_mode(MODE))
            .map_err(open_error)?;
    }
    // SQLite's locks belong to the process and would go with this descriptor.
    drop(file);
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found = check(&connection, path)?;
    connection
        .execute_batch(WRITER_PRAGMAS)
        .map_err(|error| damaged_or(path, error, "set the store up"))?;
    migrate(&mut connection, found)?;
    Ok(connection)
}

/// Opens the database to read.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&connection, path)?;
    connection
        .execute_batch(READER_PRAGMAS)
        .doing("set a reader of the store up")?;
    Ok(connection)
}

/// Opens a database that may be a copy. Without a write-ahead log nobody has it open to write, and it
/// can be read as it lies there.
pub(super) fn open_copy(path: &Path) -> Result<Connection, Error> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).exists() {
        return open_to_read(path);
    }
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let uri = format!("file:{name}?immutable=1");
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = open_as(Path::new(&uri), path, access)?;
    check(&connection, path)?;
    Ok(connection)
}

/// Opens the database to copy it: nothing is written but the copy.
pub(super) fn open_to_copy(path: &Path) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&connection, path)?;
    Ok(connection)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    open_as(path, path, access)
}

/// Opens the file at a path by the name that SQLite is to know it by.
fn open_as(name: &Path, path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(name, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| match fs::File::open(path) {
            Err(source) => Error::Open {
                path: path.to_owned(),
                source,
            },
            Ok(_) => damaged_or(path, error, "open the store"),
        })?;
    connection.busy_timeout(BUSY).doing("open the store")?;
    // Otherwise SQLite plans a query anew for the values it is asked with, and as the cache of
    // statements takes the values away after each use, that is each time.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .doing("open the store")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Reads the schema's number, and refuses what is not a store or is newer than this program.
fn check(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let refuse = |error| damaged_or(path, error, "read the store's schema");
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let found = read("user_version").map_err(refuse)?;
    let application = read("application_id").map_err(refuse)?;
    let tables = connection
        .query_row(SELECT_TABLE_COUNT, [], |row| row.get::<_, i64>(0))
        .map_err(refuse)?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(Error::Foreign {
            path: path.to_owned(),
        });
    }
    let known = known_schema();
    if found > known {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

fn damaged_or(path: &Path, error: rusqlite::Error, doing: &'static str) -> Error {
    let cause = Cause::from(error);
    if cause.is_damage() {
        let path = path.to_owned();
        Error::Damaged { path, cause }
    } else {
        Error::Database { doing, cause }
    }
}

fn known_schema() -> i64 {
    MIGRATIONS.len().cast_signed() as i64
}

fn migrate(connection: &mut Connection, found: i64) -> Result<(), Error> {
    if found == known_schema() {
        return Ok(());
    }
    let doing = "bring the store to the newest schema";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(doing)?;
    for step in MIGRATIONS
        .iter()
        .skip(usize::try_from(found).unwrap_or_default())
    {
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
    use crate::store::{Reader, Writer};

    fn refusal(path: &Path) -> String {
        let writer = Writer::open(path).err().expect("must be refused");
        let reader = Reader::open(path).err().expect("must be refused");
        assert_eq!(writer.to_string(), reader.to_string());
        writer.to_string()
    }

    #[test]
    fn a_store_is_private_and_keeps_a_write_ahead_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let connection = open_to_write(&path).unwrap();
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
        for name in ["tracer.db", "tracer.db-wal"] {
            let file = fs::metadata(dir.path().join(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        let connection = open_to_write(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let said = refusal(&path);
        assert!(said.contains("schema 99"), "{said}");
        assert!(said.contains("tracer.db"), "{said}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        let bytes = b"this is a letter, not a database\n".repeat(300);
        fs::write(&path, &bytes).unwrap();
        let said = refusal(&path);
        assert!(said.contains("tracer.db"), "{said}");
        assert!(said.contains("move it away"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_torn_database_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        drop(Writer::open(&path).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        bytes[100..4096].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        let said = refusal(&path);
        assert!(said.contains("move it away"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE songs (name)").unwrap();
        drop(other);
        assert!(refusal(&path).contains("another program"));
    }

    #[test]
    fn a_file_that_does_not_exist_is_named() {
        let said = Reader::open(Path::new("/nonexistent/tracer.db"))
            .err()
            .unwrap();
        let said = said.to_string();
        assert!(said.contains("/nonexistent/tracer.db"), "{said}");
        assert!(said.contains("No such file"), "{said}");
    }
}
