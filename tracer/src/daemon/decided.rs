//! What a file that was written decided besides itself, until it is known who wrote it: the process that
//! fanotify names may be told of later than the file.

use std::collections::BTreeSet;

use change::{Text, Timestamp};

use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::inventory::{Facts, Source};
use crate::observed::Who;

/// How long it rests until it is told of.
const REST_NS: i64 = 200_000_000;

/// So much of it waits at most: each holds all facts of a source.
const MOST: usize = 4;

/// What a source said as a file that decides it was written. What it says later may be somebody else's
/// doing.
pub(super) struct Decided {
    pub(super) time: Timestamp,
    pub(super) who: Who,
    pub(super) source: Source,
    /// Of what the file decides, where that is not all.
    pub(super) only: Option<BTreeSet<Text>>,
    pub(super) found: Facts,
}

impl Pipeline {
    /// Takes in what a file decided, and tells of it as soon as it is known who wrote it.
    pub(super) fn decide(&mut self, decided: Decided) {
        let is_known = matches!(decided.who, Who::Task(_));
        self.decided.push(decided);
        if is_known || self.decided.len() >= MOST {
            self.conclude_decided();
        }
    }

    /// Tells of what files decided.
    pub(super) fn conclude_decided(&mut self) {
        for decided in std::mem::take(&mut self.decided) {
            let Decided {
                time,
                who,
                source,
                only,
                found,
            } = decided;
            let by = self.enrich.by(&who, time);
            let cause = Cause::Written { time, by };
            if let Err(error) = self.take_in(source, found, only.as_ref(), &cause) {
                self.note_loss(&format!("{error:#}"));
            }
        }
    }

    /// The same for what has rested. A clock that was set back is none to wait for.
    pub(super) fn conclude_rested(&mut self) {
        let now = now().as_nanos();
        let is_rested =
            |decided: &Decided| !(0..REST_NS).contains(&(now - decided.time.as_nanos()));
        if self.decided.iter().all(is_rested) {
            self.conclude_decided();
        }
    }
}
