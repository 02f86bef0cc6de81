//! Tests of tidying: what is kept is exactly as it was, also when hosts send meanwhile.

use std::cell::RefCell;

use change::FileState;
use proptest::prelude::*;

use super::*;
use crate::store::{Tidied, Tidy};

const NAMES: [&str; 3] = ["a", "b", "c"];
const HOSTS: u32 = 2;

/// Which columns refer to what.
const REFERENCES: [(&str, &str, &str); 12] = [
    ("changes", "host", "hosts"),
    ("changes", "subject", "subjects"),
    ("changes", "before", "fact_values"),
    ("changes", "after", "fact_values"),
    ("changes", "actor", "actors"),
    ("facts", "subject", "subjects"),
    ("facts", "value", "fact_values"),
    ("past_facts", "subject", "subjects"),
    ("past_facts", "value", "fact_values"),
    ("holders", "subject", "subjects"),
    ("holders", "value", "fact_values"),
    ("drift_events", "subject", "subjects"),
];

/// What happens, a second after the other: on which host, to which subject, and to which value or to none.
type Event = (u32, usize, Option<u8>);

fn any_events(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Event>> {
    let value = prop::option::weighted(0.7, 0..4_u8);
    prop::collection::vec((1..=HOSTS, 0..NAMES.len(), value), count)
}

/// A fleet to which events happen. It knows each state from what happened alone.
struct Told {
    example: Example,
    seqs: BTreeMap<u32, u64>,
    states: BTreeMap<u32, BTreeMap<&'static str, u8>>,
    /// By host and second.
    past: BTreeMap<(u32, i64), Vec<String>>,
    now: i64,
}

impl Told {
    fn new() -> Self {
        let example = Example::new();
        for host in 1..=HOSTS {
            let first = batch(&format!("m{host}"), "log", Vec::new());
            example
                .take_from(&format!("h{host}"), &first, time(0))
                .unwrap();
        }
        Self {
            example,
            seqs: BTreeMap::new(),
            states: (1..=HOSTS).map(|host| (host, BTreeMap::new())).collect(),
            past: BTreeMap::new(),
            now: 0,
        }
    }

    fn happen(&mut self, (host, name, after): Event) {
        self.now += 1;
        let name = NAMES[name];
        let state = self.states.get_mut(&host).unwrap();
        let before = state.get(name).map(u8::to_string);
        match after {
            Some(value) => state.insert(name, value),
            None => state.remove(name),
        };
        let seq = self.seqs.entry(host).or_default();
        *seq += 1;
        let after = after.map(|value| value.to_string());
        let changes = vec![Change {
            time: time(self.now),
            ..set(
                *seq,
                &format!("sysctl:{name}"),
                [before.as_deref(), after.as_deref()],
            )
        }];
        let sent = batch(&format!("m{host}"), "log", changes);
        let id = format!("h{host}");
        self.example.take_from(&id, &sent, time(self.now)).unwrap();
        for (host, state) in &self.states {
            let facts = state.iter().map(|(name, value)| format!("{name}={value}"));
            self.past.insert((*host, self.now), facts.collect());
        }
    }

    /// What each fact of a host opened on, at a moment.
    fn openings(&self, host: u32, second: i64) -> Vec<(Timestamp, String)> {
        let reader = self.example.reader();
        let facts = reader.facts(HostKey(host), Some(time(second))).unwrap();
        let change = |seq| reader.change(HostKey(host), seq).unwrap().unwrap();
        let told = facts.iter().map(|fact| {
            let brought = fact.seq.map(change).unwrap();
            (fact.since.unwrap(), format!("{brought:?}"))
        });
        told.collect()
    }

    /// How many rows refer to what is not there.
    fn dangling(&self) -> i64 {
        let connection = self.example.location.open_to_read(None).unwrap();
        let counts = REFERENCES.map(|(table, column, to)| {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE t.{column} IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM {to} r WHERE r.id = t.{column})"
            );
            connection.one(&sql, (), |row| row.get::<i64>(0)).unwrap()
        });
        counts.iter().sum()
    }

    fn tidy(&self) -> Tidy {
        Tidy::open(&self.example.location).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_moment_since_the_horizon_stays_as_it_was_while_hosts_send(
        before in any_events(1..40), meanwhile in any_events(0..20), after in any_events(0..10),
        part in 0..=100_i64,
    ) {
        let mut told = Told::new();
        for event in before {
            told.happen(event);
        }
        let horizon = told.now * part / 100;
        let moments: Vec<_> = (1..=HOSTS)
            .flat_map(|host| (horizon.max(1)..=told.now).map(move |second| (host, second)))
            .collect();
        let openings: Vec<_> = moments.iter().map(|&(host, second)| told.openings(host, second)).collect();
        let mut tidy = told.tidy();
        let planned = tidy.plan(time(horizon)).unwrap();
        let told = RefCell::new(told);
        let mut pending = meanwhile.into_iter();
        let pending = RefCell::new(&mut pending);
        let tidied = tidy.run(time(horizon), &|| {
            if let Some(event) = pending.borrow_mut().next() {
                told.borrow_mut().happen(event);
            }
            false
        });
        let tidied = tidied.unwrap();
        prop_assert_eq!((tidied.changes, tidied.past_facts, tidied.kept), (planned.changes, planned.past_facts, planned.kept));
        let mut told = told.into_inner();
        prop_assert_eq!(told.dangling(), 0);
        for event in after {
            told.happen(event);
        }
        prop_assert_eq!(told.dangling(), 0);
        for (moment, before) in moments.iter().zip(openings) {
            prop_assert_eq!(told.openings(moment.0, moment.1), before);
        }
        for (&(host, second), state) in &told.past {
            if second >= horizon {
                prop_assert_eq!(&told.example.state(host, Some(time(second))), state);
            }
        }
        for (host, state) in &told.states {
            let facts: Vec<_> = state.iter().map(|(name, value)| format!("{name}={value}")).collect();
            prop_assert_eq!(told.example.state(*host, None), facts);
        }
    }
}

fn run(example: &Example, horizon: i64) -> Tidied {
    let mut tidy = Tidy::open(&example.location).unwrap();
    tidy.run(time(horizon), &|| false).unwrap()
}

fn values(example: &Example, changes: &[(u64, Option<&str>, Option<&str>)]) {
    let changes = changes
        .iter()
        .map(|(seq, before, after)| set(*seq, "sysctl:a", [*before, *after]));
    example.take(changes.collect()).unwrap();
}

#[test]
fn what_brought_a_fact_of_now_stays_and_the_rest_goes_with_all_that_only_it_had() {
    let example = Example::new();
    values(
        &example,
        &[
            (1, None, Some("1")),
            (2, Some("1"), Some("2")),
            (3, Some("2"), Some("3")),
        ],
    );
    let tidied = run(&example, 100);
    assert_eq!((tidied.changes, tidied.kept, tidied.past_facts), (2, 1, 2));
    assert_eq!((tidied.values, tidied.subjects), (1, 0));
    let log = LogQuery {
        limit: 9,
        ..LogQuery::default()
    };
    let seqs = |example: &Example| {
        let log = example.reader().log(&log).unwrap();
        log.iter().map(|change| change.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&example), [3]);
    assert!(run(&example, 100).is_empty());
    // The store remembered the id of a value that is gone; another one may have it by now.
    values(
        &example,
        &[(4, Some("3"), Some("new")), (5, Some("new"), Some("1"))],
    );
    assert_eq!(example.state(1, None), ["a=1"]);
    assert_eq!(example.state(1, Some(time(4))), ["a=new"]);
}

#[test]
fn a_horizon_is_told_and_does_not_go_back() {
    let example = Example::new();
    values(
        &example,
        &[(1, None, Some("1")), (50, Some("1"), Some("2"))]
            .map(|(seq, before, after)| (u64::from(seq > 1) + 1, before, after)),
    );
    assert_eq!(example.reader().horizon().unwrap(), None);
    run(&example, 30);
    assert_eq!(example.reader().horizon().unwrap(), Some(time(30)));
    assert_eq!(example.hosts()[0].begins, time(30));
    assert_eq!(run(&example, 10).horizon, time(30));
    assert_eq!(example.reader().horizon().unwrap(), Some(time(30)));
}

#[test]
fn planning_removes_nothing() {
    let example = Example::new();
    values(
        &example,
        &[
            (1, None, Some("1")),
            (2, Some("1"), Some("2")),
            (3, Some("2"), Some("3")),
        ],
    );
    let mut tidy = Tidy::open(&example.location).unwrap();
    let planned = tidy.plan(time(100)).unwrap();
    assert_eq!(
        (planned.changes, planned.past_facts, planned.values),
        (2, 2, 1)
    );
    assert_eq!(example.reader().horizon().unwrap(), None);
    assert_eq!(example.state(1, Some(time(1))), ["a=1"]);
    assert_eq!(tidy.plan(time(100)).unwrap(), planned);
}

#[test]
fn contents_go_when_nothing_leads_to_them_and_not_before_they_are_old() {
    let example = Example::new();
    let texts = ["first", "second", "third", "early"].map(|text| text.repeat(30));
    let content = |text: &String| Content {
        hash: *blake3::hash(text.as_bytes()).as_bytes(),
        bytes: text.clone().into_bytes(),
    };
    let state = |text: &String| {
        FactValue::File(FileState {
            hash: Some(format!("b3:{}", blake3::hash(text.as_bytes()).to_hex())),
            ..FileState::default()
        })
    };
    let modified = |seq: u64, from: Option<&String>, to: &String| Change {
        before: from.map(state),
        after: Some(state(to)),
        op: Op::Modify,
        subject: Subject::file("/etc/a"),
        ..set(seq, "sysctl:x", [None, None])
    };
    let changes = vec![
        modified(1, None, &texts[0]),
        modified(2, Some(&texts[0]), &texts[1]),
        modified(3, Some(&texts[1]), &texts[2]),
    ];
    let sent = Batch {
        contents: texts[..3].iter().map(content).collect(),
        ..batch("m", "log", changes)
    };
    example.take_from("web", &sent, time(3)).unwrap();
    // It has come before the change that leads to it.
    let early = Batch {
        first_seq: 4,
        contents: vec![content(&texts[3])],
        ..batch("m", "log", Vec::new())
    };
    example.take_from("web", &early, time(200)).unwrap();
    let tidied = run(&example, 100);
    assert_eq!(tidied.contents, 1);
    assert!(tidied.content_bytes > 0);
    let reader = example.reader();
    let is_there = |text: &String| reader.content(&content(text).hash).unwrap().is_some();
    // The change that brought what is now tells of the one before, too.
    assert_eq!(texts.each_ref().map(is_there), [false, true, true, true]);
}

#[test]
fn a_hash_chain_goes_on_from_where_it_was_and_no_other_one_does() {
    let example = Example::new();
    let head = |seq: u64, hash: &str| {
        Some(ChainHead {
            seq,
            hash: hash.to_owned(),
        })
    };
    for (seq, hash) in [(1, "aa"), (2, "bb"), (3, "cc")] {
        let sent = Batch {
            chain: head(seq, hash),
            ..batch("m", "log", vec![set(seq, "sysctl:a", [None, Some(hash)])])
        };
        example.take_from("web", &sent, sent.sent).unwrap();
    }
    assert_eq!(run(&example, 100).heads, 2);
    let next = |hash| Batch {
        before: head(3, hash),
        chain: head(4, "dd"),
        ..batch(
            "m",
            "log",
            vec![set(4, "sysctl:a", [Some("cc"), Some("dd")])],
        )
    };
    let other = example.take_from("web", &next("xx"), time(101));
    assert!(
        matches!(other, Err(Error::Rewritten { seq: 3, .. })),
        "{other:?}"
    );
    let taken = example.take_from("web", &next("cc"), time(101)).unwrap();
    assert_eq!(taken.durable_seq, 4);
}

#[test]
fn space_is_given_back_and_it_can_be_ended_between_two_steps() {
    let example = Example::new();
    let long = |seq: u64| format!("{seq} {}", "x".repeat(2_000));
    let changes = (1..=3_000).map(|seq| {
        let before = (seq > 1).then(|| long(seq - 1));
        set(seq, "sysctl:a", [before.as_deref(), Some(&long(seq))])
    });
    example.take(changes.collect()).unwrap();
    let mut tidy = Tidy::open(&example.location).unwrap();
    let cut = tidy.run(time(9_999), &|| true).unwrap();
    assert!(cut.is_cut_short && cut.changes == 0, "{cut:?}");
    let tidied = tidy.run(time(9_999), &|| false).unwrap();
    assert_eq!(
        (tidied.changes, tidied.values, tidied.is_cut_short),
        (2_999, 2_998, false)
    );
    // A server has it for what comes next.
    let Some(path) = example.location.file().map(std::path::Path::to_owned) else {
        return;
    };
    assert!(tidied.freed_bytes > 5 << 20, "{tidied:?}");
    assert_eq!(tidied.free_bytes, 0);
    let Example { folder, store, .. } = example;
    drop((tidy, store));
    let bytes = std::fs::metadata(path).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes}");
    drop(folder);
}

#[test]
fn one_tidies_at_a_time() {
    let example = Example::new();
    values(&example, &[(1, None, Some("1")), (2, Some("1"), Some("2"))]);
    let path = &example.location;
    let mut tidy = Tidy::open(path).unwrap();
    let said = RefCell::new(Vec::new());
    let done = tidy.run(time(100), &|| {
        let other = Tidy::open(path).unwrap().run(time(100), &|| false);
        said.borrow_mut().push(other.unwrap_err().to_string());
        false
    });
    assert_eq!(done.unwrap().changes, 1);
    let said = said.into_inner();
    assert!(said[0].contains("is being tidied already"), "{said:?}");
}
