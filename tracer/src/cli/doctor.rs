//! `tracer doctor`: what works here, what does not, and what to do.

use change::wire::{CheckBody, CheckState, StatusBody};
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::{self, Request};
use crate::{doctor, output};

/// Show what this kernel allows, what is watched and what would be missed
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {}

impl DoctorArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let asked = context
            .client()?
            .get::<StatusBody>(&Request::new("/v1/status"));
        let checks = match asked {
            Ok(status) => status.doctor,
            Err(error @ client::Error::Unreachable { .. }) => {
                context.output.note(&format!(
                    "{error}; what follows was found without the daemon"
                ));
                doctor::offline()
            }
            Err(error) => return Err(error.into()),
        };
        print(&checks, context)?;
        let missing = checks
            .iter()
            .any(|check| check.state == CheckState::Missing);
        Ok(if missing { Exit::Failed } else { Exit::Found })
    }
}

fn print(checks: &[CheckBody], context: &Context) -> Result<(), Error> {
    if context.output.json {
        return Ok(checks
            .iter()
            .try_for_each(|check| context.output.json(check))?);
    }
    Ok(context
        .output
        .text(&output::checks(checks, &context.output.view))?)
}
