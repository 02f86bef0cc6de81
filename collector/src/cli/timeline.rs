//! `tracer-collector timeline`: what happened on all hosts.

use std::time::Duration;

use clap::Args;

use super::filter::{FilterArgs, note_horizon};
use super::{Context, Error, Exit};
use crate::output::{self, complain};
use crate::questions::{Item, TimelineQuery, timeline};

/// Tell what happened on all hosts, oldest first, with markers and gaps
///
/// The same change by the same person on many hosts is one line. A run that changed five things or more is one line
/// in their place, with those within it, and so is the same run on many hosts; `runs --host HOST ID` opens it.
/// Without `--since` it tells of the 24 hours up to `--until`, or up to now.
#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Take the same on another host as one when no longer than this is between
    #[arg(long, value_name = "LENGTH", default_value = "5m", value_parser = super::duration)]
    within: Duration,
    /// Tell each change of a run by itself
    #[arg(long)]
    each: bool,
    /// Tell the newest lines, and at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 200)]
    number: usize,
}

impl TimelineArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            filter,
            within,
            each,
            number,
        } = self;
        let (fleet, roster) = context.fleet()?;
        let mut query = TimelineQuery {
            log: filter.query(context, &roster)?,
            within_ns: i64::try_from(within.as_nanos()).unwrap_or(i64::MAX),
            folds_runs: !each,
            most: number,
        };
        query.begin(context.now());
        note_horizon(&fleet, [query.log.since, query.log.until])?;
        let found = timeline(&fleet, &roster, &query)?;
        if found.left_out > 0 {
            let left_out = found.left_out;
            complain(&format!(
                "{left_out} older lines are left out; `-n` tells more"
            ));
        }
        for item in &found.items {
            context.output.answer(item, output::timeline_line)?;
        }
        let is_any = found
            .items
            .iter()
            .any(|item| !matches!(item, Item::Gap { .. }));
        Ok(Context::found(is_any))
    }
}
