//! Runs: in one line of a list, in full, and as one line of a log in the place of its changes.

use change::wire::{Count, RunBody};
use change::{Change, Op, Run, RunKind};

use super::amount::counted;
use super::sentence::past;
use super::{View, actor, chain, escape_text};

/// `number  start  who  how it ended  how much it changed  command`.
pub fn run_line(run: &Run, view: &View) -> String {
    let id = view.yellow(&format!("{:>6}", run.id));
    let start = when::local(run.start, &view.now);
    let who = view.bold(&format!("{:<12}", actor::user(run.actor.person())));
    let ended = format!("{:<9}", outcome(run));
    let ended = match (run.exit_code, run.signal) {
        (Some(0) | None, None) => ended,
        _ => view.red(&ended),
    };
    let changes = match run.changes {
        0 => String::new(),
        changes => counted(changes, "change"),
    };
    format!(
        "{id}  {start}  {who}  {ended}  {changes:<12}  {}",
        chain::own(&run.actor, 200)
    )
}

/// The run in a sentence, where it ran, and what it did.
pub fn run_in_full(body: &RunBody, view: &View) -> String {
    let RunBody {
        run,
        within,
        summary,
    } = body;
    let sort = match run.kind {
        RunKind::PackageManager => "package manager",
        RunKind::ConfigManagement => "configuration management",
        RunKind::Command => "typed",
    };
    let way = run
        .actor
        .session
        .as_ref()
        .map_or_else(String::new, actor::way);
    let mut lines = vec![
        format!(
            "{} ran {}",
            view.bold(&actor::user(run.actor.person())),
            chain::own(&run.actor, 4096)
        ),
        format!("  {sort}: {}; {}", escape_text(&run.tool), span(run, view)),
    ];
    if !way.is_empty() {
        lines.push(format!("  {way}"));
    }
    if let Some(cwd) = &run.actor.process.cwd {
        lines.push(format!("  in {}", escape_text(cwd)));
    }
    if run.more > 0 {
        let more = counted(run.more, "more command");
        lines.push(format!(
            "  {more} of the same shell followed too quickly to be kept one by one"
        ));
    }
    if !within.is_empty() {
        let runs: Vec<String> = within.iter().map(u64::to_string).collect();
        lines.push(format!("  within it: {}", runs.join(", ")));
    }
    lines.push(format!("  {}", summary_of(summary)));
    lines.join("\n")
}

/// A run in the place of its changes: `seq  time  who  run  what it did  command`, with the number and
/// the time of its newest change.
pub fn folded(body: &RunBody, newest: &Change, view: &View) -> String {
    let seq = view.yellow(&format!("{:>6}", newest.seq));
    let time = when::local(newest.time, &view.now);
    let who = actor::short(&body.run.actor);
    let who = view.bold(&format!("{who:<12}"));
    let op = format!("{:<7}", "run");
    let how = view.dim(&chain::own(&body.run.actor, 60));
    let did = summary_of(&body.summary);
    format!("{seq}  {time}  {who}  {op}  {} ({did})  {how}", body.run.id)
}

fn outcome(run: &Run) -> String {
    match (run.exit_code, run.signal) {
        (Some(0), None) => "ok".to_owned(),
        (Some(code), None) => format!("exit {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        (None, None) if run.running => "running".to_owned(),
        (None, None) => "unseen".to_owned(),
    }
}

fn span(run: &Run, view: &View) -> String {
    let Some(end) = run.end else {
        let ended = if run.running {
            "still running"
        } else {
            "its end was not seen"
        };
        return format!("since {}, {ended}", when::moment(run.start, &view.now));
    };
    let span = when::interval([run.start, end], "–", &view.now);
    format!("{span}, {}", outcome(run))
}

/// `40 packages upgraded, 612 files modified`.
fn summary_of(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "nothing was changed".to_owned();
    }
    let parts = counts.iter().map(|Count { kind, op, count }| {
        format!("{} {}", counted(*count, kind.as_str()), deed(*op))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn deed(op: Op) -> &'static str {
    match op {
        Op::Modify => "modified",
        Op::Rename => "renamed",
        Op::Symlink => "linked symbolically",
        Op::Mode => "with another mode",
        Op::Owner => "with another owner",
        Op::Xattr => "with other attributes",
        Op::Set => "set",
        op => past(op),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use change::Kind;

    use super::super::fixture::{actor, at, edit, view};
    use super::*;

    fn apt() -> Run {
        Run {
            id: 812,
            kind: RunKind::PackageManager,
            tool: "apt".to_owned(),
            actor: Arc::new(actor(&["sudo apt upgrade", "-bash"])),
            start: at("14:02"),
            end: Some(at("14:05")),
            exit_code: Some(0),
            signal: None,
            running: false,
            parent: None,
            more: 0,
            changes: 652,
        }
    }

    fn body(run: Run) -> RunBody {
        let count = |kind, op, count| Count { kind, op, count };
        RunBody {
            run,
            within: vec![813],
            summary: vec![
                count(Kind::Package, Op::Upgrade, 40),
                count(Kind::File, Op::Modify, 611),
                count(Kind::File, Op::Create, 1),
            ],
        }
    }

    #[test]
    fn a_line_tells_who_ran_what_and_how_it_ended() {
        insta::assert_snapshot!(run_line(&apt(), &view()), @"   812  2026-11-21 14:02:00  alice         ok         652 changes   sudo apt upgrade");
        let outcomes = |exit_code, signal, running| {
            outcome(&Run {
                exit_code,
                signal,
                running,
                ..apt()
            })
        };
        assert_eq!(outcomes(Some(100), None, false), "exit 100");
        assert_eq!(outcomes(None, Some(9), false), "signal 9");
        assert_eq!(outcomes(None, None, true), "running");
        assert_eq!(outcomes(None, None, false), "unseen");
    }

    #[test]
    fn in_full_it_tells_where_and_what_it_did() {
        insta::assert_snapshot!(run_in_full(&body(apt()), &view()), @"
        alice ran sudo apt upgrade
          package manager: apt; 14:02–14:05, ok
          over ssh from 10.1.2.3 (session 41, pts/0)
          within it: 813
          40 packages upgraded, 611 files modified, 1 file created
        ");
        let lost = Run {
            end: None,
            exit_code: None,
            more: 3,
            ..apt()
        };
        let lost = RunBody {
            summary: Vec::new(),
            within: Vec::new(),
            ..body(lost)
        };
        insta::assert_snapshot!(run_in_full(&lost, &view()), @"
        alice ran sudo apt upgrade
          package manager: apt; since 14:02, its end was not seen
          over ssh from 10.1.2.3 (session 41, pts/0)
          3 more commands of the same shell followed too quickly to be kept one by one
          nothing was changed
        ");
    }

    #[test]
    fn in_a_log_it_stands_for_its_changes() {
        insta::assert_snapshot!(folded(&body(apt()), &edit(), &view()), @"  1234  2026-11-21 14:18:00  alice         run      812 (40 packages upgraded, 611 files modified, 1 file created)  sudo apt upgrade");
    }
}
