//! Sysctls and kernel settings that were written: which value that left, and whose it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use change::{Text, Timestamp};

use super::now;
use super::pipeline::Pipeline;
use crate::conclude::{Cause, Set};
use crate::enrich::By;
use crate::inventory::{Facts, Inventory, Source};
use crate::observed::{Namespaces, SysctlWrite, Who};
use crate::sysctl;
use crate::written::{Outcome, Trust, Write, Writes};

/// Does what a letter stands for when that is written to it.
const SYSRQ: &str = "/proc/sysrq-trigger";

/// The writes that wait to be told.
pub(super) struct Written {
    sysctls: Writes,
    settings: Writes,
    own: Namespaces,
    /// When all are compared, as a write can move others besides; none where nothing was written.
    compare_at: Option<Instant>,
    compared: Option<Instant>,
    /// What differed when it was looked at last, and may be told of by a record that is on its way.
    contested: BTreeMap<Source, Contested>,
}

/// What differed from the facts at one look.
struct Contested {
    values: Facts,
    /// When what differs had not changed yet; none at the very first start.
    complete_until: Option<Timestamp>,
}

/// So long after a write all are compared, and no sooner than so long after the last time.
const COMPARE: Duration = Duration::from_secs(2);
const COMPARE_AGAIN: Duration = Duration::from_secs(10);
/// So far behind the clock, records that wait may tell better what differs.
const BEHIND_NS: i64 = 1_000_000_000;

impl Written {
    /// None yet. `/proc/sys` shows the namespaces of the process that looks.
    pub(super) fn of_own_namespaces() -> Self {
        Self {
            sysctls: Writes::default(),
            settings: Writes::default(),
            own: own_namespaces(),
            compare_at: None,
            compared: None,
            contested: BTreeMap::new(),
        }
    }

    /// Something was done that can have moved settings besides.
    pub(super) fn compare_soon(&mut self) {
        let soon = Instant::now() + COMPARE;
        let earliest = self.compared.map(|compared| compared + COMPARE_AGAIN);
        let at = earliest.map_or(soon, |earliest| earliest.max(soon));
        self.compare_at.get_or_insert(at);
    }

    /// Whether it is time to compare all; asked once.
    fn is_time_to_compare(&mut self) -> bool {
        let now = Instant::now();
        let is_time = self.is_empty() && self.compare_at.is_some_and(|at| at <= now);
        if is_time {
            self.compare_at = None;
            self.compared = Some(now);
        }
        is_time
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sysctls.is_empty() && self.settings.is_empty()
    }
}

/// The namespaces of the calling process.
fn own_namespaces() -> Namespaces {
    let number = |name: &str| {
        let found = fs::metadata(format!("/proc/self/ns/{name}")).map(|found| found.ino());
        found.ok().and_then(|number| u32::try_from(number).ok())
    };
    Namespaces {
        net: number("net").unwrap_or(0),
        ipc: number("ipc").unwrap_or(0),
        uts: number("uts").unwrap_or(0),
        user: number("user").unwrap_or(0),
        pid: number("pid").unwrap_or(0),
    }
}

impl Pipeline {
    /// A sysctl was written, or is about to be.
    pub(super) fn sysctl_written(&mut self, time: Timestamp, who: &Who, write: SysctlWrite) {
        let SysctlWrite {
            path,
            before,
            asked,
            namespaces,
            ended_ns,
        } = write;
        let key = sysctl::key_of(path.as_bytes());
        let asked = asked.map(|asked| sysctl::as_printed(&asked, before.as_deref()));
        let shown = |value: String| self.inventory.shown(&key, &value);
        let write = Write {
            time,
            ended: ended_ns.map(|ended| self.clocks.wall(ended)),
            before: before.map(shown),
            asked: asked.map(shown),
            who: Some(who.clone()),
        };
        let foreign = sysctl::foreign_namespace(&key, namespaces, self.written.own);
        if foreign.is_none() && !sysctl::is_act(&key) {
            let seen = self.inventory.sysctl(&key);
            let done = self.written.sysctls.take(key.clone(), write, seen, now());
            if let Some(done) = done {
                self.tell_write(Source::Sysctls, key, done);
            }
            return;
        }
        // What it left cannot be read, by us.
        let trust = match write.ended {
            Some(_) => Trust::Taken,
            None => Trust::Unconfirmed,
        };
        let outcome = Outcome {
            after: write.asked.clone(),
            write,
            trust,
        };
        let set = Set {
            source: Source::Sysctls,
            by: self.by_of(&outcome.write),
            is_act: sysctl::is_act(&key),
            key: match foreign {
                Some(namespace) => [key.as_bytes(), b"@", namespace.as_bytes()].concat().into(),
                None => key,
            },
            outcome,
            is_fact: false,
        };
        self.conclude_set(set);
    }

    /// A file of sysfs was written, which may be a setting.
    pub(super) fn setting_written(&mut self, time: Timestamp, who: &Who, path: &Text) {
        let Some(key) = Inventory::setting_of(path) else {
            return;
        };
        let write = Write {
            time,
            ended: Some(time),
            who: Some(who.clone()),
            ..Write::default()
        };
        let seen = self.inventory.setting(&key);
        let done = self.written.settings.take(key.clone(), write, seen, now());
        if let Some(done) = done {
            self.tell_write(Source::Settings, key, done);
        }
    }

    /// A function of the magic system request key was asked for by its file.
    pub(super) fn sysrq_asked(&mut self, time: Timestamp, who: &Who, key: char) {
        let asked = Some(key.to_string());
        let write = Write {
            time,
            ended: Some(time),
            who: Some(who.clone()),
            ..Write::default()
        };
        let by = self.by_of(&write);
        self.conclude_set(Set {
            source: Source::Settings,
            by,
            key: SYSRQ.into(),
            outcome: Outcome {
                write,
                after: asked,
                trust: Trust::Taken,
            },
            is_fact: false,
            is_act: true,
        });
    }

    /// Tells of the writes that no record of another can be missing for any more.
    pub(super) fn finish_writes(&mut self) {
        let (now, inventory) = (now(), &self.inventory);
        let sysctls = self
            .written
            .sysctls
            .rested(now, &|key| inventory.sysctl(key));
        let settings = self
            .written
            .settings
            .rested(now, &|key| inventory.setting(key));
        self.tell_writes(sysctls, settings);
        let is_behind = now.as_nanos() - self.horizon.as_nanos() > BEHIND_NS;
        if !is_behind && self.written.is_time_to_compare() {
            self.compare_settings_again();
        }
    }

    /// Compares all once more, as a write to some may have moved others.
    fn compare_settings_again(&mut self) {
        for source in [Source::Sysctls, Source::Settings] {
            let now = now();
            let since = self.compared_since(source);
            // What they were before is not known until they are compared with the store.
            if since.is_none() && !self.written.contested.contains_key(&source) {
                continue;
            }
            let cause = Cause::Compared {
                now,
                complete_until: since,
                at_latest: now,
            };
            if let Err(error) = self.compare_settings(source, &cause) {
                tracing::error!("{error:#}");
            }
        }
    }

    /// Since when a source is compared, at the least.
    fn compared_since(&self, source: Source) -> Option<Timestamp> {
        self.conclude.compared_at(source).map(|[begun, _]| begun)
    }

    /// Compares all settings of a source. What differs is told when it still does at the next look: until
    /// then the record of a write may come, and tell it better.
    pub(super) fn compare_settings(&mut self, source: Source, cause: &Cause) -> anyhow::Result<()> {
        let Cause::Compared {
            now,
            complete_until,
            at_latest,
        } = *cause
        else {
            return Ok(());
        };
        let Some(mut found) = self.read_all(source)? else {
            return Ok(());
        };
        let read_until = super::now();
        let mut fresh = self.conclude.with_other_value(source, &found)?;
        let before = self.written.contested.remove(&source);
        let before_that = before.as_ref().and_then(|before| before.complete_until);
        // What moves without a record has moved since it was read last, however complete records are.
        let read = self.compared_since(source);
        let complete_until = [complete_until, read, before_that]
            .into_iter()
            .flatten()
            .min();
        if let Some(before) = before {
            fresh.retain(|key, value| before.values.get(key) != Some(value));
        }
        self.conclude.put_back(source, &fresh, &mut found);
        let cause = Cause::Compared {
            now,
            complete_until,
            at_latest,
        };
        self.take_in(source, found, None, &cause)?;
        if fresh.is_empty() {
            self.conclude.note_compared(source, [now, read_until]);
            return Ok(());
        }
        let contested = Contested {
            values: fresh,
            complete_until,
        };
        self.written.contested.insert(source, contested);
        self.written.compare_at = Some(Instant::now() + COMPARE);
        Ok(())
    }

    /// Tells of the writes that somebody who asks is to know of, or of all as it ends.
    pub(super) fn settle_writes(&mut self, at_end: bool) {
        let inventory = &self.inventory;
        let sysctls = self
            .written
            .sysctls
            .settled(at_end, &|key| inventory.sysctl(key));
        let settings = self
            .written
            .settings
            .settled(at_end, &|key| inventory.setting(key));
        self.tell_writes(sysctls, settings);
    }

    fn tell_writes(&mut self, sysctls: Vec<(Text, Outcome)>, settings: Vec<(Text, Outcome)>) {
        for (key, outcome) in sysctls {
            self.tell_write(Source::Sysctls, key, outcome);
        }
        for (key, outcome) in settings {
            self.tell_write(Source::Settings, key, outcome);
        }
    }

    fn tell_write(&mut self, source: Source, key: Text, outcome: Outcome) {
        let is_fact = source != Source::Sysctls || Inventory::is_fact(&key);
        let by = self.by_of(&outcome.write);
        self.conclude_set(Set {
            source,
            key,
            by,
            outcome,
            is_fact,
            is_act: false,
        });
    }

    fn by_of(&mut self, write: &Write) -> Option<By> {
        let who = write.who.as_ref()?;
        self.enrich.by(who, write.time)
    }

    fn conclude_set(&mut self, set: Set) {
        let key = set.key.clone();
        let concluded = self.conclude.set(set);
        match concluded.with_context(|| format!("conclude a write to `{key}`")) {
            Ok(Some(value)) => {
                self.inventory.note_sysctl(&key, value);
                self.written.compare_soon();
            }
            Ok(None) => {}
            Err(error) => self.note_loss(&format!("{error:#}")),
        }
    }
}
