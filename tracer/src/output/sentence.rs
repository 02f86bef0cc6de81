//! A change in one sentence: who did what to it, when, and where they came from.

use std::collections::{BTreeMap, BTreeSet};

use change::{Certainty, Change, FactValue, FileState, Gap, GapReason, Kind, Note, Op};

use super::escape::escape_text;
use super::{View, account, actor, escape, job};

/// The sentence, in which `object` stands for the subject: `it`, or its name.
pub(super) fn sentence(change: &Change, object: &str, gaps: &[Gap], view: &View) -> String {
    let ago = when::ago(change.time, &view.now);
    let Some(actor) = change
        .actor
        .as_ref()
        .filter(|_| change.certainty == Certainty::Exact)
    else {
        return nobody(change, object, gaps, view);
    };
    let way = actor.session.as_ref().map_or_else(String::new, actor::way);
    let way = match way.chars().next() {
        None => way,
        Some('(') => format!(" {way}"),
        Some(_) => format!(", {way}"),
    };
    let who = view.bold(&actor::who(actor));
    // After a value the time would read as a part of it.
    let comma = match change.op {
        Op::Rename | Op::Symlink | Op::Mode | Op::Owner | Op::Xattr | Op::Set => ",",
        _ => "",
    };
    format!("{who} {}{comma} {ago}{way}", deed(change, object, view))
}

/// A change of which nobody knows who did it: because nothing watched, and when it can have been then.
fn nobody(change: &Change, object: &str, gaps: &[Gap], view: &View) -> String {
    let deed = match change.op {
        Op::Modify => format!("changed {object}"),
        _ => deed(change, object, view),
    };
    if change.certainty == Certainty::Exact {
        let ago = when::ago(change.time, &view.now);
        return if has_failed(change) {
            format!("{object} failed {ago}")
        } else {
            format!("something {deed} {ago}; who did it is not known")
        };
    }
    let (when, why) = match change.between {
        Some([from, to]) => {
            let when = format!("between {}", when::interval([from, to], " and ", &view.now));
            let overlapping = gaps
                .iter()
                .find(|gap| gap.from <= to && gap.to.is_none_or(|end| end >= from));
            (when, overlapping.map_or("", |gap| reason(gap.reason)))
        }
        None => (
            format!("before {}", when::moment(change.time, &view.now)),
            "",
        ),
    };
    format!("something {deed} {when}{why}; who did it is not known")
}

fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Stopped => " while tracer was stopped",
        GapReason::Lost => " while records were lost",
        GapReason::Suspended => " while the host slept",
        GapReason::Unseen => " where tracer could not see",
    }
}

/// What was done, in the past tense.
fn deed(change: &Change, object: &str, view: &View) -> String {
    if let Some(deed) = account::deed(change).or_else(|| job::deed(change)) {
        return deed;
    }
    let of_it = if object == "it" {
        String::new()
    } else {
        format!(" of {object}")
    };
    let states = || {
        Some((
            as_file(change.before.as_ref())?,
            as_file(change.after.as_ref())?,
        ))
    };
    match change.op {
        Op::Modify if change.notes.contains(&Note::SameContent) => {
            format!("rewrote {object} with the same content")
        }
        Op::Modify => format!("edited {object}"),
        Op::Rename => match &change.from {
            Some(from) => format!("renamed {object} from {}", from.0),
            None => format!("renamed {object}"),
        },
        Op::Symlink => match as_file(change.after.as_ref()).and_then(|file| file.target.as_deref())
        {
            Some(target) => format!("made {object} a symbolic link to {}", escape_text(target)),
            None => format!("made {object} a symbolic link"),
        },
        Op::Mode => match states() {
            Some((before, after)) => {
                format!("changed the mode{of_it} {} → {}", before.mode, after.mode)
            }
            None => format!("changed the mode{of_it}"),
        },
        Op::Owner => match states() {
            Some((before, after)) => {
                let [before, after] =
                    [before, after].map(|file| view.names.owner(file.uid, file.gid));
                format!("changed the owner{of_it} {before} → {after}")
            }
            None => format!("changed the owner{of_it}"),
        },
        Op::Xattr => match states() {
            Some((before, after)) => format!(
                "changed the attributes{of_it}: {}",
                attributes(before, after)
            ),
            None => format!("changed the attributes{of_it}"),
        },
        Op::Set if change.subject.kind == Kind::Package => match attribute(change, "held") {
            [_, Some(_)] => format!("held {object} back from upgrades"),
            [Some(_), None] => format!("no longer holds {object} back from upgrades"),
            [None, None] => format!("changed {object}"),
        },
        Op::Set => format!("set {object}{}", values(change)),
        Op::Stop if has_failed(change) => format!("stopped {object}, and it failed"),
        Op::Disable | Op::Enable if is_mask(change) => {
            let way = if change.op == Op::Disable {
                "masked"
            } else {
                "unmasked"
            };
            format!("{way} {object}")
        }
        Op::Mount | Op::Unmount if is_swap(change) => {
            let way = if change.op == Op::Mount { "on" } else { "off" };
            format!("turned {way} swap on {object}")
        }
        Op::Fail => format!("tried to load {object}, in vain,"),
        Op::Mount | Op::Unmount => format!("{} {object}{}", past(change.op), mounted(change)),
        op => format!("{} {object}{}", past(op), versions(change)),
    }
}

pub(super) fn past(op: Op) -> &'static str {
    match op {
        Op::Create => "created",
        Op::Delete => "deleted",
        Op::Link => "linked",
        Op::Install => "installed",
        Op::Upgrade => "upgraded",
        Op::Downgrade => "downgraded",
        Op::Remove => "removed",
        Op::Load => "loaded",
        Op::Unload => "unloaded",
        Op::Fail => "tried in vain to load",
        Op::Start => "started",
        Op::Stop => "stopped",
        Op::Restart => "restarted",
        Op::Enable => "enabled",
        Op::Disable => "disabled",
        Op::Mount => "mounted",
        Op::Unmount => "unmounted",
        Op::Forget => "made tracer forget the content of",
        Op::Modify | Op::Rename | Op::Symlink | Op::Mode | Op::Owner | Op::Xattr | Op::Set => {
            "changed"
        }
    }
}

fn as_file(value: Option<&FactValue>) -> Option<&FileState> {
    value.and_then(FactValue::as_file)
}

/// ` 2.36-8 → 2.36-9` of what has a version, as far as they are known.
fn versions(change: &Change) -> String {
    match attribute(change, "version") {
        [Some(before), Some(after)] => {
            format!(" {} → {}", escape_text(before), escape_text(after))
        }
        [None, Some(version)] | [Some(version), None] => format!(" {}", escape_text(version)),
        [None, None] => String::new(),
    }
}

/// Whether a service has ended, and not well.
fn has_failed(change: &Change) -> bool {
    change.op == Op::Stop && attribute(change, "active")[1] == Some("failed")
}

/// Whether a service was hidden from whatever starts it, or is not any more.
fn is_mask(change: &Change) -> bool {
    let is_masked = |word: Option<&str>| word.is_some_and(|word| word.starts_with("masked"));
    let [before, after] = attribute(change, "enabled");
    is_masked(before) != is_masked(after)
}

/// Whether this is about swap space, which is among the mounts.
fn is_swap(change: &Change) -> bool {
    change.subject.key.as_bytes().starts_with(b"swap:")
}

/// ` (xfs on /dev/vdb)` of what was mounted or unmounted.
fn mounted(change: &Change) -> String {
    let side = |name| {
        let [before, after] = attribute(change, name);
        if change.op == Op::Mount {
            after
        } else {
            before
        }
    };
    match (side("type"), side("source")) {
        (Some(fs_type), Some(source)) => {
            format!(" ({} on {})", escape_text(fs_type), escape_text(source))
        }
        _ => String::new(),
    }
}

/// An attribute before and after the change.
pub(super) fn attribute<'c>(change: &'c Change, name: &str) -> [Option<&'c str>; 2] {
    [&change.before, &change.after].map(|value| value.as_ref()?.attribute(name))
}

/// ` 60 → 10`, as far as the values are known; of several, those that are others.
pub(super) fn values(change: &Change) -> String {
    if let (Some(before), Some(after)) = (all(change.before.as_ref()), all(change.after.as_ref())) {
        return differences(before, after);
    }
    let value = |fact: &Option<FactValue>| match fact {
        Some(FactValue::Setting { value }) => Some(escape::argument(value)),
        _ => None,
    };
    match (value(&change.before), value(&change.after)) {
        (Some(before), Some(after)) => format!(" {before} → {after}"),
        (None, Some(after)) => format!(" to {after}"),
        _ => String::new(),
    }
}

/// All attributes of a value, none of no value; nothing of a value that has no attributes.
fn all(value: Option<&FactValue>) -> Option<&BTreeMap<String, String>> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    match value {
        None => Some(&NONE),
        Some(FactValue::Attributes(attributes)) => Some(attributes),
        Some(_) => None,
    }
}

/// `: options rw → ro, root removed`.
fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let words = names.into_iter().filter_map(|name| {
        let value = |all: &BTreeMap<String, String>| all.get(name).map(|v| escape::argument(v));
        let name = escape_text(name);
        match (value(before), value(after)) {
            (before, after) if before == after => None,
            (Some(before), Some(after)) => Some(format!("{name} {before} → {after}")),
            (None, Some(after)) => Some(format!("{name} {after}")),
            (_, None) => Some(format!("{name} removed")),
        }
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    }
}

/// Which extended attributes came, went and changed.
fn attributes(before: &FileState, after: &FileState) -> String {
    let name = |name: &String| escape_text(name);
    let set = after
        .xattrs
        .iter()
        .filter(|(key, value)| before.xattrs.get(*key) != Some(*value));
    let removed = before
        .xattrs
        .keys()
        .filter(|key| !after.xattrs.contains_key(*key));
    let words: Vec<_> = set
        .map(|(key, value)| format!("{} = {}", name(key), escape::argument(value)))
        .chain(removed.map(|key| format!("{} removed", name(key))))
        .collect();
    if words.is_empty() {
        "not known which".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use change::{Actor, Container, RenamedFrom, Session, SessionKind, Subject};

    use super::super::fixture::{actor, at, edit, file, late, view};
    use super::*;

    fn said(change: &Change) -> String {
        sentence(change, "it", &[], &view())
    }

    fn by(actor: Actor) -> String {
        said(&Change {
            actor: Some(actor.into()),
            ..edit()
        })
    }

    fn in_session(kind: SessionKind, commands: &[&str]) -> Actor {
        let session = Session {
            id: 7,
            kind,
            tty: None,
            remote: None,
        };
        Actor {
            session: Some(session),
            login_user: None,
            ..actor(commands)
        }
    }

    #[test]
    fn who_is_a_person_or_what_worked_for_one() {
        insta::assert_snapshot!(said(&edit()), @"alice edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(by(in_session(SessionKind::Console, &["vi"])), @"root edited it 12 minutes ago, on the console (session 7)");
        insta::assert_snapshot!(by(actor(&["dpkg -i x", "apt install x", "sudo apt install x", "-bash"])), @"the package manager (apt, run by alice) edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(by(in_session(SessionKind::Cron, &["cp a b", "sh -c x"])), @"a cron job of root edited it 12 minutes ago (session 7)");
        let unit = Some("nginx.service".to_owned());
        insta::assert_snapshot!(by(Actor { unit, ..in_session(SessionKind::Service, &["nginx"]) }), @"service nginx.service edited it 12 minutes ago (session 7)");
        let container = Container {
            id: "abc123def456789".to_owned(),
            runtime: "docker".to_owned(),
        };
        insta::assert_snapshot!(by(Actor { container: Some(container), ..in_session(SessionKind::Container, &["sh"]) }), @"container docker abc123def456 edited it 12 minutes ago (session 7)");
        insta::assert_snapshot!(by(actor(&["python3 /root/.ansible/tmp/x/AnsiballZ_copy.py", "sh"])), @"configuration management (ansible, run by alice) edited it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(by(Actor { session: None, ..actor(&["vi"]) }), @"alice edited it 12 minutes ago");
    }

    #[test]
    fn of_a_service_it_is_told_what_became_of_it_and_never_somebody_who_is_not_known() {
        let value = |active: &str, enabled: &str| {
            let pairs = [("active", active), ("enabled", enabled)];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some(FactValue::Attributes(pairs.into()))
        };
        let runs = || value("active", "enabled");
        let service = |op, after| Change {
            subject: Subject::parse(b"service:demo").unwrap(),
            op,
            before: runs(),
            after,
            ..edit()
        };
        let failed = || service(Op::Stop, value("failed", "enabled"));
        let masked = || service(Op::Disable, value("active", "masked"));
        insta::assert_snapshot!(said(&service(Op::Restart, runs())), @"alice restarted it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&failed()), @"alice stopped it, and it failed 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&masked()), @"alice masked it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&service(Op::Disable, value("active", "disabled"))), @"alice disabled it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let unknown = |change| {
            said(&Change {
                actor: None,
                ..change
            })
        };
        insta::assert_snapshot!(unknown(failed()), @"it failed 12 minutes ago");
        insta::assert_snapshot!(unknown(service(Op::Restart, runs())), @"something restarted it 12 minutes ago; who did it is not known");
    }

    #[test]
    fn what_was_done_is_a_verb_with_before_and_after() {
        let op = |op| Change { op, ..edit() };
        let states = |op, before, after| Change {
            before: Some(FactValue::File(before)),
            after: Some(FactValue::File(after)),
            ..Change { op, ..edit() }
        };
        insta::assert_snapshot!(said(&op(Op::Create)), @"alice created it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&op(Op::Delete)), @"alice deleted it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&Change { notes: vec![Note::SameContent], ..edit() }), @"alice rewrote it with the same content 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let from = Some(RenamedFrom(b"/etc/nginx/\x1b\xff".as_slice().into()));
        insta::assert_snapshot!(said(&Change { from, ..op(Op::Rename) }), @r"alice renamed it from /etc/nginx/\u{1b}\xff, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let mode = FileState {
            mode: "0600".to_owned(),
            ..file("b3:1")
        };
        insta::assert_snapshot!(said(&states(Op::Mode, file("b3:1"), mode)), @"alice changed the mode 0644 → 0600, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let owner = FileState {
            uid: 7,
            gid: 33,
            ..file("b3:1")
        };
        insta::assert_snapshot!(said(&states(Op::Owner, file("b3:1"), owner)), @"alice changed the owner root:root → 7:www-data, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let target = FileState {
            target: Some("../x".to_owned()),
            ..file("b3:1")
        };
        insta::assert_snapshot!(said(&states(Op::Symlink, file("b3:1"), target)), @"alice made it a symbolic link to ../x, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let xattrs = BTreeMap::from([("user.a".to_owned(), "b c".to_owned())]);
        let attributes = FileState {
            xattrs,
            ..file("b3:1")
        };
        insta::assert_snapshot!(said(&states(Op::Xattr, file("b3:1"), attributes)), @"alice changed the attributes: user.a = 'b c', 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let setting = |value: &str| {
            Some(FactValue::Setting {
                value: value.to_owned(),
            })
        };
        let swappiness = Change {
            subject: Subject::parse(b"sysctl:vm.swappiness").unwrap(),
            before: setting("60"),
            after: setting("10"),
            ..op(Op::Set)
        };
        let mount = |options: &str| {
            let pairs = [
                ("type", "xfs"),
                ("source", "/dev/vdb"),
                ("options", options),
            ];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some(FactValue::Attributes(pairs.into()))
        };
        let mounted = Change {
            subject: Subject::parse(b"mount:/srv").unwrap(),
            before: None,
            after: mount("rw"),
            ..op(Op::Mount)
        };
        insta::assert_snapshot!(said(&mounted), @"alice mounted it (xfs on /dev/vdb) 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let remounted = Change {
            before: mount("rw"),
            after: mount("ro"),
            op: Op::Set,
            ..mounted.clone()
        };
        insta::assert_snapshot!(said(&remounted), @"alice set it: options rw → ro, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let unmounted = Change {
            before: mount("ro"),
            after: None,
            op: Op::Unmount,
            ..mounted.clone()
        };
        insta::assert_snapshot!(said(&unmounted), @"alice unmounted it (xfs on /dev/vdb) 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        let swap = Change {
            subject: Subject::parse(b"mount:swap:/dev/vdc").unwrap(),
            ..mounted
        };
        insta::assert_snapshot!(said(&swap), @"alice turned on swap on it 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
        insta::assert_snapshot!(said(&swappiness), @"alice set it 60 → 10, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)");
    }

    #[test]
    fn a_late_change_says_when_it_can_have_been_and_why_nobody_knows() {
        let gap = |reason| Gap {
            id: 1,
            from: at("14:00"),
            to: Some(at("14:10")),
            reason,
            detail: String::new(),
        };
        let with = |gaps: &[Gap]| sentence(&late(), "it", gaps, &view());
        insta::assert_snapshot!(with(&[gap(GapReason::Stopped)]), @"something changed it between 14:02 and 14:07 while tracer was stopped; who did it is not known");
        insta::assert_snapshot!(with(&[gap(GapReason::Lost)]), @"something changed it between 14:02 and 14:07 while records were lost; who did it is not known");
        insta::assert_snapshot!(with(&[]), @"something changed it between 14:02 and 14:07; who did it is not known");
        let elsewhere = Gap {
            from: at("10:00"),
            to: Some(at("10:10")),
            ..gap(GapReason::Stopped)
        };
        insta::assert_snapshot!(with(&[elsewhere]), @"something changed it between 14:02 and 14:07; who did it is not known");
        let deleted = Change {
            op: Op::Delete,
            between: None,
            ..late()
        };
        insta::assert_snapshot!(said(&deleted), @"something deleted it before 14:18; who did it is not known");
    }
}
