//! `tracer-collector explain`: what splits bad hosts from good ones.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::questions::{explain, is_group};

/// Find the facts that split bad hosts from good ones, with when they parted and who did it
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The hosts that misbehave, or a label as `pool=canary`
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', required = true)]
    bad: Vec<String>,
    /// The hosts that do not, or a label; the bad ones of a label are taken out of it
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', required = true)]
    good: Vec<String>,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl ExplainArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let bad = roster.choose(&self.bad)?;
        let mut good = roster.choose(&self.good)?;
        if self.good.iter().any(|name| is_group(name)) {
            good = good.without(&bad);
        }
        let found = explain(&fleet, &roster, [&bad, &good], self.number)?;
        context.output.answer(&found, output::explanation)?;
        Ok(Context::found(!found.splits.is_empty()))
    }
}
