//! The collector as systemd starts it, in its sandbox, and what a daemon sends to it of a login session.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tests::{Daemon, wait_for};

use crate::stage::{CLIENT, daemon, ssh, succeed, watching};

/// Where xtask puts the program and the files of its unit.
const FILES: &str = "/usr/lib/tracer-tests";
const STATE: &str = "/var/lib/tracer-collector";

/// As docs/collector.md says.
const INSTALL: &str = "
set -e
install -m 644 tracer-collector.sysusers /usr/lib/sysusers.d/tracer-collector.conf
systemd-sysusers
install -m 644 tracer-collector.service /etc/systemd/system/
install -m 755 tracer-collector /usr/local/bin/
systemctl enable --now tracer-collector
";

/// What a command of the collector prints, run as the user of its unit.
fn collector(arguments: &[&str]) -> String {
    let mut command = Command::new("runuser");
    command.args(["-u", "tracer-collector", "--", "tracer-collector"]);
    succeed(command.args(["--state-dir", STATE]).args(arguments))
}

/// What it answers, an object a line.
fn ask(arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new("runuser");
    command.args(["-u", "tracer-collector", "--", "tracer-collector"]);
    command.args(["--state-dir", STATE]).args(arguments);
    tests::objects(command.arg("--json"))
}

/// The changes of a file that have come, newest first, once they are so many.
fn taken(path: &str, count: usize) -> Vec<Value> {
    wait_for("the collector has the changes", || {
        let changes = ask(&["log", "--path", path]);
        let is_all = changes.len() == count;
        is_all
            .then(|| changes.clone())
            .ok_or(format!("{changes:#?}"))
    })
}

fn systemctl(arguments: &[&str]) -> String {
    let told = succeed(Command::new("systemctl").args(arguments));
    told.trim().to_owned()
}

/// A property of the unit.
fn shown(property: &str) -> String {
    systemctl(&[
        "show",
        "--property",
        property,
        "--value",
        "tracer-collector",
    ])
}

#[test]
fn as_a_service_it_takes_what_people_do_with_their_sessions() {
    daemon();
    succeed(Command::new("sh").args(["-c", INSTALL]).current_dir(FILES));
    let status = fs::read_to_string(format!("/proc/{}/status", shown("MainPID"))).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapPrm:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let sending = Daemon::start(&watching("collected"));
    let token = wait_for("the collector makes a token", || {
        let token = collector(&["enrol", "--label", "role=story"]);
        (!token.is_empty()).then_some(token).ok_or(String::new())
    });
    let url = "https://localhost:7443";
    let done = sending.tracer(&["enrol", "--url", url, "--token", token.trim()]);
    assert_eq!(done.code, Some(0), "{done:?}");

    ssh("alice", "sudo touch /etc/collected");
    let made = taken("/etc/collected", 1).remove(0);
    assert_eq!(made["actor"]["login_user"]["name"], "alice", "{made:#}");
    let id = &made["actor"]["session"]["id"];
    let session = wait_for("the session has ended there, too", || {
        let sessions = ask(&["sessions", "--user", "alice"]);
        let found = sessions.iter().find(|one| one["id"] == *id);
        let ended = found.filter(|session| !session["end"].is_null());
        ended.cloned().ok_or_else(|| format!("{id}: {sessions:#?}"))
    });
    assert_eq!(session["remote"], CLIENT, "{session:#}");
    assert_eq!(session["kind"], "ssh", "{session:#}");
    let told = collector(&["who", "/etc/collected"]);
    assert!(told.contains("alice  create /etc/collected"), "{told}");

    // What happens while it is stopped comes as it is back, once.
    systemctl(&["stop", "tracer-collector"]);
    assert_eq!(shown("Result"), "success");
    ssh("alice", "sudo rm /etc/collected");
    systemctl(&["start", "tracer-collector"]);
    let changes = taken("/etc/collected", 2);
    assert_eq!(changes[0]["op"], "delete", "{changes:#?}");
    let found = ask(&["hosts"]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["labels"]["role"], "story", "{found:#?}");
    drop(sending);
    systemctl(&["disable", "--now", "tracer-collector"]);
    assert_eq!(shown("Result"), "success");
}
