//! `tracer-collector who`: who changed a subject, on any host.

use change::Subject;
use clap::Args;

use super::filter::{PlaceArgs, TimeArgs};
use super::{Context, Error, Exit};
use crate::fleet::LogQuery;

/// Tell who changed a subject, on any host, newest first
///
/// Of a folder or a package with all its files `log --path '/etc/nginx/**'` and `log --package nginx` tell it.
#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// What, as an absolute path or `kind:key`
    subject: String,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl WhoArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            subject,
            time,
            place,
            number,
        } = self;
        let subject = Subject::parse(subject.as_bytes());
        let subject = subject.map_err(|error| Error::Usage(error.to_string()))?;
        let (fleet, roster) = context.fleet()?;
        let [since, until] = time.times(context)?;
        let query = LogQuery {
            since,
            until,
            hosts: place.hosts(&roster)?,
            subject: Some(subject),
            limit: number,
            ..LogQuery::default()
        };
        super::log::list(context, &fleet, &query)
    }
}
