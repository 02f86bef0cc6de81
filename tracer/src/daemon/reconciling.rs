//! Comparing the trees with the facts while the daemon runs: at start, and after a loss.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::{io, thread};

use change::{FactValue, Text};

use super::Input;
use super::budget::Budget;
use super::kernel::{Settled, Settler};
use super::machine;
use crate::assemble::QUIET;
use crate::capture::Capture;
use crate::inventory::Inventory;
use crate::reconcile::{Began, Difference, KnownFile, KnownFiles, Reconcile};
use crate::store::{Fact, Reader};
use crate::trees::Trees;

/// By so much more than a change's rest the exact records may lag behind.
const TICK: Duration = Duration::from_millis(200);

/// The nice value that yields most (setpriority(2)).
const LOWEST_PRIORITY: i32 = 19;

/// How many bytes of differences may wait, most of them contents.
const WAITING_BYTES: usize = 4 << 20;

/// How often the exact records are waited for, half a minute each time.
const ATTEMPTS: usize = 20;

/// What a comparison needs.
pub(super) struct Comparison {
    pub(super) trees: Arc<Trees>,
    pub(super) capture: Arc<Capture>,
    /// Files that changed later are left to exact records.
    pub(super) exact_since: Began,
    pub(super) settler: Settler,
    /// Where the machine is to be read, if it is.
    pub(super) machine: Option<Inventory>,
}

impl Comparison {
    /// Compares on a thread of its own and hands each difference to the pipeline.
    ///
    /// # Errors
    /// When the thread does not start.
    pub(super) fn start(self, store: &Path, inputs: SyncSender<Input>) -> io::Result<()> {
        let store = store.to_owned();
        let work = move || {
            // Whoever else wants the processor or the disk goes first: the kernel takes the priority
            // of input and output from it, too (ionice(1)).
            if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
                tracing::debug!("lower the priority of comparing: {error}");
            }
            let ended = self.run(&store, &inputs);
            let completely = ended.is_ok();
            match ended {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    tracing::debug!("comparing the trees ends: nothing can be written any more");
                }
                Err(error) => tracing::error!("compare the trees with the store: {error}"),
                Ok(()) => {}
            }
            drop(inputs.send(Input::Reconciled { completely }));
        };
        let thread = thread::Builder::new().name("reconcile".to_owned());
        thread.spawn(work).map(drop)
    }

    fn run(&self, store: &Path, inputs: &SyncSender<Input>) -> io::Result<()> {
        if let Some(inventory) = &self.machine {
            let read = Input::Machine(machine::read(inventory));
            let closed = |_| io::Error::from(io::ErrorKind::Interrupted);
            inputs.send(read).map_err(closed)?;
        }
        // What was seen by now is to be a fact, and no difference.
        self.settle()?;
        let mut facts = Facts(Reader::open(store).map_err(io::Error::other)?);
        let reconcile = Reconcile {
            trees: &self.trees,
            capture: &self.capture,
            exact_since: Some(self.exact_since),
        };
        let budget = Budget::new(WAITING_BYTES);
        let pass_on = |difference: Difference| {
            let found = difference.found.as_ref();
            let content = found.and_then(|found| found.bytes.as_ref());
            let share = budget.take(size_of::<Difference>() + content.map_or(0, Vec::len));
            let difference = Input::Difference(Box::new(difference), share);
            inputs
                .send(difference)
                .map_err(|_closed| io::Error::from(io::ErrorKind::Interrupted))
        };
        let mut contested = Vec::new();
        let tally = reconcile.run(&mut facts, &mut |difference| {
            if difference.contested {
                contested.push(difference);
                return Ok(());
            }
            pass_on(difference)
        })?;
        if !contested.is_empty() {
            // Exact records come first: what they tell is no difference any more.
            thread::sleep(QUIET + TICK);
            self.settle()?;
            contested.into_iter().try_for_each(pass_on)?;
        }
        tracing::info!(
            "compared {} files, {} differ",
            tally.files,
            tally.differences
        );
        Ok(())
    }

    /// Waits until the exact records until now are in the store.
    fn settle(&self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            match self.settler.settle(None) {
                Settled::Written => return Ok(()),
                Settled::Refused => return Err(io::ErrorKind::Interrupted.into()),
                Settled::Late => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

struct Facts(Reader);

impl KnownFiles for Facts {
    fn next_files(&mut self, after: Option<&Text>, limit: usize) -> io::Result<Vec<KnownFile>> {
        let after = after.map_or(&[][..], Text::as_bytes);
        let facts = self.0.files_after(after, limit).map_err(io::Error::other)?;
        Ok(facts.into_iter().filter_map(known_file).collect())
    }
}

fn known_file(fact: Fact) -> Option<KnownFile> {
    let Fact {
        subject,
        value,
        identity,
        time: _,
    } = fact;
    let Some(FactValue::File(state)) = value else {
        return None;
    };
    let identity = identity.map(crate::conclude::from_stored);
    Some(KnownFile {
        path: subject.key,
        state,
        identity,
    })
}
