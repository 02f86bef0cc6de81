//! The reader: answers what the questions ask of a fleet, from one moment of the store.

use std::time::Instant;

use change::wire::SessionBody;
use change::{Change, FactValue, Gap, Run, RunQuery, Subject, Timestamp};

use super::error::Doing as _;
use super::sql::{Connection, Turn};
use super::{
    EnrolledHost, Error, Location, LogPlace, changes, contents, enrolment, facts, gaps, holders,
    hosts, markers, moments, names, postgres, runs, search, sessions, snapshots, tidy,
};
use crate::fleet::{
    DriftEvent, Fact, Fleet, Glimpse, Host, HostKey, HostSet, LogQuery, Logged, Marker, Reversal,
    SessionQuery, Snapshot, SubjectKey, ValueKey,
};

const READ: &str = "read the fleet's facts";

/// Reads the store as it is when it is opened, whatever is written meanwhile.
pub struct Reader {
    pub(super) connection: Connection,
}

impl Reader {
    /// Opens a store.
    pub fn open(location: &Location) -> Result<Self, Error> {
        Self::open_at(location, None)
    }

    /// Opens the store likewise; from a moment on all that is asked fails, and what is under way ends
    /// ([`Error::is_out_of_time`]).
    pub fn open_until(location: &Location, deadline: Instant) -> Result<Self, Error> {
        Self::open_at(location, Some(deadline))
    }

    fn open_at(location: &Location, deadline: Option<Instant>) -> Result<Self, Error> {
        let connection = location.open_to_read(deadline)?;
        // It ends with the connection.
        connection.begin(Turn::Read).doing(READ)?.keep();
        Ok(Self { connection })
    }

    /// How large the store is.
    pub fn bytes(&self, location: &Location) -> Result<u64, Error> {
        match location.file_bytes() {
            Some(bytes) => Ok(bytes),
            None => Ok(postgres::bytes(&self.connection)
                .doing(READ)?
                .cast_unsigned()),
        }
    }

    /// All hosts that were ever enrolled, by their host names.
    pub fn enrolled(&self) -> Result<Vec<EnrolledHost>, Error> {
        enrolment::all(&self.connection)
    }

    /// The next page of changes, newest first, behind a place in the log; with the place to go on from, where the
    /// page is full.
    pub fn log_page(
        &self,
        query: &LogQuery,
        behind: Option<LogPlace>,
    ) -> Result<(Vec<Change>, Option<LogPlace>), Error> {
        search::log_page(&self.connection, query, behind)
    }
}

impl Fleet for Reader {
    fn hosts(&self) -> Result<Vec<Host>, Error> {
        hosts::all(&self.connection)
    }

    fn facts(&self, host: HostKey, at: Option<Timestamp>) -> Result<Vec<Fact>, Error> {
        facts::all(&self.connection, host, at).doing(READ)
    }

    fn fact(&self, host: HostKey, subject: SubjectKey) -> Result<Option<Fact>, Error> {
        facts::read(&self.connection, host, subject).doing(READ)
    }

    fn fact_at(
        &self,
        host: HostKey,
        subject: SubjectKey,
        at: Timestamp,
    ) -> Result<Option<Fact>, Error> {
        moments::fact_at(&self.connection, (host, subject), at).doing(READ)
    }

    fn changed_since(&self, host: HostKey, at: Timestamp) -> Result<Vec<SubjectKey>, Error> {
        moments::changed_since(&self.connection, host, at).doing(READ)
    }

    fn tells_of(&self, host: HostKey, subject: &Subject) -> Result<bool, Error> {
        moments::tells_of(&self.connection, host, subject).doing(READ)
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        snapshots::all(&self.connection)
    }

    fn open_drift(&self) -> Result<Vec<DriftEvent>, Error> {
        self.read_open_drift()
    }

    fn drift_events(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&DriftEvent) -> bool,
    ) -> Result<Vec<DriftEvent>, Error> {
        self.read_drift_events(since, most, is_wanted)
    }

    fn reversals(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&Reversal) -> bool,
    ) -> Result<Vec<Reversal>, Error> {
        self.read_reversals(since, most, is_wanted)
    }

    fn each_holding(
        &self,
        pass_on: &mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
    ) -> Result<(), Error> {
        holders::each(&self.connection, READ, pass_on)
    }

    fn holdings(
        &self,
        subject: SubjectKey,
        most: usize,
    ) -> Result<Vec<(ValueKey, HostSet)>, Error> {
        holders::of_subject(&self.connection, subject, most).doing(READ)
    }

    fn key_of(&self, subject: &Subject) -> Result<Option<SubjectKey>, Error> {
        let id = names::id_of(&self.connection, subject).doing(READ)?;
        Ok(id.map(SubjectKey))
    }

    fn subject(&self, key: SubjectKey) -> Result<Subject, Error> {
        names::subject_of(&self.connection, key)
    }

    fn value(&self, key: ValueKey) -> Result<FactValue, Error> {
        names::value_of(&self.connection, key)
    }

    fn change(&self, host: HostKey, seq: u64) -> Result<Option<Change>, Error> {
        changes::read(&self.connection, host, seq)
    }

    fn newest_change(&self, host: HostKey, subject: SubjectKey) -> Result<Option<Change>, Error> {
        changes::newest(&self.connection, host, subject)
    }

    fn history(&self, subject: SubjectKey) -> Result<Vec<Glimpse>, Error> {
        changes::history(&self.connection, subject)
    }

    fn log(&self, query: &LogQuery) -> Result<Vec<Change>, Error> {
        search::log(&self.connection, query)
    }

    fn each_logged(
        &self,
        query: &LogQuery,
        pass_on: &mut dyn FnMut(Logged) -> bool,
    ) -> Result<(), Error> {
        search::each(&self.connection, query, pass_on)
    }

    fn each_between(
        &self,
        interval: [Timestamp; 2],
        pass_on: &mut dyn FnMut(Glimpse),
    ) -> Result<(), Error> {
        changes::each_between(&self.connection, interval, pass_on)
    }

    fn run(&self, host: HostKey, id: u64) -> Result<Option<Run>, Error> {
        runs::read(&self.connection, host, id)
    }

    fn runs(
        &self,
        hosts: Option<&HostSet>,
        query: &RunQuery,
    ) -> Result<Vec<(HostKey, Run)>, Error> {
        runs::find(&self.connection, hosts, query)
    }

    fn runs_within(&self, host: HostKey, id: u64) -> Result<Vec<u64>, Error> {
        runs::within(&self.connection, host, id)
    }

    fn sessions(
        &self,
        hosts: Option<&HostSet>,
        query: &SessionQuery,
    ) -> Result<Vec<(HostKey, SessionBody)>, Error> {
        sessions::find(&self.connection, hosts, query)
    }

    fn session_bounds(
        &self,
        host: HostKey,
        session: (u32, Timestamp),
    ) -> Result<[Option<Timestamp>; 2], Error> {
        sessions::bounds(&self.connection, host, session)
    }

    fn gaps(&self, interval: [Timestamp; 2]) -> Result<Vec<(HostKey, Gap)>, Error> {
        gaps::within(&self.connection, interval)
    }

    fn markers(&self, interval: [Timestamp; 2]) -> Result<Vec<Marker>, Error> {
        markers::between(&self.connection, interval)
    }

    fn horizon(&self) -> Result<Option<Timestamp>, Error> {
        tidy::horizon_of(&self.connection)
    }

    fn content(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Error> {
        contents::read(&self.connection, hash)
    }
}
