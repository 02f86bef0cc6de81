//! `tracer-collector who`: who changed a subject, on any host.

use change::Subject;
use clap::Args;

use super::{Context, Error, Exit};
use crate::fleet::LogQuery;

/// Tell who changed a subject, on any host, newest first
#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// What, as an absolute path or `kind:key`
    subject: String,
    /// Only on this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// Only on hosts with this label, as `role=db`
    #[arg(long, value_name = "LABEL")]
    group: Option<String>,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 10)]
    number: usize,
}

impl WhoArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let subject = Subject::parse(self.subject.as_bytes());
        let subject = subject.map_err(|error| Error::Usage(error.to_string()))?;
        let query = LogQuery {
            subject: Some(subject),
            limit: self.number,
            ..LogQuery::default()
        };
        let place = (self.host.as_deref(), self.group.as_deref());
        super::log::list(context, query, place)
    }
}
