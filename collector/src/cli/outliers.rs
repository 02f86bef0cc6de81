//! `tracer-collector outliers`: what few hosts of a group have otherwise than the rest.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::questions::outliers;

/// Find facts in which few hosts of a group deviate from the rest, most telling first
#[derive(Debug, Args)]
pub(super) struct OutliersArgs {
    /// The hosts of this group: `role=db`, `role=db,env=prod` or `all`
    #[arg(long, value_name = "GROUP")]
    group: String,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl OutliersArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { group, number } = self;
        let (fleet, roster) = context.fleet()?;
        let found = outliers(&fleet, &roster, &roster.group(&group)?, number)?;
        context.output.answer(&found, output::outliers)?;
        Ok(Context::found(!found.outliers.is_empty()))
    }
}
