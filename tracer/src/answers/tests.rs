//! Tests of the answers, against real stores.

use change::{Actor, FactValue, Op};

use super::*;
use crate::store::Batch;
use crate::store::example::{
    Example, alice, create, delete, edit, file, gap, person, rename, session, text_fact, time, user,
};

fn answers(example: &Example) -> Answers {
    Answers::new(example.path())
}

fn bob() -> Actor {
    person(user(1001, "bob"), 42, &["nano", "/etc/a"])
}

fn seqs(changes: &[Change]) -> Vec<u64> {
    changes.iter().map(|change| change.seq).collect()
}

/// Alice creates a file, bob edits it, a late change is found, and alice edits it again.
fn four_versions() -> Example {
    let texts = ["one\n", "one\ntwo\n", "zero\none\ntwo\n", "zero\none\n2\n"];
    let mut example = Example::new();
    example.keep(&texts);
    example.log(vec![
        create("/etc/a", texts[0], 1, Some(alice(41))),
        edit("/etc/a", [texts[0], texts[1]], 2, Some(bob())),
        edit("/etc/a", [texts[1], texts[2]], 3, None),
        edit("/etc/a", [texts[2], texts[3]], 4, Some(alice(41))),
    ]);
    example
}

fn blamed(example: &Example, path: &str) -> Vec<(String, Option<u64>, Option<String>)> {
    let body = answers(example).blame(&file(path)).unwrap().unwrap();
    let lines = body.lines.into_iter();
    lines
        .map(|line| (line.text, line.seq, line.user.and_then(|user| user.name)))
        .collect()
}

fn line(text: &str, seq: Option<u64>, user: Option<&str>) -> (String, Option<u64>, Option<String>) {
    (text.to_owned(), seq, user.map(str::to_owned))
}

#[test]
fn pages_lead_to_each_other_without_overlap() {
    let example = four_versions();
    let mut query = ChangeQuery {
        limit: Some(3),
        ..ChangeQuery::default()
    };
    let first = answers(&example).changes(&query).unwrap();
    assert_eq!(seqs(&first.items), [4, 3, 2]);
    query.before_seq = first.next.unwrap().parse().ok();
    let second = answers(&example).changes(&query).unwrap();
    assert_eq!((seqs(&second.items), second.next), (vec![1], None));
    query = ChangeQuery {
        limit: Some(4),
        ..ChangeQuery::default()
    };
    assert_eq!(answers(&example).changes(&query).unwrap().next, None);
}

#[test]
fn who_shows_the_newest_change_first_with_its_diff() {
    let mut example = four_versions();
    example.commit(Batch {
        gaps: vec![
            gap(GapReason::Stopped, 1, Some(3)),
            gap(GapReason::Lost, 3, Some(5)),
        ],
        ..Batch::default()
    });
    let body = answers(&example).who(&file("/etc/a"), 2).unwrap();
    let [newest, late] = &body.changes[..] else {
        panic!("two were asked for: {body:?}");
    };
    assert_eq!(
        newest.diff.as_deref(),
        Some("--- a/etc/a\n+++ b/etc/a\n@@ -1,3 +1,3 @@\n zero\n one\n-two\n+2\n")
    );
    assert_eq!(newest.change.actor, Some(alice(41)));
    assert_eq!(late.change.actor, None);
    let reasons: Vec<_> = body.gaps.iter().map(|gap| gap.reason).collect();
    assert_eq!(reasons, [GapReason::Lost]);
    assert_eq!(body.watched_since, Some(time(1)));
}

#[test]
fn watching_began_with_the_first_file_of_the_folder() {
    let mut example = Example::new();
    example.commit(Batch {
        facts: vec![
            text_fact("/etc/ssh/config", "x", 5),
            text_fact("/var/a", "x", 1),
        ],
        ..Batch::default()
    });
    let since = |path| answers(&example).who(&file(path), 1).unwrap().watched_since;
    assert_eq!(since("/etc/ssh/config"), Some(time(5)));
    assert_eq!(since("/etc/ssh/new"), Some(time(5)));
    assert_eq!(since("/etc/new"), Some(time(5)));
    assert_eq!(since("/srv/new"), None);
    assert_eq!(since("/new"), None);
}

#[test]
fn a_change_is_found_by_its_number() {
    let example = four_versions();
    let created = answers(&example).change(1).unwrap().unwrap();
    assert_eq!(
        created.diff.as_deref(),
        Some("--- /dev/null\n+++ b/etc/a\n@@ -0,0 +1 @@\n+one\n")
    );
    assert_eq!(answers(&example).change(5).unwrap(), None);
    assert_eq!(answers(&example).change(u64::MAX).unwrap(), None);
}

#[test]
fn every_line_goes_to_the_person_who_brought_it() {
    assert_eq!(
        blamed(&four_versions(), "/etc/a"),
        [
            line("zero", Some(3), None),
            line("one", Some(1), Some("alice")),
            line("2", Some(4), Some("alice")),
        ]
    );
}

#[test]
fn blame_follows_a_rename_to_the_older_name_only() {
    let mut example = Example::new();
    example.keep(&["old\n", "a\n", "a\nb\n", "a\nb\nc\n"]);
    example.log(vec![
        create("/etc/b", "old\n", 1, Some(bob())),
        edit("/etc/a", ["a\n", "a\nb\n"], 2, Some(bob())),
        rename(["/etc/a", "/etc/b"], "a\nb\n", 3),
        edit("/etc/b", ["a\nb\n", "a\nb\nc\n"], 4, Some(alice(41))),
    ]);
    assert_eq!(
        blamed(&example, "/etc/b"),
        [
            line("a", None, None),
            line("b", Some(2), Some("bob")),
            line("c", Some(4), Some("alice")),
        ]
    );
    assert_eq!(answers(&example).blame(&file("/etc/a")).unwrap(), None);
}

#[test]
fn blame_is_honest_about_versions_that_were_not_kept() {
    let mut example = Example::new();
    example.keep(&["a\n", "a\nb\nc\n"]);
    let mut moved_on = edit("/etc/a", ["a\n", "?"], 2, Some(bob()));
    if let Some(FactValue::File(state)) = &mut moved_on.after {
        (state.hash, state.content) = (None, ContentState::MovedOn);
    }
    let mut next = edit("/etc/a", ["", "a\nb\nc\n"], 3, Some(alice(41)));
    next.before = moved_on.after.clone();
    example.log(vec![
        create("/etc/a", "a\n", 1, Some(alice(41))),
        moved_on,
        next,
    ]);
    assert_eq!(
        blamed(&example, "/etc/a"),
        [
            line("a", Some(1), Some("alice")),
            line("b", Some(2), Some("bob")),
            line("c", Some(2), Some("bob")),
        ]
    );
}

#[test]
fn lines_that_came_while_nobody_watched_are_nobodys() {
    let mut example = Example::new();
    example.keep(&["a\n", "a\nb\n", "a\nb\nc\n"]);
    example.log(vec![
        create("/etc/a", "a\n", 1, Some(alice(41))),
        edit("/etc/a", ["a\nb\n", "a\nb\nc\n"], 2, Some(bob())),
    ]);
    assert_eq!(
        blamed(&example, "/etc/a"),
        [
            line("a", Some(1), Some("alice")),
            line("b", None, None),
            line("c", Some(2), Some("bob")),
        ]
    );
}

#[test]
fn a_file_that_only_was_there_has_lines_of_nobody() {
    let mut example = Example::new();
    example.keep(&["a\nb"]);
    example.commit(Batch {
        facts: vec![text_fact("/etc/a", "a\nb", 1)],
        ..Batch::default()
    });
    assert_eq!(
        blamed(&example, "/etc/a"),
        [line("a", None, None), line("b", None, None)]
    );
    assert_eq!(answers(&example).blame(&file("/etc/never")).unwrap(), None);
}

#[test]
fn the_content_of_every_moment_is_known_since_watching_began() {
    let mut example = Example::new();
    example.keep(&["a\n", "b\n"]);
    example.commit(Batch {
        facts: vec![text_fact("/etc/x", "", 10)],
        ..Batch::default()
    });
    example.log(vec![
        create("/etc/a", "a\n", 20, Some(bob())),
        edit("/etc/a", ["a\n", "b\n"], 30, Some(bob())),
        rename(["/etc/a", "/etc/b"], "b\n", 40),
        delete("/etc/b", "b\n", 50, Some(bob())),
    ]);
    let at = |path: &str, seconds| {
        let at = answers(&example).content_at(&file(path), time(seconds));
        at.unwrap()
    };
    let bytes = |text: &str| ContentAt::Bytes(text.as_bytes().to_vec());
    assert_eq!(at("/etc/a", 9), ContentAt::Unknown);
    assert_eq!(at("/etc/a", 10), ContentAt::Absent);
    assert_eq!(at("/etc/a", 20), bytes("a\n"));
    assert_eq!(at("/etc/a", 39), bytes("b\n"));
    assert_eq!(at("/etc/a", 40), ContentAt::Absent);
    assert_eq!(at("/etc/b", 39), ContentAt::Absent);
    assert_eq!(at("/etc/b", 40), bytes("b\n"));
    assert_eq!(at("/etc/b", 50), ContentAt::Absent);
    assert_eq!(at("/etc/x", 10), bytes(""));
    assert_eq!(at("/etc/never", 20), ContentAt::Unknown);
}

#[test]
fn the_content_before_the_first_change_is_the_one_it_replaced() {
    let mut example = Example::new();
    example.keep(&["a\n", "b\n"]);
    example.commit(Batch {
        facts: vec![text_fact("/etc/a", "a\n", 10)],
        ..Batch::default()
    });
    example.log(vec![edit("/etc/a", ["a\n", "b\n"], 20, Some(bob()))]);
    let at = answers(&example).content_at(&file("/etc/a"), time(15));
    assert_eq!(at.unwrap(), ContentAt::Bytes(b"a\n".to_vec()));
}

#[test]
fn a_secret_is_not_shown_and_the_reason_is_said() {
    let mut example = Example::new();
    let mut change = edit("/etc/shadow", ["", "x"], 2, Some(bob()));
    for value in [&mut change.before, &mut change.after] {
        if let Some(FactValue::File(state)) = value {
            let keyed = state.hash.take().map(|hash| hash.replace("b3:", "k3:"));
            (state.hash, state.content) = (keyed, ContentState::Secret);
        }
    }
    example.log(vec![change]);
    let answers = answers(&example);
    let shadow = file("/etc/shadow");
    assert_eq!(
        answers.content_at(&shadow, time(2)).unwrap(),
        ContentAt::NotKept(ContentState::Secret)
    );
    let body = answers.diff(&shadow, time(2), time(9)).unwrap();
    assert!(body.why_not.unwrap().contains("secret"));
    assert_eq!(answers.change(1).unwrap().unwrap().diff, None);
    assert_eq!(answers.blame(&shadow).unwrap(), None);
}

#[test]
fn the_diff_between_two_moments_names_the_changes_in_between() {
    let example = four_versions();
    let body = answers(&example)
        .diff(&file("/etc/a"), time(2), time(4))
        .unwrap();
    assert_eq!(body.changes, [2, 3]);
    assert_eq!(
        body.diff.as_deref(),
        Some("--- a/etc/a\n+++ b/etc/a\n@@ -1 +1,3 @@\n+zero\n one\n+two\n")
    );
    assert_eq!(body.why_not, None);
}

#[test]
fn a_diff_from_before_watching_begins_where_watching_began() {
    let mut example = Example::new();
    example.keep(&["a\n", "b\n"]);
    example.commit(Batch {
        facts: vec![text_fact("/etc/a", "a\n", 10)],
        ..Batch::default()
    });
    let ever = Timestamp::from_nanos(i64::MIN);
    let same = answers(&example).diff(&file("/etc/a"), ever, time(99));
    let same = same.unwrap();
    assert_eq!(same.why_not.as_deref(), Some("the contents are the same"));
    example.log(vec![edit("/etc/a", ["a\n", "b\n"], 20, Some(bob()))]);
    let body = answers(&example).diff(&file("/etc/a"), ever, time(99));
    let body = body.unwrap();
    assert_eq!(body.since, time(10));
    assert!(body.diff.unwrap().ends_with("-a\n+b\n"));
    let never = answers(&example).diff(&file("/srv/a"), ever, time(99));
    assert!(never.unwrap().why_not.unwrap().contains("not known"));
}

#[test]
fn the_value_of_a_setting_has_a_diff_too() {
    let mut example = Example::new();
    let setting = |value: &str| FactValue::Setting {
        value: value.to_owned(),
    };
    let subject = Subject::parse(b"sysctl:vm.swappiness").unwrap();
    example.commit(Batch {
        changes: vec![Change {
            subject: subject.clone(),
            op: Op::Set,
            before: Some(setting("60")),
            after: Some(setting("10")),
            ..edit("/x", ["", ""], 5, Some(bob()))
        }],
        ..Batch::default()
    });
    let body = answers(&example).diff(&subject, time(5), time(6)).unwrap();
    assert_eq!(
        body.diff.as_deref(),
        Some("--- a/sysctl:vm.swappiness\n+++ b/sysctl:vm.swappiness\n@@ -1 +1 @@\n-60\n+10\n")
    );
    let change = answers(&example).change(1).unwrap().unwrap();
    assert_eq!(change.diff, None);
    assert_eq!(change.change.after, Some(setting("10")));
}

#[test]
fn a_content_is_found_by_its_name() {
    let example = four_versions();
    let answers = answers(&example);
    let change = answers.change(1).unwrap().unwrap().change;
    let name = change.after.unwrap().as_file().unwrap().hash.clone();
    assert_eq!(answers.content(&name.unwrap()).unwrap().unwrap(), b"one\n");
    assert_eq!(answers.content("k3:00").unwrap(), None);
}

#[test]
fn a_recap_tells_what_was_typed_and_what_it_changed() {
    let mut example = Example::new();
    let vim = person(user(1000, "alice"), 41, &["vim", "/etc/a"]);
    let mut make = person(user(1000, "alice"), 41, &["make", "install"]);
    (make.process.pid, make.ancestry[0].pid) = (5000, 4999);
    example.log(vec![
        edit("/etc/a", ["", "1"], 10, Some(vim.clone())),
        create("/opt/b", "1", 20, Some(make.clone())),
        edit("/etc/a", ["1", "2"], 25, Some(bob())),
        create("/opt/c", "1", 30, Some(make)),
        edit("/etc/a", ["2", "3"], 40, Some(vim)),
    ]);
    example.commit(Batch {
        sessions: vec![session(41, 5)],
        ..Batch::default()
    });
    let answers = answers(&example);
    let recap = answers.recap(41).unwrap().unwrap();
    assert_eq!(recap.session.changes, 4);
    let commands: Vec<_> = recap
        .commands
        .iter()
        .map(|command| (command.argv.join(" "), command.changes.clone()))
        .collect();
    assert_eq!(
        commands,
        [
            ("sudo vim /etc/a".to_owned(), vec![1, 5]),
            ("sudo make install".to_owned(), vec![2, 4])
        ]
    );
    assert_eq!(recap.commands[1].subjects, [file("/opt/b"), file("/opt/c")]);
    assert_eq!(answers.recap(7).unwrap(), None);
    assert_eq!(answers.sessions(10).unwrap().items, [recap.session]);
}

#[test]
fn the_record_is_complete_since_the_last_gap_ended() {
    let mut example = Example::new();
    let since = |example: &Example| answers(example).complete_since().unwrap();
    assert_eq!(since(&example), None);
    for seconds in [10, 20] {
        example.commit(Batch {
            heartbeat: Some(time(seconds)),
            gaps: vec![gap(GapReason::Unseen, 0, None)],
            ..Batch::default()
        });
    }
    assert_eq!(since(&example), Some(time(10)));
    assert_eq!(example.reader().heartbeat().unwrap(), Some(time(20)));
    let mut lost = gap(GapReason::Lost, 30, None);
    example.commit(Batch {
        gaps: vec![gap(GapReason::Stopped, 20, Some(25)), lost.clone()],
        ..Batch::default()
    });
    assert_eq!(since(&example), None);
    (lost.id, lost.to) = (4, Some(time(35)));
    example.commit(Batch {
        gaps: vec![lost],
        ..Batch::default()
    });
    assert_eq!(since(&example), Some(time(35)));
    assert_eq!(answers(&example).gaps(1).unwrap().items.len(), 1);
}

#[test]
fn a_store_that_is_not_there_is_an_error_and_no_panic() {
    let answers = Answers::new("/nonexistent/tracer.db".into());
    assert!(answers.last_seq().is_err());
    let example = four_versions();
    assert_eq!(Answers::new(example.path()).last_seq().unwrap(), 4);
}
