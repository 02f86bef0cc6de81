//! The reader: answers what the questions ask of a fleet, from one moment of the store.

use std::path::Path;

use change::{Change, FactValue, Run, Subject, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Doing as _;
use super::{
    Error, FILE, changes, connection, contents, facts, holders, hosts, moments, names, snapshots,
};
use crate::fleet::{
    DriftEvent, Fact, Fleet, Glimpse, Host, HostKey, HostSet, LogQuery, Reversal, Snapshot,
    SubjectKey, ValueKey,
};

const SELECT_RUN: &str = "SELECT json FROM runs WHERE host = ?1 AND id = ?2";

const READ: &str = "read the fleet's facts";

/// Reads the store as it is when it is opened, whatever is written meanwhile.
pub struct Reader {
    pub(super) connection: Connection,
}

impl Reader {
    /// Opens the store in a state directory.
    pub fn open(state_dir: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_read(&state_dir.join(FILE))?;
        connection.execute_batch("BEGIN").doing(READ)?;
        Ok(Self { connection })
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
        holders::each(&self.connection, pass_on).doing(READ)
    }

    fn holdings(
        &self,
        subject: SubjectKey,
        most: usize,
    ) -> Result<Vec<(ValueKey, HostSet)>, Error> {
        holders::of_subject(&self.connection, subject, most).doing(READ)
    }

    fn find_subject(&self, subject: &Subject) -> Result<Option<SubjectKey>, Error> {
        let found = names::id_of(&self.connection, subject).doing(READ)?;
        Ok(found.map(SubjectKey))
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
        changes::log(&self.connection, query)
    }

    fn each_between(
        &self,
        interval: [Timestamp; 2],
        pass_on: &mut dyn FnMut(Glimpse),
    ) -> Result<(), Error> {
        changes::each_between(&self.connection, interval, pass_on)
    }

    fn run(&self, HostKey(host): HostKey, id: u64) -> Result<Option<Run>, Error> {
        let mut select = self.connection.prepare_cached(SELECT_RUN).doing(READ)?;
        let json: Option<String> = select
            .query_row((host, id.cast_signed()), |row| row.get(0))
            .optional()
            .doing(READ)?;
        json.map(|json| names::read_json(&json, "runs")).transpose()
    }

    fn content(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Error> {
        contents::read(&self.connection, hash)
    }
}
