//! Operations that fail: none of them is a change.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use tests::act;

use crate::daemon;

fn prepare(folder: &Path) {
    fs::write(folder.join("file"), "file\n").unwrap();
    fs::create_dir(folder.join("full")).unwrap();
    fs::write(folder.join("full/file"), "file\n").unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
}

/// Lets a process try what must fail, and nothing be told of it.
fn fails(action: fn(&Path)) {
    let acted = act(daemon, prepare, action);
    assert_eq!(acted.told(), [""; 0]);
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("this must fail").kind()
}

#[test]
fn creating_what_exists_changes_nothing() {
    fails(|folder| {
        let created = File::create_new(folder.join("file"));
        assert_eq!(kind(created), io::ErrorKind::AlreadyExists);
        let created = fs::create_dir(folder.join("empty"));
        assert_eq!(kind(created), io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn creating_in_a_missing_folder_changes_nothing() {
    fails(|folder| {
        let created = File::create(folder.join("missing/file"));
        assert_eq!(kind(created), io::ErrorKind::NotFound);
    });
}

#[test]
fn removing_what_is_missing_changes_nothing() {
    fails(|folder| {
        let removed = fs::remove_file(folder.join("missing"));
        assert_eq!(kind(removed), io::ErrorKind::NotFound);
    });
}

#[test]
fn removing_a_directory_that_is_not_empty_changes_nothing() {
    fails(|folder| {
        let removed = fs::remove_dir(folder.join("full"));
        assert_eq!(kind(removed), io::ErrorKind::DirectoryNotEmpty);
    });
}

#[test]
fn renaming_onto_a_directory_that_is_not_empty_changes_nothing() {
    fails(|folder| {
        let renamed = fs::rename(folder.join("empty"), folder.join("full"));
        assert_eq!(kind(renamed), io::ErrorKind::DirectoryNotEmpty);
    });
}

#[test]
fn linking_onto_what_exists_changes_nothing() {
    fails(|folder| {
        let linked = fs::hard_link(folder.join("file"), folder.join("full/file"));
        assert_eq!(kind(linked), io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_chmod_and_a_write_that_are_not_permitted_change_nothing() {
    fails(|folder| {
        let file = folder.join("file");
        let file = file.to_str().unwrap();
        for line in [["chmod", "777"], ["chown", "1000"], ["touch", "-c"]] {
            let mut command = Command::new(line[0]);
            let status = command.args([line[1], file]).uid(1000).gid(1000).status();
            assert!(!status.unwrap().success(), "{line:?} was permitted");
        }
    });
}
