//! When the host is compared with the store, and what becomes of what that finds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use change::Timestamp;

use super::kernel::Settler;
use super::pipeline::Pipeline;
use super::reconciling::Comparison;
use super::upkeep::nanos;
use super::{Input, now};
use crate::inventory::Source;
use crate::reconcile::{Began, Difference};
use crate::store;

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

impl Pipeline {
    /// Starts comparing the trees with the store.
    pub(super) fn reconcile(&mut self, inputs: SyncSender<Input>, settler: Settler) {
        self.inputs = Some((inputs, settler));
        if let Err(error) = self.compare_mounts() {
            tracing::error!("{error:#}");
        }
        // Before the first record: its actor has not done what happened until now.
        self.compare_parts();
        self.compare();
    }

    fn compare(&mut self) {
        let Some((inputs, settler)) = self.inputs.clone() else {
            return;
        };
        self.set_comparing(true);
        self.comparing.again = false;
        let comparison = Comparison {
            trees: Arc::clone(&self.trees),
            capture: Arc::clone(&self.capture),
            exact_since: self.comparing.since,
            settler,
            machine: self.is_machine_due().then(|| self.inventory.clone()),
        };
        if let Err(error) = comparison.start(&self.store_path, inputs) {
            tracing::error!("start comparing the trees with the store: {error}");
            self.set_comparing(false);
        }
    }

    fn set_comparing(&mut self, is_running: bool) {
        self.comparing.is_running = is_running;
        let shown = &self.shared.is_comparing;
        shown.store(is_running, Ordering::Relaxed);
    }

    pub(super) fn take_difference(&mut self, difference: Difference) -> Result<(), store::Error> {
        let source = self.inventory.source_of(&difference.path);
        if source.is_some_and(Source::hides_files) {
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
        self.set_comparing(false);
        if self.comparing.again {
            self.compare_again();
        }
    }

    /// Compares where it is time to, without a reason.
    pub(super) fn compare_if_due(&mut self, now: Timestamp) {
        let Comparing { period, next, .. } = &mut self.comparing;
        if !period.is_zero() && *next <= now {
            *next = now.plus_nanos(nanos(*period));
            self.compare_again();
        }
    }
}

/// When to compare for the first time without a reason to: hosts that start together spread over
/// the period by their ids.
pub(super) fn first_comparison(host: &str, period: Duration, started: Timestamp) -> Timestamp {
    let hash = blake3::hash(host.as_bytes());
    let part = f64::from(hash.as_bytes()[0]) / 256.0;
    started.plus_nanos(nanos(period.mul_f64(0.5 + part / 2.0)))
}
