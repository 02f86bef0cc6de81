//! What a file that was written decided besides itself, until it is known who wrote it: the process that
//! fanotify names may be told of later than the file.

use std::collections::BTreeSet;

use change::{Text, Timestamp};

use super::now;
use super::packages::WorkedOn;
use super::parts::PutAside;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::enrich::Deed;
use crate::inventory::{Facts, Source};
use crate::observed::{Action, FileEvent, Who};

/// How long it rests until it is told of: records of processes may wait for others for a second, where few come.
pub(super) const REST_NS: i64 = 1_200_000_000;

/// So many facts wait at most: one may hold all facts of a source.
const MOST_FACTS: usize = 16_384;

/// What files decided, and is not told of yet.
#[derive(Default)]
pub(super) struct Waiting {
    /// What was read, until it is known who wrote.
    decided: Vec<Decided>,
    /// What is to be read, unless more happens to it.
    pub(super) put_aside: Vec<PutAside>,
    /// What is to be read once whoever is at work on it is done.
    pub(super) worked_on: Vec<WorkedOn>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.decided.is_empty() && self.put_aside.is_empty() && self.worked_on.is_empty()
    }
}

/// What a source said as a file that decides it was written. What it says later may be somebody else's
/// doing.
pub(super) struct Decided {
    pub(super) time: Timestamp,
    pub(super) who: Who,
    /// The unit, where the service manager wrote it at somebody's request.
    pub(super) unit: Option<String>,
    pub(super) source: Source,
    /// What of it the file decides.
    pub(super) only: Only,
    pub(super) found: Facts,
}

/// Which facts of a source a file decides.
pub(super) enum Only {
    /// All of them.
    All,
    /// Those with these keys.
    These(BTreeSet<Text>),
    /// Those whose keys begin with this.
    From(Text),
}

/// The names of files whose contents something has left as they are to be.
pub(super) fn names(event: &FileEvent) -> impl Iterator<Item = &Text> {
    let names = match &event.action {
        Action::Renamed { from, .. } => [Some(&event.path), Some(&from.path)],
        Action::Closed { .. }
        | Action::Linked { .. }
        | Action::Symlinked { .. }
        | Action::Deleted => [Some(&event.path), None],
        _ => [None, None],
    };
    names.into_iter().flatten()
}

/// Whether what happened at a time has rested by now. What the kernel tells can be a little ahead of the clock; one
/// that was set back is none to wait for.
pub(super) fn has_rested(time: Timestamp, now: i64) -> bool {
    !(-REST_NS..REST_NS).contains(&(now - time.as_nanos()))
}

impl Pipeline {
    /// Takes in what a file decided, and tells of it as soon as it is known who wrote it.
    pub(super) fn decide(&mut self, decided: Decided) {
        // Who asked for it may be told of a little later, too.
        let is_known = matches!(decided.who, Who::Task(_)) && decided.unit.is_none();
        self.waiting.decided.push(decided);
        let facts: usize = self
            .waiting
            .decided
            .iter()
            .map(|decided| decided.found.len())
            .sum();
        if is_known || facts >= MOST_FACTS {
            self.conclude_decided();
        }
    }

    /// Tells of what files decided.
    pub(super) fn conclude_decided(&mut self) {
        for decided in std::mem::take(&mut self.waiting.decided) {
            let Decided {
                time,
                who,
                unit,
                source,
                only,
                found,
            } = decided;
            let by = match unit {
                Some(unit) => self.enrich.asked(Deed::SetUp, &unit, &[&unit], time),
                None => self.enrich.by(&who, time),
            };
            let cause = Cause::Written {
                time,
                by,
                notes: Vec::new(),
            };
            if let Err(error) = self.take_decided(source, found, only, &cause) {
                self.note_loss(&format!("{error:#}"));
            }
        }
    }

    fn take_decided(
        &mut self,
        source: Source,
        found: Facts,
        only: Only,
        cause: &Cause,
    ) -> anyhow::Result<()> {
        let keys = match only {
            Only::All => None,
            Only::These(keys) => Some(keys),
            // Where nothing is known yet the first look at all of it comes.
            Only::From(_) if !self.conclude.has_read(source)? => return Ok(()),
            Only::From(prefix) => Some(self.conclude.keys_from(source, &prefix, &found)?),
        };
        self.take_in(source, found, keys.as_ref(), cause)
    }

    /// The same for what has rested.
    pub(super) fn conclude_rested(&mut self) {
        let now = now().as_nanos();
        let is_rested = |decided: &Decided| has_rested(decided.time, now);
        if self.waiting.decided.iter().all(is_rested) {
            self.conclude_decided();
        }
    }
}
