//! What differs between two moments of a host, a line each.

use change::wire::DifferenceBody;
use change::{FactValue, Kind};

use super::View;
use super::amount::counted;
use super::fact::value;
use super::sentence::sentence;

/// `+`, `-` or `~`, what differs, from what to what, and who changed it last.
pub fn difference(body: &DifferenceBody, view: &View) -> String {
    let DifferenceBody {
        subject,
        before,
        after,
        changes,
        last,
    } = body;
    let name = super::argument(&match subject.kind {
        Kind::File => subject.key.to_string(),
        _ => subject.to_string(),
    });
    let head = match (before, after) {
        (None, _) => view.green(&format!("+ {name}")),
        (_, None) => view.red(&format!("- {name}")),
        _ => view.bold(&format!("~ {name}")),
    };
    // What is different in a file is what `tracer diff FILE` shows.
    let is_shown = |value: &&FactValue| value.as_file().is_none();
    let [before, after] = [before, after].map(|value| value.as_ref().filter(is_shown));
    let values = match (before, after) {
        (Some(before), Some(after)) => {
            format!("  {} → {}", value(before, view), value(after, view))
        }
        (Some(only), None) | (None, Some(only)) => format!("  {}", value(only, view)),
        (None, None) => String::new(),
    };
    let last = sentence(last, "it", &[], view);
    let who = match changes {
        1 => last,
        changes => format!("{}, the last: {last}", counted(*changes, "change")),
    };
    format!("{head}{values}\n    {who}")
}

#[cfg(test)]
mod tests {
    use change::{Change, Op, Subject};

    use super::super::fixture::{edit, late, view};
    use super::*;

    #[test]
    fn each_difference_says_what_and_who() {
        let setting = |value: &str| {
            Some(FactValue::Setting {
                value: value.to_owned(),
            })
        };
        let subject = Subject::parse(b"sysctl:vm.swappiness").unwrap();
        let set = Change {
            subject: subject.clone(),
            op: Op::Set,
            before: setting("30"),
            after: setting("10"),
            ..edit()
        };
        let several = DifferenceBody {
            subject,
            before: setting("60"),
            after: setting("10"),
            changes: 1200,
            last: set,
        };
        insta::assert_snapshot!(difference(&several, &view()), @r"
        ~ sysctl:vm.swappiness  60 → 10
            1,200 changes, the last: alice set it 30 → 10, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
        ");
        let of = |last: Change| DifferenceBody {
            subject: last.subject.clone(),
            before: last.before.clone(),
            after: last.after.clone(),
            changes: 1,
            last,
        };
        insta::assert_snapshot!(difference(&of(edit()), &view()), @r"
        ~ /etc/nginx/nginx.conf
            alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
        ");
        let gone = Change {
            op: Op::Delete,
            after: None,
            ..late()
        };
        insta::assert_snapshot!(difference(&of(gone), &view()), @r"
        - /etc/nginx/nginx.conf
            something deleted it between 14:02 and 14:07; who did it is not known
        ");
        let new = Change {
            op: Op::Create,
            before: None,
            ..edit()
        };
        insta::assert_snapshot!(difference(&of(new), &view()), @r"
        + /etc/nginx/nginx.conf
            alice created it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
        ");
    }
}
