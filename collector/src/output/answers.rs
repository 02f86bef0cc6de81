//! The answers to the fleet's questions in words.

use change::{FactValue, Kind, Timestamp};

use super::View;
use super::words::{opening, safe, value};
use crate::questions::{
    Comparison, Difference, Explanation, Held, HostBody, Opening, Outlier, Outliers, Split,
    Standing, Suspect,
};

/// What is different between two sides.
pub fn comparison(comparison: &Comparison, set_aside: usize, view: &View) -> String {
    let Comparison {
        hosts,
        at,
        same,
        differences,
    } = comparison;
    let [one, other] = [0, 1].map(|side| side_name(&hosts[side], at[side], view));
    let different = differences.iter().filter(|one| one.noise.is_none()).count();
    let noise = if set_aside == 0 {
        String::new()
    } else {
        format!(", {set_aside} set aside as noise (`--all` shows them)")
    };
    let mut lines = vec![format!(
        "{one} and {other}: {same} facts are the same, {different} differ{noise}"
    )];
    lines.extend(by_kind(
        &differences.iter().map(kind_of).collect::<Vec<_>>(),
    ));
    lines.extend(
        hosts
            .iter()
            .zip(at)
            .filter_map(|(host, at)| warning(host, *at, view)),
    );
    for difference in differences {
        lines.push(String::new());
        lines.push(difference_in_words(difference, hosts, view));
    }
    lines.join("\n")
}

fn side_name(host: &HostBody, at: Option<Timestamp>, view: &View) -> String {
    let name = safe(&host.hostname);
    match at {
        Some(at) => format!("{name} {}", when::at(at, &view.now)),
        None => name,
    }
}

/// Of which kind a difference is and whether a side has nothing, where it is no noise.
fn kind_of(difference: &Difference) -> Option<(Kind, bool)> {
    let Difference {
        subject,
        values,
        noise,
        ..
    } = difference;
    let is_missing = values.iter().any(Option::is_none);
    noise.is_none().then_some((subject.kind, is_missing))
}

/// How many differ of each kind, and how many of those one side has not at all: `package 3 (1 missing), file 12`.
/// None where there are none.
pub(super) fn by_kind(differences: &[Option<(Kind, bool)>]) -> Option<String> {
    let mut kinds: Vec<(Kind, usize, usize)> = Vec::new();
    for &(kind, is_missing) in differences.iter().flatten() {
        let missing = usize::from(is_missing);
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, all, gone)) => (*all, *gone) = (*all + 1, *gone + missing),
            None => kinds.push((kind, 1, missing)),
        }
    }
    let part = |(kind, all, missing): &(Kind, usize, usize)| match missing {
        0 => format!("{kind} {all}"),
        missing => format!("{kind} {all} ({missing} missing on one side)"),
    };
    let parts: Vec<_> = kinds.iter().map(part).collect();
    (!parts.is_empty()).then(|| format!("  {}", parts.join(", ")))
}

/// What a reader must know of a host whose facts may not be those of now.
fn warning(host: &HostBody, at: Option<Timestamp>, view: &View) -> Option<String> {
    let name = safe(&host.hostname);
    let said = match host.standing {
        Standing::Behind if at.is_none() => "has changes that are still under way".to_owned(),
        Standing::Stale if at.is_none_or(|at| at > host.reported) => {
            let ago = when::ago(host.reported, &view.now);
            format!("is stale: it reported last {ago}, and its facts are those of then")
        }
        Standing::Replaced => "was replaced by a later installation: its facts are past".to_owned(),
        Standing::Cloned => "shares its machine id with another machine".to_owned(),
        Standing::Fresh | Standing::Behind | Standing::Stale => return None,
    };
    Some(format!("! {name} {said}"))
}

fn difference_in_words(difference: &Difference, hosts: &[HostBody; 2], view: &View) -> String {
    let Difference {
        subject,
        values,
        openings,
        diff,
        noise,
    } = difference;
    let noise = noise.as_ref();
    let noise = noise.map_or_else(String::new, |why| format!("  (noise: {})", safe(why)));
    let mut lines = vec![format!("{subject}{noise}")];
    for side in [0, 1] {
        let name = safe(&hosts[side].hostname);
        let held = value(values[side].as_ref());
        let by = openings[side].as_ref();
        let by = by.map_or_else(String::new, |by| format!("  {}", opening(by, view)));
        lines.push(format!("  {name:<16}  {held}{by}"));
    }
    if let Some(diff) = diff {
        let shown = diff
            .trim_end()
            .lines()
            .map(|line| format!("    {}", safe(line)));
        lines.extend(shown);
    }
    lines.join("\n")
}

/// What deviates within a group.
pub fn outliers(answer: &Outliers, view: &View) -> String {
    let Outliers {
        hosts,
        set_aside,
        outliers,
    } = answer;
    let mut lines = vec![format!("{hosts} hosts compared{}", aside(set_aside))];
    for (number, outlier) in (1..).zip(outliers) {
        lines.push(String::new());
        lines.push(outlier_in_words(number, outlier, view));
    }
    lines.join("\n")
}

pub(super) fn aside(hosts: &[HostBody]) -> String {
    if hosts.is_empty() {
        return String::new();
    }
    let standing = |host: &HostBody| match host.standing {
        Standing::Cloned => "cloned",
        _ => "stale",
    };
    let named = hosts.iter().take(5);
    let named = named.map(|host| format!("{} ({})", safe(&host.hostname), standing(host)));
    let more = hosts.len().saturating_sub(5);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let named = named.collect::<Vec<_>>().join(", ");
    format!("; set aside, as their facts are not those of now: {named}{more}")
}

fn outlier_in_words(number: usize, outlier: &Outlier, view: &View) -> String {
    let Outlier {
        subject,
        usual,
        usual_hosts,
        deviations,
        score: _,
        also,
    } = outlier;
    let mut lines = vec![
        format!("{number}. {subject}"),
        format!("  usual on {usual_hosts}: {}", value(usual.as_ref())),
    ];
    for deviation in deviations {
        let named = deviation.hosts.iter().map(|host| safe(&host.hostname));
        let named = named.collect::<Vec<_>>().join(", ");
        let dots = if deviation.count as usize > deviation.hosts.len() {
            ", …"
        } else {
            ""
        };
        let held = value(deviation.value.as_ref());
        let by = deviation.opening.as_ref();
        let by = by.map_or_else(String::new, |by| format!("  {}", opening(by, view)));
        lines.push(format!(
            "  on {} ({named}{dots}): {held}{by}",
            deviation.count
        ));
    }
    if !also.is_empty() {
        lines.push(format!(
            "  the same hosts deviate in {} more facts",
            also.len()
        ));
    }
    lines.join("\n")
}

/// What splits two sides.
pub fn explanation(answer: &Explanation, view: &View) -> String {
    let Explanation {
        bad,
        good,
        set_aside,
        splits,
    } = answer;
    let mut lines = vec![format!(
        "{} bad against {} good hosts{}",
        bad.len(),
        good.len(),
        aside(set_aside)
    )];
    let hosts = bad.iter().chain(good);
    lines.extend(hosts.filter_map(|host| warning(host, None, view)));
    for (number, split) in (1..).zip(splits) {
        lines.push(String::new());
        lines.push(split_in_words(number, split, view));
    }
    lines.join("\n")
}

fn split_in_words(number: usize, split: &Split, view: &View) -> String {
    let Split {
        subject,
        score,
        bad,
        good,
        parted: _,
        on,
        opening: parting,
        files,
    } = split;
    let mut lines = vec![
        format!("{number}. {subject}  ({score:.2})"),
        format!("  bad:  {}", held(bad)),
        format!("  good: {}", held(good)),
    ];
    if let (Some(on), Some(parting)) = (on, parting) {
        let (host, how) = (safe(&on.hostname), opening(parting, view));
        lines.push(format!("  parted on {host} by {how}"));
    }
    if !files.is_empty() {
        lines.push(format!("  with {} of its files", files.len()));
    }
    lines.join("\n")
}

pub(super) fn held(side: &[Held]) -> String {
    let part = |held: &Held| format!("{} on {}", value(held.value.as_ref()), held.count);
    side.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// A change that may have broken something.
pub fn suspect(suspect: &Suspect, view: &View) -> String {
    let Suspect {
        subject,
        score,
        closeness: _,
        rarity: _,
        blast: _,
        count,
        hosts,
        change,
        run,
    } = suspect;
    let named = hosts.iter().map(|host| safe(&host.hostname));
    let named = named.collect::<Vec<_>>().join(", ");
    let dots = if *count as usize > hosts.len() {
        ", …"
    } else {
        ""
    };
    let made: [Option<&FactValue>; 2] = [change.before.as_ref(), change.after.as_ref()];
    let [before, after] = made.map(value);
    let by = Opening {
        since: Some(change.time),
        change: Some(change.clone()),
        run: run.clone(),
    };
    let (op, by) = (change.op.as_str(), opening(&by, view));
    format!(
        "{score:.2}  {op} {subject}  {before} → {after}\n      on {count} ({named}{dots}), {by}"
    )
}
