//! The one thread that turns what was seen into changes and writes them.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use change::{Change, Gap, GapReason, Text, Timestamp};
use tokio::sync::broadcast;

use super::kernel::Settler;
use super::memory;
use super::reconciling::Comparison;
use super::room::Room;
use super::shared::{Shared, add};
use super::{Input, Records, now};
use crate::api::Forgetting;
use crate::assemble::{Assembled, Assembler};
use crate::capture::Capture;
use crate::conclude::Conclude;
use crate::decode::{self, Decoder, Places};
use crate::enrich::Enrich;
use crate::fanotify::Signal;
use crate::observed::{Event, Observation, Who};
use crate::probes::{Extent, Probes, RootInode};
use crate::reconcile::{Began, Difference};
use crate::store::{self, Batch, Writer};
use crate::trees::{Root, RootDepth, Trees};

/// How often finished changes are looked for while some are in the making.
const TICK: Duration = Duration::from_millis(200);
/// How often the pipeline looks around when nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// How often the store is told that the daemon is alive; after a kill, a gap begins there.
const HEARTBEAT_NS: i64 = 30_000_000_000;
/// How long at most what was written waits to be brought to the disk, while nobody asks.
const SYNC_NS: i64 = 1_000_000_000;
/// How long after a change the memory that it took is given back, with that of those until then.
const TIDY_NS: i64 = 30_000_000_000;
/// How often the kernel is asked what it lost.
const LOSS_CHECK_NS: i64 = 1_000_000_000;

pub(super) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Writer,
    pub(super) store_path: PathBuf,
    pub(super) trees: Arc<Trees>,
    pub(super) capture: Arc<Capture>,
    pub(super) probes: Probes,
    pub(super) watches_by_probes: bool,
    pub(super) enrich: Enrich,
    pub(super) conclude: Conclude,
    pub(super) assembler: Assembler,
    pub(super) decoder: Decoder,
    pub(super) comparing: Comparing,
    /// All that happened until then has been worked on. Under load it lags behind the clock, and
    /// what seems to rest by the clock may go on in what still waits.
    pub(super) horizon: Timestamp,
    pub(super) heartbeat: Timestamp,
    pub(super) losses: Losses,
    /// Whether the store takes what is written.
    pub(super) room: Room,
    /// When what was written was last brought to the disk.
    pub(super) synced: Timestamp,
    /// When the memory of the changes until now is given back; none after no changes.
    pub(super) tidy_at: Option<Timestamp>,
    pub(super) changes: Option<broadcast::Sender<Arc<Change>>>,
    /// Where a comparison hands its differences, and whom it asks to bring the store up to date.
    pub(super) inputs: Option<(SyncSender<Input>, Settler)>,
}

/// What is compared at the moment, and why.
pub(super) struct Comparing {
    /// When the probes were attached, or the loss was noticed.
    pub(super) since: Began,
    /// The last moment at which the record was complete; none for the very first start.
    pub(super) complete_until: Option<Timestamp>,
    pub(super) is_running: bool,
    /// Something was lost meanwhile: compare once more.
    pub(super) again: bool,
}

/// What the kernel had lost when it was asked last.
pub(super) struct Losses {
    pub(super) count: u64,
    pub(super) asked: Timestamp,
}

impl Pipeline {
    pub(super) fn publish_to(&mut self, changes: broadcast::Sender<Arc<Change>>) {
        self.changes = Some(changes);
    }

    /// Starts comparing the trees with the store.
    pub(super) fn reconcile(&mut self, inputs: SyncSender<Input>, settler: Settler) {
        self.inputs = Some((inputs, settler));
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
        };
        comparison.start(&self.store_path, inputs);
    }

    /// Works until it is told to stop.
    pub(super) fn run(&mut self, queue: &Receiver<Input>) -> anyhow::Result<()> {
        loop {
            let wait = if self.assembler.is_empty() {
                IDLE
            } else {
                TICK
            };
            let input = queue.try_recv().or_else(|_empty| {
                self.horizon = now();
                queue.recv_timeout(wait)
            });
            match input {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(input) => self.take(input)?,
                Err(RecvTimeoutError::Timeout) => self.horizon = now(),
            }
            self.look_around()?;
        }
        let left = self.assembler.take_all();
        self.conclude_all(left)?;
        self.commit(Some(now()))?;
        if self.room.is_lacking() {
            anyhow::bail!("what was in hand at the end could not be written");
        }
        self.writer.checkpoint().context("close the store")
    }

    fn take(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Records(records) => self.take_records(&records),
            Input::Signals(signals) => self.take_signals(signals),
            Input::Difference(difference) => {
                self.take_difference(*difference)
                    .context("conclude a difference")?;
                if self.conclude.waiting() < 256 {
                    return Ok(());
                }
                self.commit(None)
            }
            Input::Reconciled => {
                self.comparing.is_running = false;
                self.comparing.complete_until = Some(now());
                self.commit(Some(now()))?;
                memory::give_back();
                if self.comparing.again {
                    self.compare();
                }
                Ok(())
            }
            Input::Settle(answer) => {
                self.capture_touched();
                let settled = self.assembler.take_all_settled();
                self.conclude_all(settled)?;
                self.commit(None)?;
                if self.room.is_lacking() {
                    // Not answered: what is told may not be all.
                    return Ok(());
                }
                self.sync()?;
                if answer.send(()).is_err() {
                    tracing::debug!("whoever asked does not wait any more");
                }
                Ok(())
            }
            Input::Forget(forgetting, answer) => {
                let done = self
                    .forget(*forgetting)
                    .map_err(|error| format!("{error:#}"));
                drop(answer.send(done));
                Ok(())
            }
            Input::Stop => Ok(()),
        }
    }

    fn take_records(&mut self, records: &Records) -> anyhow::Result<()> {
        let boot = boot_time();
        let mut start = 0;
        for end in &records.ends {
            let record = records.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            let places = TreePlaces(&self.trees);
            match self.decoder.decode(record, boot, &places) {
                Ok(Some(observation)) => self.observe(observation),
                Ok(None) => {}
                Err(decode::Error::UnknownRoot(id)) => {
                    tracing::debug!("a record names the root {id}, which is not watched any more");
                }
                Err(error) => self.note_loss(&error.to_string()),
            }
        }
        self.capture_touched();
        self.finish_due()
    }

    fn take_signals(&mut self, signals: Vec<Signal>) -> anyhow::Result<()> {
        for signal in signals {
            match signal {
                Signal::Observation(observation) => self.observe(observation),
                Signal::Overflow(_) => self.note_loss("fanotify's queue ran over"),
            }
        }
        self.capture_touched();
        self.finish_due()
    }

    fn observe(&mut self, observation: Observation) {
        self.enrich.observe(&observation);
        let Observation { time, who, event } = observation;
        self.horizon = self.horizon.max(time);
        match event {
            Event::File(event) => {
                add(&self.shared.file_records, 1);
                let enrich = &self.enrich;
                let is_same_program = |a: &Who, b: &Who| enrich.is_same_program(a, b);
                self.assembler.observe(time, &who, event, &is_same_program);
            }
            Event::Sysctl {
                name,
                before,
                after,
            } => {
                let actor = self.enrich.actor(&who, time);
                self.conclude.sysctl(&name, (before, after), time, actor);
            }
            Event::Fork { .. } | Event::Exec(_) | Event::Exit { .. } => {}
        }
    }

    /// Reads the content of what was just changed, before it changes again.
    fn capture_touched(&mut self) {
        for path in self.assembler.take_touched() {
            if self.trees.contains(&path) {
                let expected = self.assembler.expected(&path);
                let captured = self.conclude.read(&path, expected.as_ref());
                self.assembler.set_captured(&path, captured);
            }
        }
    }

    fn finish_due(&mut self) -> anyhow::Result<()> {
        let due = self.assembler.take_finished(self.horizon);
        self.conclude_all(due)?;
        if self.conclude.waiting() > 0 {
            self.commit(None)
        } else {
            Ok(())
        }
    }

    fn conclude_all(&mut self, finished: Vec<Assembled>) -> anyhow::Result<()> {
        for assembled in finished {
            let actor = self.enrich.actor(&assembled.who, assembled.time);
            self.conclude
                .conclude(assembled, actor)
                .context("conclude a change")?;
        }
        self.watch_new_directories();
        Ok(())
    }

    fn watch_new_directories(&mut self) {
        for path in self.conclude.take_new_directories() {
            let roots = self.trees.on_created_directory(&path);
            if self.watches_by_probes {
                watch_roots(&mut self.probes, &roots);
            }
            if !roots.is_empty() {
                // What was made in them before they were watched is found by comparing.
                self.compare_again();
            }
        }
    }

    pub(super) fn compare_again(&mut self) {
        if self.comparing.is_running {
            self.comparing.again = true;
        } else {
            self.comparing.since = Began::now();
            self.compare();
        }
    }

    fn take_difference(&mut self, difference: Difference) -> Result<(), store::Error> {
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

    fn look_around(&mut self) -> anyhow::Result<()> {
        let now = now();
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
        if self.tidy_at.is_some_and(|tidy_at| tidy_at <= now) {
            self.tidy_at = None;
            memory::give_back();
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
    fn note_loss(&mut self, detail: &str) {
        let now = now();
        tracing::warn!("{detail}");
        let from = self.losses.asked;
        let detail = detail.to_owned();
        let gap = Gap {
            id: 0,
            from,
            to: Some(now),
            reason: GapReason::Lost,
            detail,
        };
        self.conclude.push_gap(gap);
        self.comparing.complete_until = self.comparing.complete_until.map(|_| from);
        self.compare_again();
    }

    pub(super) fn commit(&mut self, heartbeat: Option<Timestamp>) -> anyhow::Result<()> {
        let mut batch: Batch = self.conclude.take_batch();
        batch.sessions = self.enrich.take_session_updates();
        batch.heartbeat = heartbeat.or_else(|| (!batch.changes.is_empty()).then(now));
        let alive = batch.heartbeat;
        self.room.hold(&mut batch);
        let stored = match self.writer.commit(batch) {
            Err(error) if error.is_no_room() => {
                self.lacks_room(&error);
                return Ok(());
            }
            stored => stored.context("write changes to the store")?,
        };
        self.heartbeat = alive.unwrap_or(self.heartbeat);
        add(&self.shared.changes, stored.len());
        if !stored.is_empty() && self.tidy_at.is_none() {
            self.tidy_at = Some(now().plus_nanos(TIDY_NS));
        }
        self.tell(stored)?;
        self.has_room()
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

    fn sync(&mut self) -> anyhow::Result<()> {
        self.synced = now();
        self.writer.sync().context("write changes to the disk")
    }

    fn forget(&mut self, forgetting: Forgetting) -> anyhow::Result<u64> {
        let Forgetting {
            subject,
            purge,
            pid,
        } = forgetting;
        let now = now();
        let actor = self.enrich.actor(&Who::Pid(pid), now);
        let change = self.conclude.forget(subject.key, now, actor)?;
        let stored = self.writer.forget(&purge, change)?;
        let seq = stored.seq;
        self.tell(vec![stored])?;
        Ok(seq)
    }
}

/// Makes the programs tell of what is below the roots.
pub(super) fn watch_roots(probes: &mut Probes, roots: &[Root]) {
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
}

/// When `CLOCK_BOOTTIME` was zero.
fn boot_time() -> Timestamp {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let since = Timestamp::from_parts(boot.tv_sec, u32::try_from(boot.tv_nsec).unwrap_or(0));
    now().plus_nanos(-since.as_nanos())
}

struct TreePlaces<'a>(&'a Trees);

impl Places for TreePlaces<'_> {
    fn root(&self, id: u32) -> Option<Text> {
        self.0.root(id).map(|root| root.path)
    }

    fn mount(&self, id: u32) -> Option<Text> {
        self.0.mounts().by_id(id).map(|mount| mount.point.clone())
    }

    fn device(&self, dev: u64) -> Option<Text> {
        self.0.mounts().by_dev(dev).map(|mount| mount.point.clone())
    }
}

/// The checks of `tracer doctor`, as they stand now.
pub(super) fn set_checks(shared: &Shared, checks: Vec<change::wire::CheckBody>) {
    *shared.checks.lock().unwrap_or_else(PoisonError::into_inner) = checks;
}
