//! `tracer diff`: what differs between two moments.

use std::ffi::OsString;

use change::wire::{DiffBody, DifferencesBody, WhoBody};
use change::{Kind, Subject, Timestamp};
use clap::Args;

use super::{Context, Error, Exit, subject};
use crate::client::{Client, Request};
use crate::output;

/// How many differences are asked for at once.
const PAGE: u32 = 500;

/// Show what has changed between two times: in a file, or on the whole host
///
/// On the whole host each file, package, sysctl and so on that is different has a line with how it differs
/// and who changed it last. What was changed and changed back is no difference; `tracer log` has it.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The file, or anything else as `kind:key`; without it, everything
    #[arg(value_name = "SUBJECT", required_unless_present = "since")]
    subject: Option<OsString>,
    /// The older time; without it, when tracing of the file began
    #[arg(
        long,
        visible_alias = "from",
        value_name = "TIME",
        allow_hyphen_values = true
    )]
    since: Option<String>,
    /// The newer time; without it, now
    #[arg(
        long,
        visible_alias = "to",
        value_name = "TIME",
        allow_hyphen_values = true
    )]
    until: Option<String>,
    /// Of everything only this kind, such as package
    #[arg(long, value_name = "KIND", conflicts_with = "subject")]
    kind: Option<Kind>,
}

impl DiffArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            subject,
            since,
            until,
            kind,
        } = self;
        let subject = subject.map(|subject| subject::subject(&subject));
        let client = context.client()?;
        let until = match until {
            Some(until) => context.time("--until", &until)?,
            None => context.now()?,
        };
        let since = context.optional_time("--since", since.as_deref())?;
        let Some(subject) = subject.transpose()? else {
            return differences(context, &client, kind, [since, Some(until)]);
        };
        let since = match since {
            Some(since) => since,
            None => match began(&client, &subject)? {
                Some(began) if began <= until => began,
                Some(began) => {
                    let began = when::moment(began, &context.output.view.now);
                    return context.nothing(&format!(
                        "{subject} is traced since {began}, and what was before is not known"
                    ));
                }
                None => {
                    return context.nothing(&format!(
                        "{subject} is outside the watched trees; `tracer status` lists them"
                    ));
                }
            },
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

/// Lists what differs on the whole host.
fn differences(
    context: &Context,
    client: &Client,
    kind: Option<Kind>,
    [since, until]: [Option<Timestamp>; 2],
) -> Result<Exit, Error> {
    let (mut cursor, mut is_empty) = (None::<String>, true);
    let gaps = loop {
        let request = Request::new("/v1/diff")
            .text("n", Some(PAGE))
            .text("kind", kind)
            .text("since", since)
            .text("until", until)
            .text("cursor", cursor.as_deref());
        let page: DifferencesBody = client.get(&request)?;
        for item in &page.items {
            is_empty = false;
            context.output.answer(item, output::difference)?;
        }
        cursor = page.next;
        if cursor.is_none() {
            break page.gaps;
        }
    };
    context.warn_of_gaps(&gaps);
    context.warn_while_comparing(client)?;
    if is_empty {
        return context.nothing("nothing is different");
    }
    Ok(Exit::Found)
}
