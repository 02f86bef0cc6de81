//! Stands in until the daemon is merged.

use crate::config::Config;

/// Runs the daemon until it is told to stop.
pub fn run(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("run daemon: this build has none")
}
