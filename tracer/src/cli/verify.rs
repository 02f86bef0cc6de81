//! `tracer verify`: whether the store is as it was written.

use std::path::{Path, PathBuf};

use change::wire::VerifyBody;
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;
use crate::store::{KnownHead, Reader};

/// Look for rows of the store that were altered, removed or inserted
///
/// Computes the hash chain over the log anew, with all that its changes refer to, and compares each
/// content with its hash. Asks the daemon; with FILE or `--state-dir` reads that store instead, which
/// may be a copy. Exits with 0 if everything is as it was written, else with 4.
///
/// Not part of the chain are sessions, gaps and the list of which contents were forgotten. Somebody
/// who may write to the file can compute the whole chain anew, or put an older copy in its place: keep
/// the head that is printed on another host, and pass it to a later verification.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Read this store instead of asking the daemon
    file: Option<PathBuf>,
    /// Check that the log still has this head, as an earlier verification printed it
    #[arg(long, value_name = "SEQ:HASH", value_parser = parse_head)]
    head: Option<KnownHead>,
}

fn parse_head(text: &str) -> Result<KnownHead, &'static str> {
    KnownHead::parse(text).ok_or("it must be a number, a colon and 64 hex digits")
}

impl VerifyArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { file, head } = self;
        let file = match (file, &context.global.state_dir) {
            (Some(file), _) => Some(file),
            (None, Some(folder)) => Some(folder.join("tracer.db")),
            (None, None) => None,
        };
        let body = if let Some(file) = file {
            offline(&file, head)?
        } else {
            let request = Request::new("/v1/verify").patient();
            let request = request.text("head", head.map(KnownHead::to_text));
            context.client()?.get(&request)?
        };
        context.output.answer(&body, output::verification)?;
        Ok(if body.intact {
            Exit::Found
        } else {
            Exit::Failed
        })
    }
}

fn offline(file: &Path, head: Option<KnownHead>) -> Result<VerifyBody, Error> {
    Ok(Reader::open_copy(file)?.verify(head)?)
}
