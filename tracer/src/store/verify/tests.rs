//! Tampering with rows of a real store, and what the verification says to it.

use change::Note;

use super::*;
use crate::store::Batch;
use crate::store::example::{Example, alice, create, edit};

const COPY: &str = "INSERT INTO changes SELECT ?2, time, lag, host, subject, op, from_subject,
    before, after, late, between_from, between_to, run, operations, notes, actor, chain, package
    FROM changes WHERE seq = ?1";

fn changed(number: i64) -> Change {
    let texts = [number.to_string(), (number + 1).to_string()];
    let texts = [texts[0].as_str(), texts[1].as_str()];
    let mut change = edit("/etc/a", texts, number + 1, Some(alice(41)));
    change.notes = vec![Note::Replaced, Note::SharedDescription];
    change.operations = 3;
    change
}

fn five_changes() -> Example {
    let mut example = Example::new();
    example.keep(&["0", "1", "2", "3", "4", "5"]);
    for number in 0..5 {
        example.commit(Batch {
            changes: vec![changed(number)],
            ..Batch::default()
        });
    }
    example
}

/// What is found, each on a line.
fn found(example: &Example) -> Vec<String> {
    let body = example.reader().verify(None).unwrap();
    assert_eq!(body.intact, body.findings.is_empty());
    let line = |finding: Finding| {
        let Finding {
            kind,
            seq,
            to_seq,
            detail,
        } = finding;
        let numbers = [seq, to_seq].into_iter().flatten();
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        format!("{} {}: {detail}", kind.as_str(), numbers.join("-"))
    };
    body.findings.into_iter().map(line).collect()
}

fn found_after(tampering: &str) -> Vec<String> {
    let mut example = five_changes();
    example.tamper(tampering);
    found(&example)
}

#[test]
fn an_untouched_log_is_intact_also_after_reopening() {
    let mut example = five_changes();
    example.reopen();
    example.keep(&["x", "y"]);
    example.commit(Batch {
        changes: vec![edit("/etc/b", ["x", "y"], 9, None)],
        ..Batch::default()
    });
    let body = example.reader().verify(None).unwrap();
    assert_eq!(
        (body.intact, body.changes, body.contents),
        (true, 6, 8),
        "{body:?}"
    );
    let known = KnownHead::parse(&body.head).unwrap();
    assert_eq!((known.seq, known.to_text()), (6, body.head));
    let empty = Example::new().reader().verify(None).unwrap();
    assert_eq!((empty.intact, empty.changes), (true, 0), "{empty:?}");
}

#[test]
fn an_altered_change_is_named_whatever_was_altered_in_it() {
    for tampering in [
        "time = time + 1",
        "op = 'delete'",
        "operations = 4",
        "notes = NULL",
        "late = 1",
        "run = 7",
        "between_from = 1, between_to = 2",
        "before = NULL",
        "actor = NULL",
    ] {
        let sql = format!("UPDATE changes SET {tampering} WHERE seq = 3");
        assert_eq!(
            found_after(&sql),
            ["altered 3: row 3 of `changes`"],
            "{tampering}"
        );
    }
    let altered = ["altered 3: its value of the chain"];
    assert_eq!(
        found_after("UPDATE changes SET chain = zeroblob(32) WHERE seq = 3"),
        altered
    );
    for last in ["time = time + 1", "chain = zeroblob(32)"] {
        let sql = format!("UPDATE changes SET {last} WHERE seq = 5");
        assert_eq!(
            found_after(&sql)[0],
            "altered 5: row 5 of `changes`, or row 6 of `states`"
        );
    }
    let package = found_after("UPDATE changes SET package = 'x' WHERE seq = 2");
    assert_eq!(package, ["altered 2: row 2 of `changes`"]);
    let two = "UPDATE changes SET time = time + 1 WHERE seq IN (2, 4)";
    let rows = [
        "altered 2: row 2 of `changes`",
        "altered 4: row 4 of `changes`",
    ];
    assert_eq!(found_after(two), rows);
    let neighbours = "UPDATE changes SET time = time + 1 WHERE seq IN (3, 4)";
    let rows =
        [3, 4].map(|seq| format!("altered {seq}: row {seq} of `changes`, or row 4 of `states`"));
    assert_eq!(found_after(neighbours), rows);
}

#[test]
fn an_altered_state_is_named_at_the_changes_on_both_its_sides() {
    let id = "(SELECT after FROM changes WHERE seq = 3)";
    for tampering in [
        "size = 1000",
        "hash = zeroblob(32)",
        "uid = 1",
        "extra = '{\"target\":\"x\"}'",
    ] {
        let lines = found_after(&format!("UPDATE states SET {tampering} WHERE id = {id}"));
        let rows = [3, 4]
            .map(|seq| format!("altered {seq}: row {seq} of `changes`, or row 4 of `states`"));
        assert_eq!(lines[..2], rows, "{tampering}");
    }
}

#[test]
fn an_altered_actor_is_named_and_what_other_changes_prove_is_not() {
    let mut example = five_changes();
    example.keep(&["a", "b"]);
    example.log(vec![edit("/etc/b", ["a", "b"], 9, Some(alice(42)))]);
    example.tamper("UPDATE actors SET argv = '[\"vi\"]' WHERE id = 2");
    let lines = found(&example);
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.contains("row 2 of `actors`"), "{line}");
    assert!(!line.contains("hosts"), "{line}");
}

#[test]
fn whatever_a_change_refers_to_is_covered() {
    for (tampering, table) in [
        ("UPDATE actors SET pid = 1", "actors"),
        (
            "UPDATE ancestors SET pid = 1 WHERE exe = '/usr/bin/sudo'",
            "actors",
        ),
        ("UPDATE origins SET login_name = 'bob'", "actors"),
        (
            "UPDATE subjects SET key = CAST('/etc/z' AS BLOB)",
            "subjects",
        ),
        ("UPDATE hosts SET name = 'other'", "hosts"),
    ] {
        let lines = found_after(tampering);
        assert_eq!(lines.len(), 5, "{tampering}: {lines:?}");
        assert!(lines[0].starts_with("altered 1: "), "{lines:?}");
        assert!(
            lines[0].contains(&format!("row 1 of `{table}`")),
            "{lines:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_any_more_is_named_and_the_search_goes_on() {
    let lines = found_after(
        "UPDATE changes SET op = 'teleport' WHERE seq = 2;
        UPDATE changes SET time = 0 WHERE seq = 4",
    );
    let rows = [
        "altered 2: row 2 of `changes`: `teleport` is no op",
        "altered 4: row 4 of `changes`",
    ];
    assert_eq!(lines, rows);
    let gone = found_after("DELETE FROM subjects");
    assert_eq!(gone.len(), 5, "{gone:?}");
    assert_eq!(gone[0], "altered 1: what it refers to is gone");
    let gone = found_after("DELETE FROM actors");
    assert_eq!(gone.len(), 5, "{gone:?}");
    assert!(
        gone[4].starts_with("altered 5: row 1 of `actors`"),
        "{gone:?}"
    );
}

#[test]
fn a_removed_change_is_named_also_at_the_end() {
    for (tampering, line) in [
        (
            "DELETE FROM changes WHERE seq = 1",
            "removed 1-1: missing in the log",
        ),
        (
            "DELETE FROM changes WHERE seq IN (3, 4)",
            "removed 3-4: missing in the log",
        ),
        (
            "DELETE FROM changes WHERE seq = 5",
            "removed 5-5: missing in the log",
        ),
        ("DELETE FROM changes", "removed 1-5: missing in the log"),
    ] {
        assert_eq!(found_after(tampering), [line], "{tampering}");
    }
}

#[test]
fn a_removed_change_whose_hole_was_closed_is_found() {
    let lines = found_after(
        "DELETE FROM changes WHERE seq = 3;
        UPDATE changes SET seq = 3 WHERE seq = 4; UPDATE changes SET seq = 4 WHERE seq = 5",
    );
    let is_named = |number: &str| lines.iter().any(|line| line.starts_with(number));
    assert!(is_named("altered 3: "), "{lines:?}");
    assert!(is_named("removed 5-5: "), "{lines:?}");
}

#[test]
fn an_inserted_change_is_named() {
    let mut example = five_changes();
    let moved =
        "UPDATE changes SET seq = 6 WHERE seq = 5; UPDATE changes SET seq = 5 WHERE seq = 4;
        UPDATE changes SET seq = 4 WHERE seq = 3;";
    example.tamper(moved);
    example.connection().execute(COPY, [1, 3]).unwrap();
    let inserted = ["inserted 3: the changes after it have got higher numbers"];
    assert_eq!(found(&example), inserted);

    let example = five_changes();
    example.connection().execute(COPY, [5, 6]).unwrap();
    assert_eq!(
        found(&example),
        ["inserted 6: written behind the noted end of the log"]
    );
    let example = five_changes();
    example.connection().execute(COPY, [5, 0]).unwrap();
    assert_eq!(found(&example), ["inserted 0: number 0 was never given"]);
}

#[test]
fn a_writer_does_not_cover_up_a_missing_end() {
    let mut example = five_changes();
    example.tamper("DELETE FROM changes WHERE seq >= 4");
    example.reopen();
    example.keep(&["x", "y"]);
    let stored = example.commit(Batch {
        changes: vec![edit("/etc/b", ["x", "y"], 9, None)],
        ..Batch::default()
    });
    assert_eq!(stored[0].seq, 6);
    assert_eq!(found(&example), ["removed 4-5: missing in the log"]);
}

#[test]
fn a_chain_that_was_computed_anew_is_found_by_a_head_that_was_kept_elsewhere() {
    let mut example = five_changes();
    let told = example.reader().verify(None).unwrap().head;
    let known = KnownHead::parse(&told);
    assert!(example.reader().verify(known).unwrap().intact);
    let mut forged = Example::new();
    forged.keep(&["0", "1", "2", "3", "4", "5", "6"]);
    for number in 0..6 {
        forged.log(vec![create("/etc/a", &number.to_string(), number, None)]);
    }
    assert!(forged.reader().verify(None).unwrap().intact);
    let body = forged.reader().verify(known).unwrap();
    assert_eq!(
        (body.findings[0].kind, body.findings[0].seq),
        (FindingKind::Head, Some(5))
    );
    // An end that was cut off together with its note is found in no other way either.
    example.tamper("DELETE FROM changes WHERE seq = 5");
    let head = example.reader().head().unwrap();
    let noted = [head.seq.to_le_bytes().as_slice(), &head.chain].concat();
    let sql = "UPDATE meta SET value = ?1 WHERE key = 'head'";
    example.connection().execute(sql, [noted]).unwrap();
    assert!(example.reader().verify(None).unwrap().intact);
    let body = example.reader().verify(known).unwrap();
    assert_eq!(
        (body.findings[0].kind, body.findings[0].seq),
        (FindingKind::Head, Some(5))
    );
}

#[test]
fn a_noted_end_that_was_altered_is_found() {
    let lines = found_after("UPDATE meta SET value = zeroblob(40) WHERE key = 'head'");
    assert_eq!(lines.len(), 5, "{lines:?}");
    let sql = "UPDATE meta SET value = CAST(substr(value, 1, 8) || zeroblob(32) AS BLOB) WHERE key = 'head'";
    let lines = found_after(sql);
    assert_eq!(
        lines,
        ["head 5: the noted end of the log has another value of the chain"]
    );
}

#[test]
fn a_content_that_was_altered_or_removed_is_named() {
    let name = crate::store::content_name(blake3::hash(b"2").as_bytes());
    let altered = found_after("UPDATE contents SET bytes = CAST('7' AS BLOB) WHERE id = 3");
    let line =
        format!("content : row 3 of `contents`, {name}, does not have the bytes of its hash");
    assert_eq!(altered, [line]);
    let size = found_after("UPDATE contents SET size = 1 << 60 WHERE id = 3");
    assert!(
        size[0].starts_with("content : row 3 of `contents`"),
        "{size:?}"
    );
    let removed = found_after("DELETE FROM contents WHERE id = 3");
    let line = format!("content : {name}, which row 3 of `states` has, is missing in `contents`");
    assert_eq!(removed, [line]);
    let hidden = found_after("INSERT INTO forgotten VALUES (3, 2)");
    let line = format!(
        "content : row 3 of `contents`, {name}, is said to be forgotten by change 2, which did not"
    );
    assert_eq!(hidden, [line]);
}
