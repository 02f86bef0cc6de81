//! Runs, as this kernel tells of them: what is typed at a terminal is a job of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tests::wait_for;

use crate::daemon;

/// Types lines into a shell on a terminal of its own, the last of which is to end it; gives its
/// process id.
fn typed(lines: &[&str]) -> u32 {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let terminal = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    let terminal = || Stdio::from(terminal.try_clone().unwrap());
    let mut setsid = Command::new("setsid");
    setsid.args(["-c", "sh", "-i"]).env("PS1", "");
    let mut shell = setsid
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn()
        .unwrap();
    let mut master = File::from(master);
    // What is printed must be read, or the shell waits for room.
    let mut screen = master.try_clone().unwrap();
    thread::spawn(move || screen.read_to_end(&mut Vec::new()));
    for line in lines {
        master.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    let ended = shell.wait().unwrap();
    assert!(ended.success(), "{ended}");
    shell.id()
}

fn run_of(path: &Path) -> Value {
    let change = daemon().one(path);
    let run = change["run"].to_string();
    let found = daemon().ask(&["runs", &run]);
    let found = found.first().cloned();
    found.unwrap_or_else(|| panic!("no run owns it: {change:#}"))
}

#[test]
fn what_is_typed_at_a_terminal_is_a_run() {
    let folder = daemon().tree().join("typed");
    fs::create_dir(&folder).unwrap();
    let at = folder.display();
    let shell = typed(&[
        &format!("/usr/bin/cp /usr/lib/tracer-tests/run {at}/copied"),
        &format!("echo $(/usr/bin/cp /usr/lib/tracer-tests/run {at}/asked)"),
        &format!("echo > {at}/by-shell"),
        &format!("(/usr/bin/mkdir {at}/below; /usr/bin/touch {at}/below/x)"),
        "exit 0",
    ]);
    let copy = run_of(&folder.join("copied"));
    assert_eq!(copy["kind"], "command", "{copy:#}");
    assert_eq!(copy["tool"], "cp", "{copy:#}");
    assert_eq!(copy["exit_code"], 0, "{copy:#}");
    assert_eq!(copy["changes"], 1, "{copy:#}");
    let above = &copy["actor"]["ancestry"][0];
    assert_eq!(above["pid"], shell, "{copy:#}");
    // The shell asked for it, and wrote the other one itself.
    for name in ["asked", "by-shell"] {
        let change = daemon().one(folder.join(name));
        assert_eq!(change["run"], Value::Null, "{change:#}");
    }
    assert_eq!(run_of(&folder.join("below"))["tool"], "mkdir");
    assert_eq!(run_of(&folder.join("below/x"))["tool"], "touch");
}

#[test]
fn a_package_manager_owns_what_its_children_change() {
    let folder = daemon().tree().join("packages");
    fs::create_dir(&folder).unwrap();
    let apt = daemon().outside().join("apt");
    let script = "#!/bin/sh\n/usr/bin/cp /usr/lib/tracer-tests/run $1/a\n(/usr/bin/touch $1/b) &\nwait\nexit 3\n";
    fs::write(&apt, script).unwrap();
    fs::set_permissions(&apt, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = Command::new(&apt).arg(&folder).status().unwrap();
    assert_eq!(ended.code(), Some(3));
    let run = wait_for("the end of the run is told", || {
        let run = run_of(&folder.join("a"));
        let is_over = run["exit_code"] == 3;
        is_over.then(|| run.clone()).ok_or(format!("{run:#}"))
    });
    assert_eq!(run["kind"], "package-manager", "{run:#}");
    assert_eq!(run["tool"], "apt", "{run:#}");
    assert_eq!(run_of(&folder.join("b"))["id"], run["id"]);
    let owned = daemon().ask(&["log", "--run", &run["id"].to_string()]);
    assert_eq!(owned.len(), 2, "{owned:#?}");
    assert!(
        owned
            .iter()
            .all(|change| change["actor"]["by"] == "package-manager")
    );
}
