//! What was removed, or would be.

use super::View;
use super::words::counted;
use crate::store::Tidied;

/// What went, sort by sort.
pub fn tidied(tidied: &Tidied, is_plan: bool, view: &View) -> String {
    let Tidied {
        horizon,
        changes,
        kept,
        past_facts,
        runs,
        sessions,
        gaps,
        heads,
        drift,
        values,
        actors,
        subjects,
        contents,
        content_bytes,
        freed_bytes,
        free_bytes,
        is_cut_short,
    } = tidied;
    let horizon = when::local(*horizon, &view.now);
    let (title, would) = if is_plan {
        (
            format!("would keep each moment since {horizon}"),
            "would be ",
        )
    } else {
        (format!("kept: each moment since {horizon}"), "")
    };
    let mut lines = vec![title];
    let counts = [
        (changes, "change"),
        (past_facts, "past fact"),
        (runs, "run"),
        (sessions, "session"),
        (gaps, "gap"),
        (heads, "head"),
        (drift, "drift record"),
        (values, "value"),
        (actors, "actor"),
        (subjects, "subject"),
    ];
    let removed = counts.into_iter().filter(|(count, _)| **count > 0);
    lines.extend(
        removed.map(|(count, what)| format!("  {would}removed: {}", counted(*count, what))),
    );
    if *contents > 0 {
        let (contents, size) = (counted(*contents, "content"), size(*content_bytes));
        lines.push(format!("  {would}removed: {contents}, {size}"));
    }
    if lines.len() == 1 {
        lines.push("  nothing is older".to_owned());
    }
    if *kept > 0 {
        let kept = counted(*kept, "older change");
        lines.push(format!("  {kept} stay, as they brought what holds since"));
    }
    if !is_plan {
        let (freed, free) = (size(*freed_bytes), size(*free_bytes));
        lines.push(format!(
            "  the file is smaller by {freed}; {free} in it are free to be used again"
        ));
    }
    if *is_cut_short {
        lines.push("  ended before it was done".to_owned());
    }
    lines.join("\n")
}

/// A size in the largest unit that leaves a whole part.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let (mut size, mut unit) = (bytes, 0);
    while size >= 10_240 && unit + 1 < UNITS.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS[unit])
}
