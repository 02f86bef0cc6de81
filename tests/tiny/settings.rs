//! Sysctls and kernel settings, written by real programs.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::{Daemon, Options, run, wait_for};

use crate::{COMPARES, daemon, is_one_of};

/// Runs a command and gives its process id, and whether it succeeded.
fn done_by(program: &str, arguments: &[&str]) -> (u32, bool) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child.id(), child.wait().unwrap().success())
}

fn shell(script: &str) -> (u32, bool) {
    done_by("/bin/sh", &["-c", script])
}

fn sysctl(key: &str) -> Vec<Value> {
    daemon().who(format!("sysctl:{key}"))
}

fn fact(kind: &str, key: &str) -> Option<Value> {
    let facts = daemon().ask(&["facts", "--kind", kind]);
    let is_it = |fact: &&Value| fact["subject"]["key"] == key;
    facts
        .iter()
        .find(is_it)
        .map(|fact| fact["value"]["value"].clone())
}

#[test]
fn a_sysctl_has_the_value_that_the_kernel_took() {
    daemon();
    let before = fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
    let (pid, taken) = done_by(
        "sysctl",
        &["-w", "net.ipv4.tcp_rmem=4097 0x20000   6291457"],
    );
    assert!(taken);
    let changes = sysctl("net.ipv4.tcp_rmem");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let change = &changes[0];
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["before"]["value"], before.trim_end(), "{change:#}");
    assert_eq!(
        change["after"]["value"], "4097\t131072\t6291457",
        "{change:#}"
    );
    assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
    assert_eq!(change["notes"], Value::Null, "{change:#}");
    let known = fact("sysctl", "net.ipv4.tcp_rmem").unwrap();
    assert_eq!(known, "4097\t131072\t6291457");
}

#[test]
fn a_write_that_the_kernel_refuses_or_that_changes_nothing_is_no_change() {
    daemon();
    let value = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    for script in [
        "echo 999999 > /proc/sys/vm/overcommit_memory",
        "echo nonsense > /proc/sys/vm/overcommit_memory",
    ] {
        assert!(!shell(script).1, "{script}");
    }
    assert!(
        shell(&format!(
            "echo {} > /proc/sys/vm/overcommit_memory",
            value.trim()
        ))
        .1
    );
    assert_eq!(sysctl("vm.overcommit_memory"), Vec::<Value>::new());
    assert!(shell("echo 1 > /proc/sys/vm/overcommit_memory").1);
    let changes = sysctl("vm.overcommit_memory");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["after"]["value"], "1", "{changes:#?}");
    assert!(
        shell(&format!(
            "echo {} > /proc/sys/vm/overcommit_memory",
            value.trim()
        ))
        .1
    );
}

#[test]
fn many_writes_to_one_sysctl_are_one_change_each_with_its_own_values() {
    daemon();
    assert!(shell("for i in 11 12 13 14 15 16; do echo $i > /proc/sys/vm/swappiness; done").1);
    let changes = sysctl("vm.swappiness");
    assert_eq!(changes.len(), 6, "{changes:#?}");
    let newest = &changes[0];
    assert_eq!(newest["after"]["value"], "16", "{newest:#}");
    for (change, expected) in changes.iter().zip(["16", "15", "14", "13", "12", "11"]) {
        assert_eq!(change["after"]["value"], expected, "{change:#}");
    }
}

#[test]
fn what_a_write_moves_besides_is_found_at_once_and_is_late() {
    daemon();
    let forwarding = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    assert_eq!(forwarding, "0\n");
    assert!(done_by("sysctl", &["-w", "net.ipv4.ip_forward=1"]).1);
    let moved = wait_for("the other sysctl is compared", || {
        let changes = sysctl("net.ipv4.conf.all.forwarding");
        changes.first().cloned().ok_or("no change".to_owned())
    });
    assert_eq!(moved["after"]["value"], "1", "{moved:#}");
    assert_eq!(moved["certainty"], "late", "{moved:#}");
    assert_eq!(moved["actor"], Value::Null, "{moved:#}");
    fs::write("/proc/sys/net/ipv4/ip_forward", forwarding).unwrap();
}

#[test]
fn a_secret_is_told_without_its_value() {
    daemon();
    let key = "5ec2e701-5ec2e702-5ec2e703-5ec2e704";
    // Not by a shell: its command line is another matter.
    fs::write("/proc/sys/net/ipv4/tcp_fastopen_key", key).unwrap();
    let changes = sysctl("net.ipv4.tcp_fastopen_key");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let told = changes[0].to_string();
    assert!(!told.contains("5ec2e70"), "{told}");
    let after = changes[0]["after"]["value"].as_str().unwrap();
    assert!(after.starts_with("k3:"), "{told}");
    let facts = daemon().ask(&["facts", "--kind", "sysctl"]);
    assert!(
        facts
            .iter()
            .all(|fact| !fact.to_string().contains("5ec2e70"))
    );
}

#[test]
fn what_only_root_may_read_is_known_from_the_start_and_by_its_writes() {
    daemon();
    let key = "kernel.usermodehelper.bset";
    let before = fact("sysctl", key).unwrap_or_else(|| panic!("{key} is a fact"));
    let value = fs::read_to_string("/proc/sys/kernel/usermodehelper/bset").unwrap();
    assert_eq!(before, value.trim_end());
}

#[test]
fn another_network_namespace_is_told_apart() {
    daemon();
    let host = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap();
    let script =
        "readlink /proc/self/ns/net > /tmp/netns; echo 77 > /proc/sys/net/ipv4/ip_default_ttl;
                  echo 999 > /proc/sys/net/ipv4/ip_default_ttl; true";
    assert!(done_by("unshare", &["-n", "sh", "-c", script]).1);
    assert_eq!(sysctl("net.ipv4.ip_default_ttl"), Vec::<Value>::new());
    assert_eq!(
        fact("sysctl", "net.ipv4.ip_default_ttl").unwrap(),
        host.trim_end()
    );
    let link = fs::read_to_string("/tmp/netns").unwrap();
    let number = link
        .trim()
        .trim_start_matches("net:[")
        .trim_end_matches(']');
    let changes = sysctl(&format!("net.ipv4.ip_default_ttl@net:{number}"));
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(
        changes[0]["before"]["value"],
        host.trim_end(),
        "{changes:#?}"
    );
    assert_eq!(changes[0]["after"]["value"], "77", "{changes:#?}");
    let script = "echo elsewhere > /proc/sys/kernel/hostname";
    assert!(done_by("unshare", &["-u", "sh", "-c", script]).1);
    assert_eq!(sysctl("kernel.hostname"), Vec::<Value>::new());
}

#[test]
fn what_a_reboot_takes_back_is_listed_with_who_set_it() {
    daemon();
    fs::create_dir_all("/etc/sysctl.d").unwrap();
    fs::write("/etc/sysctl.d/77-test.conf", "vm.page-cluster = 5\n").unwrap();
    let default = fs::read_to_string("/proc/sys/vm/laptop_mode").unwrap();
    let (pid, taken) = done_by("sysctl", &["-w", "vm.page-cluster=1", "vm.laptop_mode=7"]);
    assert!(taken);
    let volatile = daemon().ask(&["facts", "--volatile"]);
    let of = |key: &str| {
        volatile
            .iter()
            .find(|body| body["subject"]["key"] == key)
            .unwrap()
    };
    let written = of("vm.page-cluster");
    assert_eq!(written["value"]["value"], "1", "{written:#}");
    assert_eq!(written["after_reboot"]["value"], "5", "{written:#}");
    assert_eq!(
        written["place"], "/etc/sysctl.d/77-test.conf:1",
        "{written:#}"
    );
    assert_eq!(
        written["change"]["actor"]["process"]["pid"], pid,
        "{written:#}"
    );
    let unwritten = of("vm.laptop_mode");
    assert_eq!(
        unwritten["after_reboot"]["value"],
        default.trim_end(),
        "{unwritten:#}"
    );
    assert_eq!(unwritten["place"], Value::Null, "{unwritten:#}");
    fs::remove_file("/etc/sysctl.d/77-test.conf").unwrap();
    fs::write("/proc/sys/vm/laptop_mode", default).unwrap();
    let volatile = daemon().ask(&["facts", "--volatile"]);
    let is_it = |body: &Value| body["subject"]["key"] == "vm.laptop_mode";
    assert!(!volatile.iter().any(is_it), "{volatile:#?}");
}

#[test]
fn an_act_by_a_sysctl_is_told_and_is_no_fact() {
    daemon();
    assert!(shell("echo 1 > /proc/sys/vm/drop_caches").1);
    let changes = sysctl("vm.drop_caches");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["after"]["value"], "1", "{changes:#?}");
    assert_eq!(fact("sysctl", "vm.drop_caches"), None);
}

#[test]
fn a_switch_of_sysfs_names_who_turned_it() {
    daemon();
    let key = [
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/module/printk/parameters/time",
    ]
    .into_iter()
    .find(|path| fs::exists(path).unwrap())
    .unwrap();
    let (before, script) = if key.contains("huge") {
        (
            fact("kernel-setting", key).unwrap(),
            format!("echo never > {key}; echo nonsense > {key}; true"),
        )
    } else {
        (
            fact("kernel-setting", key).unwrap(),
            format!("echo N > {key}; echo nonsense > {key}; true"),
        )
    };
    assert_ne!(before, "never");
    assert!(shell(&script).1);
    let changes = daemon().who(format!("kernel-setting:{key}"));
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let change = &changes[0];
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["before"]["value"], before, "{change:#}");
    let after = change["after"]["value"].as_str().unwrap();
    assert!(["never", "N"].contains(&after), "{change:#}");
    assert_eq!(
        change["actor"]["process"]["argv"][0], "/bin/sh",
        "{change:#}"
    );
}

#[test]
fn who_asks_for_a_system_request_is_named() {
    daemon();
    let (pid, _) = done_by("/bin/sh", &["-c", "echo s > /proc/sysrq-trigger"]);
    let changes = daemon().who("kernel-setting:/proc/sysrq-trigger");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["op"], "set", "{changes:#?}");
    assert_eq!(changes[0]["after"]["value"], "s", "{changes:#?}");
    assert_eq!(changes[0]["actor"]["process"]["pid"], pid, "{changes:#?}");
    assert_eq!(fact("kernel-setting", "/proc/sysrq-trigger"), None);
}

#[test]
fn without_programs_at_functions_the_value_afterwards_tells_what_was_taken() {
    if !is_one_of(&["5.10", "6.12", "7"]) {
        return;
    }
    let own = Daemon::start(&Options {
        name: "settings-fanotify",
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    });
    // Of a switch that is turned before it is read the first time nobody knows how it was.
    wait_for("the settings are read", || {
        let facts = own.ask(&["facts", "--kind", "kernel-setting"]);
        (!facts.is_empty())
            .then_some(())
            .ok_or("no facts".to_owned())
    });
    let value = fs::read_to_string("/proc/sys/vm/dirty_background_ratio").unwrap();
    let key = "/sys/kernel/mm/transparent_hugepage/defrag";
    let was = fs::read_to_string(key).unwrap();
    let was = was.split(['[', ']']).nth(1).unwrap();
    let script = format!(
        "echo 999 > /proc/sys/vm/dirty_background_ratio; echo never > {key}; echo nonsense > {key};
         echo 0x7 > /proc/sys/vm/dirty_background_ratio"
    );
    let (pid, taken) = shell(&script);
    assert!(taken);
    let changes = own.who("sysctl:vm.dirty_background_ratio");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(
        changes[0]["before"]["value"],
        value.trim_end(),
        "{changes:#?}"
    );
    assert_eq!(changes[0]["after"]["value"], "7", "{changes:#?}");
    assert_eq!(changes[0]["actor"]["process"]["pid"], pid, "{changes:#?}");
    let changes = own.who(format!("kernel-setting:{key}"));
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["certainty"], "exact", "{changes:#?}");
    assert_eq!(changes[0]["before"]["value"], was, "{changes:#?}");
    assert_eq!(changes[0]["after"]["value"], "never", "{changes:#?}");
    assert_eq!(changes[0]["actor"]["process"]["pid"], pid, "{changes:#?}");
    let script = "echo 78 > /proc/sys/net/ipv4/ip_default_ttl";
    assert!(done_by("unshare", &["-n", "sh", "-c", script]).1);
    let foreign = own.ask(&["log", "--kind", "sysctl", "-n", "1"]);
    let subject = foreign[0]["subject"]["key"].as_str().unwrap();
    assert!(
        subject.starts_with("net.ipv4.ip_default_ttl@net:"),
        "{foreign:#?}"
    );
    assert_eq!(foreign[0]["notes"][0], "unconfirmed", "{foreign:#?}");
    fs::write(key, was).unwrap();
    fs::write("/proc/sys/vm/dirty_background_ratio", value).unwrap();
}

#[test]
fn what_was_set_while_nobody_watched_is_late() {
    if !is_one_of(&["5.10", "6.12"]) {
        return;
    }
    let mut own = Daemon::start(&Options {
        name: "settings",
        settings: COMPARES.to_owned(),
        ..Options::default()
    });
    let of_kind = |own: &Daemon, kind: &str| own.ask(&["log", "--kind", kind]);
    assert_eq!(of_kind(&own, "sysctl"), Vec::<Value>::new());
    assert_eq!(of_kind(&own, "kernel-setting"), Vec::<Value>::new());
    let facts = own.ask(&["facts", "--kind", "sysctl"]);
    assert!(facts.len() > 200, "{}", facts.len());
    assert_eq!(own.terminate(), Some(0));
    let value = fs::read_to_string("/proc/sys/vm/dirty_ratio").unwrap();
    assert!(shell("echo 33 > /proc/sys/vm/dirty_ratio; echo 4 > /sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan; true").1);
    // A module brings sysctls of its own, which nobody has set.
    assert!(run(Command::new("modprobe").arg("sunrpc")).code.is_some());
    own.start_again();
    let late = wait_for("it is found", || {
        let late = own.who("sysctl:vm.dirty_ratio");
        (!late.is_empty())
            .then_some(late)
            .ok_or("no change".to_owned())
    });
    assert_eq!(late.len(), 1, "{late:#?}");
    assert_eq!(late[0]["certainty"], "late", "{late:#?}");
    assert_eq!(late[0]["actor"], Value::Null, "{late:#?}");
    assert_eq!(late[0]["before"]["value"], value.trim_end(), "{late:#?}");
    assert_eq!(late[0]["after"]["value"], "33", "{late:#?}");
    assert_eq!(of_kind(&own, "sysctl").len(), 1);
    fs::write("/proc/sys/vm/dirty_ratio", value).unwrap();
}
