//! `tracer config`: the effective configuration.

use clap::Args;

use super::{Context, Error, Exit};
use crate::config;

/// Print the configuration in effect, and where each value comes from
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {}

impl ConfigArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let loaded = context.config()?;
        if context.output.json {
            context.output.json(&loaded.config)?;
        } else {
            context.output.text(&config::effective(&loaded))?;
        }
        Ok(Exit::Found)
    }
}
