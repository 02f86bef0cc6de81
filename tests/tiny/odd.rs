//! Names, paths and command lines that are rare, and legal.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tests::act;

use crate::daemon;

fn deep(folder: &Path) -> PathBuf {
    let names = (0..60).map(|depth| format!("level-{depth}"));
    names.fold(folder.to_owned(), |path, name| path.join(name))
}

fn told_as(action: fn(&Path), name: &str) {
    let acted = act(daemon, |_| {}, action);
    acted.only("create", name);
    let changes = daemon().who(acted.folder.join(name));
    assert_eq!(changes.len(), 1, "{changes:#?}");
}

#[test]
fn a_name_with_a_newline_is_told_as_it_is() {
    told_as(
        |folder| fs::write(folder.join("two\nlines"), "x").unwrap(),
        "two\nlines",
    );
}

#[test]
fn a_name_with_control_characters_is_told_as_it_is() {
    told_as(
        |folder| fs::write(folder.join("bell\u{7}and\u{1b}[31mred"), "x").unwrap(),
        "bell\u{7}and\u{1b}[31mred",
    );
    let asked = daemon().tracer(&["log", "-n", "1"]);
    assert!(!asked.output.contains('\u{1b}'), "{:?}", asked.output);
}

#[test]
fn a_name_that_is_no_text_keeps_its_bytes() {
    let acted = act(
        daemon,
        |_| {},
        |folder| fs::write(folder.join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap(),
    );
    let [change] = acted.changes.as_slice() else {
        panic!("not one change but {:#?}", acted.changes);
    };
    let encoded = change["subject"]["key_base64"].as_str().unwrap_or_default();
    let key = STANDARD.decode(encoded).expect("it is base64");
    let path = acted.folder.join(OsStr::from_bytes(b"caf\xe9"));
    assert_eq!(key, path.as_os_str().as_bytes(), "{change:#}");
    assert_eq!(daemon().who(path).len(), 1);
}

#[test]
fn a_path_of_sixty_folders_is_told_in_full() {
    let acted = act(
        daemon,
        |folder| fs::create_dir_all(deep(folder)).unwrap(),
        |folder| fs::write(deep(folder).join("file"), "x").unwrap(),
    );
    let path = deep(Path::new("")).join("file");
    acted.only("create", path.to_str().unwrap());
}

#[test]
fn a_long_command_line_is_cut_and_says_so() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let words = vec!["a word in a very long command line"; 30_000];
            let mut shell = Command::new("/bin/busybox");
            shell
                .args(["sh", "-c", "echo x > \"$0\""])
                .arg(folder.join("file"));
            assert!(shell.args(words).status().unwrap().success());
        },
    );
    let [change] = acted.changes.as_slice() else {
        panic!("not one change but {} of them", acted.changes.len());
    };
    let process = &change["actor"]["process"];
    assert_eq!(process["argv_truncated"], true, "{change:#}");
    assert_eq!(process["argv"][1], "sh", "{change:#}");
}

#[test]
fn a_writer_that_lived_only_for_a_moment_is_named() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let mut touch = Command::new("touch");
            assert!(touch.arg(folder.join("file")).status().unwrap().success());
        },
    );
    let [change] = acted.changes.as_slice() else {
        panic!("not one change but {:#?}", acted.changes);
    };
    let process = &change["actor"]["process"];
    assert_eq!(process["exe"], "/usr/bin/busybox", "{change:#}");
    assert_eq!(process["argv"][0], "touch", "{change:#}");
    assert_eq!(
        change["actor"]["ancestry"][0]["pid"], acted.pid,
        "{change:#}"
    );
}
