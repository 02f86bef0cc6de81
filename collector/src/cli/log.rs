//! `tracer-collector log`: the changes of the fleet.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::filter::{FilterArgs, note_horizon};
use super::{Context, Error, Exit};
use crate::fleet::{Fleet, HostKey, LogQuery};
use crate::output;
use crate::questions::Roster;
use crate::store::Reader;

/// So often the store is asked for what has come.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Without any bound so many are listed.
const USUAL: usize = 50;

/// List the changes of all hosts, newest first, or follow them as they come
///
/// Every filter that is given must hold. Without `-n`, `--since` and `--until` the newest 50 changes are listed.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Go on with the changes as they come in, oldest first; of what comes late it may be older ones
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N")]
    number: Option<usize>,
}

impl LogArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let mut query = self.filter.query(context, &roster)?;
        let is_bounded = query.since.is_some() || query.until.is_some();
        query.limit = self
            .number
            .unwrap_or(if is_bounded { usize::MAX } else { USUAL });
        if self.follow {
            return self.follow(context, (fleet, roster), &query);
        }
        list(context, &fleet, &query)
    }

    /// Lists the newest, and then what comes, until somebody ends it.
    fn follow(
        &self,
        context: &Context,
        (fleet, roster): (Reader, Roster),
        query: &LogQuery,
    ) -> Result<Exit, Error> {
        for (host, seq) in matching(&fleet, query)?.into_iter().rev() {
            print(context, &fleet, (host, seq))?;
        }
        let mut listed = numbers(&roster);
        // It must not hold on to the moment at which it was opened.
        drop(fleet);
        loop {
            thread::sleep(LOOK_AGAIN);
            let (fleet, roster) = context.fleet()?;
            let query = LogQuery {
                hosts: self.filter.place.hosts(&roster)?,
                ..query.clone()
            };
            for (host, seq) in come(&fleet, &query, &mut listed, &numbers(&roster))? {
                print(context, &fleet, (host, seq))?;
            }
        }
    }
}

/// What has come since it was noted how far each host's log was, oldest first.
fn come(
    fleet: &dyn Fleet,
    query: &LogQuery,
    listed: &mut BTreeMap<HostKey, u64>,
    numbers: &BTreeMap<HostKey, u64>,
) -> Result<Vec<(HostKey, u64)>, Error> {
    let mut come = Vec::new();
    let wanted = |host| {
        query
            .hosts
            .as_ref()
            .is_none_or(|hosts| hosts.contains(host))
    };
    for (&host, &durable_seq) in numbers {
        let known = listed.insert(host, durable_seq).unwrap_or_default();
        if durable_seq <= known || !wanted(host) {
            continue;
        }
        let of_one = LogQuery {
            hosts: Some([host].into_iter().collect()),
            after_seq: Some(known),
            limit: usize::MAX,
            ..query.clone()
        };
        fleet.each_logged(&of_one, &mut |logged| {
            come.push((logged.time, host, logged.seq));
            true
        })?;
    }
    come.sort_unstable();
    Ok(come.into_iter().map(|(_, host, seq)| (host, seq)).collect())
}

/// The newest change of each host.
fn numbers(roster: &Roster) -> BTreeMap<HostKey, u64> {
    let hosts = roster.all().iter();
    hosts.map(|host| (host.key, host.durable_seq)).collect()
}

/// Lists what a query asks for, newest first.
pub(super) fn list(context: &Context, fleet: &dyn Fleet, query: &LogQuery) -> Result<Exit, Error> {
    let found = matching(fleet, query)?;
    if found.len() < query.limit {
        note_horizon(fleet, [query.since, query.until])?;
    }
    for change in &found {
        print(context, fleet, *change)?;
    }
    Ok(Context::found(!found.is_empty()))
}

/// The changes that match, newest first, by host and number: they are read in full one by one.
fn matching(fleet: &dyn Fleet, query: &LogQuery) -> Result<Vec<(HostKey, u64)>, Error> {
    let mut found = Vec::new();
    fleet.each_logged(query, &mut |logged| {
        found.push((logged.host, logged.seq));
        true
    })?;
    Ok(found)
}

fn print(context: &Context, fleet: &dyn Fleet, (host, seq): (HostKey, u64)) -> Result<(), Error> {
    if let Some(change) = fleet.change(host, seq)? {
        context.output.answer(&change, output::change_line)?;
    }
    Ok(())
}
