//! The filters that listings of changes share: the same as on a host, and on which hosts.

use change::{Author, Kind, Op, Timestamp};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Error};
use crate::fleet::{Fleet, HostSet, LogQuery};
use crate::output::complain;
use crate::questions::{Roster, refuse_removed};

/// Where.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Only on this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    pub(super) host: Option<String>,
    /// Only on hosts of this group, as `role=db` or `role=db,env=prod`
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
}

impl PlaceArgs {
    /// The hosts; none where it is all of them, also those that are past.
    pub(super) fn hosts(&self, roster: &Roster) -> Result<Option<HostSet>, Error> {
        Ok(roster.scope(self.host.as_deref(), self.group.as_deref())?)
    }
}

/// When.
#[derive(Debug, Args)]
pub(super) struct TimeArgs {
    /// Not before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) until: Option<String>,
}

/// Refuses a time of which nothing is kept, and tells where not all is.
pub(super) fn note_horizon(
    fleet: &dyn Fleet,
    [since, until]: [Option<Timestamp>; 2],
) -> Result<(), Error> {
    let Some(horizon) = fleet.horizon()? else {
        return Ok(());
    };
    if let Some(until) = until {
        refuse_removed(fleet, until)?;
    }
    if since.is_none_or(|since| since < horizon) {
        complain(&format!(
            "what is older than {horizon} was removed, but for what brought what there is now"
        ));
    }
    Ok(())
}

impl TimeArgs {
    /// Both ends; none where it is open.
    pub(super) fn times(&self, context: &Context) -> Result<[Option<Timestamp>; 2], Error> {
        let since = context.optional_time("--since", self.since.as_deref())?;
        let until = context.optional_time("--until", self.until.as_deref())?;
        if let (Some(since), Some(until)) = (since, until)
            && until < since
        {
            return Err(Error::Usage(format!(
                "`--until` is {until}, which is before `--since`, {since}"
            )));
        }
        Ok([since, until])
    }
}

/// Which changes.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    #[command(flatten)]
    pub(super) time: TimeArgs,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Of this kind of subject
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    kind: Option<String>,
    /// With this op: create, modify, delete, install, upgrade, set, restart, …
    #[arg(long, value_parser = PossibleValuesParser::new(Op::ALL.map(|(_, word)| word)), hide_possible_values = true)]
    op: Option<String>,
    /// By this user, who logged in or else was acted as: a name or a number
    #[arg(long)]
    user: Option<String>,
    /// In this session of the host, by its number
    #[arg(long, value_name = "ID", requires = "host")]
    session: Option<u32>,
    /// Of files whose path matches: `*` stays within a folder, `**` does not
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Of packages whose name matches, and of the files that belonged to one: `nginx*`
    #[arg(long, value_name = "GLOB")]
    package: Option<String>,
    /// By this sort of author
    #[arg(long, value_name = "AUTHOR", value_parser = PossibleValuesParser::new(Author::ALL.map(|(_, word)| word)))]
    by: Option<String>,
    /// Owned by this run of the host, or by one within it; its number is what `runs` lists
    #[arg(long, value_name = "ID", requires = "host")]
    run: Option<u64>,
}

impl FilterArgs {
    /// The query, for as many changes as there are.
    pub(super) fn query(&self, context: &Context, roster: &Roster) -> Result<LogQuery, Error> {
        let Self {
            time,
            place,
            kind,
            op,
            user,
            session,
            path,
            package,
            by,
            run,
        } = self;
        let [since, until] = time.times(context)?;
        let hosts = place.hosts(roster)?;
        let host = hosts.as_ref().and_then(|hosts| hosts.iter().next());
        Ok(LogQuery {
            since,
            until,
            kind: kind.as_deref().and_then(|word| word.parse().ok()),
            op: op.as_deref().and_then(Op::from_word),
            user: user.clone(),
            session: *session,
            by: by.as_deref().and_then(Author::from_word),
            run: host.zip(*run),
            path: path.clone(),
            package: package.clone(),
            hosts,
            limit: usize::MAX,
            ..LogQuery::default()
        })
    }
}
