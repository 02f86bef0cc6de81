//! The questions, each on a small fleet whose answer is plain.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

use std::collections::BTreeMap;

use change::wire::{Batch, Content, FactNow, Sender};
use change::{Change, FactValue, FileState, Kind, Op, Timestamp};
use simulation::deeds::{change, person};
use simulation::inventory::{attributes, setting, subject};
use simulation::server::store_for;
use tracer_collector::fleet::HostId;
use tracer_collector::questions::{
    Comparison, Noise, Roster, Side, SuspectQuery, compare, explain, outliers, suspects,
};
use tracer_collector::store::{Location, Reader, Store};

type Named = (Kind, &'static str, FactValue);

fn time(minutes: i64) -> Timestamp {
    Timestamp::from_parts(1_795_000_000 + minutes * 60, 0)
}

/// A store into which hosts are put by their numbers.
struct Fleet {
    _folder: tempfile::TempDir,
    store: Store,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let within = || Location::within(folder.path());
        let location = store_for(module_path!());
        let location = location.map_or_else(within, |url| url.parse().unwrap());
        Self {
            store: Store::open(&location).unwrap(),
            _folder: folder,
        }
    }

    /// A fleet of so many hosts, each with what `facts` says of it.
    fn of(hosts: u32, facts: impl Fn(u32) -> Vec<Named>) -> Self {
        let fleet = Self::new();
        for number in 1..=hosts {
            fleet.send(number, facts(number), Vec::new(), &[]);
        }
        fleet
    }

    /// What a host has at first and logs then, reported a thousand minutes later.
    fn send(&self, number: u32, facts: Vec<Named>, changes: Vec<Change>, texts: &[String]) {
        let facts = facts.into_iter().map(|(kind, key, value)| FactNow {
            subject: subject(kind, key),
            value: Some(value),
            since: time(0),
        });
        let content = |text: &String| Content {
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
            bytes: text.clone().into_bytes(),
        };
        let mut batch = Batch {
            sender: Sender {
                machine: format!("machine-{number}"),
                hostname: format!("web-{number:02}"),
                labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
                tracer: "0.1.0".to_owned(),
                log: format!("log-{number}"),
            },
            sent: time(0),
            first_seq: 1,
            facts: facts.collect(),
            contents: texts.iter().map(content).collect(),
            ..Batch::default()
        };
        let id = HostId(format!("id-{number}"));
        self.store.ingest(&id, batch.clone(), time(0)).unwrap();
        let numbered = (1..)
            .zip(changes)
            .map(|(seq, change)| Change { seq, ..change });
        batch.changes = numbered.collect();
        batch.facts.clear();
        self.store.ingest(&id, batch, time(1000)).unwrap();
    }

    /// The fleet as it is now, with whoever has not reported for an hour stale.
    fn read(&self) -> (Reader, Roster) {
        let reader = Reader::open(self.store.location()).unwrap();
        let roster = Roster::read(&reader, time(940)).unwrap();
        (reader, roster)
    }

    fn compare(&self, names: [&str; 2], noise: &[&str]) -> Comparison {
        let (reader, roster) = self.read();
        let side = |name| Side {
            host: roster.find(name).unwrap(),
            at: None,
        };
        let noise: Vec<_> = noise.iter().map(|&rule| rule.to_owned()).collect();
        let noise = Noise::new(&noise).unwrap();
        compare(&reader, &roster, names.map(side), &noise).unwrap()
    }
}

fn set(key: &str, values: [&str; 2], minutes: i64) -> Change {
    let actor = person("carol", "sysctl -w x", time(minutes));
    let values = values.map(|value| Some(setting(value)));
    change(
        subject(Kind::Sysctl, key),
        Op::Set,
        values,
        time(minutes),
        Some(&actor),
    )
}

fn text_file(text: &str) -> FactValue {
    FactValue::File(FileState {
        hash: Some(format!("b3:{}", blake3::hash(text.as_bytes()).to_hex())),
        size: text.len() as u64,
        mode: "0644".to_owned(),
        ..FileState::default()
    })
}

#[test]
fn the_pimple_comes_before_what_each_host_has_for_itself() {
    let serial = |number: u32| attributes(&[("serial", &number.to_string())]);
    let fleet = Fleet::of(30, |number| {
        let mut facts = vec![
            (Kind::Sysctl, "vm.swappiness", setting("60")),
            (Kind::Sysctl, "vm.dirty_ratio", setting("20")),
            (Kind::Hardware, "disk/0", serial(number)),
            (Kind::Host, "name", setting(&number.to_string())),
        ];
        if number == 7 {
            facts.push((Kind::File, "/etc/only-here", text_file("x")));
        }
        if number != 9 {
            facts.push((Kind::Package, "openssl", attributes(&[("version", "3")])));
        }
        facts
    });
    let changes = vec![
        set("vm.swappiness", ["60", "1"], 10),
        set("vm.dirty_ratio", ["20", "5"], 11),
    ];
    fleet.send(
        31,
        vec![(Kind::Sysctl, "vm.swappiness", setting("60"))],
        changes,
        &[],
    );
    let (reader, roster) = fleet.read();
    let found = outliers(&reader, &roster, &roster.group("role=web").unwrap(), 10).unwrap();
    assert_eq!((found.hosts, found.set_aside.len()), (31, 0));
    let told: Vec<_> = found
        .outliers
        .iter()
        .map(|one| one.subject.to_string())
        .collect();
    // Two hosts lack openssl; one was set otherwise; one has only more.
    assert_eq!(
        told,
        ["package:openssl", "sysctl:vm.dirty_ratio", "/etc/only-here"]
    );
    let missing = &found.outliers[0].deviations[0];
    assert_eq!((missing.value.as_ref(), missing.count), (None, 2));
    let first = &found.outliers[1];
    let also: Vec<_> = first.also.iter().map(ToString::to_string).collect();
    assert_eq!(also, ["sysctl:vm.swappiness"]);
    assert_eq!(
        (first.usual.as_ref(), first.usual_hosts),
        (Some(&setting("20")), 30)
    );
    let deviation = &first.deviations[0];
    assert_eq!(deviation.hosts[0].hostname, "web-31");
    let change = deviation.opening.as_ref().unwrap().change.as_ref().unwrap();
    let who = change.actor.as_ref().unwrap().person();
    assert_eq!(who.name.as_deref(), Some("carol"));
}

#[test]
fn hosts_that_have_stopped_reporting_are_not_compared_as_if_they_were_fresh() {
    let fleet = Fleet::of(4, |_| vec![(Kind::Sysctl, "a", setting("1"))]);
    let stale = Batch {
        sender: Sender {
            machine: "machine-9".to_owned(),
            hostname: "web-09".to_owned(),
            labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
            tracer: "0.1.0".to_owned(),
            log: "log-9".to_owned(),
        },
        first_seq: 1,
        facts: vec![FactNow {
            subject: subject(Kind::Sysctl, "a"),
            value: Some(setting("old")),
            since: time(0),
        }],
        ..Batch::default()
    };
    fleet
        .store
        .ingest(&HostId("id-9".to_owned()), stale, time(1))
        .unwrap();
    let (reader, roster) = fleet.read();
    let found = outliers(&reader, &roster, &roster.group("all").unwrap(), 10).unwrap();
    assert_eq!((found.hosts, found.outliers.len()), (4, 0));
    assert_eq!(found.set_aside[0].hostname, "web-09");
}

#[test]
fn a_file_that_differs_has_its_diff_and_one_that_differs_by_the_name_is_noise() {
    let fleet = Fleet::new();
    for number in 1..=2 {
        let config = format!("listen 80;\nworkers {number};\nlog on;\n");
        let hosts = format!("127.0.0.1 localhost\n10.0.0.1 web-{number:02} machine-{number}\n");
        let facts = vec![
            (Kind::File, "/etc/app.conf", text_file(&config)),
            (Kind::File, "/etc/hosts", text_file(&hosts)),
            (Kind::File, "/etc/motd", text_file("hello")),
            (Kind::Host, "name", setting(&format!("web-{number:02}"))),
        ];
        fleet.send(number, facts, Vec::new(), &[config, hosts]);
    }
    let found = fleet.compare(["web-01", "web-02"], &[]);
    assert_eq!(found.same, 1);
    let told: Vec<_> = found
        .differences
        .iter()
        .map(|one| (one.subject.to_string(), one.noise.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("/etc/app.conf".to_owned(), None),
            ("host:name".to_owned(), Some("the host's own name")),
            (
                "/etc/hosts".to_owned(),
                Some("the same but for the hosts' own names and addresses")
            ),
        ]
    );
    let diff = found.differences[0].diff.as_deref().unwrap();
    assert!(diff.contains("-workers 1;\n+workers 2;\n"), "{diff}");
    let given = fleet.compare(["web-01", "web-02"], &["/etc/*.conf"]);
    assert!(given.differences.iter().all(|one| one.noise.is_some()));
}

#[test]
fn what_nearly_each_host_has_for_itself_is_learned_to_be_noise() {
    let fleet = Fleet::of(20, |number| {
        let own = attributes(&[("serial", &number.to_string())]);
        let make = attributes(&[("product", if number < 10 { "one" } else { "other" })]);
        vec![
            (Kind::Hardware, "disk/0", own),
            (Kind::Hardware, "machine", make),
        ]
    });
    let found = fleet.compare(["web-01", "web-20"], &[]);
    let noise: Vec<_> = found
        .differences
        .iter()
        .map(|one| one.noise.as_deref())
        .collect();
    assert_eq!(noise, [None, Some("nearly each host has its own")]);
}

#[test]
fn a_package_that_was_removed_on_the_bad_side_is_told_with_who_removed_it() {
    let fleet = Fleet::new();
    for number in 1..=6 {
        let version = attributes(&[("version", "1")]);
        let facts = vec![
            (Kind::Package, "chrony", version.clone()),
            (
                Kind::Hardware,
                "disk/0",
                attributes(&[("serial", &number.to_string())]),
            ),
        ];
        let actor = person("erin", "apt remove chrony", time(5));
        let gone = change(
            subject(Kind::Package, "chrony"),
            Op::Remove,
            [Some(version), None],
            time(5),
            Some(&actor),
        );
        let changes = if number <= 3 { vec![gone] } else { Vec::new() };
        fleet.send(number, facts, changes, &[]);
    }
    let (reader, roster) = fleet.read();
    let hosts = |names: [&str; 3]| roster.choose(&names.map(str::to_owned)).unwrap();
    let (bad, good) = (
        hosts(["web-01", "web-02", "web-03"]),
        hosts(["web-04", "web-05", "web-06"]),
    );
    let found = explain(&reader, &roster, [&bad, &good], 10).unwrap();
    let first = &found.splits[0];
    assert_eq!(first.subject, subject(Kind::Package, "chrony"));
    assert_eq!((first.bad[0].value.as_ref(), first.bad[0].count), (None, 3));
    assert_eq!(first.parted, Some(time(5)));
    let change = first.opening.as_ref().unwrap().change.as_ref().unwrap();
    assert_eq!(change.op, Op::Remove);
    let serial = &found.splits[1];
    assert!(serial.score < 0.6, "{}", serial.score);
}

#[test]
fn a_rare_change_just_before_is_more_suspicious_than_an_old_one_or_what_all_have() {
    let fleet = Fleet::new();
    for number in 1..=10 {
        let facts = ["close", "early", "common"].map(|key| (Kind::Sysctl, key, setting("0")));
        let mut changes = Vec::new();
        if number == 3 {
            changes.push(set("early", ["0", "1"], 20));
            changes.push(set("close", ["0", "1"], 95));
        }
        changes.push(set("common", ["0", "1"], 40));
        changes.push(set("after", ["0", "1"], 101));
        fleet.send(number, facts.into(), changes, &[]);
    }
    let (reader, roster) = fleet.read();
    let query = SuspectQuery {
        at: time(100),
        window_ns: 7_200_000_000_000,
        most: 10,
    };
    let found = suspects(&reader, &roster, &roster.group("all").unwrap(), &query).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|one| one.subject.key.to_string())
        .collect();
    assert_eq!(told, ["close", "common", "early"]);
    assert_eq!((found[0].count, found[1].count), (1, 10));
    assert!((found[0].rarity - 0.9).abs() < 1e-9 && found[1].rarity < 1e-9);
    let host = roster.find("web-05").unwrap();
    let on_one = suspects(&reader, &roster, &[host], &query).unwrap();
    assert_eq!(on_one.len(), 1);
}
