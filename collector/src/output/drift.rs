//! Drift in words: what is not as it should be now, and what happened.

use change::Change;

use super::View;
use super::words::{opening, safe, value, who};
use crate::fleet::{Cause, Way};
use crate::questions::{
    Drift, DriftBody, Drifted, ExceptionBody, Happened, HostBody, Opening, ReversalBody, Status,
    UnknownBody,
};

/// What is not as the rules want it.
pub fn drift(answer: &Drift, view: &View) -> String {
    let Drift {
        rules,
        hosts,
        drifting,
        excepted,
        pending,
        noise,
        drifts,
        left_out,
        idle,
        unknown,
    } = answer;
    let not_told = if drifts.iter().any(|one| one.status != Status::Drifting) {
        ""
    } else {
        " (`--all` shows them)"
    };
    let aside = [
        (excepted, "excepted", not_told),
        (pending, "pending", not_told),
    ];
    let aside = aside.into_iter().filter(|(count, ..)| **count > 0);
    let mut aside: Vec<_> = aside
        .map(|(count, how, hint)| format!(", {count} {how}{hint}"))
        .collect();
    if *noise > 0 {
        aside.push(format!(", {noise} set aside as noise"));
    }
    let mut lines = vec![format!(
        "{} held against {}: {} drift{}",
        counted(*hosts as usize, "host"),
        counted(*rules, "rule"),
        counted(*drifting, "fact"),
        aside.concat()
    )];
    lines.extend(
        idle.iter()
            .map(|rule| format!("! rule `{}` is for no host", safe(rule))),
    );
    for (number, drifted) in (1..).zip(drifts) {
        lines.push(String::new());
        lines.push(drifted_in_words(number, drifted, view));
    }
    if *left_out > 0 {
        lines.push(format!("\n{left_out} more; `-n` tells of more"));
    }
    if !unknown.is_empty() {
        lines.push("\nNot known:".to_owned());
        lines.extend(unknown.iter().map(unknown_in_words));
    }
    lines.join("\n")
}

fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn drifted_in_words(number: usize, drifted: &Drifted, view: &View) -> String {
    let Drifted {
        rule,
        owner,
        why,
        status,
        subject,
        wanted,
        expected,
        value: held,
        count,
        hosts,
        began,
        opening: by,
        exception,
        also,
    } = drifted;
    let status = match status {
        Status::Drifting => "",
        Status::Pending => "  (pending)",
        Status::Excepted => "  (excepted)",
    };
    let wanted = match wanted {
        Some(wanted) => safe(wanted),
        None => value(expected.as_ref()),
    };
    let mut lines = vec![
        format!("{number}. {subject}{status}"),
        format!("  wanted: {wanted}"),
        format!("  on {}: {}", named(*count, hosts), value(held.as_ref())),
    ];
    let began = began.map(|began| format!("drifts since {}", when::moment(began, &view.now)));
    let by = by.as_ref().map(|by| opening(by, view));
    let since: Vec<_> = began.into_iter().chain(by).collect();
    if !since.is_empty() {
        lines.push(format!("  {}", since.join("; ")));
    }
    let owner = owner
        .as_ref()
        .map_or_else(String::new, |owner| format!(", ask {}", safe(owner)));
    let why = why
        .as_ref()
        .map_or_else(String::new, |why| format!(": {}", safe(why)));
    lines.push(format!("  rule `{}`{owner}{why}", safe(rule)));
    lines.extend(
        exception
            .as_ref()
            .map(|exception| exception_in_words(exception, view)),
    );
    if !also.is_empty() {
        let more = counted(also.len(), "more fact");
        lines.push(format!(
            "  and {more} on the same hosts, as {}",
            first_of(also)
        ));
    }
    lines.join("\n")
}

fn first_of(subjects: &[change::Subject]) -> String {
    let first = subjects.iter().take(3).map(ToString::to_string);
    let dots = if subjects.len() > 3 { ", …" } else { "" };
    format!("{}{dots}", first.collect::<Vec<_>>().join(", "))
}

fn exception_in_words(exception: &ExceptionBody, view: &View) -> String {
    let ExceptionBody {
        reason,
        owner,
        until,
        expired,
    } = exception;
    let (reason, owner, until) = (safe(reason), safe(owner), when::local(*until, &view.now));
    if *expired {
        format!("  ! the exception of {owner} ended {until}: {reason}")
    } else {
        format!("  excepted by {owner} until {until}: {reason}")
    }
}

fn unknown_in_words(unknown: &UnknownBody) -> String {
    let UnknownBody {
        rule,
        reason,
        count,
        hosts,
    } = unknown;
    let on = named(*count as usize, hosts);
    format!("  ? on {on}: {}; rule `{}`", safe(reason), safe(rule))
}

/// How many hosts, and the first of them.
fn named(count: usize, hosts: &[HostBody]) -> String {
    let names = hosts.iter().map(|host| safe(&host.hostname));
    let names = names.collect::<Vec<_>>().join(", ");
    let dots = if count > hosts.len() { ", …" } else { "" };
    format!("{count} ({names}{dots})")
}

/// One thing that happened.
pub fn happened(happened: &Happened, view: &View) -> String {
    match happened {
        Happened::Drift(drift) => drift_in_words(drift, view),
        Happened::Reversal(reversal) => reversal_in_words(reversal, view),
    }
}

fn drift_in_words(drift: &DriftBody, view: &View) -> String {
    let DriftBody {
        rule,
        host,
        subject,
        expected,
        value: held,
        cause,
        began,
        since,
        change,
        run,
        ended,
        ended_by,
        end_change,
        exception,
    } = drift;
    let (time, name) = (when::local(*began, &view.now), safe(&host.hostname));
    let expected = expected
        .as_ref()
        .map(|expected| format!(", wanted {}", value(Some(expected))));
    let held = value(held.as_ref());
    let state = if ended.is_some() { "drifted" } else { "DRIFTS" };
    let mut lines = vec![format!(
        "{time}  {name}  {subject} {state}: {held}{}",
        expected.unwrap_or_default()
    )];
    let by = Opening {
        since: *since,
        change: change.clone(),
        run: run.clone(),
    };
    let cause = match cause {
        Cause::Change => "",
        Cause::Baseline => "what it is held against changed; the value: ",
        Cause::Look | Cause::Rules | Cause::Left => "found by looking through all; the value: ",
    };
    lines.push(format!("  {cause}{}", opening(&by, view)));
    lines.push(format!("  rule `{}`", safe(rule)));
    lines.extend(
        exception
            .as_ref()
            .map(|exception| exception_in_words(exception, view)),
    );
    if let Some(ended) = ended {
        let how = match (ended_by, end_change) {
            (_, Some(change)) => format!("by {}", author(change)),
            (Some(Cause::Baseline), _) => "as what it is held against changed".to_owned(),
            (Some(Cause::Rules), _) => "as the rule is no more".to_owned(),
            (Some(Cause::Left), _) => "as the host left the group or was replaced".to_owned(),
            _ => "found by looking through all".to_owned(),
        };
        lines.push(format!("  ended {}, {how}", when::local(*ended, &view.now)));
    }
    lines.join("\n")
}

fn reversal_in_words(reversal: &ReversalBody, view: &View) -> String {
    let ReversalBody {
        host,
        subject,
        time,
        way,
        undone,
        by,
        run,
    } = reversal;
    let (at, name) = (when::local(*time, &view.now), safe(&host.hostname));
    let way = match way {
        Way::Undone => "UNDID",
        Way::Overwritten => "OVERWROTE",
    };
    let [first, second, third] = [
        undone.before.as_ref(),
        undone.after.as_ref(),
        by.after.as_ref(),
    ]
    .map(value);
    let opening_of = |change: &Change, run: Option<&change::Run>| {
        let by = Opening {
            since: Some(change.time),
            change: Some(change.clone()),
            run: run.cloned(),
        };
        opening(&by, view)
    };
    let (whom, whose) = (author(by), author(undone));
    [
        format!("{at}  {name}  {subject}: {whom} {way} what {whose} had done: {first} → {second} → {third}"),
        format!("  change {}: {}", undone.seq, opening_of(undone, None)),
        format!("  change {}: {}", by.seq, opening_of(by, run.as_ref())),
    ]
    .join("\n")
}

fn author(change: &Change) -> String {
    change
        .actor
        .as_ref()
        .map_or_else(|| "somebody".to_owned(), |actor| who(actor))
}
