//! `tracer diff`: what differs between two moments.

use std::ffi::OsString;

use change::wire::{DiffBody, WhoBody};
use change::{Subject, Timestamp};
use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::{Client, Request};
use crate::output;

/// Show what has changed in a file between two times
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The file
    path: OsString,
    /// The older time; without it, when tracing of the file began
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// The newer time; without it, now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

impl DiffArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { path, since, until } = self;
        let subject = subject::subject(&path)?;
        let client = context.client()?;
        let until = match until {
            Some(until) => context.time("--until", &until)?,
            None => context.now()?,
        };
        let since = match since {
            Some(since) => Some(context.time("--since", &since)?),
            None => began(&client, &subject)?,
        };
        let Some(since) = since else {
            return context.nothing(&format!(
                "{subject} is outside the watched trees; `tracer status` lists them"
            ));
        };
        let request = Request::new("/v1/diff").subject(&subject);
        let body: DiffBody = client.get(
            &request
                .text("since", Some(since))
                .text("until", Some(until)),
        )?;
        context.output.answer(&body, output::diff)?;
        let same = body.diff.is_none() && body.changes.is_empty();
        Ok(if same { Exit::Nothing } else { Exit::Found })
    }
}

/// When tracing of the subject began.
fn began(client: &Client, subject: &Subject) -> Result<Option<Timestamp>, Error> {
    let body: WhoBody = client.get(&Request::new("/v1/who").subject(subject))?;
    Ok(body.watched_since)
}
