//! What happens to the watched tree's own directory: it is removed, renamed or replaced.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use tests::{Daemon, Options, wait_for};

fn start(name: &'static str) -> Daemon {
    let daemon = Daemon::start(&Options {
        name,
        settings: "mode = \"trampolines\"".to_owned(),
        ..Options::default()
    });
    fs::write(daemon.tree().join("file"), "before\n").unwrap();
    daemon.one(daemon.tree().join("file"));
    daemon
}

/// Waits until the newest change of a file has this size after it.
fn sized(daemon: &Daemon, path: &Path, size: u64) -> Value {
    wait_for("the file is known as it is", || {
        let changes = daemon.who(path);
        let newest = changes
            .first()
            .filter(|change| change["after"]["size"] == size);
        newest.cloned().ok_or_else(|| format!("{changes:#?}"))
    })
}

/// What is written to the file of the tree is told at once, as one change.
fn is_watched(daemon: &Daemon) {
    let path = daemon.tree().join("file");
    let known = daemon.who(&path).len();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"watched\n").unwrap();
    drop(file);
    let changes = daemon.who(&path);
    assert_eq!(changes.len(), known + 1, "{changes:#?}");
    assert_eq!(changes[0]["op"], "modify", "{changes:#?}");
    assert_eq!(changes[0]["certainty"], "exact", "{changes:#?}");
    assert_eq!(changes[0]["actor"]["process"]["pid"], std::process::id());
}

#[test]
fn a_watched_tree_that_is_removed_and_made_again_is_watched_again() {
    let daemon = start("root-removed");
    fs::remove_dir_all(daemon.tree()).unwrap();
    fs::create_dir(daemon.tree()).unwrap();
    fs::write(daemon.tree().join("file"), "made again\n").unwrap();
    sized(&daemon, &daemon.tree().join("file"), 11);
    is_watched(&daemon);
}

#[test]
fn a_directory_that_takes_the_place_of_a_watched_tree_is_watched() {
    let daemon = start("root-replaced");
    let (new, old) = (daemon.outside().join("new"), daemon.outside().join("old"));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("file"), "of the new one\n").unwrap();
    fs::rename(daemon.tree(), &old).unwrap();
    fs::rename(&new, daemon.tree()).unwrap();
    sized(&daemon, &daemon.tree().join("file"), 15);
    is_watched(&daemon);
}

#[test]
fn a_watched_tree_that_is_put_aside_is_watched_no_more_until_it_is_back() {
    let daemon = start("root-moved");
    let aside = daemon.outside().join("aside");
    let path = daemon.tree().join("file");
    fs::rename(daemon.tree(), &aside).unwrap();
    // By another than who moved it, so that one change does not hide in the other.
    wait_for("the tree is known to be gone", || {
        let changes = daemon.newest(100);
        let is_told = changes.iter().any(|change| {
            let names = [&change["subject"]["key"], &change["from"]];
            names
                .iter()
                .any(|name| **name == *daemon.tree().to_str().unwrap())
        });
        is_told.then_some(()).ok_or_else(|| format!("{changes:#?}"))
    });
    let known = daemon.newest(100);
    fs::write(aside.join("file"), "while it was aside\n").unwrap();
    assert_eq!(daemon.newest(100), known, "what is aside is not watched");
    fs::rename(&aside, daemon.tree()).unwrap();
    sized(&daemon, &path, 19);
    is_watched(&daemon);
}
