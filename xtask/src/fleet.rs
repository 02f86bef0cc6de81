//! `cargo xtask fleet`: a simulated fleet in a collector's store, for looking at and for measuring.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::output::step;
use crate::process::run as run_command;
use crate::{build, postgres};

#[derive(Args)]
pub(crate) struct FleetArgs {
    /// How many hosts, of about 3,000 facts each; 100 or more
    #[arg(long, value_name = "N", default_value_t = 1000)]
    hosts: u64,
    /// How many changes each host logs
    #[arg(long, value_name = "N", default_value_t = 20)]
    changes: u64,
    /// Keep the store in this directory; without it the store is removed at the end
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Keep the store on this PostgreSQL server, `postgres://…`; with `own` on one that is begun for it and ends with it
    #[arg(long, value_name = "URL", conflicts_with = "state_dir")]
    store: Option<String>,
    /// How many threads send at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    senders: usize,
    /// Send each host's log by itself, this many hosts at a time, as tracers do that send what happens at once
    #[arg(long, value_name = "HOSTS")]
    live: Option<usize>,
}

/// Fills a store, asks it the questions, and prints what each cost. Fails where a question does not find what was
/// planted.
pub(crate) fn run(args: &FleetArgs) -> Result<()> {
    let FleetArgs {
        hosts,
        changes,
        state_dir,
        store,
        senders,
        live,
    } = args;
    step(format!("simulate a fleet of {hosts} hosts"));
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "simulation",
            "--",
        ])
        .arg(format!("--hosts={hosts}"))
        .arg(format!("--changes={changes}"))
        .current_dir(build::root());
    cargo.arg(format!("--senders={senders}"));
    if let Some(live) = live {
        cargo.arg(format!("--live={live}"));
    }
    if let Some(url) = store {
        cargo.arg("--store").arg(url);
        postgres::hand_to(&mut cargo)?;
    }
    if let Some(dir) = state_dir {
        cargo.arg("--state-dir").arg(std::path::absolute(dir)?);
    }
    run_command(&mut cargo)
}
