//! `tracer-collector compare`: what is different between two hosts or groups, or two moments of one.

use change::Timestamp;
use clap::Args;

use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, Host};
use crate::output;
use crate::questions::{
    self, Comparison, GroupComparison, GroupSide, Noise, Side, compare, compare_groups,
};
use crate::selector::Selector;
use crate::store::Reader;

/// Tell what is different between two hosts or groups, or what has changed on one
///
/// What differs between any two hosts and says nothing is set aside and counted: names, machine ids, keys of
/// their own, and what nearly each host of the fleet has for itself. Of a group it counts what at least two thirds of
/// its hosts have; a host is compared with the others of its group.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The one host, or a group as `role=db` or `role=db,env=prod`
    #[arg(value_name = "HOST")]
    one: String,
    /// The other; without it the one is compared with itself at `--since` or in `--snapshot`
    #[arg(value_name = "OTHER", required_unless_present_any = ["since", "snapshot"])]
    other: Option<String>,
    /// Compare the hosts as they were at this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Compare with what there was at this time
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "other"
    )]
    since: Option<String>,
    /// Compare the host with what it was in this snapshot
    #[arg(long, value_name = "NAME", conflicts_with_all = ["other", "since"])]
    snapshot: Option<String>,
    /// Set aside what matches this as well, written like a subject: `sysctl:net.*`, `/etc/motd.d/**`
    #[arg(long, value_name = "GLOB")]
    noise: Vec<String>,
    /// Show what was set aside, too
    #[arg(long)]
    all: bool,
}

impl CompareArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let at = context.optional_time("--at", self.at.as_deref())?;
        let since = match &self.snapshot {
            Some(name) => Some(snapshot_moment(&fleet, roster.find(&self.one)?, name)?),
            None => context.optional_time("--since", self.since.as_deref())?,
        };
        let sides = match &self.other {
            Some(other) => [(self.one.as_str(), at), (other.as_str(), at)],
            None => [(self.one.as_str(), since), (self.one.as_str(), at)],
        };
        let noise = Noise::new(&self.noise)?;
        if sides.iter().any(|(name, _)| Selector::is_one(name)) {
            let [one, other] = sides.map(|side| GroupSide::new(&fleet, &roster, side));
            let (one, other) = (one?, other?);
            let sides = match self.other {
                Some(_) => {
                    let one = one.beside(&other);
                    let other = other.beside(&one);
                    [one, other]
                }
                None => [one, other],
            };
            let found = compare_groups(&fleet, &roster, &sides, &noise)?;
            return self.tell_groups(context, found);
        }
        let [one, other] = sides.map(|(name, at)| Ok::<_, Error>((roster.find(name)?, at)));
        let sides = [one?, other?].map(|(host, at)| Side { host, at });
        self.tell(context, compare(&fleet, &roster, sides, &noise)?)
    }

    fn tell(&self, context: &Context, mut found: Comparison) -> Result<Exit, Error> {
        let differences = &mut found.differences;
        let set_aside = set_aside(differences, self.all, |one| one.noise.is_some());
        let is_different = differences.iter().any(|one| one.noise.is_none());
        let in_words = |found: &_, view: &_| output::comparison(found, set_aside, view);
        context.output.answer(&found, in_words)?;
        Ok(Context::found(is_different))
    }

    fn tell_groups(&self, context: &Context, mut found: GroupComparison) -> Result<Exit, Error> {
        let differences = &mut found.differences;
        let set_aside = set_aside(differences, self.all, |one| one.noise.is_some());
        let is_different = differences.iter().any(|one| one.noise.is_none());
        let in_words = |found: &_, view: &_| output::group_comparison(found, set_aside, view);
        context.output.answer(&found, in_words)?;
        Ok(Context::found(is_different))
    }
}

/// Takes noise out, unless all is asked for; how much there is of it.
fn set_aside<T>(differences: &mut Vec<T>, all: bool, is_noise: impl Fn(&T) -> bool) -> usize {
    let count = differences.iter().filter(|one| is_noise(one)).count();
    if !all {
        differences.retain(|one| !is_noise(one));
    }
    count
}

/// The moment of a snapshot that a host is in.
fn snapshot_moment(fleet: &Reader, host: &Host, name: &str) -> Result<Timestamp, Error> {
    let snapshot = fleet.snapshots()?.into_iter().find(|one| one.name == name);
    let snapshot = snapshot.ok_or_else(|| questions::Error::UnknownSnapshot(name.to_owned()))?;
    if !snapshot.hosts.contains(host.key) {
        return Err(questions::Error::NotInSnapshot {
            host: host.hostname.clone(),
            snapshot: name.to_owned(),
        }
        .into());
    }
    Ok(snapshot.at)
}
