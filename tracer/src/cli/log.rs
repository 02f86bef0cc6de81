//! `tracer log`: the changes, newest first, or as they come.

use change::wire::{Page, StatusBody};
use change::{Author, Change, Kind, Op};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::folding::Folding;
use super::{Context, Error, Exit, subject};
use crate::client::{self, Client, Request};
use crate::output;

/// How many changes are listed where nothing limits them.
const USUAL: u64 = 50;
/// How many changes precede those that are followed.
const BEFORE_FOLLOWING: u64 = 10;
/// How many changes the daemon is asked for at once.
const PAGE: u64 = 500;

/// List changes, newest first, or follow them as they come
///
/// Every filter that is given must hold. Without `-n`, `--since` and `--until` the newest 50
/// changes are listed.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Not before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Of this kind of subject
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    kind: Option<String>,
    /// With this op: create, modify, delete, rename, link, symlink, mode, owner, xattr, set, …
    #[arg(long, value_parser = PossibleValuesParser::new(Op::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    op: Option<String>,
    /// By this user, who logged in or else was acted as: a name or a number
    #[arg(long)]
    user: Option<String>,
    /// In this session, by its number
    #[arg(long, value_name = "ID")]
    session: Option<u32>,
    /// Of files whose path matches: `*` stays within a folder, `**` does not
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// By this sort of author
    #[arg(long, value_name = "AUTHOR", value_parser = PossibleValuesParser::new(Author::ALL.map(|(_, word)| word)))]
    by: Option<String>,
    /// Owned by this run, or by one within it; its number is what `tracer runs` lists
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    run: Option<u64>,
    /// List each change by itself; else the changes of one run are folded to a line where they are many
    #[arg(long)]
    each: bool,
    /// Go on with the changes as they come, oldest first
    #[arg(long, short)]
    follow: bool,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N")]
    number: Option<u64>,
}

impl LogArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let client = context.client()?;
        if self.follow {
            return self.follow(context, &client);
        }
        let bounded = self.since.is_some() || self.until.is_some();
        let limit = self
            .number
            .unwrap_or(if bounded { u64::MAX } else { USUAL });
        let request = self.filters("/v1/changes", context)?;
        let mut folding = Folding::new(&client, self.is_folded(context));
        let (mut listed, mut cursor) = (0, None);
        loop {
            let count = if folding.is_wanted {
                PAGE
            } else {
                (limit - listed).min(PAGE)
            };
            let found = page(&client, &request, count, cursor)?;
            listed += folding.print(&found.items, limit - listed, context)?;
            cursor = found.next;
            if cursor.is_none() || listed >= limit {
                break;
            }
        }
        if listed == 0 {
            return context.nothing("no change matches");
        }
        let cut = cursor.is_some() && self.number.is_none();
        if cut && context.output.terminal && !context.output.json {
            context
                .output
                .note("there are older changes; list more with `-n` or `--since`");
        }
        Ok(Exit::Found)
    }

    fn follow(&self, context: &Context, client: &Client) -> Result<Exit, Error> {
        // Asked for first: what comes later than this is in the list or in the stream.
        let newest = client
            .get::<StatusBody>(&Request::new("/v1/status"))?
            .last_seq;
        let count = self.number.unwrap_or(BEFORE_FOLLOWING).min(PAGE);
        let mut recent = match count {
            0 => Vec::new(),
            count => page(client, &self.filters("/v1/changes", context)?, count, None)?.items,
        };
        recent.reverse();
        print(&recent, context)?;
        let shown = recent.last().map_or(0, |change| change.seq);
        let request = self
            .filters("/v1/stream", context)?
            .after(newest.max(shown));
        client.follow(&request, |event| {
            if event.name != "change" {
                return Ok(());
            }
            let broken = |error: serde_json::Error| client::Error::Broken(error.to_string());
            let change: Change = serde_json::from_str(&event.data).map_err(broken)?;
            print(&[change], context)
        })?;
        Err(Error::StreamEnded)
    }

    /// Whether runs stand for their changes: not where only some of these are asked for.
    fn is_folded(&self, context: &Context) -> bool {
        let is_part = self.kind.is_some() || self.op.is_some() || self.path.is_some();
        !(self.each || context.output.json || is_part || self.run.is_some())
    }

    fn filters(&self, route: &str, context: &Context) -> Result<Request, Error> {
        let Self {
            since,
            until,
            kind,
            op,
            user,
            session,
            path,
            by,
            run,
            each: _,
            follow: _,
            number: _,
        } = self;
        let path = path.as_deref().map(subject::pattern).transpose()?;
        Ok(Request::new(route)
            .text("since", context.optional_time("--since", since.as_deref())?)
            .text("until", context.optional_time("--until", until.as_deref())?)
            .text("kind", kind.as_ref())
            .text("op", op.as_ref())
            .text("user", user.as_ref())
            .text("session", *session)
            .text("path", path)
            .text("by", by.as_ref())
            .text("run", *run))
    }
}

fn page(
    client: &Client,
    request: &Request,
    count: u64,
    cursor: Option<String>,
) -> Result<Page<Change>, client::Error> {
    client.get(
        &request
            .clone()
            .text("n", Some(count))
            .text("cursor", cursor),
    )
}

fn print(changes: &[Change], context: &Context) -> Result<(), Error> {
    for change in changes {
        context.output.answer(change, output::log_line)?;
    }
    Ok(())
}
