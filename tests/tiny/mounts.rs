//! What is mounted over watched files: it hides them, shows others, and can be unmounted again.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::{run, wait_for};

use crate::daemon;

#[test]
fn a_mount_hides_files_shows_others_and_goes_again() {
    let place = daemon().tree().join("mounted");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("under"), "under\n").unwrap();
    daemon().one(place.join("under"));

    mount(&["-t", "tmpfs", "none"], &place);
    let hidden = late("delete", &place.join("under"));
    assert_eq!(hidden["actor"], Value::Null, "{hidden:#}");
    fs::write(place.join("upon"), "upon\n").unwrap();
    let upon = daemon().one(place.join("upon"));
    assert_eq!(upon["op"], "create", "{upon:#}");
    assert_eq!(upon["certainty"], "exact", "{upon:#}");
    assert_eq!(upon["actor"]["process"]["pid"], std::process::id());

    // Whoever watches must not keep it from being unmounted.
    let umount = run(Command::new("umount").arg(&place));
    assert_eq!(umount.code, Some(0), "{umount:?}");
    late("delete", &place.join("upon"));
    late("create", &place.join("under"));
    fs::write(place.join("under"), "written\n").unwrap();
    let under = daemon().who(place.join("under")).remove(0);
    assert_eq!(under["op"], "modify", "{under:#}");
    assert_eq!(under["certainty"], "exact", "{under:#}");
}

#[test]
fn another_file_system_in_the_same_place_is_another_content() {
    let place = daemon().tree().join("swapped");
    fs::create_dir(&place).unwrap();
    for content in ["one\n", "two\n"] {
        let source = daemon().outside().join(content.trim());
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), content).unwrap();
    }
    mount(&["--bind", &outside("one")], &place);
    let first = late("create", &place.join("file"));
    assert_eq!(first["after"]["size"], 4, "{first:#}");
    mount(&["--bind", &outside("two")], &place);
    let second = late("modify", &place.join("file"));
    let diff = second["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("-one") && diff.contains("+two"), "{diff}");
    // A bind mount shows files that can be changed in their own place, too.
    fs::write(daemon().outside().join("two/file"), "three\n").unwrap();
    let third = daemon().who(place.join("file")).remove(0);
    assert_eq!(third["op"], "modify", "{third:#}");
    assert_eq!(third["certainty"], "exact", "{third:#}");
}

fn outside(name: &str) -> String {
    daemon().outside().join(name).to_str().unwrap().to_owned()
}

fn mount(arguments: &[&str], place: &Path) {
    let mounted = run(Command::new("mount").args(arguments).arg(place));
    assert_eq!(mounted.code, Some(0), "{mounted:?}");
}

/// Waits until comparing has found this change of a file to be its newest.
fn late(op: &str, path: &Path) -> Value {
    wait_for("what the mount changed is found", || {
        let changes = daemon().who(path);
        let newest = changes.first().filter(|change| change["op"] == op);
        let newest = newest.filter(|change| change["certainty"] == "late");
        newest.cloned().ok_or_else(|| format!("{changes:#?}"))
    })
}
