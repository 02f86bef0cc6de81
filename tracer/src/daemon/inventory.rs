//! Reading what is no file: when its database is written, and when the trees are compared.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context as _;
use change::{Text, Timestamp};

use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::inventory::{Facts, Source};

impl Pipeline {
    /// Compares all sources with the store, but for those that exact records tell of.
    pub(super) fn compare_inventory(&mut self) -> anyhow::Result<()> {
        for source in Source::COMPARED {
            let changed = self.inventory.changed_at(source);
            let is_told = |changed: Timestamp| changed >= self.comparing.since.earliest;
            if (changed.is_some_and(is_told) || self.is_worked_on(source))
                && self.conclude.has_read(source)?
            {
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
        self.compare_parts();
        Ok(())
    }

    pub(super) fn look_at(
        &mut self,
        source: Source,
        only: Option<&BTreeSet<Text>>,
        cause: &Cause,
    ) -> anyhow::Result<()> {
        let Some(mut found) = self.read_all(source)? else {
            return Ok(());
        };
        if source == Source::Modules {
            self.add_module_files(&mut found, only)?;
        }
        self.take_in(source, found, only, cause)
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
