//! Whether what was read of a file is what one change left: several processes may have written to it within
//! a tick of its times.

use change::{Note, Timestamp};

use super::Seen;
use super::pending::{Came, Pending, Touched, is_same_process};
use crate::capture::Captured;
use crate::observed::Who;

/// Who may have written to a file unseen, last of all.
pub(super) struct Doubted {
    pub(super) time: Timestamp,
    pub(super) who: Who,
    /// Whether nobody else may have.
    is_one: bool,
}

impl Pending {
    /// Somebody ends to hold the file open through a description of its own, and may have written to it
    /// unseen at any time since it was opened: its times and size stay the same where that was within a
    /// tick of the last write. Whether what was read is to be held against what is there now.
    pub(super) fn doubt(&mut self, closed: bool, seen: &Seen<'_>) -> bool {
        let is_own = self.writer(seen.description).is_some();
        if closed {
            self.forget_description(seen.description);
        }
        if is_own {
            return false;
        }
        self.note(Note::SameTick);
        if self.captured.is_none() || self.captured_at > seen.time {
            return false;
        }
        let doubted = self.doubted.get_or_insert_with(|| Doubted {
            time: seen.time,
            who: seen.who.clone(),
            is_one: true,
        });
        doubted.is_one &= is_same_process(&doubted.who, seen.who);
        true
    }

    /// Who still writes through other descriptions than this one.
    pub(super) fn take_others(&mut self, description: Option<u64>) -> Vec<(u64, Who)> {
        let writers = std::mem::take(&mut self.writers).into_iter();
        writers
            .filter(|(known, _)| Some(*known) != description)
            .collect()
    }

    /// Others have the file open, and wrote to it just before: what they write within a tick of this
    /// one's writes is not told apart from these.
    pub(super) fn share_with(&mut self, others: Vec<(u64, Who)>) {
        if !others.is_empty() {
            self.note(Note::SameTick);
        }
        self.writers.extend(others);
    }

    /// What was read now, after a doubt; gives back the change of whoever wrote unseen, if somebody did.
    pub(super) fn settle_doubt(&mut self, captured: Captured, until: Timestamp) -> Option<Self> {
        let doubted = self.doubted.take();
        let before = self.captured.as_ref().and_then(Captured::hash);
        let is_other = before.is_some() && captured.hash().is_some_and(|now| before != Some(now));
        let Some(doubted) = doubted.filter(|_| is_other) else {
            (self.captured, self.captured_at) = (Some(captured), until);
            return None;
        };
        let seen = Seen {
            time: doubted.time,
            who: &doubted.who,
            inode: self.inode,
            description: None,
        };
        let mut hidden = Self::new(self.path.clone(), Came::Existed, &seen);
        hidden.touched = Touched::Content;
        (hidden.captured, hidden.captured_at) = (Some(captured), until);
        if !doubted.is_one {
            hidden.note(Note::SameTick);
        }
        Some(hidden)
    }

    /// Another file, or another content, takes the place of this one. What was not read of it by then is
    /// not known any more; nor what was read later, if both bear the same times and size: times can be as
    /// coarse as the clock's tick, and a file that was replaced twice can have its number again.
    pub(super) fn supersede(&mut self, seen: &Seen<'_>) {
        let Some(own) = self.inode else {
            return;
        };
        // What a write that had only begun has left is nowhere any more.
        let has_begun = std::mem::take(&mut self.writing);
        let is_read = self.captured.is_some() && !has_begun;
        if is_read && self.captured_at <= seen.time {
            return;
        }
        let is_told_apart = seen
            .inode
            .is_some_and(|by| (by.mtime_ns, by.size) != (own.mtime_ns, own.size));
        if !is_read || !is_told_apart {
            self.captured = Some(Captured::Absent);
        }
    }
}
