//! Writes to files that keep their name, and attributes that are set.

use std::cmp::Reverse;

use change::Text;

use super::pending::{Came, Pending, Touched};
use super::{Assembler, Seen};
use crate::observed::{Action, Who};

impl Assembler {
    /// Content was, or may have been, written.
    pub(super) fn write(
        &mut self,
        path: Text,
        action: &Action,
        seen: &Seen<'_>,
        is_same_program: &dyn Fn(&Who, &Who) -> bool,
    ) {
        let closed = matches!(action, Action::Closed { .. });
        let created = matches!(action, Action::Closed { created: true });
        let mut others = Vec::new();
        if let Some(pending) = self.pending.get_mut(&path) {
            let idle = closed || matches!(action, Action::Released { .. });
            let is_quiet =
                idle && !created && pending.is_unchanged(seen.inode) && !pending.is_by(seen.who);
            // Nothing happened through this description, as far as times and size tell.
            if is_quiet && pending.doubt(closed, seen) {
                self.touched.push(path);
                return;
            }
            if is_quiet {
                return;
            }
            if pending.belongs(seen, is_same_program) {
                self.write_on(path, action, seen);
                return;
            }
            others = pending.take_others(seen.description);
            self.supersede(&path, seen);
        }
        let came = if created {
            Came::Created
        } else {
            Came::Existed
        };
        let mut pending = Pending::new(path.clone(), came, seen);
        pending.share_with(others);
        pending.write(action, seen);
        self.begin(pending);
        self.touched.push(path);
    }

    /// Content was written by the action that is in the making.
    fn write_on(&mut self, path: Text, action: &Action, seen: &Seen<'_>) {
        if let Some(pending) = self.pending.get_mut(&path) {
            let created = matches!(action, Action::Closed { created: true });
            if created && pending.came == Came::Existed {
                // Only the closing tells of the creation, and something was told before it.
                pending.came = Came::Created;
            }
            pending.write(action, seen);
            let due = pending.due();
            if due < pending.look_at {
                // It was open under a temporary name, and now it is complete.
                pending.look_at = due;
                self.due.push(Reverse((due, path.clone())));
            }
        }
        self.touched.push(path);
    }

    /// Attributes were set.
    pub(super) fn touch(
        &mut self,
        path: Text,
        touched: Touched,
        seen: &Seen<'_>,
        is_same_program: &dyn Fn(&Who, &Who) -> bool,
    ) {
        match self.pending.get_mut(&path) {
            Some(pending) if pending.belongs(seen, is_same_program) => pending.touch(touched, seen),
            _ => {
                match touched {
                    Touched::Content => self.supersede(&path, seen),
                    Touched::Names | Touched::Attributes => self.finish(&path),
                }
                let mut pending = Pending::new(path.clone(), Came::Existed, seen);
                pending.touch(touched, seen);
                self.begin(pending);
            }
        }
        self.touched.push(path);
    }
}
