//! The threads that take what the kernel tells and hand it to the pipeline, in order.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use super::shared::{Shared, add};
use super::{Input, Records};
use crate::fanotify::Fanotify;
use crate::probes;

/// Where observations come from.
pub(super) struct Source {
    pub(super) records: probes::Records,
    pub(super) fanotify: Option<Fanotify>,
}

/// How long the ring is looked at again after it was empty: records in that time wake nobody.
const LINGER: Duration = Duration::from_millis(10);
/// How long at most a record lies in the ring that did not wake the daemon.
const LOOK: Duration = Duration::from_secs(1);
/// Above this many bytes, records are handed on before the ring is empty.
const BATCH_BYTES: usize = 128 * 1024;
/// How long somebody who asks waits for what is in hand to be written.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running threads.
pub(super) struct Watching {
    settler: Settler,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Makes sure that what happened until now is in the store.
#[derive(Clone)]
pub(super) struct Settler {
    asked: Arc<Mutex<(Sender<SyncSender<()>>, UnixStream)>>,
}

impl Settler {
    pub(super) fn settle(&self) {
        let (answer, answered) = sync_channel(1);
        self.ask(answer);
        if answered.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("what is in hand was not written within {PATIENCE:?}");
        }
    }

    fn ask(&self, answer: SyncSender<()>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asks, wake) = &mut *asked;
        if asks.send(answer).is_ok() {
            // A full pipe means that the thread is awake anyway.
            drop(wake.write(&[1]));
        }
    }
}

impl Watching {
    pub(super) fn settler(&self) -> Settler {
        self.settler.clone()
    }

    /// Hands on what the kernel has told until now, and ends the threads.
    pub(super) fn stop(self) {
        self.settler.settle();
        self.stop.store(true, Ordering::Relaxed);
        let (nobody, _) = sync_channel(1);
        self.settler.ask(nobody);
        for thread in self.threads {
            drop(thread.join());
        }
    }
}

/// Starts the threads.
pub(super) fn watch(
    source: Source,
    inputs: &SyncSender<Input>,
    shared: Arc<Shared>,
) -> anyhow::Result<Watching> {
    let Source { records, fanotify } = source;
    let (asks, asked) = channel();
    let (wake, woken) = UnixStream::pair().context("make the pipe that wakes the ring's reader")?;
    wake.set_nonblocking(true)
        .context("set up the pipe that wakes the ring's reader")?;
    woken
        .set_nonblocking(true)
        .context("set up the pipe that wakes the ring's reader")?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    if let Some(fanotify) = fanotify {
        let (stop, inputs) = (Arc::clone(&stop), inputs.clone());
        let read = move || read_fanotify(fanotify, &inputs, &stop);
        threads.push(spawn("fanotify", read)?);
    }
    let reader = RingReader {
        records,
        inputs: inputs.clone(),
        asked,
        woken,
        shared,
    };
    let read_stop = Arc::clone(&stop);
    threads.push(spawn("ring", move || reader.run(&read_stop))?);
    let settler = Settler {
        asked: Arc::new(Mutex::new((asks, wake))),
    };
    Ok(Watching {
        settler,
        stop,
        threads,
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread
        .spawn(work)
        .with_context(|| format!("start the thread `{name}`"))
}

fn read_fanotify(mut fanotify: Fanotify, inputs: &SyncSender<Input>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let signals = fanotify.read(Duration::from_millis(100));
        if !signals.is_empty() && inputs.send(Input::Signals(signals)).is_err() {
            return;
        }
    }
}

struct RingReader {
    records: probes::Records,
    inputs: SyncSender<Input>,
    asked: Receiver<SyncSender<()>>,
    woken: UnixStream,
    shared: Arc<Shared>,
}

impl RingReader {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.records.wait(LOOK, self.woken.as_fd());
            let mut wakes = [0; 64];
            while matches!(self.woken.read(&mut wakes), Ok(count) if count > 0) {}
            if self.take_all().is_none() {
                return;
            }
        }
    }

    /// Hands on records until none came for a while; none when nobody takes them any more.
    fn take_all(&mut self) -> Option<()> {
        loop {
            let count = self.take()?;
            while let Ok(answer) = self.asked.try_recv() {
                self.take()?;
                self.inputs.send(Input::Settle(answer)).ok()?;
            }
            if count == 0 {
                return Some(());
            }
            thread::sleep(LINGER);
        }
    }

    /// Hands on the records that are there; tells how many, or none when nobody takes them.
    fn take(&mut self) -> Option<usize> {
        let mut batch = Records::default();
        let mut taken = true;
        let inputs = &self.inputs;
        let count = self.records.drain(|record| {
            batch.bytes.extend_from_slice(record);
            batch.ends.push(batch.bytes.len());
            if batch.bytes.len() >= BATCH_BYTES {
                taken &= inputs
                    .send(Input::Records(std::mem::take(&mut batch)))
                    .is_ok();
            }
        });
        if !batch.ends.is_empty() {
            taken &= inputs.send(Input::Records(batch)).is_ok();
        }
        add(&self.shared.records, count);
        taken.then_some(count)
    }
}
