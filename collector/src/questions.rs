//! What can be asked of a fleet: a library over [`Fleet`], which knows no store, no clock and no terminal.

mod compare;
mod drift;
mod explain;
mod groups;
mod noise;
mod outliers;
mod roster;
mod runs;
mod snapshots;
mod suspects;
mod tally;
mod timeline;

use change::{Change, Kind, Run, Timestamp};
use serde::Serialize;

pub use self::compare::{Comparison, Difference, Side, compare};
pub use self::drift::{
    Drift, DriftBody, DriftQuery, Drifted, ExceptionBody, Happened, HappenedQuery, ReversalBody,
    Status, UnknownBody, drift, happened, rules_in_force,
};
pub(crate) use self::drift::{Found, Judge, Members};
pub use self::explain::{Explanation, Held, Split, explain};
pub use self::groups::{GroupComparison, GroupDifference, GroupSide, SideBody, compare_groups};
pub use self::noise::Noise;
pub use self::outliers::{Deviation, Outlier, Outliers, outliers};
pub use self::roster::{Chosen, HostBody, Roster, Standing};
pub use self::runs::{recap, run_in_full};
pub use self::snapshots::SnapshotBody;
pub use self::suspects::{Suspect, SuspectQuery, suspects};
pub use self::timeline::{Item, Number, Spread, Timeline, TimelineQuery, timeline};
use crate::fleet::{Fact, Fleet, Host, HostKey, SubjectKey};
use crate::rules::Fault;
use crate::selector::{ParseSelectorError, Selector};
use crate::store;

/// Says why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No host goes by that name.
    #[error(
        "no host is called `{0}`, neither by its name nor by its machine id; `tracer-collector hosts` lists them"
    )]
    UnknownHost(String),
    /// Several hosts go by that name.
    #[error("`{name}` is the name of {count} hosts; name one by its certificate: {ids}")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many.
        count: usize,
        /// Who they are by their certificates.
        ids: String,
    },
    /// A group is not written as one.
    #[error(transparent)]
    NoGroup(#[from] ParseSelectorError),
    /// No host is in a group.
    #[error(
        "no host has {what} `{0}`; `tracer-collector hosts` lists hosts with their labels",
        what = if .0.is_of_several() { "all of the labels" } else { "the label" }
    )]
    EmptyGroup(Selector),
    /// A group is too small for what was asked.
    #[error(
        "{what} needs at least {least} hosts that report, and there {verb} {count}",
        verb = if *.count == 1 { "is" } else { "are" }
    )]
    TooFew {
        /// What was asked.
        what: &'static str,
        /// How many it takes.
        least: usize,
        /// How many there are.
        count: usize,
    },
    /// A host cannot be on both sides.
    #[error("`{0}` stands on both sides; a host is either bad or good")]
    BothSides(String),
    /// A moment was asked for at which a host was not known.
    #[error("the state of `{host}` is known from {begins} on, and {at} is before that")]
    TooEarly {
        /// The host.
        host: String,
        /// From when on its state is known.
        begins: Timestamp,
        /// What was asked for.
        at: Timestamp,
    },
    /// What was asked for was removed.
    #[error(
        "{what} is kept from {horizon} on, and {at} is before that: what was older was removed"
    )]
    Removed {
        /// What was asked for.
        what: String,
        /// From when on it is kept.
        horizon: Timestamp,
        /// What was asked for.
        at: Timestamp,
    },
    /// No snapshot has that name.
    #[error("no snapshot is called `{0}`; `tracer-collector snapshots` lists them")]
    UnknownSnapshot(String),
    /// A host is not in a snapshot.
    #[error("`{host}` is not in the snapshot `{snapshot}`")]
    NotInSnapshot {
        /// The host.
        host: String,
        /// The snapshot.
        snapshot: String,
    },
    /// Nobody has said what is to be.
    #[error(
        "no rules are in force; `serve --rules FILE` puts them in force, `drift --rules FILE` tries them, and \
         `drift --against majority` needs none"
    )]
    NoRules,
    /// The rules in force were taken by another version.
    #[error("read the rules in force: {0}; `serve` of this version refuses them, too")]
    RulesInForce(Fault),
    /// A noise rule is no glob.
    #[error("read noise rule `{rule}`: {source}")]
    Glob {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Something that one host knows, with which host that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnHost<T> {
    /// The machine id.
    pub host: String,
    /// The host's name.
    pub hostname: String,
    /// What it knows.
    #[serde(flatten)]
    pub what: T,
}

impl<T> OnHost<T> {
    /// Says on which host it is.
    pub fn new(host: &Host, what: T) -> Self {
        Self {
            host: host.machine.clone(),
            hostname: host.hostname.clone(),
            what,
        }
    }
}

/// Tells since when a host has a value, and what brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// Since when; none where it was there before anybody watched.
    pub since: Option<Timestamp>,
    /// The change that brought it; none where no change did.
    pub change: Option<Change>,
    /// The run that owns the change.
    pub run: Option<Run>,
}

impl Opening {
    /// How a fact came to be.
    fn of(fleet: &dyn Fleet, host: HostKey, fact: &Fact) -> Result<Self, Error> {
        let change = match fact.seq {
            Some(seq) => fleet.change(host, seq)?,
            None => None,
        };
        Self::with(fleet, host, fact.since, change)
    }

    /// How a subject came to have no fact now; none where it never had one.
    fn of_nothing(
        fleet: &dyn Fleet,
        host: HostKey,
        subject: SubjectKey,
    ) -> Result<Option<Self>, Error> {
        let Some(change) = fleet.newest_change(host, subject)? else {
            return Ok(None);
        };
        Self::with(fleet, host, Some(change.time), Some(change)).map(Some)
    }

    /// How a subject came to be as it is now on a host.
    fn of_now(
        fleet: &dyn Fleet,
        host: HostKey,
        subject: SubjectKey,
    ) -> Result<Option<Self>, Error> {
        match fleet.fact(host, subject)? {
            Some(fact) => Self::of(fleet, host, &fact).map(Some),
            None => Self::of_nothing(fleet, host, subject),
        }
    }

    fn with(
        fleet: &dyn Fleet,
        host: HostKey,
        since: Option<Timestamp>,
        change: Option<Change>,
    ) -> Result<Self, Error> {
        let run = change.as_ref().and_then(|change| change.run);
        let run = run.map(|run| fleet.run(host, run)).transpose()?.flatten();
        Ok(Self { since, change, run })
    }
}

/// Refuses a moment of which a host's state is not known, or not any more.
fn refuse_unknown(fleet: &dyn Fleet, host: &Host, at: Option<Timestamp>) -> Result<(), Error> {
    let Some(at) = at.filter(|at| *at < host.begins) else {
        return Ok(());
    };
    let (name, begins) = (&host.hostname, host.begins);
    if fleet.horizon()? == Some(begins) {
        let what = format!("the state of `{name}`");
        return Err(Error::Removed {
            what,
            horizon: begins,
            at,
        });
    }
    Err(Error::TooEarly {
        host: name.clone(),
        begins,
        at,
    })
}

/// Refuses a moment before the log begins that is kept.
pub fn refuse_removed(fleet: &dyn Fleet, at: Timestamp) -> Result<(), Error> {
    match fleet.horizon()?.filter(|horizon| at < *horizon) {
        None => Ok(()),
        Some(horizon) => Err(Error::Removed {
            what: "the log".to_owned(),
            horizon,
            at,
        }),
    }
}

/// How much a kind of subject explains of the others: a package explains its files, and not the other way round.
/// Of equals the one that ranks lower is told first.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Package => 0,
        Kind::Kernel => 1,
        Kind::Firmware => 2,
        Kind::Module => 3,
        Kind::Sysctl | Kind::KernelSetting => 4,
        Kind::Service => 5,
        Kind::Account => 6,
        Kind::Job => 7,
        Kind::Mount => 8,
        Kind::Hardware => 9,
        Kind::Host => 10,
        Kind::File => 11,
        Kind::Newer(_) => 12,
    }
}
