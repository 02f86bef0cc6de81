//! A copy of the store while it is in use: one consistent moment of it, in one file, with what it takes to go on from
//! it elsewhere.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::{fs, io};

use change::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use super::error::Doing as _;
use super::{Error, sqlite};

/// What is in a copy and in no store. `authority` is the file with the authority's key.
const CREATE: &str = "
    CREATE TABLE backup (taken INTEGER NOT NULL, collector TEXT NOT NULL, authority TEXT) STRICT";
const INSERT: &str = "INSERT INTO backup (taken, collector, authority) VALUES (?1, ?2, ?3)";
const COUNT: &str =
    "SELECT (SELECT count(*) FROM hosts), (SELECT total(durable - first_seq + 1) FROM hosts)";

const COPY: &str = "copy the store";

/// Tells of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Its size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file, as `b3:…`.
    pub hash: String,
    /// How many logs of hosts are in it.
    pub hosts: u64,
    /// How many changes.
    pub changes: u64,
    /// Whether the authority's key is in it.
    pub authority: bool,
}

/// Copies the store to a file that does not exist yet, and which only its owner may read. The copy is on the disk when
/// this returns; where it fails, nothing is left of it.
pub fn back_up(
    store: &Path,
    file: &Path,
    authority: Option<&str>,
    now: Timestamp,
) -> Result<Backup, Error> {
    let connection = sqlite::open_to_copy(store)?;
    // SQLite takes an empty file for none, and leaves its mode as it is.
    fs::File::options()
        .write(true)
        .create_new(true)
        .mode(sqlite::MODE)
        .open(file)
        .map_err(|error| write_error(file, error))?;
    let copied = copy(&connection, file, authority, now);
    if copied.is_err() {
        // It is ours: it was made just now.
        drop(fs::remove_file(file));
    }
    copied
}

fn copy(
    store: &Connection,
    file: &Path,
    authority: Option<&str>,
    now: Timestamp,
) -> Result<Backup, Error> {
    let not_utf8 = || write_error(file, io::Error::other("its name is not UTF-8"));
    let name = file.to_str().ok_or_else(not_utf8)?;
    store.execute("VACUUM INTO ?1", [name]).doing(COPY)?;
    let copy = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).doing(COPY)?;
    copy.execute_batch(CREATE).doing(COPY)?;
    let row = (now.as_nanos(), env!("CARGO_PKG_VERSION"), authority);
    copy.execute(INSERT, row).doing(COPY)?;
    let counts = copy.query_row(COUNT, [], |row| Ok((row.get(0)?, row.get::<_, f64>(1)?)));
    let (hosts, changes): (i64, f64) = counts.doing(COPY)?;
    copy.close().map_err(|(_, cause)| cause).doing(COPY)?;
    sync(file).map_err(|error| write_error(file, error))?;
    let (bytes, hash) = hash_of(file).map_err(|error| write_error(file, error))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of rows"
    )]
    let changes = changes as u64;
    Ok(Backup {
        bytes,
        hash,
        hosts: hosts.cast_unsigned(),
        changes,
        authority: authority.is_some(),
    })
}

/// Sees to it that a file and its name are on the disk.
pub(super) fn sync(file: &Path) -> io::Result<()> {
    fs::File::open(file)?.sync_all()?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// How many bytes a file has, and their hash.
pub(super) fn hash_of(file: &Path) -> io::Result<(u64, String)> {
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    let (mut file, mut block) = (fs::File::open(file)?, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((bytes, format!("b3:{}", hasher.finalize().to_hex())));
        }
        hasher.update(&block[..read]);
        bytes += read as u64;
    }
}

fn write_error(file: &Path, source: io::Error) -> Error {
    Error::Write {
        path: file.to_owned(),
        source,
    }
}
