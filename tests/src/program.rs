//! Programs that a test runs: what they say, and what lets them run otherwise.

use std::process::{Command, Output};

use serde_json::Value;

/// Holds what a program said and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it complained of.
    pub errors: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Ended {
    let output = command.output();
    output
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"))
        .into()
}

/// The objects that a command of the tracer prints.
///
/// # Panics
/// When it fails; that it finds nothing is no failure.
pub fn objects(command: &mut Command) -> Vec<Value> {
    let asked = run(command);
    assert!(
        matches!(asked.code, Some(0 | 1)),
        "{command:?} ended with {:?}: {}",
        asked.code,
        asked.errors
    );
    let lines = asked.output.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Lets systemd run a program as a unit, with its output where `systemd-run`'s own goes.
pub(crate) fn as_service(unit: &str, program: &Command) -> Command {
    let mut starter = Command::new("systemd-run");
    starter
        .args(["--quiet", "--collect", "--wait", "--pipe", "--unit", unit])
        .arg(program.get_program())
        .args(program.get_args());
    starter
}

/// Lets a program run with mounts and a host name of its own.
pub(crate) fn unshared(program: &Command) -> Command {
    let mut starter = Command::new("unshare");
    starter
        .args(["--mount", "--uts"])
        .arg(program.get_program())
        .args(program.get_args());
    starter
}
