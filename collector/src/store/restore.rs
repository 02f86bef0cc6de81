//! Puts a store back from a copy that `backup` made, into a state directory that has none.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use change::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Doing as _;
use super::{Certificate, Enrolment, Error, backup, sqlite};

const HAS_BACKUP: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'backup'";
const SELECT_BACKUP: &str = "SELECT taken, authority FROM backup";
// What was deleted is written over: the key belongs in the authority's file alone. Tokens of hosts that were used or
// taken back since the copy would be good again, and are made anew in a moment.
const GO_ON: &str = "
    PRAGMA secure_delete = ON;
    DROP TABLE backup;
    UPDATE tokens SET expires = min(expires, made) WHERE used IS NULL;
";
const INSERT_RESTORE: &str = "INSERT INTO restores (restored, taken) VALUES (?1, ?2)";

// A certificate that was made after the copy was taken from which the store was put back, for a host that was enrolled
// before that and was not enrolled anew since.
const ADOPT: &str = "
    INSERT INTO certificates (fingerprint, name, issued, expires)
    SELECT ?1, ?2, ?3, ?4 FROM enrolled e
    WHERE e.name = ?2 AND e.revoked IS NULL AND EXISTS (
        SELECT 1 FROM restores r WHERE ?3 BETWEEN r.taken - 1000000000 AND r.restored AND e.enrolled <= r.taken)
    ON CONFLICT DO NOTHING";

const RESTORE: &str = "put the store back";

/// Tells of a store that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was taken.
    pub taken: Timestamp,
    /// The file with the authority's key, where the copy had it.
    pub authority: Option<String>,
}

/// A copy that was looked at and lies in the state directory, but not by the store's name yet.
pub struct Draft {
    path: PathBuf,
    store: PathBuf,
    restored: Restored,
}

/// Takes a copy beside where a store is to be: checks that it is whole, made by `backup`, and not of a newer
/// collector. Where `hash` is given, it must be the file's.
pub fn take(file: &Path, store: &Path, hash: Option<&str>, now: Timestamp) -> Result<Draft, Error> {
    let mut draft = Draft {
        path: store.with_extension("db.restore"),
        store: store.to_owned(),
        restored: Restored {
            taken: now,
            authority: None,
        },
    };
    copy(file, &draft.path)?;
    let refuse = |what: String| Error::Backup {
        path: file.to_owned(),
        what,
    };
    if let Some(wanted) = hash {
        let found = backup::hash_of(&draft.path).map_err(|error| write_error(&draft.path, error));
        let (_, found) = found?;
        if found != wanted {
            return Err(refuse(format!("its hash is {found}, and not {wanted}")));
        }
    }
    draft.restored = look(&draft.path, now, &refuse)?;
    Ok(draft)
}

impl Draft {
    /// What is known of the copy.
    pub fn restored(&self) -> &Restored {
        &self.restored
    }

    /// Gives it the store's name: from now on it is the store.
    pub fn keep(self) -> Result<Restored, Error> {
        let renamed = fs::hard_link(&self.path, &self.store)
            .and_then(|()| fs::remove_file(&self.path))
            .and_then(|()| backup::sync(&self.store));
        renamed.map_err(|error| write_error(&self.store, error))?;
        Ok(self.restored.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            // It is ours, and gone already where it was kept.
            drop(fs::remove_file(name));
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = fs::File::open(from).map_err(|error| Error::Backup {
        path: from.to_owned(),
        what: error.to_string(),
    })?;
    let copied = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(sqlite::MODE)
        .open(to)
        .and_then(|mut target| io::copy(&mut source, &mut target));
    copied.map(drop).map_err(|error| write_error(to, error))
}

/// Checks a copy, and makes a store of it.
fn look(draft: &Path, now: Timestamp, refuse: &dyn Fn(String) -> Error) -> Result<Restored, Error> {
    let as_backup = |error| match error {
        Error::Foreign { .. } => refuse("it is no collector's store".to_owned()),
        Error::Newer { found, known, .. } => refuse(format!(
            "it has schema {found} and this collector knows schemas up to {known}; install the newer collector"
        )),
        Error::Database { cause, .. } => refuse(format!("it is damaged: {cause}")),
        error => error,
    };
    let copy = sqlite::open_to_copy(draft).map_err(as_backup)?;
    let damage = sqlite::damage(&copy, "integrity_check").map_err(as_backup)?;
    if let Some(first) = damage.first() {
        return Err(refuse(format!("it is damaged: {first}; take another copy")));
    }
    let is_backup = copy.prepare(HAS_BACKUP).doing(RESTORE)?.exists([]);
    if !is_backup.doing(RESTORE)? {
        let what = "it is a store and no copy that `tracer-collector backup` made";
        return Err(refuse(what.to_owned()));
    }
    drop(copy);
    let store = sqlite::open_to_write(draft)?;
    let restored = go_on(&store, now).doing(RESTORE)?;
    // Nothing is left beside the file, which alone gets the store's name.
    store
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))
        .doing(RESTORE)?;
    store.close().map_err(|(_, cause)| cause).doing(RESTORE)?;
    restored.ok_or_else(|| refuse("it does not say when it was taken".to_owned()))
}

fn go_on(store: &Connection, now: Timestamp) -> rusqlite::Result<Option<Restored>> {
    let found = store.query_row(SELECT_BACKUP, [], |row| {
        Ok(Restored {
            taken: Timestamp::from_nanos(row.get(0)?),
            authority: row.get(1)?,
        })
    });
    let Some(restored) = found.optional()? else {
        return Ok(None);
    };
    store.execute_batch(GO_ON)?;
    let row = (now.as_nanos(), restored.taken.as_nanos());
    store.execute(INSERT_RESTORE, row)?;
    Ok(Some(restored))
}

impl Enrolment {
    /// Takes in a certificate that the authority made and this store lost, as it was put back from a copy that is older;
    /// tells whether it is one. Who shows it has proved that the authority made it.
    pub fn adopt(&mut self, name: &str, certificate: Certificate) -> Result<bool, Error> {
        let Certificate {
            fingerprint,
            issued,
            expires,
        } = certificate;
        let row = (fingerprint, name, issued.as_nanos(), expires.as_nanos());
        let rows = self.connection.execute(ADOPT, row);
        Ok(rows.doing("take in a certificate that was lost")? > 0)
    }
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
