//! What is known of a fleet, as the questions ask for it; a store answers.

mod drift;
mod host_set;

use std::collections::BTreeMap;

use change::wire::SessionBody;
use change::{Author, Change, FactValue, Gap, Kind, Op, Run, RunQuery, Subject, Timestamp};
use serde::Serialize;

pub use self::drift::{Cause, DriftEvent, Ending, Reversal, Way};
pub use self::host_set::HostSet;
use crate::store::Error;

/// Says who a sender is, as its certificate does: a host can write under no other name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub String);

/// Names a host within the store: one installation of one machine, with its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub u32);

/// Names a subject within the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(pub i64);

/// Names a value within the store; two facts are the same where their values have one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueKey(pub i64);

/// Describes a host as the collector knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name within the store.
    pub key: HostKey,
    /// Who it is by its certificate.
    pub id: HostId,
    /// The machine id.
    pub machine: String,
    /// The host's name.
    pub hostname: String,
    /// What the host is, as its operators say it.
    pub labels: BTreeMap<String, String>,
    /// The tracer's version.
    pub tracer: String,
    /// Number of the newest change that is here.
    pub durable_seq: u64,
    /// Number of the newest change on the host, as far as it has said.
    pub newest_seq: u64,
    /// From when on its state is known: no moment before can be asked for.
    pub begins: Timestamp,
    /// When it reported last, by the collector's clock.
    pub reported: Timestamp,
    /// How far its clock was ahead then, in nanoseconds.
    pub skew_ns: i64,
    /// Until when its log is known to be complete.
    pub complete_until: Option<Timestamp>,
    /// When two logs were first seen to go on under its machine id: one machine is a copy of the other.
    pub cloned: Option<Timestamp>,
    /// The later installation of the same machine, or under the same name, that has taken its place.
    pub replaced_by: Option<HostKey>,
}

/// Holds the value that a subject has on a host, by their names in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What has the value.
    pub subject: SubjectKey,
    /// The value.
    pub value: ValueKey,
    /// Since when; none where it was there before anybody watched.
    pub since: Option<Timestamp>,
    /// Number of the change that brought it; none where no change did.
    pub seq: Option<u64>,
}

/// Names the state of some hosts at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The name.
    pub name: String,
    /// The moment.
    pub at: Timestamp,
    /// When it was made.
    pub made: Timestamp,
    /// What it is for.
    pub note: Option<String>,
    /// The hosts.
    pub hosts: HostSet,
}

/// Asks for changes of the fleet; every filter that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// On one of these hosts.
    pub hosts: Option<HostSet>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With this op.
    pub op: Option<Op>,
    /// By this person, who logged in or else was acted as: a name or a number.
    pub user: Option<String>,
    /// In the session of this number, which is each host's own.
    pub session: Option<u32>,
    /// Made by this sort of author.
    pub by: Option<Author>,
    /// Owned by this run of this host, or by one within it.
    pub run: Option<(HostKey, u64)>,
    /// Of exactly this subject, also where it was renamed from that name.
    pub subject: Option<Subject>,
    /// Of a file whose path, or whose path before a rename, matches this glob (`*` stays within a folder, `**` does
    /// not).
    pub path: Option<String>,
    /// Of a package whose name matches this glob, or of a file that belonged to one.
    pub package: Option<String>,
    /// With a higher number than this on its host.
    pub after_seq: Option<u64>,
    /// At most this many, newest first.
    pub limit: usize,
}

/// What is read of a change where there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// On which host.
    pub host: HostKey,
    /// Its number there.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What changed.
    pub subject: SubjectKey,
    /// The value after; none where there is none any more.
    pub after: Option<ValueKey>,
}

/// What is read of a change to find and to group it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// On which host.
    pub host: HostKey,
    /// Its number there.
    pub seq: u64,
    /// When it happened, by the host's clock.
    pub time: Timestamp,
    /// What changed.
    pub subject: SubjectKey,
    /// Of which kind that is.
    pub kind: Kind,
    /// What was done.
    pub op: Op,
    /// The value after; none where there is none any more.
    pub after: Option<ValueKey>,
    /// The run that owns it.
    pub run: Option<u64>,
    /// Who logged in or else was acted as; none of a change that nobody saw.
    pub person: Option<String>,
    /// Which sort of author made it.
    pub author: Option<Author>,
}

/// Asks for sessions; every filter that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct SessionQuery {
    /// That had not ended then, as far as is known.
    pub since: Option<Timestamp>,
    /// That began before this moment.
    pub until: Option<Timestamp>,
    /// Of this number, which is each host's own.
    pub id: Option<u32>,
    /// Of this person: a name or a number.
    pub user: Option<String>,
    /// At most this many, newest first.
    pub limit: usize,
}

/// A moment with a name, which somebody put on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// Its number.
    pub id: u64,
    /// The moment.
    pub time: Timestamp,
    /// What is said of it.
    pub name: String,
    /// The machine id of the only host that it is about.
    pub host: Option<String>,
    /// The group that it is about, as `role=db`.
    pub group: Option<String>,
    /// When it was noted.
    pub made: Timestamp,
}

/// Says what is known of a fleet at one moment: while it is held, nothing changes.
pub trait Fleet {
    /// All hosts, in the order in which they first reported.
    fn hosts(&self) -> Result<Vec<Host>, Error>;

    /// The facts of a host now or at a moment, in the order of their subjects.
    fn facts(&self, host: HostKey, at: Option<Timestamp>) -> Result<Vec<Fact>, Error>;

    /// The fact of a subject on a host now.
    fn fact(&self, host: HostKey, subject: SubjectKey) -> Result<Option<Fact>, Error>;

    /// The fact of a subject on a host at a moment.
    fn fact_at(
        &self,
        host: HostKey,
        subject: SubjectKey,
        at: Timestamp,
    ) -> Result<Option<Fact>, Error>;

    /// The subjects whose facts on a host have begun or ended after a moment, in their order.
    fn changed_since(&self, host: HostKey, at: Timestamp) -> Result<Vec<SubjectKey>, Error>;

    /// Whether a host tells of such things as a subject is, so that what it does not tell of is not there: of files
    /// it has told of one in the same folder, of anything else of one of the same kind.
    fn tells_of(&self, host: HostKey, subject: &Subject) -> Result<bool, Error>;

    /// All snapshots, in the order of their names.
    fn snapshots(&self) -> Result<Vec<Snapshot>, Error>;

    /// All drift that has not ended.
    fn open_drift(&self) -> Result<Vec<DriftEvent>, Error>;

    /// Drift that began, ended or went on after a moment, newest first: at most so much of what is wanted.
    fn drift_events(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&DriftEvent) -> bool,
    ) -> Result<Vec<DriftEvent>, Error>;

    /// What was taken back after a moment, newest first: at most so much of what is wanted.
    fn reversals(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&Reversal) -> bool,
    ) -> Result<Vec<Reversal>, Error>;

    /// Passes on which hosts have which value now, in the order of subjects and values.
    fn each_holding(
        &self,
        pass_on: &mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
    ) -> Result<(), Error>;

    /// Which hosts have which value of a subject now; of no more values than `most`.
    fn holdings(&self, subject: SubjectKey, most: usize)
    -> Result<Vec<(ValueKey, HostSet)>, Error>;

    /// The name of a subject; none where nobody has told of it.
    fn key_of(&self, subject: &Subject) -> Result<Option<SubjectKey>, Error>;

    /// The subject of a name.
    fn subject(&self, key: SubjectKey) -> Result<Subject, Error>;

    /// The value of a name.
    fn value(&self, key: ValueKey) -> Result<FactValue, Error>;

    /// A change by its number on its host.
    fn change(&self, host: HostKey, seq: u64) -> Result<Option<Change>, Error>;

    /// The newest change of a subject on a host.
    fn newest_change(&self, host: HostKey, subject: SubjectKey) -> Result<Option<Change>, Error>;

    /// All changes of a subject, oldest first.
    fn history(&self, subject: SubjectKey) -> Result<Vec<Glimpse>, Error>;

    /// Changes, newest first.
    fn log(&self, query: &LogQuery) -> Result<Vec<Change>, Error>;

    /// Passes on what is asked for, newest first, until it is told that it is enough.
    fn each_logged(
        &self,
        query: &LogQuery,
        pass_on: &mut dyn FnMut(Logged) -> bool,
    ) -> Result<(), Error>;

    /// Passes on all changes from the one moment up to the other, which does not count.
    fn each_between(
        &self,
        interval: [Timestamp; 2],
        pass_on: &mut dyn FnMut(Glimpse),
    ) -> Result<(), Error>;

    /// A run by its number on its host.
    fn run(&self, host: HostKey, id: u64) -> Result<Option<Run>, Error>;

    /// Runs of some hosts or of all, newest first.
    fn runs(&self, hosts: Option<&HostSet>, query: &RunQuery)
    -> Result<Vec<(HostKey, Run)>, Error>;

    /// The runs that began right within a run, oldest first.
    fn runs_within(&self, host: HostKey, id: u64) -> Result<Vec<u64>, Error>;

    /// Sessions of some hosts or of all, newest first, with how many changes each made.
    fn sessions(
        &self,
        hosts: Option<&HostSet>,
        query: &SessionQuery,
    ) -> Result<Vec<(HostKey, SessionBody)>, Error>;

    /// The times between which a session's number means the one that began then; open where there is no other one.
    fn session_bounds(
        &self,
        host: HostKey,
        session: (u32, Timestamp),
    ) -> Result<[Option<Timestamp>; 2], Error>;

    /// Gaps that lie in an interval, wholly or in part, in the order in which they began.
    fn gaps(&self, interval: [Timestamp; 2]) -> Result<Vec<(HostKey, Gap)>, Error>;

    /// Markers from the one moment up to the other, which does not count; oldest first.
    fn markers(&self, interval: [Timestamp; 2]) -> Result<Vec<Marker>, Error>;

    /// From when on each moment is kept; none where nothing was ever removed.
    fn horizon(&self) -> Result<Option<Timestamp>, Error>;

    /// The bytes of a file by their BLAKE3 hash, where they are kept.
    fn content(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Error>;
}
