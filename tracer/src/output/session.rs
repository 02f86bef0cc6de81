//! Sessions, and the recap of one: what was run in it and what that changed.

use change::wire::{RecapBody, RecapCommand, SessionBody};

use super::amount::counted;
use super::{View, actor, argument};

/// How far commands are indented at most that were typed in shells within shells.
const MOST_INDENT: usize = 8;

/// A session for a listing.
pub fn session_line(body: &SessionBody, view: &View) -> String {
    let SessionBody {
        session,
        user,
        start,
        end,
        changes,
    } = body;
    let user = user.as_ref().map_or_else(|| "?".to_owned(), actor::user);
    let start = when::local(*start, &view.now);
    let end = end.map_or_else(|| "-".to_owned(), |end| when::local(end, &view.now));
    let from = session
        .remote
        .as_deref()
        .or(session.tty.as_deref())
        .map_or_else(String::new, super::escape_text);
    let id = view.yellow(&format!("{:>6}", session.id));
    let kind = session.kind.as_str();
    let user = view.bold(&format!("{user:<12}"));
    let changes = counted(*changes, "change");
    format!("{id}  {kind:<9}  {user}  {start}  {end:<19}  {changes:<12}  {from}")
        .trim_end()
        .to_owned()
}

/// The session in a sentence, then each command with what it changed.
pub fn recap(body: &RecapBody, view: &View) -> String {
    let SessionBody {
        session,
        user,
        start,
        end,
        changes,
    } = &body.session;
    let user = user
        .as_ref()
        .map_or_else(|| "nobody known".to_owned(), actor::user);
    let way = actor::way(session);
    let kind = if way.starts_with('(') || way.is_empty() {
        format!("{} ", session.kind.as_str())
    } else {
        String::new()
    };
    let span = match end {
        Some(end) => when::interval([*start, *end], "–", &view.now),
        None => format!("since {}", when::moment(*start, &view.now)),
    };
    let head = format!(
        "{}, {kind}{way}, {span}: {}",
        view.bold(&user),
        counted(*changes, "change")
    );
    let commands = body.commands.iter().map(|command| one(command, view));
    std::iter::once(head)
        .chain(commands)
        .collect::<Vec<_>>()
        .join("\n")
}

fn one(command: &RecapCommand, view: &View) -> String {
    let RecapCommand {
        time,
        run: _,
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
    let words: Vec<_> = argv.iter().map(|word| argument(word)).collect();
    let time = view.dim(&when::local(*time, &view.now));
    let indent = "  ".repeat(usize::try_from(*depth).unwrap_or(0).min(MOST_INDENT));
    let ended = match (exit_code, signal) {
        (_, Some(signal)) => view.red(&format!("  signal {signal}")),
        (Some(code @ 1..), None) => view.red(&format!("  exit {code}")),
        _ => String::new(),
    };
    let more = match more {
        0 => String::new(),
        more => format!("  and {} at once", counted(*more, "more command")),
    };
    let head = format!("{time}  {indent}{}{ended}{more}", words.join(" "));
    let changed = changes
        .iter()
        .zip(subjects)
        .map(|(seq, subject)| format!("{}  {subject}", view.yellow(&format!("{seq:>19}"))));
    std::iter::once(head)
        .chain(changed)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use change::Subject;

    use super::super::fixture::{actor, at, user, view};
    use super::*;

    #[test]
    fn a_recap_tells_what_was_run_and_what_that_changed() {
        let session = SessionBody {
            session: actor(&["x"]).session.unwrap(),
            user: Some(user(1000, "alice")),
            start: at("13:50"),
            end: Some(at("14:10")),
            changes: 2,
        };
        insta::assert_snapshot!(session_line(&session, &view()), @"    41  ssh        alice         2026-11-21 13:50:00  2026-11-21 14:10:00  2 changes     10.1.2.3");
        let open = SessionBody {
            end: None,
            user: None,
            ..session.clone()
        };
        insta::assert_snapshot!(session_line(&open, &view()), @"    41  ssh        ?             2026-11-21 13:50:00  -                    2 changes     10.1.2.3");
        let looked = RecapCommand {
            time: at("14:01"),
            run: Some(7),
            end: Some(at("14:01")),
            exit_code: Some(2),
            signal: None,
            more: 3,
            cwd: Some("/root".to_owned()),
            depth: 1,
            argv: vec!["ls".to_owned(), "/nowhere".to_owned()],
            changes: Vec::new(),
            subjects: Vec::new(),
        };
        let command = RecapCommand {
            time: at("14:02"),
            exit_code: Some(0),
            more: 0,
            depth: 0,
            argv: ["sudo", "sh", "-c", "echo > x"].map(str::to_owned).to_vec(),
            changes: vec![1234, 1235],
            subjects: vec![
                Subject::file("/etc/a"),
                Subject::parse(b"sysctl:vm.swappiness").unwrap(),
            ],
            ..looked.clone()
        };
        let body = RecapBody {
            session,
            commands: vec![looked, command],
        };
        insta::assert_snapshot!(recap(&body, &view()), @"
        alice, over ssh from 10.1.2.3 (session 41, pts/0), 13:50–14:10: 2 changes
        2026-11-21 14:01:00    ls /nowhere  exit 2  and 3 more commands at once
        2026-11-21 14:02:00  sudo sh -c 'echo > x'
                       1234  /etc/a
                       1235  sysctl:vm.swappiness
        ");
    }
}
