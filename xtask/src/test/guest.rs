//! One kind of guest over a list of kernels, two at a time.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::Result;

use super::Summary;
use crate::guests::{self, Binaries, Guest, Verdict};
use crate::kernels::Kernel;
use crate::output::{block, line, step};
use crate::{build, coverage};

/// As many as CI has cores.
const AT_A_TIME: usize = 2;

/// The daemon that all guests get.
pub(super) struct Built {
    tracer: PathBuf,
}

impl Built {
    /// Builds it.
    pub(super) fn tracer() -> Result<Self> {
        step("build for the guests");
        Ok(Self {
            tracer: build::tracer()?,
        })
    }
}

/// Runs the guest's tests with every kernel and tells what came of them.
pub(super) fn stage(
    guest: Guest,
    kernels: &[Kernel],
    built: &Built,
    args: &[String],
    summary: &mut Summary,
) -> Result<()> {
    let tests = build::tests(guest.name())?;
    let binaries = Binaries {
        tracer: &built.tracer,
        tests: &tests,
    };
    step(format!("test: {} guests", guest.name()));
    let waiting: Mutex<VecDeque<&Kernel>> = Mutex::new(kernels.iter().collect());
    let done = Mutex::new(Vec::new());
    let work = || {
        // A statement of its own, so that the lock isn't held while the guest runs.
        while let Some(kernel) = pop(&waiting) {
            let name = format!("{} {}", guest.name(), kernel.release);
            let mut said = Vec::new();
            let verdict = guests::run(guest, kernel, &binaries, args, &mut |text| {
                line(format!("{name} | {text}"));
                said.push(text.to_owned());
            });
            if let Ok(mut done) = done.lock() {
                done.push((name, kernel, verdict, said));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    for (name, kernel, verdict, said) in done.into_inner().unwrap_or_default() {
        if let Some(column) = coverage::column(&kernel.release) {
            let coverage = &mut summary.coverage;
            for text in &said {
                coverage.take(column, text);
            }
            if guest == Guest::Tiny && args.is_empty() && verdict.is_ok() {
                coverage.complete(column);
            }
        }
        report(&name, verdict, summary);
    }
    Ok(())
}

fn pop<'a>(waiting: &Mutex<VecDeque<&'a Kernel>>) -> Option<&'a Kernel> {
    waiting.lock().ok()?.pop_front()
}

fn report(name: &str, verdict: Result<Verdict>, summary: &mut Summary) {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => return summary.failed(name, &error),
    };
    let passed = verdict.passed();
    let Verdict {
        end,
        summary: closing,
        console,
        duration,
    } = verdict;
    summary
        .lines
        .push(format!("-- {name}, {} s from power-on", duration.as_secs()));
    summary.lines.extend(closing);
    if passed {
        return;
    }
    block(&format!("console of {name}"), &console);
    let why = match end {
        Ok(code) => format!("the tests ended with {code}"),
        Err(why) => why,
    };
    summary.failed(name, &anyhow::Error::msg(why));
}
