//! `tracer-collector runs`: what was run on any host, or one run with what it changed.

use change::{RunKind, RunQuery};
use clap::builder::PossibleValuesParser;
use clap::{Args, value_parser};

use super::filter::{PlaceArgs, TimeArgs, note_horizon};
use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, LogQuery};
use crate::output;
use crate::questions::{OnHost, run_in_full};

/// List what was run on all hosts, newest first, or one run with what it changed
///
/// A run is one execution of a package manager, of configuration management, or of a command that was typed in an
/// interactive session. It owns the changes that it and its descendants made. Its number is its host's own.
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// Only this run of the host, in full, with its changes
    #[arg(requires = "host", conflicts_with_all = ["since", "until", "kind", "session", "user", "changed", "number"])]
    id: Option<u64>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(RunKind::ALL.map(|(_, word)| word)))]
    kind: Option<String>,
    /// In this session of the host, by its number
    #[arg(long, value_name = "ID", requires = "host")]
    session: Option<u32>,
    /// By this user, who logged in or else was acted as: a name or a number
    #[arg(long)]
    user: Option<String>,
    /// Only those that changed something themselves
    #[arg(long)]
    changed: bool,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..))]
    number: u32,
}

impl RunsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        if let (Some(host), Some(id)) = (&self.place.host, self.id) {
            return one(context, host, id);
        }
        let Self {
            id: _,
            time,
            place,
            kind,
            session,
            user,
            changed,
            number,
        } = self;
        let (fleet, roster) = context.fleet()?;
        let [since, until] = time.times(context)?;
        let query = RunQuery {
            since,
            until,
            kind: kind.as_deref().and_then(RunKind::from_word),
            session,
            user,
            changed,
            before: None,
            limit: Some(number),
        };
        let runs = fleet.runs(place.hosts(&roster)?.as_ref(), &query)?;
        if runs.len() < number as usize {
            note_horizon(&fleet, [since, until])?;
        }
        let is_any = !runs.is_empty();
        for (host, run) in runs {
            if let Some(host) = roster.host(host) {
                context
                    .output
                    .answer(&OnHost::new(host, run), output::run_line)?;
            }
        }
        Ok(Context::found(is_any))
    }
}

fn one(context: &Context, host: &str, id: u64) -> Result<Exit, Error> {
    let (fleet, roster) = context.fleet()?;
    let host = roster.find(host)?;
    let Some(body) = run_in_full(&fleet, host.key, id)? else {
        return Ok(Exit::Nothing);
    };
    context
        .output
        .answer(&OnHost::new(host, body), output::run_in_full)?;
    if context.output.json {
        return Ok(Exit::Found);
    }
    let query = LogQuery {
        run: Some((host.key, id)),
        limit: usize::MAX,
        ..LogQuery::default()
    };
    super::log::list(context, &fleet, &query)?;
    Ok(Exit::Found)
}
