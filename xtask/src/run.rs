//! `cargo xtask run`: from a fresh checkout to a running tracer, in one command.

use anyhow::Result;
use clap::Args;

use crate::build;
use crate::output::{line, step};
use crate::process::{as_root, is_root, run as run_command};
use crate::tools::install_missing;

#[derive(Args)]
pub(crate) struct RunArgs {
    /// What to hand on to `tracer run`
    #[arg(last = true)]
    args: Vec<String>,
}

/// Installs, builds, says what to try, and runs the daemon in the foreground until it is
/// interrupted.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    install_missing(&[])?;
    step("build");
    let tracer = build::tracer()?;
    let shown = tracer
        .strip_prefix(build::root())
        .unwrap_or(&tracer)
        .display();
    let sudo = if is_root() { "" } else { "sudo " };

    step("the tracer starts as root and stops with Ctrl-C; try in another terminal, here");
    line(format!(
        "{sudo}{shown} doctor                 # what this kernel allows, and what is watched"
    ));
    line(format!("echo '# hello' | {sudo}tee -a /etc/hosts"));
    line(format!(
        "{sudo}{shown} who /etc/hosts         # who changed it, and how"
    ));
    line(format!(
        "{sudo}{shown} log --follow           # everything, as it happens"
    ));
    line("");
    run_command(
        as_root(&tracer.to_string_lossy())
            .arg("run")
            .args(&args.args),
    )
}
