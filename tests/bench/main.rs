//! The benchmarks inside their guest: acts with and without the daemon in the same boot, and prints
//! what it measured as a JSON object a line. `cargo xtask bench` makes the tables of it.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod daemon;
mod workloads;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use daemon::Daemon;
use workloads::{Workload, Workloads};

/// How often each workload runs with the daemon; once more without, around and between.
const ROUNDS: usize = 5;
/// How many watched files the load writes, and how many the burst makes.
const LOAD: u64 = 10_000;
const BURST: u64 = 20_000;

/// How the daemon is configured for a load.
const CONFIGURATIONS: [(&str, &str); 2] = [
    ("kept", ""),
    ("off", "[content]\nkeep_bytes = 0\nhash_bytes = 0\n"),
];

fn main() -> Result<()> {
    // Without the test harness's own closing line a run counts as failed.
    let result = run();
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    println!("test result: {word}");
    result
}

fn run() -> Result<()> {
    let workloads = Workloads::prepare().context("prepare the workloads")?;
    times(&workloads)?;
    for (contents, configuration) in CONFIGURATIONS {
        load(&workloads, contents, configuration)
            .with_context(|| format!("measure the load with contents {contents}"))?;
    }
    Ok(())
}

/// What the workloads cost, with and without the daemon in turns.
fn times(workloads: &Workloads) -> Result<()> {
    for workload in Workload::ALL {
        workloads.run(workload, workload.operations())?;
    }
    for round in 0..ROUNDS {
        time_all(workloads, round, "nothing")?;
        let daemon = Daemon::start("")?;
        time_all(workloads, round, "tracer")?;
        let lost = Daemon::counters()?.lost;
        daemon.stop()?;
        ensure!(lost == 0, "the daemon lost {lost} records in round {round}");
    }
    time_all(workloads, ROUNDS, "nothing")
}

fn time_all(workloads: &Workloads, round: usize, with: &str) -> Result<()> {
    for workload in Workload::ALL {
        let operations = workload.operations();
        let cpu_ns = workloads.run(workload, operations)?;
        tell(&json!({
            "what": "time", "round": round, "with": with, "workload": workload.letter(),
            "operations": operations, "cpu_ns": cpu_ns,
        }));
    }
    Ok(())
}

/// What the daemon costs, and whether it loses anything, when much happens at once.
fn load(workloads: &Workloads, contents: &str, configuration: &str) -> Result<()> {
    let alone_ns = workloads.run(Workload::WatchedWrite, LOAD)?;
    let daemon = Daemon::start(configuration)?;
    let idle = daemon.memory()?;
    tell(&json!({"what": "memory", "contents": contents, "after": "start", "memory": idle}));

    let phases = [("writes", LOAD), ("creations", BURST)];
    for (name, operations) in phases {
        let (before, cpu_before) = (Daemon::counters()?, daemon.cpu_ns()?);
        let workload = match name {
            "writes" => Workload::WatchedWrite,
            _ => Workload::Creations,
        };
        let cpu_ns = workloads.run(workload, operations)?;
        daemon.wait_until_quiet()?;
        let daemon_ns = daemon.cpu_ns()? - cpu_before;
        let after = Daemon::counters()?;
        tell(&json!({
            "what": "load", "contents": contents, "phase": name, "operations": operations,
            "alone_ns": if name == "writes" { Value::from(alone_ns) } else { Value::Null },
            "cpu_ns": cpu_ns, "daemon_ns": daemon_ns,
            "records": after.file_records - before.file_records,
            "changes": after.changes - before.changes, "lost": after.lost - before.lost,
        }));
        let memory = daemon.memory()?;
        tell(&json!({"what": "memory", "contents": contents, "after": name, "memory": memory}));
    }
    daemon.stop()?;
    workloads.forget_creations()
}

fn tell(measured: &Value) {
    println!("{measured}");
}

/// Waits; under `-icount` that costs the host nothing.
fn pause(duration: Duration) {
    thread::sleep(duration);
}
