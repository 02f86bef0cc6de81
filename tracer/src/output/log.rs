//! A change in one line of a log.

use change::{Certainty, Change};

use super::{View, account, actor, chain, job};

/// `seq  time  who  op  subject  how`.
pub fn log_line(change: &Change, view: &View) -> String {
    let (who, how) = match &change.actor {
        Some(by) if change.certainty == Certainty::Exact => {
            (actor::short(by), chain::innermost(by, 60))
        }
        _ => ("?".to_owned(), late(change, view)),
    };
    let subject = match &change.from {
        Some(from) => format!("{} → {}", from.0, change.subject),
        None => change.subject.to_string(),
    };
    // What a file or a setting is changed to says little on one line; what of an account or job is the news.
    let subject = match account::deed(change).or_else(|| job::deed(change)) {
        Some(deed) => format!("{subject}: {deed}"),
        None => subject,
    };
    let seq = view.yellow(&format!("{:>6}", change.seq));
    let who = view.bold(&format!("{who:<12}"));
    let op = format!("{:<7}", change.op.as_str());
    let how = view.dim(&how);
    format!(
        "{seq}  {}  {who}  {op}  {subject}  {how}",
        when::local(change.time, &view.now)
    )
    .trim_end()
    .to_owned()
}

fn late(change: &Change, view: &View) -> String {
    if change.certainty == Certainty::Exact {
        return String::new();
    }
    change.between.map_or_else(
        || "seen late".to_owned(),
        |between| format!("between {}", when::interval(between, " and ", &view.now)),
    )
}

#[cfg(test)]
mod tests {
    use change::{Op, RenamedFrom};

    use super::super::fixture::{actor, edit, late, view};
    use super::*;

    #[test]
    fn a_line_has_time_who_op_subject_and_how() {
        insta::assert_snapshot!(log_line(&edit(), &view()), @"  1234  2026-11-21 14:18:00  alice         modify   /etc/nginx/nginx.conf  sudo vim /etc/nginx/nginx.conf");
        insta::assert_snapshot!(log_line(&late(), &view()), @"  1234  2026-11-21 14:18:00  ?             modify   /etc/nginx/nginx.conf  between 14:02 and 14:07");
        let apt = actor(&["dpkg --unpack x", "apt install x", "-bash"]);
        let renamed = Change {
            op: Op::Rename,
            from: Some(RenamedFrom("/etc/a\nb".into())),
            actor: Some(apt.into()),
            ..edit()
        };
        insta::assert_snapshot!(log_line(&renamed, &view()), @r"  1234  2026-11-21 14:18:00  apt (alice)   rename   /etc/a\nb → /etc/nginx/nginx.conf  dpkg --unpack x");
    }
}
