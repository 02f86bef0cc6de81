//! From host to collector, with the real programs: enrolled, sent, taken once, asked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Collector, Daemon, Options, wait_for, wait_long_for};

use super::{shell, start};

/// How sending stands.
fn sending(daemon: &Daemon) -> Value {
    daemon.status()["collector"].clone()
}

/// Waits until the collector has all changes, and returns how sending stands.
fn all_sent(daemon: &Daemon) -> Value {
    wait_for("all changes are sent", || {
        let status = daemon.status();
        let sending = &status["collector"];
        // Where there is nothing to send, nothing waits before the collector was ever reached.
        let is_reached = sending["reached"].is_string();
        let is_sent = sending["waiting"] == 0 && sending["sent_seq"] == status["last_seq"];
        (is_reached && is_sent)
            .then(|| sending.clone())
            .ok_or(format!("{status:#}"))
    })
}

fn enrolled(collector: &Collector, daemon: &Daemon) {
    let done = collector.enrol(daemon, &collector.token(&[]));
    assert_eq!(done.code, Some(0), "{done:?}");
}

fn waits_because(daemon: &Daemon, why: &str) -> Value {
    wait_for("sending is refused", || {
        let sending = sending(daemon);
        let problem = sending["problem"].as_str().unwrap_or_default();
        let is_it = problem.contains(why) && sending["failing_since"].is_string();
        is_it.then(|| sending.clone()).ok_or(format!("{sending:#}"))
    })
}

#[test]
fn an_enrolled_host_sends_what_it_has_and_what_comes() {
    let (collector, daemon) = (Collector::start(), start());
    shell(&daemon, "echo before > file");
    daemon.one(daemon.tree().join("file"));
    assert_eq!(sending(&daemon), Value::Null);
    let token = collector.token(&["--label", "role=web"]);
    let done = collector.enrol(&daemon, &token);
    assert_eq!(done.code, Some(0), "{done:?}");
    shell(&daemon, "echo after > file");
    daemon.who(daemon.tree().join("file"));
    all_sent(&daemon);
    let changes = collector.ask(&["log", "--path", &format!("{}/**", daemon.tree().display())]);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let exes: Vec<_> = changes
        .iter()
        .map(|change| &change["actor"]["process"]["exe"])
        .collect();
    let shell = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(exes, [&json!(shell), &json!(shell)]);
    let hosts = collector.ask(&["hosts"]);
    assert_eq!(hosts[0]["labels"]["role"], "web", "{hosts:#?}");
    let again = collector.enrol(&daemon, &token);
    assert!(
        again.code == Some(4) && again.errors.contains("was used"),
        "{again:?}"
    );
}

#[test]
fn what_is_kept_of_the_enrolment_is_the_daemons_alone_and_it_stays_confined() {
    let (collector, daemon) = (Collector::start(), start());
    enrolled(&collector, &daemon);
    all_sent(&daemon);
    let owner = fs::metadata(daemon.state()).unwrap().uid();
    let folder = daemon.state().join("collector");
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in files.chain([folder.clone()]) {
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o077, 0, "{}", path.display());
        assert_eq!(found.uid(), owner, "{}", path.display());
    }
    let authority = fs::metadata(collector.state().join("authority.pem")).unwrap();
    assert_eq!(authority.permissions().mode() & 0o777, 0o600);
    let status = daemon.status();
    let checks = status["doctor"].as_array().unwrap();
    for name in ["own rights", "collector", "collector certificate", "clock"] {
        let check = checks.iter().find(|check| check["name"] == name);
        assert_eq!(check.expect(name)["state"], "ok", "{check:#?}");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_when_the_collector_is_killed() {
    let (mut collector, daemon) = (Collector::start(), start());
    enrolled(&collector, &daemon);
    for round in 0..3 {
        shell(
            &daemon,
            &format!("for i in $(seq 200); do echo $i > {round}-$i; done"),
        );
        collector.kill();
        shell(
            &daemon,
            &format!("for i in $(seq 20); do echo $i > away-{round}-$i; done"),
        );
        collector.start_again(&[]);
    }
    wait_for("the last is told", || {
        let changes = daemon.log(daemon.tree());
        (changes.len() == 660)
            .then_some(())
            .ok_or(changes.len().to_string())
    });
    all_sent(&daemon);
    let mut told: Vec<_> = daemon
        .log(daemon.tree())
        .iter()
        .filter_map(|change| change["seq"].as_u64())
        .collect();
    told.sort_unstable();
    assert_eq!(collector.taken(daemon.tree().as_path()), told);
}

#[test]
fn a_collector_that_was_put_back_gets_again_what_it_lost() {
    let (mut collector, daemon) = (Collector::start(), start());
    enrolled(&collector, &daemon);
    shell(&daemon, "echo 1 > a");
    daemon.one(daemon.tree().join("a"));
    all_sent(&daemon);
    let copy = daemon.outside().join("collector.copy");
    let copy = copy.to_str().unwrap();
    let copied = collector.run(&["backup", copy]);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    shell(&daemon, "for i in $(seq 50); do echo $i > b$i; done");
    daemon.one(daemon.tree().join("b50"));
    all_sent(&daemon);
    collector.kill();
    for entry in fs::read_dir(collector.state()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let restored = collector.run(&["restore", copy]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let lost = collector.taken(daemon.tree().as_path());
    assert_eq!(lost.len(), 1, "{lost:?}");
    collector.start_again(&[]);
    // Who has nothing to send finds out within a minute.
    shell(&daemon, "echo 2 > c");
    daemon.one(daemon.tree().join("c"));
    let told = daemon.log(daemon.tree());
    let mut told: Vec<_> = told
        .iter()
        .filter_map(|change| change["seq"].as_u64())
        .collect();
    told.sort_unstable();
    assert_eq!(told.len(), 52, "{told:?}");
    wait_for("what was lost is sent again", || {
        let taken = collector.taken(daemon.tree().as_path());
        (taken == told)
            .then_some(())
            .ok_or(format!("{taken:?}\n{:#}", sending(&daemon)))
    });
}

#[test]
fn a_host_talks_to_no_collector_but_the_one_of_its_token() {
    let (collector, other, daemon) = (Collector::start(), Collector::start(), start());
    let refused = collector.enrol(&daemon, &other.token(&[]));
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.errors.contains("UnknownIssuer"), "{refused:?}");
    let late = collector.token(&["nobody", "--expires", "1s"]);
    wait_for("the token is too old", || {
        // A token for another host is looked at and not used.
        let refused = collector.enrol(&daemon, &late);
        if refused.errors.contains("was good until") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1100));
        Err(format!("{refused:?}"))
    });
}

#[test]
fn a_revoked_host_waits_until_it_is_enrolled_again() {
    let (collector, daemon) = (Collector::start(), start());
    enrolled(&collector, &daemon);
    all_sent(&daemon);
    let host = daemon.status()["host"].as_str().unwrap().to_owned();
    assert_eq!(collector.run(&["revoke", &host]).code, Some(0));
    shell(&daemon, "echo waits > file");
    daemon.one(daemon.tree().join("file"));
    let waits = waits_because(&daemon, "revoked");
    assert_ne!(waits["waiting"], 0, "{waits:#}");
    assert_eq!(collector.taken(daemon.tree().as_path()), [0_u64; 0]);
    enrolled(&collector, &daemon);
    all_sent(&daemon);
    assert_eq!(collector.taken(daemon.tree().as_path()).len(), 1);
}

#[test]
fn a_log_that_was_set_back_shows_here_and_there() {
    let (collector, mut daemon) = (Collector::start(), start());
    enrolled(&collector, &daemon);
    shell(&daemon, "echo 1 > a");
    daemon.one(daemon.tree().join("a"));
    let copy = daemon.outside().join("copy.db");
    assert_eq!(
        daemon.tracer(&["backup", copy.to_str().unwrap()]).code,
        Some(0)
    );
    shell(&daemon, "echo 2 > b");
    daemon.one(daemon.tree().join("b"));
    let sent = all_sent(&daemon)["sent_seq"].as_u64().unwrap();
    assert_eq!(daemon.terminate(), Some(0));
    for suffix in ["", "-wal", "-shm"] {
        drop(fs::remove_file(
            daemon.state().join(format!("tracer.db{suffix}")),
        ));
    }
    fs::copy(&copy, daemon.state().join("tracer.db")).unwrap();
    let verified = daemon.tracer(&["verify", daemon.state().join("tracer.db").to_str().unwrap()]);
    assert_eq!(verified.code, Some(4), "{verified:?}");
    assert!(verified.errors.contains("countersigned"), "{verified:?}");
    daemon.start_again();
    shell(&daemon, "for i in 1 2 3 4 5; do echo $i > c$i; done");
    wait_for("the store has more changes than were sent", || {
        let last = daemon.status()["last_seq"].as_u64().unwrap();
        (last > sent).then_some(()).ok_or(last.to_string())
    });
    // At once, where it was told to wait after it had seen that the end was missing.
    daemon.kill();
    daemon.start_again();
    waits_because(&daemon, "another one than was sent before");
    let listed = collector.ask(&["hosts"]);
    assert!(listed[0]["rewritten"].is_string(), "{listed:#?}");
    let said = collector.run(&["hosts"]).output;
    assert!(said.contains("REWRITTEN"), "{said}");
}

#[test]
fn only_the_contents_that_may_travel_do() {
    let collector = Collector::start();
    let mut daemon = Daemon::prepare(&Options {
        name: "contents",
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    });
    let config = fs::read_to_string(daemon.config()).unwrap();
    let policy = format!(
        "[collector]\ncontents = ['{}/open/**']\n",
        daemon.tree().display()
    );
    fs::write(daemon.config(), config + &policy).unwrap();
    daemon.start_again();
    enrolled(&collector, &daemon);
    shell(
        &daemon,
        "mkdir open closed; echo travels > open/file; echo stays > closed/file; echo travels > open/same",
    );
    for file in ["open/file", "closed/file", "open/same"] {
        wait_for("the file is told", || {
            daemon
                .who(daemon.tree().join(file))
                .pop()
                .ok_or(file.to_owned())
        });
    }
    all_sent(&daemon);
    let database = collector.state().join("collector.db");
    let log = collector.state().join("collector.db-wal");
    let holds = |text: &str| {
        [&database, &log]
            .iter()
            .any(|path| has_bytes(path, text.as_bytes()))
    };
    assert!(holds("travels\n"), "the content that may travel did not");
    assert!(!holds("stays\n"), "a content travelled that may not");
}

fn has_bytes(path: &Path, wanted: &[u8]) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(wanted.len()).any(|some| some == wanted)
}

#[test]
fn days_away_are_sent_at_once_in_little_memory() {
    let (collector, daemon) = (Collector::start(), start());
    let count = 20_000;
    shell(
        &daemon,
        "for d in $(seq 20); do mkdir d$d; for i in $(seq 1000); do echo $d-$i > d$d/f$i; done; done",
    );
    let patience = Duration::from_mins(5);
    wait_long_for("all files are told", patience, || {
        let last = daemon.status()["last_seq"].as_u64().unwrap();
        (last >= count).then_some(()).ok_or(last.to_string())
    });
    enrolled(&collector, &daemon);
    wait_long_for("all changes are sent", patience, || {
        let status = daemon.status();
        let is_sent = status["collector"]["sent_seq"] == status["last_seq"];
        is_sent
            .then_some(())
            .ok_or(format!("{:#}", status["collector"]))
    });
    let last = daemon.status()["last_seq"].as_u64().unwrap();
    let hosts = collector.ask(&["hosts"]);
    assert_eq!(hosts[0]["durable_seq"], last, "{hosts:#?}");
    let taken = collector.taken(daemon.tree().as_path());
    assert!(taken.len() as u64 >= count, "{}", taken.len());
    assert!(
        taken.is_sorted_by(|one, next| one < next),
        "a number came twice"
    );
    daemon.is_small();
}

#[test]
fn certificates_are_renewed_before_they_end() {
    let (mut collector, daemon) = (Collector::start(), start());
    collector.kill();
    collector.start_again(&["--certificate-lifetime", "30s"]);
    enrolled(&collector, &daemon);
    let first = wait_for("it is enrolled", || {
        let sending = sending(&daemon);
        sending["certificate_expires"]
            .as_str()
            .map(str::to_owned)
            .ok_or(format!("{sending:#}"))
    });
    let next = wait_for("the next certificate is there", || {
        // Whoever has nothing to send renews when it reports.
        fs::write(
            daemon.tree().join("file"),
            format!("{:?}", std::time::Instant::now()),
        )
        .unwrap();
        let sending = sending(&daemon);
        let expires = sending["certificate_expires"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (expires != first)
            .then_some(expires)
            .ok_or(format!("{sending:#}"))
    });
    assert!(next > first, "{first} {next}");
    all_sent(&daemon);
}
