//! The unit that is shipped: what systemd says of it, where its tools are there, and whether the program takes what it
//! is started with.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]
#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-collector");
/// What `systemd-analyze security` may find at most: 1.2 is left for a service that listens.
const MOST_EXPOSED: &str = "--threshold=15";

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tracer-collector.service");
    fs::read_to_string(path).unwrap()
}

fn start() -> String {
    let unit = unit();
    let mut lines = unit.lines();
    let start = lines.find_map(|line| line.strip_prefix("ExecStart="));
    start.unwrap().to_owned()
}

/// The unit with the program that was built here, where only one that is there is good.
fn here(folder: &Path) -> PathBuf {
    let start = start();
    let installed = start.split(' ').next().unwrap();
    let path = folder.join("tracer-collector.service");
    fs::write(&path, unit().replace(installed, PROGRAM)).unwrap();
    path
}

/// Runs systemd's tool on the unit; none where this host has not got it.
fn analyze(args: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let mut tool = Command::new("systemd-analyze");
    match tool.args(args).arg(here(folder.path())).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: this host has no `systemd-analyze`");
            None
        }
        ended => Some(ended.unwrap()),
    }
}

fn told(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|bytes| String::from_utf8_lossy(bytes)).join("\n")
}

#[test]
fn systemd_finds_no_fault_in_the_unit() {
    if let Some(verified) = analyze(&["verify"]) {
        let told = told(&verified);
        assert!(verified.status.success(), "{told}");
        // What it does not know it ignores, and says so.
        assert!(!told.contains("tracer-collector.service:"), "{told}");
    }
}

#[test]
fn the_sandbox_leaves_little_open() {
    if let Some(judged) = analyze(&["security", "--offline=yes", MOST_EXPOSED]) {
        assert!(judged.status.success(), "{}", told(&judged));
    }
}

#[test]
fn the_program_takes_what_the_unit_starts_it_with() {
    let start = start();
    let args = start.split(' ').skip(1);
    // Help is given once all before it was read.
    let helped = Command::new(PROGRAM)
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    assert!(helped.status.success(), "{}", told(&helped));
}

#[test]
fn the_ports_that_it_listens_on_are_those_that_it_may() {
    let unit = unit();
    let allowed = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SocketBindAllow=tcp:"));
    let mut allowed: Vec<_> = allowed.map(str::to_owned).collect();
    let start = start();
    let ports = start
        .split(' ')
        .filter_map(|word| Some(word.rsplit_once(':')?.1.to_owned()));
    let mut ports: Vec<_> = ports.collect();
    allowed.sort();
    ports.sort();
    assert_eq!(allowed, ports);
}
