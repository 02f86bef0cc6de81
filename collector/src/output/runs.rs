//! Runs and sessions of hosts in words.

use change::wire::{RecapBody, RecapCommand, RunBody, SessionBody};
use change::{Run, RunKind, Session, User};

use super::View;
use super::words::{counted, person, safe, summary, words_of};
use crate::questions::OnHost;

/// How far commands are indented at most that were typed in shells within shells.
const MOST_INDENT: usize = 8;

/// A run on one line: `start  host  number  who  how it ended  how much it changed  command`.
pub fn run_line(line: &OnHost<Run>, view: &View) -> String {
    let OnHost {
        host: _,
        hostname,
        what: run,
    } = line;
    let start = when::local(run.start, &view.now);
    let changes = match run.changes {
        0 => String::new(),
        changes => counted(changes, "change"),
    };
    format!(
        "{start}  {host:<16}  {id:>6}  {who:<12}  {ended:<9}  {changes:<12}  {command}",
        host = safe(hostname),
        id = run.id,
        who = person(run.actor.person()),
        ended = outcome(run),
        command = words_of(&run.actor.process.argv),
    )
}

/// The run in a sentence, where it ran, and what it did.
pub fn run_in_full(body: &OnHost<RunBody>, view: &View) -> String {
    let OnHost {
        host: _,
        hostname,
        what: RunBody {
            run,
            within,
            summary: counts,
        },
    } = body;
    let sort = match run.kind {
        RunKind::PackageManager => "package manager",
        RunKind::ConfigManagement => "configuration management",
        RunKind::Command => "typed",
    };
    let span = match run.end {
        Some(end) => when::interval([run.start, end], "–", &view.now),
        None => format!("since {}", when::moment(run.start, &view.now)),
    };
    let mut lines = vec![
        format!(
            "{} ran `{}` on {}",
            person(run.actor.person()),
            words_of(&run.actor.process.argv),
            safe(hostname)
        ),
        format!("  {sort}: {}; {span}, {}", safe(&run.tool), outcome(run)),
    ];
    lines.extend(
        run.actor
            .session
            .as_ref()
            .map(|session| format!("  {}", way(session))),
    );
    lines.extend(
        run.actor
            .process
            .cwd
            .as_ref()
            .map(|cwd| format!("  in {}", safe(cwd))),
    );
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
    lines.push(format!("  {}", summary(counts)));
    lines.join("\n")
}

fn outcome(run: &Run) -> String {
    match (run.exit_code, run.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(0), None) => "ok".to_owned(),
        (Some(code), None) => format!("exit {code}"),
        (None, None) if run.running => "running".to_owned(),
        (None, None) => "unseen".to_owned(),
    }
}

/// A session on one line: `start  host  number  kind  who  end  how much it changed  from where`.
pub fn session_line(line: &OnHost<SessionBody>, view: &View) -> String {
    let OnHost {
        host: _,
        hostname,
        what,
    } = line;
    let SessionBody {
        session,
        user,
        start,
        end,
        changes,
    } = what;
    let from = session.remote.as_deref().or(session.tty.as_deref());
    let end = end.map_or_else(|| "-".to_owned(), |end| when::local(end, &view.now));
    let line = format!(
        "{start}  {host:<16}  {id:>6}  {kind:<9}  {user:<12}  {end:<19}  {changes:<12}  {from}",
        start = when::local(*start, &view.now),
        host = safe(hostname),
        id = session.id,
        kind = session.kind.as_str(),
        user = name(user.as_ref()),
        changes = counted(*changes, "change"),
        from = from.map_or_else(String::new, safe),
    );
    line.trim_end().to_owned()
}

/// The session in a sentence, then each command with what it changed.
pub fn recap(body: &OnHost<RecapBody>, view: &View) -> String {
    let OnHost {
        host: _,
        hostname,
        what: RecapBody { session, commands },
    } = body;
    let SessionBody {
        session,
        user,
        start,
        end,
        changes,
    } = session;
    let span = match end {
        Some(end) => when::interval([*start, *end], "–", &view.now),
        None => format!("since {}", when::moment(*start, &view.now)),
    };
    let head = format!(
        "{} on {}, {}, {span}: {}",
        name(user.as_ref()),
        safe(hostname),
        way(session),
        counted(*changes, "change")
    );
    let commands = commands
        .iter()
        .map(|command| command_in_words(command, view));
    std::iter::once(head)
        .chain(commands)
        .collect::<Vec<_>>()
        .join("\n")
}

fn command_in_words(command: &RecapCommand, view: &View) -> String {
    let RecapCommand {
        time,
        run,
        end: _,
        exit_code,
        signal,
        more,
        cwd: _,
        depth,
        argv,
        changes,
        subjects,
    } = command;
    let indent = "  ".repeat(usize::try_from(*depth).unwrap_or(0).min(MOST_INDENT));
    let ended = match (exit_code, signal) {
        (_, Some(signal)) => format!("  signal {signal}"),
        (Some(code @ 1..), None) => format!("  exit {code}"),
        (Some(0) | None, None) => String::new(),
    };
    let run = run.map_or_else(String::new, |run| format!("  run {run}"));
    let time = when::local(*time, &view.now);
    let mut lines = vec![format!("  {time}  {indent}{}{ended}{run}", words_of(argv))];
    if *more > 0 {
        let more = counted(*more, "more command");
        lines.push(format!(
            "  {indent}{more} followed too quickly to be kept one by one"
        ));
    }
    let changed = changes.iter().zip(subjects);
    lines.extend(changed.map(|(seq, subject)| format!("      {indent}{seq}  {subject}")));
    lines.join("\n")
}

fn name(user: Option<&User>) -> String {
    user.map_or_else(|| "?".to_owned(), person)
}

fn way(session: &Session) -> String {
    let Session {
        id,
        kind,
        tty,
        remote,
    } = session;
    let kind = kind.as_str();
    let from = remote
        .as_deref()
        .map_or_else(String::new, |from| format!(" from {}", safe(from)));
    let tty = tty
        .as_deref()
        .map_or_else(String::new, |tty| format!(", {}", safe(tty)));
    format!("{kind}{from} (session {id}{tty})")
}
