//! Each way to give a file a name, and to take it away.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, RenameFlags};
use serde_json::Value;
use tests::act;

use crate::daemon;

fn prepare(folder: &Path) {
    fs::write(folder.join("file"), "file\n").unwrap();
}

fn prepare_two(folder: &Path) {
    fs::write(folder.join("file"), "file\n").unwrap();
    fs::write(folder.join("other"), "the other\n").unwrap();
}

/// A name outside of the watched tree, for the test of this folder.
fn outside(folder: &Path) -> std::path::PathBuf {
    let name = folder.file_name().unwrap();
    folder.join("../../outside").join(name)
}

#[test]
fn an_unlink_is_a_delete() {
    let acted = act(daemon, prepare, |folder| {
        fs::remove_file(folder.join("file")).unwrap();
    });
    let change = acted.only("delete", "file");
    assert_eq!(change["before"]["size"], 5, "{change:#}");
    assert_eq!(change["after"], Value::Null, "{change:#}");
}

#[test]
fn a_new_directory_is_a_create() {
    let acted = act(
        daemon,
        |_| {},
        |folder| fs::create_dir(folder.join("new")).unwrap(),
    );
    let change = acted.only("create", "new");
    assert_eq!(change["after"]["type"], "directory", "{change:#}");
    assert_eq!(change["after"]["mode"], "0755", "{change:#}");
}

#[test]
fn a_removed_directory_is_a_delete() {
    let acted = act(
        daemon,
        |folder| fs::create_dir(folder.join("old")).unwrap(),
        |folder| fs::remove_dir(folder.join("old")).unwrap(),
    );
    let change = acted.only("delete", "old");
    assert_eq!(change["before"]["type"], "directory", "{change:#}");
}

#[test]
fn a_fifo_is_a_create() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let mode = Mode::from(0o640);
            rustix::fs::mknodat(CWD, folder.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        },
    );
    let change = acted.only("create", "pipe");
    assert_eq!(change["after"]["type"], "fifo", "{change:#}");
    assert_eq!(change["after"]["mode"], "0640", "{change:#}");
}

#[test]
fn a_symbolic_link_is_a_symlink() {
    let acted = act(
        daemon,
        |_| {},
        |folder| symlink("/etc/hosts", folder.join("link")).unwrap(),
    );
    let change = acted.only("symlink", "link");
    assert_eq!(change["after"]["target"], "/etc/hosts", "{change:#}");
}

#[test]
fn a_second_name_is_a_link() {
    let acted = act(daemon, prepare, |folder| {
        fs::hard_link(folder.join("file"), folder.join("second")).unwrap();
    });
    let change = acted.only("link", "second");
    let existing = acted.folder.join("file");
    assert_eq!(change["from"], existing.to_str().unwrap(), "{change:#}");
    assert_eq!(change["after"]["size"], 5, "{change:#}");
}

#[test]
fn a_rename_within_the_tree_is_a_rename() {
    let acted = act(daemon, prepare, |folder| {
        fs::rename(folder.join("file"), folder.join("renamed")).unwrap();
    });
    let change = acted.only("rename", "renamed");
    let old = acted.folder.join("file");
    assert_eq!(change["from"], old.to_str().unwrap(), "{change:#}");
    assert_eq!(
        change["before"]["hash"], change["after"]["hash"],
        "{change:#}"
    );
    assert_eq!(change["after"]["size"], 5, "{change:#}");
}

#[test]
fn a_rename_into_the_tree_is_a_rename() {
    let acted = act(
        daemon,
        |folder| fs::write(outside(folder), "outside\n").unwrap(),
        |folder| fs::rename(outside(folder), folder.join("inside")).unwrap(),
    );
    let change = acted.only("rename", "inside");
    let from = change["from"].as_str().unwrap_or_default();
    assert!(from.contains("/outside/"), "{change:#}");
    assert_eq!(change["after"]["size"], 8, "{change:#}");
}

#[test]
fn a_rename_out_of_the_tree_is_told_of_the_name_that_is_gone() {
    let acted = act(daemon, prepare, |folder| {
        fs::rename(folder.join("file"), outside(folder)).unwrap();
    });
    let changes = daemon().who(acted.folder.join("file"));
    let newest = changes.first().unwrap();
    assert_eq!(newest["op"], "rename", "{changes:#?}");
    let old = acted.folder.join("file");
    assert_eq!(newest["from"], old.to_str().unwrap(), "{changes:#?}");
    assert_eq!(newest["actor"]["process"]["pid"], acted.pid, "{changes:#?}");
}

#[test]
fn a_rename_over_an_older_file_is_a_rename_that_tells_what_was_there() {
    let acted = act(daemon, prepare_two, |folder| {
        fs::rename(folder.join("file"), folder.join("other")).unwrap();
    });
    let change = acted.only("rename", "other");
    assert_eq!(change["before"]["size"], 10, "{change:#}");
    assert_eq!(change["after"]["size"], 5, "{change:#}");
}

#[test]
fn a_new_file_that_is_renamed_over_another_is_one_modify() {
    let acted = act(daemon, prepare, |folder| {
        fs::write(folder.join("file.XyZ"), "better\n").unwrap();
        fs::rename(folder.join("file.XyZ"), folder.join("file")).unwrap();
    });
    let change = acted.only("modify", "file");
    assert_eq!(
        change["notes"],
        serde_json::json!(["replaced"]),
        "{change:#}"
    );
    assert_ne!(
        change["before"]["inode"], change["after"]["inode"],
        "{change:#}"
    );
    assert_eq!(change["before"]["size"], 5, "{change:#}");
    assert_eq!(change["after"]["size"], 7, "{change:#}");
}

#[test]
fn swapped_names_are_two_renames() {
    let acted = act(daemon, prepare_two, |folder| {
        let (one, other) = (folder.join("file"), folder.join("other"));
        rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    });
    let mut told = acted.told();
    told.sort();
    assert_eq!(told, ["rename file", "rename other"]);
}

#[test]
fn files_of_a_renamed_directory_are_known_under_their_new_names() {
    let acted = act(
        daemon,
        |folder| {
            fs::create_dir(folder.join("old")).unwrap();
            fs::write(folder.join("old/file"), "file\n").unwrap();
        },
        |folder| fs::rename(folder.join("old"), folder.join("new")).unwrap(),
    );
    assert_eq!(acted.told(), ["rename new"]);
    let file = acted.folder.join("new/file");
    fs::write(&file, "file, changed\n").unwrap();
    let change = daemon().who(&file).remove(0);
    assert_eq!(change["op"], "modify", "{change:#}");
    assert_eq!(change["before"]["size"], 5, "{change:#}");
}
