//! Which run each process belongs to.

use std::sync::Arc;

use super::{Entry, Key, Processes};

impl Processes {
    /// The process that began the program which a process runs: itself, or the ancestor of which it is
    /// a mere copy.
    pub(in crate::enrich) fn beginner(&self, key: Key) -> Option<&Entry> {
        let mut lineage = self.lineage(key);
        let mut beginner = lineage.next()?;
        for above in lineage {
            let same = match (&above.program, &beginner.program) {
                (Some(above), Some(own)) => Arc::ptr_eq(above, own),
                _ => false,
            };
            if !same {
                break;
            }
            beginner = above;
        }
        Some(beginner)
    }

    /// A process belongs to a run from now on.
    pub(in crate::enrich) fn set_run(&mut self, key: Key, run: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.run = Some(run);
        }
    }

    /// A process belongs to its parent's run.
    pub(in crate::enrich) fn inherit_run(&mut self, key: Key) {
        let above = self.get(key).and_then(|entry| entry.parent);
        let run = above.and_then(|above| self.get(above)?.run);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.run = run;
        }
    }
}
