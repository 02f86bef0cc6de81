//! `tracer blame`: who brought each line.

use std::ffi::OsString;

use change::wire::BlameBody;
use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::{self, Request};
use crate::output;

/// Show for each line of a file the change that brought it
#[derive(Debug, Args)]
pub(super) struct BlameArgs {
    /// The file
    path: OsString,
}

impl BlameArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { path } = self;
        let file = subject::file(&path)?;
        let request = Request::new("/v1/blame").bytes("path", file.key.as_bytes());
        let body = match context.client()?.get::<BlameBody>(&request) {
            Ok(body) => body,
            Err(client::Error::Refused(problem)) if problem.kind == "not-found" => {
                return context.nothing(&problem.detail);
            }
            Err(error) => return Err(error.into()),
        };
        context.output.answer(&body, output::blame)?;
        Ok(Exit::Found)
    }
}
