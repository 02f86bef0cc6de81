//! What the machine is and what is mounted, in the fanotify mode: nothing of the host is changed, as the daemon
//! has mounts and a name of its own.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tests::{Daemon, Options, run, wait_for};

fn start() -> Daemon {
    Daemon::start(&Options {
        name: "machine",
        settings: "mode = \"fanotify\"".to_owned(),
        unshared: true,
        ..Options::default()
    })
}

/// Runs a program where the daemon's mounts and its name are.
pub(crate) fn inside(daemon: &Daemon, program: &[&str]) {
    let mut enter = Command::new("nsenter");
    enter.args(["--mount", "--uts", "--target", &daemon.pid().to_string()]);
    let ended = run(enter.args(program));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The newest change of a subject when there are so many, which nobody saw happen.
fn late(daemon: &Daemon, subject: &str, count: usize) -> Value {
    let change = wait_for("the change is found", || {
        let mut all = daemon.ask(&["who", subject, "-n", "100"]);
        let is_it = all.len() == count;
        is_it.then(|| all.remove(0)).ok_or(format!("{all:#?}"))
    });
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    let time = |side: usize| {
        change["between"][side]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
    };
    let [from, to] = [time(0).unwrap(), time(1).unwrap()];
    let seconds = to.duration_since(from).as_secs();
    assert!((0..15).contains(&seconds), "{change:#}");
    change
}

#[test]
fn a_mount_is_found_at_once_though_nobody_knows_whose() {
    let daemon = start();
    let point = daemon.outside().join("point");
    fs::create_dir(&point).unwrap();
    let point = point.to_str().unwrap();
    let subject = format!("mount:{point}");
    inside(
        &daemon,
        &["mount", "-t", "tmpfs", "-o", "size=1m", "some", point],
    );
    let change = late(&daemon, &subject, 1);
    assert_eq!(change["op"], "mount", "{change:#}");
    assert_eq!(change["after"]["source"], "some", "{change:#}");
    inside(&daemon, &["mount", "-o", "remount,ro", point]);
    let change = late(&daemon, &subject, 2);
    assert_eq!(change["op"], "set", "{change:#}");
    inside(&daemon, &["umount", point]);
    let change = late(&daemon, &subject, 3);
    assert_eq!(change["op"], "unmount", "{change:#}");
    assert_eq!(change["after"], Value::Null, "{change:#}");
    let said = daemon.tell(&["who", &subject]);
    assert!(said.contains("unmounted it (tmpfs on some)"), "{said}");
    let doctor = daemon.tell(&["doctor"]);
    assert!(doctor.contains("who mounts and unmounts"), "{doctor}");
}

#[test]
fn another_name_of_the_host_is_found_at_once_and_stands_in_later_changes() {
    let daemon = start();
    inside(&daemon, &["hostname", "another-name"]);
    let change = late(&daemon, "host:name", 1);
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["after"]["value"], "another-name", "{change:#}");
    let path = daemon.tree().join("file");
    fs::write(&path, "x").unwrap();
    assert_eq!(daemon.one(&path)["hostname"], "another-name");
}

#[test]
fn the_machine_is_known_and_a_restart_changes_nothing() {
    let mut daemon = start();
    let value = |kind: &str, key: &str, name: &str| {
        let facts = daemon.ask(&["facts", "--kind", kind]);
        let is_it = |fact: &&Value| fact["subject"]["key"] == key;
        let fact = facts
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{kind}:{key}: {facts:#?}"));
        fact["value"][name].as_str().unwrap_or_default().to_owned()
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(value("kernel", "release", "release"), release.trim());
    let threads: usize = value("hardware", "cpu", "threads").parse().unwrap();
    assert!(threads >= 1);
    let bytes: u64 = value("hardware", "memory", "size").parse().unwrap();
    assert!(bytes >= 1 << 28, "{bytes} bytes of memory");
    let cut = |text: &str| text.split_whitespace().count();
    let line = fs::read_to_string("/proc/cmdline").unwrap();
    assert_eq!(cut(&value("kernel", "command-line", "value")), cut(&line));
    assert_eq!(daemon.terminate(), Some(0));
    daemon.start_again();
    for kind in ["kernel", "hardware", "firmware", "host"] {
        let changes = daemon.ask(&["log", "--kind", kind]);
        assert!(changes.is_empty(), "{changes:#?}");
    }
}

#[test]
fn what_a_file_decides_is_told_with_who_wrote_it() {
    let daemon = Daemon::start(&Options {
        name: "resolver",
        settings: "mode = \"fanotify\"".to_owned(),
        also_watch: vec!["/etc/resolv.conf".to_owned()],
        unshared: true,
        ..Options::default()
    });
    // A folder of the test's own takes the place of the host's, where the daemon is.
    let compared = daemon.comparisons();
    let own = "mount -t tmpfs none /etc && echo nameserver 192.0.2.1 > /etc/resolv.conf";
    inside(&daemon, &["sh", "-c", own]);
    wait_for("the other file is watched", || {
        let again = daemon.comparisons() > compared;
        again.then_some(()).ok_or(daemon.read_log())
    });
    let script = "echo nameserver 192.0.2.2 > /etc/resolv.conf";
    inside(&daemon, &["sh", "-c", script]);
    let change = wait_for("the resolver is told of", || {
        let mut all = daemon.ask(&["who", "host:resolver"]);
        all.pop().ok_or(daemon.read_log())
    });
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["after"]["servers"], "192.0.2.2", "{change:#}");
    let argv = &change["actor"]["process"]["argv"];
    assert_eq!(argv[2], script, "{change:#}");
}
