//! The words for values, for who did something, and for a change on one line.

use change::wire::Count;
use change::{Actor, Certainty, Change, FactValue, Text, Tool, User};

use super::View;
use crate::questions::Opening;

/// A value of attributes is told in so many letters.
const LONGEST: usize = 100;

/// Escapes what a terminal would obey: names and values are anybody's.
pub(crate) fn safe(text: &str) -> String {
    Text::from(text).to_string()
}

/// A value in few words; `missing` where there is none.
pub(super) fn value(value: Option<&FactValue>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(FactValue::Setting { value }) if value.is_empty() => "empty".to_owned(),
        Some(FactValue::Setting { value }) => cut(&safe(value)),
        Some(FactValue::Attributes(attributes)) => {
            let version = attributes.get("version").filter(|_| attributes.len() <= 2);
            if let Some(version) = version {
                return safe(version);
            }
            let pairs = attributes.iter();
            let pairs = pairs.map(|(name, value)| format!("{}={}", safe(name), safe(value)));
            cut(&pairs.collect::<Vec<_>>().join(" "))
        }
        Some(FactValue::File(state)) => {
            let hash = state.hash.as_deref().unwrap_or("not read");
            let target = state.target.as_deref();
            let content =
                target.map_or_else(|| short_hash(hash), |target| format!("→ {}", safe(target)));
            let (mode, uid, gid) = (safe(&state.mode), state.uid, state.gid);
            format!("{content} {} bytes, {mode} {uid}:{gid}", state.size)
        }
    }
}

/// Enough of a hash to tell it from others.
fn short_hash(hash: &str) -> String {
    safe(&hash.chars().take(11).collect::<String>())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A user by name, or else by number.
pub(super) fn person(user: &User) -> String {
    let number = || format!("user {}", user.uid);
    user.name.as_deref().map_or_else(number, safe)
}

/// A number and what it counts.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A command line in as many letters as fit.
pub(super) fn words_of(argv: &[String]) -> String {
    cut(&safe(&argv.join(" ")))
}

/// How much was done: `40 package upgrade, 612 file modify`.
pub(super) fn summary(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "nothing was changed".to_owned();
    }
    let part = |Count { kind, op, count }: &Count| format!("{count} {kind} {}", op.as_str());
    counts.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Who made a change: the person, and the tool that worked for them.
pub(super) fn who(actor: &Actor) -> String {
    let person = person(actor.person());
    match actor.tool() {
        Some(Tool::PackageManager(tool) | Tool::ConfigManagement(tool)) => {
            format!("{person} with {tool}")
        }
        None => person,
    }
}

/// How a value came to be: since when, by whom, with which run.
pub(super) fn opening(opening: &Opening, view: &View) -> String {
    let Opening { since, change, run } = opening;
    let Some(change) = change else {
        let since = since.map(|since| when::moment(since, &view.now));
        return since.map_or_else(
            || "there before anybody watched".to_owned(),
            |since| format!("first seen {since}"),
        );
    };
    let time = when::moment(change.time, &view.now);
    let Some(actor) = &change.actor else {
        return late(change, view);
    };
    let run = run.as_ref().map(|run| {
        let argv = run.actor.process.argv.join(" ");
        format!(", run {} `{}`", run.id, cut(&safe(&argv)))
    });
    format!("{} at {time}{}", who(actor), run.unwrap_or_default())
}

pub(super) fn late(change: &Change, view: &View) -> String {
    match change.between {
        Some(between) if change.certainty == Certainty::Late => {
            let interval = when::interval(between, " and ", &view.now);
            format!("nobody saw who, between {interval}")
        }
        _ => format!("nobody saw who, {}", when::moment(change.time, &view.now)),
    }
}

/// A change on one line: time, host, who, what and to which value.
pub fn change_line(change: &Change, view: &View) -> String {
    let time = when::local(change.time, &view.now);
    let by = match &change.actor {
        Some(actor) => who(actor),
        None => late(change, view),
    };
    let (host, seq, what) = (safe(&change.hostname), change.seq, transition(change));
    format!("{time}  {host}  {seq}  {by}  {what}")
}

/// What was done to what, and which value it has since.
pub(super) fn transition(change: &Change) -> String {
    let from = change.from.as_ref();
    let from = from.map_or_else(String::new, |from| format!("{} → ", from.0));
    let [before, after] = [change.before.as_ref(), change.after.as_ref()].map(value);
    let (op, subject) = (change.op.as_str(), &change.subject);
    format!("{op} {from}{subject}  {before} → {after}")
}
