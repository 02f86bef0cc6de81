//! `tracer-collector hosts`: the hosts, and how they stand.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;

/// List the hosts with their labels, how far behind they are and how far their clocks are off
///
/// A host is `fresh`, `behind` while older changes are still under way, `stale` when it has stopped reporting,
/// `replaced` when a later installation has its name or machine id, or `cloned` when two machines report
/// under one machine id.
#[derive(Debug, Args)]
pub(super) struct HostsArgs {
    /// Only hosts of this group, as `role=db` or `role=db,env=prod`
    #[arg(long, value_name = "GROUP", default_value = "all")]
    group: String,
    /// Also hosts that were replaced
    #[arg(long, conflicts_with = "group")]
    past: bool,
}

impl HostsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { group, past } = self;
        let (fleet, roster) = context.fleet()?;
        let hosts = if past {
            roster.all().iter().collect()
        } else {
            roster.group(&group)?
        };
        let enrolled = fleet.enrolled()?;
        for host in &hosts {
            let enrolled = enrolled.iter().find(|enrolled| enrolled.name == host.id.0);
            let listed = output::ListedHost::new(host, roster.standing(host), enrolled);
            context.output.answer(&listed, output::host_line)?;
        }
        Ok(Context::found(!hosts.is_empty()))
    }
}
