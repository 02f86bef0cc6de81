//! What is folded from the log is what there is: services, sysctls, mounts and accounts that change at random, as one
//! daemon has followed them and as another one finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use tests::{Chance, Daemon, run, wait_for};

use crate::stage::{daemon, watching};

/// Each seed is one story.
const SEEDS: [u64; 2] = [7, 4711];
const STEPS: usize = 40;

const KINDS: [&str; 4] = ["service", "sysctl", "mount", "account"];

/// What is known, in words: by kind and key.
type State = BTreeMap<String, String>;

/// One thing that happens, as a shell does it; that some of it is not possible at that moment is part of the story.
fn happening(chance: &mut Chance) -> String {
    let number = chance.below(100);
    let unit = chance.one_of(&["fold-a", "fold-b", "fold-c"]);
    let user = chance.one_of(&["fold1", "fold2"]);
    let place = chance.one_of(&["/mnt/fold-a", "/mnt/fold-b"]);
    match chance.below(4) {
        0 => of_service(unit, number, chance),
        1 => {
            let name = chance.one_of(&["vm.swappiness", "kernel.panic", "net.ipv4.ip_forward"]);
            let number = if name.ends_with("forward") {
                number % 2
            } else {
                number
            };
            format!("sysctl -qw {name}={number}")
        }
        2 => match chance.below(4) {
            0 => format!(
                "mkdir -p {place} && mount -t tmpfs -o size={}k fold {place}",
                64 + 4 * number
            ),
            // What is mounted over it then is mounted over its source, too, as both are shared.
            1 => format!("mkdir -p {place} /srv/fold && mount --bind /srv/fold {place}"),
            // Of the mount alone: the file system of the other is the guest's own.
            2 => format!(
                "mount -o remount,bind,{} {place}",
                chance.one_of(&["ro", "rw", "nosuid"])
            ),
            _ => format!("umount {place}"),
        },
        _ => match chance.below(6) {
            0 => format!("useradd {user}"),
            1 => format!("userdel {user}"),
            2 => format!(
                "usermod -s {} {user}",
                chance.one_of(&["/bin/sh", "/bin/bash"])
            ),
            3 => format!("gpasswd -a {user} {}", chance.one_of(&["users", "audio"])),
            4 => format!("usermod -p x{number} {user}"),
            _ => format!("echo '{user} ALL=(ALL) /bin/true {number}' > /etc/sudoers.d/fold"),
        },
    }
}

fn of_service(unit: &str, number: usize, chance: &mut Chance) -> String {
    let file = format!("/etc/systemd/system/{unit}.service");
    let verbs = [
        "start",
        "stop",
        "restart",
        "enable",
        "disable",
        "enable --now",
    ];
    match chance.below(8) {
        0 | 1 => {
            let service = format!("ExecStart=/bin/sleep infinity\\nEnvironment=LEVEL={number}");
            let install = "[Install]\\nWantedBy=multi-user.target";
            let text = format!(
                "[Service]\\n{service}\\nEnvironmentFile=-/etc/default/fold\\n{install}\\n"
            );
            format!("printf '{text}' > {file} && systemctl daemon-reload")
        }
        2 => format!("rm {file} && systemctl daemon-reload"),
        3 => format!("echo DEEP={number} > /etc/default/fold"),
        _ => format!("systemctl {} {unit}", chance.one_of(&verbs)),
    }
}

/// What a daemon says of these kinds.
fn known(daemon: &Daemon, at: Option<&str>) -> State {
    let mut state = State::new();
    for kind in KINDS {
        let at = at.map(|at| ["--at", at]);
        let question = ["facts", "--kind", kind]
            .into_iter()
            .chain(at.into_iter().flatten());
        for fact in daemon.ask(&question.collect::<Vec<_>>()) {
            let key = fact["subject"]["key"].as_str().unwrap_or_default();
            state.insert(format!("{kind}:{key}"), shared(&fact["value"].to_string()));
        }
    }
    state
}

/// What of a value both can know: that a service has failed knows only who saw it, and hashes of secrets each makes
/// with a key of its own.
fn shared(value: &str) -> String {
    let value = value.replace("\"failed\"", "\"inactive\"");
    let mut parts = value.split("k3:");
    let first = parts.next().map(str::to_owned);
    let rest = parts.map(|part| part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
    first.into_iter().chain(rest.map(str::to_owned)).collect()
}

#[test]
fn what_is_folded_from_the_log_is_what_another_daemon_finds() {
    for seed in SEEDS {
        let followed = daemon();
        let mut chance = Chance::new(seed);
        let story: Vec<String> = (0..STEPS).map(|_| happening(&mut chance)).collect();
        println!("seed {seed}: {story:#?}");
        for step in &story {
            run(Command::new("sh").args(["-c", step]));
        }
        // It only looks at what there is, which takes no programs at functions.
        let finding = Daemon::start(&watching("finding"));
        let found = known(&finding, None);
        drop(finding);
        let own = found.keys().filter(|key| key.contains("fold")).count();
        assert!(
            own > 2,
            "seed {seed}: hardly anything of the story is left: {found:#?}"
        );
        wait_for("both know the same", || {
            let now = jiff::Timestamp::now().to_string();
            let differing = differing(&known(followed, Some(&now)), &found);
            let is_same = differing.is_empty();
            is_same
                .then_some(())
                .ok_or(format!("seed {seed}: {differing:#?}"))
        });
    }
}

/// What both say where they differ.
fn differing(followed: &State, found: &State) -> Vec<String> {
    let keys: BTreeSet<&String> = followed.keys().chain(found.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| followed.get(*key) != found.get(*key));
    differ
        .map(|key| {
            format!(
                "{key}: followed {:?}, found {:?}",
                followed.get(key),
                found.get(key)
            )
        })
        .collect()
}
