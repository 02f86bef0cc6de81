//! `tracer show`: one change in full.

use change::wire::ChangeWithDiff;
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// Show one change with everything that is known of it
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The change's number, as `tracer log` shows it first
    seq: u64,
}

impl ShowArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { seq } = self;
        let request = Request::new(&format!("/v1/changes/{seq}"));
        let Some(found) = context.client()?.find::<ChangeWithDiff>(&request)? else {
            return context.nothing(&format!("there is no change {seq}"));
        };
        context.output.answer(&found, output::change_in_full)?;
        Ok(Exit::Found)
    }
}
