//! What was done to an account, in words.

use std::collections::BTreeSet;

use change::{Change, FactValue, Kind, Op};

use super::escape::{argument, escape_text};
use super::sentence::{attribute, values};

/// What was done, in the past tense; none where the subject is no account, or nobody knows what of one.
pub(super) fn deed(change: &Change) -> Option<String> {
    if change.subject.kind != Kind::Account {
        return None;
    }
    let key = change.subject.key.to_string();
    let (sort, name) = key.split_once('/')?;
    match sort {
        "user" => Some(whole(change, &format!("user {name}"))),
        "password" => Some(password(change, name)),
        "group" => Some(group(change, name)),
        "sudo" => Some(sudo(change, name)),
        "key" => name
            .split_once('/')
            .map(|(owner, key)| ssh_key(change, owner, key)),
        _ => None,
    }
}

/// Of what is just there, or not.
fn whole(change: &Change, object: &str) -> String {
    match change.op {
        Op::Create => format!("created {object}"),
        Op::Delete => format!("deleted {object}"),
        _ => format!("changed {object}{}", values(change)),
    }
}

fn password(change: &Change, user: &str) -> String {
    let [hash_before, hash] = attribute(change, "hash");
    let is_same = hash_before == hash;
    match attribute(change, "state") {
        [_, None] => format!("removed what is known of the password of {user}"),
        [before, Some("none")] if before != Some("none") => {
            format!("let {user} in without a password")
        }
        [None, Some("locked")] => format!("gave {user} no password to get in by"),
        [Some("set" | "none"), Some("locked")] => format!("locked the password of {user}"),
        [Some("locked"), Some("set")] if is_same => format!("unlocked the password of {user}"),
        [None | Some("locked" | "none"), Some("set")] => format!("gave {user} a password"),
        _ if !is_same => format!("changed the password of {user}"),
        _ => format!(
            "changed what holds for the password of {user}{}",
            values(change)
        ),
    }
}

fn group(change: &Change, group: &str) -> String {
    let members = attribute(change, "members");
    let [before, after] = members.map(|names| names.unwrap_or_default().split(','));
    let [before, after] = [before, after].map(|names| {
        let names = names.filter(|name| !name.is_empty());
        names.map(escape_text).collect::<BTreeSet<_>>()
    });
    if change.op == Op::Create && !after.is_empty() {
        return format!("created group {group} of {}", listed(after.iter()));
    }
    if change.op != Op::Set || before == after {
        return whole(change, &format!("group {group}"));
    }
    let [added, removed] = [after.difference(&before), before.difference(&after)].map(listed);
    match (added.as_str(), removed.as_str()) {
        (added, "") => format!("added {added} to group {group}"),
        ("", removed) => format!("removed {removed} from group {group}"),
        (added, removed) => format!("added {added} to group {group} and removed {removed} from it"),
    }
}

/// `alice, bob and carol`.
fn listed<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    match (names.pop(), names.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only.to_owned(),
        (Some(last), false) => format!("{} and {last}", names.join(", ")),
    }
}

fn sudo(change: &Change, whom: &str) -> String {
    let is_somebody =
        !whom.starts_with("Defaults") && !whom.starts_with('@') && !whom.contains("_Alias/");
    let of = |value: &Option<FactValue>| match value {
        Some(FactValue::Attributes(files)) => {
            let rules = files.iter();
            let rules =
                rules.map(|(file, rule)| format!("{} in {}", argument(rule), escape_text(file)));
            rules.collect::<Vec<_>>().join(" and ")
        }
        _ => String::new(),
    };
    match change.op {
        Op::Create if is_somebody => {
            format!("allowed {whom} by sudo {}", of(&change.after))
        }
        Op::Delete if is_somebody => {
            format!("no longer allows {whom} by sudo {}", of(&change.before))
        }
        Op::Create => format!("added to the rules of sudo {whom} {}", of(&change.after)),
        Op::Delete => format!(
            "removed from the rules of sudo {whom} {}",
            of(&change.before)
        ),
        _ if is_somebody => format!("changed what sudo allows {whom}{}", values(change)),
        _ => format!("changed of the rules of sudo {whom}{}", values(change)),
    }
}

fn ssh_key(change: &Change, owner: &str, key: &str) -> String {
    let side = |name| {
        let [before, after] = attribute(change, name);
        after.or(before)
    };
    let words = [side("type"), side("comment")].into_iter().flatten();
    let words: Vec<String> = words.map(escape_text).collect();
    let named = format!("{key} ({})", words.join(" "));
    match change.op {
        Op::Create => format!("gave {owner} the key {named}"),
        Op::Delete => format!("took the key {named} from {owner}"),
        _ => format!("changed the key {key} of {owner}{}", values(change)),
    }
}

#[cfg(test)]
mod tests {
    use change::Subject;

    use super::super::fixture::edit;
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn said(key: &str, before: Option<Pairs<'_>>, after: Option<Pairs<'_>>) -> String {
        let value = |pairs: Option<Pairs<'_>>| {
            let pairs = pairs?.iter();
            let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Some(FactValue::Attributes(pairs.collect()))
        };
        let op = match (before, after) {
            (None, _) => Op::Create,
            (_, None) => Op::Delete,
            _ => Op::Set,
        };
        let change = Change {
            subject: Subject::parse(format!("account:{key}").as_bytes()).unwrap(),
            op,
            before: value(before),
            after: value(after),
            ..edit()
        };
        deed(&change).unwrap()
    }

    #[test]
    fn what_was_done_to_an_account_is_said_as_a_person_would() {
        let user: Pairs<'_> = &[("uid", "7"), ("shell", "/bin/sh")];
        let zsh: Pairs<'_> = &[("uid", "7"), ("shell", "/bin/zsh")];
        let group = |members| said("group/docker", Some(&[("members", "bob")]), Some(members));
        let key: Pairs<'_> = &[("type", "ssh-ed25519"), ("comment", "a@b \u{1b}")];
        let with: Pairs<'_> = &[("type", "ssh-ed25519"), ("options", "command=\"x y\"")];
        let rule: Pairs<'_> = &[("/etc/sudoers.d/90-x", "ALL=(ALL) ALL")];
        let other: Pairs<'_> = &[("/etc/sudoers.d/90-x", "ALL=(ALL) NOPASSWD:ALL")];
        let deeds = [
            said("user/bob", None, Some(user)),
            said("user/bob", Some(user), Some(zsh)),
            said("user/b\u{1b}", Some(user), None),
            said("group/docker", None, Some(&[("gid", "7")])),
            said(
                "group/docker",
                None,
                Some(&[("gid", "7"), ("members", "alice,bob")]),
            ),
            group(&[("members", "alice,bob,carol,dave")]),
            group(&[("members", "alice")]),
            group(&[]),
            group(&[("members", "bob"), ("gid", "8")]),
            said("group/docker", Some(&[]), None),
            said("key/alice/SHA256:a/b", None, Some(key)),
            said("key/alice/SHA256:a/b", Some(key), None),
            said("key/alice/SHA256:a/b", Some(key), Some(with)),
            said("sudo/%docker", None, Some(rule)),
            said("sudo/%docker", Some(rule), Some(other)),
            said("sudo/%docker", Some(rule), None),
            said(
                "sudo/Defaults",
                None,
                Some(&[("/etc/sudoers", "env_reset")]),
            ),
            said(
                "sudo/User_Alias/OPS",
                Some(&[("/etc/sudoers", "OPS=a")]),
                Some(&[("/etc/sudoers", "OPS=b")]),
            ),
        ];
        insta::assert_snapshot!(deeds.join("\n"), @r#"
        created user bob
        changed user bob: shell /bin/sh → /bin/zsh
        deleted user b\u{1b}
        created group docker
        created group docker of alice and bob
        added alice, carol and dave to group docker
        added alice to group docker and removed bob from it
        removed bob from group docker
        changed group docker: gid 8
        deleted group docker
        gave alice the key SHA256:a/b (ssh-ed25519 a@b \u{1b})
        took the key SHA256:a/b (ssh-ed25519 a@b \u{1b}) from alice
        changed the key SHA256:a/b of alice: comment removed, options 'command="x y"'
        allowed %docker by sudo 'ALL=(ALL) ALL' in /etc/sudoers.d/90-x
        changed what sudo allows %docker: /etc/sudoers.d/90-x 'ALL=(ALL) ALL' → 'ALL=(ALL) NOPASSWD:ALL'
        no longer allows %docker by sudo 'ALL=(ALL) ALL' in /etc/sudoers.d/90-x
        added to the rules of sudo Defaults env_reset in /etc/sudoers
        changed of the rules of sudo User_Alias/OPS: /etc/sudoers OPS=a → OPS=b
        "#);
    }

    #[test]
    fn of_a_password_it_is_said_whether_it_lets_in() {
        let set =
            |state: Pairs<'_>, after: Pairs<'_>| said("password/bob", Some(state), Some(after));
        let [a, b]: [Pairs<'_>; 2] = [
            &[("state", "set"), ("hash", "k3:1")],
            &[("state", "set"), ("hash", "k3:2")],
        ];
        let locked: Pairs<'_> = &[("state", "locked"), ("hash", "k3:1")];
        let never: Pairs<'_> = &[("state", "locked")];
        let none: Pairs<'_> = &[("state", "none")];
        let aged: Pairs<'_> = &[("state", "set"), ("hash", "k3:1"), ("max-days", "90")];
        let deeds = [
            said("password/bob", None, Some(never)),
            said("password/bob", None, Some(a)),
            said("password/bob", None, Some(none)),
            said("password/bob", Some(a), None),
            set(a, b),
            set(a, locked),
            set(locked, a),
            set(locked, b),
            set(never, a),
            set(a, none),
            set(none, never),
            set(a, aged),
            set(none, a),
        ];
        insta::assert_snapshot!(deeds.join("\n"), @"
        gave bob no password to get in by
        gave bob a password
        let bob in without a password
        removed what is known of the password of bob
        changed the password of bob
        locked the password of bob
        unlocked the password of bob
        gave bob a password
        gave bob a password
        let bob in without a password
        locked the password of bob
        changed what holds for the password of bob: max-days 90
        gave bob a password
        ");
    }
}
