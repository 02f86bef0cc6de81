//! `tracer gaps`: the listing of gaps.

use change::Gap;
use change::wire::Page;
use clap::{Args, value_parser};

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// List the intervals for which the record is not complete, and why
#[derive(Debug, Args)]
pub(super) struct GapsArgs {
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=1000))]
    number: u32,
}

impl GapsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { number } = self;
        let request = Request::new("/v1/gaps").text("n", Some(number));
        let page: Page<Gap> = context.client()?.get(&request)?;
        if page.items.is_empty() {
            return context.nothing("there is no gap");
        }
        for item in &page.items {
            context.output.answer(item, output::gap_line)?;
        }
        Ok(Exit::Found)
    }
}
