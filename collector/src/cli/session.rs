//! `tracer-collector session`: what was run in one session of a host.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::questions::{OnHost, recap};

/// Tell what was run in a session of a host and what that changed
#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    /// The host
    host: String,
    /// The session's number, as `sessions` lists it; of several with it the newest is told
    id: u32,
}

impl SessionArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { host, id } = self;
        let (fleet, roster) = context.fleet()?;
        let host = roster.find(&host)?;
        let Some(body) = recap(&fleet, host.key, id)? else {
            return Ok(Exit::Nothing);
        };
        context
            .output
            .answer(&OnHost::new(host, body), output::recap)?;
        Ok(Exit::Found)
    }
}
