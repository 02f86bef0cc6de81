//! Wires it together: ways of watching → decode → assemble → conclude → store, and the API beside
//! it. Owns start and shutdown.

mod budget;
mod bus;
mod clocks;
mod comparing;
mod decided;
mod heartbeat;
mod inventory;
mod kernel;
mod machine;
mod memory;
mod modules;
mod mounts;
mod packages;
mod parts;
mod pipeline;
mod privileges;
mod reconciling;
mod room;
mod services;
mod settings;
mod shared;
mod start;
mod this_host;
mod upkeep;
mod writing;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, bail};
use change::wire::CheckState;
use change::{Text, Timestamp};
use rustix::process::DumpableBehavior;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;

use crate::answers::Answers;
use crate::api::{self, ApiState, Forgetting};
use crate::config::Config;
use crate::fanotify::Signal;
use crate::reconcile::Difference;

use budget::Share;
pub(crate) use heartbeat::Heartbeat;
use kernel::Settler;
use pipeline::Pipeline;
use privileges::Own;
use shared::Shared;
pub(crate) use this_host::{hostname, known_machine_id};

/// What reaches the pipeline, in the order in which it is to be worked on.
enum Input {
    /// Records from the kernel, as bytes, with where each ends.
    Records(Records, Share),
    /// What fanotify told.
    Signals(Vec<Signal>, Share),
    /// Comparing trees and facts found something.
    Difference(Box<Difference>, Share),
    /// Comparing trees and facts has ended, with all of them compared or not.
    Reconciled { completely: bool },
    /// The machine was read.
    Machine(machine::Read),
    /// Something was mounted or unmounted, or the host has another name.
    Mounts,
    /// The services were looked at, as something happened to one.
    Services(Box<services::Look>),
    /// Something was heard on the system bus.
    Heard(Box<bus::Heard>),
    /// The roots were looked for again, as what is mounted in the trees is another: compare them.
    Remounted,
    /// Somebody asks: what can be told is to be written, and then this answered.
    Settle(Asker),
    /// Purge contents, and answer with the change that records it.
    Forget(Box<Forgetting>, SyncSender<Result<u64, String>>),
    /// Write everything and end.
    Stop,
}

/// Somebody who asks.
struct Asker {
    /// The file that the question is about, if it is about one.
    about: Option<Text>,
    answer: SyncSender<()>,
}

/// Records in one piece of memory.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// How many inputs may wait.
const QUEUE: usize = 1024;
/// How many bytes of records may wait; beyond, the kernel's buffer fills, and what it loses is counted.
/// A new file takes some 700, so that a burst of 30 000 waits here.
const RECORDS_BYTES: usize = 24 << 20;
/// How many of them where they tell of processes alone.
const PROCESSES_BYTES: usize = 6 << 20;
/// How many bytes of fanotify's signals may wait; beyond, they wait in the kernel, whose queue of
/// them knows no end.
const SIGNALS_BYTES: usize = 6 << 20;

/// How many questions are answered at once; others wait.
const QUESTIONS: usize = 8;

/// Runs the daemon until it is told to end by `SIGTERM` or `SIGINT`.
pub fn run(config: &Config) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("tracing needs root: start it with `sudo tracer run`");
    }
    // What it reads of files, and the key of the store, are to be in no core dump.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    memory::bound();
    let started = start::start(config)?;
    let shared = Arc::clone(&started.shared);
    let watching = started.source.watching();
    let own = Own {
        state_dir: config.state_dir.clone(),
        store: started.store_path.clone(),
        socket_dir: privileges::socket_folder(&config.socket),
    };
    let group = (!config.socket_group.is_empty()).then_some(config.socket_group.as_str());
    let socket = api::bind(&config.socket, group)?;
    // All that needs more has been done; the threads that follow inherit what is left.
    keep_needed(watching, &own, &shared);
    let listener_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(QUESTIONS)
        .enable_all()
        .build()
        .context("start the API's threads")?;
    let listener = {
        let _entered = listener_runtime.enter();
        UnixListener::from_std(socket).context("watch the socket")?
    };
    let (inputs, queue) = sync_channel(QUEUE);
    let (changes, _) = broadcast::channel(1024);
    let watching = kernel::watch(started.source, &inputs, Arc::clone(&shared))?;
    let mut pipeline = started.pipeline;
    pipeline.publish_to(changes.clone());
    let settle = watching.settler();
    let work = spawn_pipeline(pipeline, queue, (inputs.clone(), settle.clone()))?;

    listener_runtime.spawn(Arc::clone(&shared.push).run());
    let push = Arc::clone(&shared.push);
    let state = ApiState {
        answers: Answers::new(started.store_path),
        changes,
        status: Arc::new(move || shared.status()),
        group: api::group_id(&config.socket_group),
        settle: Arc::new(move |about| settle.settle(about) == kernel::Settled::Written),
        forget: forgetter(inputs.clone()),
        enrolled: Arc::new(move || push.enrolled()),
    };
    listener_runtime.block_on(api::serve(listener, state, ended()));
    tracing::info!("ending: writing what is in hand");
    watching.stop();
    if inputs.send(Input::Stop).is_err() {
        tracing::warn!("the pipeline has ended before the daemon");
    }
    let ended = work
        .join()
        .map_err(|_panic| anyhow::anyhow!("the pipeline panicked"))?;
    listener_runtime.shutdown_background();
    drop(std::fs::remove_file(&config.socket));
    ended
}

fn keep_needed(watching: privileges::Watching, own: &Own, shared: &Shared) {
    let problem = privileges::keep_needed(watching, own).err();
    if let Some(error) = &problem {
        tracing::warn!("{error:#}; the daemon goes on with more than it needs");
    }
    let check = privileges::prove(own, problem.as_ref());
    let name = check.name.clone();
    shared.set_check(&name, Some(check));
}

fn spawn_pipeline(
    mut pipeline: Pipeline,
    queue: Receiver<Input>,
    (inputs, settler): (SyncSender<Input>, Settler),
) -> anyhow::Result<thread::JoinHandle<anyhow::Result<()>>> {
    let work = move || {
        pipeline.reconcile(inputs, settler);
        pipeline.run(&queue).inspect_err(|error| {
            tracing::error!("the pipeline ends: {error:#}");
            // Without it nothing is recorded any more: end, and let the service manager start anew.
            let (own, term) = (rustix::process::getpid(), rustix::process::Signal::TERM);
            if let Err(error) = rustix::process::kill_process(own, term) {
                tracing::error!("end the daemon: {error}");
            }
        })
    };
    thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(work)
        .context("start the pipeline")
}

/// Hands what is to be purged to the pipeline, which owns the one writer.
fn forgetter(inputs: SyncSender<Input>) -> Arc<api::Forget> {
    Arc::new(move |forgetting| {
        let (answer, answered) = sync_channel(1);
        let handed = inputs.send(Input::Forget(Box::new(forgetting), answer));
        let ended = "the daemon is ending";
        handed.map_err(|_closed| ended.to_owned())?;
        answered.recv().map_err(|_closed| ended.to_owned())?
    })
}

/// Waits for the signal to end.
async fn ended() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be awaited: end the daemon with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one clock, which everything else is given"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_nanos(since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }))
}

/// Whether something is not as it should be, so that a user wants to know at start.
fn is_worse_than_ok(state: CheckState) -> bool {
    state != CheckState::Ok
}
