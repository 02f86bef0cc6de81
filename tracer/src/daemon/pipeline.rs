//! The one thread that turns what was seen into changes and writes them.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use change::{Change, Text, Timestamp};
use tokio::sync::broadcast;

use super::clocks::Clocks;
use super::comparing::Comparing;
use super::decided::Waiting;
use super::heartbeat::Heartbeat;
use super::kernel::Settler;
use super::machine::MachineSeen;
use super::modules::ModulesSeen;
use super::mounts::MountsSeen;
use super::room::Room;
use super::services::ServicesSeen;
use super::settings::Written;
use super::shared::{Shared, add};
use super::upkeep::Losses;
use super::{Input, Records, memory, now};
use crate::assemble::{Assembled, Assembler};
use crate::capture::Capture;
use crate::conclude::Conclude;
use crate::decode::{self, Decoder, Places};
use crate::enrich::Enrich;
use crate::fanotify::Signal;
use crate::inventory::Inventory;
use crate::observed::{Event, Observation, Who};
use crate::probes::Probes;
use crate::store::Writer;
use crate::trees::Trees;

/// How often finished changes are looked for while some are in the making.
const TICK: Duration = Duration::from_millis(200);
/// How often the pipeline looks around when nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// Transactions begin at least so far apart, unless much waits or somebody asks.
const PACE_NS: i64 = 100_000_000;
/// So far behind the clock no content is read any more, only changes are told.
const BEHIND_NS: i64 = 5_000_000_000;

pub(super) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Writer,
    pub(super) store_path: PathBuf,
    pub(super) trees: Arc<Trees>,
    pub(super) capture: Arc<Capture>,
    pub(super) inventory: Inventory,
    /// Kernel modules that are coming or going.
    pub(super) modules: ModulesSeen,
    /// What files decided, and is not told of yet.
    pub(super) waiting: Waiting,
    pub(super) mounts: MountsSeen,
    pub(super) machine: MachineSeen,
    pub(super) services: ServicesSeen,
    /// Sysctls that were written.
    pub(super) written: Written,
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
    pub(super) heartbeat: Heartbeat,
    /// The clocks as they were looked at last, with the time of day that all that waits goes by.
    pub(super) clocks: Clocks,
    /// When the last transaction began.
    pub(super) committed: Timestamp,
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

impl Pipeline {
    pub(super) fn publish_to(&mut self, changes: broadcast::Sender<Arc<Change>>) {
        self.changes = Some(changes);
    }

    /// Works until it is told to stop.
    pub(super) fn run(&mut self, queue: &Receiver<Input>) -> anyhow::Result<()> {
        loop {
            let wait = if self.is_at_rest() && self.conclude.waiting() == 0 {
                IDLE
            } else {
                TICK
            };
            let input = queue.try_recv().or_else(|_empty| {
                self.caught_up();
                queue.recv_timeout(wait)
            });
            match input {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(input) => {
                    self.look_at_clocks()?;
                    self.take(input)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_clocks()?;
                    self.horizon = self.clocks.now();
                }
            }
            self.look_around()?;
        }
        self.read_put_aside(0);
        self.read_worked_on(true);
        self.conclude_decided();
        let left = self.assembler.take_all();
        self.conclude_all(left)?;
        self.settle_writes(true);
        self.settle_services();
        self.commit(Some(now()))?;
        if self.room.is_lacking() {
            anyhow::bail!("what was in hand at the end could not be written");
        }
        self.writer.checkpoint().context("close the store")
    }

    /// Whether nothing is in the making.
    pub(super) fn is_at_rest(&self) -> bool {
        self.assembler.is_empty()
            && self.modules.is_at_rest()
            && self.written.is_empty()
            && !self.mounts.is_waiting()
            && self.waiting.is_empty()
            && !self.services.is_waiting()
    }

    /// Nothing waits any more.
    fn caught_up(&mut self) {
        self.horizon = self.clocks.now();
        if std::mem::take(&mut self.comparing.again_after_burst) {
            tracing::info!(
                "so much happened at once that contents were not read; reading them now"
            );
            self.compare_again();
        }
    }

    fn take(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Records(records, _share) => self.take_records(&records),
            Input::Signals(signals, _share) => self.take_signals(signals),
            Input::Difference(difference, _share) => {
                self.take_difference(*difference)
                    .context("conclude a difference")?;
                self.commit_if_much()
            }
            Input::Reconciled { completely } => {
                self.compare_inventory()?;
                self.reconciled(completely);
                self.commit(Some(now()))?;
                self.shared.push.compared();
                memory::give_back();
                Ok(())
            }
            Input::Machine(read) => {
                self.take_machine(read);
                self.commit_if_much()
            }
            Input::Mounts => {
                if self.watches_by_probes {
                    self.remount();
                }
                if let Err(error) = self.look_at_mounts() {
                    self.note_loss(&format!("{error:#}"));
                }
                Ok(())
            }
            Input::Services(look) => {
                self.look_at_services(*look);
                self.commit_if_much()
            }
            Input::Heard(heard) => {
                self.take_heard(*heard);
                self.commit_if_much()
            }
            Input::Remounted => {
                self.compare_again();
                Ok(())
            }
            Input::Settle(asker) => {
                self.capture_touched()?;
                self.read_worked_on(false);
                self.conclude_decided();
                let settled = self.assembler.take_all_settled(asker.about.as_ref());
                self.conclude_all(settled)?;
                self.settle_writes(false);
                self.commit(None)?;
                if self.room.is_lacking() {
                    // Not answered: what is told may not be all.
                    return Ok(());
                }
                self.sync()?;
                if asker.answer.send(()).is_err() {
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
        let mut start = 0;
        for end in &records.ends {
            let record = records.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            let places = TreePlaces(&self.trees);
            match self.decoder.decode(record, &places) {
                Ok(Some(observation)) => self.observe(observation),
                Ok(None) => {}
                Err(decode::Error::UnknownRoot(id)) => {
                    tracing::debug!("a record names the root {id}, which is not watched any more");
                }
                Err(error) => self.note_loss(&error.to_string()),
            }
        }
        self.capture_touched()?;
        self.finish_due()
    }

    fn take_signals(&mut self, signals: Vec<Signal>) -> anyhow::Result<()> {
        for signal in signals {
            match signal {
                Signal::Observation(observation) => self.observe(observation),
                Signal::Overflow => self.note_loss("fanotify's queue ran over"),
            }
        }
        self.capture_touched()?;
        self.finish_due()
    }

    fn observe(&mut self, observation: Observation) {
        let time = self.clocks.wall(observation.boot_ns);
        self.enrich.observe(&observation, time);
        let Observation { who, event, .. } = observation;
        self.horizon = self.horizon.max(time);
        match event {
            Event::File(event) if self.is_about_database(time, &who, &event) => {}
            Event::File(event) => {
                add(&self.shared.file_records, 1);
                self.host_touched(time, &who, &event);
                self.parts_touched(time, &who, &event);
                self.unit_file_touched(time, &who, &event);
                let enrich = &self.enrich;
                let is_same_program = |a: &Who, b: &Who| enrich.is_same_program(a, b);
                let names = event.placed_directory();
                self.assembler.observe(time, &who, event, &is_same_program);
                if let Some((from, to)) = names {
                    self.on_placed_directory([&from, &to]);
                }
            }
            Event::Sysctl(write) => self.sysctl_written(time, &who, write),
            Event::Setting { path } => self.setting_written(time, &who, &path),
            Event::Sysrq { key } => self.sysrq_asked(time, &who, key),
            Event::Module(step) => self.module_touched(time, &who, step),
            Event::Mount(touched) => self.mount_touched(time, &who, &touched),
            Event::Fork { .. }
            | Event::Exec(_)
            | Event::Exit { .. }
            | Event::Signal(_)
            | Event::Cgroup { .. } => {}
        }
    }

    /// Reads the content of what was just changed, before it changes again.
    fn capture_touched(&mut self) -> anyhow::Result<()> {
        // Content is shed before changes are.
        let is_behind = self.clocks.now().as_nanos() - self.horizon.as_nanos() > BEHIND_NS;
        let mut touched = self.assembler.take_touched();
        touched.retain(|path| self.trees.contains(path));
        self.comparing.again_after_burst |= is_behind && !touched.is_empty();
        for path in touched {
            let expected = self.assembler.expected(&path);
            let captured = if is_behind {
                Capture::look(&path, expected.as_ref())
            } else {
                self.conclude.read(&path, expected.as_ref())
            };
            let until = self.clocks.now();
            self.assembler.set_captured(&path, captured, until);
            for (state, bytes) in self.assembler.take_excess() {
                self.conclude.keep(&state, bytes);
            }
            self.commit_if_much()?;
        }
        Ok(())
    }

    /// Writes once there is enough of it: a burst is never in memory as a whole.
    fn commit_if_much(&mut self) -> anyhow::Result<()> {
        if self.conclude.is_much() {
            self.commit(None)?;
        }
        Ok(())
    }

    pub(super) fn finish_due(&mut self) -> anyhow::Result<()> {
        let due = self.assembler.take_finished(self.horizon);
        self.conclude_all(due)?;
        // A transaction has its price, and nobody is kept waiting: whoever asks is answered after
        // all is written.
        let since = now().as_nanos() - self.committed.as_nanos();
        if self.conclude.waiting() > 0 && !(0..PACE_NS).contains(&since) {
            self.commit(None)?;
        }
        Ok(())
    }

    pub(super) fn conclude_all(&mut self, finished: Vec<Assembled>) -> anyhow::Result<()> {
        for assembled in finished {
            let by = self.enrich.by(&assembled.who, assembled.time);
            self.conclude
                .conclude(assembled, by)
                .context("conclude a change")?;
            self.commit_if_much()?;
        }
        self.watch_new_directories();
        Ok(())
    }
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
