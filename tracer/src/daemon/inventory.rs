//! Reading what is no file: when its database is written, and when the trees are compared.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context as _;
use change::{Text, Timestamp};

use super::decided::Decided;
use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::enrich::By;
use crate::inventory::{Facts, Source};
use crate::observed::{Action, FileEvent, Who};

/// A module that came or went, and who made it.
pub(super) struct ModuleTouched {
    time: Timestamp,
    by: Option<By>,
    name: Text,
}

impl Pipeline {
    /// Something was done to a file that is a source's database. It is read at once: what it says
    /// later may be somebody else's doing.
    pub(super) fn database_touched(&mut self, time: Timestamp, who: &Who, event: &FileEvent) {
        let Some(source) = self.inventory.source_of(&event.path) else {
            return;
        };
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
                source,
                only: None,
                found,
            }),
            Ok(None) => {}
            Err(error) => self.note_loss(&format!("{error:#}")),
        }
    }

    /// A kernel module comes or goes. Its own initialisation may still fail, and is waited for.
    pub(super) fn module_touched(&mut self, time: Timestamp, who: &Who, name: Text) {
        let by = self.enrich.by(who, time);
        self.modules.push(ModuleTouched { time, by, name });
        self.written.compare_soon();
        self.look_at_modules();
    }

    /// Looks at the modules that came or went, but for those that are not done with it.
    pub(super) fn look_at_modules(&mut self) {
        let touched = std::mem::take(&mut self.modules);
        for touched in touched {
            if self.inventory.is_changing(&touched.name) {
                self.modules.push(touched);
                continue;
            }
            let ModuleTouched { time, by, name } = touched;
            let only = [name].into();
            let cause = Cause::Written { time, by };
            if let Err(error) = self.look_at(Source::Modules, Some(&only), &cause) {
                self.note_loss(&format!("{error:#}"));
            }
        }
    }

    /// Compares all sources with the store, but for those that exact records tell of.
    pub(super) fn compare_inventory(&mut self) -> anyhow::Result<()> {
        for source in Source::COMPARED {
            let changed = self.inventory.changed_at(source);
            let is_told = |changed: Timestamp| changed >= self.comparing.since.earliest;
            if changed.is_some_and(is_told) && self.conclude.has_read(source)? {
                continue;
            }
            let now = now();
            let cause = Cause::Compared {
                now,
                complete_until: self.comparing.complete_until,
                at_latest: now,
            };
            let looked = match source {
                Source::Sysctls | Source::Settings => self.compare_settings(source, &cause),
                _ => self.look_at(source, None, &cause),
            };
            if let Err(error) = looked {
                tracing::error!("{error:#}");
            }
        }
        Ok(())
    }

    pub(super) fn look_at(
        &mut self,
        source: Source,
        only: Option<&BTreeSet<Text>>,
        cause: &Cause,
    ) -> anyhow::Result<()> {
        match self.read_all(source)? {
            Some(found) => self.take_in(source, found, only, cause),
            None => Ok(()),
        }
    }

    /// All facts of a source as they are now; none where this host does not have it.
    pub(super) fn read_all(&self, source: Source) -> anyhow::Result<Option<Facts>> {
        let (kind, begun) = (source.kind(), Instant::now());
        let read = self.inventory.read(source);
        let reading = || {
            format!(
                "read every {kind} of `{}`",
                self.inventory.database(source).display()
            )
        };
        let found = read.with_context(reading)?;
        let count = found.as_ref().map_or(0, Facts::len);
        tracing::debug!(
            "read {count} facts of the kind {kind} in {:?}",
            begun.elapsed()
        );
        Ok(found)
    }

    /// Takes in all facts of a source.
    pub(super) fn take_in(
        &mut self,
        source: Source,
        found: Facts,
        only: Option<&BTreeSet<Text>>,
        cause: &Cause,
    ) -> anyhow::Result<()> {
        let kind = source.kind();
        let changed = self.conclude.inventory(source, found, only, cause);
        let changed = changed.with_context(|| format!("compare every {kind}"))?;
        tracing::debug!("{changed} facts of the kind {kind} have changed");
        Ok(())
    }
}
