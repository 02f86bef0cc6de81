//! Which sysctls are not what they will be after a reboot.

use std::collections::BTreeMap;

use change::wire::VolatileBody;
use change::{Certainty, Change, ChangeQuery, FactValue, Kind, Subject, Text, Timestamp};

use super::LONGEST_PAGE;
use crate::persisted::Persisted;
use crate::store::{Error, Reader};
use crate::sysctl;

/// What is known of a sysctl since the boot.
struct SinceBoot {
    /// The value before the first change of it.
    first: Option<FactValue>,
    newest: Change,
}

/// The sysctls whose value is another than the one that `persisted` gives them; or, where that gives
/// none, than the one before the first change since `boot`, which is the kernel's or was set on the way
/// up by something else.
pub(super) fn volatile(
    reader: &Reader,
    persisted: &Persisted,
    boot: Timestamp,
) -> Result<Vec<VolatileBody>, Error> {
    let mut since_boot = since_boot(reader, boot)?;
    let mut found = Vec::new();
    let mut after = Text::default();
    loop {
        let facts = reader.facts_of(Kind::Sysctl, after.as_bytes(), LONGEST_PAGE as usize)?;
        let Some(last) = facts.last() else {
            return Ok(found);
        };
        after = last.subject.key.clone();
        for fact in facts {
            let Some(value) = fact.value else { continue };
            let seen = since_boot.remove(&fact.subject.key);
            let Some((after_reboot, place)) =
                after_reboot(persisted, &fact.subject.key, &value, seen.as_ref())
            else {
                continue;
            };
            let change = match seen {
                Some(seen) => Some(seen.newest),
                None => newest(reader, &fact.subject)?,
            };
            found.push(VolatileBody {
                subject: fact.subject,
                value,
                after_reboot,
                place,
                change,
            });
        }
    }
}

/// The value after a reboot and the place that it comes from, where it is another than now.
fn after_reboot(
    persisted: &Persisted,
    key: &Text,
    value: &FactValue,
    seen: Option<&SinceBoot>,
) -> Option<(FactValue, Option<String>)> {
    let FactValue::Setting { value: now } = value else {
        return None;
    };
    let setting = |value: String| FactValue::Setting { value };
    if let Some(assigned) = persisted.of(key) {
        let will_be = sysctl::as_printed(&assigned.value, Some(now));
        // Of a secret there is only a hash, which tells nothing about what is written in a file.
        let is_other = will_be != *now && !sysctl::is_secret(key);
        return is_other.then(|| (setting(will_be), Some(assigned.place.clone())));
    }
    let first = seen?.first.clone().filter(|first| first != value)?;
    Some((first, None))
}

fn newest(reader: &Reader, subject: &Subject) -> Result<Option<Change>, Error> {
    let changes = reader.changes(&ChangeQuery {
        subject: Some(subject.clone()),
        limit: Some(1),
        ..ChangeQuery::default()
    })?;
    Ok(changes.into_iter().next())
}

fn since_boot(reader: &Reader, boot: Timestamp) -> Result<BTreeMap<Text, SinceBoot>, Error> {
    let mut known: BTreeMap<Text, SinceBoot> = BTreeMap::new();
    let mut before_seq = None;
    loop {
        let page = reader.changes(&ChangeQuery {
            kind: Some(Kind::Sysctl),
            since: Some(boot),
            before_seq,
            limit: Some(LONGEST_PAGE),
            ..ChangeQuery::default()
        })?;
        let Some(last) = page.last() else {
            return Ok(known);
        };
        before_seq = Some(last.seq);
        // The newest come first.
        for change in page {
            let first = value_at_boot(&change, boot);
            let key = change.subject.key.clone();
            let newest = || SinceBoot {
                first: None,
                newest: change,
            };
            known.entry(key).or_insert_with(newest).first = first;
        }
    }
}

/// The value since the boot, if this was the first change: one that was found late may have been the
/// boot itself.
fn value_at_boot(change: &Change, boot: Timestamp) -> Option<FactValue> {
    let is_of_the_boot =
        change.certainty == Certainty::Late && change.between.is_none_or(|[from, _]| from < boot);
    if is_of_the_boot {
        change.after.clone()
    } else {
        change.before.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use change::Op;

    use super::*;
    use crate::store::example::{Example, alice, edit, time};
    use crate::store::{Batch, Fact};

    #[expect(clippy::unnecessary_wraps, reason = "a change and a fact hold it so")]
    fn setting(value: &str) -> Option<FactValue> {
        let value = value.to_owned();
        Some(FactValue::Setting { value })
    }

    fn subject(key: &str) -> Subject {
        Subject {
            kind: Kind::Sysctl,
            key: key.into(),
        }
    }

    fn set(key: &str, [before, after]: [&str; 2], seconds: i64) -> Change {
        Change {
            subject: subject(key),
            op: Op::Set,
            before: setting(before),
            after: setting(after),
            ..edit("/x", ["", ""], seconds, Some(alice(41)))
        }
    }

    fn late(key: &str, values: [&str; 2], between: [i64; 2]) -> Change {
        Change {
            certainty: Certainty::Late,
            between: Some(between.map(time)),
            actor: None,
            ..set(key, values, between[1])
        }
    }

    fn fact(key: &str, value: &str) -> Fact {
        Fact {
            subject: subject(key),
            value: setting(value),
            identity: None,
            time: time(1),
        }
    }

    #[test]
    fn what_a_reboot_takes_back_is_told_with_who_set_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/sysctl.d");
        fs::create_dir_all(&folder).unwrap();
        let text = "vm.swappiness=10\nfs.file-max=0x10\nnet.ipv4.tcp_rmem = 1 2 3\n";
        fs::write(folder.join("a.conf"), text).unwrap();
        let mut example = Example::new();
        example.log(vec![
            set("vm.swappiness", ["10", "60"], 5),
            // Of another boot.
            set("kernel.sysrq", ["0", "1"], 6),
            late("kernel.sysrq", ["1", "438"], [8, 20]),
            set("kernel.panic", ["0", "5"], 21),
            set("kernel.panic", ["5", "6"], 22),
            set("kernel.pid_max", ["7", "8"], 23),
            set("kernel.pid_max", ["8", "7"], 24),
        ]);
        example.commit(Batch {
            facts: vec![
                fact("fs.file-max", "16"),
                fact("kernel.panic", "6"),
                fact("kernel.pid_max", "7"),
                fact("kernel.sysrq", "438"),
                fact("net.ipv4.tcp_rmem", "1\t2\t3"),
                fact("vm.dirty_ratio", "20"),
                fact("vm.swappiness", "60"),
            ],
            ..Batch::default()
        });
        let persisted = Persisted::read(root.path());
        let found = volatile(&example.reader(), &persisted, time(10)).unwrap();
        let told = found.into_iter().map(|body| {
            let seq = body.change.map(|change| change.seq);
            (body.subject.to_string(), body.after_reboot, body.place, seq)
        });
        let expected = [
            (
                "sysctl:kernel.panic".to_owned(),
                setting("0").unwrap(),
                None,
                Some(5),
            ),
            (
                "sysctl:vm.swappiness".to_owned(),
                setting("10").unwrap(),
                Some("/etc/sysctl.d/a.conf:1".to_owned()),
                Some(1),
            ),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
