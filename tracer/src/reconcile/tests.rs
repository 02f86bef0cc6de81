//! Trees in a temporary folder, compared with facts kept in a map.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::capture::CaptureConfig;

struct Host {
    folder: tempfile::TempDir,
    facts: BTreeMap<Text, KnownFile>,
    exact_since: Option<Began>,
}

struct Known(Vec<KnownFile>);

impl KnownFiles for Known {
    fn next_files(&mut self, after: Option<&Text>, _limit: usize) -> io::Result<Vec<KnownFile>> {
        let behind = self.0.iter().filter(|fact| Some(&fact.path) > after);
        // Fewer than asked for, so that the small trees of these tests take several pages.
        Ok(behind.take(3).cloned().collect())
    }
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        Self {
            folder,
            facts: BTreeMap::new(),
            exact_since: None,
        }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join("tree").join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.join(name).parent().unwrap()).unwrap();
        fs::write(self.join(name), content).unwrap();
    }

    /// Compares, applies the differences to the facts, and gives them as `Kind name`.
    fn reconcile(&mut self) -> Vec<String> {
        let tree = self.folder.path().join("tree");
        let pattern = tree.to_str().unwrap().to_owned();
        let trees = Trees::discover(&[pattern], &["*.swp".to_owned()], Path::new("/none")).unwrap();
        let capture = Capture::new(CaptureConfig::default()).unwrap();
        let mut known = Known(self.facts.values().cloned().collect());
        let reconcile = Reconcile {
            trees: &trees,
            capture: &capture,
            exact_since: self.exact_since,
        };
        let mut told = Vec::new();
        let facts = &mut self.facts;
        let mut sink = |difference: Difference| {
            let Difference {
                path,
                kind,
                before,
                found,
                contested,
            } = difference;
            assert_eq!(before.as_ref(), facts.get(&path).map(|fact| &fact.state));
            let name = path::below(path.as_bytes(), tree.as_os_str().as_encoded_bytes()).unwrap();
            let mark = if contested { " contested" } else { "" };
            told.push(format!("{kind:?} {}{mark}", String::from_utf8_lossy(name)));
            match found {
                None => drop(facts.remove(&path)),
                Some(found) => {
                    let fact = KnownFile {
                        path: path.clone(),
                        state: found.state,
                        identity: Some(found.identity),
                    };
                    facts.insert(path, fact);
                }
            }
            Ok(())
        };
        reconcile.run(&mut known, &mut sink).unwrap();
        told
    }
}

#[test]
fn at_the_first_start_all_is_new_in_the_byte_order_of_the_paths() {
    let mut host = Host::new();
    host.write("a/b", "");
    host.write("a.b/c", "");
    host.write("a-b", "");
    host.write("a/.x.swp", "");
    symlink("nowhere", host.join("z")).unwrap();
    assert_eq!(
        host.reconcile(),
        [
            "New ",
            "New a",
            "New a-b",
            "New a.b",
            "New a.b/c",
            "New a/b",
            "New z"
        ]
    );
    let paths: Vec<_> = host.facts.keys().collect();
    assert!(paths.is_sorted());
    assert_eq!(host.reconcile(), Vec::<String>::new());
}

#[test]
fn what_changed_meanwhile_is_told_by_its_sort() {
    let mut host = Host::new();
    for name in ["same", "content", "mode", "gone", "dir/gone", "replaced"] {
        host.write(name, "before");
    }
    host.reconcile();
    host.write("content", "after!");
    fs::set_permissions(host.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(host.join("gone")).unwrap();
    fs::remove_dir_all(host.join("dir")).unwrap();
    host.write("new", "x");
    host.write("copy", "before");
    fs::rename(host.join("copy"), host.join("replaced")).unwrap();
    assert_eq!(
        host.reconcile(),
        [
            "Same ",
            "Changed content",
            "Gone dir",
            "Gone dir/gone",
            "Gone gone",
            "Changed mode",
            "New new",
            "Same replaced",
        ]
    );
    assert_eq!(host.reconcile(), Vec::<String>::new());
}

#[test]
fn what_is_newer_than_the_probes_is_left_to_them() {
    let mut host = Host::new();
    host.write("a", "x");
    host.write("b", "x");
    host.reconcile();
    let newest = host.facts.values().filter_map(|fact| fact.identity);
    let newest = newest.map(|identity| identity.ctime_ns).max().unwrap();
    let began = Timestamp::from_nanos(newest - 1_000_000_000);
    host.exact_since = Some(Began {
        earliest: began,
        latest: began,
    });
    host.write("a", "changed");
    host.write("c", "new");
    fs::remove_file(host.join("b")).unwrap();
    assert_eq!(host.reconcile(), ["Gone b contested"]);
}

#[test]
fn what_changed_as_the_watching_began_may_be_told_by_either() {
    let mut host = Host::new();
    host.write("a", "x");
    host.reconcile();
    let before = Began::now();
    // Longer than any tick: what changes from now on bears a later time than `before`.
    std::thread::sleep(std::time::Duration::from_millis(30));
    host.write("a", "changed");
    host.write("b", "new");
    host.exact_since = Some(Began {
        latest: Began::now().latest,
        ..before
    });
    let told = ["Changed a contested", "New b contested"];
    let told_of_files = |told: Vec<String>| -> Vec<String> {
        let is_file = |line: &String| line.split(' ').nth(1) != Some("");
        told.into_iter().filter(is_file).collect()
    };
    assert_eq!(told_of_files(host.reconcile()), told);
}

#[test]
fn content_that_was_unknown_is_learned_without_a_change() {
    let mut host = Host::new();
    host.write("a", "x");
    host.reconcile();
    for unknown in [ContentState::MovedOn, ContentState::Shed] {
        let fact = host.facts.values_mut().last().unwrap();
        fact.state.hash = None;
        fact.state.content = unknown;
        assert_eq!(host.reconcile(), ["Same a"]);
        let learned = host.facts.values().last().unwrap();
        assert_eq!(learned.state.content, ContentState::Kept);
    }
}

#[test]
fn facts_outside_the_trees_are_left_alone() {
    let mut host = Host::new();
    host.reconcile();
    for path in ["/aaa", "/zzz"] {
        let fact = KnownFile {
            path: Text::from(path),
            state: FileState::default(),
            identity: None,
        };
        host.facts.insert(fact.path.clone(), fact);
    }
    assert_eq!(host.reconcile(), Vec::<String>::new());
}

#[test]
fn a_tree_that_is_gone_is_told_with_all_that_was_in_it() {
    let mut host = Host::new();
    host.write("a/b", "");
    host.reconcile();
    fs::remove_dir_all(host.join("")).unwrap();
    assert_eq!(host.reconcile(), ["Gone ", "Gone a", "Gone a/b"]);
}

#[test]
fn a_difference_holds_while_the_file_is_where_it_was_found() {
    let host = Host::new();
    host.write("new", "x");
    let path = Text::from(host.join("new").as_os_str().as_encoded_bytes());
    let capture = Capture::new(CaptureConfig::default()).unwrap();
    let Captured::Found(found) = capture.read(&path, None) else {
        panic!("it is there");
    };
    let made = Difference {
        path: path.clone(),
        kind: DifferenceKind::New,
        before: None,
        found: Some(*found),
        contested: false,
    };
    let gone = Difference {
        kind: DifferenceKind::Gone,
        before: Some(FileState::default()),
        found: None,
        path,
        contested: false,
    };
    assert!(made.holds() && !gone.holds());
    host.write("new", "written on");
    assert!(made.holds());
    fs::rename(host.join("new"), host.join("renamed")).unwrap();
    assert!(!made.holds() && gone.holds());
    host.write("new", "another one");
    assert!(!made.holds());
}
