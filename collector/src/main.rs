//! The program `tracer-collector`: parse, set up logging, dispatch, exit code.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use tracer_collector::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::from_command_line() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    log_to_stderr(if cli.is_server() { "info" } else { "warn" });
    cli::run(cli).into()
}

/// `TRACER_LOG` says what is logged, like `debug` or `tracer_collector::api=trace`.
fn log_to_stderr(usual: &str) {
    let filter =
        EnvFilter::try_from_env("TRACER_LOG").unwrap_or_else(|_unset| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
