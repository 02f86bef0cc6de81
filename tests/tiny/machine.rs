//! What the machine is and how it is set up.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::wait_for;

use crate::modules::done_by;
use crate::{daemon, kernel};

fn fact(kind: &str, key: &str) -> Value {
    let facts = daemon().ask(&["facts", "--kind", kind]);
    let is_it = |fact: &&Value| fact["subject"]["key"] == key;
    let found = facts.iter().find(is_it);
    found.unwrap_or_else(|| panic!("{kind}:{key}: {facts:#?}"))["value"].clone()
}

fn changes(subject: &str) -> Vec<Value> {
    daemon().who(Path::new(subject))
}

#[test]
fn the_guest_s_parts_are_facts() {
    assert_eq!(fact("kernel", "release")["release"], kernel());
    let line = fact("kernel", "command-line");
    let line = line["value"].as_str().unwrap();
    assert!(line.contains("console="), "{line}");
    let threads = std::thread::available_parallelism().unwrap().to_string();
    assert_eq!(fact("hardware", "cpu")["threads"], threads);
    let memory = fact("hardware", "memory");
    let bytes: u64 = memory["size"].as_str().unwrap().parse().unwrap();
    assert!(
        (512 << 20..=1 << 30).contains(&bytes),
        "{bytes} bytes of memory"
    );
    // The root disk, which is at a PCI bus.
    let facts = daemon().ask(&["facts", "--kind", "hardware"]);
    let key = |fact: &Value| fact["subject"]["key"].as_str().unwrap().to_owned();
    let keys: Vec<String> = facts.iter().map(key).collect();
    for part in ["disk/pci-0000:", "pci/0000:"] {
        assert!(
            keys.iter().any(|key| key.starts_with(part)),
            "{part} in {keys:#?}"
        );
    }
    assert_eq!(fact("firmware", "bios")["vendor"], "SeaBIOS");
    // It never changes while the guest runs.
    for kind in ["kernel", "hardware", "firmware"] {
        let changes = daemon().ask(&["log", "--kind", kind]);
        assert!(changes.is_empty(), "{changes:#?}");
    }
}

#[test]
fn the_resolver_is_what_its_file_says_and_whoever_wrote_it() {
    let before = changes("host:resolver").len();
    let write = |server: &str| {
        let script = format!("echo nameserver {server} > /etc/resolv.conf");
        let (pid, is_done) = done_by("sh", &["-c", &script]);
        assert!(is_done);
        pid
    };
    let pid = write("192.0.2.1");
    let all = changes("host:resolver");
    assert_eq!(all.len(), before + 1, "{all:#?}");
    assert_eq!(all[0]["op"], "set", "{all:#?}");
    assert_eq!(all[0]["certainty"], "exact", "{all:#?}");
    assert_eq!(all[0]["actor"]["process"]["pid"], pid, "{all:#?}");
    assert_eq!(all[0]["after"]["servers"], "192.0.2.1", "{all:#?}");
    // The same once more says nothing new of the host, though the file was written.
    write("192.0.2.1");
    assert_eq!(changes("host:resolver").len(), before + 1);
    let said = daemon().tell(&["who", "host:resolver"]);
    assert!(said.contains("servers 192.0.2.1"), "{said}");
}

#[test]
fn the_time_zone_is_where_the_link_leads() {
    daemon();
    let (_, is_done) = done_by(
        "ln",
        &["-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime"],
    );
    assert!(is_done);
    let change = wait_for("the time zone is told of", || {
        let mut all = changes("host:time-zone");
        (!all.is_empty())
            .then(|| all.remove(0))
            .ok_or(daemon().read_log())
    });
    assert_eq!(change["after"]["value"], "Asia/Tokyo", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    fs::remove_file("/etc/localtime").unwrap();
    let all = changes("host:time-zone");
    assert_eq!(all[0]["after"], Value::Null, "{all:#?}");
}

#[test]
fn another_name_of_the_host_is_found_at_once() {
    daemon();
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let count = changes("host:name").len();
    for (name, count) in [("renamed", count + 1), (before.trim(), count + 2)] {
        let (_, is_done) = done_by("hostname", &[name]);
        assert!(is_done);
        let change = wait_for("the name is found", || {
            let mut all = changes("host:name");
            let is_new = all.len() == count;
            is_new.then(|| all.remove(0)).ok_or(format!("{all:#?}"))
        });
        assert_eq!(change["after"]["value"], name, "{change:#}");
        assert_eq!(change["certainty"], "late", "{change:#}");
    }
}
