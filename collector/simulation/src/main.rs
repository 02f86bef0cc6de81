//! `simulate`: fills a collector's store with a simulated fleet, asks it the questions, and prints what each cost.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod drift;
mod spent;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use change::wire::{self, Batch};
use change::{Kind, Timestamp};
use clap::Parser;
use simulation::host::Host;
use simulation::inventory::{Role, hostname, subject};
use simulation::server::Server;
use simulation::truths;
use tempfile::TempDir;
use tracer_collector::fleet::{Fleet as _, HostId, LogQuery};
use tracer_collector::follow::Follower;
use tracer_collector::questions::{
    GroupSide, Noise, Roster, Side, SuspectQuery, TimelineQuery, compare, compare_groups, explain,
    outliers, suspects, timeline,
};
use tracer_collector::store::{Arrival, Location, Reader, Store, Tidy};

use self::spent::{Spent, rate};

/// Fill a collector's store with a simulated fleet, ask it the questions, and print what each cost
///
/// Every hundredth host had its libc6 upgraded, and three database servers have a kernel parameter otherwise than
/// the rest: the questions must find both.
#[derive(Parser)]
struct Args {
    /// How many hosts
    #[arg(long, default_value_t = 1000)]
    hosts: u64,
    /// How many changes each host logs
    #[arg(long, default_value_t = 20)]
    changes: u64,
    /// Keep the store in this directory, which must have none; without it the store is removed at the end
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Keep the store on this PostgreSQL server, in a database or a schema without tables: `postgres://…`; with `own` on
    /// one that is begun for it, and ends with it
    #[arg(long, value_name = "URL", conflicts_with = "state_dir")]
    store: Option<String>,
    /// How many threads send at a time
    #[arg(long, default_value_t = 1)]
    senders: usize,
    /// Send each host's log by itself, this many hosts at a time, as tracers do that send what happens at once
    #[arg(long, value_name = "HOSTS")]
    live: Option<usize>,
    /// At the end remove what was before the upgrade
    #[arg(long)]
    tidy: bool,
}

/// So many hosts go to the disk at once.
const AT_ONCE: usize = 64;
/// So many hosts one thread stands for, one after the other, where they send live.
const EACH: usize = 32;
/// Each question is asked so often, and the median told.
const ASKED: usize = 5;
const HOUR_NS: i64 = 3_600_000_000_000;

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(
        args.hosts >= truths::BAD_ONE_IN,
        "`--hosts {}`: with fewer than {} hosts none is bad, and nothing is to be found; give more",
        args.hosts,
        truths::BAD_ONE_IN
    );
    let temporary = match args.state_dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("make a folder for the store")?),
    };
    let temporary = temporary.as_ref().map(TempDir::path);
    let state_dir = args.state_dir.as_deref().or(temporary);
    let state_dir = state_dir.context("there is no folder for the store")?;
    let own = args.store.as_ref().filter(|url| *url == "own");
    let own = own.map(|_| Server::begin()).transpose()?;
    let location = match (&own, &args.store) {
        (Some(server), _) => server.place()?.parse()?,
        (None, Some(url)) => url.parse()?,
        (None, None) => Location::within(state_dir),
    };
    println!("| what | cost |\n|---|---|");
    fill((state_dir, &location), &args)?;
    let bytes = Reader::open(&location)?.bytes(&location)?;
    println!("| store on the disk | {} MiB |", bytes >> 20);
    if let Some(server) = &own {
        // What its own housekeeping does within a minute or so.
        timed_once("vacuum and analyze", || server.say("VACUUM ANALYZE"))?;
    }
    ask(&location, &args)?;
    if args.tidy {
        tidy(&location)?;
    }
    println!("| most memory at any time | {} MiB |", peak_memory_mib()?);
    Ok(())
}

fn begun() -> Timestamp {
    Timestamp::from_parts(1_795_000_000, 0)
}

fn upgraded() -> Timestamp {
    begun().plus_nanos(24 * HOUR_NS)
}

fn now() -> Timestamp {
    begun().plus_nanos(26 * HOUR_NS)
}

fn role(number: u64) -> Role {
    if number.is_multiple_of(2) {
        Role::Db
    } else {
        Role::Web
    }
}

fn is_bad(number: u64) -> bool {
    number.is_multiple_of(truths::BAD_ONE_IN)
}

/// Sends each host's baseline, and then each host's log.
fn fill((state_dir, location): (&Path, &Location), args: &Args) -> Result<()> {
    let store = Store::open(location)?;
    let mut hosts: Vec<Host> = (1..=args.hosts)
        .map(|number| Host::new(number, role(number)))
        .collect();
    let (mut spent, mut facts) = (Spent::default(), 0);
    let senders = args.senders.max(1);
    for hosts in hosts.chunks(AT_ONCE * senders) {
        let frames = |host: &Host| Ok((host.id(), wire::encode(&host.baseline(begun()))?));
        let frames = hosts.iter().map(frames).collect::<Result<Vec<_>>>()?;
        let send = |frames| take(&store, frames, begun(), |batch| batch.facts.len());
        facts += spent.on_each(frames.chunks(AT_ONCE), send)?;
    }
    rate("baseline", facts, "facts", spent);
    let path = state_dir.join("rules.toml");
    fs::write(&path, drift::rules())?;
    let mut follower = Follower::open(location, Some(&path), begun())?;
    drift::follow(&mut follower, "drift: the first look through all")?;
    let (mut spent, mut changes, mut bytes) = (Spent::default(), 0, 0);
    let round = args
        .live
        .map_or(AT_ONCE * senders, |live| live.max(1) * EACH);
    for hosts in hosts.chunks_mut(round) {
        let mut frames = Vec::new();
        for host in hosts {
            let batch = log_of(host, args.changes);
            frames.push((host.id(), wire::encode(&batch)?));
        }
        bytes += frames.iter().map(|(_, frame)| frame.len()).sum::<usize>();
        changes += if args.live.is_some() {
            spent.on_each(frames.chunks(EACH), |frames| take_each(&store, frames))?
        } else {
            // In as many parts as there are senders, however few hosts there are.
            let part = frames.len().div_ceil(senders).clamp(1, AT_ONCE);
            let send = |frames| take(&store, frames, now(), |batch| batch.changes.len());
            spent.on_each(frames.chunks(part), send)?
        };
    }
    rate("log", changes, "changes", spent);
    println!(
        "| frame for each change | {} bytes |",
        bytes / changes.max(1)
    );
    drift::follow(
        &mut follower,
        &format!("drift: following {changes} changes"),
    )?;
    drift::follow(&mut follower, "drift: nothing new")
}

/// Decodes frames and takes them in, as the collector does; how many rows they had.
fn take(
    store: &Store,
    frames: &[(HostId, Vec<u8>)],
    received: Timestamp,
    count: impl Fn(&Batch) -> usize,
) -> Result<usize> {
    let batches = frames.iter().map(|(_, frame)| Ok(wire::decode(frame)?));
    let batches = batches.collect::<Result<Vec<Batch>>>()?;
    let ids = frames.iter().map(|(id, _)| id);
    let arrival = |(sender, batch)| Arrival {
        sender,
        batch,
        received,
    };
    store.ingest_all(&ids.zip(&batches).map(arrival).collect::<Vec<_>>())?;
    Ok(batches.iter().map(count).sum())
}

/// Decodes one frame after the other and takes it in; how many changes they had.
fn take_each(store: &Store, frames: &[(HostId, Vec<u8>)]) -> Result<usize> {
    let mut changes = 0;
    for (id, frame) in frames {
        let batch = wire::decode(frame)?;
        changes += batch.changes.len();
        store.ingest(id, batch, now())?;
    }
    Ok(changes)
}

fn log_of(host: &mut Host, count: u64) -> Batch {
    let number = host.number;
    let mut changes = truths::everyday(number, count, upgraded().plus_nanos(-HOUR_NS));
    let mut runs = Vec::new();
    if is_bad(number) {
        let (upgrade, run) = truths::libc_upgrade("alice", upgraded());
        changes.extend(upgrade);
        runs.push(run);
    }
    if [4, 6, 8].contains(&number) {
        changes.push(truths::outlier(upgraded()));
    }
    changes.sort_by_key(|change| change.time);
    host.log(changes, runs, now())
}

/// Asks each question, and fails where the planted truth is not its first answer.
fn ask(location: &Location, args: &Args) -> Result<()> {
    let reader = Reader::open(location)?;
    let roster = Roster::read(&reader, begun())?;
    let noise = Noise::new(&[])?;
    let db = roster.group("role=db")?;
    let all = roster.group("all")?;
    let bad = (1..=args.hosts).filter(|number| is_bad(*number));
    let bad = roster.choose(&bad.map(hostname).collect::<Vec<_>>())?;
    let good = roster.choose(&["all".to_owned()])?.without(&bad);

    let sides = [roster.find("n4")?, roster.find("n10")?];
    let sides = sides.map(|host| Side { host, at: None });
    let found = timed("compare of two hosts", || {
        compare(&reader, &roster, sides, &noise)
    })?;
    let keys = found.differences.iter().map(|one| one.subject.clone());
    ensure!(
        keys.into_iter()
            .any(|key| key == subject(Kind::Sysctl, truths::OUTLIER)),
        "compare does not show the outlier"
    );
    let past = sides.map(|side| Side {
        at: Some(begun()),
        ..side
    });
    timed("compare of two hosts a day ago", || {
        compare(&reader, &roster, past, &noise)
    })?;

    let what = format!("outliers of {} hosts", db.len());
    let found = timed(&what, || outliers(&reader, &roster, &db, 10))?;
    let on_the_screen = found.outliers.iter().map(|outlier| &outlier.subject);
    let planted = subject(Kind::Sysctl, truths::OUTLIER);
    let place = on_the_screen
        .into_iter()
        .position(|found| *found == planted);
    let place = place.context("outliers do not show the planted one")?;
    println!("| – place of the planted one | {} |", place + 1);
    let what = format!("outliers of {} hosts", all.len());
    timed(&what, || outliers(&reader, &roster, &all, 10))?;

    let what = format!(
        "explain of {} against {}",
        bad.hosts.len(),
        good.hosts.len()
    );
    let found = timed(&what, || explain(&reader, &roster, [&bad, &good], 10))?;
    let first = found.splits.first().context("explain finds nothing")?;
    ensure!(
        first.subject == subject(Kind::Package, "libc6"),
        "explain tells {} first",
        first.subject
    );
    let query = SuspectQuery {
        at: upgraded().plus_nanos(HOUR_NS / 6),
        window_ns: 2 * HOUR_NS,
        most: 10,
    };
    let what = format!("suspects among {} hosts in 2 h", all.len());
    timed(&what, || suspects(&reader, &roster, &all, &query))?;
    drift::ask(&reader, &roster)?;
    let who = LogQuery {
        subject: Some(subject(Kind::Package, "libc6")),
        limit: 10,
        ..LogQuery::default()
    };
    let found = timed("who, over all hosts", || reader.log(&who))?;
    ensure!(!found.is_empty(), "nobody has touched libc6");
    ask_of_all(&reader, &roster)
}

/// The questions that are about many hosts at a time.
fn ask_of_all(reader: &Reader, roster: &Roster) -> Result<()> {
    let log = |path: Option<&str>| LogQuery {
        since: Some(upgraded().plus_nanos(-2 * HOUR_NS)),
        path: path.map(str::to_owned),
        limit: usize::MAX,
        ..LogQuery::default()
    };
    let rare = log(Some("/etc/ld.so.conf.d/*"));
    let found = timed("log by a path that few have changed", || reader.log(&rare))?;
    ensure!(!found.is_empty(), "nobody has touched the library's file");
    let query = TimelineQuery {
        log: log(None),
        within_ns: HOUR_NS / 12,
        folds_runs: true,
        most: 200,
    };
    let found = timed("timeline of all hosts, all changes", || {
        timeline(reader, roster, &query)
    })?;
    println!("| – lines | {} |", found.items.len() + found.left_out);
    for (what, at) in [("now", None), ("a day ago", Some(begun()))] {
        let noise = Noise::new(&[])?;
        let what = format!("compare of role=web with role=db, {what}");
        let found = timed(&what, || {
            let side = |name| GroupSide::new(reader, roster, (name, at));
            compare_groups(
                reader,
                roster,
                &[side("role=web")?, side("role=db")?],
                &noise,
            )
        })?;
        ensure!(!found.differences.is_empty(), "both roles are the same");
    }
    Ok(())
}

/// Removes nearly all of the log, and prints what that cost.
fn tidy(location: &Location) -> Result<()> {
    let mut tidy = Tidy::open(location)?;
    let begin = Instant::now();
    let planned = tidy.plan(upgraded())?;
    println!(
        "| tidy --dry-run | {:.1} s |",
        begin.elapsed().as_secs_f64()
    );
    let begin = Instant::now();
    let tidied = tidy.run(upgraded(), &|| false)?;
    ensure!(
        planned.changes == tidied.changes,
        "other changes were planned to go"
    );
    println!(
        "| tidy, half of it pauses: {} changes, {} values, {} actors, {} MiB given back | {:.1} s |",
        tidied.changes,
        tidied.values,
        tidied.actors,
        tidied.freed_bytes >> 20,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Asks several times, and prints the median of what it took.
fn timed<T, E>(what: &str, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut spent = Vec::new();
    let mut answer = None;
    for _ in 0..ASKED {
        let begin = Instant::now();
        answer = Some(ask()?);
        spent.push(begin.elapsed());
    }
    spent.sort();
    let median = spent[ASKED / 2].as_secs_f64() * 1e3;
    println!("| {what} | {median:.1} ms |");
    match answer {
        Some(answer) => Ok(answer),
        None => ask(),
    }
}

/// Does something once, and prints what it took.
fn timed_once<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    let done = work()?;
    println!("| {what} | {:.1} s |", begin.elapsed().as_secs_f64());
    Ok(done)
}

/// By the kernel's own account of this process.
fn peak_memory_mib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read the memory used")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.context("read `VmHWM`")? >> 10)
}
