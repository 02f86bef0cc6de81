//! Tests of the store as a whole: every filter, the histories of renamed subjects, transactions.

use change::wire::SessionBody;
use change::{
    Author, Certainty, Change, ChangeQuery, Container, GapReason, Kind, Op, Subject, Text,
};

use super::example::{
    Example, alice, create, delete, edit, file, gap, person, rename, service, session, text_fact,
    time, user,
};
use super::{Batch, Content};

fn found(example: &Example, query: &ChangeQuery) -> Vec<u64> {
    let changes = example.reader().changes(query).unwrap();
    changes.iter().map(|change| change.seq).collect()
}

fn history(example: &Example, path: &str) -> Vec<u64> {
    found(
        example,
        &ChangeQuery {
            subject: Some(file(path)),
            ..ChangeQuery::default()
        },
    )
}

/// One change of each sort that filters tell apart.
fn sorts() -> Example {
    let mut example = Example::new();
    let apt = person(user(1000, "alice"), 41, &["apt", "install", "nginx"]);
    let mut root = person(user(0, "root"), 43, &["vim", "x"]);
    root.login_user = None;
    let sysctl = Change {
        subject: Subject::parse(b"sysctl:vm.swappiness").unwrap(),
        op: Op::Set,
        ..edit("/x", ["60", "10"], 40, Some(alice(41)))
    };
    example.log(vec![
        create("/etc/nginx/nginx.conf", "a", 10, Some(apt)),
        edit("/etc/nginx/nginx.conf", ["a", "b"], 20, Some(alice(41))),
        edit("/etc/hosts", ["a", "b"], 30, Some(service("dhclient"))),
        sysctl,
        edit("/etc/nginx/sites/a.conf", ["a", "b"], 50, Some(root)),
        edit("/etc/motd", ["a", "b"], 60, None),
    ]);
    example
}

#[test]
fn each_filter_keeps_what_it_names() {
    let example = sorts();
    let any = ChangeQuery::default;
    let of = |query: ChangeQuery| found(&example, &query);
    assert_eq!(of(any()), [6, 5, 4, 3, 2, 1]);
    let since = Some(time(20));
    assert_eq!(of(ChangeQuery { since, ..any() }), [6, 5, 4, 3, 2]);
    let until = Some(time(50));
    assert_eq!(of(ChangeQuery { until, ..any() }), [4, 3, 2, 1]);
    let both = ChangeQuery {
        since,
        until,
        ..any()
    };
    assert_eq!(of(both), [4, 3, 2]);
    let kind = Some(Kind::Sysctl);
    assert_eq!(of(ChangeQuery { kind, ..any() }), [4]);
    let op = Some(Op::Create);
    assert_eq!(of(ChangeQuery { op, ..any() }), [1]);
    let session = Some(41);
    assert_eq!(of(ChangeQuery { session, ..any() }), [4, 2, 1]);
    let before_seq = Some(3);
    assert_eq!(
        of(ChangeQuery {
            before_seq,
            ..any()
        }),
        [2, 1]
    );
    let limit = Some(2);
    assert_eq!(of(ChangeQuery { limit, ..any() }), [6, 5]);
    let limit = Some(0);
    assert!(of(ChangeQuery { limit, ..any() }).is_empty());
    let subject = Subject::parse(b"sysctl:vm.swappiness").ok();
    assert_eq!(of(ChangeQuery { subject, ..any() }), [4]);
    let subject = Some(file("/etc/never"));
    assert!(of(ChangeQuery { subject, ..any() }).is_empty());
}

#[test]
fn a_user_is_the_login_user_or_else_the_effective_one_by_name_or_number() {
    let example = sorts();
    for (user, seqs) in [
        ("alice", vec![4, 2, 1]),
        ("1000", vec![4, 2, 1]),
        ("root", vec![5, 3]),
        ("0", vec![5, 3]),
        ("nobody", vec![]),
    ] {
        let query = ChangeQuery {
            user: Some(user.to_owned()),
            ..ChangeQuery::default()
        };
        assert_eq!(found(&example, &query), seqs, "{user}");
    }
}

#[test]
fn authors_are_told_apart() {
    let example = sorts();
    for (by, seqs) in [
        (Author::PackageManager, vec![1]),
        (Author::Human, vec![5, 4, 2]),
        (Author::Automation, vec![3]),
    ] {
        let query = ChangeQuery {
            by: Some(by),
            ..ChangeQuery::default()
        };
        assert_eq!(found(&example, &query), seqs, "{by:?}");
    }
}

#[test]
fn a_star_in_a_path_stays_within_its_folder() {
    let example = sorts();
    for (path, seqs) in [
        ("/etc/*", vec![6, 3]),
        ("/etc/**", vec![6, 5, 3, 2, 1]),
        ("/etc/nginx/*.conf", vec![2, 1]),
        ("/etc/**/*.conf", vec![5, 2, 1]),
        ("/etc/{hosts,motd}", vec![6, 3]),
        ("vm.*", vec![]),
    ] {
        let mut query = ChangeQuery {
            path: Some(path.to_owned()),
            ..ChangeQuery::default()
        };
        assert_eq!(found(&example, &query), seqs, "{path}");
        query.limit = Some(1);
        assert_eq!(found(&example, &query), seqs[..seqs.len().min(1)], "{path}");
    }
    let query = ChangeQuery {
        path: Some("/etc/[".to_owned()),
        ..ChangeQuery::default()
    };
    let said = example.reader().changes(&query).unwrap_err().to_string();
    assert!(said.contains("/etc/["), "{said}");
}

#[test]
fn times_filter_right_also_where_the_log_is_not_in_their_order() {
    let mut example = Example::new();
    let seconds = [10, 30, 20, 40, 5, 60, 50];
    let changes = seconds.map(|at| edit("/etc/a", ["a", "b"], at, Some(alice(41))));
    example.log(changes.to_vec());
    for since in 0..65 {
        for until in 0..65 {
            let query = ChangeQuery {
                since: Some(time(since)),
                until: Some(time(until)),
                ..ChangeQuery::default()
            };
            let expected: Vec<u64> = (1..)
                .zip(seconds)
                .filter(|(_, at)| (since..until).contains(at))
                .map(|(seq, _)| seq)
                .collect();
            let mut found = found(&example, &query);
            found.reverse();
            assert_eq!(found, expected, "{since} {until}");
        }
    }
}

#[test]
fn a_history_continues_under_the_older_name() {
    let mut example = Example::new();
    example.log(vec![
        create("/etc/a", "1", 1, Some(alice(41))),
        create("/etc/b", "x", 2, Some(alice(41))),
        edit("/etc/a", ["1", "2"], 3, Some(alice(41))),
        delete("/etc/b", "x", 4, Some(alice(41))),
        rename(["/etc/a", "/etc/b"], "2", 5),
        edit("/etc/b", ["2", "3"], 6, Some(alice(41))),
        create("/etc/a", "new", 7, Some(alice(41))),
        rename(["/etc/b", "/etc/c"], "3", 8),
    ]);
    assert_eq!(history(&example, "/etc/c"), [8, 6, 5, 4, 3, 2, 1]);
    assert_eq!(history(&example, "/etc/b"), [8, 6, 5, 4, 3, 2, 1]);
    assert_eq!(history(&example, "/etc/a"), [7, 5, 3, 1]);
    let page = ChangeQuery {
        subject: Some(file("/etc/c")),
        before_seq: Some(6),
        limit: Some(2),
        ..ChangeQuery::default()
    };
    assert_eq!(found(&example, &page), [5, 4]);
}

#[test]
fn names_that_are_swapped_back_and_forth_end() {
    let mut example = Example::new();
    let swap = |i: i64| {
        let names = ["/etc/a", "/etc/b"];
        let [from, to] = if i % 2 == 0 {
            names
        } else {
            [names[1], names[0]]
        };
        rename([from, to], "x", i)
    };
    example.log((0..100).map(swap).collect());
    assert_eq!(history(&example, "/etc/a").len(), 100);
    assert!(
        example
            .reader()
            .lineage(&file("/etc/a"), &mut |_| true)
            .is_ok()
    );
}

#[test]
fn a_file_that_came_again_has_one_history() {
    let mut example = Example::new();
    example.log(vec![
        create("/etc/a", "1", 1, Some(alice(41))),
        delete("/etc/a", "1", 2, Some(alice(41))),
        create("/etc/a", "2", 3, Some(alice(41))),
    ]);
    assert_eq!(history(&example, "/etc/a"), [3, 2, 1]);
}

#[test]
fn a_change_reads_back_as_it_was_committed() {
    let mut example = Example::new();
    let mut in_container = service("worker");
    in_container.container = Some(Container {
        id: "f00".to_owned(),
        runtime: "docker".to_owned(),
    });
    in_container.process.argv_truncated = true;
    let mut odd = edit("/etc/x", ["a", "b"], 2, Some(in_container));
    odd.subject.key = Text::from(b"/etc/\xff\n".as_slice());
    odd.run = Some(u64::MAX);
    odd.operations = 500;
    odd.notes = change::Note::ALL.map(|(note, _)| note).to_vec();
    let mut changes = vec![edit("/etc/a", ["a", "b"], 1, Some(alice(41))), odd];
    changes.push(edit("/etc/a", ["b", "c"], 3, None));
    changes.push(rename(["/etc/a", "/etc/z"], "c", 4));
    let stored = example.commit(Batch {
        changes: changes.clone(),
        ..Batch::default()
    });
    for (seq, change) in (1..).zip(&mut changes) {
        change.seq = seq;
    }
    assert_eq!(stored, changes);
    assert_eq!(stored[2].certainty, Certainty::Late);
    let mut read = Vec::new();
    let reader = example.reader();
    reader
        .changes_after(0, &mut |change| {
            read.push(change);
            true
        })
        .unwrap();
    assert_eq!(read, changes);
    assert_eq!(reader.change(2).unwrap().as_ref(), Some(&changes[1]));
    assert_eq!(reader.last_seq().unwrap(), 4);
}

#[test]
fn actors_are_stored_once_and_one_that_became_another_program_again() {
    let mut example = Example::new();
    let before = alice(41);
    let mut after = before.clone();
    after.process.argv.push("--again".to_owned());
    let by = |actor: &change::Actor| edit("/etc/a", ["a", "b"], 1, Some(actor.clone()));
    example.log(vec![
        by(&before),
        by(&before),
        by(&after),
        by(&after),
        by(&alice(42)),
    ]);
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        example
            .connection()
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count("actors"), 3);
    assert_eq!(count("origins"), 2);
    assert_eq!(count("ancestors"), 3);
    let reader = example.reader();
    assert_eq!(reader.change(3).unwrap().unwrap().actor, Some(after));
}

#[test]
fn a_state_is_shared_by_the_changes_on_both_its_sides() {
    let mut example = Example::new();
    example.log(vec![
        create("/etc/a", "1", 1, None),
        edit("/etc/a", ["1", "2"], 2, None),
        edit("/etc/a", ["2", "3"], 3, None),
    ]);
    example.reopen();
    example.log(vec![edit("/etc/a", ["3", "4"], 4, None)]);
    let count = example
        .connection()
        .query_row("SELECT count(*) FROM states", [], |row| {
            row.get::<_, i64>(0)
        });
    assert_eq!(count, Ok(4));
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_the_next_one_has_no_hole() {
    let mut example = Example::new();
    example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
    example
        .connection()
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON gaps BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let batch = || Batch {
        contents: vec![Content {
            hash: [1; 32],
            bytes: b"x".to_vec(),
        }],
        changes: vec![edit("/etc/new", ["1", "2"], 2, Some(alice(55)))],
        facts: vec![text_fact("/etc/new", "2", 2)],
        ..Batch::default()
    };
    let failing = Batch {
        gaps: vec![gap(GapReason::Lost, 1, None)],
        ..batch()
    };
    let said = example.writer().commit(failing).unwrap_err().to_string();
    assert!(said.contains("write to the store: no"), "{said}");
    let reader = example.reader();
    assert_eq!(reader.last_seq().unwrap(), 1);
    assert_eq!(reader.content(&[1; 32]).unwrap(), None);
    assert_eq!(reader.fact(&file("/etc/new")).unwrap(), None);
    assert_eq!(example.commit(batch())[0].seq, 2);
    assert_eq!(history(&example, "/etc/new"), [2]);
    assert!(matches!(
        reader.verify().unwrap(),
        super::Verification::Intact { changes: 2, .. }
    ));
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let mut example = Example::new();
    example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
    // A kill leaves the files as they are at that moment: the database and its log beside it.
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["tracer.db", "tracer.db-wal"] {
        let from = example.path().with_file_name(name);
        std::fs::copy(from, elsewhere.path().join(name)).unwrap();
    }
    let mut writer = super::Writer::open(&elsewhere.path().join("tracer.db")).unwrap();
    let stored = writer.commit(Batch {
        changes: vec![edit("/etc/a", ["1", "2"], 2, None)],
        ..Batch::default()
    });
    assert_eq!(stored.unwrap()[0].seq, 2);
}

#[test]
fn a_transaction_that_was_not_committed_is_not_seen() {
    let mut example = Example::new();
    example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
    let other = example.connection();
    other
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM changes;")
        .unwrap();
    let reader = example.reader();
    assert_eq!(reader.last_seq().unwrap(), 1);
    drop(other);
    example.reopen();
    assert_eq!(reader.last_seq().unwrap(), 1);
}

#[test]
fn a_word_of_no_version_is_an_error_that_names_the_change() {
    let mut example = Example::new();
    example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
    for (tampering, row) in [
        ("UPDATE changes SET op = 'teleport'", "row 1 of `changes`"),
        ("UPDATE subjects SET kind = 'soul'", "row 1 of `changes`"),
        ("UPDATE actors SET argv = '{'", "row 1 of `actors`"),
    ] {
        let connection = example.connection();
        connection
            .execute_batch(&format!("SAVEPOINT before; {tampering}"))
            .unwrap();
        connection.execute_batch("RELEASE before").unwrap();
        let said = example
            .reader()
            .changes(&ChangeQuery::default())
            .unwrap_err();
        assert!(said.to_string().contains(row), "{said}");
        example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
    }
}

#[test]
fn a_value_of_the_store_is_made_once() {
    let mut example = Example::new();
    let writer = example.writer();
    assert_eq!(writer.meta_or_insert("key", || vec![1]).unwrap(), [1]);
    assert_eq!(writer.meta_or_insert("key", || vec![2]).unwrap(), [1]);
    assert_eq!(example.reader().meta("key").unwrap(), Some(vec![1]));
    assert_eq!(example.reader().meta("other").unwrap(), None);
}

#[test]
fn a_checkpoint_brings_everything_into_the_file() {
    let mut example = Example::new();
    let sessions: Vec<SessionBody> = (0..100).map(|id| session(id, 1)).collect();
    example.commit(Batch {
        sessions,
        ..Batch::default()
    });
    example.writer().checkpoint().unwrap();
    let log = std::fs::metadata(example.path().with_file_name("tracer.db-wal")).unwrap();
    assert_eq!(log.len(), 0);
    assert_eq!(example.reader().sessions(1000).unwrap().len(), 100);
}
