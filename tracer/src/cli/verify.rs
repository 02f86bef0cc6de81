//! `tracer verify`: whether the store is as it was written.

use std::path::{Path, PathBuf};

use change::wire::{Countersigned, VerifyBody};
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::store::{KnownHead, Reader};
use crate::{output, push};

/// Look for rows of the store that were altered, removed or inserted
///
/// Computes the hash chain over the log anew, with all that its changes refer to, and compares each
/// content with its hash. Asks the daemon; with FILE or `--state-dir` reads that store instead, which
/// may be a copy. Exits with 0 if everything is as it was written, else with 4.
///
/// Not part of the chain are sessions, gaps and the list of which contents were forgotten. Somebody
/// who may write to the file can compute the whole chain anew, or put an older copy in its place: keep
/// the head that is printed on another host, and pass it to a later verification. On a host that is enrolled with
/// a collector the newest head that this countersigned is taken, unless another is given.
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
        let head = head.or_else(|| countersigned(context, file.as_deref()));
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

/// The head that the collector countersigned, of the store in its place; not of a copy elsewhere.
fn countersigned(context: &Context, file: Option<&Path>) -> Option<KnownHead> {
    let state_dir = context.config().ok()?.config.state_dir;
    let store = state_dir.join("tracer.db");
    if file.is_some_and(|file| file != store) {
        return None;
    }
    let head = push::countersigned(&state_dir, &Reader::open_copy(&store).ok()?)?;
    let Countersigned { chain, time, .. } = head;
    let time = when::moment(time, &context.output.view.now);
    context.note(&format!(
        "compared with the head at change {} that the collector countersigned {time}",
        chain.seq
    ));
    KnownHead::parse(&format!("{}:{}", chain.seq, chain.hash))
}

fn offline(file: &Path, head: Option<KnownHead>) -> Result<VerifyBody, Error> {
    Ok(Reader::open_copy(file)?.verify(head)?)
}
