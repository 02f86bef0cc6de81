//! `tracer-collector snapshot` and `snapshots`: names for the state of hosts at a moment.

use clap::Args;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, Snapshot};
use crate::output;
use crate::questions::{self, Roster, SnapshotBody};
use crate::store::Snapshots;

/// Names are no longer than this, in bytes.
const LONGEST_NAME: usize = 255;

/// Give the state of hosts at a moment a name, to compare with later
///
/// Nothing is copied: the collector knows the state of each host at every moment.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Of this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// Of the hosts with these labels, as `role=db,env=prod`; without either of all
    #[arg(long, value_name = "LABELS")]
    group: Option<String>,
    /// The state at this time
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true
    )]
    at: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Remove it instead
    #[arg(long, conflicts_with_all = ["host", "group", "at", "note"])]
    remove: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

impl SnapshotArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        if self.remove {
            return remove(context, &self.name);
        }
        let (name, now) = (self.name.trim(), context.now());
        let is_name = !name.is_empty() && name.len() <= LONGEST_NAME;
        if !is_name || name.contains(char::is_control) {
            return Err(Error::Usage(format!(
                "make snapshot: its name has 1 to {LONGEST_NAME} bytes and no control characters"
            )));
        }
        let (_fleet, roster) = context.fleet()?;
        let hosts = roster.scope(self.host.as_deref(), self.group.as_deref())?;
        let present = || {
            roster
                .all()
                .iter()
                .filter(|host| host.replaced_by.is_none())
        };
        let hosts = hosts.unwrap_or_else(|| present().map(|host| host.key).collect());
        if hosts.is_empty() {
            return Err(Error::Usage("there is no host yet".to_owned()));
        }
        let snapshot = Snapshot {
            name: name.to_owned(),
            at: context.time("--at", &self.at)?,
            made: now,
            note: self.note,
            hosts,
        };
        check(&roster, &snapshot)?;
        let mut snapshots = Snapshots::open(&context.location()?)?;
        if !snapshots.make(&snapshot)? {
            return Err(Error::Usage(format!(
                "make snapshot `{name}`: there is one of that name; `--remove` removes it"
            )));
        }
        let listed = SnapshotBody::new(&roster, snapshot);
        context.output.answer(&listed, in_words)?;
        Ok(Exit::Found)
    }
}

/// Refuses a moment of which nothing is known.
fn check(roster: &Roster, snapshot: &Snapshot) -> Result<(), Error> {
    let Snapshot {
        name,
        at,
        made,
        hosts,
        ..
    } = snapshot;
    if at > made {
        return Err(Error::Usage(format!(
            "make snapshot `{name}`: {at} is still to come"
        )));
    }
    let mut members = roster.all().iter().filter(|host| hosts.contains(host.key));
    match members.find(|host| *at < host.begins) {
        Some(host) => Err(questions::Error::TooEarly {
            host: host.hostname.clone(),
            begins: host.begins,
            at: *at,
        }
        .into()),
        None => Ok(()),
    }
}

fn remove(context: &Context, name: &str) -> Result<Exit, Error> {
    let mut snapshots = Snapshots::open(&context.location()?)?;
    if !snapshots.remove(name)? {
        return Err(questions::Error::UnknownSnapshot(name.to_owned()).into());
    }
    let in_words = |removed: &Removed<'_>, _: &output::View| {
        format!("snapshot {} is no more", output::safe(removed.removed))
    };
    context
        .output
        .answer(&Removed { removed: name }, in_words)?;
    Ok(Exit::Found)
}

/// List the snapshots
#[derive(Debug, Args)]
pub(super) struct SnapshotsArgs {}

impl SnapshotsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let (fleet, roster) = context.fleet()?;
        let snapshots = fleet.snapshots()?;
        let is_any = !snapshots.is_empty();
        for snapshot in snapshots {
            let listed = SnapshotBody::new(&roster, snapshot);
            context.output.answer(&listed, in_words)?;
        }
        Ok(Context::found(is_any))
    }
}

fn in_words(listed: &SnapshotBody, view: &output::View) -> String {
    let SnapshotBody {
        name,
        at,
        made: _,
        note,
        count,
        incomplete,
    } = listed;
    let (name, at) = (output::safe(name), when::local(*at, &view.now));
    let hosts = if *count == 1 { "host" } else { "hosts" };
    let note = note
        .as_ref()
        .map_or_else(String::new, |note| format!("  {}", output::safe(note)));
    let mut lines = vec![format!("{name:<16}  {at}  {count} {hosts}{note}")];
    lines.extend(incomplete.iter().take(5).map(|host| {
        let name = output::safe(&host.hostname);
        format!("  ! {name} has not told of all until then: what is still to come counts")
    }));
    if incomplete.len() > 5 {
        lines.push(format!("  ! and {} more", incomplete.len() - 5));
    }
    lines.join("\n")
}
