//! Unit files that come, go and change, and what a boot is to start: who wrote them is remembered until it shows.

use std::path::Path;
use std::sync::Arc;

use change::Timestamp;

use super::watch::Files;
use crate::conclude::Done;
use crate::daemon::pipeline::Pipeline;
use crate::enrich::{By, Deed};
use crate::inventory::{Active, Facts, Source, is_same_set_up, service_key, unit_of_drop_ins};
use crate::observed::{Action, FileEvent, Who};

/// How many writes to unit files are remembered, and how long.
const TOUCHES: usize = 64;
const TOUCHED_NS: i64 = 2_000_000_000;

/// Where unit files lie whose changes somebody makes.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/lib/systemd/system/",
    "/usr/local/lib/systemd/system/",
];

/// The service that a unit file, or a link to one, is about.
fn unit_of_file(path: &str) -> Option<&str> {
    let is_inside = FOLDERS.iter().any(|folder| path.starts_with(folder));
    let (folder, name) = path.rsplit_once('/').filter(|_| is_inside)?;
    let folder = folder.rsplit('/').next().unwrap_or_default();
    let name = unit_of_drop_ins(folder).unwrap_or(name);
    service_key(name).map(|_| name)
}

impl Pipeline {
    /// A file was written, or linked, that may be a unit's: remembers by whom.
    pub(in crate::daemon) fn unit_file_touched(
        &mut self,
        time: Timestamp,
        who: &Who,
        event: &FileEvent,
    ) {
        let passing = matches!(event.action, Action::Creating | Action::Dirtied);
        let Some(path) = event.path.as_utf8().filter(|_| !passing) else {
            return;
        };
        let services = Arc::clone(&self.services.services);
        let of_environment = services.units_of_environment(Path::new(path)).into_iter();
        for unit in unit_of_file(path).into_iter().chain(of_environment) {
            let touches = &mut self.services.touches;
            touches.push_back((unit.to_owned(), time, who.clone()));
            if touches.len() > TOUCHES {
                touches.pop_front();
            }
        }
    }

    /// Tells of unit files that came and went, and of services that a boot is to start, or not any more.
    pub(super) fn tell_set_up(&mut self, found: &Facts, files: &Files) -> anyhow::Result<()> {
        let differing = self.conclude.differing(Source::Services, found)?;
        for (key, after) in differing {
            let believed = self.conclude.believe(Source::Services)?;
            let before = believed.get(&key);
            let is_set_up = match (before, &after) {
                (Some(before), Some(after)) => {
                    !is_same_set_up(before, after)
                        && Active::of(Some(before)) == Active::of(Some(after))
                }
                (before, after) => {
                    Active::of(before) != Active::Active
                        && Active::of(after.as_ref()) != Active::Active
                }
            };
            let Some(op) = Source::Services
                .op(before, after.as_ref())
                .filter(|_| is_set_up)
            else {
                continue;
            };
            let unit = format!("{key}.service");
            let is_of_it = |name: &str| self.services.services.canonical(name) == unit;
            let Some(seen) = files.time_of(is_of_it) else {
                break;
            };
            let (time, by) = self.who_set_up(&unit, seen);
            self.conclude.done(Done {
                source: Source::Services,
                key,
                op,
                after,
                time,
                by,
                notes: Vec::new(),
            })?;
        }
        Ok(())
    }

    /// When a service was set up anew, and by whom: whoever wrote its files, or asked the manager to. None where several
    /// did who have nothing to do with each other.
    fn who_set_up(&mut self, unit: &str, seen: Timestamp) -> (Timestamp, Option<By>) {
        let services = Arc::clone(&self.services.services);
        let is_it = |(name, time, _): &&(String, Timestamp, Who)| {
            let off = time.as_nanos().abs_diff(seen.as_nanos());
            services.canonical(name) == unit && off < TOUCHED_NS.unsigned_abs()
        };
        let touches = self.services.touches.iter().filter(is_it);
        let touches: Vec<(Timestamp, Who)> =
            touches.map(|(_, time, who)| (*time, who.clone())).collect();
        let time = touches.last().map_or(seen, |(time, _)| *time);
        let of_others = touches.into_iter().filter(|(_, who)| who.pid() != 1);
        let mut of_others: Vec<Option<By>> = of_others
            .map(|(time, who)| self.enrich.by(&who, time))
            .collect();
        let Some(last) = of_others.pop() else {
            return (time, self.who_asked(Deed::SetUp, unit, time));
        };
        let is_same = |other: &Option<By>| match (other, &last) {
            (Some(other), Some(last)) => {
                other.actor.process.pid == last.actor.process.pid
                    || (other.run.is_some() && other.run == last.run)
            }
            _ => false,
        };
        let is_one = of_others.iter().all(is_same);
        (time, last.filter(|_| is_one))
    }
}
