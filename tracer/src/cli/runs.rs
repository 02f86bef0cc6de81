//! `tracer runs`: the executions of commands, or one with what it changed.

use change::wire::{Page, RunBody};
use change::{Change, Run, RunKind};
use clap::builder::PossibleValuesParser;
use clap::{Args, value_parser};

use super::{Context, Error, Exit};
use crate::client::{Client, Request};
use crate::output;

/// How many changes of a run the daemon is asked for at once.
const PAGE: u64 = 500;

/// List what was run, newest first, or one run with what it changed
///
/// A run is one execution of a package manager, of configuration management, or of a command that was typed in
/// an interactive session. It owns the changes that it and its descendants made.
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// Only this run, in full, with its changes
    #[arg(conflicts_with_all = ["since", "until", "kind", "session", "user", "changed", "number"])]
    id: Option<u64>,
    /// That began no earlier
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// That began before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(RunKind::ALL.map(|(_, word)| word)))]
    kind: Option<String>,
    /// In this session, by its number
    #[arg(long, value_name = "ID")]
    session: Option<u32>,
    /// By this user, who logged in or else was acted as: a name or a number
    #[arg(long)]
    user: Option<String>,
    /// Only those that changed something themselves
    #[arg(long)]
    changed: bool,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=1000))]
    number: u32,
}

impl RunsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            id,
            since,
            until,
            kind,
            session,
            user,
            changed,
            number,
        } = self;
        let client = context.client()?;
        if let Some(id) = id {
            return one(&client, id, context);
        }
        let request = Request::new("/v1/runs")
            .text("since", context.optional_time("--since", since.as_deref())?)
            .text("until", context.optional_time("--until", until.as_deref())?)
            .text("kind", kind)
            .text("session", session)
            .text("user", user)
            .text("changed", changed.then_some("true"))
            .text("n", Some(number));
        let page: Page<Run> = client.get(&request)?;
        if page.items.is_empty() {
            return context.nothing("no run matches");
        }
        for run in &page.items {
            context.output.answer(run, output::run_line)?;
        }
        Ok(Exit::Found)
    }
}

fn one(client: &Client, id: u64, context: &Context) -> Result<Exit, Error> {
    let request = Request::new(&format!("/v1/runs/{id}"));
    let Some(body) = client.find::<RunBody>(&request)? else {
        return context.nothing(&format!("no run {id} is known"));
    };
    context.output.answer(&body, output::run_in_full)?;
    if context.output.json {
        return Ok(Exit::Found);
    }
    let request = Request::new("/v1/changes")
        .text("run", Some(id))
        .text("n", Some(PAGE));
    let mut cursor = None;
    loop {
        let page: Page<Change> = client.get(&request.clone().text("cursor", cursor))?;
        for change in &page.items {
            context.output.answer(change, output::log_line)?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Exit::Found);
        }
    }
}
