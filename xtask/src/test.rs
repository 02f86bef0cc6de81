//! `cargo xtask test`: everything that CI runs, the quick things first, each to its end.

mod api;
mod harness;
mod once;
mod passed;

use std::process::Command;
use std::time::Instant;
use std::{mem, thread};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};

use self::harness::{How, Place};
use crate::coverage::Coverage;
use crate::guests::Guest;
use crate::kernels::{self, Kernel};
use crate::output::{line, step};
use crate::process::follow;
use crate::tools::{Need, install_missing};
use crate::{build, check, fuzz, guests, postgres};

#[derive(Args)]
pub(crate) struct TestArgs {
    /// Run one stage instead of all
    #[arg(long, value_name = "STAGE")]
    only: Option<Stage>,
    /// Use only this line of kernels, such as 6.1, with all tests; also one that is not in the matrix
    #[arg(long, value_name = "PREFIX")]
    kernel: Option<String>,
    /// Run also the guests that passed within a day, with the same programs, kernel and disk
    #[arg(long)]
    again: bool,
    /// Write what the tests prove into `docs/coverage.md`, where it is compared otherwise
    #[arg(long)]
    write_coverage: bool,
    /// What to hand on to the test executables of guests and host, such as a test's name
    #[arg(last = true)]
    args: Vec<String>,
}

/// The stages, in the order in which they run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// The checks of `cargo xtask check`
    Check,
    /// What needs neither kernel nor second process
    Unit,
    /// The decoders of foreign bytes, for a bounded number of a fuzzer's inputs
    Fuzz,
    /// The collector's HTTP API, against its description
    Api,
    /// The daemon on this host, watching by fanotify
    Host,
    /// The probes, on every kernel of the matrix
    Tiny,
    /// The stories in a real Debian, on two kernels
    Debian,
}

/// The kernels for the stories: one that Debian's stable release runs, and the newest.
const STORY_KERNELS: [&str; 2] = ["6.12", "7"];

/// Lines for the end of the output: what ran, and what its harness said.
#[derive(Default)]
struct Summary {
    lines: Vec<String>,
    failed: Vec<String>,
    coverage: Coverage,
}

impl Summary {
    fn failed(&mut self, name: &str, error: &anyhow::Error) {
        line(format!("{name} failed: {error:#}"));
        self.failed.push(name.to_owned());
    }

    /// Notes what a harness has said at its end.
    fn harness(&mut self, heading: &str, said: &[String]) {
        self.lines.push(format!("-- {heading}"));
        let closing = said.iter().filter(|text| text.starts_with("test result:"));
        self.lines.extend(closing.cloned());
    }

    fn finish(mut self, write_coverage: bool) -> Result<()> {
        step("results");
        self.lines.iter().for_each(line);
        if let Err(error) = mem::take(&mut self.coverage).finish(write_coverage) {
            self.failed("coverage", &error);
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", self.failed.join(", "))
    }
}

/// Runs the stages asked for, and fails at the end if one of them has failed.
pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let wanted = |stage| args.only.is_none_or(|only| only == stage);
    let in_guests = wanted(Stage::Tiny) || wanted(Stage::Debian);
    let mut needs = Vec::new();
    needs.extend(wanted(Stage::Check).then_some(Need::Check));
    needs.extend(wanted(Stage::Fuzz).then_some(Need::Fuzz));
    needs.extend(in_guests.then_some(Need::Guests));
    needs.extend(wanted(Stage::Api).then_some(Need::Api));
    install_missing(&needs)?;
    let mut summary = Summary::default();
    // Downloads and images take minutes, of which most is waiting: they go on beside the compiling.
    let material = in_guests.then(|| {
        let (lines, debian) = (lines(args), wanted(Stage::Debian));
        thread::spawn(move || prepare(&lines, debian))
    });

    if wanted(Stage::Check) {
        record(&mut summary, "check", check::all());
    }
    if wanted(Stage::Unit) {
        let result = unit(&mut summary);
        record(&mut summary, "unit", result);
    }
    if wanted(Stage::Fuzz) {
        record(&mut summary, "fuzz", fuzz::all(fuzz::BOUNDED));
    }
    if wanted(Stage::Api) {
        record(&mut summary, "api", api::run());
    }
    let mut places = Vec::new();
    places.extend(wanted(Stage::Host).then_some(Place::Host));
    if let Some(material) = material {
        let kernels = material
            .join()
            .map_err(|_panic| anyhow!("the preparation of guests panicked"))?;
        match kernels {
            Ok(kernels) => places.extend(guests_for(args, &kernels)),
            Err(error) => summary.failed("guests", &error),
        }
    }
    let how = How {
        args: &args.args,
        is_matrix: args.kernel.is_none(),
        again: args.again,
    };
    let result = harness::run(&places, how, &mut summary);
    record(&mut summary, "host and guests", result);
    summary.finish(args.write_coverage)
}

fn record(summary: &mut Summary, name: &str, result: Result<()>) {
    if let Err(error) = result {
        summary.failed(name, &error);
    }
}

fn lines(args: &TestArgs) -> Vec<String> {
    match (&args.kernel, args.only) {
        (Some(line), _) => vec![line.clone()],
        (None, Some(Stage::Debian)) => STORY_KERNELS.map(str::to_owned).into(),
        (None, _) => kernels::MATRIX.map(str::to_owned).into(),
    }
}

/// The guests asked for, those with the longest tests first.
fn guests_for(args: &TestArgs, kernels: &[Kernel]) -> Vec<Place> {
    let wanted = |stage| args.only.is_none_or(|only| only == stage);
    let tells_stories = |kernel: &&Kernel| {
        args.kernel.is_some()
            || STORY_KERNELS
                .iter()
                .any(|line| kernels::is_of_line(&kernel.release, line))
    };
    let mut places = Vec::new();
    if wanted(Stage::Debian) {
        let debian = kernels.iter().filter(tells_stories).cloned();
        places.extend(debian.map(|kernel| Place::Guest(Guest::Debian, kernel)));
    }
    if wanted(Stage::Tiny) {
        let tiny = kernels.iter().cloned();
        places.extend(tiny.map(|kernel| Place::Guest(Guest::Tiny, kernel)));
    }
    places
}

fn prepare(lines: &[String], debian: bool) -> Result<Vec<Kernel>> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let kernels = kernels::fetch(&lines).context("fetch the kernels")?;
    guests::build_image(Guest::Tiny)?;
    if debian {
        guests::build_image(Guest::Debian)?;
    }
    Ok(kernels)
}

/// The tests of all packages, but for the executables that are for guests.
fn unit(summary: &mut Summary) -> Result<()> {
    step("test: unit");
    let mut cargo = Command::new("cargo");
    postgres::hand_to(&mut cargo)?;
    follow_tests(
        cargo
            .args(["test", "--workspace"])
            .current_dir(build::root()),
        "unit",
        summary,
    )
}

/// Prints a harness's output and keeps its closing lines.
fn follow_tests(command: &mut Command, name: &str, summary: &mut Summary) -> Result<()> {
    let started = Instant::now();
    let mut said = Vec::new();
    let result = follow(command, |text| {
        line(text);
        said.push(text.to_owned());
    });
    let seconds = started.elapsed().as_secs();
    summary.harness(&format!("{name}, {seconds} s"), &said);
    result
}
