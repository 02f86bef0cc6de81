//! The timeline in words: a line for each thing that happened.

use change::wire::Count;
use change::{Change, Gap, Run};

use super::View;
use super::words::{counted, late, safe, summary, transition, who, words_of};
use crate::fleet::Marker;
use crate::questions::{Item, Number, OnHost, Spread};

/// A line names so many hosts.
const NAMED: usize = 3;

/// One thing that happened: when, who, what, and where.
pub fn timeline_line(item: &Item, view: &View) -> String {
    let time = when::local(item.time(), &view.now);
    let what = match item {
        Item::Change { spread, change } => change_in_words(spread, change, view),
        Item::Run {
            spread,
            run,
            summary,
        } => run_in_words(spread, run, summary, view),
        Item::Marker(marker) => marker_in_words(marker),
        Item::Gap { spread, gap } => gap_in_words(spread, gap, view),
    };
    format!("{time}  {what}")
}

fn change_in_words(spread: &Spread, change: &Change, view: &View) -> String {
    let often = if spread.times > u64::from(spread.count) {
        format!(", {} times", spread.times)
    } else {
        String::new()
    };
    let by = match &change.actor {
        Some(actor) => who(actor),
        None => late(change, view),
    };
    let place = place(spread, |number| format!(" change {number}"), view);
    format!("{by}  {}  {place}{often}", transition(change))
}

fn run_in_words(spread: &Spread, run: &Run, counts: &[Count], view: &View) -> String {
    let by = who(&run.actor);
    let command = words_of(&run.actor.process.argv);
    let place = place(spread, |number| format!(" run {number}"), view);
    format!("{by}  run `{command}` ({})  {place}", summary(counts))
}

fn marker_in_words(marker: &Marker) -> String {
    let about = match (&marker.host, &marker.group) {
        (Some(host), _) => format!("  on {:.12}", safe(host)),
        (None, Some(group)) => format!("  on {}", safe(group)),
        (None, None) => String::new(),
    };
    format!("── {} ──{about}", safe(&marker.name))
}

fn gap_in_words(spread: &Spread, gap: &Gap, view: &View) -> String {
    let place = place(spread, |_| String::new(), view);
    let ends = match gap.to {
        Some(_) => String::new(),
        None => ", not over yet".to_owned(),
    };
    let (reason, detail) = (gap.reason.as_str(), safe(&gap.detail));
    format!("! not complete: {reason}, {detail}  {place}{ends}")
}

/// Where it was, and until when: `on n1 run 7`, or `on 37 hosts (n1 run 7, n2 run 9, n4 run 7, …) until 02:16`.
fn place(spread: &Spread, number: impl Fn(u64) -> String, view: &View) -> String {
    let Spread {
        time,
        until,
        times: _,
        count,
        hosts,
    } = spread;
    let on = |on: &OnHost<Number>| format!("{}{}", safe(&on.hostname), number(on.what.number));
    let named = hosts.iter().take(NAMED).map(on);
    let named = named.collect::<Vec<_>>().join(", ");
    let dots = if *count as usize > NAMED { ", …" } else { "" };
    let place = match count {
        1 => format!("on {named}"),
        count => format!("on {} ({named}{dots})", counted((*count).into(), "host")),
    };
    let [began, ended] = [time, until].map(|time| when::moment(*time, &view.now));
    if began == ended {
        place
    } else {
        format!("{place} until {ended}")
    }
}
