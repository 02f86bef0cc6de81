//! The daemon end to end on the host that runs the tests, watching a tree of its own by fanotify:
//! it is not for tests to put programs at the functions of this kernel.

mod accounts;
mod durable;
mod hostile;
mod machine;
mod packages;
mod push;
mod secrets;
mod settings;
mod ways;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::{Daemon, Options, run, wait_for};

fn start() -> Daemon {
    Daemon::start(&Options {
        name: "host",
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    })
}

/// Runs a script in the watched tree and returns the process id of its shell.
fn shell(daemon: &Daemon, script: &str) -> u32 {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", script])
        .current_dir(daemon.tree())
        .stdin(Stdio::null());
    let mut child = shell.spawn().unwrap();
    assert!(child.wait().unwrap().success(), "`{script}` failed");
    child.id()
}

fn name(change: &Value, daemon: &Daemon) -> String {
    let key = change["subject"]["key"].as_str().unwrap();
    let name = Path::new(key).strip_prefix(daemon.tree()).unwrap();
    let op = change["op"].as_str().unwrap();
    format!("{op} {}", name.display())
}

fn is_exact(change: &Value) {
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["actor"]["user"]["uid"], 0, "{change:#}");
}

#[test]
fn a_new_file_names_even_a_writer_that_lived_for_a_moment() {
    let daemon = start();
    let shell = shell(&daemon, "/bin/cp /etc/hostname file; true");
    let change = daemon.one(daemon.tree().join("file"));
    assert_eq!(change["op"], "create", "{change:#}");
    is_exact(&change);
    let process = &change["actor"]["process"];
    let exe = fs::canonicalize("/bin/cp").unwrap();
    assert_eq!(process["exe"], exe.to_str().unwrap(), "{change:#}");
    let argv = serde_json::json!(["/bin/cp", "/etc/hostname", "file"]);
    assert_eq!(process["argv"], argv, "{change:#}");
    assert_eq!(change["actor"]["ancestry"][0]["pid"], shell, "{change:#}");
}

#[test]
fn an_edit_has_its_diff_and_its_writer() {
    let daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "one\ntwo\n").unwrap();
    daemon.one(&path);
    let shell = shell(&daemon, "echo three >> file");
    let changes = daemon.who(&path);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let change = &changes[0];
    assert_eq!(change["op"], "modify", "{change:#}");
    is_exact(change);
    assert_eq!(change["actor"]["process"]["pid"], shell, "{change:#}");
    assert_eq!(change["before"]["size"], 8, "{change:#}");
    assert_eq!(change["after"]["size"], 14, "{change:#}");
    let diff = change["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("+three"), "{change:#}");
}

#[test]
fn an_answer_has_what_was_done_just_before() {
    let daemon = start();
    for file in 0..30 {
        let path = daemon.tree().join(file.to_string());
        fs::write(&path, "new\n").unwrap();
        assert_eq!(daemon.one(&path)["op"], "create");
    }
}

#[test]
fn sed_in_place_is_one_modify() {
    let daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "one\ntwo\n").unwrap();
    daemon.one(&path);
    shell(&daemon, "sed -i s/two/2/ file");
    let changes = daemon.log(daemon.tree());
    let told: Vec<_> = changes.iter().map(|change| name(change, &daemon)).collect();
    assert_eq!(told, ["modify file", "create file"], "{changes:#?}");
    is_exact(&changes[0]);
    let notes = serde_json::json!(["replaced"]);
    assert_eq!(changes[0]["notes"], notes, "{:#}", changes[0]);
    let argv = serde_json::json!(["sed", "-i", "s/two/2/", "file"]);
    assert_eq!(changes[0]["actor"]["process"]["argv"], argv);
}

#[test]
fn a_rename_over_a_file_and_a_delete_are_told() {
    let daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "old\n").unwrap();
    daemon.one(&path);
    shell(&daemon, "echo newer > prepared && mv prepared file");
    let change = daemon.who(&path).remove(0);
    assert_eq!(change["op"], "modify", "{change:#}");
    assert_eq!(change["after"]["size"], 6, "{change:#}");
    let shell = shell(&daemon, "rm file; true");
    let change = daemon.who(&path).remove(0);
    assert_eq!(change["op"], "delete", "{change:#}");
    assert_eq!(change["after"], Value::Null, "{change:#}");
    is_exact(&change);
    assert_eq!(change["actor"]["ancestry"][0]["pid"], shell, "{change:#}");
}

#[test]
fn a_rename_has_both_names() {
    let daemon = start();
    fs::write(daemon.tree().join("file"), "x\n").unwrap();
    daemon.one(daemon.tree().join("file"));
    shell(&daemon, "mv file moved; true");
    let change = daemon.who(daemon.tree().join("moved")).remove(0);
    assert_eq!(change["op"], "rename", "{change:#}");
    let from = daemon.tree().join("file");
    assert_eq!(change["from"], from.to_str().unwrap(), "{change:#}");
}

#[test]
fn a_loop_that_appends_is_one_change() {
    let daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "0\n").unwrap();
    daemon.one(&path);
    shell(&daemon, "for i in $(seq 200); do echo $i >> file; done");
    let changes = daemon.who(&path);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    is_exact(&changes[0]);
    let diff = changes[0]["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("+200"), "{diff}");
}

#[test]
fn folders_that_are_made_at_once_hide_nothing() {
    let daemon = start();
    shell(&daemon, "mkdir -p a/b/c && echo x > a/b/c/file");
    let path = daemon.tree().join("a/b/c/file");
    let change = wait_for("the file in the new folders is told", || {
        daemon.who(&path).pop().ok_or(daemon.read_log())
    });
    assert_eq!(change["op"], "create", "{change:#}");
}

#[test]
fn asked_to_end_it_writes_what_is_in_hand() {
    let mut daemon = start();
    let path = daemon.tree().join("last");
    fs::write(&path, "the last one\n").unwrap();
    assert_eq!(daemon.terminate(), Some(0));
    daemon.start_again();
    let change = daemon.one(&path);
    is_exact(&change);
    assert_eq!(change["actor"]["process"]["pid"], std::process::id());
}

#[test]
fn after_a_kill_nothing_told_is_lost_and_the_rest_is_found_late() {
    let mut daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "before\n").unwrap();
    let told = daemon.one(&path);
    daemon.kill();
    fs::write(&path, "meanwhile\n").unwrap();
    daemon.start_again();
    let changes = daemon.who(&path);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    assert_eq!(changes[1], told);
    assert_eq!(changes[0]["certainty"], "late", "{:#}", changes[0]);
    assert_eq!(changes[0]["actor"], Value::Null, "{:#}", changes[0]);
    assert!(changes[0]["between"].is_array(), "{:#}", changes[0]);
    let gaps = daemon.gaps();
    let stopped = gaps.iter().any(|gap| gap["reason"] == "stopped");
    assert!(stopped, "{gaps:#?}");
}

#[test]
fn doctor_says_what_this_way_of_watching_does_not_see() {
    let daemon = start();
    let status = daemon.status();
    assert_eq!(status["mode"], "fanotify", "{status:#}");
    let asked = run(&mut daemon.command(&["doctor"]));
    assert!(asked.output.contains("fanotify"), "{asked:?}");
    let gaps = daemon.gaps();
    let unseen = gaps.iter().any(|gap| gap["reason"] == "unseen");
    assert!(unseen, "{gaps:#?}");
}

#[test]
fn what_nobody_saw_is_found_by_comparing_now_and_then() {
    let daemon = Daemon::start(&Options {
        name: "comparing",
        settings: "mode = \"fanotify\"\ncompare_seconds = 1".to_owned(),
        ..Options::default()
    });
    let path = daemon.tree().join("file");
    shell(&daemon, "echo one > file");
    daemon.one(&path);
    // Through another name, in a folder that is not watched.
    let other = daemon.outside().join("other");
    fs::hard_link(&path, &other).unwrap();
    fs::write(&other, "two\n").unwrap();
    let change = wait_for("the change is found", || {
        let mut changes = daemon.who(&path);
        if changes[0]["certainty"] == "late" && changes[0]["op"] == "modify" {
            Ok(changes.remove(0))
        } else {
            Err(format!("{changes:#?}"))
        }
    });
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    let diff = change["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("+two"), "{change:#}");
}
