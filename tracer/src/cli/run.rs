//! `tracer run`: the daemon.

use clap::Args;

use super::{Context, Error, Exit};
use crate::daemon;

/// Run the daemon in the foreground
#[derive(Debug, Args)]
pub(super) struct RunArgs {}

impl RunArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        daemon::run(&context.config()?.config).map_err(Error::Daemon)?;
        Ok(Exit::Found)
    }
}
