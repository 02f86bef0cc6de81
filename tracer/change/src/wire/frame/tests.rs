//! Tests of frames: whatever a batch holds comes back, and whatever else arrives is refused.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::wire::FactNow;
use crate::{
    Ancestor, Author, Certainty, ContentState, FactValue, FileState, FileType, Gap, GapReason,
    Kind, Note, Op, Process, RenamedFrom, Run, RunKind, Session, SessionKind, Subject, Text, User,
};

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_nanos)
}

fn any_text() -> impl Strategy<Value = Text> {
    vec(any::<u8>(), 0..20).prop_map(Text::from)
}

fn any_subject() -> impl Strategy<Value = Subject> {
    let known = any::<prop::sample::Index>().prop_map(|kind| kind.get(&Kind::ALL).0);
    let newer = Just(Kind::read("cpu-quota").unwrap());
    (prop_oneof![9 => known, 1 => newer], any_text()).prop_map(|(kind, key)| Subject { kind, key })
}

fn any_value() -> impl Strategy<Value = FactValue> {
    // A value of the one name `value` is a setting.
    let attributes = btree_map("[a-u-]{1,8}", ".{0,12}", 0..4);
    let file = (
        option::of("b3:[0-9a-f]{64}"),
        any::<u64>(),
        any::<(u32, u32)>(),
        any::<prop::sample::Index>(),
        option::of(".{0,9}"),
        btree_map("[a-z.]{1,9}", ".{0,9}", 0..3),
    );
    prop_oneof![
        ".{0,20}".prop_map(|value| FactValue::Setting { value }),
        attributes.prop_map(FactValue::Attributes),
        file.prop_map(|(hash, size, (uid, gid), which, target, xattrs)| {
            FactValue::File(FileState {
                hash,
                size,
                mode: "0644".to_owned(),
                uid,
                gid,
                file_type: which.get(&FileType::ALL).0,
                content: which.get(&ContentState::ALL).0,
                target,
                inode: size,
                xattrs,
            })
        }),
    ]
}

fn any_user() -> impl Strategy<Value = User> {
    (any::<u32>(), option::of("[a-z]{1,8}")).prop_map(|(uid, name)| User { uid, name })
}

fn any_actor() -> impl Strategy<Value = Arc<Actor>> {
    let argv = || vec(".{0,9}", 0..4);
    let process = (any::<u32>(), any_time(), option::of("/[a-z]{1,9}"), argv());
    let session = (
        any::<u32>(),
        any::<prop::sample::Index>(),
        option::of(".{1,9}"),
    );
    let session = session.prop_map(|(id, kind, tty)| Session {
        id,
        kind: kind.get(&SessionKind::ALL).0,
        tty,
        remote: None,
    });
    let by = option::of(any::<prop::sample::Index>());
    let ancestry = vec((any::<u32>(), argv()), 0..3);
    let users = (any_user(), option::of(any_user()));
    (process, users, option::of(session), by, ancestry).prop_map(
        |((pid, start, exe, argv), (user, login_user), session, by, ancestry)| {
            let ancestry = ancestry.into_iter();
            Arc::new(Actor {
                user,
                login_user,
                process: Process {
                    pid,
                    start,
                    exe,
                    argv_truncated: argv.is_empty(),
                    argv,
                    cwd: None,
                },
                ancestry: ancestry
                    .map(|(pid, argv)| Ancestor {
                        pid,
                        exe: None,
                        argv,
                    })
                    .collect(),
                session,
                unit: None,
                container: None,
                by: by.map(|by| by.get(&Author::ALL).0),
            })
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    let facts = (
        any_subject(),
        option::of(any_value()),
        option::of(any_value()),
    );
    let rare = (
        option::of(any_text().prop_map(RenamedFrom)),
        option::of([any_time(), any_time()]),
        vec(any::<prop::sample::Index>(), 0..3),
        option::of("[a-z]{1,9}"),
    );
    let numbers = (
        any::<u64>(),
        any_time(),
        option::of(any::<u64>()),
        any::<u64>(),
    );
    let which = any::<prop::sample::Index>();
    (facts, rare, numbers, which, option::of(any_actor())).prop_map(
        |(facts, (from, between, notes, package), (seq, time, run, operations), which, actor)| {
            let (subject, before, after) = facts;
            Change {
                host: "5f3c".to_owned(),
                hostname: "web-1".to_owned(),
                seq,
                time,
                subject,
                op: which.get(&Op::ALL).0,
                from,
                before,
                after,
                certainty: which.get(&[Certainty::Exact, Certainty::Late]).to_owned(),
                between,
                run,
                operations,
                notes: notes.iter().map(|note| note.get(&Note::ALL).0).collect(),
                package,
                actor,
            }
        },
    )
}

fn any_run() -> impl Strategy<Value = Run> {
    let numbers = (any::<u64>(), any::<u64>(), option::of(any::<u8>()));
    (numbers, any_actor(), any_time()).prop_map(|((id, more, exit_code), actor, start)| Run {
        id,
        kind: RunKind::Command,
        tool: "make".to_owned(),
        actor,
        start,
        end: None,
        exit_code,
        signal: None,
        running: false,
        parent: None,
        more,
        changes: 1,
    })
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let sender = btree_map("[a-z]{1,9}", ".{0,9}", 0..3).prop_map(|labels| Sender {
        machine: "5f3c".to_owned(),
        hostname: "web-1".to_owned(),
        labels,
        tracer: "0.1.0".to_owned(),
        log: "a9".to_owned(),
    });
    let fact = (any_subject(), option::of(any_value()), any_time());
    let fact = fact.prop_map(|(subject, value, since)| FactNow {
        subject,
        value,
        since,
    });
    let gap = (any::<u64>(), any_time()).prop_map(|(id, from)| Gap {
        id,
        from,
        to: None,
        reason: GapReason::Lost,
        detail: "12 records".to_owned(),
    });
    let session = (any::<u32>(), option::of(any_user()), any_time());
    let session = session.prop_map(|(id, user, start)| SessionBody {
        session: Session {
            id,
            kind: SessionKind::Ssh,
            tty: None,
            remote: Some("10.1.2.3".to_owned()),
        },
        user,
        start,
        end: None,
        changes: 0,
    });
    let content = (any::<[u8; 32]>(), vec(any::<u8>(), 0..99));
    let content = content.prop_map(|(hash, bytes)| Content { hash, bytes });
    let rows = (
        vec(any_change(), 0..6),
        vec(fact, 0..4),
        vec(any_run(), 0..3),
        vec(gap, 0..3),
        vec(session, 0..3),
        vec(content, 0..3),
    );
    let chain = option::of((any::<u64>(), "[0-9a-f]{64}"));
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any_time(),
        option::of(any_time()),
    );
    (sender, numbers, rows, chain).prop_map(|(sender, numbers, rows, chain)| {
        let (first_seq, newest_seq, sent, complete_until) = numbers;
        let (mut changes, facts, runs, gaps, sessions, contents) = rows;
        // As in a log: changes in a row are one actor's.
        if let [one, other, ..] = changes.as_mut_slice() {
            other.actor.clone_from(&one.actor);
        }
        Batch {
            sender,
            sent,
            first_seq,
            newest_seq,
            complete_until,
            changes,
            before: chain.clone().map(|(seq, hash)| ChainHead { seq, hash }),
            chain: chain.map(|(seq, hash)| ChainHead { seq, hash }),
            facts,
            runs,
            gaps,
            sessions,
            contents,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_batch_comes_back_as_it_was(batch in any_batch()) {
        let frame = encode(&batch).unwrap();
        prop_assert_eq!(decode(&frame).unwrap(), batch);
    }

    #[test]
    fn an_actor_of_changes_in_a_row_travels_once_and_is_shared_again(
        mut change in any_change(), actor in any_actor()
    ) {
        change.actor = Some(actor);
        let changes = vec![change.clone(), change];
        let envelope = Envelope::of(&Batch { changes, ..Batch::default() }).unwrap();
        prop_assert_eq!(envelope.actors.len(), 1);
        let read = envelope.into_batch().unwrap().changes;
        let [one, other] = [0, 1].map(|index| read[index].actor.as_ref().unwrap());
        prop_assert!(Arc::ptr_eq(one, other));
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_crash(bytes in vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes));
        drop(Batch::from_unpacked(&bytes));
    }

    #[test]
    fn a_frame_with_another_byte_is_refused_or_read_without_a_crash(
        batch in any_batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let frame = encode(&batch).unwrap();
        let mut plain = unpack(&frame[1..]).unwrap();
        let at = at.index(plain.len());
        plain[at] = byte;
        drop(Batch::from_unpacked(&plain));
    }
}

fn frame_of(plain: &[u8]) -> Vec<u8> {
    let packed = zstd::encode_all(plain, LEVEL).unwrap();
    [&[VERSION], packed.as_slice()].concat()
}

fn frame_with(edit: impl FnOnce(&mut Envelope)) -> Vec<u8> {
    let mut envelope = Envelope::of(&Batch::default()).unwrap();
    edit(&mut envelope);
    frame_of(&bincode::serde::encode_to_vec(&envelope, bincode::config::standard()).unwrap())
}

#[test]
fn what_a_newer_tracer_adds_is_passed_over() {
    let frame = frame_with(|envelope| {
        envelope.head.insert_str(1, r#""moon":"full","#);
        let fact = r#"{"subject":{"kind":"cpu-quota","key":"a","weight":7},"value":{"quota":"5"},"since":"2026-11-21T14:02:11Z","sure":true}"#;
        envelope.facts.push(fact.to_owned());
    });
    let batch = decode(&frame).unwrap();
    assert_eq!(batch.facts[0].subject.to_string(), "cpu-quota:a");
    let quota = BTreeMap::from([("quota".to_owned(), "5".to_owned())]);
    assert_eq!(batch.facts[0].value, Some(FactValue::Attributes(quota)));
}

#[test]
fn a_frame_of_an_older_tracer_has_no_sessions() {
    let frame = frame_with(|envelope| {
        let head: serde_json::Value = serde_json::from_str(&envelope.head).unwrap();
        let serde_json::Value::Object(mut head) = head else {
            panic!("{head}");
        };
        assert!(head.remove("sessions").is_some());
        envelope.head = serde_json::to_string(&head).unwrap();
    });
    assert_eq!(decode(&frame).unwrap(), Batch::default());
}

#[test]
fn a_frame_of_another_version_says_which() {
    let mut frame = encode(&Batch::default()).unwrap();
    frame[0] = 9;
    let said = decode(&frame).unwrap_err().to_string();
    assert!(said.contains("version 9"), "{said}");
    assert!(decode(&[]).is_err());
}

#[test]
fn a_frame_that_unpacks_without_end_is_refused() {
    let zeros = vec![0; MOST_UNPACKED_BYTES + 1];
    let frame = frame_of(&zeros);
    assert!(frame.len() < 1 << 20);
    assert!(matches!(decode(&frame), Err(FrameError::TooLarge)));
    let long = vec![VERSION; MOST_FRAME_BYTES + 1];
    assert!(matches!(decode(&long), Err(FrameError::TooLarge)));
}

#[test]
fn a_length_that_is_not_there_takes_no_memory() {
    // A text of 2^62 bytes, by bincode's mark for a number of eight bytes.
    let plain = [&[253][..], &(1_u64 << 62).to_le_bytes()].concat();
    let said = decode(&frame_of(&plain)).unwrap_err().to_string();
    assert!(said.starts_with("read frame"), "{said}");
}

#[test]
fn an_actor_that_is_not_there_and_bytes_behind_the_end_are_refused() {
    let frame = frame_with(|envelope| {
        envelope.changes.push(ChangeRow {
            actor: Some(0),
            change: r#"{"host":"h","hostname":"h","seq":1,"time":"2026-11-21T14:02:11Z","subject":{"kind":"file","key":"/x"},"op":"create","before":null,"after":null,"certainty":"exact","run":null,"actor":null}"#
                .to_owned(),
        });
    });
    let said = decode(&frame).unwrap_err().to_string();
    assert!(said.contains("actor 0"), "{said}");
    let plain = unpack(&encode(&Batch::default()).unwrap()[1..]).unwrap();
    let said = decode(&frame_of(&[plain, vec![0]].concat())).unwrap_err();
    assert!(said.to_string().contains("follows its end"), "{said}");
}
