//! `tracer-collector doctor`: whether the collector is well, and what to do.

use change::wire::CheckState;
use clap::Args;

use super::{Context, Error, Exit};
use crate::clock::now;
use crate::{doctor, output};

/// Show whether the store is whole, what runs out, and which hosts and tokens to look at
///
/// Reads the whole store, which takes a while where it is large, and changes nothing. Ends with 4 if something is
/// `missing`: it does not work, or somebody must see to it now.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Also compare each index with its table, which takes several times as long
    #[arg(long)]
    thorough: bool,
}

impl DoctorArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { thorough } = self;
        let stale_before = context.time("--stale-before", &context.global.stale_before)?;
        let location = context.existing_location()?;
        let asked = doctor::Asked {
            state_dir: &context.global.state_dir,
            location: &location,
            now: now(),
            stale_before,
            thorough,
        };
        let checks = doctor::examine(&asked);
        for check in &checks {
            context.output.answer(check, output::check_line)?;
        }
        let is_missing = checks
            .iter()
            .any(|check| check.state == CheckState::Missing);
        Ok(if is_missing {
            Exit::Failed
        } else {
            Exit::Found
        })
    }
}
