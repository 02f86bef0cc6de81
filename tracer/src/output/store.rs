//! The store itself in words: its verification, a copy of it, and what was purged from it.

use change::wire::{BackupBody, Finding, ForgetBody, VerifyBody};

use super::amount::{counted, size};
use super::{View, escape_text};

/// What a verification found.
pub fn verification(body: &VerifyBody, view: &View) -> String {
    let VerifyBody {
        intact,
        changes,
        contents,
        forgotten,
        head,
        findings,
        gave_up,
    } = body;
    let mut looked_at = format!(
        "{} and {}",
        counted(*changes, "change"),
        counted(*contents, "content")
    );
    if *forgotten > 0 {
        looked_at = format!("{looked_at} ({forgotten} more were forgotten)");
    }
    let mut lines = Vec::new();
    if *intact {
        lines.push(format!("{}: {looked_at}", view.green("as it was written")));
    } else {
        let found = counted(findings.len() as u64, "finding");
        let head = view.red("not as it was written");
        lines.push(format!("{head}: {found} in {looked_at}"));
        lines.extend(findings.iter().map(|finding| line(finding, view)));
    }
    if *gave_up {
        lines.push(view.yellow("so much was found that the search was given up here"));
    }
    lines.push(format!("  {} {}", view.dim("head"), escape_text(head)));
    lines.join("\n")
}

fn line(finding: &Finding, view: &View) -> String {
    let Finding {
        kind,
        seq,
        to_seq,
        detail,
    } = finding;
    let which = match (seq, to_seq) {
        (Some(from), Some(to)) if from != to => format!("changes {from} to {to}: "),
        (Some(seq), _) => format!("change {seq}: "),
        (None, _) => String::new(),
    };
    let kind = view.yellow(&format!("{:<8}", kind.as_str()));
    format!("  {kind} {which}{}", escape_text(detail))
}

/// What was copied.
pub fn backup(body: &BackupBody, view: &View) -> String {
    let BackupBody {
        file,
        bytes,
        last_seq,
        head,
    } = body;
    format!(
        "copied {} ({}) to {}\n  {} {}",
        counted(*last_seq, "change"),
        size(*bytes),
        escape_text(file),
        view.dim("head"),
        escape_text(head)
    )
}

/// What was purged, and what is still there.
pub fn forgotten(body: &ForgetBody, view: &View) -> String {
    let ForgetBody {
        subject,
        seq,
        forgotten,
        bytes,
        shared_with,
        is_current,
    } = body;
    let mut lines = Vec::new();
    lines.push(match seq {
        Some(seq) => format!(
            "forgot {} of {subject} ({}); change {seq} records it",
            counted(*forgotten, "content"),
            size(*bytes)
        ),
        None => format!("nothing to forget: no content of {subject} alone is kept"),
    });
    if *is_current {
        lines.push(view.yellow(
            "the file itself still has the newest of them; what it holds after its next change is \
             kept again unless `secrets.paths` has it",
        ));
    }
    if !shared_with.is_empty() {
        let names: Vec<_> = shared_with.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        lines.push(view.yellow(&format!(
            "these files have or had some of the same contents: {names}"
        )));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use change::Subject;
    use change::wire::FindingKind;

    use super::super::fixture::view;
    use super::*;

    #[test]
    fn a_verification_says_what_it_looked_at_and_what_it_found() {
        let mut body = VerifyBody {
            intact: true,
            changes: 3,
            contents: 1,
            head: "3:ab".to_owned(),
            ..VerifyBody::default()
        };
        insta::assert_snapshot!(verification(&body, &view()), @r"
        as it was written: 3 changes and 1 content
          head 3:ab
        ");
        let finding = |kind, seq, to_seq| Finding {
            kind,
            seq,
            to_seq,
            detail: "row 2 of `changes`\u{1b}".to_owned(),
        };
        body.intact = false;
        body.forgotten = 2;
        body.gave_up = true;
        body.findings = vec![
            finding(FindingKind::Altered, Some(2), None),
            finding(FindingKind::Removed, Some(3), Some(4)),
            finding(FindingKind::File, None, None),
        ];
        insta::assert_snapshot!(verification(&body, &view()), @r"
        not as it was written: 3 findings in 3 changes and 1 content (2 more were forgotten)
          altered  change 2: row 2 of `changes`\u{1b}
          removed  changes 3 to 4: row 2 of `changes`\u{1b}
          file     row 2 of `changes`\u{1b}
        so much was found that the search was given up here
          head 3:ab
        ");
    }

    #[test]
    fn a_purge_says_what_is_still_there() {
        let mut body = ForgetBody {
            subject: Subject::file("/etc/a"),
            seq: Some(7),
            forgotten: 2,
            bytes: 2000,
            shared_with: vec![Subject::file("/etc/b")],
            is_current: true,
        };
        insta::assert_snapshot!(forgotten(&body, &view()), @r"
        forgot 2 contents of /etc/a (1.9 KiB); change 7 records it
        the file itself still has the newest of them; what it holds after its next change is kept again unless `secrets.paths` has it
        these files have or had some of the same contents: /etc/b
        ");
        (body.seq, body.is_current) = (None, false);
        body.shared_with.clear();
        insta::assert_snapshot!(forgotten(&body, &view()), @"nothing to forget: no content of /etc/a alone is kept");
    }

    #[test]
    fn a_copy_says_where_it_is_and_how_its_log_ends() {
        let body = BackupBody {
            file: "/root/b".to_owned(),
            bytes: 4096,
            last_seq: 7,
            head: "7:ab".to_owned(),
        };
        insta::assert_snapshot!(backup(&body, &view()), @r"
        copied 7 changes (4 KiB) to /root/b
          head 7:ab
        ");
    }
}
