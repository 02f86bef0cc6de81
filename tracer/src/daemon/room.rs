//! What to do while the store takes nothing, as its disk is full or was mounted read-only: say so, go on
//! watching, and once there is room again make it a gap and compare.

use std::mem;

use change::wire::{CheckBody, CheckState, SessionBody};
use change::{Gap, GapReason, Run, Timestamp};

use super::now;
use super::pipeline::Pipeline;
use super::shared::Shared;
use crate::store::{self, Batch};

/// The name of the check in `tracer doctor`.
pub(super) const CHECK: &str = "store";

/// Knows since when the store takes nothing, and what is not to be dropped with a batch.
#[derive(Default)]
pub(super) struct Room {
    lacking: Option<Lack>,
    /// What is small and would not come again, of the batch that was written last.
    gaps: Vec<Gap>,
    sessions: Vec<SessionBody>,
    runs: Vec<Run>,
    /// When the oldest change in that batch happened.
    oldest: Option<Timestamp>,
}

struct Lack {
    since: Timestamp,
    why: String,
}

impl Room {
    /// Whether the store takes nothing at the moment.
    pub(super) fn is_lacking(&self) -> bool {
        self.lacking.is_some()
    }

    /// Puts into a batch what an earlier one could not bring to the store, and remembers what this
    /// one has.
    pub(super) fn hold(&mut self, batch: &mut Batch) {
        batch.gaps.splice(0..0, self.gaps.drain(..));
        batch.sessions.splice(0..0, self.sessions.drain(..));
        batch.runs.splice(0..0, self.runs.drain(..));
        self.gaps.clone_from(&batch.gaps);
        self.sessions.clone_from(&batch.sessions);
        self.runs.clone_from(&batch.runs);
        let times = batch.changes.iter().map(|change| change.time);
        self.oldest = times.min();
    }

    /// The store took the batch: none of it is to be written again.
    fn let_go(&mut self) -> Option<Lack> {
        mem::take(self).lacking
    }
}

impl Pipeline {
    /// A batch could not be written: its changes are lost, and the gap begins with the first of them.
    pub(super) fn lacks_room(&mut self, error: &store::Error) {
        let room = &mut self.room;
        let since = room.oldest.take().unwrap_or_else(now);
        if let Some(lack) = &mut room.lacking {
            lack.since = lack.since.min(since);
            return;
        }
        let why = error.to_string();
        tracing::error!("{why}; until there is room, changes are only found by comparing later");
        let detail = format!("{why}; what changes until there is room is found late");
        set_check(&self.shared, Some(detail));
        room.lacking = Some(Lack { since, why });
    }

    /// A batch was written. If it is the first one again, what lies behind is a gap.
    pub(super) fn has_room(&mut self) -> anyhow::Result<()> {
        let Some(Lack { since, why }) = self.room.let_go() else {
            return Ok(());
        };
        tracing::info!("the store can be written again");
        set_check(&self.shared, None);
        let detail = format!("changes could not be written: {why}");
        self.note_gap(GapReason::Lost, since, &detail);
        self.commit(None)
    }
}

fn set_check(shared: &Shared, detail: Option<String>) {
    shared.set_check(
        CHECK,
        detail.map(|detail| CheckBody {
            name: CHECK.to_owned(),
            state: CheckState::Missing,
            detail,
        }),
    );
}

#[cfg(test)]
mod tests {
    use change::RunKind;

    use super::*;
    use crate::store::example;

    fn batch() -> Batch {
        let run = example::run(1, RunKind::Command, &example::alice(1), 1, None);
        Batch {
            gaps: vec![example::gap(GapReason::Stopped, 1, Some(2))],
            sessions: vec![example::session(1, 1)],
            runs: vec![run],
            ..Batch::default()
        }
    }

    #[test]
    fn what_the_store_did_not_take_goes_with_the_next_batch_and_what_it_took_does_not() {
        let mut room = Room::default();
        room.hold(&mut batch());
        let mut next = Batch::default();
        room.hold(&mut next);
        let Batch {
            gaps,
            sessions,
            runs,
            ..
        } = batch();
        assert_eq!(
            (&next.gaps, &next.sessions, &next.runs),
            (&gaps, &sessions, &runs)
        );

        assert!(room.let_go().is_none());
        let mut last = Batch::default();
        room.hold(&mut last);
        assert!(last.gaps.is_empty() && last.sessions.is_empty() && last.runs.is_empty());
    }
}
