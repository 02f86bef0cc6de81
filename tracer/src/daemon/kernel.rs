//! The threads that take what the kernel tells and hand it to the pipeline, in order.
//!
//! Somebody who asks goes through all of them: the ring's reader, then fanotify's where there is
//! one, then the pipeline. Each hands on first what the kernel had told it by then.

mod bell;

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use change::Text;

use self::bell::{Bell, Door, Knock, bell};
use super::budget::Budget;
use super::shared::{Shared, add};
use super::{
    Asker, Input, PROCESSES_BYTES, RECORDS_BYTES, Records, SIGNALS_BYTES, bus, mounts, privileges,
    services,
};
use crate::bus::Bus;
use crate::capture::Capture;
use crate::fanotify::{FULL_QUEUE, Fanotify, Signal};
use crate::probes;

/// Where observations come from.
pub(super) struct Source {
    pub(super) records: probes::Records,
    pub(super) fanotify: Option<Fanotify>,
    pub(super) bus: Option<Bus>,
    pub(super) capture: Arc<Capture>,
}

impl Source {
    pub(super) fn watching(&self) -> privileges::Watching {
        match self.fanotify {
            Some(_) => privileges::Watching::Fanotify,
            None => privileges::Watching::Programs,
        }
    }
}

/// How long the ring is looked at again after it was empty: records in that time wake nobody.
const LINGER: Duration = Duration::from_millis(10);
/// How long at most a record lies in the ring that did not wake the daemon. Fanotify's reader looks
/// as often whether it is to end.
const LOOK: Duration = Duration::from_secs(1);
/// How long to leave a program that is filling in a record before looking again.
const FILLING: Duration = Duration::from_millis(1);
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

/// Says what came of settling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// All that happened until then is in the store.
    Written,
    /// It takes longer than somebody who asks should wait.
    Late,
    /// Nothing is written: the store takes nothing, or the daemon is ending.
    Refused,
}

/// Makes sure that what happened until now is in the store.
#[derive(Clone)]
pub(super) struct Settler {
    bell: Arc<Mutex<Bell>>,
}

impl Settler {
    /// Waits until all is written. A question `about` a file is about it even if it waits for its
    /// true name.
    pub(super) fn settle(&self, about: Option<Text>) -> Settled {
        let (answer, answered) = sync_channel(1);
        self.ask(Asker { about, answer });
        match answered.recv_timeout(PATIENCE) {
            Ok(()) => Settled::Written,
            Err(RecvTimeoutError::Disconnected) => Settled::Refused,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("what is in hand was not written within {PATIENCE:?}");
                Settled::Late
            }
        }
    }

    fn ask(&self, asker: Asker) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.ring(Knock::Ask(asker));
    }

    /// Something was mounted or unmounted.
    pub(super) fn mounts_changed(&self) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.ring(Knock::Mounts);
    }

    /// Something happened to a service.
    pub(super) fn services_changed(&self, look: services::Look) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.ring(Knock::Services(Box::new(look)));
    }

    /// Something was heard on the system bus.
    pub(super) fn heard(&self, heard: bus::Heard) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.ring(Knock::Heard(Box::new(heard)));
    }
}

impl Watching {
    pub(super) fn settler(&self) -> Settler {
        self.settler.clone()
    }

    /// Hands on what the kernel has told until now, and ends the threads.
    pub(super) fn stop(self) {
        self.settler.settle(None);
        self.stop.store(true, Ordering::Relaxed);
        // Nobody waits for the answer; the threads wake up and see that they are to end.
        let (answer, _) = sync_channel(1);
        self.settler.ask(Asker {
            about: None,
            answer,
        });
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
    let Source {
        records,
        fanotify,
        bus,
        capture,
    } = source;
    let (ring_bell, ring_door) = bell()?;
    let records_bytes = if fanotify.is_some() {
        PROCESSES_BYTES
    } else {
        RECORDS_BYTES
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let mut fanotify_bell = None;
    if let Some(fanotify) = fanotify {
        let (bell, door) = bell()?;
        fanotify_bell = Some(bell);
        let reader = FanotifyReader {
            fanotify,
            inputs: inputs.clone(),
            budget: Budget::new(SIGNALS_BYTES),
            door,
        };
        let stop = Arc::clone(&stop);
        threads.push(spawn("fanotify", move || reader.run(&stop))?);
    }
    let reader = RingReader {
        records,
        inputs: inputs.clone(),
        budget: Budget::new(records_bytes),
        door: ring_door,
        next: fanotify_bell,
        shared: Arc::clone(&shared),
    };
    let read_stop = Arc::clone(&stop);
    threads.push(spawn("ring", move || reader.run(&read_stop))?);
    let settler = Settler {
        bell: Arc::new(Mutex::new(ring_bell)),
    };
    let to_tell = settler.clone();
    // Nobody waits for it to end: it holds nothing that is to be written.
    drop(spawn("mounts", move || mounts::watch(&to_tell))?);
    let to_tell = settler.clone();
    drop(spawn("services", move || {
        services::watch(&to_tell, &capture);
    })?);
    if let Some(bus) = bus {
        let to_tell = settler.clone();
        drop(spawn("bus", move || bus::listen(bus, &to_tell, &shared))?);
    }
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

struct FanotifyReader {
    fanotify: Fanotify,
    inputs: SyncSender<Input>,
    budget: Budget,
    door: Door,
}

impl FanotifyReader {
    fn run(mut self, stop: &AtomicBool) {
        let mut is_wanted = Some(());
        while is_wanted.is_some() && !stop.load(Ordering::Relaxed) {
            let signals = self.fanotify.read(LOOK, self.door.woken.as_fd());
            is_wanted = self.hand_on(signals);
            for knock in self.door.open() {
                is_wanted = is_wanted.and_then(|()| self.pass_on(knock));
            }
        }
    }

    /// None when nobody takes it any more.
    fn pass_on(&mut self, knock: Knock) -> Option<()> {
        // An event is in the queue before the call that caused it returns: what the asker has done
        // is read now.
        for _ in 0..FULL_QUEUE {
            let Some(signals) = self.fanotify.read_now() else {
                break;
            };
            self.hand_on(signals)?;
        }
        if matches!(knock, Knock::Mounts) && self.fanotify.remount() {
            self.inputs.send(Input::Remounted).ok()?;
        }
        self.inputs.send(knock.into()).ok()
    }

    /// None when nobody takes it any more.
    fn hand_on(&self, mut signals: Vec<Signal>) -> Option<()> {
        if signals.is_empty() {
            return Some(());
        }
        signals.shrink_to_fit();
        let bytes: usize = signals.iter().map(Signal::bytes).sum();
        let share = self.budget.take(bytes);
        self.inputs.send(Input::Signals(signals, share)).ok()
    }
}

struct RingReader {
    records: probes::Records,
    inputs: SyncSender<Input>,
    budget: Budget,
    door: Door,
    /// Where to send askers next; none where the pipeline comes next.
    next: Option<Bell>,
    shared: Arc<Shared>,
}

impl RingReader {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.records.wait(LOOK, self.door.woken.as_fd());
            if self.take_all().is_none() {
                return;
            }
        }
    }

    /// Hands on records until none came for a while; none when nobody takes them any more.
    fn take_all(&mut self) -> Option<()> {
        loop {
            let count = self.take()?;
            for knock in self.door.open() {
                self.take_until_empty()?;
                match &mut self.next {
                    Some(bell) => bell.ring(knock),
                    None => self.inputs.send(knock.into()).ok()?,
                }
            }
            if count == 0 {
                return Some(());
            }
            thread::sleep(LINGER);
        }
    }

    /// Hands on every record that was begun until now, also those behind one that a program is still
    /// filling in: it may be interrupted on its processor, or that processor by its hypervisor.
    fn take_until_empty(&mut self) -> Option<()> {
        let begun = Instant::now();
        self.take()?;
        // Under a load without a pause the ring may never be seen empty.
        while !self.records.is_empty() && begun.elapsed() < LOOK {
            thread::sleep(FILLING);
            self.take()?;
        }
        Some(())
    }

    /// Hands on the records that are there; tells how many, or none when nobody takes them.
    fn take(&mut self) -> Option<usize> {
        let mut batch = Records::default();
        let mut taken = true;
        let (inputs, budget) = (&self.inputs, &self.budget);
        let hand_on = |mut batch: Records| {
            // What grows by doubling takes up to twice of what is counted.
            batch.bytes.shrink_to_fit();
            batch.ends.shrink_to_fit();
            let share = budget.take(batch.bytes.len() + size_of_val(&*batch.ends));
            inputs.send(Input::Records(batch, share)).is_ok()
        };
        let count = self.records.drain(|record| {
            batch.bytes.extend_from_slice(record);
            batch.ends.push(batch.bytes.len());
            if batch.bytes.len() >= BATCH_BYTES {
                taken &= hand_on(std::mem::take(&mut batch));
            }
        });
        if !batch.ends.is_empty() {
            taken &= hand_on(batch);
        }
        add(&self.shared.records, count);
        taken.then_some(count)
    }
}
