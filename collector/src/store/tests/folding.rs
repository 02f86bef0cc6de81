//! Tests of how changes fold into states: against a model that is too simple to be wrong.

use std::collections::BTreeSet;

use change::{FileState, FileType, Note, RenamedFrom};
use proptest::prelude::*;

use super::*;

/// What happens: which host, which of a few subjects, and to which of a few values, or to none.
fn any_events() -> impl Strategy<Value = Vec<(u32, usize, Option<u8>)>> {
    let value = prop::option::weighted(0.8, 0..3_u8);
    prop::collection::vec((1..=3_u32, 0..4_usize, value), 0..60)
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

type State = BTreeMap<&'static str, u8>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn states_now_and_then_and_who_holds_what_are_those_of_the_log(events in any_events()) {
        let example = Example::new();
        let mut states: BTreeMap<u32, Vec<State>> = (1..=3).map(|host| (host, vec![State::new()])).collect();
        for host in 1..=3_u32 {
            let (id, machine) = (format!("h{host}"), format!("m{host}"));
            example.take_from(&id, &batch(&machine, "log", Vec::new()), time(0)).unwrap();
        }
        for (host, name, after) in events {
            let past = states.get_mut(&host).unwrap();
            let mut state = past.last().unwrap().clone();
            let name = NAMES[name];
            let before = state.get(name).map(u8::to_string);
            match after {
                Some(value) => state.insert(name, value),
                None => state.remove(name),
            };
            let seq = past.len() as u64;
            past.push(state);
            let after = after.map(|value| value.to_string());
            let values = [before.as_deref(), after.as_deref()];
            let changes = vec![set(seq, &format!("sysctl:{name}"), values)];
            let sent = batch(&format!("m{host}"), "log", changes);
            example.take_from(&format!("h{host}"), &sent, time(99)).unwrap();
        }
        let mut holders: BTreeSet<(String, u32)> = BTreeSet::new();
        for (host, past) in &states {
            let told = |state: &State| {
                let facts = state.iter().map(|(name, value)| format!("{name}={value}"));
                facts.collect::<Vec<_>>()
            };
            for (seconds, state) in (0..).zip(past) {
                prop_assert_eq!(example.state(*host, Some(time(seconds))), told(state));
            }
            let now = told(past.last().unwrap());
            prop_assert_eq!(example.state(*host, None), now.clone());
            holders.extend(now.into_iter().map(|fact| (fact, *host)));
        }
        prop_assert_eq!(held(&example), holders);
    }
}

/// Each value with each host that has it, as the table of holders says.
fn held(example: &Example) -> BTreeSet<(String, u32)> {
    let reader = example.reader();
    let mut found = Vec::new();
    reader
        .each_holding(&mut |subject, value, hosts| found.push((subject, value, hosts.clone())))
        .unwrap();
    let mut held = BTreeSet::new();
    for (subject, value, hosts) in found {
        assert!(!hosts.is_empty());
        let FactValue::Setting { value } = reader.value(value).unwrap() else {
            panic!("{value:?}");
        };
        let fact = format!("{}={value}", reader.subject(subject).unwrap().key);
        held.extend(hosts.iter().map(|HostKey(host)| (fact.clone(), host)));
    }
    held
}

fn state_of(file_type: FileType) -> FactValue {
    FactValue::File(FileState {
        file_type,
        ..FileState::default()
    })
}

fn file(seq: u64, path: &str, op: Op, values: [Option<FactValue>; 2]) -> Change {
    let [before, after] = values;
    Change {
        subject: Subject::file(path),
        op,
        before,
        after,
        ..set(seq, "sysctl:x", [None, None])
    }
}

fn renamed(seq: u64, names: [&str; 2], file_type: FileType, notes: &[Note]) -> Change {
    let values = [Some(state_of(file_type)), Some(state_of(file_type))];
    Change {
        from: Some(RenamedFrom(names[0].into())),
        notes: notes.to_vec(),
        ..file(seq, names[1], Op::Rename, values)
    }
}

fn paths(example: &Example, at: Option<Timestamp>) -> Vec<String> {
    let facts = example.state(1, at).into_iter();
    let paths = facts.map(|fact| fact.split('=').next().unwrap_or_default().to_owned());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

#[test]
fn what_lies_in_a_directory_goes_along_when_it_is_renamed() {
    let example = Example::new();
    let made =
        |seq, path, file_type| file(seq, path, Op::Create, [None, Some(state_of(file_type))]);
    let changes = vec![
        made(1, "/etc/old", FileType::Directory),
        made(2, "/etc/old/a", FileType::Regular),
        made(3, "/etc/older", FileType::Regular),
        renamed(4, ["/etc/old", "/etc/new"], FileType::Directory, &[]),
    ];
    example.take(changes).unwrap();
    assert_eq!(
        paths(&example, None),
        ["/etc/new", "/etc/new/a", "/etc/older"]
    );
    let before = paths(&example, Some(time(3)));
    assert_eq!(before, ["/etc/old", "/etc/old/a", "/etc/older"]);
}

#[test]
fn directories_that_are_exchanged_keep_what_lies_in_them() {
    let example = Example::new();
    let made =
        |seq, path, file_type| file(seq, path, Op::Create, [None, Some(state_of(file_type))]);
    let exchanged = |seq, names| renamed(seq, names, FileType::Directory, &[Note::Exchanged]);
    let changes = vec![
        made(1, "/etc/a", FileType::Directory),
        made(2, "/etc/b", FileType::Directory),
        made(3, "/etc/a/one", FileType::Regular),
        made(4, "/etc/b/two", FileType::Regular),
        exchanged(5, ["/etc/b", "/etc/a"]),
        exchanged(6, ["/etc/a", "/etc/b"]),
    ];
    example.take(changes).unwrap();
    assert_eq!(
        paths(&example, None),
        ["/etc/a", "/etc/a/two", "/etc/b", "/etc/b/one"]
    );
}
