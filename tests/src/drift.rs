//! A tree that changes at random, and what the daemon says of each of its past states: what is folded from
//! the log must be what was there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;

use crate::{Chance, Daemon};

/// How many states are looked at, and how much happens from one to the next.
const STATES: usize = 8;
const BETWEEN: usize = 25;

/// Names are few, so that they come again.
const DIRECTORIES: [&str; 4] = ["a", "b", "a/c", "d"];
const FILES: [&str; 4] = ["one", "two", "three", "four"];

/// Stands for a content that the daemon does not know.
const UNKNOWN: &str = "unknown";

/// What is at each path, in words.
type State = BTreeMap<PathBuf, String>;

/// Lets a tree change, by the story that the seed tells, and asserts that the daemon knows each of its states
/// afterwards.
///
/// # Panics
/// When what it says of a moment is not what was there.
pub fn drift(daemon: &Daemon, seed: u64) {
    let tree = daemon.tree().join(format!("drift-{seed}"));
    let outside = daemon.outside().join(format!("drift-{seed}"));
    fs::create_dir(&tree).unwrap();
    let mut chance = Chance::new(seed);
    let (mut states, mut story) = (Vec::<(String, State)>::new(), String::new());
    for _ in 0..STATES {
        for _ in 0..BETWEEN {
            story.push_str(&happen([&tree, &outside], &mut chance));
        }
        // Whoever asks ends what is in the making: what comes is a change of its own.
        daemon.status();
        states.push((jiff::Timestamp::now().to_string(), state_of(&tree)));
        story.push_str("\n--");
        thread::sleep(Duration::from_millis(50));
    }
    for (moment, state) in &states {
        let facts = daemon.ask(&["facts", "--kind", "file", "--at", moment]);
        let told = facts
            .iter()
            .map(|fact| (path_of(fact), told(&fact["value"])));
        let told = told.filter(|(path, _)| is_below(path, &tree));
        let told: State = told.map(|told| as_known(told, state)).collect();
        let log = || brief(&daemon.log(&tree));
        assert_eq!(told, *state, "at {moment}, seed {seed}{story}{}", log());
    }
    for pair in states.windows(2) {
        let [(from, before), (to, after)] = pair else {
            continue;
        };
        let found = daemon.ask(&["diff", "--from", from, "--to", to, "--kind", "file"]);
        let found = found.iter().map(|found| {
            let [before, after] = ["before", "after"].map(|side| told(&found[side]));
            (path_of(found), [before, after])
        });
        let found: BTreeMap<_, _> = found.filter(|(path, _)| is_below(path, &tree)).collect();
        let is_true = |(path, [was, is]): (&PathBuf, &[String; 2])| {
            let at = |state: &State| state.get(path).cloned().unwrap_or_default();
            let is_it =
                |told: &String, true_one: String| *told == true_one || told.ends_with(UNKNOWN);
            is_it(was, at(before)) && is_it(is, at(after))
        };
        assert!(
            found.iter().all(is_true),
            "{from} to {to}, seed {seed}: {found:#?}\n{before:#?}\n{after:#?}"
        );
        let is_content = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let differing = before.keys().chain(after.keys()).filter(is_content);
        for path in differing {
            let is_found = found.contains_key(path);
            assert!(
                is_found,
                "{from} to {to}, seed {seed}: nothing of {}",
                path.display()
            );
        }
    }
}

/// What a failure shows of changes, oldest first.
fn brief(changes: &[Value]) -> String {
    let lines = changes.iter().rev().map(|change| {
        let [before, after] = ["before", "after"].map(|side| told(&change[side]));
        format!(
            "\n    {} {} {} from {}: {before} → {after} {}",
            change["time"], change["op"], change["subject"]["key"], change["from"], change["notes"]
        )
    });
    lines.collect()
}

fn path_of(item: &Value) -> PathBuf {
    item["subject"]["key"].as_str().unwrap_or_default().into()
}

fn is_below(path: &Path, tree: &Path) -> bool {
    path != tree && path.starts_with(tree)
}

/// What the daemon says of a file; nothing of none.
fn told(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let mode = value["mode"].as_str().unwrap_or_default();
    let what = match value["type"].as_str() {
        Some("symlink") => value["target"].as_str(),
        Some("directory") => Some("directory"),
        _ => value["hash"].as_str(),
    };
    format!("{mode} {}", what.unwrap_or(UNKNOWN))
}

/// What was there where the daemon says that it does not know the content: it moved on before it was read.
fn as_known((path, told): (PathBuf, String), state: &State) -> (PathBuf, String) {
    let true_one = state.get(&path).filter(|_| told.ends_with(UNKNOWN));
    let told = true_one.cloned().unwrap_or(told);
    (path, told)
}

/// What is in a tree now.
fn state_of(tree: &Path) -> State {
    let mut state = State::new();
    let mut open = vec![tree.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let what = if found.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if found.is_dir() {
                open.push(path.clone());
                "directory".to_owned()
            } else {
                format!("b3:{}", blake3::hash(&fs::read(&path).unwrap()).to_hex())
            };
            state.insert(path, format!("{:04o} {what}", found.mode() & 0o7777));
        }
    }
    state
}

/// Something happens, or nothing where it cannot; tells what.
fn happen([tree, outside]: [&Path; 2], chance: &mut Chance) -> String {
    let directory = |chance: &mut Chance| tree.join(chance.one_of(&DIRECTORIES));
    let file = |chance: &mut Chance| directory(chance).join(chance.one_of(&FILES));
    let (path, other) = (file(chance), file(chance));
    let (mut from, mut to) = (directory(chance), directory(chance));
    let text = format!("{}\n", chance.number());
    match chance.below(6) {
        0 => outside.clone_into(&mut from),
        1 => outside.clone_into(&mut to),
        _ => {}
    }
    let mode = fs::Permissions::from_mode(chance.one_of(&[0o600, 0o640, 0o755]));
    let (deed, at, done) = match chance.below(14) {
        0..=2 => ("write", [&path, &path], fs::write(&path, text)),
        3 => {
            let file = File::options().append(true).open(&path);
            let done = file.and_then(|mut file| file.write_all(b"more\n"));
            ("append", [&path, &path], done)
        }
        4 => {
            let file = File::options().write(true).open(&path);
            ("cut", [&path, &path], file.and_then(|file| file.set_len(3)))
        }
        5 => ("remove", [&path, &path], fs::remove_file(&path)),
        6 => ("rename", [&path, &other], fs::rename(&path, &other)),
        7 => {
            let saved = path.with_extension("tmp");
            let written = fs::write(&saved, text);
            let done = written.and_then(|()| fs::rename(&saved, &path));
            ("save", [&path, &path], done)
        }
        8 => (
            "link",
            [&path, &path],
            symlink(chance.one_of(&FILES), &path),
        ),
        9 => {
            let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
            let set = || fs::set_permissions(&path, mode);
            ("mode", [&path, &path], if is_link { Ok(()) } else { set() })
        }
        10 => {
            let done = renameat_with(CWD, &path, CWD, &other, RenameFlags::EXCHANGE);
            ("exchange", [&path, &other], done.map_err(Into::into))
        }
        11 => ("rename", [&from, &to], fs::rename(&from, &to)),
        12 if chance.below(3) == 0 => ("remove all", [&from, &from], fs::remove_dir_all(&from)),
        _ => ("make", [&from, &from], fs::create_dir_all(&from)),
    };
    // A name that is not there, or one too many, is as good a case as any.
    match done {
        Ok(()) => format!("\n    {deed} {at:?}"),
        Err(_) => String::new(),
    }
}
