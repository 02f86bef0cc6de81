//! `cargo xtask bench`: what the tracer costs, counted in instructions, so that it repeats whatever
//! else the host does. Nothing is asserted: read the tables, and hold them against
//! `docs/performance.md`.

mod table;

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::guests::{self, Binaries, Guest};
use crate::output::{block, line, step};
use crate::process::{as_root, run as run_command};
use crate::tools::{Need, install_missing};
use crate::{build, kernels};
use table::Table;

/// The kernels that other tools were measured on.
const LINES: [&str; 2] = ["6.1", "6.12"];

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Measure on this line of kernels only, such as 6.1
    #[arg(long, value_name = "PREFIX")]
    kernel: Option<String>,
    /// Measure a large store on this host instead of the costs of watching
    #[arg(long, conflicts_with = "kernel")]
    store: bool,
    /// Measure how long comparing large trees takes on this host instead
    #[arg(long, conflicts_with_all = ["kernel", "store"])]
    trees: bool,
    /// Measure what collecting the inventory of this host costs, with 2,000 packages, and what a quiet host costs
    #[arg(long, conflicts_with_all = ["kernel", "store", "trees"])]
    inventory: bool,
    /// How many changes that store has
    #[arg(
        long,
        value_name = "N",
        requires = "store",
        default_value_t = 10_000_000
    )]
    changes: u64,
}

/// Measures in a guest on each kernel, one after the other, and prints the tables.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if args.store {
        step(format!("measure a store of {} changes", args.changes));
        let mut cargo = Command::new("cargo");
        cargo
            .args([
                "bench",
                "--quiet",
                "--package",
                "tracer",
                "--bench",
                "store",
                "--",
            ])
            .arg(args.changes.to_string())
            .current_dir(build::root());
        return run_command(&mut cargo);
    }
    if args.trees {
        step("measure comparing the trees");
        return on_host("trees");
    }
    if args.inventory {
        step("measure collecting the inventory");
        return on_host("inventory");
    }
    install_missing(&[Need::Guests])?;
    step("build for the guests");
    let (tracer, tests) = (build::tracer()?, build::tests(Guest::Bench.name())?);
    let binaries = Binaries {
        tracer: &tracer,
        collector: None,
        tests: &tests,
    };
    let lines = args
        .kernel
        .as_deref()
        .map_or(LINES.to_vec(), |line| vec![line]);
    let mut failed = Vec::new();
    for kernel in kernels::fetch(&lines)? {
        step(format!("measure on {}", kernel.release));
        let mut table = Table::default();
        let verdict = guests::run(Guest::Bench, &kernel, &binaries, &[], &mut |text| {
            // Each measurement is shown as it comes, too: the tables take some minutes.
            table.take(text);
            line(text);
        })?;
        line(&table);
        if !verdict.passed() {
            block(&format!("console of {}", kernel.release), &verdict.console);
            failed.push(kernel.release);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("not measured to the end: {}", failed.join(", "))
}

/// Runs one of the measurements that need no guest.
fn on_host(name: &str) -> Result<()> {
    let mut command = as_root("env");
    command.arg(format!("TRACER={}", build::tracer()?.display()));
    run_command(command.arg(build::tests(name)?))
}
