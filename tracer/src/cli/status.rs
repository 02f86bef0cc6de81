//! `tracer status`: how the daemon is.

use change::wire::StatusBody;
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// Show whether the daemon runs, since when the record is complete, and what it costs
#[derive(Debug, Args)]
pub(super) struct StatusArgs {}

impl StatusArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let body: StatusBody = context.client()?.get(&Request::new("/v1/status"))?;
        context.output.answer(&body, output::status)?;
        Ok(Exit::Found)
    }
}
