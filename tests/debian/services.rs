//! Services that people and jobs start, end and set up through the service manager, and such that are killed.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tests::wait_for;

use crate::stage::{daemon, ssh, succeed};
use crate::{came_through, is_exact, is_from_ssh, newest};

/// Makes a service that runs, which is two changes of it, and gives its subject.
fn make(name: &str) -> String {
    make_running(name, "/bin/sleep infinity")
}

fn make_running(name: &str, command: &str) -> String {
    daemon();
    let text = format!("[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n");
    fs::write(format!("/etc/systemd/system/{name}.service"), text).unwrap();
    let subject = format!("service:{name}");
    let made = newest(&subject, 1);
    is_exact(&made, "install");
    assert_eq!(made["actor"]["process"]["pid"], std::process::id());
    assert_eq!(made["after"]["active"], "inactive", "{made:#}");
    assert_eq!(made["after"]["enabled"], "disabled", "{made:#}");
    systemctl(&["daemon-reload"]);
    systemctl(&["start", name]);
    let started = newest(&subject, 2);
    is_exact(&started, "start");
    came_through(&started, &["systemctl"]);
    assert_eq!(started["after"]["active"], "active", "{started:#}");
    subject
}

fn systemctl(arguments: &[&str]) -> String {
    succeed(Command::new("systemctl").args(arguments))
}

fn is_of_alice(change: &Value, op: &str) {
    is_exact(change, op);
    is_from_ssh(change, "alice", "root");
    came_through(change, &["systemctl", "sudo", "sshd"]);
}

#[test]
fn alice_restarts_a_service_over_ssh() {
    let subject = make("demo");
    ssh("alice", "sudo systemctl restart demo");
    let change = newest(&subject, 3);
    is_of_alice(&change, "restart");
    assert_eq!(change["before"], change["after"], "{change:#}");
    let told = daemon().tell(&["who", &subject]);
    println!("{told}");
    assert!(told.starts_with("alice restarted it"), "{told}");
    assert!(told.contains("over ssh from 10.1.2.3"), "{told}");

    ssh("alice", "sudo service demo stop");
    let change = newest(&subject, 4);
    is_of_alice(&change, "stop");
    assert_eq!(change["after"]["active"], "inactive", "{change:#}");
    let log = daemon().ask(&[
        "log", "--kind", "service", "--op", "restart", "--by", "human",
    ]);
    let is_it = |change: &&Value| change["subject"]["key"] == "demo";
    assert_eq!(log.iter().filter(is_it).count(), 1, "{log:#?}");
    let facts = daemon().ask(&["facts", "--kind", "service"]);
    let of = |name: &str| {
        let fact = facts.iter().find(|fact| fact["subject"]["key"] == name);
        fact.map(|fact| fact["value"]["active"].clone())
    };
    assert_eq!(of("demo"), Some("inactive".into()), "{facts:#?}");
    assert_eq!(of("ssh"), Some("active".into()), "{facts:#?}");
    // What is there at the very first start is no change.
    let changes = daemon().who("service:ssh");
    assert!(changes.is_empty(), "{changes:#?}");
}

#[test]
fn a_job_that_restarts_a_service_is_automation() {
    let subject = make("nightly");
    let mut job = Command::new("systemd-run");
    job.args(["--quiet", "--wait", "--unit", "job"]);
    succeed(job.args(["systemctl", "restart", "nightly"]));
    let change = newest(&subject, 3);
    is_exact(&change, "restart");
    let actor = &change["actor"];
    assert_eq!(actor["session"]["kind"], "service", "{change:#}");
    assert_eq!(actor["unit"], "job.service", "{change:#}");
    let log = daemon().ask(&["log", "--kind", "service", "--by", "automation"]);
    let is_it = |change: &&Value| change["subject"]["key"] == "nightly";
    assert!(log.iter().any(|change| is_it(&change)), "{log:#?}");
}

#[test]
fn who_enables_disables_and_masks_is_known() {
    let subject = make("optional");
    for (count, verb, op, enabled) in [
        (3, "enable", "enable", "enabled"),
        (4, "disable", "disable", "disabled"),
    ] {
        ssh("alice", &format!("sudo systemctl {verb} optional"));
        let change = newest(&subject, count);
        is_of_alice(&change, op);
        assert_eq!(change["after"]["enabled"], enabled, "{change:#}");
        assert_eq!(change["after"]["active"], "active", "{change:#}");
    }
    // A mask would take the place of the unit's own file in `/etc`.
    fs::rename(
        "/etc/systemd/system/optional.service",
        "/usr/lib/systemd/system/optional.service",
    )
    .unwrap();
    systemctl(&["daemon-reload"]);
    ssh("alice", "sudo systemctl mask optional");
    let masked = newest(&subject, 5);
    is_of_alice(&masked, "disable");
    assert_eq!(masked["after"]["enabled"], "masked", "{masked:#}");
    ssh("alice", "sudo systemctl unmask optional");
    let unmasked = newest(&subject, 6);
    is_of_alice(&unmasked, "enable");
    assert_eq!(unmasked["after"]["enabled"], "disabled", "{unmasked:#}");
    // What somebody does by hand is theirs.
    let wants = "/etc/systemd/system/multi-user.target.wants/optional.service";
    let link = format!("sudo ln -s /lib/systemd/system/optional.service {wants}");
    ssh("alice", &link);
    let linked = newest(&subject, 7);
    is_exact(&linked, "enable");
    is_from_ssh(&linked, "alice", "root");
    came_through(&linked, &["ln", "sudo", "sshd"]);
}

#[test]
fn who_gives_a_service_another_environment_is_known() {
    let subject = make("variable");
    let file = "/etc/systemd/system/variable.service";
    ssh(
        "alice",
        &format!("sudo sed -i '/Service/aEnvironment=LEVEL=2 API_TOKEN=abc' {file}"),
    );
    let change = newest(&subject, 3);
    is_exact(&change, "set");
    is_from_ssh(&change, "alice", "root");
    came_through(&change, &["sed", "sudo", "sshd"]);
    let environment = &change["after"]["environment"];
    assert_eq!(environment, "API_TOKEN=*** LEVEL=2", "{change:#}");
    assert_eq!(change["after"]["active"], "active", "{change:#}");
}

fn main_pid(name: &str) -> String {
    let pid = systemctl(&["show", "--property", "MainPID", "--value", name]);
    pid.trim().to_owned()
}

fn has_failed(name: &str) {
    wait_for("systemd says so, too", || {
        let word = systemctl(&["show", "--property", "ActiveState", "--value", name]);
        (word.trim() == "failed").then_some(()).ok_or(word)
    });
}

#[test]
fn who_kills_a_service_is_known() {
    let subject = make("fragile");
    ssh("alice", &format!("sudo kill -9 {}", main_pid("fragile")));
    let change = newest(&subject, 3);
    is_exact(&change, "stop");
    assert_eq!(change["after"]["active"], "failed", "{change:#}");
    is_from_ssh(&change, "alice", "root");
    came_through(&change, &["kill", "sudo", "sshd"]);
    let told = daemon().tell(&["who", &subject]);
    assert!(
        told.starts_with("alice stopped it, and it failed"),
        "{told}"
    );
    has_failed("fragile");
    systemctl(&["start", "fragile"]);
    let change = newest(&subject, 4);
    is_exact(&change, "start");
    assert_eq!(change["before"]["active"], "failed", "{change:#}");
    // Asked to end, which is no failure.
    ssh("alice", &format!("sudo kill {}", main_pid("fragile")));
    let change = newest(&subject, 5);
    is_exact(&change, "stop");
    assert_eq!(change["after"]["active"], "inactive", "{change:#}");
    is_from_ssh(&change, "alice", "root");
}

#[test]
fn who_asks_a_service_to_end_that_heeds_it_is_known() {
    let command = "/bin/sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.1; done'";
    let subject = make_running("heeding", command);
    ssh("alice", &format!("sudo kill {}", main_pid("heeding")));
    let change = newest(&subject, 3);
    is_exact(&change, "stop");
    assert_eq!(change["after"]["active"], "inactive", "{change:#}");
    is_from_ssh(&change, "alice", "root");
    came_through(&change, &["kill", "sudo", "sshd"]);
}

#[test]
fn a_service_that_dies_by_itself_has_failed_and_nobody_is_named() {
    let wait = "while ! test -e /run/crash; do sleep 0.1; done";
    let subject = make_running("crashing", &format!("/bin/sh -c '{wait}; kill -ABRT $$$$'"));
    fs::write("/run/crash", "").unwrap();
    let change = newest(&subject, 3);
    is_exact(&change, "stop");
    assert_eq!(change["after"]["active"], "failed", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    let told = daemon().tell(&["who", &subject]);
    assert!(told.starts_with("it failed"), "{told}");
    has_failed("crashing");
}

#[test]
fn a_job_that_runs_and_ends_is_no_change_of_its_service() {
    daemon();
    let text = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    fs::write("/etc/systemd/system/once.service", text).unwrap();
    newest("service:once", 1);
    systemctl(&["daemon-reload"]);
    systemctl(&["start", "once"]);
    // Told in order: what comes after it is told, and it is not.
    let after = make("after");
    newest(&after, 2);
    let made = newest("service:once", 1);
    assert_eq!(made["after"]["enabled"], "static", "{made:#}");
}

/// The words by which a method of the service manager is called on one of its objects.
fn busctl(object: &str, method: &str) -> String {
    let manager = "org.freedesktop.systemd1";
    format!("busctl call {manager} /org/freedesktop/systemd1{object} {manager}.{method}")
}

fn is_of_alice_over_the_bus(change: &Value, op: &str) {
    is_exact(change, op);
    is_from_ssh(change, "alice", "root");
    came_through(change, &["busctl", "sudo", "sshd"]);
}

#[test]
fn who_asks_over_the_bus_is_known() {
    let subject = make("bussed");
    let restart = busctl("", "Manager RestartUnit ss bussed.service replace");
    ssh("alice", &format!("sudo {restart}"));
    is_of_alice_over_the_bus(&newest(&subject, 3), "restart");
    let stop = busctl("/unit/bussed_2eservice", "Unit Stop s replace");
    ssh("alice", &format!("sudo {stop}"));
    is_of_alice_over_the_bus(&newest(&subject, 4), "stop");
    let files = "EnableUnitFiles asbb 1 bussed.service false false";
    let enable = busctl("", &format!("Manager {files}"));
    ssh("alice", &format!("sudo {enable}"));
    is_of_alice_over_the_bus(&newest(&subject, 5), "enable");
}

#[test]
fn who_is_refused_over_the_bus_is_behind_nothing() {
    let wait = "while ! test -e /run/guarded; do sleep 0.1; done";
    let subject = make_running("guarded", &format!("/bin/sh -c '{wait}'"));
    let stop = busctl("", "Manager StopUnit ss guarded.service replace");
    let refused = ssh("bob", &format!("{stop} 2>&1 || true"));
    assert!(
        refused.contains("denied") || refused.contains("required"),
        "{refused}"
    );
    fs::write("/run/guarded", "").unwrap();
    let change = newest(&subject, 3);
    is_exact(&change, "stop");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
}

#[test]
fn who_changes_the_file_that_a_service_takes_its_environment_from_is_known() {
    let file = "/etc/default/fed";
    let subject = make("fed");
    let unit = "/etc/systemd/system/fed.service";
    let line = format!("/Service/aEnvironmentFile=-{file}");
    succeed(Command::new("sed").args(["-i", &line, unit]));
    let change = newest(&subject, 3);
    assert_eq!(change["after"]["environment-files"], file, "{change:#}");
    assert_eq!(change["after"]["environment"], Value::Null, "{change:#}");
    let text = "# how it runs\\nLEVEL=2\\nAPI_TOKEN=abc\\n";
    ssh("alice", &format!("printf '{text}' | sudo tee {file}"));
    let change = newest(&subject, 4);
    is_exact(&change, "set");
    is_from_ssh(&change, "alice", "root");
    came_through(&change, &["tee", "sudo", "sshd"]);
    let environment = &change["after"]["environment"];
    assert_eq!(environment, "API_TOKEN=*** LEVEL=2", "{change:#}");
    ssh("alice", &format!("sudo rm {file}"));
    let change = newest(&subject, 5);
    is_exact(&change, "set");
    came_through(&change, &["rm", "sudo", "sshd"]);
    assert_eq!(change["after"]["environment"], Value::Null, "{change:#}");
}

#[test]
fn who_starts_stops_and_enables_a_timer_is_known() {
    daemon();
    let folder = "/etc/systemd/system";
    let service = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    fs::write(format!("{folder}/tick.service"), service).unwrap();
    let timer = "[Timer]\nOnCalendar=yearly\nOnBootSec=9h\n[Install]\nWantedBy=timers.target\n";
    fs::write(format!("{folder}/tick.timer"), timer).unwrap();
    let subject = "job:timer/tick.timer";
    let made = newest(subject, 1);
    is_exact(&made, "create");
    assert_eq!(made["after"]["OnCalendar"], "yearly", "{made:#}");
    assert_eq!(made["after"]["Unit"], "tick.service", "{made:#}");
    assert_eq!(made["after"]["active"], "inactive", "{made:#}");
    systemctl(&["daemon-reload"]);
    let mut seen = 1;
    let mut alice = |command: &str, (op, name, value): (&str, &str, &str)| {
        ssh("alice", &format!("sudo {command}"));
        seen += 1;
        let change = newest(subject, seen);
        is_exact(&change, op);
        is_from_ssh(&change, "alice", "root");
        assert_eq!(change["after"][name], value, "{change:#}");
    };
    alice("systemctl start tick.timer", ("start", "active", "active"));
    alice("systemctl enable tick.timer", ("enable", "enabled", "yes"));
    let facts = daemon().ask(&["facts", "--kind", "job"]);
    let is_it = |fact: &&Value| fact["subject"]["key"] == "timer/tick.timer";
    let fact = facts.iter().find(is_it).expect("it is a fact");
    assert_eq!(fact["value"]["active"], "active", "{fact:#}");
    assert_eq!(fact["value"]["enabled"], "yes", "{fact:#}");
    let stop = busctl("", "Manager StopUnit ss tick.timer replace");
    alice(&stop, ("stop", "active", "inactive"));
    alice("systemctl disable tick.timer", ("disable", "enabled", "no"));
    let told = daemon().tell(&["who", subject]);
    assert!(
        told.starts_with("alice disabled timer tick.timer"),
        "{told}"
    );
}
