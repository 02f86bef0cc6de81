//! Facts that files decide part by part: read as a file of the part is written, and compared at the start and each
//! time that the trees are.

use std::collections::BTreeMap;

use anyhow::Context as _;
use change::{Text, Timestamp};

use super::decided::{Decided, Only, REST_NS, names};
use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::enrich::Deed;
use crate::inventory::{Active, Facts, Inventory, Part, Source};
use crate::observed::{Action, FileEvent, Left, Who};

/// The service manager, which writes at the request of others.
const MANAGER: u32 = 1;

/// A part whose file was put aside, and by whom: an editor that keeps a backup puts another one in its place at once.
pub(super) struct PutAside {
    time: Timestamp,
    who: Who,
    part: Part,
}

impl Pipeline {
    /// Something was done to a file that decides a part of a source's facts.
    pub(super) fn parts_touched(&mut self, time: Timestamp, who: &Who, event: &FileEvent) {
        let aside = match &event.action {
            Action::Renamed { from, left, .. } if *left == Left::Nothing => Some(&from.path),
            _ => None,
        };
        let present = names(event).filter(|name| Some(*name) != aside);
        let mut parts: Vec<Part> = present.filter_map(Inventory::part_of).collect();
        if let Action::Attributes { mode: true, .. } = &event.action {
            let part = Inventory::part_of(&event.path);
            parts.extend(part.filter(Part::is_of_modes));
        }
        parts.dedup();
        let aside = aside.and_then(Inventory::part_of);
        if let Some(part) = aside.filter(|part| !parts.contains(part)) {
            self.waiting.put_aside.retain(|other| other.part != part);
            let who = who.clone();
            self.waiting.put_aside.push(PutAside { time, who, part });
        }
        let unit = event
            .path
            .as_utf8()
            .and_then(|path| path.rsplit('/').next());
        for part in parts {
            self.decide_part((time, who.clone()), &part, unit);
        }
    }

    /// Reads a part now: what it says later may be somebody else's doing.
    /// `name` is that of the file.
    fn decide_part(&mut self, (time, who): (Timestamp, Who), part: &Part, name: Option<&str>) {
        let found = match self.read_part(part) {
            Ok(found) => found,
            Err(error) => return self.note_loss(&format!("{error:#}")),
        };
        let is_managers = who.pid() == MANAGER && part.is_of_manager();
        self.decide(Decided {
            time,
            who,
            unit: name.filter(|_| is_managers).map(str::to_owned),
            source: part.source(),
            only: Only::From(part.prefix()),
            found,
        });
    }

    fn read_part(&mut self, part: &Part) -> anyhow::Result<Facts> {
        let found = self.inventory.read_part(part);
        self.with_timers(part.source(), found)
    }

    /// Puts what is believed of timers to facts that were found, where nothing else is known. What was never read is
    /// believed nothing of, as the first look at it is to be the first.
    fn with_timers(&mut self, source: Source, mut found: Facts) -> anyhow::Result<Facts> {
        if self.conclude.has_read(source)? {
            let believed = self.conclude.believe(source)?;
            self.inventory.keep_timers(&mut found, believed);
        }
        Ok(found)
    }

    /// Takes in what the timers do, after something was done to one, or when they were listed first.
    pub(super) fn timers_changed(
        &mut self,
        mut states: BTreeMap<String, String>,
        after: Option<String>,
        time: Timestamp,
    ) -> anyhow::Result<()> {
        if !self.conclude.has_read(Source::Jobs)? {
            self.inventory.set_timers(states);
            return Ok(());
        }
        let is_booting = self.is_booting(time);
        let believed = self.conclude.believe(Source::Jobs)?;
        if is_booting {
            Inventory::expect_timers(&mut states, believed, after.as_deref());
        }
        self.inventory.set_timers(states);
        let mut found = self.inventory.timers(believed, after.as_deref());
        found.retain(|key, value| believed.get(key) != Some(value));
        let cause = match (after, found.values().next()) {
            (Some(unit), Some(value)) => {
                let deed = match Active::of(Some(value)) {
                    Active::Active => Deed::Started,
                    Active::Inactive | Active::Failed => Deed::Stopped,
                };
                Cause::Written {
                    time,
                    by: self.enrich.asked(deed, &unit, &[&unit], time),
                    notes: Vec::new(),
                }
            }
            _ => Cause::Compared {
                now: time,
                complete_until: self.comparing.complete_until,
                at_latest: time,
            },
        };
        let only = found.keys().cloned().collect();
        self.take_in(Source::Jobs, found, Some(&only), &cause)
    }

    /// Reads the parts whose files were put aside, once nothing has come in their place for a while.
    pub(super) fn read_put_aside(&mut self, for_how_long_ns: i64) {
        let now = now().as_nanos();
        let is_due =
            |aside: &PutAside| !(0..for_how_long_ns).contains(&(now - aside.time.as_nanos()));
        let all = std::mem::take(&mut self.waiting.put_aside).into_iter();
        let (due, waiting): (Vec<_>, Vec<_>) = all.partition(is_due);
        self.waiting.put_aside = waiting;
        for PutAside { time, who, part } in due {
            self.decide_part((time, who), &part, None);
        }
    }

    /// The same for those that have rested. A clock that was set back is none to wait for.
    pub(super) fn read_rested(&mut self) {
        self.read_put_aside(REST_NS);
    }

    /// Compares what files decide with the store, but for the parts that exact records tell of.
    pub(super) fn compare_parts(&mut self) {
        self.conclude_decided();
        for source in Source::IN_PARTS {
            let compared = self.compare_parts_of(source);
            if let Err(error) = compared.with_context(|| format!("look at every {}", source.kind()))
            {
                tracing::error!("{error:#}");
            }
        }
    }

    fn compare_parts_of(&mut self, source: Source) -> anyhow::Result<()> {
        let Some(found) = self.read_all(source)? else {
            return Ok(());
        };
        let found = self.with_timers(source, found)?;
        let now = now();
        let cause = Cause::Compared {
            now,
            complete_until: self.comparing.complete_until,
            at_latest: now,
        };
        // Looked at after they were read: what changes in between is told by a record, too.
        let since = self.comparing.since.earliest;
        let is_told = |part: &Part| {
            let changed = self.inventory.part_changed_at(part);
            changed.is_some_and(|changed| changed >= since)
        };
        let parts = self.inventory.parts(source).into_iter();
        let told = parts.filter(is_told).map(|part| part.prefix());
        let aside = self
            .waiting
            .put_aside
            .iter()
            .map(|aside| aside.part.prefix());
        let told: Vec<Text> = told.chain(aside).collect();
        if told.is_empty() || !self.conclude.has_read(source)? {
            return self.take_in(source, found, None, &cause);
        }
        let mut keys = self.conclude.keys_from(source, &Text::default(), &found)?;
        keys.retain(|key| {
            !told
                .iter()
                .any(|told| key.as_bytes().starts_with(told.as_bytes()))
        });
        self.take_in(source, found, Some(&keys), &cause)
    }
}
