//! Headers and databases of rpm, as rpm writes them and as nobody should.

use std::fs;

use super::header::tests::of;
pub(in super::super) use super::header::tests::with_files;
use super::*;

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.folder()).unwrap();
        fs::create_dir(host.scratch()).unwrap();
        host
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("rpm")
    }

    fn scratch(&self) -> PathBuf {
        self.0.path().join("scratch")
    }

    fn open(&self) -> Connection {
        open(&self.folder())
    }

    fn read(&self) -> io::Result<Facts> {
        read(
            &[self.0.path().join("none"), self.folder()],
            &self.scratch(),
        )
    }

    /// Each package as `key version (also)`.
    fn packages(&self) -> Vec<String> {
        let facts = self.read().unwrap();
        let one = |(key, value): (&Text, &change::FactValue)| {
            let also = value.attribute(ALSO);
            let also = also.map_or_else(String::new, |also| format!(" ({also})"));
            format!("{key} {}{also}", value.attribute(VERSION).unwrap())
        };
        facts.iter().map(one).collect()
    }

    /// What there is, with when and what it was last written.
    fn trace(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let both = [self.folder(), self.scratch()];
        let entries = both.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        all.sort();
        all
    }
}

/// Opens the database in a folder as rpm does.
pub(in super::super) fn open(folder: &Path) -> Connection {
    let connection = Connection::open(&files(folder)[0]).unwrap();
    let schema = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE IF NOT EXISTS Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);";
    connection.execute_batch(schema).unwrap();
    connection
}

pub(in super::super) fn insert(into: &Connection, header: &[u8]) {
    into.execute("INSERT INTO Packages (blob) VALUES (?1)", [header])
        .unwrap();
}

#[test]
fn packages_are_read_and_nothing_is_written() {
    let host = Host::new();
    assert!(host.read().unwrap().is_empty());
    let database = host.open();
    let own = consts::ARCH;
    insert(&database, &of("bash", "5.2", own, 0));
    insert(&database, &of("glibc", "2.38", own, 100_000));
    insert(&database, &of("glibc", "2.38", "i686", 0));
    insert(&database, &of("filesystem", "3.18", "noarch", 0));
    for version in ["6.5.6", "6.10.1", "6.5.12"] {
        insert(&database, &of("kernel-core", version, own, 9_000));
    }
    insert(&database, &of("gpg-pubkey", "18b8e74c", "", 0));
    insert(&database, &of("gpg-pubkey", "a15b79cc", "", 0));
    insert(&database, b"no header");
    drop(database);
    let before = host.trace();
    assert_eq!(before.len(), 1, "all is in the database itself: {before:?}");
    assert_eq!(
        host.packages(),
        [
            "rpm/bash 5.2-1",
            "rpm/filesystem 3.18-1",
            "rpm/glibc 2.38-1",
            "rpm/glibc.i686 2.38-1",
            "rpm/gpg-pubkey-18b8e74c-1 18b8e74c-1",
            "rpm/gpg-pubkey-a15b79cc-1 a15b79cc-1",
            "rpm/kernel-core 6.10.1-1 (6.5.12-1, 6.5.6-1)",
        ]
    );
    assert_eq!(host.trace(), before);
}

#[test]
fn what_is_in_the_log_only_is_read_without_touching_it() {
    let host = Host::new();
    let database = host.open();
    insert(&database, &of("bash", "5.1", "noarch", 0));
    database
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    assert_eq!(host.packages(), ["rpm/bash 5.1-1"]);
    database
        .execute_batch("BEGIN; DELETE FROM Packages")
        .unwrap();
    insert(&database, &of("bash", "5.2", "noarch", 0));
    assert_eq!(host.packages(), ["rpm/bash 5.1-1"], "it is not committed");
    database.execute_batch("COMMIT").unwrap();
    let before = host.trace();
    assert_eq!(host.packages(), ["rpm/bash 5.2-1"]);
    assert_eq!(host.trace(), before);
}

#[test]
fn a_database_that_is_damaged_or_none_is_an_error_and_no_end() {
    let host = Host::new();
    fs::write(&files(&host.folder())[0], b"no database").unwrap();
    assert!(host.read().is_err());
    fs::remove_file(&files(&host.folder())[0]).unwrap();
    drop(host.open());
    let mut bytes = fs::read(&files(&host.folder())[0]).unwrap();
    bytes[100..].fill(0xff);
    fs::write(&files(&host.folder())[0], bytes).unwrap();
    assert!(host.read().is_err());
}

#[test]
fn another_database_than_sqlite_s_is_told() {
    let host = Host::new();
    assert_eq!(unread(&host.folder()), None);
    fs::write(host.folder().join("Packages"), "").unwrap();
    assert!(unread(&host.folder()).unwrap().contains("/rpm/Packages`"));
    drop(host.open());
    assert_eq!(unread(&host.folder()), None);
}

#[test]
fn thousands_of_packages_are_read_in_no_time() {
    let host = Host::new();
    let database = host.open();
    database.execute_batch("BEGIN").unwrap();
    for number in 0..2000 {
        let mut header = of(&format!("package-{number}"), "1", "noarch", 0);
        header.resize(50_000, 0);
        insert(&database, &header);
    }
    database.execute_batch("COMMIT").unwrap();
    drop(database);
    let begun = std::time::Instant::now();
    assert_eq!(host.packages().len(), 2000);
    println!("2000 packages in {:?}", begun.elapsed());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}
