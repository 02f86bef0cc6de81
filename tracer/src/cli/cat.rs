//! `tracer cat`: a file as it was.

use std::ffi::OsString;

use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::{self, Request};
use crate::output;

/// Print a file as it was at a time
#[derive(Debug, Args)]
pub(super) struct CatArgs {
    /// The file
    path: OsString,
    /// The time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: String,
}

impl CatArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { path, at } = self;
        let at = context.time("--at", &at)?;
        let file = subject::file(&path)?;
        let request = Request::new("/v1/content-at")
            .bytes("path", file.key.as_bytes())
            .text("at", Some(at));
        let bytes = match context.client()?.content(&request) {
            Ok(bytes) => bytes,
            Err(client::Error::Refused(problem))
                if ["not-found", "not-kept"].contains(&&*problem.kind) =>
            {
                context.output.note(&problem.detail);
                return Ok(Exit::Nothing);
            }
            Err(error) => return Err(error.into()),
        };
        // A file may obey a program, but may not command the terminal.
        if context.output.terminal {
            context
                .output
                .bytes(output::escape_lines(&bytes).as_bytes())?;
        } else {
            context.output.bytes(&bytes)?;
        }
        Ok(Exit::Found)
    }
}
