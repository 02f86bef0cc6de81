//! `tracer-collector enrolled`: who may send.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::store::Enrolment;

/// List the hosts that are enrolled, until when each one's certificate holds, and what is wrong
///
/// A host is `rewritten` when its log was found to be another one than it had sent before: somebody changed the past
/// of its store, or put an older copy in its place. Nothing is taken from it until it is enrolled again.
#[derive(Debug, Args)]
pub(super) struct EnrolledArgs {}

impl EnrolledArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let hosts = Enrolment::open(&context.location()?)?.hosts()?;
        for host in &hosts {
            context.output.answer(host, output::enrolled_line)?;
        }
        Ok(Context::found(!hosts.is_empty()))
    }
}
