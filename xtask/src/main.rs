//! `cargo xtask`: what we run by hand and in CI. This file is the list of tasks.

mod bench;
mod build;
mod cache;
mod check;
mod coverage;
mod files;
mod fleet;
mod fuzz;
mod guests;
mod kernels;
mod mirror;
mod output;
mod postgres;
mod process;
mod run;
mod test;
#[expect(dead_code, reason = "`tracer/build.rs` uses the rest of it")]
mod toolchain;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

/// Build, run, check and test the tracer
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, build, and start the tracer on this host
    Run(run::RunArgs),
    /// Install what is missing and build static binaries
    Build,
    /// Check format, lints, documentation, dependencies, spelling and the rules for files
    Check,
    /// Run everything that CI runs: the checks and all tests, also those in guests
    Test(test::TestArgs),
    /// Measure in guests what the tracer costs, and print it
    Bench(bench::BenchArgs),
    /// Fill a collector's store with a simulated fleet, ask it the questions, and print what each cost
    Fleet(fleet::FleetArgs),
    /// Feed the decoders of foreign bytes with what a fuzzer comes up with
    Fuzz(fuzz::FuzzArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(task: Option<Task>) -> Result<()> {
    match task {
        None => Ok(Cli::command().print_help()?),
        Some(Task::Run(args)) => run::run(&args),
        Some(Task::Build) => build::run(),
        Some(Task::Check) => check::run(),
        Some(Task::Test(args)) => test::run(&args),
        Some(Task::Bench(args)) => bench::run(&args),
        Some(Task::Fleet(args)) => fleet::run(&args),
        Some(Task::Fuzz(args)) => fuzz::run(&args),
    }
}
