//! Gaps in words.

use change::{Gap, GapReason};

use super::View;
use super::escape::escape_text;

/// A gap for a listing.
pub fn gap_line(gap: &Gap, view: &View) -> String {
    let from = when::local(gap.from, &view.now);
    let to = gap.to.map_or_else(
        || "still open         ".to_owned(),
        |to| when::local(to, &view.now),
    );
    let reason = view.yellow(&format!("{:<9}", gap.reason.as_str()));
    format!(
        "{:>4}  {from} – {to}  {reason}  {}",
        gap.id,
        escape_text(&gap.detail)
    )
    .trim_end()
    .to_owned()
}

/// A gap as a warning within an answer.
pub(super) fn warning(gap: &Gap, view: &View) -> String {
    view.yellow(&gap_warning(gap, view))
}

/// A gap as a warning beside an answer. What this kernel hides always is no news: where to read of
/// it is enough.
pub fn gap_warning(gap: &Gap, view: &View) -> String {
    if gap.reason == GapReason::Unseen && gap.to.is_none() {
        return "tracer cannot see everything here: `tracer doctor` says what, and why".to_owned();
    }
    let detail = if gap.detail.is_empty() {
        reason(gap.reason).to_owned()
    } else {
        escape_text(&gap.detail)
    };
    match gap.to {
        Some(to) => {
            format!(
                "there was a gap {}: {detail}",
                when::interval([gap.from, to], "–", &view.now)
            )
        }
        None => format!(
            "there is a gap since {}: {detail}",
            when::moment(gap.from, &view.now)
        ),
    }
}

fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Stopped => "tracer was stopped",
        GapReason::Lost => "records were lost",
        GapReason::Suspended => "the host slept",
        GapReason::Unseen => "tracer cannot see everything here",
    }
}
