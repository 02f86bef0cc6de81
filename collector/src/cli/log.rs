//! `tracer-collector log`: the changes of the fleet, newest first.

use change::{Author, Kind, Op};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, LogQuery};
use crate::output;

/// List the changes of all hosts, newest first
///
/// Every filter that is given must hold.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Not before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only on this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// Only on hosts with this label, as `role=db`
    #[arg(long, value_name = "LABEL")]
    group: Option<String>,
    /// Of this kind of subject
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    kind: Option<String>,
    /// With this op: create, modify, delete, install, upgrade, set, restart, …
    #[arg(long, value_parser = PossibleValuesParser::new(Op::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    op: Option<String>,
    /// By this person, who logged in or else was acted as
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// By this sort of author
    #[arg(long, value_name = "AUTHOR", value_parser = PossibleValuesParser::new(Author::ALL.map(|(_, word)| word)))]
    by: Option<String>,
    /// Of files whose path matches: `*` stays within a folder, `**` does not
    #[arg(long, value_name = "GLOB", conflicts_with = "kind")]
    path: Option<String>,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 50)]
    number: usize,
}

impl LogArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let kind = self.kind.as_deref().and_then(|word| word.parse().ok());
        let query = LogQuery {
            since: context.optional_time("--since", self.since.as_deref())?,
            until: context.optional_time("--until", self.until.as_deref())?,
            hosts: None,
            kind: kind.or(self.path.is_some().then_some(Kind::File)),
            op: self.op.as_deref().and_then(Op::from_word),
            user: self.user,
            by: self.by.as_deref().and_then(Author::from_word),
            subject: None,
            key: self.path,
            limit: self.number,
        };
        list(
            context,
            query,
            (self.host.as_deref(), self.group.as_deref()),
        )
    }
}

/// Lists changes on a host, on a group, or on all hosts.
pub(super) fn list(
    context: &Context,
    mut query: LogQuery,
    (host, group): (Option<&str>, Option<&str>),
) -> Result<Exit, Error> {
    let (fleet, roster) = context.fleet()?;
    if let Some(host) = host {
        query.hosts = Some([roster.find(host)?.key].into_iter().collect());
    }
    if let Some(group) = group {
        let hosts = roster.group(group)?.into_iter();
        query.hosts = Some(hosts.map(|host| host.key).collect());
    }
    let changes = fleet.log(&query)?;
    for change in &changes {
        context.output.answer(change, output::change_line)?;
    }
    Ok(Context::found(!changes.is_empty()))
}
