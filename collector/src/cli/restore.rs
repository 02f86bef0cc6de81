//! `tracer-collector restore`: a store from a copy.

use std::fs;
use std::path::{Path, PathBuf};

use change::Timestamp;
use clap::Args;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::authority::{self, Authority};
use crate::clock::now;
use crate::output;
use crate::store::{Restored, take_backup};

/// Put a store back from a copy that `backup` made, into a state directory that is empty
///
/// The copy is checked first: that it is whole, and not of a newer collector. Then start `serve` as ever: hosts go on
/// where the copy ends, and send again what came since, as far as they keep it.
///
/// What was done on the collector since the copy is not in it: revoke again what was revoked, and enrol again what was
/// enrolled. Tokens with which hosts enrol are good no more.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The copy
    file: PathBuf,
    /// Refuse it unless this is its hash, as `backup` told it
    #[arg(long, value_name = "b3:…")]
    hash: Option<String>,
}

#[derive(Serialize)]
struct RestoredBody {
    taken: Timestamp,
    restored: Timestamp,
}

impl RestoreArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { file, hash } = self;
        let location = context.existing_location()?;
        let Some(store) = location.file() else {
            let what =
                "the store is on a server: put it back with `pg_restore` into an empty database";
            return Err(Error::Usage(what.to_owned()));
        };
        let state_dir = context.state_dir()?;
        let has_authority = refuse_what_is_in_use(state_dir)?;
        let restored = now();
        let draft = take_backup(&file, store, hash.as_deref(), restored)?;
        let refuse = |what: &str| {
            Err(Error::Usage(format!(
                "restore `{}`: {what}",
                file.display()
            )))
        };
        match (&draft.restored().authority, has_authority) {
            (Some(_), true) => {
                return refuse(
                    "it has an authority, and so has the state directory; move that away",
                );
            }
            (None, false) => {
                return refuse(
                    "it was made without the authority's key; put that collector's `authority.pem` into the state \
                     directory first",
                );
            }
            (None, true) => drop(Authority::find(state_dir)?),
            (Some(text), false) => {
                let put_back = Authority::restore(state_dir, text);
                put_back.inspect_err(|_error| remove_authority(state_dir))?;
            }
        }
        let kept = draft.keep();
        let Restored { taken, .. } = kept.inspect_err(|_error| {
            if !has_authority {
                remove_authority(state_dir);
            }
        })?;
        let body = RestoredBody { taken, restored };
        let in_words = |body: &RestoredBody, view: &_| output::restored(body.taken, view);
        context.output.answer(&body, in_words)?;
        Ok(Exit::Found)
    }
}

/// It was put there just now.
fn remove_authority(state_dir: &Path) {
    drop(fs::remove_file(authority::file(state_dir)));
}

/// Refuses a directory that has anything but an authority, and tells whether it has that.
fn refuse_what_is_in_use(state_dir: &Path) -> Result<bool, Error> {
    let failed = |source| Error::System {
        doing: format!("read state directory `{}`", state_dir.display()),
        source,
    };
    let mut has_authority = false;
    for entry in fs::read_dir(state_dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path == authority::file(state_dir) {
            has_authority = true;
        } else if !path.ends_with("lost+found") {
            return Err(Error::Usage(format!(
                "restore into `{}`: it is not empty, as there is `{}`; stop the collector and move that away, or choose \
                 another directory by `--state-dir`",
                state_dir.display(),
                path.display()
            )));
        }
    }
    Ok(has_authority)
}
