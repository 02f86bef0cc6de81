//! Folds what was seen into what the user did: one save, one change, however many calls it took.
//!
//! Purely in memory and without a clock of its own: it is told what was seen and what time it is, and
//! when the clock was set.
//! What a finished change did to the file (its states before and after) is found by `conclude`.

mod clock;
mod contents;
mod doubts;
mod names;
mod pending;
mod renames;
mod writes;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use change::{Text, Timestamp};

pub use pending::{Assembled, Came, Touched};
use pending::{Pending, State};
use renames::Moved;

use crate::decode::UNKNOWN_NAME;
use crate::observed::{Action, FileEvent, Inode, Left, Who};
use crate::trees::path;

/// A change is finished when nothing more happened to the file for so long.
pub const QUIET: Duration = Duration::from_secs(1);
/// A change that never comes to rest is told when it is this old; what follows is another one.
pub const LONGEST: Duration = Duration::from_secs(10);
/// How many changes may be in the making, or wait for their turn, before the older half is handed over
/// early: with what was read of the files, but for their content, they take some 12 MB.
const MAX_WAITING: usize = 8192;

/// Holds the changes in the making, one a path.
#[derive(Default)]
pub struct Assembler {
    pending: HashMap<Text, Pending>,
    /// What is finished, and waits until all that happened before it is finished, too.
    finished: Vec<Assembled>,
    /// What happened until then is handed over without waiting for anything that may come to rest.
    early_until: Timestamp,
    /// How many of the finished were there when that was set.
    early: usize,
    /// When to look at each of them next, the earliest on top: without it a burst would be looked
    /// through as a whole with each batch of records.
    due: BinaryHeap<Reverse<(Timestamp, Text)>>,
    /// Paths whose content should be read at once.
    touched: Vec<Text>,
    /// How much content was handed in since [`Assembler::take_excess`] took it away; some of it is
    /// gone meanwhile with its changes.
    content_bytes: usize,
}

impl Assembler {
    /// Takes one thing that was seen. `is_same_program` tells whether two processes run the same
    /// program, so that the children of a loop in a shell count as one.
    pub fn observe(
        &mut self,
        time: Timestamp,
        who: &Who,
        event: FileEvent,
        is_same_program: &dyn Fn(&Who, &Who) -> bool,
    ) {
        let FileEvent {
            action,
            path,
            inode,
            unnamed,
            description,
        } = event;
        let named = if unnamed {
            self.name_of(inode)
        } else {
            Some(path)
        };
        let Some(path) = named else { return };
        let seen = Seen {
            time,
            who,
            inode,
            description,
        };
        match action {
            Action::Dirtied | Action::Closed { .. } | Action::Released { .. } => {
                self.write(path, &action, &seen, is_same_program);
            }
            Action::Attributes { size, .. } => {
                let touched = if size {
                    Touched::Content
                } else {
                    Touched::Attributes
                };
                self.touch(path, touched, &seen, is_same_program);
            }
            Action::Xattr { name } => {
                let touched = if seen.is_directory() && name == UNKNOWN_NAME {
                    Touched::Names
                } else {
                    Touched::Attributes
                };
                self.touch(path, touched, &seen, is_same_program);
            }
            Action::Creating => self.appear(path, Came::Created, &seen, true),
            Action::Created => self.appear(path, Came::Created, &seen, false),
            Action::Symlinked { .. } => self.appear(path, Came::Symlinked, &seen, false),
            Action::Linked { existing } => self.link(path, existing, &seen),
            Action::Deleted => self.delete(&path, &seen),
            Action::Renamed {
                from,
                into_watched,
                left,
                replaced,
            } => {
                let moved = Moved {
                    from,
                    into_watched,
                    replaced: replaced.is_some(),
                };
                match left {
                    Left::Nothing => self.rename(path, moved, &seen),
                    Left::Other => self.exchange(path, moved, &seen),
                    Left::Whiteout => self.leave_whiteout(path, moved, &seen),
                }
            }
        }
        self.keep_bounded();
    }

    /// The name of a file that was opened without one, and has got one just now: writes through its
    /// first description are told without a name for good.
    fn name_of(&self, inode: Option<Inode>) -> Option<Text> {
        let inode = inode.filter(|inode| inode.links > 0)?;
        let is_same = |pending: &&Pending| {
            let known = pending.inode.filter(|_| !pending.is_gone());
            known.is_some_and(|known| (known.dev, known.number) == (inode.dev, inode.number))
        };
        let found = self.pending.values().find(is_same)?;
        Some(found.path.clone())
    }

    /// A name is there that was not there before.
    fn appear(&mut self, path: Text, came: Came, seen: &Seen<'_>, open: bool) {
        let mut came = came;
        if let Some(pending) = self.pending.get(&path) {
            let is_gone = pending.is_gone() && pending.is_by(seen.who);
            // A directory that was renamed took all with it that was in it.
            if is_gone && !(pending.has_moved() && seen.is_directory()) {
                // It was put aside or removed to make room: the file is replaced.
                self.pending.remove(&path);
                came = Came::Replaced;
            } else if pending.open && pending.is_by(seen.who) {
                // It was announced, and here it is.
                came = pending.came.clone();
                self.pending.remove(&path);
            } else {
                self.supersede(&path, seen);
            }
        }
        let mut pending = Pending::new(path.clone(), came, seen);
        pending.open = open;
        self.begin(pending);
        if !open {
            self.touched.push(path);
        }
    }

    fn link(&mut self, path: Text, existing: Option<Text>, seen: &Seen<'_>) {
        // The only name: an unnamed file got its name (`O_TMPFILE` and linkat).
        let only_name = seen.inode.is_some_and(|inode| inode.links == 1);
        let came = if only_name {
            Came::Created
        } else {
            Came::Linked(existing)
        };
        self.appear(path, came, seen, false);
    }

    fn delete(&mut self, path: &Text, seen: &Seen<'_>) {
        if let Some(pending) = self.pending.get(path) {
            let new = pending.is_new() && pending.is_by(seen.who);
            if new && (pending.is_put_aside() || names::is_passing(path)) {
                self.drop_put_aside(path, seen);
                return;
            }
            self.finish(path);
        }
        self.begin(Pending::gone(path.clone(), State::Deleted, seen));
    }

    /// The changes that are finished by now, in the order of their times: each is handed over when
    /// nothing can come to rest any more that happened before it. What waits for its true name, or
    /// is being written without a pause, may come after what happened later.
    pub fn take_finished(&mut self, now: Timestamp) -> Vec<Assembled> {
        while let Some(Reverse((due, _))) = self.due.peek() {
            if *due > now {
                break;
            }
            let Some(Reverse((due, path))) = self.due.pop() else {
                break;
            };
            self.finish_if_quiet(path, due);
        }
        let quiet_since = now.plus_nanos(-pending::nanos(QUIET));
        self.in_order(quiet_since.max(self.early_until))
    }

    /// All changes that could be finished, for somebody who asks now: not what still waits for its
    /// true name, unless that is what is `asked` for, nor what is being written at this moment.
    pub fn take_all_settled(&mut self, asked: Option<&Text>) -> Vec<Assembled> {
        self.finish_where(|pending| {
            let waits = || names::waits(&pending.path).is_some() && asked != Some(&pending.path);
            !pending.open && !pending.writing && !waits()
        });
        self.in_order(Timestamp::MAX)
    }

    /// All changes, for the daemon's end.
    pub fn take_all(&mut self) -> Vec<Assembled> {
        self.finish_where(|_| true);
        self.in_order(Timestamp::MAX)
    }

    /// Whether a change of that path is in the making.
    pub fn is_in_hand(&self, path: &Text) -> bool {
        self.pending.contains_key(path)
    }

    /// Whether no change is in the making.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.finished.is_empty()
    }

    /// Looks at a change at the time that was noted for it.
    fn finish_if_quiet(&mut self, path: Text, noted: Timestamp) {
        // What was noted may be of an earlier change of the path, which is finished.
        let Some(pending) = self.pending.get_mut(&path) else {
            return;
        };
        if pending.look_at != noted {
            return;
        }
        let due = pending.due();
        if due <= noted {
            self.finish(&path);
        } else {
            pending.look_at = due;
            self.due.push(Reverse((due, path)));
        }
    }

    /// Takes up a change in the place of what was in the making under its path.
    fn begin(&mut self, mut pending: Pending) {
        if let Some((directory, _)) = path::split(pending.path.as_bytes())
            && let Some(directory) = self.pending.get_mut(directory)
        {
            directory.inhabited = true;
        }
        pending.look_at = pending.due();
        self.due
            .push(Reverse((pending.look_at, pending.path.clone())));
        self.pending.insert(pending.path.clone(), pending);
    }

    fn finish_where(&mut self, is_due: impl Fn(&Pending) -> bool) {
        let due = self.pending.iter().filter(|(_, pending)| is_due(pending));
        let mut due: Vec<(Timestamp, Text)> = due
            .map(|(path, pending)| (pending.last, path.clone()))
            .collect();
        due.sort_unstable();
        for (_, path) in due {
            self.finish(&path);
        }
    }

    /// Hands over what is finished and happened no later than that, in the order of its times.
    fn in_order(&mut self, until: Timestamp) -> Vec<Assembled> {
        let mut finished: Vec<_> = self
            .finished
            .extract_if(.., |assembled| assembled.time <= until)
            .collect();
        finished.sort_by_key(|assembled| assembled.time);
        self.early = 0;
        finished
    }

    /// Finishes what is in the making under a path, as something else is there now.
    fn supersede(&mut self, path: &Text, seen: &Seen<'_>) {
        if let Some(pending) = self.pending.get_mut(path) {
            pending.supersede(seen);
        }
        self.finish(path);
    }

    fn finish(&mut self, path: &Text) {
        if let Some(pending) = self.pending.remove(path) {
            self.finish_pending(pending);
        }
    }

    fn finish_pending(&mut self, pending: Pending) {
        self.finished.extend(pending.into_assembled());
    }

    /// Finishes the older half where there are too many. Nothing that stays happened before it, so
    /// that it can be handed over at once and the order is kept.
    fn keep_bounded(&mut self) {
        let waiting = self.finished.len().saturating_sub(self.early);
        if self.pending.len() + waiting <= MAX_WAITING {
            return;
        }
        let pending = self.pending.values().map(|pending| pending.last);
        let finished = self.finished.iter().map(|assembled| assembled.time);
        let mut times: Vec<Timestamp> = pending.chain(finished).collect();
        let half = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(half);
        let middle = *middle;
        self.finish_where(|pending| pending.last <= middle);
        self.early_until = middle;
        self.early = self.finished.len();
    }
}

/// When and by whom something was seen.
struct Seen<'a> {
    time: Timestamp,
    who: &'a Who,
    inode: Option<Inode>,
    description: Option<u64>,
}

impl Seen<'_> {
    fn is_directory(&self) -> bool {
        self.inode.is_some_and(Inode::is_directory)
    }
}

#[cfg(test)]
mod tests;
