//! Facts in words.

use change::FactValue;
use change::wire::{FactBody, VolatileBody};

use super::View;
use super::amount::{counted, size};
use super::sentence::sentence;

/// What says most of a subject stands first.
const LEADING: [&str; 9] = [
    "source", "type", "vendor", "product", "model", "name", "id", "version", "size",
];

/// A fact for a listing.
pub fn fact_line(fact: &FactBody, view: &View) -> String {
    let subject = super::argument(&fact.subject.to_string());
    let since = when::local(fact.since, &view.now);
    let unsure = fact.unsure.map_or_else(String::new, |seq| {
        view.yellow(&format!(
            "  or what change {seq} left, which was found late"
        ))
    });
    format!("{since}  {subject}  {}{unsure}", value(&fact.value, view))
}

/// How many facts are not listed for a past moment, and why.
pub fn unknown_facts(count: u64) -> String {
    let subjects = counted(count, "more subject");
    let (was, it) = if count == 1 {
        ("was", "it")
    } else {
        ("were", "they")
    };
    format!("{subjects} {was} first seen later: whether {it} existed then is not known")
}

/// What a reboot takes back: the value now, the one after a reboot with its place, and who set it.
pub fn volatile(body: &VolatileBody, view: &View) -> String {
    let VolatileBody {
        subject,
        value: now,
        after_reboot,
        place,
        change,
    } = body;
    let place = match place {
        Some(place) => format!("from {}", super::escape_text(place)),
        None => "the kernel's default or set as it booted, and written nowhere".to_owned(),
    };
    let who = match change {
        Some(change) => sentence(change, "it", &[], view),
        None => "set before tracer began, or by nobody; who did it is not known".to_owned(),
    };
    format!(
        "{}\n  now             {}\n  after a reboot  {}, {place}\n  {who}",
        view.bold(&super::argument(&subject.key.to_string())),
        value(now, view),
        value(after_reboot, view),
    )
}

/// A value on one line.
pub(super) fn value(fact: &FactValue, view: &View) -> String {
    match fact {
        FactValue::File(file) => {
            let owner = view.names.owner(file.uid, file.gid);
            let hash = file.hash.as_deref().unwrap_or("no hash");
            format!(
                "{} {owner} {} {}",
                file.mode,
                counted(file.size, "byte"),
                super::escape_text(hash)
            )
        }
        FactValue::Setting { value } => super::argument(value),
        FactValue::Attributes(attributes) => {
            let first = LEADING
                .iter()
                .filter_map(|name| attributes.get_key_value(*name));
            let others = attributes.iter();
            let others = others.filter(|(name, _)| !LEADING.contains(&name.as_str()));
            let each = first.chain(others);
            let words = each.map(|(name, value)| format!("{name} {}", amount(name, value)));
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A value of an attribute: a size by its unit, anything else as it is.
fn amount(name: &str, value: &str) -> String {
    let bytes = (name == "size").then(|| value.parse().ok()).flatten();
    bytes.map_or_else(|| super::argument(value), size)
}

#[cfg(test)]
mod tests {
    use change::{Change, Op, Subject};

    use super::super::fixture::{edit, view};
    use super::*;

    #[test]
    fn what_a_reboot_takes_back_is_told_with_its_place_and_who_set_it() {
        let setting = |value: &str| FactValue::Setting {
            value: value.to_owned(),
        };
        let subject = Subject::parse(b"sysctl:vm.swappiness").unwrap();
        let change = Change {
            subject: subject.clone(),
            op: Op::Set,
            before: Some(setting("10")),
            after: Some(setting("60")),
            ..edit()
        };
        let body = VolatileBody {
            subject,
            value: setting("60"),
            after_reboot: setting("10"),
            place: Some("/etc/sysctl.d/50-vm.conf:3".to_owned()),
            change: Some(change),
        };
        insta::assert_snapshot!(volatile(&body, &view()), @r"
        vm.swappiness
          now             60
          after a reboot  10, from /etc/sysctl.d/50-vm.conf:3
          alice set it 10 → 60, 12 minutes ago, over ssh from 10.1.2.3 (session 41, pts/0)
        ");
        let unknown = VolatileBody {
            place: None,
            change: None,
            ..body
        };
        insta::assert_snapshot!(volatile(&unknown, &view()), @r"
        vm.swappiness
          now             60
          after a reboot  10, the kernel's default or set as it booted, and written nowhere
          set before tracer began, or by nobody; who did it is not known
        ");
    }
}
