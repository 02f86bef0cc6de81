//! `tracer session`: the recap of one session.

use change::wire::RecapBody;
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// Tell what was run in a session and what that changed
#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    /// The session's number, as `tracer sessions` lists it
    id: u32,
}

impl SessionArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { id } = self;
        let request = Request::new(&format!("/v1/sessions/{id}"));
        let Some(body) = context.client()?.find::<RecapBody>(&request)? else {
            return context.nothing(&format!("session {id} made no change that is known"));
        };
        context.output.answer(&body, output::recap)?;
        Ok(Exit::Found)
    }
}
