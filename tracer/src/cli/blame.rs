//! `tracer blame`: who brought each line.

use std::ffi::OsString;

use change::wire::BlameBody;
use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::Request;
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
        let Some(body) = context.client()?.find::<BlameBody>(&request)? else {
            return context.nothing(&format!("no content of {file} is kept"));
        };
        context.output.answer(&body, output::blame)?;
        Ok(Exit::Found)
    }
}
