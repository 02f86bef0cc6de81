//! One question as a route, and the table of all: router and description are made of it.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use serde::Serialize;

use super::params::{Param, Params, STALE_BEFORE};
use super::{
    Error, STALE_NS, compare, drift, explain, hosts, log, outliers, runs, suspects, timeline,
};
use crate::clock::now;
use crate::questions::Roster;
use crate::store::{Location, Reader, Scope};

/// An answer is no longer than this, in MiB: it is made in memory.
const LONGEST_MIB: usize = 64;

/// All questions, in the order in which they are documented.
pub(super) const QUESTIONS: [Question; 16] = [
    hosts::HOSTS,
    compare::COMPARE,
    outliers::OUTLIERS,
    explain::EXPLAIN,
    suspects::SUSPECTS,
    log::WHO,
    log::LOG,
    timeline::TIMELINE,
    timeline::MARKERS,
    runs::RUNS,
    runs::RUN_IN_FULL,
    runs::SESSIONS,
    runs::RECAP,
    drift::DRIFT,
    drift::EVENTS,
    drift::SNAPSHOTS,
];

/// Describes a question: how it is asked, and by what it is answered.
pub(super) struct Question {
    /// The command that asks the same; `run` is `runs HOST ID`, and `drift-events` is `drift --events`.
    pub(super) name: &'static str,
    /// What it answers, in a few words.
    pub(super) summary: &'static str,
    /// What a reader must know besides.
    pub(super) about: &'static str,
    pub(super) params: &'static [&'static Param],
    /// The schema of the answer.
    pub(super) schema: &'static str,
    pub(super) ask: fn(&Asked) -> Result<Vec<u8>, Error>,
}

impl Question {
    /// Its route.
    pub(super) fn path(&self) -> String {
        format!("/v1/{}", self.name)
    }
}

/// A question that was asked, and the fleet as it is for its answer.
pub(super) struct Asked {
    pub(super) params: Params,
    pub(super) fleet: Reader,
    pub(super) roster: Roster,
    pub(super) scopes: BTreeSet<Scope>,
}

impl Asked {
    /// Reads the fleet as it is now; from the deadline on nothing more is read.
    pub(super) fn begin(
        location: &Location,
        params: Params,
        scopes: BTreeSet<Scope>,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let stale_before = params.time(&STALE_BEFORE)?;
        let stale_before = stale_before.unwrap_or_else(|| now().plus_nanos(-STALE_NS));
        let fleet = Reader::open_until(location, deadline)?;
        let roster = Roster::read(&fleet, stale_before)?;
        Ok(Self {
            params,
            fleet,
            roster,
            scopes,
        })
    }
}

/// The answer in JSON, unless it is too long.
pub(super) fn json<T: Serialize>(answer: &T) -> Result<Vec<u8>, Error> {
    let mut writer = Bounded(Vec::new());
    // Memory takes everything, so only the bound can have been met.
    serde_json::to_writer(&mut writer, answer).map_err(|_full| Error::TooLong(LONGEST_MIB))?;
    Ok(writer.0)
}

struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_MIB << 20 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_bound() {
        assert_eq!(json(&"fits").unwrap(), b"\"fits\"");
        let long = "x".repeat((LONGEST_MIB << 20) - 1);
        assert!(matches!(json(&long), Err(Error::TooLong(64))));
    }
}
