//! `tracer-collector backup`: a copy of the store.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;

use super::{Context, Error, Exit};
use crate::authority;
use crate::clock::now;
use crate::output;
use crate::store::back_up;

/// Copy the store and the authority's key to a file, while the collector runs or not
///
/// The copy is of one moment, complete in one file, and readable for its owner only: who has it can answer as the
/// collector, so keep it as a secret. An existing file is never overwritten. `restore` puts it back. A store on a
/// PostgreSQL server is copied by `pg_dump` instead.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The copy, which must not exist yet
    file: PathBuf,
    /// Leave the authority's key out; `authority.pem` must then be kept elsewhere
    #[arg(long)]
    without_authority: bool,
}

impl BackupArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            file,
            without_authority,
        } = self;
        let location = context.existing_location()?;
        let Some(store) = location.file() else {
            let what = "the store is on a server: copy it with `pg_dump --format=custom`, and keep `authority.pem` from \
                        the state directory beside that";
            return Err(Error::Usage(what.to_owned()));
        };
        let state_dir = &context.global.state_dir;
        let authority = if without_authority {
            None
        } else {
            let path = authority::file(state_dir);
            match fs::read_to_string(&path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(source) => {
                    return Err(Error::System {
                        doing: format!("read authority `{}`", path.display()),
                        source,
                    });
                }
            }
        };
        let backup = back_up(store, &file, authority.as_deref(), now())?;
        let in_words = |backup: &_, _: &_| output::backup(&file.display().to_string(), backup);
        context.output.answer(&backup, in_words)?;
        Ok(Exit::Found)
    }
}
