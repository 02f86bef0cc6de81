//! `tracer backup`: a copy of the store.

use std::path::PathBuf;

use change::wire::BackupBody;
use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::store::{Backup, back_up};

/// Copy the store to a file, while the daemon runs or not
///
/// The copy is of one moment, complete in one file, and readable for its owner only. An existing file
/// is never overwritten. Needs to read the store, so mostly root.
///
/// To restore it, stop the daemon, move its state directory away, make it anew, put the copy there as
/// `tracer.db` and start the daemon. From the moment of the copy on there is a gap, and what differs by
/// then is told late.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The copy, which must not exist yet
    file: PathBuf,
}

impl BackupArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { file } = self;
        let store = context.config()?.config.state_dir.join("tracer.db");
        let Backup { bytes, head } = back_up(&store, &file)?;
        let body = BackupBody {
            file: file.display().to_string(),
            bytes,
            last_seq: head.seq,
            head: head.to_text(),
        };
        context.output.answer(&body, output::backup)?;
        Ok(Exit::Found)
    }
}
