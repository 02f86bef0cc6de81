//! Databases of package managers: they are read when they are written, at once where each write
//! says all, and else when whoever is at work on them is done.

use std::collections::BTreeSet;
use std::io;

use change::wire::{CheckBody, CheckState};
use change::{Text, Timestamp};

use super::decided::{Decided, Only, has_rested};
use super::now;
use super::pipeline::Pipeline;
use crate::inventory::{Inventory, Source};
use crate::observed::{Action, FileEvent, Left, Who};

/// So long it is waited for what says itself that it is not done, as for a package that npm
/// fetches.
const LONGEST_NS: i64 = 600_000_000_000;

/// A source that somebody is at work on.
pub(super) struct WorkedOn {
    source: Source,
    who: Who,
    /// When something happened to it first, and last.
    since: Timestamp,
    time: Timestamp,
}

/// What of the packages cannot be read.
pub(super) fn check(inventory: &Inventory) -> Option<CheckBody> {
    Some(CheckBody {
        name: "packages".to_owned(),
        state: CheckState::Degraded,
        detail: inventory.unread_packages()?,
    })
}

impl Pipeline {
    /// Takes in that something was done to a file that is a source's database, or part of that.
    /// Tells whether it is nothing else.
    pub(super) fn is_about_database(
        &mut self,
        time: Timestamp,
        who: &Who,
        event: &FileEvent,
    ) -> bool {
        for source in self.sources_in(event) {
            self.database_touched(time, who, event, source);
        }
        let source = self.inventory.source_of(&event.path);
        let of_other = event.other_name();
        let of_other = of_other.and_then(|other| self.inventory.source_of(other));
        if let Some(source) = source.filter(|source| !source.changes_in_steps()) {
            self.database_written(time, who, event, source);
        }
        let mut steps = [source, of_other].map(|of| of.filter(|of| of.changes_in_steps()));
        if steps[0] == steps[1] {
            steps[1] = None;
        }
        for source in steps.into_iter().flatten() {
            self.database_touched(time, who, event, source);
        }
        let is_watched = |path: &Text| self.trees.contains(path);
        let mut watched = std::iter::once(&event.path).chain(event.other_name());
        // A copy that is put aside, outside the trees, is no news either.
        source
            .or(of_other)
            .is_some_and(|source| source.hides_files() || !watched.any(is_watched))
    }

    /// The sources whose databases may be in a directory that was made or renamed: what was put into it before it was
    /// watched is told of by nothing else.
    fn sources_in(&self, event: &FileEvent) -> BTreeSet<Source> {
        let placed = event.placed_directory();
        let names = placed.iter().flat_map(|(from, to)| [from, to]);
        names
            .flat_map(|name| self.inventory.sources_in(name))
            .collect()
    }

    /// A database was written that says all with each write. It is read at once: what it says later
    /// may be somebody else's doing.
    fn database_written(&mut self, time: Timestamp, who: &Who, event: &FileEvent, source: Source) {
        // As it is only being written it says nothing yet.
        if !matches!(
            event.action,
            Action::Closed { .. } | Action::Renamed { .. } | Action::Linked { .. }
        ) {
            return;
        }
        match self.read_all(source) {
            Ok(Some(found)) => self.decide(Decided {
                time,
                who: who.clone(),
                unit: None,
                source,
                only: Only::All,
                found,
            }),
            Ok(None) => {}
            Err(error) => self.note_loss(&format!("{error:#}")),
        }
    }

    /// Something happened to a part of a database. What it says is known when its writer is done;
    /// what another one did before is read now.
    fn database_touched(&mut self, time: Timestamp, who: &Who, event: &FileEvent, source: Source) {
        let is_telling = match &event.action {
            Action::Closed { .. } | Action::Created | Action::Deleted | Action::Linked { .. } => {
                true
            }
            Action::Renamed { left, .. } => *left == Left::Nothing,
            _ => false,
        };
        if !is_telling {
            return;
        }
        let worked_on = &mut self.waiting.worked_on;
        let mut since = time;
        if let Some(at) = worked_on.iter().position(|other| other.source == source) {
            let before = worked_on.swap_remove(at);
            if before.who.pid() == who.pid() {
                since = before.since;
            } else {
                self.decide_worked_on(before);
            }
        }
        self.waiting.worked_on.push(WorkedOn {
            source,
            who: who.clone(),
            since,
            time,
        });
    }

    /// Reads what nobody is at work on any more; all of it, where nothing more is waited for.
    pub(super) fn read_worked_on(&mut self, is_end: bool) {
        if self.waiting.worked_on.is_empty() {
            return;
        }
        let now = now().as_nanos();
        for waiting in std::mem::take(&mut self.waiting.worked_on) {
            let has_rested = has_rested(waiting.time, now) || self.enrich.has_ended(&waiting.who);
            let is_awaited = now - waiting.since.as_nanos() < LONGEST_NS
                && !self.enrich.has_ended(&waiting.who)
                && self.inventory.is_unfinished(waiting.source);
            if is_end || has_rested && !is_awaited {
                self.decide_worked_on(waiting);
            } else {
                self.waiting.worked_on.push(waiting);
            }
        }
    }

    /// Whether somebody is at work on a source, and what that comes to is told then.
    pub(super) fn is_worked_on(&self, source: Source) -> bool {
        let mut all = self.waiting.worked_on.iter();
        all.any(|worked_on| worked_on.source == source)
    }

    fn decide_worked_on(&mut self, worked_on: WorkedOn) {
        let source = worked_on.source;
        let found = match self.read_all(source) {
            // What was taken away as a whole has no packages any more.
            Ok(found) => found.unwrap_or_default(),
            Err(error) if is_busy(&error) => {
                // Somebody else writes it, and that is told, too.
                tracing::debug!("{error:#}");
                return;
            }
            Err(error) => return self.note_loss(&format!("{error:#}")),
        };
        let WorkedOn { who, time, .. } = worked_on;
        self.decide(Decided {
            time,
            who,
            unit: None,
            source,
            only: Only::All,
            found,
        });
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::WouldBlock)
}
