//! `tracer who`: who changed this, and how.

use std::ffi::OsString;

use change::wire::WhoBody;
use clap::{Args, value_parser};

use super::{Context, Error, Exit, subject};
use crate::client::Request;
use crate::output;

/// Tell who changed something, when, from where and how
///
/// The newest change comes first: who made it in one sentence, the commands from the session's
/// shell down, and what changed in the content.
#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// What changed: a path, or `kind:key` like `sysctl:vm.swappiness`
    #[arg(value_name = "SUBJECT")]
    subject: OsString,
    /// Show this many changes
    #[arg(short, long = "number", value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    number: u32,
}

impl WhoArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { subject, number } = self;
        let subject = subject::subject(&subject)?;
        let request = Request::new("/v1/who")
            .subject(&subject)
            .text("n", Some(number));
        let body: WhoBody = context.client()?.get(&request)?;
        if body.changes.is_empty() {
            return context.nothing(&output::nothing_known(&body, &context.output.view));
        }
        if context.output.json {
            body.changes
                .iter()
                .try_for_each(|change| context.output.json(change))?;
        } else {
            context
                .output
                .text(&output::who(&body, &context.output.view))?;
        }
        Ok(Exit::Found)
    }
}
