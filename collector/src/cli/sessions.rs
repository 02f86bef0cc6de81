//! `tracer-collector sessions`: who was logged in on any host.

use clap::Args;

use super::filter::{PlaceArgs, TimeArgs, note_horizon};
use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, SessionQuery};
use crate::output;
use crate::questions::OnHost;

/// List who was logged in on all hosts, newest first, and how much each session changed
///
/// `--since` lists also sessions that began before and had not ended then. Hosts whose tracer is older than this
/// collector do not tell of sessions; what was changed in them is in the log.
#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Of this user, who logged in: a name or a number
    #[arg(long)]
    user: Option<String>,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50)]
    number: usize,
}

impl SessionsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            time,
            place,
            user,
            number,
        } = self;
        let (fleet, roster) = context.fleet()?;
        let [since, until] = time.times(context)?;
        let query = SessionQuery {
            since,
            until,
            id: None,
            user,
            limit: number,
        };
        let sessions = fleet.sessions(place.hosts(&roster)?.as_ref(), &query)?;
        if sessions.len() < number {
            note_horizon(&fleet, [since, until])?;
        }
        let is_any = !sessions.is_empty();
        for (host, session) in sessions {
            if let Some(host) = roster.host(host) {
                context
                    .output
                    .answer(&OnHost::new(host, session), output::session_line)?;
            }
        }
        Ok(Context::found(is_any))
    }
}
