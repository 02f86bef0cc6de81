//! The test executables for the host and the guests, several of them at a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;
use std::{ptr, thread};

use anyhow::{Error, Result};

use super::passed::{Known, Record};
use super::{Summary, once};
use crate::guests::{self, Binaries, Guest, Verdict};
use crate::kernels::Kernel;
use crate::output::{block, line, step};
use crate::process::{as_root, follow};
use crate::{build, coverage};

/// One more than CI has cores: each takes a thread, which waits for a quarter of its time. With more, a guest's
/// processor is left alone for so long that its kernel takes it for broken.
const GUESTS_AT_A_TIME: usize = 3;

/// Where a test executable runs.
pub(super) enum Place {
    /// Here, watching by fanotify.
    Host,
    Guest(Guest, Kernel),
}

impl Place {
    fn target(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest(guest, _) => guest.name(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Guest(guest, kernel) => format!("{} {}", guest.name(), kernel.release),
        }
    }

    /// The column of the coverage that its tests prove.
    fn column(&self) -> Option<&'static str> {
        match self {
            Self::Host => Some(coverage::HOST),
            Self::Guest(_, kernel) => coverage::column(&kernel.release),
        }
    }

    /// Whether the tests there prove their column as a whole.
    fn has_ways(&self) -> bool {
        !matches!(self, Self::Guest(Guest::Debian, _))
    }
}

/// What the tests run.
#[derive(Clone, Copy)]
struct Programs<'a> {
    tracer: &'a Path,
    /// Only tests on the host and in Debian have one.
    collector: Option<&'a Path>,
}

/// A test executable with the place where it runs.
struct Job<'a> {
    place: &'a Place,
    tests: PathBuf,
}

/// What came of a job.
struct Ran<'a> {
    place: &'a Place,
    said: Vec<String>,
    seconds: u64,
    end: End,
}

/// How a job ended.
enum End {
    Passed,
    /// With all the same.
    PassedBefore(Known),
    Failed(Error),
    /// A guest failed; its console may tell why.
    FailedInGuest(String, String),
}

/// How tests are to run.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    /// What the test executables are told, such as a test's name.
    pub(super) args: &'a [String],
    /// Whether what one kernel is enough for is left out on the others.
    pub(super) is_matrix: bool,
    /// Whether also what passed before, with all the same, runs.
    pub(super) again: bool,
}

/// Builds the test executables and runs each in its place, then tells what came of them in the order
/// of the places.
pub(super) fn run(places: &[Place], how: How<'_>, summary: &mut Summary) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    step("build for the host and the guests");
    let tracer = build::tracer()?;
    let has_one = |place: &Place| matches!(place, Place::Host | Place::Guest(Guest::Debian, _));
    let collector = places.iter().any(has_one);
    let collector = collector.then(build::collector).transpose()?;
    let programs = Programs {
        tracer: &tracer,
        collector: collector.as_deref(),
    };
    let jobs: Result<Vec<Job<'_>>> = places
        .iter()
        .map(|place| {
            let tests = build::tests(place.target())?;
            Ok(Job { place, tests })
        })
        .collect();
    step("test: host and guests");
    let (host, guests): (Vec<_>, Vec<_>) = jobs?
        .into_iter()
        .partition(|job| matches!(job.place, Place::Host));
    let host = host.into_iter().next();
    let (waiting, done) = (Mutex::new(VecDeque::from(guests)), Mutex::new(Vec::new()));
    let run = |job| {
        let ran = Job::run(job, programs, how);
        if let Ok(mut done) = done.lock() {
            done.push(ran);
        }
    };
    let work = || {
        // A statement of its own, so that the lock isn't held while the job runs.
        while let Some(job) = pop(&waiting) {
            run(job);
        }
    };
    thread::scope(|scope| {
        // Mostly waiting, the host's tests run beside the guests, which leave the processor to them.
        scope.spawn(|| host.map(run));
        for _ in 0..GUESTS_AT_A_TIME {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|ran| {
        let is_this = |place: &Place| ptr::eq(place, ran.place);
        places.iter().position(is_this)
    });
    for ran in done {
        ran.report(how.args.is_empty(), summary);
    }
    Ok(())
}

fn pop<'a>(waiting: &Mutex<VecDeque<Job<'a>>>) -> Option<Job<'a>> {
    waiting.lock().ok()?.pop_front()
}

impl<'a> Job<'a> {
    fn run(self, programs: Programs<'_>, how: How<'_>) -> Ran<'a> {
        let Self { place, tests } = self;
        let name = place.name();
        let started = Instant::now();
        let mut said = Vec::new();
        let mut on_line = |text: &str| {
            line(format!("{name} | {text}"));
            said.push(text.to_owned());
        };
        let end = match place {
            Place::Host => on_host(programs, &tests, how.args, &mut on_line),
            Place::Guest(guest, kernel) => {
                let Programs { tracer, collector } = programs;
                let binaries = Binaries {
                    tracer,
                    collector: collector.filter(|_| *guest == Guest::Debian),
                    tests: &tests,
                };
                in_guest((*guest, kernel), &binaries, how, &mut on_line).unwrap_or_else(End::Failed)
            }
        };
        Ran {
            place,
            said,
            seconds: started.elapsed().as_secs(),
            end,
        }
    }
}

/// In a guest, unless that is known to pass.
fn in_guest(
    (guest, kernel): (Guest, &Kernel),
    binaries: &Binaries<'_>,
    how: How<'_>,
    on_line: &mut dyn FnMut(&str),
) -> Result<End> {
    let mut args = how.args.to_vec();
    if how.is_matrix {
        args.extend(once::left_out(guest, kernel));
    }
    let record = Record::of((guest, kernel), binaries, &args)?;
    if let Some(known) = record.known().filter(|_| !how.again) {
        return Ok(End::PassedBefore(known));
    }
    let mut said = Vec::new();
    let verdict = guests::run(guest, kernel, binaries, &args, &mut |text| {
        on_line(text);
        said.push(text.to_owned());
    })?;
    if verdict.passed() {
        record.keep(&said)?;
    }
    Ok(End::of_guest(verdict))
}

/// The daemon end to end, here: no probes, since it's not for us to load them into this kernel. One
/// test at a time, as what another one forks would hold a file open that was written and closed.
fn on_host(
    programs: Programs<'_>,
    tests: &Path,
    args: &[String],
    on_line: &mut dyn FnMut(&str),
) -> End {
    let Programs { tracer, collector } = programs;
    let collector = collector.unwrap_or(Path::new(""));
    let mut command = as_root("env");
    command
        .arg(format!("TRACER={}", tracer.display()))
        .arg(format!("COLLECTOR={}", collector.display()))
        .arg("TRACER_GUEST=host")
        .arg(tests)
        .arg("--test-threads=1")
        .args(args);
    match follow(&mut command, on_line) {
        Ok(()) => End::Passed,
        Err(error) => End::Failed(error),
    }
}

impl End {
    fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::PassedBefore(_))
    }

    fn of_guest(verdict: Verdict) -> Self {
        if verdict.passed() {
            return Self::Passed;
        }
        let why = match verdict.end {
            Ok(code) => format!("the tests ended with {code}"),
            Err(why) => why,
        };
        Self::FailedInGuest(why, verdict.console)
    }
}

impl Ran<'_> {
    /// Tells of it, and takes what it proved. `is_whole` says that no test was left out.
    fn report(self, is_whole: bool, summary: &mut Summary) {
        let Self {
            place,
            said,
            seconds,
            end,
        } = self;
        let (name, passed) = (place.name(), end.is_good());
        let said = match &end {
            End::PassedBefore(known) => &known.said,
            _ => &said,
        };
        if let Some(column) = place.column() {
            let coverage = &mut summary.coverage;
            for text in said {
                coverage.take(column, text);
            }
            if place.has_ways() && is_whole && passed {
                coverage.complete(column);
            }
        }
        match &end {
            End::PassedBefore(known) => {
                let minutes = known.ago.as_secs() / 60;
                let before = format!(
                    "{name}, {minutes} min ago with all the same; `--again` runs it once more"
                );
                summary.harness(&before, said);
            }
            _ => summary.harness(&format!("{name}, {seconds} s"), said),
        }
        match end {
            End::Passed | End::PassedBefore(_) => {}
            End::Failed(error) => summary.failed(&name, &error),
            End::FailedInGuest(why, console) => {
                block(&format!("console of {name}"), &console);
                summary.failed(&name, &Error::msg(why));
            }
        }
    }
}
