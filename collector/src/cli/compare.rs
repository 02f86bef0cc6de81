//! `tracer-collector compare`: what is different between two hosts, or two moments of one.

use change::Timestamp;
use clap::Args;

use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, Host};
use crate::output;
use crate::questions::{self, Noise, Side, compare};
use crate::store::Reader;

/// Tell what is different between two hosts, or what has changed on one
///
/// What differs between any two hosts and says nothing is set aside and counted: names, machine ids, keys of
/// their own, and what nearly each host of the fleet has for itself.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The one host
    #[arg(value_name = "HOST")]
    one: String,
    /// The other; without it the one is compared with itself at `--since` or in `--snapshot`
    #[arg(value_name = "OTHER", required_unless_present_any = ["since", "snapshot"])]
    other: Option<String>,
    /// Compare the hosts as they were at this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Compare the host with what it was at this time
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
        let one = roster.find(&self.one)?;
        let since = match &self.snapshot {
            Some(name) => Some(snapshot_moment(&fleet, one, name)?),
            None => context.optional_time("--since", self.since.as_deref())?,
        };
        let sides = match &self.other {
            Some(other) => [(one, at), (roster.find(other)?, at)],
            None => [(one, since), (one, at)],
        };
        let noise = Noise::new(&self.noise)?;
        let sides = sides.map(|(host, at)| Side { host, at });
        let mut comparison = compare(&fleet, &roster, sides, &noise)?;
        let is_different = comparison.differences.iter().any(|one| one.noise.is_none());
        let set_aside = comparison
            .differences
            .iter()
            .filter(|one| one.noise.is_some());
        let set_aside = set_aside.count();
        if !self.all {
            comparison.differences.retain(|one| one.noise.is_none());
        }
        let in_words = |comparison: &_, view: &_| output::comparison(comparison, set_aside, view);
        context.output.answer(&comparison, in_words)?;
        Ok(Context::found(is_different))
    }
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
