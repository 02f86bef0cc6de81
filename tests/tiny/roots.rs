//! What happens to the watched tree's own directory: it is removed, renamed or replaced.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::wait_for;

use crate::daemon;

/// Where these trees lie, each in a folder of its own.
const TREES: &str = "/var/lib/tracer-roots";

/// Makes the trees that the shared daemon watches for these tests.
pub(crate) fn make() -> [PathBuf; 3] {
    ["removed", "replaced", "aside"].map(|name| {
        let tree = Root::of(name).tree();
        fs::create_dir_all(&tree).unwrap();
        tree
    })
}

/// A folder with a watched tree in it, and with much beside it that is not watched.
struct Root(PathBuf);

impl Root {
    fn of(name: &str) -> Self {
        Self(Path::new(TREES).join(name))
    }

    /// With a file in its tree that the daemon knows.
    fn ready(name: &str) -> Self {
        let root = Self::of(name);
        daemon();
        fs::write(root.file(), "before\n").unwrap();
        daemon().one(root.file());
        root
    }

    fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    fn file(&self) -> PathBuf {
        self.tree().join("file")
    }
}

/// A path where nothing is watched.
fn outside(name: &str) -> PathBuf {
    let outside = Path::new(TREES).join("outside");
    fs::create_dir_all(&outside).unwrap();
    outside.join(name)
}

/// Waits until the newest change of a file has this size after it.
fn sized(path: &Path, size: u64) -> Value {
    wait_for("the file is known as it is", || {
        let changes = daemon().who(path);
        let newest = changes
            .first()
            .filter(|change| change["after"]["size"] == size);
        newest.cloned().ok_or_else(|| format!("{changes:#?}"))
    })
}

/// What is written to the file of the tree is told at once, as one change.
fn is_watched(path: &Path) {
    let known = daemon().who(path).len();
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"watched\n").unwrap();
    drop(file);
    let changes = daemon().who(path);
    assert_eq!(changes.len(), known + 1, "{changes:#?}");
    assert_eq!(changes[0]["op"], "modify", "{changes:#?}");
    assert_eq!(changes[0]["certainty"], "exact", "{changes:#?}");
    assert_eq!(changes[0]["actor"]["process"]["pid"], std::process::id());
}

#[test]
fn a_watched_tree_that_is_removed_and_made_again_is_watched_again() {
    let root = Root::ready("removed");
    fs::remove_dir_all(root.tree()).unwrap();
    fs::create_dir(root.tree()).unwrap();
    fs::write(root.file(), "made again\n").unwrap();
    sized(&root.file(), 11);
    is_watched(&root.file());
}

#[test]
fn a_directory_that_takes_the_place_of_a_watched_tree_is_watched() {
    let root = Root::ready("replaced");
    let (new, old) = (outside("new"), outside("old"));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("file"), "of the new one\n").unwrap();
    fs::rename(root.tree(), &old).unwrap();
    fs::rename(&new, root.tree()).unwrap();
    sized(&root.file(), 15);
    is_watched(&root.file());
}

#[test]
fn a_watched_tree_that_is_put_aside_is_watched_no_more_until_it_is_back() {
    let root = Root::ready("aside");
    let aside = outside("aside");
    fs::rename(root.tree(), &aside).unwrap();
    // By another than who moved it, so that one change does not hide in the other.
    wait_for("the tree is known to be gone", || {
        let changes = daemon().newest(100);
        let is_told = changes.iter().any(|change| {
            let names = [&change["subject"]["key"], &change["from"]];
            names
                .iter()
                .any(|name| **name == *root.tree().to_str().unwrap())
        });
        is_told.then_some(()).ok_or_else(|| format!("{changes:#?}"))
    });
    let known = daemon().newest(100);
    fs::write(aside.join("file"), "while it was aside\n").unwrap();
    assert_eq!(daemon().newest(100), known, "what is aside is not watched");
    fs::rename(&aside, root.tree()).unwrap();
    sized(&root.file(), 19);
    is_watched(&root.file());
}
