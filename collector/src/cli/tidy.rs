//! `tracer-collector tidy`: removes what is too old to be kept.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::{Context, Error, Exit};
use crate::output;
use crate::store::{Tidied, Tidy};

/// Remove what is too old to be kept, so that each moment since then stays as it was
///
/// From the horizon on the state of each host at each moment is exactly as before, and so is what brought it: those
/// changes stay, however old they are. Of a moment before the horizon nothing is answered any more. Hosts may send
/// meanwhile. `serve --keep` does it by itself.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("horizon").required(true))]
pub(super) struct TidyArgs {
    /// Keep what is not older than this: `90d`
    #[arg(long, value_name = "LENGTH", value_parser = keep, group = "horizon")]
    keep: Option<Duration>,
    /// Keep what there was at this time, and since
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        group = "horizon"
    )]
    before: Option<String>,
    /// Tell what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// How long things are kept: what a host sends later than that would not last.
pub(super) fn keep(text: &str) -> Result<Duration, String> {
    match super::duration(text)? {
        short if short < Duration::from_hours(24) => Err("it must be a day or more".to_owned()),
        keep => Ok(keep),
    }
}

impl TidyArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            keep,
            before,
            dry_run,
        } = self;
        let now = context.now();
        let horizon = match (keep, before) {
            (_, Some(before)) => context.time("--before", &before)?,
            (keep, None) => {
                let keep = keep.unwrap_or(Duration::MAX).as_nanos();
                now.plus_nanos(-i64::try_from(keep).unwrap_or(i64::MAX))
            }
        };
        if horizon > now {
            return Err(Error::Usage(format!(
                "read `--before`: {horizon} lies in the future"
            )));
        }
        // Only what is there is tidied: no store is begun.
        drop(context.reader()?);
        let mut tidy = Tidy::open(&context.location()?)?;
        let tidied = if dry_run {
            tidy.plan(horizon)?
        } else {
            tidy.run(horizon, &|| false)?
        };
        let in_words = |tidied: &Tidied, view: &_| output::tidied(tidied, dry_run, view);
        context.output.answer(&tidied, in_words)?;
        Ok(Context::found(!tidied.is_empty()))
    }
}
