//! `tracer-collector mark`, `unmark` and `markers`: moments with names.

use change::Timestamp;
use clap::Args;
use serde::Serialize;

use super::filter::TimeArgs;
use super::{Context, Error, Exit};
use crate::clock::now;
use crate::fleet::{Fleet as _, Marker};
use crate::output;
use crate::selector::Selector;
use crate::store::Markers;

/// A name is no longer than this, in bytes.
const LONGEST_NAME: usize = 200;

/// Put a moment with a name on the timeline: a deploy, an alert, an incident
///
/// `marker:NAME` can be written wherever a time can; of several markers of one name it is the newest.
#[derive(Debug, Args)]
pub(super) struct MarkArgs {
    /// What to call it, as `deploy 4711`
    #[arg(value_parser = name)]
    name: String,
    /// When it was; now without it
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// It is about this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// It is about the hosts of this group, as `role=db` or `role=db,env=prod`
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err(format!("it must be one line of 1 to {LONGEST_NAME} bytes"));
    }
    Ok(text.to_owned())
}

impl MarkArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            name,
            at,
            host,
            group,
        } = self;
        let made = now();
        let time = context
            .optional_time("--at", at.as_deref())?
            .unwrap_or(made);
        if time > made {
            return Err(Error::Usage(format!(
                "read `--at`: {time} lies in the future"
            )));
        }
        let host = match host {
            Some(host) => {
                let (_fleet, roster) = context.fleet()?;
                Some(roster.find(&host)?.machine.clone())
            }
            None => None,
        };
        let group = match group {
            Some(group) => {
                let (_fleet, roster) = context.fleet()?;
                roster.group(&group)?;
                let selector: Selector = group.parse().map_err(crate::questions::Error::from)?;
                Some(selector.to_string()).filter(|group| group != "all")
            }
            None => None,
        };
        let markers = Markers::open(&context.location()?)?;
        let marker = markers.put(&Marker {
            id: 0,
            time,
            name,
            host,
            group,
            made,
        })?;
        context.output.answer(&marker, output::marker_line)?;
        Ok(Exit::Found)
    }
}

/// Take a marker away
#[derive(Debug, Args)]
pub(super) struct UnmarkArgs {
    /// Its number, as `markers` lists it
    id: u64,
}

#[derive(Serialize)]
struct Unmarked {
    id: u64,
}

impl UnmarkArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { id } = self;
        if !Markers::open(&context.location()?)?.remove(id)? {
            return Ok(Exit::Nothing);
        }
        let in_words = |unmarked: &Unmarked, _: &_| format!("marker {} is gone", unmarked.id);
        context.output.answer(&Unmarked { id }, in_words)?;
        Ok(Exit::Found)
    }
}

/// List markers, oldest first
#[derive(Debug, Args)]
pub(super) struct MarkersArgs {
    #[command(flatten)]
    time: TimeArgs,
}

impl MarkersArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let [since, until] = self.time.times(context)?;
        let (fleet, _roster) = context.fleet()?;
        let markers = fleet.markers(open_interval([since, until]))?;
        for marker in &markers {
            context.output.answer(marker, output::marker_line)?;
        }
        Ok(Context::found(!markers.is_empty()))
    }
}

/// An interval whose ends may be open.
fn open_interval([since, until]: [Option<Timestamp>; 2]) -> [Timestamp; 2] {
    let since = since.unwrap_or(Timestamp::from_nanos(i64::MIN));
    [since, until.unwrap_or(Timestamp::MAX)]
}

impl Context {
    /// The newest marker of a name.
    pub(super) fn marked(&self, name: &str) -> Result<Timestamp, Error> {
        let markers = self.reader()?.markers(open_interval([None, None]))?;
        let found = markers.iter().rev().find(|marker| marker.name == name);
        found.map(|marker| marker.time).ok_or_else(|| {
            Error::Usage(format!(
                "no marker is called `{name}`; `tracer-collector markers` lists them"
            ))
        })
    }
}
