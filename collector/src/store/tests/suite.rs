//! The suite: batches go in, and a fleet comes out.

mod folding;
mod tidying;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use change::wire::{Batch, ChainHead, Content, FactNow, Sender};
use change::{Certainty, Change, FactValue, Kind, Op, Subject, Timestamp};

use super::place;
use crate::fleet::{Fleet as _, Host, HostId, HostKey, LogQuery};
use crate::questions::{Roster, Standing};
use crate::store::{Acknowledged, Arrival, Error, Location, Reader, Store};

/// So many seconds after the tests' beginning of time.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_parts(1_795_000_000 + seconds, 0)
}

fn setting(value: &str) -> FactValue {
    FactValue::Setting {
        value: value.to_owned(),
    }
}

fn subject(name: &str) -> Subject {
    Subject::parse(name.as_bytes()).unwrap()
}

/// A change of a setting, at as many seconds as its number.
fn set(seq: u64, name: &str, values: [Option<&str>; 2]) -> Change {
    let [before, after] = values.map(|value| value.map(setting));
    Change {
        host: "m".to_owned(),
        hostname: "web-1".to_owned(),
        seq,
        time: time(seq.cast_signed()),
        subject: subject(name),
        op: Op::Set,
        from: None,
        before,
        after,
        certainty: Certainty::Exact,
        between: None,
        run: None,
        operations: 1,
        notes: Vec::new(),
        package: None,
        actor: None,
    }
}

fn fact(name: &str, value: Option<&str>, seconds: i64) -> FactNow {
    FactNow {
        subject: subject(name),
        value: value.map(setting),
        since: time(seconds),
    }
}

/// A batch of a machine's log, sent when its last change happened.
fn batch(machine: &str, log: &str, changes: Vec<Change>) -> Batch {
    let first_seq = changes.first().map_or(1, |change| change.seq);
    Batch {
        sender: Sender {
            machine: machine.to_owned(),
            hostname: "web-1".to_owned(),
            labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
            tracer: "0.1.0".to_owned(),
            log: log.to_owned(),
        },
        sent: changes.last().map_or(time(0), |change| change.time),
        first_seq,
        newest_seq: changes.last().map_or(0, |change| change.seq),
        changes,
        ..Batch::default()
    }
}

fn arrival<'b>(sender: &'b HostId, batch: &'b Batch) -> Arrival<'b> {
    Arrival {
        sender,
        batch,
        received: time(1),
    }
}

/// A store of its own.
struct Example {
    location: Location,
    folder: Option<tempfile::TempDir>,
    store: Store,
}

impl Example {
    fn new() -> Self {
        let (location, folder) = place();
        let store = Store::open(&location).unwrap();
        Self {
            location,
            folder,
            store,
        }
    }

    fn take_from(&self, id: &str, batch: &Batch, at: Timestamp) -> Result<Acknowledged, Error> {
        self.store.ingest(&HostId(id.to_owned()), batch.clone(), at)
    }

    /// Takes a batch of the one host of most tests, at the moment when it was sent.
    fn take(&self, changes: Vec<Change>) -> Result<u64, Error> {
        let batch = batch("m", "log", changes);
        let taken = self.take_from("web", &batch, batch.sent)?;
        Ok(taken.durable_seq)
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.location).unwrap()
    }

    /// The facts of a host, in words.
    fn state(&self, host: u32, at: Option<Timestamp>) -> Vec<String> {
        let reader = self.reader();
        let facts = reader.facts(HostKey(host), at).unwrap();
        let mut told: Vec<_> = facts
            .iter()
            .map(|fact| {
                let value = match reader.value(fact.value).unwrap() {
                    FactValue::Setting { value } => value,
                    other => format!("{other:?}"),
                };
                format!("{}={value}", reader.subject(fact.subject).unwrap().key)
            })
            .collect();
        told.sort();
        told
    }

    fn hosts(&self) -> Vec<Host> {
        self.reader().hosts().unwrap()
    }
}

#[test]
fn each_change_is_taken_once_however_often_it_is_sent() {
    let example = Example::new();
    let changes = |numbers: std::ops::RangeInclusive<u64>| {
        let one = |seq| set(seq, "sysctl:a", [None, Some(&*seq.to_string())]);
        numbers.map(one).collect::<Vec<_>>()
    };
    assert_eq!(example.take(changes(1..=3)).unwrap(), 3);
    assert_eq!(example.take(changes(1..=3)).unwrap(), 3);
    assert_eq!(example.take(changes(2..=5)).unwrap(), 5);
    assert_eq!(example.take(changes(1..=2)).unwrap(), 5);
    assert_eq!(example.take(changes(6..=6)).unwrap(), 6);
    let query = LogQuery {
        limit: 99,
        ..LogQuery::default()
    };
    let log = example.reader().log(&query).unwrap();
    let numbers: Vec<_> = log.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1]);
    assert_eq!(log[0], changes(6..=6)[0]);
    assert_eq!(example.state(1, None), ["a=6"]);
}

#[test]
fn a_new_store_is_opened_and_written_by_several_at_once() {
    let (location, _folder) = place();
    let taken = std::thread::scope(|scope| {
        let begin = |number: u32| {
            let location = &location;
            scope.spawn(move || {
                let store = Store::open(location).unwrap();
                let changes = vec![set(1, "sysctl:a", [Some("0"), Some("1")])];
                let sent = batch(&format!("m{number}"), "log", changes);
                let id = HostId(format!("h{number}"));
                let at = sent.sent;
                store.ingest(&id, sent, at).unwrap().durable_seq
            })
        };
        let threads = [1, 2, 3, 4].map(begin);
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(taken, [1; 4]);
    let reader = Reader::open(&location).unwrap();
    let hosts: Vec<_> = reader
        .hosts()
        .unwrap()
        .iter()
        .map(|host| host.key)
        .collect();
    assert_eq!(hosts, [1, 2, 3, 4].map(HostKey));
    let subject = reader.key_of(&subject("sysctl:a")).unwrap().unwrap();
    let holdings = reader.holdings(subject, 9).unwrap();
    assert_eq!(holdings.len(), 1);
    assert_eq!(holdings[0].1.iter().collect::<Vec<_>>(), hosts);
}

#[test]
fn of_many_that_come_at_once_each_is_taken_or_refused_for_itself() {
    const HOSTS: u64 = 24;
    const ROUNDS: u64 = 6;
    let example = Example::new();
    let send = |host: u64, seq: u64| {
        let name = format!("sysctl:{}", host % 3);
        let mut sent = batch(
            &format!("m{host}"),
            "log",
            vec![set(seq, &name, [None, Some("1")])],
        );
        // Each third one leaves a hole from the second round on.
        if seq > 1 && host.is_multiple_of(3) {
            sent.first_seq += 1;
            sent.changes[0].seq += 1;
        }
        let id = HostId(format!("h{host}"));
        example
            .store
            .ingest(&id, sent, time(1))
            .map(|one| one.durable_seq)
    };
    let send_all = |host: u64| {
        for seq in 1..=ROUNDS {
            let is_hole = seq > 1 && host.is_multiple_of(3);
            match send(host, seq) {
                Ok(durable) => assert!(durable == seq && !is_hole),
                Err(Error::Hole { host: id, .. }) => assert!(is_hole && id == format!("h{host}")),
                Err(error) => panic!("{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        for host in 1..=HOSTS {
            let send_all = &send_all;
            scope.spawn(move || send_all(host));
        }
    });
    let mut durable: Vec<_> = example
        .hosts()
        .iter()
        .map(|host| host.durable_seq)
        .collect();
    durable.sort_unstable();
    let refused = usize::try_from(HOSTS / 3).unwrap();
    assert!(
        durable[..refused].iter().all(|seq| *seq == 1),
        "{durable:?}"
    );
    assert!(
        durable[refused..].iter().all(|seq| *seq == ROUNDS),
        "{durable:?}"
    );
    let query = LogQuery {
        limit: 999,
        ..LogQuery::default()
    };
    let there = example.reader().log(&query).unwrap().len() as u64;
    assert_eq!(there, durable.iter().sum::<u64>());
}

#[test]
fn a_hole_is_refused_with_what_is_expected_and_nothing_is_kept() {
    let example = Example::new();
    example
        .take(vec![set(1, "sysctl:a", [None, Some("1")])])
        .unwrap();
    let late = example.take(vec![set(3, "sysctl:b", [None, Some("3")])]);
    let Err(Error::Hole {
        expected, found, ..
    }) = late
    else {
        panic!("{late:?}");
    };
    assert_eq!((expected, found), (2, 3));
    assert_eq!(example.state(1, None), ["a=1"]);
    let mut torn = batch("m", "log", vec![set(2, "sysctl:c", [None, Some("2")])]);
    torn.changes.push(set(9, "sysctl:d", [None, Some("9")]));
    let said = example
        .take_from("web", &torn, time(9))
        .unwrap_err()
        .to_string();
    assert!(said.contains("change 9 stands where 3 must"), "{said}");
    assert_eq!(example.state(1, None), ["a=1"]);
}

#[test]
fn of_several_batches_all_are_taken_or_none_and_names_are_right_afterwards() {
    let example = Example::new();
    let ids = ["web", "db"].map(|id| HostId(id.to_owned()));
    let good = batch("m", "log", vec![set(1, "sysctl:a", [None, Some("1")])]);
    let bad = Batch {
        first_seq: 0,
        ..batch("o", "log", Vec::new())
    };
    let both = [arrival(&ids[0], &good), arrival(&ids[1], &bad)];
    assert!(example.store.ingest_all(&both).is_err());
    assert_eq!(example.hosts().len(), 0);
    // Another subject first: the ids of what was refused must not be given to it.
    let other = batch("o", "log", vec![set(1, "sysctl:b", [None, Some("2")])]);
    let both = [arrival(&ids[1], &other), arrival(&ids[0], &good)];
    let taken = example.store.ingest_all(&both).unwrap();
    assert_eq!(taken.iter().map(|one| one.durable_seq).sum::<u64>(), 2);
    assert_eq!(example.state(1, None), ["b=2"]);
    assert_eq!(example.state(2, None), ["a=1"]);
}

#[test]
fn a_host_writes_its_own_log_whatever_its_batch_says() {
    let example = Example::new();
    let own = batch("m", "log", vec![set(1, "sysctl:a", [None, Some("1")])]);
    example.take_from("web", &own, time(1)).unwrap();
    // As if it were the other: same machine id, same log, another certificate.
    let forged = batch("m", "log", vec![set(1, "sysctl:a", [None, Some("evil")])]);
    example.take_from("mallory", &forged, time(2)).unwrap();
    assert_eq!(example.state(1, None), ["a=1"]);
    assert_eq!(example.state(2, None), ["a=evil"]);
}

#[test]
fn the_state_of_each_moment_is_known_and_costs_no_scan_of_the_log() {
    let example = Example::new();
    let begin = Batch {
        facts: vec![
            fact("sysctl:a", Some("0"), 0),
            fact("sysctl:z", Some("z"), 0),
        ],
        ..batch("m", "log", Vec::new())
    };
    example.take_from("web", &begin, time(0)).unwrap();
    let changes = vec![
        set(1, "sysctl:a", [Some("0"), Some("1")]),
        set(2, "sysctl:b", [None, Some("2")]),
        set(3, "sysctl:a", [Some("1"), None]),
        set(4, "sysctl:a", [None, Some("4")]),
    ];
    example.take(changes).unwrap();
    let at = |seconds| example.state(1, Some(time(seconds)));
    assert_eq!(at(0), ["a=0", "z=z"]);
    assert_eq!(at(1), ["a=1", "z=z"]);
    assert_eq!(at(2), ["a=1", "b=2", "z=z"]);
    assert_eq!(at(3), ["b=2", "z=z"]);
    assert_eq!(at(4), ["a=4", "b=2", "z=z"]);
    assert_eq!(at(4), example.state(1, None));
    let reader = example.reader();
    let facts = reader.facts(HostKey(1), None).unwrap();
    let opened: Vec<_> = facts.iter().map(|fact| (fact.since, fact.seq)).collect();
    assert_eq!(opened.len(), 3);
    assert!(opened.contains(&(Some(time(4)), Some(4))));
    assert!(opened.contains(&(Some(time(0)), None)));
}

#[test]
fn what_a_first_change_says_was_before_was_there_all_along() {
    let example = Example::new();
    example
        .take(vec![set(1, "sysctl:a", [Some("0"), Some("1")])])
        .unwrap();
    assert_eq!(example.state(1, Some(time(0))), ["a=0"]);
    assert_eq!(example.state(1, Some(time(1))), ["a=1"]);
}

#[test]
fn facts_of_an_older_batch_are_not_believed() {
    let example = Example::new();
    let old = Batch {
        facts: vec![fact("sysctl:a", Some("old"), 0)],
        ..batch("m", "log", Vec::new())
    };
    example.take_from("web", &old, time(0)).unwrap();
    example
        .take(vec![set(1, "sysctl:a", [Some("old"), Some("new")])])
        .unwrap();
    example.take_from("web", &old, time(2)).unwrap();
    assert_eq!(example.state(1, None), ["a=new"]);
    let gone = Batch {
        first_seq: 2,
        facts: vec![fact("sysctl:a", None, 3)],
        ..batch("m", "log", Vec::new())
    };
    example.take_from("web", &gone, time(3)).unwrap();
    assert_eq!(example.state(1, None), [""; 0]);
    assert_eq!(example.state(1, Some(time(2))), ["a=new"]);
}

#[test]
fn a_host_whose_clock_is_ahead_is_shown_so_and_its_facts_hold_from_when_they_came() {
    let example = Example::new();
    let changes = vec![set(3_600, "sysctl:a", [None, Some("1")])];
    let ahead = batch("m", "log", changes);
    let taken = example.take_from("web", &ahead, time(10)).unwrap();
    assert_eq!(taken.skew_ns, 3_590_000_000_000);
    assert_eq!(example.hosts()[0].skew_ns, 3_590_000_000_000);
    assert_eq!(example.state(1, Some(time(9))), [""; 0]);
    assert_eq!(example.state(1, Some(time(10))), ["a=1"]);
    let change = example.reader().change(HostKey(1), 3_600).unwrap().unwrap();
    assert_eq!(change.time, time(3_600));
    // Its clock is set right: what is next does not begin before what was.
    let next = batch(
        "m",
        "log",
        vec![Change {
            time: time(5),
            ..set(3_601, "sysctl:a", [Some("1"), Some("2")])
        }],
    );
    example.take_from("web", &next, time(11)).unwrap();
    assert_eq!(example.state(1, Some(time(9))), [""; 0]);
    assert_eq!(example.state(1, None), ["a=2"]);
    assert_eq!(example.hosts()[0].skew_ns, -6_000_000_000);
    // An older batch that comes again tells nothing of the clock now.
    example.take_from("web", &ahead, time(500)).unwrap();
    assert_eq!(example.hosts()[0].skew_ns, -6_000_000_000);
    assert_eq!(example.hosts()[0].reported, time(500));
}

#[test]
fn a_host_installed_anew_takes_its_name_over_and_does_not_write_the_old_log() {
    let example = Example::new();
    example
        .take(vec![set(1, "sysctl:a", [None, Some("old")])])
        .unwrap();
    let anew = batch("m2", "log2", vec![set(1, "sysctl:a", [None, Some("new")])]);
    example.take_from("web-again", &anew, time(60)).unwrap();
    assert_eq!(example.state(1, None), ["a=old"]);
    let roster = Roster::read(&example.reader(), time(0)).unwrap();
    assert_eq!(roster.find("web-1").unwrap().machine, "m2");
    assert_eq!(roster.find("m").unwrap().machine, "m");
    assert_eq!(
        roster.standing(roster.find("m").unwrap()),
        Standing::Replaced
    );
    assert_eq!(roster.group("role=web").unwrap().len(), 1);
    assert!(roster.all().iter().all(|host| host.cloned.is_none()));
}

#[test]
fn a_log_begun_anew_on_the_same_machine_is_no_hole_and_no_clone() {
    let example = Example::new();
    let changes = (1..=5).map(|seq| set(seq, "sysctl:a", [None, Some("old")]));
    example.take(changes.collect()).unwrap();
    let anew = batch("m", "log2", vec![set(1, "sysctl:a", [None, Some("new")])]);
    let taken = example.take_from("web", &anew, time(60)).unwrap();
    assert_eq!(taken.durable_seq, 1);
    let roster = Roster::read(&example.reader(), time(0)).unwrap();
    let host = roster.find("web-1").unwrap();
    assert_eq!((host.durable_seq, host.cloned), (1, None));
}

#[test]
fn two_machines_of_one_id_are_found_when_both_go_on() {
    let example = Example::new();
    let one = |seq| batch("m", "log", vec![set(seq, "sysctl:a", [None, Some("one")])]);
    let copy = |seq| {
        batch(
            "m",
            "log2",
            vec![set(seq, "sysctl:a", [None, Some("copy")])],
        )
    };
    example.take_from("web", &one(1), time(1)).unwrap();
    example.take_from("web-copy", &copy(1), time(2)).unwrap();
    assert!(example.hosts().iter().all(|host| host.cloned.is_none()));
    example.take_from("web", &one(2), time(3)).unwrap();
    let hosts = example.hosts();
    assert_eq!(
        hosts.iter().map(|host| host.cloned).collect::<Vec<_>>(),
        [Some(time(3)); 2]
    );
    example.take_from("web-copy", &copy(2), time(4)).unwrap();
    let roster = Roster::read(&example.reader(), time(0)).unwrap();
    let standings = roster.all().iter().map(|host| roster.standing(host));
    assert!(
        standings
            .into_iter()
            .any(|standing| standing == Standing::Cloned)
    );
}

#[test]
fn two_machines_of_one_id_are_told_apart_again_once_each_has_its_own_or_one_is_gone() {
    let example = Example::new();
    let one = |seq| batch("m", "log", vec![set(seq, "sysctl:a", [None, Some("one")])]);
    let copy = |machine: &str, seq| {
        batch(
            machine,
            "log2",
            vec![set(seq, "sysctl:a", [None, Some("copy")])],
        )
    };
    let cloned = || {
        example
            .hosts()
            .iter()
            .map(|host| host.cloned.is_some())
            .collect::<Vec<_>>()
    };
    example.take_from("web", &one(1), time(1)).unwrap();
    example.take_from("copy", &copy("m", 1), time(2)).unwrap();
    example.take_from("web", &one(2), time(3)).unwrap();
    assert_eq!(cloned(), [true, true]);
    example.take_from("copy", &copy("m2", 2), time(4)).unwrap();
    assert_eq!(cloned(), [true, false]);
    example.take_from("web", &one(3), time(5)).unwrap();
    assert_eq!(cloned(), [false, false]);

    example.take_from("copy", &copy("m", 3), time(6)).unwrap();
    example.take_from("web", &one(4), time(7)).unwrap();
    assert_eq!(cloned(), [true, true]);
    // A day later the copy has not been heard of again.
    example.take_from("web", &one(5), time(2 * 86_400)).unwrap();
    assert_eq!(cloned(), [false, true]);
}

#[test]
fn a_log_that_was_rewritten_is_refused() {
    let example = Example::new();
    let with_head = |changes: Vec<Change>, seq, hash: &str| Batch {
        chain: Some(ChainHead {
            seq,
            hash: hash.to_owned(),
        }),
        ..batch("m", "log", changes)
    };
    let first = with_head(vec![set(1, "sysctl:a", [None, Some("1")])], 1, "aa");
    example.take_from("web", &first, time(1)).unwrap();
    example.take_from("web", &first, time(2)).unwrap();
    let other = with_head(vec![set(1, "sysctl:a", [None, Some("x")])], 1, "bb");
    let said = example.take_from("web", &other, time(3)).unwrap_err();
    assert!(matches!(said, Error::Rewritten { seq: 1, .. }), "{said}");
    let beyond = with_head(vec![set(2, "sysctl:a", [None, Some("2")])], 9, "cc");
    let said = example
        .take_from("web", &beyond, time(4))
        .unwrap_err()
        .to_string();
    assert!(said.contains("ends behind it"), "{said}");
}

#[test]
fn a_content_is_kept_once_and_only_under_its_own_hash() {
    let example = Example::new();
    let bytes = b"worker_connections 4096;\n".repeat(40);
    let hash = *blake3::hash(&bytes).as_bytes();
    let content = Content { hash, bytes };
    let with = |log: &str, content: &Content| Batch {
        contents: vec![content.clone()],
        ..batch("m", log, Vec::new())
    };
    example
        .take_from("web", &with("log", &content), time(1))
        .unwrap();
    example
        .take_from("db", &with("log2", &content), time(2))
        .unwrap();
    let found = example.reader().content(&hash).unwrap();
    assert_eq!(found.as_deref(), Some(content.bytes.as_slice()));
    let forged = Content {
        bytes: b"other".to_vec(),
        ..content
    };
    assert!(
        example
            .take_from("db", &with("log2", &forged), time(3))
            .is_err()
    );
    assert_eq!(example.reader().content(&[0; 32]).unwrap(), None);
}

#[test]
fn names_and_labels_beyond_the_limits_are_refused() {
    let example = Example::new();
    let mut long = batch("m", "log", Vec::new());
    long.sender.hostname = "x".repeat(256);
    let said = example
        .take_from("web", &long, time(1))
        .unwrap_err()
        .to_string();
    assert!(said.contains("256 bytes"), "{said}");
    let mut many = batch("m", "log", Vec::new());
    let labels = (0..65).map(|number| (number.to_string(), String::new()));
    many.sender.labels = labels.collect();
    assert!(example.take_from("web", &many, time(1)).is_err());
    let mut nameless = batch("m", "log", Vec::new());
    nameless.sender.log.clear();
    assert!(example.take_from("web", &nameless, time(1)).is_err());
    assert_eq!(example.hosts().len(), 0);
}

#[test]
fn one_host_cannot_use_up_the_kinds_that_only_newer_tracers_know() {
    let example = Example::new();
    let of_kinds = |numbers: std::ops::Range<usize>| Batch {
        facts: numbers
            .map(|number| FactNow {
                subject: Subject {
                    kind: Kind::read(&"x".repeat(number + 1)).unwrap(),
                    key: "a".into(),
                },
                ..fact("sysctl:a", Some("1"), 0)
            })
            .collect(),
        ..batch("m", "log", Vec::new())
    };
    example.take_from("web", &of_kinds(0..24), time(1)).unwrap();
    example.take_from("web", &of_kinds(0..24), time(2)).unwrap();
    let said = example.take_from("web", &of_kinds(24..25), time(3));
    let said = said.unwrap_err().to_string();
    assert!(said.contains("more than 24 kinds"), "{said}");
    assert_eq!(example.state(1, None).len(), 24);
}

#[test]
fn what_was_acknowledged_is_there_when_the_store_opens_again() {
    let Example {
        location,
        folder,
        store,
    } = Example::new();
    let sent = batch("m", "log", vec![set(1, "sysctl:a", [None, Some("1")])]);
    let id = HostId("web".to_owned());
    store.ingest(&id, sent, time(1)).unwrap();
    // As a process that is killed leaves it: nothing is closed.
    std::mem::forget(store);
    let store = Store::open(&location).unwrap();
    let example = Example {
        location,
        folder,
        store,
    };
    assert_eq!(example.state(1, None), ["a=1"]);
    let next = vec![set(2, "sysctl:a", [Some("1"), Some("2")])];
    assert_eq!(example.take(next).unwrap(), 2);
}

#[test]
fn what_takes_longer_than_it_may_is_given_up() {
    let example = Example::new();
    let changes = (1..=2000).map(|seq| set(seq, "sysctl:a", [None, Some("1")]));
    example.take(changes.collect()).unwrap();
    let all = LogQuery {
        limit: 2000,
        ..LogQuery::default()
    };
    let over = Reader::open_until(&example.location, Instant::now());
    let given_up = over.and_then(|over| over.log(&all)).unwrap_err();
    assert!(given_up.is_out_of_time(), "{given_up}");
    let in_time = Instant::now() + Duration::from_hours(1);
    let reader = Reader::open_until(&example.location, in_time).unwrap();
    assert_eq!(reader.log(&all).unwrap().len(), 2000);
}
