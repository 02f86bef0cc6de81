//! What the pipeline does besides: following the mounts, and looking now and then at the clocks, at what the
//! kernel lost, and at its memory.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use change::wire::CheckBody;
use change::{Gap, GapReason, Text, Timestamp};

use super::clocks::Clocks;
use super::pipeline::Pipeline;
use super::writing::SYNC_NS;
use super::{memory, now};
use crate::probes::{Extent, Probes, RootInode};
use crate::trees::{Root, RootDepth, open};

/// How long after a change the memory that it took is given back, with that of those until then.
pub(super) const TIDY_NS: i64 = 30_000_000_000;
/// How often the kernel is asked what it lost.
const LOSS_CHECK_NS: i64 = 1_000_000_000;

/// What the kernel had lost when it was asked last.
pub(super) struct Losses {
    pub(super) count: u64,
    pub(super) asked: Timestamp,
}

impl Losses {
    pub(super) fn none_until(asked: Timestamp) -> Self {
        Self { count: 0, asked }
    }
}

impl Pipeline {
    pub(super) fn watch_new_directories(&mut self) {
        for path in self.conclude.take_new_directories() {
            let roots = self.trees.on_created_directory(&path);
            if self.watches_by_probes {
                self.watch_roots(&roots);
            }
            // What was made in them before they were watched is found by comparing; a file that another one
            // took the place of was seen to come from the directory around it.
            if roots.iter().any(|root| root.depth != RootDepth::File) {
                self.compare_again();
            }
        }
    }

    /// Watches the trees that are there after something was mounted or unmounted.
    pub(super) fn remount(&mut self) {
        let before = self.trees.roots();
        let fresh = match self.trees.on_mounts_changed() {
            Ok(None) => return,
            Ok(Some(fresh)) => fresh,
            Err(error) => {
                tracing::error!("look for the watched trees: {error}");
                return;
            }
        };
        self.rewatch(&before);
        tracing::info!("another mount: {} trees are new", fresh.len());
        self.compare_again();
    }

    /// Follows a root that was made again or renamed, or that another directory took the place of: at
    /// once, as what is told of the one that was put aside would bear its old name.
    pub(super) fn on_placed_directory(&mut self, names: [&Text; 2]) {
        let leads = names.iter().any(|name| self.trees.leads_to_root(name));
        if !leads || !self.watches_by_probes {
            return;
        }
        let before = self.trees.roots();
        match self.trees.refresh() {
            Ok(fresh) => {
                self.rewatch(&before);
                if !fresh.is_empty() {
                    self.compare_again();
                }
            }
            Err(error) => tracing::error!("look for the watched trees: {error}"),
        }
    }

    /// Watches the roots that there are now, and no more those that were there before.
    fn rewatch(&mut self, before: &[Root]) {
        let now = self.trees.roots();
        let is_gone = |root: &&Root| now.iter().all(|other| other.id != root.id);
        for gone in before.iter().filter(is_gone) {
            // Another root may have the same inode, which then is watched again just below.
            if let Err(error) = self.probes.unwatch(gone.dev, gone.inode) {
                tracing::debug!("unwatch `{}`: {error}", gone.path);
            }
        }
        self.watch_roots(&now);
    }

    fn watch_roots(&mut self, roots: &[Root]) {
        let limit = watch_roots(&mut self.probes, roots);
        if let Some(limit) = limit {
            let checks = self.shared.checks.lock();
            let mut checks = checks.unwrap_or_else(PoisonError::into_inner);
            checks.retain(|check| check.name != limit.name);
            checks.push(limit);
        }
    }

    pub(super) fn look_around(&mut self) -> anyhow::Result<()> {
        let now = now();
        self.look_at_modules();
        self.ask_for_mounts();
        self.finish_services();
        self.finish_writes();
        self.read_rested();
        self.read_worked_on(false);
        self.conclude_rested();
        self.finish_due()?;
        if now.as_nanos() - self.losses.asked.as_nanos() >= LOSS_CHECK_NS {
            self.check_losses(now);
        }
        if now.as_nanos() - self.synced.as_nanos() >= SYNC_NS {
            self.sync()?;
        }
        if self.heartbeat.is_due(now) {
            self.beat(now)?;
        }
        self.compare_if_due(now);
        if self.tidy_at.is_some_and(|tidy_at| tidy_at <= now) {
            self.tidy_at = None;
            memory::give_back();
        }
        Ok(())
    }

    /// Notices that the host slept or that its clock was set: before what has just come is looked at.
    pub(super) fn look_at_clocks(&mut self) -> anyhow::Result<()> {
        let before = self.clocks;
        let read = Clocks::read();
        let step = read.set_since(&before);
        // What is in the making is put in order by its times: they are all told by one offset.
        self.clocks = if step.is_some() || self.is_at_rest() {
            read
        } else {
            read.with_time_of(&before)
        };
        let clocks = self.clocks;
        if let Some(slept) = clocks.slept_since(&before) {
            let detail = format!("the host slept for {} seconds", slept.as_secs());
            self.note_gap(
                GapReason::Suspended,
                clocks.now().plus_nanos(-nanos(slept)),
                &detail,
            );
        }
        if let Some(step) = step {
            tracing::warn!(
                "the clock was set by {} seconds: what is in the making is told by the new time",
                step / 1_000_000_000
            );
            self.assembler.set_clock(step);
            for time in [
                &mut self.horizon,
                &mut self.losses.asked,
                &mut self.committed,
                &mut self.synced,
                &mut self.comparing.next,
            ]
            .into_iter()
            .chain(&mut self.tidy_at)
            .chain(self.mounts.times())
            .chain(self.services.times())
            {
                *time = time.plus_nanos(step);
            }
            self.commit(Some(clocks.now()))?;
        }
        Ok(())
    }

    fn check_losses(&mut self, now: Timestamp) {
        let lost = self.probes.lost();
        let count: u64 =
            lost.iter().map(|(_, count)| count).sum::<u64>() + self.decoder.abandoned();
        if count > self.losses.count {
            let probes: Vec<String> = lost
                .iter()
                .map(|(name, count)| format!("{count} of {name}"))
                .collect();
            let detail = format!("records lost since the start: {}", probes.join(", "));
            self.shared.lost.store(count, Ordering::Relaxed);
            self.losses.count = count;
            self.note_loss(&detail);
            self.enrich.scan(now);
        }
        self.losses.asked = now;
    }

    /// Notes that something may have been missed since the last check, and looks for what it was.
    pub(super) fn note_loss(&mut self, detail: &str) {
        self.note_gap(GapReason::Lost, self.losses.asked, detail);
    }

    /// Notes that the record is not complete from then until now, and looks for what is missing.
    pub(super) fn note_gap(&mut self, reason: GapReason, from: Timestamp, detail: &str) {
        tracing::warn!("{detail}");
        let gap = Gap {
            id: 0,
            from,
            to: Some(now()),
            reason,
            detail: detail.to_owned(),
        };
        self.conclude.push_gap(gap);
        if self.comparing.is_running {
            let missed = self.comparing.missed_from;
            self.comparing.missed_from = Some(missed.map_or(from, |missed| missed.min(from)));
        } else {
            self.comparing.complete_until = self.comparing.complete_until.map(|_| from);
        }
        self.compare_again();
    }
}

/// Makes the programs tell of what is below the roots; gives what limits that.
pub(super) fn watch_roots(probes: &mut Probes, roots: &[Root]) -> Option<CheckBody> {
    let is_on_btrfs = |root: &Root| open::is_on_btrfs(&root.path);
    let limit = if roots.iter().any(is_on_btrfs) {
        probes.know_subvolumes().unwrap_or_else(|error| {
            tracing::error!("tell the programs of subvolumes: {error}");
            None
        })
    } else {
        None
    };
    for root in roots {
        let inode = RootInode {
            dev: root.dev,
            inode: root.inode,
            extent: match root.depth {
                RootDepth::Whole => Extent::Whole,
                RootDepth::Children => Extent::Children,
                RootDepth::File => Extent::File,
            },
        };
        if let Err(error) = probes.watch(root.id, inode) {
            tracing::error!("watch `{}`: {error}", root.path);
        }
    }
    limit
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
