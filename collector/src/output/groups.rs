//! The comparison of groups in words.

use change::Timestamp;

use super::View;
use super::answers::{aside, by_kind, held};
use super::words::{counted, opening, safe};
use crate::questions::{GroupComparison, GroupDifference, SideBody};

/// What most hosts of one side have otherwise than most of the other.
pub fn group_comparison(answer: &GroupComparison, set_aside: usize, view: &View) -> String {
    let GroupComparison {
        sides,
        shared,
        same,
        mixed,
        differences,
    } = answer;
    let [one, other] = sides.each_ref().map(|side| side_in_words(side, view));
    let different = differences.iter().filter(|one| one.noise.is_none()).count();
    let noise = if set_aside == 0 {
        String::new()
    } else {
        format!(", {set_aside} set aside as noise (`--all` shows them)")
    };
    let mut lines = vec![
        format!("{one} and {other}"),
        format!(
            "  {same} facts are the same, {different} differ, in {mixed} a side does not agree with itself{noise}"
        ),
    ];
    if *shared > 0 && sides[0].at == sides[1].at {
        lines.push(format!(
            "! {} on both sides",
            counted((*shared).into(), "host")
        ));
    }
    let kinds: Vec<_> = differences.iter().map(kind_of).collect();
    lines.extend(by_kind(&kinds));
    for difference in differences {
        lines.push(String::new());
        lines.push(difference_in_words(difference, sides, view));
    }
    lines.join("\n")
}

fn kind_of(difference: &GroupDifference) -> Option<(change::Kind, bool)> {
    let GroupDifference {
        subject,
        values,
        noise,
        ..
    } = difference;
    let is_missing = |side: &Vec<_>| {
        matches!(
            side.first(),
            Some(crate::questions::Held { value: None, .. })
        )
    };
    noise
        .is_none()
        .then(|| (subject.kind, values.iter().any(is_missing)))
}

fn side_in_words(side: &SideBody, view: &View) -> String {
    let SideBody {
        name,
        hosts,
        set_aside,
        at,
    } = side;
    let hosts = counted(*hosts as u64, "host");
    let moment = at.map_or_else(String::new, |at: Timestamp| {
        format!(" {}", when::at(at, &view.now))
    });
    let aside = match at {
        // They were not known yet.
        Some(_) if !set_aside.is_empty() => format!("; {} not known then", set_aside.len()),
        _ => aside(set_aside),
    };
    format!("{} ({hosts}{aside}){moment}", safe(name))
}

fn difference_in_words(difference: &GroupDifference, sides: &[SideBody; 2], view: &View) -> String {
    let GroupDifference {
        subject,
        values,
        openings,
        noise,
    } = difference;
    let noise = noise.as_ref();
    let noise = noise.map_or_else(String::new, |why| format!("  (noise: {})", safe(why)));
    let mut lines = vec![format!("{subject}{noise}")];
    for side in [0, 1] {
        let by = openings[side].as_ref();
        let by = by.map_or_else(String::new, |by| format!("  {}", opening(by, view)));
        let name = safe(&sides[side].name);
        lines.push(format!("  {name:<16}  {}{by}", held(&values[side])));
    }
    lines.join("\n")
}
