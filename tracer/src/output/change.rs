//! A change in full: the sentence, the chain of commands, the diff or why there is none, and what a
//! reader should know before trusting it.

use change::wire::{ChangeWithDiff, WhoBody};
use change::{Certainty, Change, ContentState, FactValue, FileState, Gap, Kind, Note};

use super::amount::{counted, size};
use super::sentence::sentence;
use super::{View, actor, chain, diff, fact, gap};

/// Answers *who*: the newest changes, then the gaps that may hide others.
pub fn who(body: &WhoBody, view: &View) -> String {
    let WhoBody {
        subject: _,
        changes,
        gaps,
        watched_since: _,
    } = body;
    let blocks = changes.iter().map(|with_diff| {
        let mut lines = vec![sentence(&with_diff.change, "it", gaps, view)];
        lines.extend(details(with_diff, view));
        lines.join("\n")
    });
    let mut blocks: Vec<_> = blocks.collect();
    if !gaps.is_empty() {
        blocks.push(warnings(gaps, view));
    }
    blocks.join("\n")
}

/// Says why nothing was found, as far as that is known.
pub fn nothing_known(body: &WhoBody, view: &View) -> String {
    let WhoBody {
        subject,
        changes: _,
        gaps,
        watched_since,
    } = body;
    let Some(since) = watched_since else {
        if subject.kind == Kind::File {
            return format!("{subject} is outside the watched trees; `tracer status` lists them");
        }
        return format!("nothing is known of {subject}; `tracer facts` lists what there is");
    };
    let began = when::at(*since, &view.now);
    let mut text = format!("{subject} has not changed since tracing began {began}");
    if !gaps.is_empty() {
        text = format!("{text}\n{}", warnings(gaps, view));
    }
    text
}

/// One change with everything that is known of it.
pub fn change_in_full(with_diff: &ChangeWithDiff, view: &View) -> String {
    let change = &with_diff.change;
    let mut lines = vec![sentence(change, &change.subject.to_string(), &[], view)];
    lines.extend(details(with_diff, view));
    let field =
        |name: &str, value: String| format!("  {} {value}", view.dim(&format!("{name:<8}")));
    lines.push(field(
        "change",
        format!("{} on {}", change.seq, super::escape_text(&change.hostname)),
    ));
    lines.push(field("time", change.time.to_string()));
    if let Some(run) = change.run {
        lines.push(field("run", run.to_string()));
    }
    for (name, fact) in [("before", &change.before), ("after", &change.after)] {
        lines.extend(
            fact.as_ref()
                .map(|fact| field(name, fact::value(fact, view))),
        );
    }
    if let Some(actor) = &change.actor {
        let exe = actor.process.exe.as_deref().unwrap_or("?");
        lines.push(field(
            "process",
            format!("{} {}", actor.process.pid, super::escape_text(exe)),
        ));
        lines.extend(
            actor
                .process
                .cwd
                .as_deref()
                .map(|cwd| field("in", super::escape_text(cwd))),
        );
    }
    lines.join("\n")
}

fn warnings(gaps: &[Gap], view: &View) -> String {
    gaps.iter()
        .map(|gap| gap::warning(gap, view))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The lines under the sentence, indented.
fn details(with_diff: &ChangeWithDiff, view: &View) -> Vec<String> {
    let ChangeWithDiff { change, diff } = with_diff;
    let mut lines = Vec::new();
    lines.extend(commands(change));
    match diff {
        Some(diff) => lines.extend(diff::body(diff, view)),
        None => lines.extend(why_no_diff(change).map(|why| view.dim(&why))),
    }
    if let Some(package) = &change.package {
        lines.push(format!(
            "the file belongs to the package {}",
            super::escape_text(package)
        ));
    }
    if change.operations > 1 {
        lines.push(view.dim(&format!(
            "{} folded into one change",
            counted(change.operations, "operation")
        )));
    }
    lines.extend(
        change
            .notes
            .iter()
            .filter_map(|note| in_words(*note, change.subject.kind))
            .map(|note| view.yellow(note)),
    );
    lines.iter().map(|line| format!("  {line}")).collect()
}

fn commands(change: &Change) -> Option<String> {
    let by = change
        .actor
        .as_ref()
        .filter(|_| change.certainty == Certainty::Exact)?;
    let chain = chain::chain(by);
    let other = by
        .login_user
        .as_ref()
        .is_some_and(|login| login.uid != by.user.uid);
    if other {
        return Some(format!("{chain:<45}  as {}", actor::user(&by.user)));
    }
    Some(chain)
}

/// Why a change of content has no diff; none where there was no content to change.
fn why_no_diff(change: &Change) -> Option<String> {
    let file = |fact: &Option<FactValue>| fact.as_ref().and_then(FactValue::as_file).cloned();
    let (before, after) = (file(&change.before), file(&change.after));
    let hash = |state: &Option<FileState>| state.as_ref().and_then(|state| state.hash.clone());
    let states = || [&after, &before].into_iter().flatten();
    let has = |content| states().any(|state| state.content == content);
    let same = before.is_some()
        && after.is_some()
        && hash(&before).is_some()
        && hash(&before) == hash(&after);
    if same || states().all(|state| !state.file_type.is_regular()) || change.from.is_some() {
        return None;
    }
    if has(ContentState::Secret) {
        return Some("the content is a secret: it is neither kept nor shown".to_owned());
    }
    if has(ContentState::TooLarge) {
        let largest = states().map(|state| state.size).max().unwrap_or_default();
        return Some(format!(
            "too large to keep ({}): only its hash is known",
            size(largest)
        ));
    }
    if has(ContentState::MovedOn) {
        return Some("the file moved on before its content could be read".to_owned());
    }
    if has(ContentState::Shed) {
        return Some("so much happened at once that its content was not read".to_owned());
    }
    if has(ContentState::Forgotten) {
        return Some("the content was forgotten: `tracer forget` has purged it".to_owned());
    }
    if has(ContentState::None) {
        return Some("its content could not be read".to_owned());
    }
    let empty = states().all(|state| state.size == 0);
    let whole = if empty {
        "the file is empty"
    } else {
        "no diff to show: the content is binary or not kept any more"
    };
    Some(whole.to_owned())
}

fn in_words(note: Note, kind: Kind) -> Option<&'static str> {
    match note {
        Note::MovedOn if [Kind::Sysctl, Kind::KernelSetting].contains(&kind) => {
            Some("another wrote it at the same time: the value is what was asked for")
        }
        // The sentence, and the line in place of the diff, say these.
        Note::SameContent | Note::MovedOn => None,
        Note::SharedDescription => {
            Some("several processes wrote through one open file; the last one to write is named")
        }
        Note::OpenedBefore => Some("the process had the file open before tracing began"),
        Note::Replaced => Some("the file was replaced by another one"),
        Note::Exchanged => Some("the two names were exchanged"),
        Note::SameTick => Some(
            "another process that could write to it closed it in the same clock tick: some of this may be its doing",
        ),
        Note::Unconfirmed => {
            Some("the value is what was asked for; whether the kernel took it is not known")
        }
        Note::OnBehalf => Some("the kernel did this by itself, for what that program needed"),
        Note::Malformed => Some("it does not fit this kernel, or is no module"),
        Note::Refused => Some("the kernel did not allow it"),
    }
}

#[cfg(test)]
mod tests {
    use change::{GapReason, Subject};

    use super::super::fixture::{at, edit, file, late, view, with_diff};
    use super::*;

    fn body(changes: Vec<ChangeWithDiff>, gaps: Vec<Gap>) -> WhoBody {
        WhoBody {
            subject: Subject::file("/etc/nginx/nginx.conf"),
            changes,
            gaps,
            watched_since: Some(at("yesterday 8:00")),
        }
    }

    fn stopped() -> Gap {
        Gap {
            id: 1,
            from: at("14:02"),
            to: Some(at("14:05")),
            reason: GapReason::Stopped,
            detail: "tracer was not running".to_owned(),
        }
    }

    #[test]
    fn who_is_a_sentence_the_commands_and_the_diff() {
        insta::assert_snapshot!(who(&body(vec![with_diff(edit())], Vec::new()), &view()), @"
        alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
          bash › sudo vim /etc/nginx/nginx.conf          as root
          @@ -12,3 +12,3 @@
           events {
          -    worker_connections 768;
          +    worker_connections 4096;
           }
        ");
        let open = Gap {
            to: None,
            ..stopped()
        };
        let unseen = Gap {
            reason: GapReason::Unseen,
            ..open.clone()
        };
        insta::assert_snapshot!(who(&body(vec![with_diff(late())], vec![stopped(), open, unseen]), &view()), @"
        something changed it between 14:02 and 14:07 while tracer was stopped; who did it is not known
          @@ -12,3 +12,3 @@
           events {
          -    worker_connections 768;
          +    worker_connections 4096;
           }
        there was a gap 14:02–14:05: tracer was not running
        there is a gap since 14:02: tracer was not running
        tracer cannot see everything here: `tracer doctor` says what, and why
        ");
        let two = vec![
            with_diff(edit()),
            ChangeWithDiff {
                change: edit(),
                diff: None,
            },
        ];
        insta::assert_snapshot!(who(&body(two, Vec::new()), &view()), @"
        alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
          bash › sudo vim /etc/nginx/nginx.conf          as root
          @@ -12,3 +12,3 @@
           events {
          -    worker_connections 768;
          +    worker_connections 4096;
           }
        alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
          bash › sudo vim /etc/nginx/nginx.conf          as root
          no diff to show: the content is binary or not kept any more
        ");
    }

    #[test]
    fn where_there_is_no_diff_the_reason_is_given() {
        let why = |content, size| {
            let after = FileState {
                content,
                size,
                ..file("b3:2")
            };
            why_no_diff(&Change {
                after: Some(FactValue::File(after)),
                ..edit()
            })
            .unwrap_or_default()
        };
        insta::assert_snapshot!(why(ContentState::Secret, 1), @"the content is a secret: it is neither kept nor shown");
        insta::assert_snapshot!(why(ContentState::TooLarge, 12 * 1024 * 1024), @"too large to keep (12 MiB): only its hash is known");
        insta::assert_snapshot!(why(ContentState::MovedOn, 1), @"the file moved on before its content could be read");
        insta::assert_snapshot!(why(ContentState::Kept, 1), @"no diff to show: the content is binary or not kept any more");
        assert_eq!(
            why_no_diff(&Change {
                after: edit().before,
                ..edit()
            }),
            None
        );
    }

    #[test]
    fn notes_are_told() {
        let change = Change {
            notes: vec![Note::OpenedBefore, Note::Replaced],
            operations: 1500,
            package: Some("nginx-common".to_owned()),
            ..edit()
        };
        let text = who(
            &body(vec![ChangeWithDiff { change, diff: None }], Vec::new()),
            &view(),
        );
        insta::assert_snapshot!(text, @"
        alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
          bash › sudo vim /etc/nginx/nginx.conf          as root
          no diff to show: the content is binary or not kept any more
          the file belongs to the package nginx-common
          1,500 operations folded into one change
          the process had the file open before tracing began
          the file was replaced by another one
        ");
    }

    #[test]
    fn nothing_found_is_told_apart() {
        insta::assert_snapshot!(nothing_known(&body(Vec::new(), vec![stopped()]), &view()), @"
        /etc/nginx/nginx.conf has not changed since tracing began yesterday at 08:00
        there was a gap 14:02–14:05: tracer was not running
        ");
        let outside = WhoBody {
            watched_since: None,
            ..body(Vec::new(), Vec::new())
        };
        insta::assert_snapshot!(nothing_known(&outside, &view()), @"/etc/nginx/nginx.conf is outside the watched trees; `tracer status` lists them");
        let package = WhoBody {
            subject: Subject::parse(b"package:nginx").unwrap(),
            ..outside
        };
        insta::assert_snapshot!(nothing_known(&package, &view()), @"nothing is known of package:nginx; `tracer facts` lists what there is");
    }

    #[test]
    fn one_change_is_shown_in_full() {
        insta::assert_snapshot!(change_in_full(&with_diff(edit()), &view()), @"
        alice edited /etc/nginx/nginx.conf 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
          bash › sudo vim /etc/nginx/nginx.conf          as root
          @@ -12,3 +12,3 @@
           events {
          -    worker_connections 768;
          +    worker_connections 4096;
           }
          change   1234 on web-1
          time     2026-11-21T13:18:00.000000000Z
          before   0644 root:root 1,480 bytes b3:1
          after    0644 root:root 1,480 bytes b3:2
          process  9 vim
        ");
    }
}
