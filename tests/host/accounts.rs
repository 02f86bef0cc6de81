//! Accounts in the fanotify mode: nothing of the host's own is changed, as the daemon has mounts of its own.

use std::fs;

use serde_json::Value;
use tests::{Daemon, Options, wait_for};

use crate::machine::inside;

/// What stands for the hash of a password, and must never be found.
const HASH: &str = "$y$j9T$SECRETsalt$SECREThash";

/// The files that the host has as far as the daemon sees.
fn own_files() -> String {
    format!(
        "mount -t tmpfs none /etc && echo eve:x:7:7::/:/bin/sh > /etc/passwd && \
         echo 'eve:{HASH}:19000:0:99999:7:::' > /etc/shadow && echo docker:x:998: > /etc/group"
    )
}

fn newest(daemon: &Daemon, subject: &str, count: usize) -> Value {
    wait_for("the account is told of", || {
        let mut all = daemon.ask(&["who", subject, "-n", "100"]);
        let is_it = all.len() == count;
        is_it.then(|| all.remove(0)).ok_or(format!("{all:#?}"))
    })
}

#[test]
fn accounts_are_told_with_who_wrote_their_files_and_without_their_secrets() {
    let files = ["/etc/passwd", "/etc/shadow", "/etc/group"];
    let daemon = Daemon::start(&Options {
        name: "accounts",
        settings: "mode = \"fanotify\"".to_owned(),
        also_watch: files.map(str::to_owned).to_vec(),
        unshared: true,
        ..Options::default()
    });
    let compared = daemon.comparisons();
    inside(&daemon, &["sh", "-c", &own_files()]);
    wait_for("the other files are watched", || {
        let again = daemon.comparisons() > compared;
        again.then_some(()).ok_or(daemon.read_log())
    });
    // Found by comparing: nobody saw these files come.
    let late = newest(&daemon, "account:user/eve", 1);
    assert_eq!(late["certainty"], "late", "{late:#}");
    let before = daemon
        .ask(&["who", "account:group/docker", "-n", "100"])
        .len();

    let script = "sed 's/998:/998:eve/' /etc/group > /etc/new && mv /etc/new /etc/group";
    inside(&daemon, &["sh", "-c", script]);
    let change = newest(&daemon, "account:group/docker", before + 1);
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["after"]["members"], "eve", "{change:#}");
    assert_eq!(change["actor"]["process"]["argv"][0], "mv", "{change:#}");
    let said = daemon.tell(&["who", "account:group/docker", "-n", "1"]);
    assert!(said.contains("added eve to group docker"), "{said}");

    let before = daemon
        .ask(&["who", "account:password/eve", "-n", "100"])
        .len();
    let script = format!("echo 'eve:!{HASH}:19000:0:99999:7:::' > /etc/shadow");
    inside(&daemon, &["sh", "-c", &script]);
    let change = newest(&daemon, "account:password/eve", before + 1);
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["after"]["state"], "locked", "{change:#}");
    assert_eq!(
        change["before"]["hash"], change["after"]["hash"],
        "{change:#}"
    );

    // The value of a command line is another matter: nobody writes a hash there but this test.
    let told = daemon.ask(&["log", "--kind", "account", "-n", "100000"]);
    let values = told
        .iter()
        .map(|change| format!("{}{}", change["before"], change["after"]));
    assert!(values.into_iter().all(|value| !value.contains("SECRET")));
    let facts = daemon.ask(&["facts", "--kind", "account"]);
    assert!(!serde_json::to_string(&facts).unwrap().contains("SECRET"));
    assert!(!fs::read_to_string("/etc/group").unwrap().contains(":eve"));
}
