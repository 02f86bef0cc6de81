//! The packages that rpm knows, from its database in SQLite. It is never written to, and no lock is
//! taken that rpm would wait for: what has yet to be moved from the log into the database is read
//! from a copy of both.

mod header;

use std::collections::BTreeMap;
use std::env::consts;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::Text;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::blob::Blob;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use self::header::Package;
pub(crate) use self::header::fuzz;
use super::{ALSO, ARCH, Facts, MOST_PACKAGES, Manager, VERSION, value, versions};

/// The database and its log.
pub(super) const NAMES: [&str; 2] = ["rpmdb.sqlite", "rpmdb.sqlite-wal"];
/// Databases that are not read: Berkeley's of older releases, and rpm's own one.
const UNREAD: [&str; 2] = ["Packages", "Packages.db"];

/// What is asked for stands at the beginning of a header; only a few have it behind that.
const BEGINNING: usize = 8 << 10;
/// No header is longer, or it is none (`HEADER_DATA_MAX` of rpm).
const LONGEST_HEADER: usize = 256 << 20;
/// Headers are read so far for their lists of files.
const LONGEST_LIST: usize = 16 << 20;
/// What is longer takes too long to be copied while others wait.
const LONGEST_COPY: u64 = 1 << 30;
/// How often it is tried to read what is being written meanwhile.
const ATTEMPTS: usize = 3;

/// Not packages: keys that packages may be signed with, of which each is one of its own.
const KEYS: &str = "gpg-pubkey";

const PRAGMAS: &str = "
    PRAGMA trusted_schema = OFF;
    PRAGMA cache_size = -1024;
    PRAGMA locking_mode = EXCLUSIVE;
";
const SELECT_NUMBERS: &str = "SELECT hnum FROM Packages LIMIT ?1";

/// Reads the database in the first folder that has one.
pub(super) fn read(folders: &[PathBuf], scratch: &Path) -> io::Result<Facts> {
    for folder in folders {
        let files = files(folder);
        if files[0].exists() {
            return read_database(&files, scratch);
        }
    }
    Ok(Facts::new())
}

/// The database and its log in a folder.
pub(super) fn files(folder: &Path) -> [PathBuf; 2] {
    NAMES.map(|name| folder.join(name))
}

/// Which database a folder has that is not read, and what to do.
pub(super) fn unread(folder: &Path) -> Option<String> {
    let is_there = |name: &&&str| folder.join(name).exists();
    let name = UNREAD.iter().find(is_there)?;
    (!folder.join(NAMES[0]).exists()).then(|| {
        format!(
            "`{}` is no database of SQLite: packages of rpm are not known; `rpmdb --rebuilddb` makes one where rpm is \
             set up for it (`%_db_backend sqlite`)",
            folder.join(name).display()
        )
    })
}

/// Whether some of what a database says stands in its log only.
pub(super) fn is_in_log(folder: &Path) -> bool {
    stamp(&files(folder)[1]).is_some_and(|log| log.size > 0)
}

/// Hands over the number of each package in a database whose log is empty, with what reads its whole header. No other
/// package ever gets the same number.
///
/// # Errors
/// Where it cannot be read, or was written meanwhile.
pub(super) fn each_package(
    folder: &Path,
    mut take: impl FnMut(i64, &dyn Fn() -> io::Result<Vec<u8>>) -> io::Result<()>,
) -> io::Result<()> {
    let files = files(folder);
    let before = files.each_ref().map(|file| stamp(file));
    let connection = open_as_it_is(&files[0]).map_err(io::Error::other)?;
    for number in numbers(&connection).map_err(io::Error::other)? {
        take(number, &|| {
            header(&connection, number).map_err(io::Error::other)
        })?;
    }
    if files.each_ref().map(|file| stamp(file)) == before {
        return Ok(());
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// The key of the package that a whole header describes, and the paths of its files.
pub(super) fn files_of(header: &[u8]) -> Option<(Text, impl Iterator<Item = Vec<u8>>)> {
    let package = header::package(header).ok().flatten()?;
    Some((Manager::Rpm.key(&key(&package)), header::files(header)))
}

fn read_database(files: &[PathBuf; 2], scratch: &Path) -> io::Result<Facts> {
    for _ in 0..ATTEMPTS {
        let before = files.each_ref().map(|file| stamp(file));
        let found = if before[1].is_none_or(|log| log.size == 0) {
            read_as_it_is(&files[0])
        } else {
            read_copy(files, scratch)
        };
        if files.each_ref().map(|file| stamp(file)) == before {
            return found;
        }
    }
    // Told apart: it is to be read again.
    Err(io::Error::new(
        io::ErrorKind::WouldBlock,
        "it is being written",
    ))
}

/// What tells whether a file was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    times: [i64; 4],
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = file.metadata().ok()?;
    Some(Stamp {
        inode: found.ino(),
        size: found.size(),
        times: [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ],
    })
}

fn read_as_it_is(database: &Path) -> io::Result<Facts> {
    let connection = open_as_it_is(database);
    connection
        .and_then(|connection| facts(&connection))
        .map_err(io::Error::other)
}

fn open_as_it_is(database: &Path) -> rusqlite::Result<Connection> {
    let name = percent_encode(database.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // No lock, no log and no index of it: the caller knows that it is not written meanwhile.
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

fn read_copy(files: &[PathBuf; 2], scratch: &Path) -> io::Result<Facts> {
    let copies = Copies(["rpm.copy", "rpm.copy-wal"].map(|name| scratch.join(name)));
    for (from, to) in files.iter().zip(&copies.0) {
        let from = File::open(from)?;
        if from.metadata()?.len() > LONGEST_COPY {
            return Err(io::Error::other("it is too long to be copied"));
        }
        io::copy(&mut from.take(LONGEST_COPY), &mut File::create(to)?)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&copies.0[0], flags);
    connection
        .and_then(|connection| facts(&connection))
        .map_err(io::Error::other)
}

/// Copies that go when they are not needed any more.
struct Copies([PathBuf; 2]);

impl Drop for Copies {
    fn drop(&mut self) {
        for copy in &self.0 {
            if let Err(error) = std::fs::remove_file(copy)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("remove `{}`: {error}", copy.display());
            }
        }
    }
}

fn facts(connection: &Connection) -> rusqlite::Result<Facts> {
    let mut packages = Vec::new();
    for number in numbers(connection)? {
        packages.extend(package(connection, number)?);
    }
    Ok(gather(packages))
}

/// The numbers of all packages.
fn numbers(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection.execute_batch(PRAGMAS)?;
    let mut numbers = connection.prepare(SELECT_NUMBERS)?;
    let most = i64::try_from(MOST_PACKAGES).unwrap_or(i64::MAX);
    let numbers = numbers.query_map([most], |row| row.get(0))?;
    numbers.collect()
}

/// The whole header of a package; of one that is too long the beginning.
fn header(connection: &Connection, number: i64) -> rusqlite::Result<Vec<u8>> {
    let mut header = connection.blob_open(MAIN_DB, "Packages", "blob", number, true)?;
    let mut bytes = vec![0; header.len().min(LONGEST_LIST)];
    read_blob(&mut header, &mut bytes)?;
    Ok(bytes)
}

fn package(connection: &Connection, number: i64) -> rusqlite::Result<Option<Package>> {
    let mut header = connection.blob_open(MAIN_DB, "Packages", "blob", number, true)?;
    let length = header.len().min(LONGEST_HEADER);
    let mut bytes = vec![0; length.min(BEGINNING)];
    read_blob(&mut header, &mut bytes)?;
    if let Ok(package) = header::package(&bytes) {
        return Ok(package);
    }
    let beginning = bytes.len();
    bytes.resize(length, 0);
    read_blob(&mut header, &mut bytes[beginning..])?;
    Ok(header::package(&bytes).unwrap_or(None))
}

fn read_blob(blob: &mut Blob<'_>, into: &mut [u8]) -> rusqlite::Result<()> {
    let read = blob.read_exact(into);
    read.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The facts of packages, of which several versions may be installed beside each other.
fn gather(packages: Vec<Package>) -> Facts {
    let mut all: BTreeMap<String, Vec<Package>> = BTreeMap::new();
    for package in packages {
        all.entry(key(&package)).or_default().push(package);
    }
    let facts = all.into_iter().filter_map(|(key, mut found)| {
        found.sort_by(|one, other| {
            versions::newest_first(Manager::Rpm, &one.version, &other.version)
        });
        let mut found = found.into_iter();
        let Package { version, arch, .. } = found.next()?;
        let also: Vec<String> = found.map(|package| package.version).collect();
        let value = value([(VERSION, version), (ARCH, arch), (ALSO, also.join(", "))]);
        Some((Manager::Rpm.key(&key), value))
    });
    facts.collect()
}

/// The name, as rpm writes it: with the architecture where it is not the host's.
fn key(package: &Package) -> String {
    let Package {
        name,
        version,
        arch,
    } = package;
    // `x86_64_v2` is the host's own, too.
    let is_own = arch.is_empty() || arch == "noarch" || arch.starts_with(consts::ARCH);
    match name.as_str() {
        KEYS => format!("{name}-{version}"),
        _ if is_own => name.clone(),
        _ => format!("{name}.{arch}"),
    }
}

#[cfg(test)]
pub(super) mod tests;
