//! `cargo xtask check`: everything that can be said about the code without running it.

use std::env::consts::ARCH;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::build::root;
use crate::files;
use crate::output::{line, step};
use crate::process::{quiet, run as run_command};
use crate::toolchain::Toolchain;
use crate::tools::{Need, install_missing, tool};

/// A check's name, and how it is done.
type Check = (&'static str, fn() -> Result<()>);

/// The quick ones first.
const CHECKS: [Check; 8] = [
    ("rules for files", files::check),
    ("format", format),
    ("format of TOML", toml),
    ("spelling", spelling),
    ("dependencies", dependencies),
    ("lints of the kernel half", lints_of_kernel_half),
    ("lints", lints),
    ("documentation", documentation),
];

/// Installs what is missing and runs all checks.
pub(crate) fn run() -> Result<()> {
    install_missing(&[Need::Check])?;
    all()
}

/// Runs all checks, also after one has failed.
pub(crate) fn all() -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        step(format!("check: {name}"));
        if let Err(error) = check() {
            line(format!("{error:#}"));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed checks: {}", failed.join(", "))
}

/// The nightly options in `.rustfmt.toml` shape what people write; the stable formatter checks the
/// rest, and its warnings about them say nothing new.
fn format() -> Result<()> {
    let mut fmt = cargo(&["fmt", "--all", "--check"]);
    let output = fmt.output().with_context(|| format!("start {fmt:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let useful: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("Warning: can't set"))
        .collect();
    Err(anyhow!("{}\nrun `cargo fmt --all`", useful.join("\n")))
}

fn toml() -> Result<()> {
    quiet(
        Command::new(tool("taplo")?)
            .args(["fmt", "--check"])
            .env("RUST_LOG", "error")
            .current_dir(root()),
    )
}

fn spelling() -> Result<()> {
    run_command(Command::new(tool("typos")?).current_dir(root()))
}

/// Known vulnerabilities are not among them: their list is not in the registries that CI reaches.
fn dependencies() -> Result<()> {
    let mut deny = Command::new(tool("cargo-deny")?);
    deny.args([
        "--log-level",
        "error",
        "--workspace",
        "--all-features",
        "check",
    ]);
    run_command(
        deny.args(["bans", "licenses", "sources"])
            .current_dir(root()),
    )
}

fn lints_of_kernel_half() -> Result<()> {
    let toolchain = Toolchain::find().map_err(|problem| anyhow!(problem))?;
    let target_dir = root().join("target/ebpf-check");
    run_command(toolchain.clippy(&target_dir, ARCH).current_dir(root()))
}

/// The executables for guests and host count as no targets of their package, unless asked for by
/// `--test` alone.
fn lints() -> Result<()> {
    let clippy = || cargo(&["clippy", "--quiet"]);
    let mut all = clippy();
    run_command(all.args(["--workspace", "--all-targets", "--", "-Dwarnings"]))?;
    let mut tests = clippy();
    tests.args(["--package", "tests", "--test", "*", "--", "-Dwarnings"]);
    // Whatever fails there fails a test.
    run_command(tests.args(["-Aclippy::unwrap_used", "-Aclippy::panic"]))
}

fn documentation() -> Result<()> {
    let mut doc = cargo(&[
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    run_command(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(args).current_dir(root());
    cargo
}
