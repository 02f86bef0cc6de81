//! What the pipeline does besides: comparing the trees, following the mounts, and looking now and then
//! at the clocks, at what the kernel lost, and at its memory.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use change::wire::CheckBody;
use change::{Gap, GapReason, Text, Timestamp};

use super::clocks::Clocks;
use super::kernel::Settler;
use super::pipeline::Pipeline;
use super::reconciling::Comparison;
use super::writing::SYNC_NS;
use super::{Input, memory, now};
use crate::probes::{Extent, Probes, RootInode};
use crate::reconcile::{Began, Difference};
use crate::store;
use crate::trees::{Root, RootDepth, open};

/// How often the store is told that the daemon is alive; after a kill, a gap begins there.
const HEARTBEAT_NS: i64 = 30_000_000_000;
/// How long after a change the memory that it took is given back, with that of those until then.
pub(super) const TIDY_NS: i64 = 30_000_000_000;
/// How often the kernel is asked what it lost.
const LOSS_CHECK_NS: i64 = 1_000_000_000;

/// What is compared at the moment, and why.
pub(super) struct Comparing {
    /// When the probes were attached, or the loss was noticed.
    pub(super) since: Began,
    /// The last moment at which the record was complete; none for the very first start.
    pub(super) complete_until: Option<Timestamp>,
    pub(super) is_running: bool,
    /// Something was lost meanwhile: compare once more.
    pub(super) again: bool,
    /// Since when something may have been missed, if that was noticed while a comparison ran.
    pub(super) missed_from: Option<Timestamp>,
    /// Contents were not read: compare when there is time.
    pub(super) again_after_burst: bool,
    /// How often to compare without a reason to; zero for never.
    pub(super) period: Duration,
    /// When to do so next.
    pub(super) next: Timestamp,
}

/// What the kernel had lost when it was asked last.
pub(super) struct Losses {
    pub(super) count: u64,
    pub(super) asked: Timestamp,
}

impl Comparing {
    /// Nothing is compared yet, and the period and the first time to do so without a reason are
    /// these.
    pub(super) fn new(
        since: Began,
        complete_until: Option<Timestamp>,
        (period, next): (Duration, Timestamp),
    ) -> Self {
        Self {
            since,
            complete_until,
            is_running: false,
            again: false,
            missed_from: None,
            again_after_burst: false,
            period,
            next,
        }
    }
}

impl Losses {
    pub(super) fn none_until(asked: Timestamp) -> Self {
        Self { count: 0, asked }
    }
}

impl Pipeline {
    /// Starts comparing the trees with the store.
    pub(super) fn reconcile(&mut self, inputs: SyncSender<Input>, settler: Settler) {
        self.inputs = Some((inputs, settler));
        if let Err(error) = self.compare_mounts() {
            tracing::error!("{error:#}");
        }
        self.compare();
    }

    fn compare(&mut self) {
        let Some((inputs, settler)) = self.inputs.clone() else {
            return;
        };
        self.comparing.is_running = true;
        self.comparing.again = false;
        let comparison = Comparison {
            trees: Arc::clone(&self.trees),
            capture: Arc::clone(&self.capture),
            exact_since: self.comparing.since,
            settler,
            machine: self.is_machine_due().then(|| self.inventory.clone()),
        };
        comparison.start(&self.store_path, inputs);
    }

    pub(super) fn take_difference(&mut self, difference: Difference) -> Result<(), store::Error> {
        if self.inventory.source_of(&difference.path).is_some() {
            // What it says is compared, and not the file.
            return Ok(());
        }
        if self.assembler.is_in_hand(&difference.path) || !difference.holds() {
            // An exact record tells of it in a moment, or has told already.
            return Ok(());
        }
        let now = now();
        match (self.comparing.complete_until, difference) {
            (Some(complete_until), difference) => {
                self.conclude.late(difference, now, [complete_until, now])
            }
            (
                None,
                Difference {
                    path,
                    found: Some(found),
                    ..
                },
            ) => self.conclude.baseline(path, found, now),
            (None, _) => Ok(()),
        }
    }

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

    /// Compares the trees with the store as they are from now on: after the comparison that is
    /// running, if one is, which may have looked already at what is to be found.
    pub(super) fn compare_again(&mut self) {
        if self.comparing.is_running {
            self.comparing.again = true;
        } else {
            self.comparing.since = Began::now();
            self.compare();
        }
    }

    /// A comparison has ended, and all that it found is taken in.
    pub(super) fn reconciled(&mut self, completely: bool) {
        let missed = self.comparing.missed_from.take();
        let until = if completely {
            // What was seen first may have changed since, and nobody would have noticed.
            Some(self.comparing.since.earliest)
        } else {
            self.comparing.complete_until
        };
        self.comparing.complete_until =
            until.map(|until| missed.map_or(until, |missed| missed.min(until)));
        self.comparing.is_running = false;
        if self.comparing.again {
            self.compare_again();
        }
    }

    pub(super) fn look_around(&mut self) -> anyhow::Result<()> {
        let now = now();
        self.look_at_modules();
        self.ask_for_mounts();
        self.finish_writes();
        self.conclude_rested();
        self.finish_due()?;
        if now.as_nanos() - self.losses.asked.as_nanos() >= LOSS_CHECK_NS {
            self.check_losses(now);
        }
        if now.as_nanos() - self.synced.as_nanos() >= SYNC_NS {
            self.sync()?;
        }
        if now.as_nanos() - self.heartbeat.as_nanos() >= HEARTBEAT_NS {
            self.commit(Some(now))?;
        }
        if !self.comparing.period.is_zero() && self.comparing.next <= now {
            self.comparing.next = now.plus_nanos(nanos(self.comparing.period));
            self.compare_again();
        }
        if self.tidy_at.is_some_and(|tidy_at| tidy_at <= now) {
            self.tidy_at = None;
            memory::give_back();
        }
        Ok(())
    }

    /// Notices that the host slept or that its clock was set: before what has just come is looked at.
    pub(super) fn look_at_clocks(&mut self) -> anyhow::Result<()> {
        let clocks = Clocks::read();
        let before = std::mem::replace(&mut self.clocks, clocks);
        if let Some(slept) = clocks.slept_since(&before) {
            let detail = format!("the host slept for {} seconds", slept.as_secs());
            self.note_gap(
                GapReason::Suspended,
                clocks.now().plus_nanos(-nanos(slept)),
                &detail,
            );
        }
        if let Some(step) = clocks.set_since(&before) {
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
            self.shared
                .lost
                .store(count, std::sync::atomic::Ordering::Relaxed);
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

/// When to compare for the first time without a reason to: hosts that start together spread over
/// the period by their ids.
pub(super) fn first_comparison(host: &str, period: Duration, started: Timestamp) -> Timestamp {
    let hash = blake3::hash(host.as_bytes());
    let part = f64::from(hash.as_bytes()[0]) / 256.0;
    started.plus_nanos(nanos(period.mul_f64(0.5 + part / 2.0)))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
