//! Starting, stopping, being killed, and refusing.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::process::Stdio;
use std::time::Duration;
use std::{fs, thread};

use rustix::time::{ClockId, clock_gettime, clock_settime};
use serde_json::Value;
use tests::{Daemon, Options, run, wait_for};

use crate::{daemon, is_one_of, kernel};

/// The user that it becomes.
const OWN_ID: &str = "2007200700";

/// Where SQLite keeps the number that says which schema a database has (file format 1.3).
const USER_VERSION: u64 = 60;

fn options(name: &'static str) -> Options {
    Options {
        name,
        ..Options::default()
    }
}

#[test]
fn after_a_kill_nothing_told_is_lost_and_the_rest_is_found_late() {
    if !is_one_of(&["5.10", "6.12"]) {
        return;
    }
    let mut daemon = Daemon::start(&options("killed"));
    let (kept, later) = (daemon.tree().join("kept"), daemon.tree().join("later"));
    fs::write(&kept, "before\n").unwrap();
    let told = daemon.one(&kept);
    daemon.kill();
    fs::write(&kept, "meanwhile\n").unwrap();
    fs::write(&later, "meanwhile\n").unwrap();
    daemon.start_again();

    let changes = wait_for("the late change is told", || {
        let changes = daemon.who(&kept);
        (changes.len() == 2)
            .then(|| changes.clone())
            .ok_or(format!("{changes:#?}"))
    });
    assert_eq!(changes[1], told);
    is_late(&changes[0], "modify");
    is_late(&daemon.one(&later), "create");
    let gaps = daemon.gaps();
    assert!(
        gaps.iter().any(|gap| gap["reason"] == "stopped"),
        "{gaps:#?}"
    );
}

fn is_late(change: &Value, op: &str) {
    assert_eq!(change["op"], op, "{change:#}");
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    let between = change["between"].as_array().expect("it has an interval");
    assert!(between[0].as_str() < between[1].as_str(), "{change:#}");
}

#[test]
fn asked_to_end_it_writes_everything_and_refuses_stores_that_it_cannot_read() {
    if !is_one_of(&["6.1", "7"]) {
        return;
    }
    let mut daemon = Daemon::start(&options("ended"));
    let path = daemon.tree().join("last");
    fs::write(&path, "the last one\n").unwrap();
    assert_eq!(daemon.terminate(), Some(0));

    let store = daemon.state().join("tracer.db");
    let bytes = fs::read(&store).unwrap();
    let path = path.to_str().unwrap().as_bytes();
    let is_written = bytes.windows(path.len()).any(|window| window == path);
    assert!(is_written, "the last change is not in the store");

    let mut file = fs::File::options().write(true).open(&store).unwrap();
    file.seek(SeekFrom::Start(USER_VERSION)).unwrap();
    file.write_all(&1000_u32.to_be_bytes()).unwrap();
    drop(file);
    let newer = daemon.tracer(&["run"]);
    assert_eq!(newer.code, Some(4), "{newer:?}");
    assert!(newer.errors.contains("schema 1000"), "{}", newer.errors);

    fs::write(
        &store,
        "this is no database, but long enough to be one".repeat(100),
    )
    .unwrap();
    let broken = daemon.tracer(&["run"]);
    assert_eq!(broken.code, Some(4), "{broken:?}");
    let names_it = broken.errors.contains(store.to_str().unwrap());
    assert!(names_it, "{}", broken.errors);
    assert!(
        fs::read(&store)
            .unwrap()
            .starts_with(b"this is no database")
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_file_line_and_key() {
    let daemon = Daemon::prepare(&Options {
        settings: "[content]\nkeep_bytes = \"much\"".to_owned(),
        ..Options::default()
    });
    let refused = daemon.tracer(&["run"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    for part in [
        daemon.config().to_str().unwrap(),
        "line 6",
        "`content.keep_bytes`",
    ] {
        assert!(refused.errors.contains(part), "{}", refused.errors);
    }
    assert_eq!(
        refused.errors.trim_end().lines().count(),
        1,
        "{}",
        refused.errors
    );
}

#[test]
fn each_outcome_has_its_exit_code() {
    let code = |arguments: &[&str]| daemon().tracer(arguments).code;
    assert_eq!(code(&["status"]), Some(0));
    assert_eq!(code(&["who", "/etc/was-never-there"]), Some(1));
    assert_eq!(
        code(&["who", "relative"]),
        code(&["who", "/etc/was-never-there"])
    );
    assert_eq!(code(&["whom"]), Some(2));
    assert_eq!(code(&["log", "--since", "the day of the crow"]), Some(2));
    let stopped = Daemon::prepare(&Options::default());
    assert_eq!(stopped.tracer(&["status"]).code, Some(3));
    fs::write(stopped.config(), "no = toml = at = all").unwrap();
    assert_eq!(stopped.tracer(&["status"]).code, Some(4));
}

#[test]
fn doctor_finds_everything_that_this_kernel_should_have() {
    let mut doctor = daemon().command(&["doctor", "--json"]);
    let asked = run(&mut doctor);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let checks: Vec<Value> = asked
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let not_ok: Vec<&str> = checks
        .iter()
        .filter(|check| check["state"] != "ok")
        .filter_map(|check| check["name"].as_str())
        .collect();
    let expected: &[&str] = if kernel().starts_with("5.10") {
        &["probe swap"]
    } else {
        &[]
    };
    assert_eq!(not_ok, expected, "{checks:#?}");
    let tried = checks.iter().find(|check| check["name"] == "own rights");
    assert!(tried.is_some(), "{checks:#?}");
    let status = daemon().status();
    assert_eq!(status["mode"], "trampolines", "{status:#}");
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let file = daemon().tree().join("clock");
    let mut follow = daemon()
        .command(&["log", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // Once this one is told, it follows.
    let told = thread::spawn(move || {
        let is_about_it = |line: &String| line.contains("/clock\"");
        lines.map_while(Result::ok).find(is_about_it)
    });
    thread::sleep(Duration::from_secs(1));
    fs::write(&file, "in the making\n").unwrap();
    set_clock_by(-3600);
    wait_for("the change is told", || {
        let is_told = told.is_finished();
        is_told.then_some(()).ok_or_else(|| daemon().read_log())
    });
    set_clock_by(3600);
    follow.kill().unwrap();
    follow.wait().unwrap();
    fs::write(&file, "an hour later\n").unwrap();
    let change = daemon().who(&file).remove(0);
    assert_eq!(change["after"]["size"], 14, "{change:#}");
}

fn set_clock_by(seconds: i64) {
    let mut now = clock_gettime(ClockId::Realtime);
    now.tv_sec += seconds;
    clock_settime(ClockId::Realtime, now).unwrap();
}

#[test]
fn once_started_it_may_see_everything_and_change_nothing() {
    // Of linux/capability.h.
    let (dac_override, sys_admin) = (1_u64 << 1, 1_u64 << 21);
    let (dac_read_search, sys_ptrace) = (1_u64 << 2, 1_u64 << 19);
    let threads = fs::read_dir(format!("/proc/{}/task", daemon().pid())).unwrap();
    let mut count = 0;
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let has = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
        assert_eq!(has & (dac_override | sys_admin), 0, "{status}");
        assert_ne!(has & dac_read_search, 0, "{status}");
        assert_ne!(has & sys_ptrace, 0, "{status}");
        assert_eq!(field("CapEff:"), field("CapPrm:"), "{status}");
        assert_eq!(field("NoNewPrivs:"), "1", "{status}");
        assert_eq!(field("Seccomp:"), "2", "{status}");
        let user = field("Uid:");
        assert!(user.split_whitespace().all(|id| id == OWN_ID), "{status}");
        count += 1;
    }
    assert!(count >= 4, "{count} threads");
}
