//! What comparing the trees with the facts comes to.

use change::{FileState, Op, Text, Timestamp};

use super::ledger::{Draft, Known};
use super::{Conclude, changed_at, op};
use crate::capture::Found;
use crate::reconcile::{Difference, DifferenceKind};
use crate::store;

impl Conclude {
    /// A change that was found by comparing: nobody saw it happen.
    pub fn late(
        &mut self,
        difference: Difference,
        now: Timestamp,
        between: [Timestamp; 2],
    ) -> Result<(), store::Error> {
        let Difference {
            path,
            kind,
            before,
            found,
            contested: _,
        } = difference;
        let known = self.ledger.known(&path)?.map(|known| known.state);
        if known != before {
            // An exact record came meanwhile, and tells what the file is now.
            return Ok(());
        }
        let between = [between[0].min(changed_at(found.as_ref(), now)), between[1]];
        let after = found.map(|found| self.take_in(path.clone(), found, now));
        if after.is_none() {
            self.ledger.set(path.clone(), None, now);
        }
        let op = match (kind, &before, &after) {
            (DifferenceKind::Same, ..) => return Ok(()),
            (DifferenceKind::New, ..) => Op::Create,
            (DifferenceKind::Gone, ..) => Op::Delete,
            (DifferenceKind::Changed, Some(before), Some(after)) => {
                op::of_difference(before, after)
            }
            (DifferenceKind::Changed, ..) => Op::Modify,
        };
        let draft = Draft {
            time: now,
            path,
            op,
            from: None,
            before,
            after,
            operations: 1,
            notes: Vec::new(),
            by: None,
        };
        self.ledger.tell_late(draft, between);
        Ok(())
    }

    /// Takes in the state of a file as it was when watching began.
    pub fn baseline(
        &mut self,
        path: Text,
        found: Found,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        if self.ledger.known(&path)?.is_none() {
            self.take_in(path, found, now);
        }
        Ok(())
    }

    /// Makes what was found the fact, and gives it back.
    pub(super) fn take_in(&mut self, path: Text, found: Found, now: Timestamp) -> FileState {
        let Found {
            state,
            bytes,
            identity,
            moved_on: _,
        } = found;
        self.ledger.keep(&state, bytes);
        let known = Known {
            state: state.clone(),
            identity,
        };
        self.ledger.set(path, Some(known), now);
        state
    }
}
