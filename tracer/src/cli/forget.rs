//! `tracer forget`: purges old contents of a file.

use std::ffi::OsString;

use change::wire::ForgetBody;
use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::Request;
use crate::output;

/// Purge the contents that are kept of a file; for root only
///
/// Their bytes are overwritten in the store, and the same bytes are never kept again, of any file.
/// Who changed the file and when stays, as do sizes, owners, attributes and hashes, so the hash chain
/// holds; that it was forgotten is a change itself. Where a copy of the store was taken before, it
/// still has them, and so may the disk below, outside of files.
///
/// What other files have or had too is kept, and they are named, unless `--shared` is given. So that
/// what the file holds in future is not kept either, add it to `secrets.paths`.
#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// The file
    path: OsString,
    /// Also purge what other files have or had too
    #[arg(long)]
    shared: bool,
}

impl ForgetArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { path, shared } = self;
        let file = subject::file(&path)?;
        let request = Request::post("/v1/forget")
            .patient()
            .bytes("path", file.key.as_bytes())
            .text("shared", shared.then_some(true));
        let body: ForgetBody = context.client()?.get(&request)?;
        context.output.answer(&body, output::forgotten)?;
        Ok(if body.seq.is_some() {
            Exit::Found
        } else {
            Exit::Nothing
        })
    }
}
