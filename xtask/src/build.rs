//! `cargo xtask build`: the static binaries, which run on this host and in any guest alike.

use std::env;
use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::output::{line, step};
use crate::process::follow;
use crate::tools::install_missing;

/// Builds the daemon and the collector, and says where they are.
pub(crate) fn run() -> Result<()> {
    install_missing(&[])?;
    step("build");
    line(tracer()?.display());
    line(collector()?.display());
    Ok(())
}

/// Builds the daemon and returns where it is.
pub(crate) fn tracer() -> Result<PathBuf> {
    executable(
        cargo("build").args(["--package", "tracer", "--bin", "tracer"]),
        "tracer",
    )
}

/// Builds the collector and returns where it is.
pub(crate) fn collector() -> Result<PathBuf> {
    let name = "tracer-collector";
    executable(
        cargo("build").args(["--package", name, "--bin", name]),
        name,
    )
}

/// Builds what fills a collector's store with a simulated fleet, and returns where it is.
pub(crate) fn simulate() -> Result<PathBuf> {
    let name = "simulate";
    executable(
        cargo("build").args(["--package", "simulation", "--bin", name]),
        name,
    )
}

/// Builds one of the test executables of package `tests` and returns where it is.
pub(crate) fn tests(target: &str) -> Result<PathBuf> {
    executable(
        cargo("test").args(["--package", "tests", "--test", target, "--no-run"]),
        target,
    )
}

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Where cargo puts what it compiles.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns a `cargo` that links statically. Only for an explicit target do the flags spare build
/// scripts and macros, which can't be static.
fn cargo(subcommand: &str) -> Command {
    let target = format!("{ARCH}-unknown-linux-gnu");
    let flags = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.replace('-', "_").to_uppercase()
    );
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .env_remove("RUSTFLAGS")
        .env(flags, "-Ctarget-feature=+crt-static")
        .args([subcommand, "--quiet", "--release", "--target", &target])
        .args(["--message-format", "json-render-diagnostics"]);
    cargo
}

/// Runs cargo and takes the path of the executable called `name` from its messages.
fn executable(cargo: &mut Command, name: &str) -> Result<PathBuf> {
    let mut found = None;
    follow(cargo, |line| {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        if message["target"]["name"] == name {
            found = message["executable"]
                .as_str()
                .map(PathBuf::from)
                .or_else(|| found.take());
        }
    })?;
    found.with_context(|| format!("cargo built no executable called `{name}`"))
}
