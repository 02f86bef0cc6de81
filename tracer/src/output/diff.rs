//! A unified diff for people: escaped, coloured, and never without its signs.

use change::wire::DiffBody;

use super::View;
use super::escape::{escape_line, escape_text};

/// What differs between two moments, or why that cannot be shown.
pub fn diff(body: &DiffBody, view: &View) -> String {
    let DiffBody {
        subject,
        since,
        until,
        diff,
        why_not,
        changes,
    } = body;
    if let Some(diff) = diff {
        return lines(diff, view).join("\n");
    }
    let between = when::interval([*since, *until], " and ", &view.now);
    match (why_not, changes.len() as u64) {
        (None, 0) => format!("{subject} did not change between {between}"),
        (None, _) => {
            format!("{subject} changed between {between}, and its content is the same at both ends")
        }
        (Some(why), 0) => format!("{subject}: no diff between {between}: {}", escape_text(why)),
        (Some(why), count) => {
            let changes = super::amount::counted(count, "change");
            format!(
                "{subject}: {changes} between {between}, and no diff: {}",
                escape_text(why)
            )
        }
    }
}

/// The lines of a unified diff, ready for a terminal.
pub(super) fn lines(diff: &str, view: &View) -> Vec<String> {
    let mut in_head = true;
    let paint = |line: &str| {
        in_head &= !line.starts_with("@@");
        let shown = escape_line(line);
        match line.as_bytes().first() {
            _ if in_head => view.bold(&shown),
            Some(b'+') => view.green(&shown),
            Some(b'-') => view.red(&shown),
            Some(b'@') => view.cyan(&shown),
            _ => shown,
        }
    };
    // Not `lines`, which would take a carriage return for a part of the line's end.
    diff.trim_end_matches('\n').split('\n').map(paint).collect()
}

/// The same without the two lines that name the files.
pub(super) fn body(diff: &str, view: &View) -> Vec<String> {
    let start = if diff.starts_with("@@") {
        0
    } else {
        diff.find("\n@@").map_or(0, |place| place + 1)
    };
    lines(&diff[start..], view)
}

#[cfg(test)]
mod tests {
    use change::Subject;

    use super::super::fixture::{at, view};
    use super::*;

    #[test]
    fn a_diff_keeps_tabs_and_gives_a_terminal_nothing_to_obey() {
        let text = "--- a\n+++ b\n@@ -1 +1 @@\n-\told\r\n+\tn\x1b[2Jew\n--- x\n";
        assert_eq!(
            lines(text, &view()),
            [
                "--- a",
                "+++ b",
                "@@ -1 +1 @@",
                "-\told\\r",
                "+\tn\\u{1b}[2Jew",
                "--- x"
            ]
        );
        assert_eq!(body(text, &view())[0], "@@ -1 +1 @@");
        let color = View {
            color: true,
            ..view()
        };
        assert_eq!(
            lines("@@ @@\n-a\n+b\n c", &color)[1..],
            ["\x1b[31m-a\x1b[0m", "\x1b[32m+b\x1b[0m", " c"]
        );
    }

    #[test]
    fn where_there_is_no_diff_the_reason_is_given() {
        let body = |why: Option<&str>, changes: &[u64]| DiffBody {
            subject: Subject::file("/etc/a"),
            since: at("10:00"),
            until: at("12:00"),
            diff: None,
            why_not: why.map(str::to_owned),
            changes: changes.to_vec(),
        };
        insta::assert_snapshot!(diff(&body(None, &[]), &view()), @"/etc/a did not change between 10:00 and 12:00");
        insta::assert_snapshot!(diff(&body(None, &[1, 2]), &view()), @"/etc/a changed between 10:00 and 12:00, and its content is the same at both ends");
        insta::assert_snapshot!(diff(&body(Some("it is a secret"), &[1]), &view()), @"/etc/a: 1 change between 10:00 and 12:00, and no diff: it is a secret");
        insta::assert_snapshot!(diff(&body(Some("it was not there"), &[]), &view()), @"/etc/a: no diff between 10:00 and 12:00: it was not there");
    }
}
