//! The stories, acted out by real programs in the debian guest.

mod accounts;
mod collector;
mod folded;
mod packages;
mod runs;
mod services;
mod stage;
mod terminal;

use std::fs;
use std::process::Command;

use serde_json::Value;
use stage::{apt_get, daemon, dpkg_deb, place, ssh, succeed};
use terminal::Terminal;
use tests::{PATIENCE, wait_for, wait_long_for};

/// The names of the programs that a change came through, nearest first.
fn programs(change: &Value) -> Vec<String> {
    let actor = &change["actor"];
    let ancestry = actor["ancestry"].as_array().into_iter().flatten();
    std::iter::once(&actor["process"])
        .chain(ancestry)
        .filter_map(|process| process["exe"].as_str())
        .map(|exe| exe.rsplit('/').next().unwrap_or(exe).to_owned())
        .collect()
}

/// Asserts that programs stand in the ancestry in this order, others between them.
fn came_through(change: &Value, expected: &[&str]) {
    let programs = programs(change);
    let mut left = programs.iter();
    let all = expected
        .iter()
        .all(|wanted| left.any(|program| program.starts_with(wanted)));
    assert!(all, "{expected:?} is not in {programs:?}: {change:#}");
}

fn is_exact(change: &Value, op: &str) {
    assert_eq!(change["op"], op, "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
}

fn is_from_ssh(change: &Value, login_user: &str, user: &str) {
    let actor = &change["actor"];
    assert_eq!(actor["login_user"]["name"], login_user, "{change:#}");
    assert_eq!(actor["user"]["name"], user, "{change:#}");
    assert_eq!(actor["session"]["kind"], "ssh", "{change:#}");
    assert_eq!(actor["session"]["remote"], stage::CLIENT, "{change:#}");
}

/// The newest of exactly so many changes of a file, once they are told.
fn newest(path: &str, count: usize) -> Value {
    let mut changes = wait_for("the change is told", || {
        let changes = daemon().who(path);
        (changes.len() >= count)
            .then(|| changes.clone())
            .ok_or(format!("{changes:#?}"))
    });
    assert_eq!(changes.len(), count, "{changes:#?}");
    changes.remove(0)
}

#[test]
fn alice_edits_with_vim_as_root_over_ssh() {
    let path = "/etc/nginx.conf";
    daemon();
    fs::write(path, "events {\n    worker_connections 768;\n}\n").unwrap();
    newest(path, 1);
    let terminal = Terminal::of_alice();
    terminal.types(&["sudo vim /etc/nginx.conf", "Enter"]);
    terminal.shows("worker_connections 768");
    terminal.types(&[":%s/768/4096/", "Enter"]);
    terminal.shows("4096");
    terminal.types(&[":wq", "Enter"]);
    let change = newest(path, 2);

    is_exact(&change, "modify");
    is_from_ssh(&change, "alice", "root");
    let tty = change["actor"]["session"]["tty"]
        .as_str()
        .unwrap_or_default();
    assert!(tty.starts_with("pts/"), "{change:#}");
    came_through(&change, &["vim", "sudo", "bash", "sshd"]);
    let diff = change["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("-    worker_connections 768;"), "{diff}");
    assert!(diff.contains("+    worker_connections 4096;"), "{diff}");

    let told = daemon().tell(&["who", path]);
    println!("{told}");
    assert!(told.starts_with("alice edited it"), "{told}");
    assert!(told.contains("over ssh from 10.1.2.3"), "{told}");

    let blame = daemon().ask(&["blame", path]);
    let text = serde_json::to_string(&blame).unwrap();
    assert!(text.contains("alice"), "{blame:#?}");
    let session = change["actor"]["session"]["id"].to_string();
    let recap = daemon().ask(&["session", &session]);
    let command = r#"["sudo","vim","/etc/nginx.conf"]"#;
    let text = serde_json::to_string(&recap).unwrap();
    assert!(text.contains(command), "{recap:#?}");
}

#[test]
fn alice_edits_with_nano_over_ssh() {
    let path = place("alice", "notes.txt");
    fs::write(&path, "bread\n").unwrap();
    std::os::unix::fs::chown(&path, Some(1000), Some(1000)).unwrap();
    let known = daemon().who(&path).len();
    let terminal = Terminal::of_alice();
    terminal.types(&[&format!("nano {path}"), "Enter"]);
    terminal.shows("bread");
    terminal.types(&["milk", "Enter", "C-o", "Enter"]);
    terminal.shows("Wrote");
    terminal.types(&["C-x"]);
    let change = newest(&path, known + 1);
    is_exact(&change, "modify");
    is_from_ssh(&change, "alice", "alice");
    came_through(&change, &["nano", "bash", "sshd"]);
}

#[test]
fn bob_edits_with_sed_over_ssh_without_a_terminal() {
    let path = place("bob", "settings");
    ssh("bob", &format!("echo colour=red > {path}"));
    let change = newest(&path, 1);
    is_exact(&change, "create");
    is_from_ssh(&change, "bob", "bob");
    ssh("bob", &format!("sed -i s/red/blue/ {path}"));
    let change = newest(&path, 2);
    is_exact(&change, "modify");
    is_from_ssh(&change, "bob", "bob");
    came_through(&change, &["sed", "sshd"]);
    assert_eq!(change["actor"]["session"]["tty"], Value::Null, "{change:#}");
}

#[test]
fn becoming_another_user_does_not_hide_who_logged_in() {
    let path = place("bob", "by-su");
    ssh("alice", &format!("sudo su - bob -c 'echo mine > {path}'"));
    let change = newest(&path, 1);
    is_from_ssh(&change, "alice", "bob");
    came_through(&change, &["bash", "su", "sudo", "sshd"]);
}

#[test]
fn a_package_brings_its_configuration_and_changes_it() {
    daemon();
    let path = "/etc/greeter.conf";
    let install = |version: &str| apt_get(&dpkg_deb("greeter", version, &[path]));
    install("1.0");
    let change = newest(path, 1);
    is_exact(&change, "create");
    came_through(&change, &["dpkg", "apt-get"]);
    install("2.0");
    let change = newest(path, 2);
    is_exact(&change, "modify");
    came_through(&change, &["dpkg", "apt-get"]);
    let found = daemon().ask(&["log", "--by", "package-manager", "--path", path]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let upgrade = newest("package:greeter", 2);
    is_exact(&upgrade, "upgrade");
    came_through(&upgrade, &["dpkg", "apt-get"]);
    assert_eq!(upgrade["before"]["version"], "1.0", "{upgrade:#}");
    assert_eq!(upgrade["after"]["version"], "2.0", "{upgrade:#}");
    let facts = daemon().ask(&["facts", "--kind", "package"]);
    let is_libc = |fact: &&Value| fact["subject"]["key"] == "libc6";
    assert!(
        facts.iter().any(|fact| is_libc(&fact)),
        "{} packages",
        facts.len()
    );
}

#[test]
fn a_playbook_moves_a_new_file_in_and_the_next_one_over_it() {
    let path = place("root", "rendered.conf");
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.j2");
    fs::write(&template, "workers = {{ workers }}\n").unwrap();
    let task = |workers: u32| {
        format!(
            "    - ansible.builtin.template: {{src: {}, dest: {path}}}\n      vars: {{workers: {workers}}}\n",
            template.display(),
        )
    };
    let playbook = folder.path().join("playbook.yml");
    let head = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n";
    fs::write(&playbook, format!("{head}{}{}", task(2), task(4))).unwrap();
    let mut ansible = Command::new("ansible-playbook");
    succeed(
        ansible
            .args(["-i", "localhost,"])
            .arg(playbook)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8"),
    );
    let change = newest(&path, 2);
    is_exact(&change, "modify");
    assert!(
        change["diff"]
            .as_str()
            .unwrap_or_default()
            .contains("+workers = 4"),
        "{change:#}"
    );
    // Ansible renders outside the trees, on the same file system, and moves the file in.
    let first = &daemon().who(&path)[1];
    is_exact(first, "rename");
    let from = first["from"].as_str().unwrap_or_default();
    assert!(from.contains("/.ansible/tmp/"), "{first:#}");
    let found = daemon().ask(&["log", "--by", "automation", "--path", &path]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let run = runs::of(&change);
    assert_eq!(run["kind"], "config-management", "{run:#}");
    assert_eq!(run["tool"], "ansible-playbook", "{run:#}");
    assert_eq!(first["run"], run["id"], "{first:#}");
}

#[test]
fn a_service_is_named_by_its_unit() {
    let path = place("root", "by-service");
    let mut service = Command::new("systemd-run");
    service.args(["--quiet", "--wait", "--unit", "writer", "/bin/sh", "-c"]);
    succeed(service.arg(format!("echo x > {path}")));
    let change = newest(&path, 1);
    is_exact(&change, "create");
    let actor = &change["actor"];
    assert_eq!(actor["session"]["kind"], "service", "{change:#}");
    assert_eq!(actor["unit"], "writer.service", "{change:#}");
    assert_eq!(actor["login_user"], Value::Null, "{change:#}");
}

#[test]
fn a_process_in_namespaces_of_its_own_is_in_a_container() {
    let path = place("root", "by-namespace");
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--mount", "--fork", "/bin/sh", "-c"]);
    succeed(unshare.arg(format!("echo x > {path}")));
    let change = newest(&path, 1);
    is_exact(&change, "create");
    let container = &change["actor"]["container"];
    assert_eq!(container["runtime"], "namespace", "{change:#}");
}

#[test]
fn the_job_of_cron_is_named_as_such() {
    daemon();
    let path = stage::cron_file();
    // Cron looks once a minute.
    wait_long_for("cron runs", 2 * PATIENCE, || {
        fs::metadata(&path).map_err(|error| error.to_string())
    });
    let changes = daemon().who(&path);
    let first = changes.last().expect("the job was seen");
    is_exact(first, "create");
    assert_eq!(first["actor"]["session"]["kind"], "cron", "{first:#}");
    came_through(first, &["cron"]);
}
