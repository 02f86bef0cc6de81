//! How the process table stays within its limits: whom it forgets, and when.

use std::sync::Arc;

use super::{Entry, Key, Processes};
use crate::enrich::program::MaskedProgram;

/// How much later than its last child a process must have ended to be kept for itself.
const GRACE_NS: i64 = 5_000_000_000;

/// Bounds what the table holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::enrich) struct Limits {
    /// All processes. Records of a fork alone may fill three quarters of it.
    pub(in crate::enrich) entries: usize,
    /// Processes that ended without anything being told of them but that.
    pub(in crate::enrich) idle: usize,
    /// Ended processes that changed something.
    pub(in crate::enrich) active: usize,
    /// Bytes of all programs beyond which new command lines are kept short.
    pub(in crate::enrich) program_bytes: usize,
}

impl Default for Limits {
    /// Fork records come at some 10,000 a second at most, file records a few milliseconds after.
    fn default() -> Self {
        Self {
            entries: 65_536,
            idle: 16_384,
            active: 4_096,
            program_bytes: 16 << 20,
        }
    }
}

impl Processes {
    pub(super) fn forget_program(&mut self, program: Option<Arc<MaskedProgram>>) {
        if let Some(program) = program.and_then(Arc::into_inner) {
            self.program_bytes = self.program_bytes.saturating_sub(program.size_bytes());
        }
    }

    pub(super) fn lose_child(&mut self, parent: Option<Key>) {
        let Some(parent) = parent else { return };
        if let Some(entry) = self.entries.get_mut(&parent) {
            entry.children = entry.children.saturating_sub(1);
            if entry.exited.is_some() {
                self.queue(parent);
            }
        }
    }

    /// Puts an ended process without children in line to be forgotten.
    pub(super) fn queue(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if entry.children > 0 || entry.queued {
            return;
        }
        entry.queued = true;
        if entry.active {
            self.active.push_back(key);
        } else {
            self.idle.push_back(key);
        }
    }

    /// Forgets whom the queues have no place for any more.
    pub(super) fn trim(&mut self) {
        while self.idle.len() > self.limits.idle {
            self.forget_oldest_idle();
        }
        while self.active.len() > self.limits.active {
            self.forget_oldest_active();
        }
    }

    pub(super) fn make_room(&mut self, max: usize) -> bool {
        while self.entries.len() >= max.max(1) {
            if !self.forget_oldest_idle() && !self.forget_oldest_active() {
                return false;
            }
        }
        true
    }

    fn forget_oldest_idle(&mut self) -> bool {
        let Some(key) = self.idle.pop_front() else {
            return false;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.queued = false;
            if entry.active {
                // It turned out to have changed something after it was queued.
                self.queue(key);
            } else {
                self.forget(key);
            }
        }
        true
    }

    fn forget_oldest_active(&mut self) -> bool {
        let Some(key) = self.active.pop_front() else {
            return false;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.queued = false;
            self.forget(key);
        }
        true
    }

    /// Forgets a process, and its ended ancestors that were kept for its sake alone.
    fn forget(&mut self, key: Key) {
        let mut next = Some(key);
        while let Some(key) = next.take() {
            // It may have got a child since it was queued; without that it is queued again.
            if self.get(key).is_none_or(Entry::has_children) {
                return;
            }
            let Some(entry) = self.entries.remove(&key) else {
                return;
            };
            self.forget_program(entry.program);
            for (_, program) in entry.earlier {
                self.forget_program(program);
            }
            let Some(parent) = entry.parent.and_then(|key| self.entries.get_mut(&key)) else {
                return;
            };
            parent.children = parent.children.saturating_sub(1);
            let (Some(parent_end), Some(end)) = (parent.exited, entry.exited) else {
                return;
            };
            // Queued, it would push out another one at once; so only what ended much later is.
            if parent.active || parent_end > end.plus_nanos(GRACE_NS) {
                let parent = Key::from(parent.id);
                self.queue(parent);
            } else if !parent.queued {
                next = entry.parent;
            }
        }
    }
}
