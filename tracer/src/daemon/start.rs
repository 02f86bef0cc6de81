//! Brings everything up: the store, what is watched, and the best way to watch on this kernel.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use change::wire::{CheckBody, CheckState};
use change::{Gap, GapReason, Timestamp};

use super::clocks::Clocks;
use super::comparing::{Comparing, first_comparison};
use super::decided::Waiting;
use super::heartbeat::Heartbeat;
use super::kernel::Source;
use super::machine::MachineSeen;
use super::modules::ModulesSeen;
use super::mounts::MountsSeen;
use super::pipeline::{Pipeline, set_checks};
use super::room::Room;
use super::services::ServicesSeen;
use super::settings::Written;
use super::this_host::{self, this_host};
use super::upkeep::{Losses, watch_roots};
use super::{Shared, bus, is_worse_than_ok, now, packages, privileges};
use crate::assemble::Assembler;
use crate::bus::Bus;
use crate::capture::{Capture, CaptureConfig};
use crate::conclude::{Conclude, Host};
use crate::config::{Config, Mode};
use crate::decode::Decoder;
use crate::enrich::Enrich;
use crate::fanotify::Fanotify;
use crate::inventory::Inventory;
use crate::probes::{self, Probes, Scope, selftest};
use crate::push::{self, Push};
use crate::reconcile::Began;
use crate::store::{Batch, Reader, Writer};
use crate::trees::Trees;

/// Everything that runs from now on.
pub(super) struct Started {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Source,
    pub(super) pipeline: Pipeline,
    pub(super) store_path: PathBuf,
}

/// The way of watching that was chosen.
struct Watch {
    probes: Probes,
    records: probes::Records,
    fanotify: Option<Fanotify>,
    bus: Option<Bus>,
    mode: &'static str,
    checks: Vec<CheckBody>,
}

pub(super) fn start(config: &Config) -> anyhow::Result<Started> {
    let started = now();
    move_in(config)?;
    let store_path = config.state_dir.join("tracer.db");
    let mut writer = Writer::open(&store_path)?;
    let host = this_host(&mut writer)?;
    let capture = Arc::new(capture(config, &mut writer)?);
    let inventory = inventory(config, &capture)?;
    let trees = Arc::new(trees(config, &inventory)?);
    let mut watch = choose(config, &trees, &inventory)?;
    know_self(&mut watch.probes)?;
    if watch.fanotify.is_none() {
        let limit = watch_roots(&mut watch.probes, &trees.roots());
        watch.checks.extend(limit);
    }
    warn_of(&watch.checks);
    // Only now: what changed before is found by comparing.
    let (attached, began, reader) = (now(), Began::now(), Reader::open(&store_path)?);
    let enrich = enrich(config, &reader, attached)?;
    let heartbeat = Heartbeat::beside(&config.socket, attached);
    let complete_until = heartbeat.complete_until(&reader)?;
    writer.commit(Batch {
        gaps: gaps(&reader, complete_until, attached, &watch)?,
        heartbeat: Some(attached),
        ..Batch::default()
    })?;
    let push = Arc::new(Push::new(push::Settings::of(config), now));
    let shared = Arc::new(shared(&host, started, (&watch, &trees), &store_path, push));
    set_checks(&shared, watch.checks);
    tracing::info!("watching {} trees by {}", trees.roots().len(), watch.mode);
    let pipeline = Pipeline {
        shared: Arc::clone(&shared),
        writer,
        store_path: store_path.clone(),
        trees: Arc::clone(&trees),
        capture: Arc::clone(&capture),
        modules: ModulesSeen::default(),
        waiting: Waiting::default(),
        mounts: MountsSeen::new(attached),
        machine: MachineSeen::of(&reader, complete_until)?,
        services: ServicesSeen::default(),
        written: Written::of_own_namespaces(),
        watches_by_probes: watch.fanotify.is_none(),
        decoder: Decoder::new(watch.probes.tells_results_of_sysctls()),
        probes: watch.probes,
        enrich,
        conclude: Conclude::new(host, trees, Arc::clone(&capture), reader)
            .with_owners(inventory.owners(&shared.trees)),
        inventory,
        assembler: Assembler::default(),
        comparing: Comparing::new(began, complete_until, due(config, &shared, attached)),
        horizon: attached,
        heartbeat,
        clocks: Clocks::read(),
        committed: attached,
        losses: Losses::none_until(attached),
        room: Room::default(),
        synced: attached,
        tidy_at: None,
        changes: None,
        inputs: None,
    };
    Ok(Started {
        shared,
        source: Source {
            records: watch.records,
            fanotify: watch.fanotify,
            bus: watch.bus,
            capture,
        },
        pipeline,
        store_path,
    })
}

fn shared(
    host: &Host,
    started: Timestamp,
    (watch, trees): (&Watch, &Arc<Trees>),
    store_path: &Path,
    push: Arc<Push>,
) -> Shared {
    Shared {
        host: host.clone(),
        started,
        mode: watch.mode,
        trees: Arc::clone(trees),
        store_path: store_path.to_owned(),
        checks: Mutex::default(),
        records: AtomicU64::new(0),
        file_records: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        changes: AtomicU64::new(0),
        is_comparing: AtomicBool::new(true),
        push,
    }
}

/// Knows what runs now, and goes on with the runs that the store knows.
fn enrich(config: &Config, reader: &Reader, now: Timestamp) -> anyhow::Result<Enrich> {
    let mut enrich = Enrich::new(Path::new("/"));
    enrich.set_tools(config.runs.tools());
    enrich.resume_runs(reader.newest_run()?, reader.runs_at_work()?);
    enrich.scan(now);
    Ok(enrich)
}

/// What the host is made of besides files, with what only root may read.
fn inventory(config: &Config, capture: &Arc<Capture>) -> anyhow::Result<Inventory> {
    let made = Inventory::new(config, Arc::clone(capture));
    let mut inventory = made.context("read the globs of mounts that are no news")?;
    if let Err(error) = inventory.read_as_root() {
        tracing::warn!("read the sysctls that only root may read: {error}");
    }
    Ok(inventory)
}

/// What the configuration watches, and the databases that tell of what is no file.
fn trees(config: &Config, inventory: &Inventory) -> anyhow::Result<Trees> {
    let databases = inventory.databases();
    let found =
        Trees::discover_with_names(&config.watch, &databases, &config.ignore, &config.state_dir);
    found.context("find the trees to watch")
}

fn warn_of(checks: &[CheckBody]) {
    for check in checks.iter().filter(|check| is_worse_than_ok(check.state)) {
        tracing::warn!("{}: {}", check.name, check.detail);
    }
}

/// Chooses the way to see file changes, and adds what else is not seen.
fn choose(config: &Config, trees: &Arc<Trees>, inventory: &Inventory) -> anyhow::Result<Watch> {
    let mut watch = best(config, trees)?;
    watch.checks.extend(packages::check(inventory));
    let (bus, unheard) = bus::open();
    watch.bus = bus;
    watch.checks.extend(unheard);
    Ok(watch)
}

/// The best way that there is: programs on the kernel's functions, or else fanotify.
fn best(config: &Config, trees: &Arc<Trees>) -> anyhow::Result<Watch> {
    let refused = match config.mode {
        Mode::Fanotify => "the configuration asks for fanotify".to_owned(),
        Mode::Auto | Mode::Trampolines => match by_probes(config) {
            Ok(watch) => return Ok(watch),
            Err(probes::Error::Trampolines(why)) if config.mode == Mode::Auto => why,
            Err(error) => return Err(anyhow!(error).context("attach to the kernel")),
        },
    };
    let (probes, records) = Probes::load(Scope::Processes).context("attach to the kernel")?;
    let fanotify = match Fanotify::start(Arc::clone(trees)) {
        Ok(fanotify) => fanotify,
        Err(error) => bail!(
            "file changes cannot be seen on this kernel: programs at its functions: {refused}; \
             fanotify: {error}; run it with CAP_SYS_ADMIN, or on a kernel that allows one of both"
        ),
    };
    let mut checks = probes.checks().to_vec();
    checks.insert(0, CheckBody {
        name: "file changes".to_owned(),
        state: CheckState::Degraded,
        detail: format!(
            "seen by fanotify, as programs at the kernel's functions are refused ({refused}); not \
             seen: who wrote through a shared descriptor, and what a process did whose descriptor \
             others still hold"
        ),
    });
    checks.push(CheckBody {
        name: "mounts".to_owned(),
        state: CheckState::Degraded,
        detail: "not seen: who mounts and unmounts, and who turns swap space on and off".to_owned(),
    });
    checks.push(settings_check(&fanotify));
    for unwatched in fanotify.unwatched() {
        let detail = format!(
            "not seen: changes in `{}`: {}",
            unwatched.path, unwatched.error
        );
        let name = "watched tree".to_owned();
        checks.push(CheckBody {
            name,
            state: CheckState::Missing,
            detail,
        });
    }
    Ok(Watch {
        probes,
        records,
        fanotify: Some(fanotify),
        bus: None,
        mode: "fanotify",
        checks,
    })
}

/// Whether writes to the switches of sysfs are seen.
fn settings_check(fanotify: &Fanotify) -> CheckBody {
    let (state, detail) = match fanotify.unwatched_settings() {
        None => (CheckState::Ok, "seen by fanotify".to_owned()),
        Some(error) => (
            CheckState::Degraded,
            format!("found only by comparing: changes of kernel settings under `/sys`; {error}"),
        ),
    };
    CheckBody {
        name: "kernel settings".to_owned(),
        state,
        detail,
    }
}

fn by_probes(config: &Config) -> Result<Watch, probes::Error> {
    let (mut probes, mut records) = Probes::load(Scope::All)?;
    selftest::run(&mut probes, &mut records, &config.state_dir)?;
    let mut checks = probes.checks().to_vec();
    checks.insert(
        0,
        CheckBody {
            name: "file changes".to_owned(),
            state: CheckState::Ok,
            detail: "seen by programs at the kernel's functions".to_owned(),
        },
    );
    Ok(Watch {
        probes,
        records,
        fanotify: None,
        bus: None,
        mode: "trampolines",
        checks,
    })
}

/// The gaps that are known at start: the time since the daemon ran last, and what cannot be seen.
fn gaps(
    reader: &Reader,
    complete_until: Option<Timestamp>,
    attached: Timestamp,
    watch: &Watch,
) -> anyhow::Result<Vec<Gap>> {
    let mut gaps = Vec::new();
    if let Some(from) = complete_until {
        let detail = "the daemon was not running".to_owned();
        let reason = GapReason::Stopped;
        gaps.push(Gap {
            id: 0,
            from,
            to: Some(attached),
            reason,
            detail,
        });
    }
    if let Some(open) = reader.open_gap(GapReason::Unseen)? {
        gaps.push(Gap {
            to: Some(attached),
            ..open
        });
    }
    let unseen: Vec<String> = watch
        .checks
        .iter()
        .filter(|check| is_worse_than_ok(check.state))
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    if !unseen.is_empty() {
        let (reason, detail) = (GapReason::Unseen, unseen.join("\n"));
        gaps.push(Gap {
            id: 0,
            from: attached,
            to: None,
            reason,
            detail,
        });
    }
    Ok(gaps)
}

/// Makes the programs pass over what this process does, and see the mounts that it sees.
fn know_self(probes: &mut Probes) -> anyhow::Result<()> {
    let namespace = fs::metadata("/proc/self/ns/mnt").context("look at the own mount namespace")?;
    probes.know(std::process::id(), u32::try_from(namespace.ino())?)?;
    Ok(())
}

/// How often to compare without a reason to, and when first.
fn due(config: &Config, shared: &Shared, started: Timestamp) -> (Duration, Timestamp) {
    let period = Duration::from_secs(config.compare_seconds.into());
    (period, first_comparison(&shared.host.id, period, started))
}

/// Makes the daemon live in its own folder alone.
fn move_in(config: &Config) -> anyhow::Result<()> {
    // Where it was started from must not be kept from being unmounted.
    std::env::set_current_dir("/").context("leave the working directory")?;
    make_folder(&config.state_dir)
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path);
    made.with_context(|| format!("make the folder `{}`", path.display()))?;
    let owner = fs::metadata(path)
        .with_context(|| format!("look at the folder `{}`", path.display()))?
        .uid();
    if ![0, privileges::OWN_ID].contains(&owner) {
        bail!(
            "keep the store in `{folder}`: the folder belongs to the user {owner}, who could replace \
             what is in it; `chown root: {folder}`",
            folder = path.display()
        );
    }
    let own = fs::Permissions::from_mode(0o750);
    fs::set_permissions(path, own).with_context(|| format!("protect `{}`", path.display()))
}

fn capture(config: &Config, writer: &mut Writer) -> anyhow::Result<Capture> {
    let host_key = this_host::secret_key(writer)?;
    let config = CaptureConfig {
        keep_bytes: config.content.keep_bytes,
        hash_bytes: config.content.hash_bytes,
        secret_globs: config.secrets.paths.clone(),
        secret_contents: config.secrets.content,
        host_key,
    };
    Capture::new(config).context("read the globs of secrets")
}
