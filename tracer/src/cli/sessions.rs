//! `tracer sessions`: the listing of sessions.

use change::wire::{Page, SessionBody};
use clap::{Args, value_parser};

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// List who was logged in, newest first, and how much each session changed
#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=1000))]
    number: u32,
}

impl SessionsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { number } = self;
        let request = Request::new("/v1/sessions").text("n", Some(number));
        let page: Page<SessionBody> = context.client()?.get(&request)?;
        if page.items.is_empty() {
            return context.nothing("no session is known");
        }
        for item in &page.items {
            context.output.answer(item, output::session_line)?;
        }
        Ok(Exit::Found)
    }
}
