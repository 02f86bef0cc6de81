//! Bringing what was concluded to the store and to the disk, and telling those who follow.

use std::sync::Arc;

use anyhow::Context as _;
use change::{Change, Timestamp};
use tokio::sync::broadcast;

use super::now;
use super::pipeline::Pipeline;
use super::shared::add;
use super::upkeep::TIDY_NS;
use crate::api::Forgetting;
use crate::observed::Who;
use crate::store::Batch;

/// How long at most what was written waits to be brought to the disk, while nobody asks.
pub(super) const SYNC_NS: i64 = 1_000_000_000;

impl Pipeline {
    pub(super) fn commit(&mut self, heartbeat: Option<Timestamp>) -> anyhow::Result<()> {
        let mut batch: Batch = self.conclude.take_batch();
        batch.sessions = self.enrich.take_session_updates();
        batch.runs = self.enrich.take_run_updates();
        batch.heartbeat = heartbeat.or_else(|| (!batch.changes.is_empty()).then(now));
        self.committed = now();
        let alive = batch.heartbeat;
        self.room.hold(&mut batch);
        let stored = match self.writer.commit(batch) {
            Err(error) if error.is_no_room() => {
                self.lacks_room(&error);
                return Ok(());
            }
            stored => stored.context("write changes to the store")?,
        };
        if let Some(time) = alive {
            self.heartbeat.stored(time);
        }
        add(&self.shared.changes, stored.len());
        if !stored.is_empty() {
            self.shared.push.wake();
        }
        if !stored.is_empty() && self.tidy_at.is_none() {
            self.tidy_at = Some(now().plus_nanos(TIDY_NS));
        }
        self.tell(stored)?;
        self.has_room()
    }

    /// Notes that the record is complete until now, should nothing follow.
    pub(super) fn beat(&mut self, now: Timestamp) -> anyhow::Result<()> {
        self.commit(None)?;
        // A store that took nothing is asked each time.
        if !self.room.is_lacking() && self.heartbeat.beat(&self.writer.head(), now) {
            return Ok(());
        }
        self.commit(Some(now))
    }

    /// Tells followers. What somebody was told survives a power cut.
    pub(super) fn tell(&mut self, stored: Vec<Change>) -> anyhow::Result<()> {
        let followers = self
            .changes
            .as_ref()
            .map_or(0, broadcast::Sender::receiver_count);
        if followers > 0 || now().as_nanos() - self.synced.as_nanos() >= SYNC_NS {
            self.sync()?;
        }
        for change in stored {
            if let Some(changes) = &self.changes {
                // Nobody follows: nobody is told.
                drop(changes.send(Arc::new(change)));
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        self.synced = now();
        self.writer.sync().context("write changes to the disk")
    }

    pub(super) fn forget(&mut self, forgetting: Forgetting) -> anyhow::Result<u64> {
        let Forgetting {
            subject,
            purge,
            pid,
        } = forgetting;
        let now = now();
        let by = self.enrich.by(&Who::Pid(pid), now);
        let change = self.conclude.forget(subject.key, now, by)?;
        let stored = self.writer.forget(&purge, change)?;
        let seq = stored.seq;
        self.tell(vec![stored])?;
        Ok(seq)
    }
}
