//! `cargo xtask fuzz`: the decoders of foreign bytes, fed by libFuzzer with what leads it to new code.
//!
//! cargo-fuzz itself asks for a nightly compiler, for the address sanitizer. What leads the fuzzer is a pass of LLVM's, which the
//! stable compiler runs too. That finds what there is to be found in code without `unsafe`: panics, arithmetic that
//! overflows, endless loops, and memory that a few bytes ask for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::build::{root, target_folder};
use crate::output::{line, step};
use crate::process::run as run_command;
use crate::tools::{Need, install_missing};

/// What each target is fed in `cargo xtask test`: some seconds, and the same number everywhere.
pub(crate) const BOUNDED: Extent = Extent::Runs(200_000);
/// No input is longer than this, in bytes.
const LONGEST: u32 = 64 << 10;
/// No input takes more memory, in MiB, with what the fuzzer itself remembers.
const MEMORY_MIB: u32 = 1024;
/// No input takes longer, in seconds: a slow machine's millisecond is not a second.
const PATIENCE: u32 = 20;

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// Feed only this target; see `tracer/fuzz/fuzz_targets`
    target: Option<String>,
    /// Feed each target for so long
    #[arg(long, value_name = "MINUTES", default_value_t = 1)]
    minutes: u32,
}

/// How much a target is fed.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// So many inputs.
    Runs(u32),
    /// So long.
    Minutes(u32),
}

impl Extent {
    fn argument(self) -> String {
        match self {
            Self::Runs(runs) => format!("-runs={runs}"),
            Self::Minutes(minutes) => format!("-max_total_time={}", 60 * minutes),
        }
    }
}

/// Feeds the targets asked for, for as long as was asked.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    install_missing(&[Need::Fuzz])?;
    let FuzzArgs { target, minutes } = args;
    let mut wanted = targets()?;
    if let Some(name) = target {
        if !wanted.contains(name) {
            bail!(
                "there is no target `{name}`; there are: {}",
                wanted.join(", ")
            );
        }
        wanted.retain(|target| target == name);
    }
    feed(&wanted, Extent::Minutes(*minutes))
}

/// Feeds all targets.
pub(crate) fn all(extent: Extent) -> Result<()> {
    feed(&targets()?, extent)
}

/// The targets by name: one is a file.
fn targets() -> Result<Vec<String>> {
    let folder = sources().join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("list `{}`", folder.display()))? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}

fn feed(targets: &[String], extent: Extent) -> Result<()> {
    step("build: the targets of the fuzzer");
    let programs = build()?;
    let mut failed = Vec::new();
    for target in targets {
        step(format!("fuzz: {target}"));
        if let Err(error) = feed_one(&programs.join(target), target, extent) {
            line(format!("{error:#}"));
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed targets: {}", failed.join(", "))
}

/// Builds all targets and returns their folder. Only what is ours is compiled for it: the rest is that of the unit tests.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "tracer-fuzz", "--bins"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", sources().join("instrument.sh"));
    run_command(cargo.current_dir(root()))?;
    Ok(target_folder().join("debug"))
}

/// Feeds one target, from what earlier runs found worth keeping; what makes it fail is kept beside that.
fn feed_one(program: &Path, target: &str, extent: Extent) -> Result<()> {
    let [corpus, found] = ["corpus", "found"].map(|kind| kept().join(kind).join(target));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    }
    let mut fuzzer = Command::new(program);
    fuzzer.args([
        extent.argument(),
        format!("-max_len={LONGEST}"),
        format!("-rss_limit_mb={MEMORY_MIB}"),
        format!("-timeout={PATIENCE}"),
        format!("-artifact_prefix={}/", found.display()),
    ]);
    let output = fuzzer.arg(&corpus).output();
    let output = output.with_context(|| format!("start `{}`", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        line(said);
        let (status, found) = (output.status, found.display());
        bail!("`{target}` ended with {status}; the input is in `{found}`");
    }
    let done = said.lines().filter(|text| text.contains("\tDONE "));
    done.for_each(line);
    Ok(())
}

fn sources() -> PathBuf {
    root().join("tracer/fuzz")
}

/// Where programs, inputs worth keeping and failures are.
fn kept() -> PathBuf {
    target_folder().join("fuzz")
}
