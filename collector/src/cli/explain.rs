//! `tracer-collector explain`: what splits bad hosts from good ones.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::questions::explain;
use crate::selector::Selector;

/// Find the facts that split bad hosts from good ones, with when they parted and who did it
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The hosts that misbehave, or a group as `pool=canary` or `role=db,env=prod`; may be given several times
    #[arg(long, value_name = "HOSTS", required = true)]
    bad: Vec<String>,
    /// The hosts that do not, or a group; the bad ones of a group are taken out of it
    #[arg(long, value_name = "HOSTS", required = true)]
    good: Vec<String>,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl ExplainArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let [bad, good] = [&self.bad, &self.good].map(|lists| {
            let names = lists.iter().flat_map(|list| Selector::split(list));
            names.collect::<Vec<_>>()
        });
        let has_group = good.iter().any(|name| Selector::is_one(name));
        let bad = roster.choose(&bad)?;
        let mut good = roster.choose(&good)?;
        if has_group {
            good = good.without(&bad);
        }
        let found = explain(&fleet, &roster, [&bad, &good], self.number)?;
        context.output.answer(&found, output::explanation)?;
        Ok(Context::found(!found.splits.is_empty()))
    }
}
