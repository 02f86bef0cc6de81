//! `tracer-collector suspects`: which changes before a moment are worth a look.

use clap::Args;

use super::{Context, Error, Exit};
use crate::output;
use crate::questions::{SuspectQuery, suspects};

/// Rank the changes before a moment by how close they were, how rare and how many hosts they reached
#[derive(Debug, Args)]
pub(super) struct SuspectsArgs {
    /// When it broke
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: String,
    /// On this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// On the hosts of this group, as `role=db` or `role=db,env=prod`
    #[arg(long, value_name = "GROUP", default_value = "all")]
    group: String,
    /// How many hours before that to look at
    #[arg(long, value_name = "HOURS", default_value_t = 2.0)]
    window: f64,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl SuspectsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let scope = match &self.host {
            Some(host) => vec![roster.find(host)?],
            None => roster.group(&self.group)?,
        };
        let hours = std::time::Duration::try_from_secs_f64(self.window * 3600.0);
        let window = hours.map_err(|error| Error::Usage(format!("read `--window`: {error}")))?;
        let query = SuspectQuery {
            at: context.time("--at", &self.at)?,
            window_ns: i64::try_from(window.as_nanos()).unwrap_or(i64::MAX),
            most: self.number,
        };
        let found = suspects(&fleet, &roster, &scope, &query)?;
        for suspect in &found {
            context.output.answer(suspect, output::suspect)?;
        }
        Ok(Context::found(!found.is_empty()))
    }
}
